"""Settled silence: its gaps, its causes and their lengths, on two tracks of 1 kHz."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from connect_audio.core.accounts import Silence
from connect_audio.core.pcm import Party
from connect_audio.core.silence import (
    Gap,
    HoleCounts,
    Silent,
    gaps_before,
    holes_of,
    reached,
    silent_in_both,
    silent_stretches,
    with_silence,
)
from connect_audio.core.written import WrittenAudio, WrittenState

RATE: Final = 1000


def track(*stretches: tuple[int, int, str]) -> WrittenAudio:
    """A track with audio of fragments at some positions."""
    made = WrittenAudio(RATE, 0, WrittenState())
    for start, stop, fragment in stretches:
        made.append(start, stop, bytes(2 * (stop - start)), fragment)
    return made


THREE: Final = ((0, 10, "1"), (30, 40, "2"), (60, 70, "3"))


@pytest.mark.parametrize(("settled", "expected"), [(0, 10), (5, 10), (10, 10), (29, 29), (30, 40), (59, 59), (60, 70)])
def test_a_track_reaches_its_next_hole(settled: int, expected: int) -> None:
    assert reached(track(*THREE), settled) == expected


def test_a_track_without_holes_reaches_its_end() -> None:
    filled = track(*THREE)
    filled.insert(10, 30, bytes(40), "late")

    assert reached(filled, 0) == 40
    assert reached(filled, 80) == 70


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 10, []),
        (0, 11, [(10, 11)]),
        (10, 30, [(10, 30)]),
        (12, 30, [(12, 30)]),
        (5, 31, [(10, 30)]),
        (5, 65, [(10, 30), (40, 60)]),
        (30, 40, []),
        (69, 72, [(70, 72)]),
        (75, 75, []),
    ],
)
def test_silent_stretches_are_the_positions_without_audio(
    start: int, stop: int, expected: list[tuple[int, int]]
) -> None:
    assert silent_stretches(track(*THREE), start, stop) == expected


# --- gaps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settled", "count"), [(0, 0), (29, 0), (30, 1), (59, 1), (60, 2), (99, 2)])
def test_a_gap_is_noted_once_the_audio_behind_it_is_reached(settled: int, count: int) -> None:
    three = track(*THREE)
    found = gaps_before(Party.AGENT, three, settled)

    assert [(each.gap.start, each.gap.length, each.after, each.before) for each in found] == [
        (10, 20, "1", "2"),
        (40, 20, "2", "3"),
    ][:count]
    assert all(each.gap.party is Party.AGENT for each in found)
    assert three.noted == (0, 30, 60)[count]


def test_a_gap_is_noted_once_alone() -> None:
    three = track(*THREE)

    assert [len(gaps_before(Party.AGENT, three, settled)) for settled in (30, 30, 60, 60, 70)] == [1, 0, 1, 0, 0]


def test_a_gap_at_the_beginning_has_nothing_before_it() -> None:
    (found,) = gaps_before(Party.CUSTOMER, track((1, 5, "7")), 5)

    assert found == (Gap(party=Party.CUSTOMER, start=0, length=1), "", "7")


# --- silence of both -------------------------------------------------------------------------------------------------


def both(
    customer: Sequence[tuple[int, int, str]],
    agent: Sequence[tuple[int, int, str]],
    start: int,
    stop: int,
    missing: int | None = 0,
) -> list[Silent]:
    found = silent_in_both(
        [track(*customer), track(*agent)], start, stop, rate=RATE, missing_between=lambda _before, _after: missing
    )
    return list(found)


def test_frames_are_silent_in_both_where_neither_has_audio() -> None:
    found = both([(0, 10, "1"), (50, 90, "2")], [(5, 20, "1"), (60, 80, "2"), (95, 99, "3")], 0, 99)

    assert [(each.start, each.stop) for each in found] == [(20, 50), (90, 95)]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 99, [(10, 50, True)]),
        (0, 51, [(10, 50, True)]),
        (0, 50, [(10, 50, True)]),
        (0, 49, [(10, 49, False)]),
        (0, 11, [(10, 11, False)]),
        (0, 10, []),
        (11, 50, [(11, 50, True)]),
        (49, 60, [(49, 50, True)]),
        (50, 60, []),
    ],
)
def test_newly_settled_frames_are_cut_out_and_audio_behind_them_ends_the_silence(
    start: int, stop: int, expected: list[tuple[int, int, bool]]
) -> None:
    found = both([(0, 10, "1"), (50, 99, "2")], [(0, 10, "1"), (50, 99, "2")], start, stop)

    assert [(each.start, each.stop, each.ends) for each in found] == expected


def test_frames_before_all_audio_are_silent_in_both() -> None:
    assert [each[:2] for each in both([(5, 9, "1")], [(6, 9, "1")], 0, 9)] == [(0, 5)]


def test_a_long_stretch_of_one_party_covers_short_ones_of_the_other() -> None:
    assert both([(0, 90, "1")], [(0, 10, "1"), (20, 30, "1"), (80, 90, "1")], 0, 90) == []


def test_frames_behind_all_audio_are_a_hole_of_the_stream() -> None:
    assert both([(0, 10, "1")], [(0, 12, "1")], 0, 20) == [Silent(12, 20, "stream_hole", ends=True)]
    assert both([(0, 10, "1")], [(0, 12, "1")], 15, 20) == [Silent(15, 20, "stream_hole", ends=True)]
    assert both([(0, 10, "1")], [(0, 12, "1")], 0, 12) == []


@pytest.mark.parametrize(
    ("before", "after", "missing", "length", "cause"),
    [
        ("1", "1", 7, 5000, "block_hole"),
        ("1", "2", 1, 10, "stream_hole"),
        ("1", "2", None, 10, "stream_hole"),
        ("1", "2", 0, 1000, "block_hole"),
        ("1", "2", 0, 1001, "producer_pause"),
    ],
)
def test_the_fragments_on_either_side_show_the_cause(
    before: str, after: str, missing: int | None, length: int, cause: str
) -> None:
    ends = 100 + length
    parts = [(0, 100, before), (ends, ends + 10, after)]

    assert both(parts, parts, 0, ends + 10, missing) == [Silent(100, ends, cause, ends=True)]  # type: ignore[arg-type]


def test_the_fragments_that_are_asked_for_are_those_next_to_the_hole() -> None:
    asked: list[tuple[str, str]] = []

    def missing_between(before: str, after: str) -> int:
        asked.append((before, after))
        return 0

    customer = track((0, 10, "1"), (10, 20, "2"), (50, 60, "5"), (60, 70, "6"))
    agent = track((0, 15, "1"), (55, 70, "6"))
    list(silent_in_both([customer, agent], 0, 70, rate=RATE, missing_between=missing_between))

    assert asked == [("2", "5")]


# --- accounts --------------------------------------------------------------------------------------------------------

PARTS: Final = (
    Silent(0, 10, "stream_hole", ends=True),
    Silent(20, 25, "stream_hole", ends=False),
    Silent(30, 37, "producer_pause", ends=True),
    Silent(40, 43, "block_hole", ends=True),
    Silent(50, 52, "block_hole", ends=True),
)


def test_a_silence_counts_once_audio_follows_it() -> None:
    assert holes_of(PARTS) == HoleCounts(stream_holes=1, producer_pauses=1, block_holes=2)
    assert holes_of(()) == HoleCounts(stream_holes=0, producer_pauses=0, block_holes=0)


def test_counts_of_holes_add_up() -> None:
    one = HoleCounts(stream_holes=1, producer_pauses=2, block_holes=3)

    assert one.plus(HoleCounts(stream_holes=10, producer_pauses=20, block_holes=30)) == HoleCounts(
        stream_holes=11, producer_pauses=22, block_holes=33
    )


def test_silence_that_is_not_of_both_is_one_sided() -> None:
    before = Silence(stream_hole=100, producer_pause=200, block_hole=300, one_sided=400)

    assert with_silence(before, PARTS, 50) == Silence(
        stream_hole=115, producer_pause=207, block_hole=305, one_sided=400 + 50 - 27
    )
    assert with_silence(before, (), 1) == Silence(stream_hole=100, producer_pause=200, block_hole=300, one_sided=401)
