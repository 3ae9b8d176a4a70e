"""The live buffer at the borders of its runs: reading, arrival, filling, freeing and the newest samples."""

from __future__ import annotations

from typing import Final

import pytest

from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_buffer import LiveBuffer, _Side
from connect_audio.core.pcm import PARTIES, Party

C: Final = Party.CUSTOMER
A: Final = Party.AGENT


def samples(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


def side(*runs: tuple[int, int, float]) -> _Side:
    """Runs [start, stop) that arrived at a time; each sample is its position."""
    made = _Side(0)
    for start, stop, arrived in runs:
        made.append(start, samples(*range(start, stop)), arrived)
    return made


def spans(of: _Side) -> list[tuple[int, int, float | None]]:
    return [(run.start, run.stop, run.arrived) for run in of.runs]


RUNS: Final = ((2, 4, 1.0), (4, 7, 2.0), (9, 12, 3.0))


@pytest.mark.parametrize("start", range(13))
def test_any_stretch_is_samples_and_zeros_between_them(start: int) -> None:
    made = side(*RUNS)
    there = {position for first, last, _ in RUNS for position in range(first, last)}
    for stop in range(start, 15):
        expected = samples(*(position if position in there else 0 for position in range(start, stop)))
        assert made.read(start, stop) == expected


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, []),
        (2, []),
        (3, [(2, 3, 1.0)]),
        (4, [(2, 4, 1.0)]),
        (5, [(2, 4, 1.0), (4, 5, 2.0)]),
        (8, [(2, 4, 1.0), (4, 7, 2.0)]),
        (9, [(2, 4, 1.0), (4, 7, 2.0)]),
        (10, [(2, 4, 1.0), (4, 7, 2.0), (9, 10, 3.0)]),
        (12, list(RUNS)),
        (20, list(RUNS)),
    ],
)
def test_a_cut_leaves_what_lies_before_it(position: int, expected: list[tuple[int, int, float]]) -> None:
    made = side(*RUNS)
    made.cut(position)

    assert spans(made) == expected
    assert made.end == min(12, position)


@pytest.mark.parametrize(("position", "count"), [(0, 3), (3, 3), (4, 2), (6, 2), (7, 1), (11, 1), (12, 0), (20, 0)])
def test_runs_that_end_before_a_position_are_freed(position: int, count: int) -> None:
    made = side(*RUNS)
    made.free(position)

    assert spans(made) == list(RUNS)[3 - count :]


@pytest.mark.parametrize(
    ("position", "arrived"), [(0, 1.0), (3, 1.0), (4, 2.0), (6, 2.0), (7, 3.0), (8, 3.0), (11, 3.0), (12, None)]
)
def test_a_sample_arrives_with_its_run_or_silence_with_the_next(position: int, arrived: float | None) -> None:
    assert side(*RUNS).arrived(position) == arrived


@pytest.mark.parametrize(
    ("start", "stop", "first"),
    [(0, 2, None), (0, 3, 2), (3, 9, 3), (4, 5, 4), (7, 9, None), (7, 10, 9), (6, 20, 6), (12, 20, None)],
)
def test_the_first_sound_of_a_stretch_is_found(start: int, stop: int, first: int | None) -> None:
    assert side(*RUNS).first_sound(start, stop) == first


@pytest.mark.parametrize(
    ("start", "values", "different"),
    [
        (2, (2, 3, 4, 5), None),
        (2, (2, 3, 4, 6), 5),
        (2, (9,), 2),
        (6, (6, 0, 0, 9), None),
        (6, (6, 1, 0, 9), 7),
        (11, (11, 77, 78), None),
        (12, (1,), None),
        (13, (1,), None),
        (0, (0, 0, 2), None),
    ],
)
def test_the_first_sample_that_differs_is_found_up_to_the_end(
    start: int, values: tuple[int, ...], different: int | None
) -> None:
    assert side(*RUNS).first_difference(start, samples(*values)) == different


def test_silence_is_filled_and_runs_stay() -> None:
    made = side(*RUNS)
    made.fill(0, samples(*range(100, 114)), 9.0)

    assert spans(made) == [(0, 2, 9.0), (2, 4, 1.0), (4, 7, 2.0), (7, 9, 9.0), (9, 12, 3.0), (12, 14, 9.0)]
    assert made.read(0, 14) == samples(100, 101, 2, 3, 4, 5, 6, 107, 108, 9, 10, 11, 112, 113)


@pytest.mark.parametrize(("start", "stop"), [(7, 9), (8, 9), (7, 8), (3, 8), (8, 11)])
def test_a_part_of_silence_is_filled(start: int, stop: int) -> None:
    made = side(*RUNS)
    made.fill(start, samples(*range(100 + start, 100 + stop)), 9.0)
    filled = [position for position in range(start, stop) if position in {7, 8}]

    assert [(run[0], run[1]) for run in spans(made) if run[2] == 9.0] == [(filled[0], filled[-1] + 1)]
    assert made.read(filled[0], filled[-1] + 1) == samples(*(100 + position for position in filled))


# --- both parties ----------------------------------------------------------------------------------------------------


def buffer(start: int = 0) -> LiveBuffer:
    made = LiveBuffer(8000, start)
    for first, last, arrived in RUNS:
        made.write(LiveSamples(C, first, samples(*range(first, last))), arrived)
    made.write(LiveSamples(A, 0, samples(*range(6))), 5.0)
    return made


def test_the_ends_of_both_parties_are_known() -> None:
    made = buffer()

    assert (made.end(C), made.end(A), made.whole_to, made.ends, made.begins) == (12, 6, 6, 12, 0)


@pytest.mark.parametrize(
    ("position", "run"),
    [(0, (2, 4)), (2, (2, 4)), (3, (3, 4)), (4, (4, 7)), (6, (6, 7)), (7, (9, 12)), (11, (11, 12)), (12, None)],
)
def test_the_run_behind_a_position_is_found_from_either_end(position: int, run: tuple[int, int] | None) -> None:
    found = buffer().run_after(C, position)

    assert (None if found is None else (found.start, found.stop)) == run
    if found is not None:
        assert found.samples == samples(*range(found.start, found.stop))


def test_a_fresh_buffer_is_empty_and_the_call_goes_on() -> None:
    made = LiveBuffer(8000, 7)

    assert (made.rate, made.origin, made.complete, made.begins) == (8000, None, False, 7)
    assert (made.end(C), made.end(A), made.whole_to, made.ends) == (7, 7, 7, 7)


def test_a_party_without_samples_has_no_run() -> None:
    assert LiveBuffer(8000, 0).run_after(A, 0) is None


@pytest.mark.parametrize(("count", "begins"), [(8, 0), (7, 3), (6, 4), (5, 5), (3, 7), (2, 10), (1, 11), (0, 12)])
def test_the_newest_samples_begin_where_no_party_has_more(count: int, begins: int) -> None:
    made = LiveBuffer(8000, 0)
    for first, last, arrived in RUNS:
        made.write(LiveSamples(C, first, samples(*range(first, last))), arrived)

    assert made.newest(count) == begins


def test_the_newest_samples_of_the_party_with_more_count() -> None:
    assert buffer().newest(5) == 5
    assert buffer().newest(6) == 4


@pytest.mark.parametrize(("position", "arrived"), [(1, 5.0), (3, 5.0), (6, 5.0), (8, 3.0), (13, None)])
def test_everything_before_a_position_has_arrived_with_the_later_party(position: int, arrived: float | None) -> None:
    assert buffer().arrived(position) == arrived


def test_what_is_freed_is_begun_behind_and_never_goes_back() -> None:
    made = buffer()
    made.confirm([], dict.fromkeys(PARTIES, 12), 6.0)
    made.free(7)
    made.free(4)

    assert made.begins == 7


def test_samples_before_the_confirmed_end_are_left_out() -> None:
    made = LiveBuffer(8000, 0)
    made.confirm([LiveSamples(C, 0, samples(1, 2, 3))], {C: 3, A: 0}, 1.0)

    assert made.write(LiveSamples(C, 1, samples(7, 7, 4, 5)), 2.0) is None
    assert made.read(C, 0, 5) == samples(1, 2, 3, 4, 5)
    assert made.write(LiveSamples(C, 1, samples(7, 7)), 2.0) is None
    assert made.end(C) == 5


def test_confirmed_silence_takes_back_samples_that_were_told() -> None:
    made = LiveBuffer(8000, 0)
    made.write(LiveSamples(C, 2, samples(1, 2, 3)), 1.0)

    assert made.confirm([], {C: 4, A: 0}, 2.0) == 2
    assert (made.end(C), made.read(C, 0, 4)) == (4, bytes(8))


def test_samples_confirmed_behind_others_take_those_back() -> None:
    made = LiveBuffer(8000, 0)
    made.write(LiveSamples(C, 2, samples(1, 2, 3)), 1.0)

    assert made.confirm([LiveSamples(C, 4, samples(3, 4))], {C: 6, A: 0}, 2.0) == 2
    assert made.read(C, 0, 6) == samples(0, 0, 0, 0, 3, 4)


def test_confirmed_samples_that_are_there_only_grow_the_buffer() -> None:
    made = LiveBuffer(8000, 0)
    made.write(LiveSamples(C, 0, samples(1, 2)), 1.0)

    assert made.confirm([LiveSamples(C, 0, samples(1, 2, 3))], {C: 3, A: 3}, 2.0) is None
    assert [(run.start, run.stop) for run in made._sides[C].runs] == [(0, 2), (2, 3)]
    assert (made.end(C), made.end(A), made.whole_to) == (3, 3, 3)


def test_samples_for_silence_before_the_buffer_s_beginning_are_not_kept() -> None:
    made = LiveBuffer(8000, 0)
    made.confirm([], dict.fromkeys(PARTIES, 10), 1.0)
    made.free(6)

    assert made.confirm([LiveSamples(C, 4, samples(1, 2, 3, 4))], dict.fromkeys(PARTIES, 10), 2.0) == 6
    assert made.read(C, 6, 10) == samples(3, 4, 0, 0)
