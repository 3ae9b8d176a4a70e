"""The limits at which numbers of one fragment contradict each other, to the nanosecond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import pytest

from connect_audio.core.claims import (
    Stray,
    TimesDisagree,
    TrackSpan,
    _is_another_rate,
    disagreements,
    straightened,
    stray_blocks,
    track_spans,
)
from connect_audio.core.fragment import Block
from connect_audio.core.runs import tracks_of
from connect_audio.core.tracks import TrackNames
from core_support.fragments_by_hand import fragment

MS: Final = 1_000_000
NAMES: Final = TrackNames()
AUDIO: Final = tracks_of(fragment(1), NAMES).audio


def blocks(*times_ns: int, track: int = 1, samples: int = 512) -> list[Block]:
    """Blocks of a track; by default each lasts 64 ms."""
    return [Block(track, time_ns, bytes(2 * samples), 1, 2 * samples) for time_ns in times_ns]


def every(distance_ns: int, count: int, first: int = 0) -> list[int]:
    return [first + distance_ns * index for index in range(count)]


def told(each: Sequence[Block], *, producer_ms: int | None = None, tick_ns: int = MS) -> dict[str, int]:
    found = disagreements(each, AUDIO, producer_ms=producer_ms, tick_ns=tick_ns)
    return {} if found is None else {kind: count for kind, count in found.kinds().items() if count}


# --- Cluster time against producer time ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("producer_ms", "tick_ns", "is_told"),
    [
        (-1_001, MS, False),
        (-1_002, MS, True),
        (-1_001, 1, True),
        (-1_000, 1, False),
        (64 + 1_001, MS, False),
        (64 + 1_002, MS, True),
        (30, MS, False),
        (None, MS, False),
    ],
)
def test_a_producer_timestamp_may_lie_a_second_and_a_tick_outside(
    producer_ms: int | None,
    tick_ns: int,
    is_told: bool,  # noqa: FBT001
) -> None:
    assert told(blocks(0, 64 * MS), producer_ms=producer_ms, tick_ns=tick_ns) == ({"clusterTime": 1} if is_told else {})


# --- payload against distance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short_ns", "is_told"), [(21 * MS, False), (21 * MS + 1, True), (0, False), (-90 * MS, False)]
)
def test_a_block_may_last_into_the_next_by_twice_the_jitter_and_a_tick(short_ns: int, is_told: bool) -> None:  # noqa: FBT001
    assert told(blocks(0, 64 * MS - short_ns)) == ({"blockOverlap": 1} if is_told else {})


def test_each_overlap_of_each_track_counts() -> None:
    pair = [0, 30 * MS, 60 * MS, 160 * MS]

    assert told([*blocks(*pair), *blocks(*pair, track=2)]) == {"blockOverlap": 4}


def test_a_block_with_the_time_of_the_one_before_or_without_samples_is_no_overlap() -> None:
    empty = Block(1, 10 * MS, b"", 1, 0)

    assert told([*blocks(0, 0), empty, *blocks(64 * MS)]) == {}


def test_blocks_on_no_party_s_track_are_not_compared() -> None:
    assert told(blocks(0, 10 * MS, 20 * MS, track=7)) == {}


@pytest.mark.parametrize(
    ("distance_ns", "count", "expected"),
    [
        (128 * MS, 5, {"rate": 1}),
        (128 * MS, 4, {}),
        (32 * MS, 5, {"rate": 1}),
        (32 * MS, 4, {"blockOverlap": 3}),
        (64 * MS, 5, {}),
    ],
)
def test_four_pairs_of_blocks_show_another_rate(distance_ns: int, count: int, expected: dict[str, int]) -> None:
    assert told(blocks(*every(distance_ns, count))) == expected


@pytest.mark.parametrize(
    ("distance_ns", "is_another"),
    [
        # Ten pairs last 640 ms. The distance may be off by 3 % of it and by 21 ms.
        (68_144_330, True),
        (68_144_329, False),
        (60_097_088, False),
        (60_097_087, True),
    ],
)
def test_a_rate_is_another_beyond_the_drift_of_any_clock(distance_ns: int, is_another: bool) -> None:  # noqa: FBT001
    total = 10 * distance_ns
    assert (abs(640 * MS - total) > 0.03 * total + 21 * MS) is is_another

    assert told(blocks(*every(distance_ns, 11))) == ({"rate": 1} if is_another else {})


@pytest.mark.parametrize(("off_ms", "is_another"), [(0, True), (13, True), (14, False)])
def test_distances_of_another_rate_are_alike(off_ms: int, is_another: bool) -> None:  # noqa: FBT001
    times = every(128 * MS, 6)
    times[3] += off_ms * MS

    assert told(blocks(*times)) == ({"rate": 1} if is_another else {})


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("beyond_ns", "is_another"), [(0, False), (1, True)])
def test_payloads_within_three_parts_in_a_hundred_and_the_slack_have_no_other_rate(
    sign: int,
    beyond_ns: int,
    is_another: bool,  # noqa: FBT001
) -> None:
    # Four seconds allow 120 ms, the slack 20 ms more, and the tick 4 ms more.
    second = 1_000 * MS
    pairs = [(second, second + sign * 36 * MS)] * 3 + [(second, second + sign * (36 * MS + beyond_ns))]

    assert _is_another_rate(pairs, 4 * MS) is is_another


def test_the_rate_of_each_track_is_judged_by_itself() -> None:
    assert told([*blocks(*every(128 * MS, 6)), *blocks(*every(64 * MS, 6), track=2)]) == {"rate": 1}


# --- blocks that leap ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off_ms", "leaps"), [(-33, 1), (33, 0), (-32, 0), (-500, 1), (500, 1), (97, 1), (96, 1)])
def test_a_block_far_from_the_middle_of_its_neighbours_has_leaped(off_ms: int, leaps: int) -> None:
    # The distance is 64 ms and a quarter of it the slack, so that 32 ms on either side are no leap.
    times = every(64 * MS, 9)
    times[4] += off_ms * MS
    placed, count = straightened(blocks(*times))

    in_order = all(later >= earlier for earlier, later in pairwise(times))
    assert count == (0 if in_order else leaps)
    if count:
        assert [each.time_ns for each in placed] == every(64 * MS, 9)


@pytest.mark.parametrize(("apart_ms", "leaps"), [(0, 1), (16, 1), (17, 0), (-16, 1), (-17, 0)])
def test_the_neighbours_of_a_leap_stand_two_distances_apart(apart_ms: int, leaps: int) -> None:
    times = every(64 * MS, 9)
    times[4] += 5_000 * MS
    times[5:] = [each + apart_ms * MS for each in times[5:]]

    assert straightened(blocks(*times))[1] == leaps


def test_a_block_that_fills_another_place_is_merely_out_of_order() -> None:
    times = every(64 * MS, 9)
    early = [*times[:2], times[6], *times[3:6], times[2], *times[7:]]
    placed, count = straightened(blocks(*early))

    assert count == 0
    assert [each.time_ns for each in placed] == times


@pytest.mark.parametrize(("off_ms", "leaps"), [(0, 0), (31, 0), (32, 1), (-31, 0), (-32, 1)])
def test_a_block_fills_a_place_half_a_distance_from_its_neighbours(off_ms: int, leaps: int) -> None:
    times = [0, 64, 384 + off_ms, 192, 256, 320, 448, 512, 576]

    assert straightened(blocks(*(each * MS for each in times)))[1] == leaps


@pytest.mark.parametrize("count", [2, 3])
def test_two_blocks_show_no_leap(count: int) -> None:
    times = every(64 * MS, count)[::-1]

    assert straightened(blocks(*times)) == (blocks(*times[::-1]), 0)


def test_blocks_that_come_twice_do_not_hide_a_leap() -> None:
    once = every(64 * MS, 9)
    times = [each for time_ns in once if time_ns != 4 * 64 * MS for each in (time_ns, time_ns)]
    placed, count = straightened(blocks(*times[:8], 9_000 * MS, *times[8:]))

    assert count == 1
    assert [each.time_ns for each in placed] == sorted([*times, 4 * 64 * MS])


def test_blocks_of_both_tracks_leap_by_themselves() -> None:
    times = every(64 * MS, 9)
    leaped = [*times[:4], times[4] + 5_000 * MS, *times[5:]]
    both = [*blocks(*leaped), *blocks(*times, track=2)]
    placed, count = straightened(both)

    assert count == 1
    assert sorted((each.track_number, each.time_ns) for each in placed) == [
        (track, time_ns) for track in (1, 2) for time_ns in times
    ]


# --- stray blocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", ["first", "last"])
@pytest.mark.parametrize(("apart_ms", "count", "is_stray"), [(501, 4, True), (500, 4, False), (501, 3, False)])
def test_a_block_at_the_edge_half_a_second_from_three_others_is_stray(
    edge: str,
    apart_ms: int,
    count: int,
    is_stray: bool,  # noqa: FBT001
) -> None:
    near = every(64 * MS, count - 1)
    times = [-apart_ms * MS, *near] if edge == "first" else [*near, near[-1] + apart_ms * MS]
    index = 0 if edge == "first" else count - 1
    expected = Stray(index, 1, near[0] - 64 * MS, near[-1] + 64 * MS, 64 * MS)

    assert stray_blocks(blocks(*times)) == ((expected,) if is_stray else ())


def test_a_hole_between_the_other_blocks_leaves_no_stray() -> None:
    assert stray_blocks(blocks(0, 64 * MS, 700 * MS, 764 * MS, 2_000 * MS)) == ()
    assert len(stray_blocks(blocks(0, 64 * MS, 564 * MS, 628 * MS, 2_000 * MS))) == 1


def test_a_stray_block_of_each_track_is_found_by_its_index() -> None:
    times = [*every(64 * MS, 4), 5_000 * MS]
    both = [each for pair in zip(blocks(*times), blocks(*times, track=2), strict=True) for each in pair]

    assert [(each.index, each.number) for each in stray_blocks(both)] == [(8, 1), (9, 2)]


# --- spans -----------------------------------------------------------------------------------------------------------


def test_a_track_s_span_goes_one_median_step_beyond_its_last_block() -> None:
    each = [*blocks(10 * MS, 74 * MS, 138 * MS, 300 * MS), *blocks(0, 20 * MS, track=2)]

    assert track_spans(fragment(1), each, NAMES) == (
        TrackSpan(1, 10 * MS, (300 + 64) * MS),
        TrackSpan(2, 0, 40 * MS),
    )


def test_the_span_of_a_single_block_is_that_of_its_samples() -> None:
    assert track_spans(fragment(1), blocks(5 * MS, samples=400), NAMES) == (TrackSpan(1, 0, 50 * MS),)
    assert track_spans(fragment(1), blocks(5 * MS, 5 * MS, samples=400), NAMES) == (TrackSpan(1, 0, 50 * MS),)
    assert track_spans(fragment(1), blocks(5 * MS, track=7), NAMES) == ()


def test_contradictions_add_up_by_kind() -> None:
    one = TimesDisagree(leap=1, clock_change=2, block_leap=3, block_overlap=4, rate=5, cluster_time=6)
    ten = replace(one, leap=10, clock_change=20, block_leap=30, block_overlap=40, rate=50, cluster_time=60)

    assert one.count == 21
    assert one.plus(ten).kinds() == {
        "leap": 11,
        "clockChange": 22,
        "blockLeap": 33,
        "blockOverlap": 44,
        "rate": 55,
        "clusterTime": 66,
    }
    assert replace(one, leap=0, rate=0).text() == "clockChange 2, blockLeap 3, blockOverlap 4, clusterTime 6"
