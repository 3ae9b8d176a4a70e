"""Fragments in, stereo frames, tally and notes out: what becomes of each fragment, and holes told from pauses."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from connect_audio.core.admission import StreamEnd
from connect_audio.core.cursor import (
    Cursor,
    ErrorNote,
    FragmentCounts,
    FragmentMark,
    GapNote,
    NeighbourState,
    StreamCounts,
)
from connect_audio.core.fragments import BytesLost, Completion, Fragment
from connect_audio.core.in_band import InBandError
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.other_tracks import OtherTracks, UnknownTrack
from connect_audio.core.pcm import Party
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.recording import MAX_ERROR_NOTES, CallRecording
from connect_audio.core.silence import Gap, HoleCounts
from core_support.fragments_by_hand import AGENT_TRACK, CUSTOMER_TRACK, START_MS, block, both_tracks, fragment
from core_support.reading import Recorded, record

OURS: Final = "ours"
OTHER: Final = "other"
SECOND: Final = 1024 * 8
"""Frames of a fragment."""


def recorded(*fragments: Fragment) -> Recorded:
    return record(fragments, OURS)


def counts(*fragments: Fragment) -> FragmentCounts:
    return recorded(*fragments).cursor.fragments


def stream(*fragments: Fragment) -> StreamCounts:
    return recorded(*fragments).cursor.stream


def hole_frames(cursor: Cursor) -> set[int]:
    """Frames of stream holes in the account of either party: both have the same."""
    assert cursor.timeline is not None
    return {track.silence.stream_hole for track in (cursor.timeline.customer, cursor.timeline.agent)}


def mark(of: Fragment) -> FragmentMark:
    return FragmentMark(number=of.number, producer_ms=of.producer_timestamp_ms, server_ms=of.server_timestamp_ms)


# --- what becomes of fragments ---------------------------------------------------------------------------------------


def test_every_fragment_is_counted_by_its_verdict() -> None:
    log = [
        fragment(0),
        fragment(1, OTHER),
        fragment(2, OURS),
        fragment(3),
        fragment(4, OURS),
        fragment(5, OURS, OTHER),
        fragment(6, OURS, completion=Completion.TRUNCATED),
        fragment(7, at_ms=60_000),
        fragment(8, OTHER, at_ms=99_000),
    ]

    cursor = recorded(*log).cursor
    assert cursor.fragments == FragmentCounts(
        admitted=4,
        admitted_unlabelled=1,
        other_contact=2,
        contradictory=1,
        undecidable=1,
        unlabelled_elsewhere=1,
        truncated=1,
    )
    # The hole is where the contradictory one was left out.
    assert cursor.stream == StreamCounts(holes=HoleCounts(stream_holes=1), missing_fragments=1)
    assert hole_frames(cursor) == {SECOND}
    assert cursor.neighbours == NeighbourState(
        first=mark(log[2]),
        last=mark(log[6]),
        first_admitted=log[2].number,
        last_admitted=log[6].number,
        has_tokens=True,
    )


def test_unlabelled_fragments_right_before_ours_may_have_been_its_beginning() -> None:
    assert counts(fragment(0), fragment(1), fragment(2, OURS)).undecidable == 2
    assert counts(fragment(0), fragment(1), fragment(2, OURS, at_ms=2048 + 2001)).undecidable == 0
    assert counts(fragment(0), fragment(1, OTHER), fragment(2, OURS)).undecidable == 0


def test_an_admitted_fragment_ends_the_row_of_unlabelled_ones_before_it() -> None:
    assert recorded(fragment(0), fragment(1, OURS)).cursor.neighbours.unlabelled == 0


def test_the_first_fragment_s_rate_is_the_recording_s_and_another_is_unsupported() -> None:
    other_rate = fragment(1, OURS, mime_type="audio/L16;rate=16000;channels=1;")

    result = recorded(fragment(0, OURS), other_rate, fragment(2, OURS))

    assert (result.cursor.fragments.unsupported_audio, result.cursor.fragments.admitted) == (1, 3)
    assert result.cursor.frames == 3 * SECOND
    assert result.stereo[4 * SECOND : 8 * SECOND] == bytes(4 * SECOND)


def test_audio_that_cannot_be_decoded_is_counted() -> None:
    assert counts(fragment(0, OURS, mime_type="audio/aac")).unsupported_audio == 1


def test_a_sampling_frequency_that_is_no_number_is_unsupported() -> None:
    for rate in (float("nan"), float("inf")):
        track = replace(CUSTOMER_TRACK, codec_id="A_PCM/INT/LIT", sampling_frequency=rate)
        assert counts(fragment(0, OURS, tracks=[track], mime_type=None)).unsupported_audio == 1


def test_a_fragment_without_a_pcm_track_is_counted() -> None:
    video = TrackEntry(number=1, track_type=1, name="", codec_id="V_MPEG4/ISO/AVC")

    assert counts(fragment(0, OURS, tracks=[video])).without_audio == 1


def test_blocks_of_no_party_s_track_are_counted() -> None:
    stray = block(9, 0, b"ab")

    assert counts(fragment(0, OURS, blocks=[*both_tracks(0), stray])).ignored_blocks == 1
    assert counts(fragment(0, OURS, blocks=[stray])).ignored_blocks == 1
    undeclared = UnknownTrack(name="", number=9, blocks=1, size=2)
    assert recorded(fragment(0, OURS, blocks=[stray])).cursor.other_tracks == OtherTracks(unknown=(undeclared,))


def test_an_unknown_track_is_counted_with_its_name_however_often_the_recording_is_resumed() -> None:
    tracks = [CUSTOMER_TRACK, replace(AGENT_TRACK, name="AUDIO_TO_AGENT")]
    log = [fragment(index, OURS, tracks=tracks) for index in range(9)]
    unknown = UnknownTrack(name="AUDIO_TO_AGENT", number=2, blocks=9 * 16, size=9 * 2 * SECOND)

    whole = recorded(*log)

    assert whole.cursor.other_tracks == OtherTracks(unknown=(unknown,))
    for end in range(1, 9):
        earlier = CallRecording(OURS)
        for each in log[:end]:
            earlier.add(each)
            assert all(earlier.take())
        cursor = from_plain(Cursor, json.loads(json.dumps(to_plain(earlier.cursor()))))
        # The silent party's time is settled after 5 s, so the cursor lies before `end`.
        resumed = record(
            [each for each in log if int(each.number or 0) > int(cursor.fragment or 0)], OURS, cursor=cursor
        )
        assert resumed.cursor.other_tracks == whole.cursor.other_tracks


def test_one_party_in_another_codec_leaves_the_other_party_s_audio() -> None:
    opus = replace(AGENT_TRACK, codec_id="A_OPUS")
    log = fragment(0, OURS, tracks=[replace(CUSTOMER_TRACK, codec_id="A_PCM/INT/LIT"), opus], mime_type=None)

    result = recorded(log)

    assert result.stereo == b"\1\2\0\0" * SECOND
    assert result.cursor.other_tracks.unsupported_bytes(Party.AGENT) == 2 * SECOND
    assert result.cursor.fragments.unsupported_audio == 1


def test_a_mime_type_that_contradicts_the_track_is_told_although_its_length_fits() -> None:
    wide = replace(CUSTOMER_TRACK, sampling_frequency=16000.0)

    result = recorded(fragment(0, OURS, tracks=[wide, AGENT_TRACK]))

    assert (result.cursor.times.rate, result.cursor.times.count) == (1, 1)
    assert result.manifest(OURS)["status"] == "partial"


def test_blocks_of_video_are_counted_and_are_no_unknown_track() -> None:
    video = TrackEntry(number=3, track_type=1, name="", codec_id="V_MPEG4/ISO/AVC")
    log = fragment(0, OURS, tracks=[CUSTOMER_TRACK, AGENT_TRACK, video], blocks=[*both_tracks(0), block(3, 0, b"")])

    result = recorded(log)

    assert (result.cursor.fragments.ignored_blocks, result.cursor.other_tracks) == (1, OtherTracks())


def test_an_empty_fragment_is_admitted_and_leaves_no_trace() -> None:
    assert counts(fragment(0, OURS, blocks=())) == FragmentCounts(admitted=1)


def test_lost_bytes_are_counted_in_runs() -> None:
    recording = CallRecording(OURS)
    recording.lose(BytesLost(0, 100, "cause"))
    recording.lose(BytesLost(500, 11, "cause"))
    recording.end(StreamEnd.END_OF_INPUT)

    assert recording.cursor().stream == recording.stream == StreamCounts(lost_bytes=111, lost_byte_runs=2)


def test_the_most_that_the_reader_was_behind_is_kept() -> None:
    log = [fragment(index, OURS, millis_behind_now=behind) for index, behind in enumerate((5, None, 900, 0))]

    assert stream(*log).max_millis_behind_now == 900
    assert stream(fragment(0, OURS, millis_behind_now=0)).max_millis_behind_now == 0
    assert stream(fragment(0, OURS)).max_millis_behind_now is None


# --- holes and pauses ------------------------------------------------------------------------------------------------


def test_a_jump_in_the_fragment_numbers_makes_a_silence_a_hole() -> None:
    log = [fragment(0, OURS), fragment(3, OURS)]
    result = recorded(*log)

    assert result.cursor.stream.holes == HoleCounts(stream_holes=1)
    assert hole_frames(result.cursor) == {2 * SECOND}
    assert result.notes == [
        GapNote(
            gap=Gap(party=party, start=SECOND, length=2 * SECOND),
            after=log[0].number,
            before=log[1].number,
            missing_fragments=2,
        )
        for party in Party
    ]


def test_a_silence_without_a_jump_is_a_pause_of_the_producer() -> None:
    result = recorded(fragment(0, OURS), fragment(1, OURS, at_ms=5000))

    assert (result.cursor.stream.holes.stream_holes, result.cursor.stream.holes.producer_pauses) == (0, 1)
    assert {note.missing_fragments for note in result.notes if isinstance(note, GapNote)} == {0}


def test_a_silence_that_numbers_do_not_explain_is_a_hole() -> None:
    log = [replace(fragment(0, OURS), number="1"), replace(fragment(1, OURS, at_ms=5000), number="2")]

    assert recorded(*log).cursor.stream.holes.stream_holes == 1


def test_a_party_s_silence_while_the_other_speaks_is_a_gap_and_no_hole() -> None:
    quiet = fragment(1, OURS, blocks=[each for each in both_tracks(1024) if each.track_number == 1])
    result = recorded(fragment(0, OURS), quiet, fragment(2, OURS))

    assert result.cursor.stream.holes.stream_holes == result.cursor.stream.holes.producer_pauses == 0
    assert [note.gap for note in result.notes if isinstance(note, GapNote)] == [
        Gap(party=Party.AGENT, start=SECOND, length=SECOND)
    ]


def test_the_shorter_track_s_silence_at_the_end_is_noted() -> None:
    log = [fragment(0, OURS, blocks=[*both_tracks(0), block(1, 1024, bytes(80))])]

    assert recorded(*log).notes == [
        GapNote(
            gap=Gap(party=Party.AGENT, start=SECOND, length=40),
            after=log[0].number,
            before=None,
            missing_fragments=None,
        )
    ]


# --- errors ----------------------------------------------------------------------------------------------------------


def test_in_band_errors_are_noted_with_their_fragment() -> None:
    log = [fragment(0, OURS, errors=[InBandError(4000, "gone"), InBandError(None, "")]), fragment(1, OTHER)]

    assert recorded(*log).notes == [
        ErrorNote(error=InBandError(4000, "gone"), fragment=log[0].number),
        ErrorNote(error=InBandError(None, ""), fragment=log[0].number),
    ]
    assert stream(*log).in_band_errors == 2


def test_errors_of_a_fragment_that_will_come_again_can_be_reported_alone() -> None:
    recording = CallRecording(OURS)
    recording.report([InBandError(5000, "")], "77")

    assert recording.take_notes() == [ErrorNote(error=InBandError(5000, ""), fragment="77")]
    assert recording.stream.in_band_errors == 1


def test_of_endless_errors_the_first_are_noted_and_all_are_counted() -> None:
    log = [fragment(index, OTHER, errors=[InBandError(3002, "")] * 300) for index in range(5)]
    result = recorded(*log)

    assert len(result.notes) == MAX_ERROR_NOTES == 1000
    assert result.manifest(OURS)["inBandErrors"]["count"] == 1500


# --- the cursor ------------------------------------------------------------------------------------------------------


def test_the_cursor_stands_at_the_newest_fragment_whose_audio_was_wholly_taken() -> None:
    recording = CallRecording(OURS)
    log = [fragment(index, OURS) for index in range(3)]
    for each in log:
        recording.add(each)
    assert recording.cursor() == Cursor()

    chunks = recording.take()
    next(chunks)
    assert recording.cursor().fragment == log[0].number
    assert (recording.cursor().frames, recording.cursor().fragments.admitted) == (8192, 1)

    rest = b"".join(chunks)
    assert recording.cursor().fragment == log[2].number
    assert recording.cursor().frames == 3 * SECOND
    assert len(rest) == 4 * (3 * SECOND - 8192)


def test_fragments_that_wait_lie_beyond_the_cursor() -> None:
    recording = CallRecording(OURS)
    recording.add(fragment(0, OURS))
    recording.add(fragment(1))
    list(recording.take())

    assert recording.undecided == 1
    assert recording.cursor().fragment == fragment(0).number


def test_a_stranger_s_fragment_moves_the_cursor_and_the_label() -> None:
    recording = CallRecording(OURS)
    recording.add(fragment(0, OTHER))

    cursor = recording.cursor()
    assert (cursor.fragment, cursor.admission.label, cursor.frames, cursor.timeline) == (
        fragment(0).number,
        "OTHER",
        0,
        None,
    )


def test_a_fragment_without_a_number_leaves_the_cursor_at_the_one_before_it() -> None:
    recording = CallRecording(OURS)
    recording.add(fragment(0, OURS))
    recording.add(replace(fragment(1, OURS), number=None))
    list(recording.take())

    assert recording.cursor().fragment == fragment(0).number
    assert recording.cursor().fragments.admitted == 2


def test_a_cursor_survives_json() -> None:
    for log in ([], [fragment(0, OURS)], [fragment(0, OTHER)], [fragment(0, OURS), fragment(5, OURS)]):
        cursor = recorded(*log).cursor
        assert from_plain(Cursor, json.loads(json.dumps(to_plain(cursor)))) == cursor


@pytest.mark.slow
def test_a_cursor_stays_small_however_long_the_call() -> None:
    log = [fragment(10 * index, OURS) for index in range(500)]
    result = recorded(*log)

    assert result.cursor.stream.holes.stream_holes == 499
    assert len(json.dumps(to_plain(result.cursor))) < 12_000


def test_the_checksum_is_that_of_the_frames_in_order() -> None:
    result = recorded(fragment(0, OURS), fragment(2, OURS))

    assert result.cursor.crc32 == zlib.crc32(result.stereo)


def test_the_end_and_the_rate_are_told_once_they_are_known() -> None:
    recording = CallRecording(OURS)
    assert (recording.rate, recording.end_ms, recording.full) == (None, None, False)
    recording.add(fragment(0, OURS))

    assert (recording.rate, recording.end_ms, recording.full) == (8000, START_MS + 1024, False)


def test_the_longest_recording_is_kept_and_what_lies_beyond_counted() -> None:
    recording = CallRecording(OURS, limit_s=2)
    for index in range(3):
        recording.add(fragment(index, OURS))
    recording.end(StreamEnd.END_OF_INPUT)

    assert recording.full
    frames = sum(len(piece) for piece in recording.take()) // 4
    timeline = recording.cursor().timeline
    assert timeline is not None
    assert frames == timeline.customer.audio
    assert frames + timeline.customer.dropped.beyond_limit.samples == 3 * SECOND


def points_held(recording: CallRecording) -> int:
    return len(recording._points)


def test_a_stranger_s_hours_after_a_call_that_ends_unevenly_take_no_room() -> None:
    recording = CallRecording(OURS)
    recording.add(fragment(0, OURS, blocks=[*both_tracks(0), block(1, 1024, bytes(80))]))
    list(recording.take())
    for index in range(1, 200):
        recording.add(fragment(index, OTHER, at_ms=3000 + 1024 * index))

    assert points_held(recording) <= 2
    recording.end(StreamEnd.END_OF_INPUT)
    assert len(b"".join(recording.take())) == 160
    assert recording.cursor().fragment == fragment(199, at_ms=3000 + 1024 * 199).number
    assert recording.cursor().fragments.other_contact == 199


# --- which track is whose --------------------------------------------------------------------------------------------


def channels(tracks: Sequence[TrackEntry], blocks: Sequence[tuple[int, bytes]]) -> tuple[bytes, bytes]:
    log = fragment(0, OURS, tracks=tracks, blocks=[block(number, 0, pcm) for number, pcm in blocks])
    stereo = recorded(log).stereo
    return (
        b"".join(stereo[at : at + 2] for at in range(0, len(stereo), 4)),
        b"".join(stereo[at : at + 2] for at in range(2, len(stereo), 4)),
    )


def test_the_name_alone_tells_the_direction() -> None:
    swapped = [replace(CUSTOMER_TRACK, number=2), replace(AGENT_TRACK, number=1)]

    assert channels([CUSTOMER_TRACK, AGENT_TRACK], [(1, b"cc"), (2, b"aa")]) == (b"cc", b"aa")
    assert channels(swapped, [(1, b"aa"), (2, b"cc")]) == (b"cc", b"aa")


def test_big_endian_and_stereo_tracks_become_little_endian_mono() -> None:
    big = replace(CUSTOMER_TRACK, codec_id="A_PCM/INT/BIG", sampling_frequency=8000.0)
    log = fragment(0, OURS, tracks=[big], blocks=[block(1, 0, b"\1\2")], mime_type=None)
    assert recorded(log).stereo == b"\2\1\0\0"

    log = fragment(
        0, OURS, tracks=[CUSTOMER_TRACK], blocks=[block(1, 0, b"\4\0\2\0")], mime_type="audio/L16;rate=8000;channels=2"
    )
    assert recorded(log).stereo == b"\3\0\0\0"
