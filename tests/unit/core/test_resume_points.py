"""Points to resume from are few, however short the fragments are, and no note is lost or told before its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.admission import AdmissionState
from connect_audio.core.cursor import Cursor, ErrorNote, Note
from connect_audio.core.in_band import InBandError
from connect_audio.core.resume_points import MAX_POINTS, NoResumePoints, ResumePoints


def note(number: int) -> Note:
    return ErrorNote(error=InBandError(3002, ""), fragment=str(number))


@dataclass(frozen=True)
class Values:
    """The values of a cursor behind a fragment."""

    number: int

    def cursor(self) -> Cursor:
        return Cursor(fragment=str(self.number))


def noted(number: int) -> Callable[[AdmissionState], Values]:
    return lambda _: Values(number)


def numbers(notes: list[Note]) -> list[int]:
    return [int(each.fragment or "") for each in notes if isinstance(each, ErrorNote)]


@pytest.mark.slow
def test_a_hundred_thousand_fragments_of_a_sample_make_few_points_and_keep_every_note() -> None:
    points = ResumePoints(Cursor())

    for number in range(100_000):
        points.mark(number + 1, noted(number), AdmissionState(), [note(number)])
        assert len(points) <= MAX_POINTS

    points.commit(100_000)
    assert points.cursor.fragment == "99999"
    assert numbers(points.take_notes()) == list(range(100_000))


@given(steps=st.lists(st.integers(0, 3), min_size=1, max_size=600), data=st.data())
def test_a_point_holds_once_all_before_it_is_taken_and_with_it_the_notes_up_to_it(
    steps: list[int], data: st.DataObject
) -> None:
    points = ResumePoints(Cursor())
    told: list[int] = []
    ends: list[int] = []
    end = taken = 0
    for number, step in enumerate(steps):
        end += step
        ends.append(end)
        points.mark(end, noted(number), AdmissionState(), [note(number)])
        if step == 3:
            taken = data.draw(st.integers(taken, end))
            points.commit(taken)
            told += numbers(points.take_notes())
            newest = int(points.cursor.fragment or "-1")
            assert newest < 0 or ends[newest] <= taken
            assert told == list(range(newest + 1))
    points.commit(end)
    assert points.cursor.fragment == str(len(steps) - 1)
    assert told + numbers(points.take_notes()) == list(range(len(steps)))


class Recording:
    """The owner of points, and how often its values were asked for."""

    def __init__(self) -> None:
        self.number = -1
        self.asked: list[int] = []

    def noted(self, _: AdmissionState) -> Values:
        self.asked.append(self.number)
        return Values(self.number)


def test_a_file_has_one_point_whose_values_are_noted_only_when_the_cursor_is_asked_for() -> None:
    points = NoResumePoints(Cursor(fragment="before"))
    recording = Recording()

    assert points.cursor.fragment == "before"
    for number in range(3):
        recording.number = number
        points.mark(number, recording.noted, AdmissionState(), [note(number)])
        points.commit(0)
        assert len(points) == 0
    assert not recording.asked
    assert points.cursor.fragment == "2"
    assert recording.asked == [2]
    points.note([note(3)])
    assert numbers(points.take_notes()) == [0, 1, 2, 3]
    assert points.take_notes() == []
