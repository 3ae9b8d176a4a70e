"""The limits of admission: counters of one producer session."""

from __future__ import annotations

import pytest

from connect_audio.core.admission import Label, ProducerSession, Verdict

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
