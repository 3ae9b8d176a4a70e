"""The manifest: its status, every reason for not being whole, and what it lists. Schema: docs/manifest.schema.json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from connect_audio.core.accounts import Amount, Dropped, Silence, TrackCounts
from connect_audio.core.claims import TimesDisagree
from connect_audio.core.cursor import Cursor, ErrorNote, GapNote
from connect_audio.core.in_band import InBandError
from connect_audio.core.live_state import LiveState, SinkCounts, SinkState
from connect_audio.core.manifest import (
    MAX_ERRORS,
    MAX_GAPS,
    SCHEMA_VERSION,
    EndReason,
    NoteLog,
    Reason,
    RecordingFacts,
    build_manifest,
)
from connect_audio.core.other_tracks import BlockCount, OtherTracks
from connect_audio.core.pcm import Party
from connect_audio.core.silence import Gap, HoleCounts
from connect_audio.core.timeline import TimelineState
from connect_audio.core.tracks import TrackChoice, UnsupportedTrack
from core_support.fragments_by_hand import START_MS, fragment
from core_support.reading import record

OURS: Final = "ours"
FACTS: Final = RecordingFacts(
    contact_id=OURS,
    recording="s3://bucket/key.wav",
    end_reason=EndReason.DISCONNECTED,
    instance_id="instance",
    stream_arn="arn:aws:kinesisvideo:eu-west-2:123456789012:stream/name/1",
    retention_hours=24,
    start_timestamp_ms=START_MS,
    reconnects=2,
    hand_overs=1,
)
WHOLE: Final = record([fragment(index, OURS, millis_behind_now=9) for index in range(3)], OURS)


def manifest(
    cursor: Cursor = WHOLE.cursor, facts: RecordingFacts = FACTS, notes: NoteLog | None = None
) -> dict[str, Any]:
    built = build_manifest(cursor, facts, notes or NoteLog())
    assert json.loads(json.dumps(built)) == built
    return built


def reasons(cursor: Cursor, facts: RecordingFacts = FACTS) -> list[tuple[str, str]]:
    built = manifest(cursor, facts)
    assert built["status"] == ("empty" if not cursor.frames else "partial" if built["reasons"] else "complete")
    return [(reason["code"], reason["detail"]) for reason in built["reasons"]]


def with_fragments(**counts: int) -> Cursor:
    return replace(WHOLE.cursor, fragments=replace(WHOLE.cursor.fragments, **counts))


def with_stream(**counts: Any) -> Cursor:
    return replace(WHOLE.cursor, stream=replace(WHOLE.cursor.stream, **counts))


def with_holes(holes: HoleCounts, silence: Silence) -> Cursor:
    """Holes of both tracks in the place of some of their audio."""
    timeline = WHOLE.cursor.timeline
    assert timeline is not None
    customer, agent = (
        replace(track, audio=track.audio - silence.frames, silence=silence)
        for track in (timeline.customer, timeline.agent)
    )
    return replace(with_stream(holes=holes), timeline=replace(timeline, customer=customer, agent=agent))


def with_customer(**counts: Any) -> Cursor:
    timeline = WHOLE.cursor.timeline
    assert timeline is not None
    return replace(WHOLE.cursor, timeline=replace(timeline, customer=replace(timeline.customer, **counts)))


def with_other_tracks(*unsupported: UnsupportedTrack) -> Cursor:
    """Six blocks on track 1, of a party's unsupported track or of no party."""
    choice = TrackChoice(unsupported=unsupported, unknown=() if unsupported else ((1, "line 2"),))
    receipts = WHOLE.cursor.receipts
    return replace(
        WHOLE.cursor,
        other_tracks=OtherTracks().added(choice, [BlockCount(1, 6, 600)]),
        receipts=replace(receipts, agent=receipts.agent + 600 * len(unsupported)),
    )


def dropping(**samples: int) -> Cursor:
    """The whole recording, and so many more samples that were received and dropped."""
    timeline, receipts = WHOLE.cursor.timeline, WHOLE.cursor.receipts
    assert timeline is not None
    amounts: dict[str, Any] = {name: Amount(count, 2 * count) for name, count in samples.items()}
    dropped = Dropped(**amounts)
    received = receipts.customer + dropped.bytes
    return replace(
        WHOLE.cursor,
        timeline=replace(timeline, customer=replace(timeline.customer, dropped=dropped)),
        receipts=replace(receipts, customer=received),
    )


def test_a_whole_recording_is_complete_and_tells_what_it_holds() -> None:
    first, last = fragment(0, OURS), fragment(2, OURS)
    level = pytest.approx(20 * math.log10(0x0201 / 0x8000))  # every sample has the bytes 1 and 2

    assert manifest() == {
        "schemaVersion": SCHEMA_VERSION,
        "status": "complete",
        "reasons": [],
        "warnings": [],
        "evidence": {
            "opening": {
                "state": "proven",
                "code": "START_TIMESTAMP",
                "detail": "the first audio begins at or before StartTimestamp",
            },
            "middle": {
                "state": "proven",
                "code": "NO_HOLE",
                "detail": "neither the numbers nor the times of 3 fragments show a hole, and the tracks' sums add up",
            },
            "end": {
                "state": "proven",
                "code": "DISCONNECTED",
                "detail": "Connect says DISCONNECTED, and for the drain time the stream was read and had nothing "
                "more of the contact",
            },
        },
        "endReason": "DISCONNECTED",
        "contactId": OURS,
        "instanceId": "instance",
        "startTimestamp": "2026-07-01T13:30:54.536Z",
        "startFragmentNumber": None,
        "stream": {"arn": FACTS.stream_arn, "dataRetentionInHours": 24},
        "recording": {
            "location": "s3://bucket/key.wav",
            "startTime": "2026-07-01T13:30:54.536Z",
            "durationSeconds": 3.072,
            "frames": 24_576,
            "sampleRate": 8000,
            "channels": 2,
            "bitsPerSample": 16,
            "sizeBytes": 44 + 4 * 24_576,
            "dataCrc32": f"{WHOLE.cursor.crc32:08x}",
        },
        "tracks": {
            name: {
                "channel": channel,
                "audioSamples": 24_576,
                "silenceSamples": 0,
                "repeatedSamples": 0,
                "lateSamples": 0,
                "outOfRangeSamples": 0,
                "conflictingSamples": 0,
                "beyondLimitSamples": 0,
                "silence": {
                    "streamHoleSamples": 0,
                    "producerPauseSamples": 0,
                    "blockHoleSamples": 0,
                    "oneSidedSamples": 0,
                },
                "receivedBytes": 49_152,
                "carriedBytes": 0,
                "writtenBytes": 49_152,
                "repeatedBytes": 0,
                "lateBytes": 0,
                "outOfRangeBytes": 0,
                "conflictingBytes": 0,
                "beyondLimitBytes": 0,
                "unsupportedBytes": 0,
                "danglingBytes": 0,
                "gapCount": 0,
                "maxJitterSamples": 0,
                "rmsDbfs": level,
                "activeRmsDbfs": level,
                "activeSeconds": 3.072,
                "peakDbfs": level,
                "zeroSamples": 0,
                "clippedSamples": 0,
            }
            for name, channel in (("customer", "left"), ("agent", "right"))
        },
        "unknownTracks": [],
        "fragments": {
            "first": {
                "number": first.number,
                "producerTimestamp": "2026-07-01T13:30:54.536Z",
                "serverTimestamp": "2026-07-01T13:30:54.706Z",
            },
            "last": {
                "number": last.number,
                "producerTimestamp": "2026-07-01T13:30:56.584Z",
                "serverTimestamp": "2026-07-01T13:30:56.754Z",
            },
            "admitted": 3,
            "admittedUnlabelled": 0,
            "truncated": 0,
            "withoutAudio": 0,
            "unsupportedAudio": 0,
            "otherContact": 0,
            "contradictory": 0,
            "undecidable": 0,
            "unlabelledElsewhere": 0,
            "otherStreaming": 0,
            "ignoredBlocks": 0,
        },
        "gaps": {
            "count": 0,
            "streamHoles": 0,
            "streamHoleSeconds": 0.0,
            "missingFragments": 0,
            "producerPauses": 0,
            "listed": [],
        },
        "timesDisagree": {
            "count": 0,
            "kinds": {"leap": 0, "clockChange": 0, "blockLeap": 0, "blockOverlap": 0, "rate": 0, "clusterTime": 0},
        },
        "blockHoles": {"count": 0, "seconds": 0.0},
        "inBandErrors": {"count": 0, "listed": []},
        "lostBytes": 0,
        "lostByteRuns": 0,
        "reconnects": 2,
        "handOvers": 1,
        "maxMillisBehindNow": 9,
        "live": None,
        "words": None,
        "audit": None,
    }


def test_each_sink_tells_what_it_took_in_seconds() -> None:
    counts = SinkCounts(
        delivered=5, delivered_frames=24_000, dropped_frames=4_000, failures=2, circuit_opened=1, dropped_messages=6
    )
    facts = replace(FACTS, live=LiveState(sinks={"a": SinkState(counts=counts, failure="SINK_STOPPED")}))

    told = {
        "name": "a",
        "deliveries": 5,
        "deliveredSeconds": 3.0,
        "droppedSeconds": 0.5,
        "failedAttempts": 2,
        "circuitOpenings": 1,
        "droppedMessages": 6,
        "failure": "SINK_STOPPED",
    }
    assert manifest(facts=facts)["live"] == {"sinks": [told]}


@pytest.mark.parametrize(
    ("messages", "detail"),
    [
        (1, "1 message of transcribe did not reach a receiver"),
        (12, "12 messages of transcribe did not reach a receiver"),
    ],
)
def test_messages_of_a_sink_that_did_not_arrive_are_a_warning(messages: int, detail: str) -> None:
    sinks = {"whole": SinkState(), "transcribe": SinkState(counts=SinkCounts(dropped_messages=messages))}
    told = manifest(facts=replace(FACTS, live=LiveState(sinks=sinks)))["warnings"]
    assert [each for each in told if each["code"].startswith("LIVE")] == [
        {"code": "LIVE_MESSAGES_DROPPED", "detail": detail}
    ]


def test_a_sink_of_a_recording_without_audio_took_nothing() -> None:
    told = manifest(Cursor(), replace(FACTS, live=LiveState(sinks={"a": SinkState()})))["live"]["sinks"][0]

    assert (told["deliveredSeconds"], told["droppedSeconds"], told["failure"]) == (0, 0, None)


def test_without_audio_a_recording_is_empty() -> None:
    built = manifest(Cursor())

    assert (built["status"], built["recording"]) == ("empty", None)
    assert built["fragments"]["first"] is built["fragments"]["last"] is built["maxMillisBehindNow"] is None
    assert built["tracks"]["customer"]["audioSamples"] == 0
    assert reasons(Cursor()) == [("NO_AUDIO", "nothing came: the stream had no fragment at all")]


@pytest.mark.parametrize(
    ("cursor", "code", "detail"),
    [
        (
            with_fragments(truncated=2),
            "TRUNCATED_FRAGMENTS",
            "2 fragments were cut off; their whole blocks are in the recording",
        ),
        (with_stream(lost_bytes=3), "LOST_BYTES", "3 bytes of the stream belong to no readable fragment"),
        (
            with_fragments(undecidable=4),
            "UNDECIDABLE_FRAGMENTS",
            "4 fragments beside the contact's own name no contact and were left out",
        ),
        (
            with_fragments(contradictory=5),
            "CONTRADICTORY_FRAGMENTS",
            "5 fragments name more than one contact and were left out",
        ),
        (
            with_other_tracks(
                UnsupportedTrack(1, Party.AGENT, "codec A_OPUS without a MimeType, neither 16-bit PCM nor G.711")
            ),
            "UNSUPPORTED_AUDIO",
            (
                "6 blocks hold audio that cannot be decoded or joined: the agent's is codec A_OPUS without a MimeType, "
                "neither 16-bit PCM nor G.711"
            ),
        ),
        (
            with_other_tracks(),
            "UNKNOWN_TRACK",
            "6 blocks are on tracks of no known party: track 1 'line 2'",
        ),
        (
            with_fragments(truncated=1),
            "TRUNCATED_FRAGMENTS",
            "1 fragment was cut off; its whole blocks are in the recording",
        ),
        (with_stream(lost_bytes=1), "LOST_BYTES", "1 byte of the stream belongs to no readable fragment"),
        (
            with_fragments(undecidable=1),
            "UNDECIDABLE_FRAGMENTS",
            "1 fragment beside the contact's own names no contact and was left out",
        ),
        (
            with_fragments(contradictory=1),
            "CONTRADICTORY_FRAGMENTS",
            "1 fragment names more than one contact and was left out",
        ),
        (
            with_stream(holes=HoleCounts(stream_holes=1)),
            "STREAM_HOLES",
            "1 time neither track has audio, and fragments may be missing there",
        ),
        (with_stream(missing_fragments=1), "STREAM_HOLES", "1 fragment is missing by its number"),
        (
            replace(WHOLE.cursor, times=TimesDisagree(rate=1)),
            "TIMES_DISAGREE",
            "1 time the stream's own numbers contradict each other: rate 1",
        ),
        (dropping(late=1), "LATE_AUDIO", "1 sample of the customer came after silence had taken its place"),
        (
            dropping(conflicting=1),
            "CONFLICTING_AUDIO",
            "1 sample of the customer came for a time that has other audio, and was left out",
        ),
        (dropping(out_of_range=1), "OUT_OF_RANGE_AUDIO", "1 sample of the customer has a time outside the call"),
        (
            dropping(beyond_limit=1),
            "RECORDING_LIMIT",
            "1 sample of the customer lies beyond the longest recording",
        ),
        (
            with_stream(holes=HoleCounts(stream_holes=7)),
            "STREAM_HOLES",
            "7 times neither track has audio, and fragments may be missing there",
        ),
        (with_stream(missing_fragments=3), "STREAM_HOLES", "3 fragments are missing by their numbers"),
        (
            replace(WHOLE.cursor, times=TimesDisagree(leap=1, rate=4)),
            "TIMES_DISAGREE",
            "5 times the stream's own numbers contradict each other: leap 1, rate 4",
        ),
        (
            dropping(late=8),
            "LATE_AUDIO",
            "8 samples of the customer came after silence had taken their place",
        ),
        (
            dropping(conflicting=11),
            "CONFLICTING_AUDIO",
            "11 samples of the customer came for a time that has other audio, and were left out",
        ),
        (dropping(out_of_range=9), "OUT_OF_RANGE_AUDIO", "9 samples of the customer have times outside the call"),
        (
            dropping(beyond_limit=10),
            "RECORDING_LIMIT",
            "10 samples of the customer lie beyond the longest recording",
        ),
        (
            with_customer(written_bytes=49_151, dropped=Dropped(dangling_bytes=1)),
            "DANGLING_BYTES",
            "1 byte of the customer makes no whole sample",
        ),
        (
            with_customer(written_bytes=49_151),
            "ACCOUNTS_DISAGREE",
            "49152 bytes of the customer came in and 49151 went into the accounts",
        ),
        (
            with_customer(silence=Silence(one_sided=1)),
            "ACCOUNTS_DISAGREE",
            ("24576 samples and 1 frame of silence of the customer do not make 24576 settled frames of 24576"),
        ),
    ],
)
def test_whatever_is_missing_makes_a_recording_partial_and_says_why(cursor: Cursor, code: str, detail: str) -> None:
    assert reasons(cursor) == [(code, detail)]


@pytest.mark.parametrize(
    "cursor",
    [
        with_fragments(other_contact=5),
        with_fragments(unlabelled_elsewhere=5),
        with_fragments(other_streaming=5),
        with_fragments(without_audio=5),
        with_fragments(ignored_blocks=5),
        with_fragments(admitted_unlabelled=5),
        with_stream(holes=HoleCounts(producer_pauses=5)),
        with_stream(in_band_errors=5),
    ],
    ids=lambda cursor: str(cursor.fragments),
)
def test_what_takes_nothing_from_the_recording_leaves_it_complete(cursor: Cursor) -> None:
    assert reasons(cursor) == []


def test_a_track_that_repeats_itself_or_has_gaps_leaves_a_recording_complete() -> None:
    assert reasons(dropping(repeated=100)) == []
    assert reasons(with_customer(gaps=3, max_jitter=80)) == []


@pytest.mark.parametrize(("frames", "codes"), [(245, []), (246, ["CHOPPY_AUDIO"])])
def test_holes_of_both_tracks_inside_fragments_are_told_above_one_percent(frames: int, codes: list[str]) -> None:
    built = manifest(with_holes(HoleCounts(block_holes=3), Silence(block_hole=frames)))

    assert built["blockHoles"] == {"count": 3, "seconds": frames / 8000}
    assert [warning["code"] for warning in built["warnings"]] == codes
    assert built["status"] == "complete"


def test_an_opening_that_is_missing_by_more_than_five_seconds_is_told() -> None:
    assert reasons(WHOLE.cursor, replace(FACTS, start_timestamp_ms=START_MS - 5000)) == []
    assert reasons(WHOLE.cursor, replace(FACTS, start_timestamp_ms=START_MS - 5001)) == [
        ("OPENING_MISSING", "the first audio begins 5.001 s after the start")
    ]


def test_a_failed_source_comes_before_the_damage_it_left() -> None:
    facts = replace(FACTS, reasons=[Reason("SOURCE_FAILED", "why")])

    assert reasons(with_stream(lost_bytes=1), facts)[0] == ("SOURCE_FAILED", "why")


@pytest.mark.parametrize(("hours", "codes"), [(0, ["NO_RETENTION"]), (1, []), (None, [])])
def test_a_stream_that_keeps_nothing_is_warned_of(hours: int | None, codes: list[str]) -> None:
    built = manifest(facts=replace(FACTS, retention_hours=hours))

    assert [warning["code"] for warning in built["warnings"]] == codes
    assert built["status"] == "complete"


def test_a_time_that_no_calendar_holds_is_none() -> None:
    timeline = TimelineState(rate=8000, origin=1 << 80, customer=TrackCounts(end=1, audio=1))

    assert manifest(replace(WHOLE.cursor, timeline=timeline))["recording"]["startTime"] is None


# --- notes -----------------------------------------------------------------------------------------------------------


def gap(start: int) -> GapNote:
    return GapNote(gap=Gap(party=Party.AGENT, start=start, length=80), after="1", before=None, missing_fragments=None)


def error(code: int) -> ErrorNote:
    return ErrorNote(error=InBandError(code, "x" * 500), fragment="7")


def test_gaps_and_errors_are_listed() -> None:
    built = manifest(notes=NoteLog().extended([gap(8000), error(4000)], 8000))

    assert built["gaps"]["count"] == 1
    assert built["gaps"]["listed"] == [
        {
            "track": "agent",
            "startSeconds": 1.0,
            "startFrame": 8000,
            "frames": 80,
            "afterFragment": "1",
            "beforeFragment": None,
            "missingFragments": None,
        }
    ]
    assert built["inBandErrors"] == {
        "count": 1,
        "listed": [
            {"code": 4000, "meaning": "the requested fragment is not found", "text": "x" * 128, "fragment": "7"}
        ],
    }


@pytest.mark.parametrize("pieces", [1, 7])
def test_the_first_notes_are_listed_and_all_are_counted_however_they_come(pieces: int) -> None:
    notes: Sequence[GapNote | ErrorNote] = [gap(n) for n in range(MAX_GAPS + 5)] + [
        error(n) for n in range(MAX_ERRORS + 5)
    ]
    log = NoteLog()
    for piece in range(pieces):
        log = log.extended(notes[piece * len(notes) // pieces : (piece + 1) * len(notes) // pieces], 8000)

    assert (len(log.gaps), log.gap_count, len(log.errors), log.error_count) == (1000, 1005, 100, 105)
    assert log.gaps[-1]["startFrame"] == 999
    assert NoteLog.from_json(json.loads(json.dumps(log.to_json()))) == log
    assert NoteLog().joined(log) == log


def test_holes_are_told_in_seconds() -> None:
    gaps = manifest(with_holes(HoleCounts(stream_holes=1), Silence(stream_hole=12_000)))["gaps"]

    assert (gaps["streamHoles"], gaps["streamHoleSeconds"]) == (1, 1.5)


def test_end_reasons_are_those_of_the_schema() -> None:
    assert {reason.value for reason in EndReason} == {
        "DISCONNECTED",
        "OTHER_CONTACT",
        "OTHER_STREAMING",
        "STREAMING_STOPPED",
        "ARCHIVE_END",
        "IDLE",
        "RECORDING_LIMIT",
        "SOURCE_FAILED",
        "RECORDER_FAILED",
        "INTERRUPTED",
        "END_OF_INPUT",
    }
