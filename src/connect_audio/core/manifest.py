"""The manifest beside a WAV: what the recording holds, what it lacks and why (schema: `docs/manifest.md`).

A recording that is not whole says so here. Recorder and replay both build it from the final cursor.

*How it works.* `build_manifest` joins the final cursor, the recorder's facts and the notes. Each reason is a rule over
a count (`_reasons`), and the status follows from reasons and frames. `NoteLog` joins the gaps and errors of many steps
and keeps the first ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from connect_audio.core.cursor import Cursor, ErrorNote, FragmentMark, GapNote, Note, StreamCounts
from connect_audio.core.live_state import LiveState, SinkState
from connect_audio.core.pcm import FRAME_BYTES, Party
from connect_audio.core.timeline import TrackCounts
from connect_audio.core.wav import HEADER_BYTES

SCHEMA_VERSION: Final = "2.0"
MAX_GAPS: Final = 1000
MAX_ERRORS: Final = 100
_OPENING_TOLERANCE_MS: Final = 5000


class Status(StrEnum):
    """The completeness of a recording."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"


class EndReason(StrEnum):
    """Why a recording ended where it did."""

    DISCONNECTED = "DISCONNECTED"
    """Connect says that the contact is disconnected, and nothing of it came for the drain time."""
    OTHER_CONTACT = "OTHER_CONTACT"
    """Another contact uses the stream by now, and the contact's audio stayed away for the drain time."""
    OTHER_STREAMING = "OTHER_STREAMING"
    """A later streaming of the same contact began, which has a recording of its own."""
    IDLE = "IDLE"
    """The contact's audio stayed away for the idle limit."""
    RECORDING_LIMIT = "RECORDING_LIMIT"
    """The longest recording was reached."""
    SOURCE_FAILED = "SOURCE_FAILED"
    """The stream could not be read any more; the reason beside it says why."""
    RECORDER_FAILED = "RECORDER_FAILED"
    """The recorder could not go on; what had been staged was published."""
    END_OF_INPUT = "END_OF_INPUT"
    """The capture ended (replay)."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a recording is not whole.

    Args:
        code: UPPER_SNAKE, listed in `docs/manifest.md`.
        detail: a sentence with numbers, no personal data.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLog:
    """Gaps and in-band errors as the manifest lists them: the first ones, and how many in all.

    Args:
        gaps: the first `MAX_GAPS`, as JSON.
        gap_count: all of them.
        errors: the first `MAX_ERRORS`, as JSON.
        error_count: all of them.
    """

    gaps: Sequence[Mapping[str, Any]] = ()
    gap_count: int = 0
    errors: Sequence[Mapping[str, Any]] = ()
    error_count: int = 0

    def extended(self, notes: Sequence[Note], rate: int | None) -> NoteLog:
        """This log with more notes behind it.

        Args:
            notes: in timeline order.
            rate: samples a second.
        """
        if not notes:
            return self
        gaps = [_gap_json(note, rate or 1) for note in notes if isinstance(note, GapNote)]
        errors = [_error_json(note) for note in notes if isinstance(note, ErrorNote)]
        return self.joined(NoteLog(gaps=gaps, gap_count=len(gaps), errors=errors, error_count=len(errors)))

    def joined(self, other: NoteLog) -> NoteLog:
        """This log with another behind it."""
        return NoteLog(
            gaps=[*self.gaps, *other.gaps][:MAX_GAPS],
            gap_count=self.gap_count + other.gap_count,
            errors=[*self.errors, *other.errors][:MAX_ERRORS],
            error_count=self.error_count + other.error_count,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for a staged object."""
        return {
            "gaps": list(self.gaps),
            "gapCount": self.gap_count,
            "errors": list(self.errors),
            "errorCount": self.error_count,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NoteLog:
        """Read what `to_json` wrote."""
        return cls(gaps=data["gaps"], gap_count=data["gapCount"], errors=data["errors"], error_count=data["errorCount"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """The manifest's content besides the cursor.

    Args:
        contact_id: the contact.
        recording: S3 URI or file name of the WAV; None if there is none.
        end_reason: why it ended.
        instance_id: the Connect instance's; None where unknown.
        stream_arn: None for a capture.
        retention_hours: DataRetentionInHours of the stream; None where unknown.
        start_timestamp_ms: StartTimestamp of the event, ms since the epoch; None for a capture.
        reconnects: how often GetMedia was opened again.
        hand_overs: how often a fresh invocation took over.
        reasons: reasons why it is not whole, besides the cursor's.
        live: the sinks of live audio; None where there are none.
    """

    contact_id: str
    recording: str | None
    end_reason: EndReason
    instance_id: str | None = None
    stream_arn: str | None = None
    retention_hours: int | None = None
    start_timestamp_ms: int | None = None
    reconnects: int = 0
    hand_overs: int = 0
    reasons: Sequence[Reason] = field(default_factory=tuple)
    live: LiveState | None = None


def build_manifest(cursor: Cursor, facts: RecordingFacts, notes: NoteLog) -> dict[str, Any]:
    """Make the manifest.

    Args:
        cursor: the final one, with every frame taken.
        facts: the facts besides.
        notes: gaps and in-band errors in timeline order.

    Returns:
        The JSON document of `docs/manifest.md`.
    """
    reasons = [*facts.reasons, *_reasons(cursor, facts)]
    status = Status.EMPTY if not cursor.frames else Status.PARTIAL if reasons else Status.COMPLETE
    fragments, stream, timeline = cursor.fragments, cursor.stream, cursor.timeline
    rate = None if timeline is None else timeline.rate
    return {
        "schemaVersion": SCHEMA_VERSION,
        "status": status.value,
        "reasons": [{"code": reason.code, "detail": reason.detail} for reason in reasons],
        "warnings": _warnings(facts, rate),
        "endReason": facts.end_reason.value,
        "contactId": facts.contact_id,
        "instanceId": facts.instance_id,
        "startTimestamp": rfc3339(facts.start_timestamp_ms),
        "stream": {"arn": facts.stream_arn, "dataRetentionInHours": facts.retention_hours},
        "recording": None
        if timeline is None or rate is None or not cursor.frames
        else {
            "location": facts.recording,
            "startTime": rfc3339(round((timeline.origin or 0) * 1000 / rate)),
            "durationSeconds": cursor.frames / rate,
            "frames": cursor.frames,
            "sampleRate": rate,
            "channels": 2,
            "bitsPerSample": 16,
            "sizeBytes": HEADER_BYTES + cursor.frames * FRAME_BYTES,
            "dataCrc32": f"{cursor.crc32:08x}",
        },
        "tracks": {
            "customer": _track(timeline.customer if timeline else TrackCounts(), "left", cursor.frames),
            "agent": _track(timeline.agent if timeline else TrackCounts(), "right", cursor.frames),
        },
        "fragments": {
            "first": _fragment(cursor.neighbours.first),
            "last": _fragment(cursor.neighbours.last),
            "admitted": fragments.admitted,
            "admittedUnlabelled": fragments.admitted_unlabelled,
            "truncated": fragments.truncated,
            "withoutAudio": fragments.without_audio,
            "unsupportedAudio": fragments.unsupported_audio,
            "otherContact": fragments.other_contact,
            "contradictory": fragments.contradictory,
            "undecidable": fragments.undecidable,
            "unlabelledElsewhere": fragments.unlabelled_elsewhere,
            "otherStreaming": fragments.other_streaming,
            "ignoredBlocks": fragments.ignored_blocks,
        },
        "gaps": _gaps(stream, notes, rate),
        "inBandErrors": {"count": max(stream.in_band_errors, notes.error_count), "listed": list(notes.errors)},
        "lostBytes": stream.lost_bytes,
        "lostByteRuns": stream.lost_byte_runs,
        "reconnects": facts.reconnects,
        "handOvers": facts.hand_overs,
        "maxMillisBehindNow": stream.max_millis_behind_now,
        "live": facts.live and {"sinks": [_live_sink(name, sink, rate) for name, sink in facts.live.sinks.items()]},
    }


def _gaps(stream: StreamCounts, notes: NoteLog, rate: int | None) -> dict[str, Any]:
    return {
        "count": notes.gap_count,
        "streamHoles": stream.stream_holes,
        "streamHoleSeconds": stream.stream_hole_frames / rate if rate else 0.0,
        "producerPauses": stream.producer_pauses,
        "listed": list(notes.gaps),
    }


def _warnings(facts: RecordingFacts, rate: int | None) -> list[dict[str, str]]:
    found = []
    if facts.retention_hours is not None and facts.retention_hours < 1:
        detail = "the stream keeps nothing: audio that is not read within about 5 minutes is gone for good"
        found.append({"code": "NO_RETENTION", "detail": detail})
    for name, sink in facts.live.sinks.items() if facts.live else ():
        if sink.failure is not None:
            detail = f"live audio does not go to {name}, or not any more: {sink.failure}"
            found.append({"code": "LIVE_SINK_FAILED", "detail": detail})
        dropped = sink.counts.dropped_frames
        if dropped:
            detail = f"{name} did not get {dropped / (rate or 1):.3f} s of the live audio"
            found.append({"code": "LIVE_AUDIO_DROPPED", "detail": detail})
    return found


def _live_sink(name: str, sink: SinkState, rate: int | None) -> dict[str, Any]:
    counts = sink.counts
    return {
        "name": name,
        "deliveries": counts.delivered,
        "deliveredSeconds": counts.delivered_frames / (rate or 1),
        "droppedSeconds": counts.dropped_frames / (rate or 1),
        "failedAttempts": counts.failures,
        "circuitOpenings": counts.circuit_opened,
        "failure": sink.failure,
    }


def _reasons(cursor: Cursor, facts: RecordingFacts) -> list[Reason]:
    """Everything in the cursor that says that audio is missing or may be."""
    counts, stream, timeline = cursor.fragments, cursor.stream, cursor.timeline
    found: list[Reason] = []

    def check(count: int, code: str, detail: str) -> None:
        if count:
            found.append(Reason(code, detail.format(count)))

    if not cursor.frames:
        found.append(Reason("NO_AUDIO", "no fragment of this contact carried audio"))
    check(counts.truncated, "TRUNCATED_FRAGMENTS", "{} fragments were cut off; their whole blocks are in the recording")
    check(stream.lost_bytes, "LOST_BYTES", "{} bytes of the stream belong to no readable fragment")
    check(
        counts.undecidable,
        "UNDECIDABLE_FRAGMENTS",
        "{} fragments beside the contact's own name no contact and were left out",
    )
    check(counts.contradictory, "CONTRADICTORY_FRAGMENTS", "{} fragments name more than one contact and were left out")
    check(counts.unsupported_audio, "UNSUPPORTED_AUDIO", "{} fragments hold audio in another format or at another rate")
    check(stream.stream_holes, "STREAM_HOLES", "{} times neither track has audio, and fragments may be missing there")
    if timeline is not None:
        for party, track in ((Party.CUSTOMER, timeline.customer), (Party.AGENT, timeline.agent)):
            check(track.late, "LATE_AUDIO", f"{{}} samples of the {party} came after silence had taken their place")
            check(track.out_of_range, "OUT_OF_RANGE_AUDIO", f"{{}} samples of the {party} have times outside the call")
            check(
                track.beyond_limit, "RECORDING_LIMIT", f"{{}} samples of the {party} lie beyond the longest recording"
            )
            check(track.dangling_bytes, "DANGLING_BYTES", f"{{}} bytes of the {party} make no whole sample")
        start, origin = facts.start_timestamp_ms, (timeline.origin or 0) * 1000 // timeline.rate
        if start is not None and origin - start > _OPENING_TOLERANCE_MS:
            found.append(
                Reason("OPENING_MISSING", f"the first audio begins {(origin - start) / 1000:.3f} s after the start")
            )
    return found


def rfc3339(ms: int | None) -> str | None:
    """A time as documents for others have it: RFC 3339 in UTC with milliseconds.

    Args:
        ms: milliseconds since the epoch.

    Returns:
        None where there is none, or where it is beyond the calendar.
    """
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def _fragment(mark: FragmentMark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {
        "number": mark.number,
        "producerTimestamp": rfc3339(mark.producer_ms),
        "serverTimestamp": rfc3339(mark.server_ms),
    }


def _track(track: TrackCounts, channel: str, frames: int) -> dict[str, Any]:
    return {
        "channel": channel,
        "audioSamples": track.audio,
        "silenceSamples": frames - track.audio,
        "repeatedSamples": track.repeated,
        "lateSamples": track.late,
        "outOfRangeSamples": track.out_of_range,
        "beyondLimitSamples": track.beyond_limit,
        "gapCount": track.gaps,
        "maxJitterSamples": track.max_jitter,
        "danglingBytes": track.dangling_bytes,
    }


def _gap_json(note: GapNote, rate: int) -> dict[str, Any]:
    return {
        "track": note.gap.party.value,
        "startSeconds": note.gap.start / rate,
        "startFrame": note.gap.start,
        "frames": note.gap.length,
        "afterFragment": note.after,
        "beforeFragment": note.before,
        "missingFragments": note.missing_fragments,
    }


def _error_json(note: ErrorNote) -> dict[str, Any]:
    return {
        "code": note.error.code,
        "meaning": note.error.meaning,
        "text": note.error.text[:128],
        "fragment": note.fragment,
    }
