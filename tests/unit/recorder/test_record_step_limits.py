"""How long a step waits, awake or suspended, and how it ends."""

from __future__ import annotations

import pytest

from connect_audio.ports import ContactState
from connect_audio.recorder import Checkpoint, HandOver, Policy, Wait
from support.calls import call
from support.world import KEPT, World, world


def silent(at: World, checkpoint: Checkpoint) -> list[int]:
    """Steps that hear nothing of a call that Connect says goes on; the lengths of their waits, s."""
    waits = []
    for _ in range(8):
        result = at.step(checkpoint)
        assert isinstance(result.next, Wait)
        waits.append(result.next.seconds)
        at.clock.pass_by(result.next.seconds)
        checkpoint = result.checkpoint
    return waits


@pytest.mark.parametrize(
    ("retention", "expected"),
    [(24, [10, 20, 40, 80, 160, 300, 300, 300]), (None, [10, 20, 40, 60, 60, 60, 60, 60])],
)
def test_waits_in_a_row_double_up_to_their_longest(retention: int | None, expected: list[int]) -> None:
    at = world(call(3), status=ContactState.CONNECTED)
    at.claim()
    at.source.fragments.clear()
    start = KEPT if retention else Checkpoint()

    assert silent(at, start) == expected


def test_a_new_fragment_makes_the_next_wait_short_again() -> None:
    at = world(call(3), status=ContactState.CONNECTED)
    at.claim()
    kept, at.source.fragments = at.source.fragments, []
    checkpoint = KEPT
    waits = []
    for index in range(5):
        if index == 3:
            at.source.fragments = kept
        result = at.step(checkpoint)
        assert isinstance(result.next, Wait)
        waits.append(result.next.seconds)
        checkpoint = result.checkpoint

    # The step that read some waits as the first one does, and the next one twice as long.
    assert waits == [10, 20, 40, 10, 20]


@pytest.mark.parametrize("patience", [30.0, 12.0])
def test_a_step_waits_awake_for_as_long_as_its_patience(patience: float) -> None:
    at = world(call(3), status=ContactState.CONNECTED, policy=Policy(patience=patience))
    at.claim()
    result = at.step(KEPT)

    assert isinstance(result.next, Wait)
    assert patience <= at.clock.monotonic() < patience + Policy().longest_backoff + 1


def test_a_step_without_time_hands_over_at_once_and_reads_nothing() -> None:
    at = world(call(3))
    at.claim()
    result = at.step(KEPT, budget_s=0.0)

    assert isinstance(result.next, HandOver)
    assert at.source.selectors == []


def test_audio_that_comes_after_connect_said_disconnected_is_waited_for_anew() -> None:
    # The drain counts from the newest audio, not from the first word of Connect.
    at = world(call(60), live=True)
    at.status.disconnected_at_ms = at.source.fragments[20].at_ms
    run = at.run()

    assert run.outcome.duration_s == pytest.approx(60, abs=0.1)
    assert run.outcome.status == "complete"
    assert at.clock.monotonic() >= 60 + Policy().drain
