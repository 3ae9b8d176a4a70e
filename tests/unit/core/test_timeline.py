"""Blocks with times in, stereo frames out: joins, holes, overlaps, lateness, limits. The rate is 8 kHz."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.accounts import Amount, Dropped, PartyBytes, Silence, TrackCounts, imbalances
from connect_audio.core.pcm import Party
from connect_audio.core.silence import Gap
from connect_audio.core.timeline import (
    MAX_FRAMES,
    MAX_HOLE_S,
    MAX_SKEW_S,
    NO_SILENCE,
    Placed,
    Timeline,
    TimelineState,
    to_samples,
)

MS: Final = 1_000_000
ORIGIN: Final = 14_263_301_236_288  # samples since the epoch
C: Final = Party.CUSTOMER
A: Final = Party.AGENT


def timeline(*, rate: int = 8000, taken: int = 0, limit: int = MAX_FRAMES) -> Timeline:
    made = Timeline(TimelineState(rate=rate), taken=taken, limit=limit)
    made.set_origin(ORIGIN)
    return made


def samples(first: int, count: int) -> bytes:
    return struct.pack(f"<{count}h", *((first + index) % 0x8000 for index in range(count)))


def counts(
    *, end: int, audio: int, gaps: int = 0, max_jitter: int = 0, one_sided: int = 0, **dropped: int
) -> TrackCounts:
    amounts: dict[str, Any] = {name: Amount(samples, 2 * samples) for name, samples in dropped.items()}
    return TrackCounts(
        end=end,
        audio=audio,
        written_bytes=2 * audio,
        gaps=gaps,
        max_jitter=max_jitter,
        dropped=Dropped(**amounts),
        silence=Silence(one_sided=one_sided),
    )


def put(to: Timeline, party: Party, start: int, count: int, *, first: int = 1, tick_ns: int = MS) -> list[Placed]:
    return to.place(party, ORIGIN + start, samples(first, count), tick_ns=tick_ns)


def taken(of: Timeline) -> list[tuple[int, int]]:
    return [frame for frames in of.take() for frame in struct.iter_unpack("<hh", frames)]


def closed(of: Timeline) -> list[tuple[int, int]]:
    of.close()
    return taken(of)


def left(frames: Sequence[tuple[int, int]]) -> list[int]:
    return [frame[0] for frame in frames]


def track(of: Timeline, party: Party = C) -> TrackCounts:
    state = of.state()
    return state.customer if party is C else state.agent


# --- short blocks that come again -------------------------------------------------------------------------------------


def sent(to: Timeline, lengths: Sequence[int], *, start: int = 7, first: int = 1, fragment: str = "f") -> None:
    """Blocks that follow each other without a gap, in one fragment."""
    to.begin(fragment, is_repeated=False)
    at = start
    for length in lengths:
        put(to, C, at, length, first=first + at)
        at += length
    to.settle()


@pytest.mark.parametrize("lengths", [[512, 40], [40, 512], [512, 20, 20, 20], [20] * 30, [9] * 30, [512, 1, 512]])
def test_short_blocks_that_come_again_beside_others_are_repeated(lengths: list[int]) -> None:
    line = timeline()
    sent(line, lengths)
    sent(line, lengths, fragment="again")

    assert track(line) == counts(end=7 + sum(lengths), audio=sum(lengths), repeated=sum(lengths), one_sided=0)


@pytest.mark.parametrize("cut", [1, 8, 31, 100])
def test_a_resumed_timeline_compares_short_blocks_alike(cut: int) -> None:
    line = timeline()
    sent(line, [20] * 40)
    resumed = Timeline(line.state(), taken=line.taken)
    for each in (line, resumed):
        sent(each, [cut] * 5, fragment="again")

    assert track(line) == track(resumed)


@pytest.mark.parametrize("lengths", [[20], [31], [20, 11]])
def test_audio_without_a_whole_cell_cannot_be_shown_to_be_the_same(lengths: list[int]) -> None:
    line = timeline()
    sent(line, [512], start=0)
    sent(line, lengths, start=1, fragment="again")

    assert track(line).dropped.conflicting == Amount(sum(lengths), 2 * sum(lengths))


@pytest.mark.parametrize("lengths", [[20] * 30, [9] * 30])
def test_short_blocks_of_other_audio_are_conflicting(lengths: list[int]) -> None:
    line = timeline()
    sent(line, lengths)
    sent(line, lengths, first=5, fragment="other")

    assert track(line).dropped.conflicting == Amount(sum(lengths), 2 * sum(lengths))


def test_a_short_block_is_not_compared_across_two_fragments() -> None:
    line = timeline()
    sent(line, [512, 20])
    sent(line, [512], fragment="again")
    sent(line, [20], start=519, fragment="and again")

    assert track(line).dropped.repeated == Amount(512, 1024)
    assert track(line).dropped.conflicting == Amount(20, 40)


def test_half_a_sample_of_a_short_block_is_booked_with_it() -> None:
    line = timeline(rate=16_000)
    for fragment in ("f", "again"):
        line.begin(fragment, is_repeated=False)
        line.place(C, ORIGIN + 3, samples(1, 1024), tick_ns=MS)
        line.place(C, ORIGIN + 1027, samples(1025, 95), tick_ns=MS, dangling=1)

    assert track(line).dropped == Dropped(repeated=Amount(1119, 2239), dangling_bytes=1)


# --- placing ---------------------------------------------------------------------------------------------------------


def test_the_customer_is_left_and_the_agent_right() -> None:
    line = timeline()
    put(line, A, 0, 3, first=10)
    put(line, C, 0, 3, first=1)

    assert closed(line) == [(1, 10), (2, 11), (3, 12)]


def test_times_become_the_nearest_sample() -> None:
    assert [to_samples(ns, 8000) for ns in (0, 62_499, 62_500, 124_999, 125_000, 1_000_000_000)] == [
        0,
        0,
        1,
        1,
        1,
        8000,
    ]
    assert to_samples(1_782_912_654_536 * MS, 8000) == ORIGIN


def test_without_an_origin_the_first_block_is_it() -> None:
    line = Timeline(TimelineState(rate=8000))
    put(line, C, 0, 2)

    assert line.origin == ORIGIN
    assert left(closed(line)) == [1, 2]


@pytest.mark.parametrize("offset", [-80, -1, 0, 1, 80])
def test_a_block_within_ten_milliseconds_of_its_predecessor_s_end_joins_it(offset: int) -> None:
    line = timeline()
    put(line, C, 0, 512)
    put(line, C, 512 + offset, 512, first=513)

    assert left(closed(line)) == list(range(1, 1025))
    assert track(line) == counts(end=1024, audio=1024, max_jitter=abs(offset), one_sided=0)


def test_a_block_later_than_that_leaves_silence() -> None:
    line = timeline()
    put(line, C, 0, 512)
    (later,) = put(line, C, 512 + 81, 512, first=513)

    assert later.start == 593
    assert [each.gap for each in line.close().gaps] == [
        Gap(party=C, start=512, length=81),
        Gap(party=A, start=0, length=1105),
    ]
    assert left(taken(line)) == [*range(1, 513), *[0] * 81, *range(513, 1025)]


def test_of_a_block_earlier_than_that_other_audio_in_the_overlap_conflicts() -> None:
    line = timeline()
    put(line, C, 0, 512)
    put(line, C, 512 - 81, 512, first=513)

    assert left(closed(line)) == [*range(1, 513), *range(513 + 81, 1025)]
    assert track(line) == counts(end=943, audio=943, conflicting=81, one_sided=0)


def test_short_blocks_tolerate_half_their_length() -> None:
    for offset, joined in ((80, True), (81, False)):
        line = timeline()
        put(line, C, 0, 160)
        put(line, C, 160 + offset, 160)
        assert (track(line).end == 320) is joined


def test_a_coarse_tick_is_tolerated_whole() -> None:
    for offset, joined in ((160, True), (161, False)):
        line = timeline()
        put(line, C, 0, 160, tick_ns=20 * MS)
        put(line, C, 160 + offset, 160, tick_ns=20 * MS)
        assert (track(line).end == 320) is joined


@pytest.mark.parametrize("off", [-80, -9, 0, 9, 80])
@pytest.mark.parametrize("count", [1, 4, 160, 512])
def test_the_same_block_twice_changes_nothing_whatever_its_jitter(count: int, off: int) -> None:
    less_than_half = (count - 1) // 2
    off = max(-less_than_half, min(less_than_half, off))
    line = timeline()
    put(line, C, 0, 512)
    for _ in range(3):
        put(line, C, 512 + off, count, first=513)

    assert left(closed(line)) == list(range(1, 513 + count))
    assert track(line).dropped.repeated == Amount(2 * count, 4 * count)


def test_a_repeated_fragment_whose_last_block_was_late_writes_nothing_into_the_pause_behind_it() -> None:
    line = timeline()
    for number, is_repeated in (("1", False), ("2", False), ("1", True)):
        line.begin(number, is_repeated=is_repeated)
        if number == "1":
            put(line, C, 0, 160)
            put(line, C, 160 + 9, 160, first=161)
        else:
            put(line, C, 800, 160, first=801)

    assert left(closed(line)) == [*range(1, 321), *([0] * 480), *range(801, 961)]
    assert track(line).dropped.repeated == Amount(320, 640)


def test_a_block_that_its_first_reading_lost_is_written_into_the_pause_when_its_fragment_comes_again() -> None:
    line = timeline()
    line.begin("1", is_repeated=False)
    put(line, C, 0, 160)
    line.begin("2", is_repeated=False)
    put(line, C, 800, 160, first=801)
    line.begin("1", is_repeated=True)
    put(line, C, 0, 160)
    put(line, C, 160, 160, first=161)

    assert left(closed(line)) == [*range(1, 321), *([0] * 480), *range(801, 961)]


def test_an_empty_block_changes_nothing() -> None:
    line = timeline()
    line.place(C, ORIGIN, b"", tick_ns=MS, dangling=1)

    assert closed(line) == []
    assert track(line) == TrackCounts(dropped=Dropped(dangling_bytes=1))


def test_a_run_of_blocks_is_placed_as_its_blocks_would_be() -> None:
    line = timeline()
    put(line, C, 0, 160)
    line.place_run(C, ORIGIN + 160 + 80, samples(161, 480), tick_ns=MS, block_length=160)

    assert left(closed(line)) == list(range(1, 641))


# --- what lies outside -----------------------------------------------------------------------------------------------


def test_what_lies_before_the_origin_is_dropped_and_counted() -> None:
    line = timeline()
    put(line, C, -600, 512)
    put(line, C, -100, 512, first=513)

    assert left(closed(line)) == list(range(613, 1025))
    assert track(line) == counts(end=412, audio=412, out_of_range=612)


def test_an_absurd_jump_ahead_is_left_out_and_counted() -> None:
    line = timeline()
    put(line, C, 0, 10)
    put(line, C, 10 + MAX_HOLE_S * 8000 + 1, 512)
    assert track(line) == counts(end=10, audio=10, out_of_range=512)

    put(line, C, 10 + MAX_HOLE_S * 8000, 1)
    assert track(line).end == 11 + MAX_HOLE_S * 8000


def test_at_the_limit_a_block_is_dropped_whole_and_counted() -> None:
    line = timeline(limit=1000)
    fullness = []
    for start, count in ((0, 512), (512, 489)):
        put(line, C, start, count)
        fullness.append(line.full)
    put(line, A, 0, 1000)

    assert fullness == [False, True]
    assert track(line) == counts(end=512, audio=512, beyond_limit=489)
    assert len(closed(line)) == 1000


# --- settling --------------------------------------------------------------------------------------------------------


def test_what_both_tracks_have_reached_is_settled_and_no_more() -> None:
    line = timeline()
    put(line, C, 0, 1000)
    put(line, A, 0, 700)
    assert taken(line) == []

    line.settle()

    assert (line.settled, len(taken(line)), line.taken) == (700, 700, 700)
    assert (line.end, taken(line)) == (1000, [])


def test_a_lagging_track_becomes_silence_after_the_skew() -> None:
    line = timeline()
    for second in range(7):
        put(line, C, 8000 * second, 8000)
        line.settle()
        assert line.settled == max(0, second + 1 - MAX_SKEW_S) * 8000


def test_audio_that_comes_after_its_place_was_settled_is_late_and_counted() -> None:
    line = timeline()
    put(line, C, 0, 8000 * 7)
    line.settle()
    assert line.settled == 16_000

    put(line, A, 15_000, 2000, first=1)

    frames = closed(line)
    assert [frame[1] for frame in frames[15_000:17_000]] == [0] * 1000 + list(range(1001, 2001))
    assert track(line, A) == counts(end=17_000, audio=1000, late=1000, gaps=2, one_sided=55_000)


def test_closing_again_after_a_kill_counts_no_gap_twice() -> None:
    made = timeline()
    made.place(C, ORIGIN, samples(1, 512), tick_ns=MS)
    made.settle()
    assert len(made.close().gaps) == 1
    stood = made.state()
    again = Timeline(stood, taken=512)
    assert again.close() == NO_SILENCE
    assert again.state() == stood


def test_half_a_sample_of_a_block_that_comes_again_is_counted_once() -> None:
    made = timeline()
    for _ in range(3):
        made.place(C, ORIGIN, samples(1, 512), tick_ns=MS, dangling=1)
    dropped = made.state().customer.dropped
    assert (dropped.dangling_bytes, dropped.repeated) == (1, Amount(1024, 2050))


def test_closing_pads_the_shorter_track() -> None:
    line = timeline()
    put(line, C, 0, 1000)
    put(line, A, 0, 700)

    assert [each.gap for each in line.close().gaps] == [Gap(party=A, start=700, length=300)]
    assert line.close() == NO_SILENCE
    assert len(taken(line)) == 1000


def test_frames_come_in_bounded_pieces() -> None:
    line = timeline()
    put(line, C, 3600 * 8000, 1)
    line.close()

    assert {len(frames) for frames in line.take()} == {32_768, 4 * (1 + 3600 * 8000) % 32_768}


def test_what_got_a_place_is_told_and_what_got_none_is_not() -> None:
    line = timeline()

    line.settle()
    assert put(line, C, 700, 200, first=1) == [Placed(C, 700, samples(1, 200))]
    assert put(line, C, 700, 500, first=1) == [Placed(C, 900, samples(201, 300))]
    assert put(line, C, 700, 500, first=2) == []


def test_a_timeline_from_a_state_goes_on_with_the_frames_that_were_not_taken() -> None:
    line = timeline()
    put(line, C, 0, 1000)
    put(line, A, 0, 700)
    line.settle()
    assert len(taken(line)) == 700
    put(line, A, 700, 300)
    line.settle()

    again = Timeline(line.state(), taken=1000)
    put(again, C, 1000, 10, first=7)
    put(again, A, 1000, 10, first=9)

    assert again.rate == 8000
    assert closed(again) == [(7 + n, 9 + n) for n in range(10)]


@given(
    st.lists(st.tuples(st.sampled_from((C, A)), st.integers(-50, 400), st.integers(0, 120), st.booleans()), max_size=20)
)
def test_whatever_comes_every_sample_is_placed_or_counted(blocks: list[tuple[Party, int, int, bool]]) -> None:
    line = timeline(limit=420)
    frames = []
    silence = dict.fromkeys(Party, 0)
    for party, start, count, settles in blocks:
        put(line, party, start, count)
        if settles:
            for gap, _, _ in line.settle().gaps:
                silence[gap.party] += gap.length
        frames += taken(line)
    for gap, _, _ in line.close().gaps:
        silence[gap.party] += gap.length
    frames += taken(line)

    assert len(frames) == line.settled == line.taken
    for party in Party:
        state = track(line, party)
        sent = sum(2 * count for other, _, count, _ in blocks if other is party)
        assert imbalances([(party, state, PartyBytes(sent))], frames=line.end, settled=line.settled) == ()
        assert state.silence.frames == silence[party] == line.end - state.audio
