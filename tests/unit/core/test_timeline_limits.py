"""The limits of a timeline to the sample: tolerance, range, length, bounds, and the bytes of each account. 8 kHz."""

from __future__ import annotations

import struct
from random import Random
from typing import Final

import pytest

from connect_audio.core.accounts import Amount, Dropped
from connect_audio.core.pcm import Party
from connect_audio.core.silence import HoleCounts
from connect_audio.core.timeline import MAX_FRAMES, Timeline, TimelineState

MS: Final = 1_000_000
ORIGIN: Final = 14_263_301_236_288  # samples since the epoch
C: Final = Party.CUSTOMER
A: Final = Party.AGENT
NOISE: Final = Random(3).randbytes(200_000)


def timeline(*, rate: int = 8000, limit: int = MAX_FRAMES) -> Timeline:
    made = Timeline(TimelineState(rate=rate), limit=limit)
    made.set_origin(ORIGIN)
    return made


def put(
    to: Timeline, party: Party, start: int, count: int, *, tick_ns: int = MS, width: int = 2, dangling: int = 0
) -> list[tuple[int, int]]:
    """Place noise at a position, the same whenever it is the same position; return where it came to lie."""
    at = 2 * (start % 50_000)
    pcm = NOISE[at : at + 2 * count]
    placed = to.place(party, ORIGIN + start, pcm, tick_ns=tick_ns, width=width, dangling=dangling)
    return [(each.start, each.start + len(each.samples) // 2) for each in placed]


# --- tolerance -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "length", "tick_ns", "early", "late"),
    [
        (8000, 512, MS, 80, 80),
        (8000, 162, MS, 80, 80),
        (8000, 161, MS, 80, 80),
        (8000, 160, MS, 79, 80),
        (8000, 20, MS, 9, 10),
        (8000, 20, 1, 9, 10),
        (8000, 16, MS, 7, 8),
        (8000, 15, MS, 8, 8),
        (8000, 3, MS, 8, 8),
        (8000, 2, 1, 0, 1),
        (8000, 1, 1, 1, 1),
        (8000, 512, 20 * MS, 80, 160),
        (8000, 512, 20 * MS + 1, 80, 161),
        (8000, 160, 10 * MS, 79, 80),
        (8000, 160, 10 * MS + 1, 81, 81),
        (48_000, 2048, MS, 480, 480),
        (11_025, 2048, MS, 110, 110),
    ],
)
def test_a_block_joins_within_the_tolerance_and_one_sample_more_is_too_far(
    rate: int, length: int, tick_ns: int, early: int, late: int
) -> None:
    for offset, joins in ((-early, True), (-early - 1, False), (late, True), (late + 1, False)):
        line = timeline(rate=rate)
        put(line, C, 0, 4096)
        put(line, C, 4096 + offset, length, tick_ns=tick_ns)
        counts = line.state().customer
        assert (counts.end == 4096 + length) is joins
        assert counts.max_jitter == (abs(offset) if joins else 0)


def test_a_track_s_first_block_joins_nothing() -> None:
    line = timeline()

    assert put(line, C, 5, 512) == [(5, 517)]


@pytest.mark.parametrize("length", [1, 8, 15])
def test_a_block_with_so_coarse_a_time_comes_again_only_with_other_samples(length: int) -> None:
    line = timeline()
    put(line, C, 0, length)
    assert put(line, C, 0, length) == []
    assert line.state().customer.dropped == Dropped(repeated=Amount(length, 2 * length))
    # The next one claims another time, and joins.
    assert put(line, C, max(1, length - 8), length) == [(length, 2 * length)]


def test_zeros_with_so_coarse_a_time_follow_each_other() -> None:
    line = timeline()
    for _ in range(2):
        line.place(C, ORIGIN, bytes(16), tick_ns=MS)

    assert line.state().customer.audio == 16


def test_lengths_of_blocks_are_remembered_up_to_a_number_and_nothing_changes_beyond() -> None:
    line = timeline()
    at = 0
    for length in [*range(100, 300), *range(100, 110)]:
        assert put(line, C, at + 10 * bool(at), length) == [(at, at + length)]
        at += length


# --- range and length ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "placed", "out"), [(-10, [], 10), (-11, [], 10), (-9, [(0, 1)], 9), (-1, [(0, 9)], 1), (0, [(0, 10)], 0)]
)
def test_the_samples_before_the_origin_are_out_of_range(start: int, placed: list[tuple[int, int]], out: int) -> None:
    line = timeline()

    assert put(line, C, start, 10) == placed
    assert line.state().customer.dropped == Dropped(out_of_range=Amount(out, 2 * out))


@pytest.mark.parametrize(("start", "is_placed"), [(4 * 3600 * 8000, True), (4 * 3600 * 8000 + 1, False)])
def test_a_hole_of_four_hours_is_a_pause_and_a_longer_one_a_broken_clock(start: int, is_placed: bool) -> None:  # noqa: FBT001
    for blocks in (1, 3):
        line = timeline()
        pcm = NOISE[: 2 * 512 * blocks]
        placed = line.place_run(C, ORIGIN + start, pcm, block_length=512, tick_ns=MS)
        assert bool(placed) is is_placed


@pytest.mark.parametrize(("count", "is_placed"), [(488, True), (489, False)])
@pytest.mark.parametrize("is_run", [False, True])
def test_a_block_up_to_the_limit_is_placed(count: int, is_placed: bool, is_run: bool) -> None:  # noqa: FBT001
    line = timeline(limit=1000)
    put(line, C, 0, 512)
    pcm = NOISE[: 2 * count]
    line.place_run(C, ORIGIN + 512, pcm, block_length=count // (1 + is_run), tick_ns=MS)

    assert line.full is not is_placed
    assert (line.end == 1000) is (is_placed or (is_run and line.end > 512))


def test_a_wav_holds_four_gibibytes_less_its_header() -> None:
    assert MAX_FRAMES == (2**32 - 1 - 44) // 4


# --- accounts in bytes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("dangling", [0, 1])
def test_bytes_of_payload_are_booked_with_their_samples(width: int, dangling: int) -> None:
    line = timeline(limit=100_000)
    line.begin("f", is_repeated=False)
    put(line, C, 0, 600, width=width, dangling=dangling)
    assert (line.state().customer.written_bytes, line.state().customer.dropped.dangling_bytes) == (
        600 * width,
        dangling,
    )
    put(line, C, 0, 600, width=width, dangling=dangling)  # repeated
    put(line, C, -900, 600, width=width, dangling=dangling)  # out of range
    put(line, C, 99_500, 600, width=width, dangling=dangling)  # beyond the limit
    size = 600 * width + dangling
    dropped = line.state().customer.dropped
    assert dropped == Dropped(
        repeated=Amount(600, size),
        out_of_range=Amount(600, size),
        beyond_limit=Amount(600, size),
        dangling_bytes=dangling,
    )
    pcm = NOISE[100_000:101_200]
    line.place(C, ORIGIN, pcm, tick_ns=MS, width=width, dangling=dangling)
    assert line.state().customer.dropped.conflicting == Amount(600, size)


def test_the_dangling_byte_of_a_block_is_booked_with_its_last_sample() -> None:
    line = timeline()
    put(line, C, 0, 600)
    pcm = NOISE[: 2 * 700]
    line.place(C, ORIGIN, pcm, tick_ns=MS, dangling=1)

    counts = line.state().customer
    assert counts.dropped == Dropped(repeated=Amount(600, 1200), dangling_bytes=1)
    assert (counts.audio, counts.written_bytes) == (700, 1400)


def test_late_samples_are_booked_with_their_bytes() -> None:
    line = timeline()
    put(line, C, 0, 8000)
    put(line, C, 8000 * 5, 8000)
    line.settle()
    settled = line.settled

    put(line, A, settled - 300, 700, width=1, dangling=1)
    assert line.state().agent.dropped == Dropped(late=Amount(300, 300), dangling_bytes=1)
    assert line.state().agent.written_bytes == 400


def test_a_sample_of_a_run_s_last_short_block_is_placed_too() -> None:
    line = timeline()

    assert [each.start for each in line.place_run(C, ORIGIN, NOISE[:2500], block_length=500, tick_ns=MS)] == [0]
    assert line.end == 1250


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_run_of_tiny_blocks_is_placed_as_they_would_be_one_by_one(length: int) -> None:
    run, single = timeline(), timeline()
    pcm = NOISE[: 2 * 12]
    run.place_run(C, ORIGIN, pcm, block_length=length, tick_ns=MS)
    for at in range(0, 12, length):
        single.place(C, ORIGIN + at, pcm[2 * at : 2 * (at + length)], tick_ns=MS)

    assert run.state() == single.state()


def test_a_run_without_an_origin_gives_it() -> None:
    line = Timeline(TimelineState(rate=8000))
    line.place_run(C, ORIGIN + 7, NOISE[:2048], block_length=512, tick_ns=MS)

    assert (line.origin, line.end) == (ORIGIN + 7, 1024)


# --- settling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "settled"), [(256, 10), (257, 10), (258, 20), (300, 43 * 20 + 10 - 10)])
def test_of_many_stretches_that_wait_the_oldest_settle(count: int, settled: int) -> None:
    line = timeline()
    put(line, C, 0, 20 * count)
    for index in range(count):
        line.place(A, ORIGIN + 20 * index, NOISE[40 * index : 40 * index + 20], tick_ns=1)
    line.settle()

    assert line.settled == settled


@pytest.mark.parametrize(("reached", "settled"), [(40_000, 0), (40_001, 1), (48_000, 8000)])
def test_audio_waits_for_five_seconds_of_the_other_track(reached: int, settled: int) -> None:
    line = timeline()
    put(line, C, 0, reached)
    line.settle()

    assert line.settled == settled


def test_a_hole_of_both_tracks_waits_for_five_seconds() -> None:
    line = timeline()
    for party in (C, A):
        put(line, party, 0, 1000)
        put(line, party, 2000, 1000)
    line.settle()
    assert line.settled == 1000
    for party in (C, A):
        put(line, party, 3000, 40_000)
    line.settle()
    assert line.settled == 43_000 - 40_000


def test_a_hole_that_is_filled_waits_no_longer() -> None:
    line = timeline()
    for party in (C, A):
        put(line, party, 0, 1000)
        put(line, party, 2000, 1000)
    line.settle()
    for party in (C, A):
        assert put(line, party, 1000, 1000) == [(1000, 2000)]

    found = line.settle()
    assert (list(found.gaps), found.holes, line.settled) == ([], HoleCounts(), 3000)


def test_frames_are_given_out_with_silence_before_between_and_behind_audio() -> None:
    line = timeline()
    put(line, C, 10, 5)
    put(line, C, 40, 5)
    put(line, A, 0, 50)
    line.close()
    stereo = b"".join(line.take())
    customer = [frame[0] for frame in struct.iter_unpack("<hh", stereo)]
    agent = [frame[1] for frame in struct.iter_unpack("<hh", stereo)]
    noise = [each[0] for each in struct.iter_unpack("<h", NOISE[:100])]

    assert customer == [*[0] * 10, *noise[10:15], *[0] * 25, *noise[40:45], *[0] * 5]
    assert agent == noise


def test_audio_across_the_pieces_that_are_given_out_is_whole() -> None:
    line = timeline()
    at = 0
    for length in (8000, 500, 20_000, 3, 4000):
        for party in (C, A):
            put(line, party, at, length)
        at += length
    line.close()
    pieces = list(line.take_channels())

    assert [len(left) // 2 for left, _ in pieces] == [8192, 8192, 8192, at - 3 * 8192]
    assert b"".join(left for left, _ in pieces) == b"".join(right for _, right in pieces) == NOISE[: 2 * at]


def test_a_track_is_complete_up_to_its_end_or_to_what_is_settled() -> None:
    line = timeline()
    put(line, C, 0, 48_000)
    put(line, A, 0, 100)
    assert (line.complete_up_to(C), line.complete_up_to(A)) == (48_000, 100)

    line.settle()
    assert (line.complete_up_to(C), line.complete_up_to(A)) == (48_000, 8000)


def test_a_preview_stands_where_the_timeline_does_and_changes_nothing() -> None:
    line = timeline(limit=2000)
    put(line, C, 0, 1000)
    preview = line.preview()
    assert put(preview, C, 1000, 500) == [(1000, 1500)]
    assert put(preview, C, 1500, 501) == []

    assert (line.end, preview.end, preview.origin, line.full, preview.full) == (1000, 1500, ORIGIN, False, True)


def test_silence_at_the_end_of_the_shorter_track_is_one_gap() -> None:
    line = timeline()
    line.begin("7", is_repeated=False)
    put(line, C, 0, 1000)
    put(line, A, 0, 999)
    gaps = line.close().gaps

    assert [(each.gap.party, each.gap.start, each.gap.length, each.after, each.before) for each in gaps] == [
        (A, 999, 1, "7", "")
    ]
    assert (line.state().agent.gaps, line.state().customer.gaps) == (1, 0)
    assert line.state().agent.silence.one_sided == 1


# --- a fragment that comes again -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "audio"), [(1080, 1000), (1081, 1081)])
def test_jitter_that_sticks_out_of_a_repeated_fragment_is_no_new_audio(stop: int, audio: int) -> None:
    line = timeline()
    put(line, C, 0, 1000)
    line.begin("again", is_repeated=True)
    put(line, C, stop - 600, 600)

    counts = line.state().customer
    assert counts.audio == audio
    assert counts.dropped.repeated.samples == 600 - (audio - 1000)


@pytest.mark.parametrize(("gap", "audio"), [(80, 2000), (81, 2081)])
def test_jitter_into_a_hole_is_no_new_audio_when_the_fragment_comes_again(gap: int, audio: int) -> None:
    line = timeline()
    put(line, C, 0, 1000)
    put(line, C, 3000, 1000)
    line.begin("again", is_repeated=True)
    put(line, C, 1000 + gap - 600, 600)

    assert line.state().customer.audio == audio


def test_other_audio_of_a_repeated_fragment_is_not_compared() -> None:
    line = timeline()
    put(line, C, 0, 1000)
    line.begin("again", is_repeated=True)
    line.place(C, ORIGIN, NOISE[2000:4000], tick_ns=MS)

    assert line.state().customer.dropped == Dropped(repeated=Amount(1000, 2000))


@pytest.mark.parametrize(("off", "account"), [(80, "repeated"), (81, "conflicting"), (-80, "repeated")])
def test_audio_of_another_fragment_is_known_within_the_jitter(off: int, account: str) -> None:
    line = timeline()
    put(line, C, 0, 4000)
    line.begin("again", is_repeated=False)
    line.place(C, ORIGIN + 1000 + off, NOISE[2000:3200], tick_ns=MS)

    assert getattr(line.state().customer.dropped, account) == Amount(600, 1200)
