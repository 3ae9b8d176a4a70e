"""The limits of admission: counters of one producer session."""

from __future__ import annotations

import pytest

from connect_audio.core.admission import Admission, AdmissionState, Label, ProducerSession, Verdict
from core_support.fragments_by_hand import START_MS, block, fragment

SESSION = ProducerSession(first=20, last=30)


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        (31, (20, 31)),
        (30, (20, 30)),
        (25, (20, 30)),
        (20, (20, 30)),
        (19, (19, 30)),
        (12, (12, 30)),
        (11, (11, 11)),
        (32, (32, 32)),
        (1_000, (1_000, 1_000)),
    ],
)
def test_a_session_takes_the_next_counter_or_one_a_little_out_of_order(counter: int, expected: tuple[int, int]) -> None:
    session = SESSION.with_counter(counter)

    assert (session.first, session.last) == expected


@pytest.mark.parametrize(("counter", "goes_on"), [(31, True), (30, False), (32, False), (None, False)])
def test_only_the_next_counter_goes_on_with_a_session(counter: int | None, goes_on: bool) -> None:  # noqa: FBT001
    assert SESSION.goes_on_with(counter) is goes_on
    assert SESSION.after(counter) == (ProducerSession(20, 31) if goes_on else SESSION)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_two_verdicts_admit(verdict: Verdict) -> None:
    assert verdict.admitted is (verdict in {Verdict.OURS, Verdict.OURS_BY_NEIGHBOURS})


def test_labels_are_three() -> None:
    assert len(Label) == 3


@pytest.mark.parametrize(
    ("other", "start", "end", "expected"),
    [
        (None, -3_000, 0, (0, None)),
        (None, -2_001, 2_000, (2_000, None)),
        (None, -2_001, 2_001, (0, 2_001)),
        (None, -2_000, -1, (0, None)),
        (None, -2_001, -1, (0, -1)),
        (None, 2_000, 5_000, (5_000, None)),
        (None, 2_001, 5_000, (5_000, 2_999)),
        (50_000, 48_000, 49_000, (49_000, None)),
        (50_000, 47_999, 49_000, (49_000, 1_001)),
        (50_000, 52_000, 53_000, (53_000, None)),
        (50_000, 52_001, 53_000, (53_000, 999)),
        (-50_000, -52_000, -51_000, (-51_000, None)),
        (-50_000, -52_001, -51_000, (0, -51_000)),
    ],
)
def test_the_end_moves_with_audio_that_runs_on_and_has_a_double_behind_a_leap(
    other: int | None, start: int, end: int, expected: tuple[int, int | None]
) -> None:
    # The audio so far ends at 0 ms; all times count from there.
    state = AdmissionState(Label.OURS, START_MS, None if other is None else START_MS + other)
    admission = Admission("ours", state)
    # A fragment lasts as long as from its first block to its last, and once that distance more.
    half = (end - start) / 2
    one = fragment(1, "ours", blocks=[block(1, start, bytes(2)), block(1, start + half, bytes(2))])

    (decision,) = admission.add(one)

    after = decision.state
    told = [None if each is None else each - START_MS for each in (after.end_ms, after.other_end_ms)]
    assert tuple(told) == expected
