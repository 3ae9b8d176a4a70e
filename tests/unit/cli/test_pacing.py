"""How long blocks wait for their time."""

from __future__ import annotations

import pytest

from connect_audio_cli.replay.pacing import Pacer
from support.clock import FakeClock

SECOND = 1_000_000_000
NOON = 1_782_900_000 * SECOND


@pytest.mark.parametrize("speed", [0.5, 1, 8])
def test_blocks_take_together_as_long_as_their_audio_divided_by_the_speed(speed: float) -> None:
    clock = FakeClock()
    pacer = Pacer(clock, speed, lambda: None)

    for number in range(100):
        for _party in range(2):
            pacer.wait(NOON + number * SECOND // 16, NOON + (number + 1) * SECOND // 16)

    assert sum(clock.slept) == pytest.approx(100 / 16 / speed)


def test_a_pause_of_the_call_is_waited_for_in_pieces_between_which_others_are_looked_after() -> None:
    clock, looked_after = FakeClock(), list[float]()
    pacer = Pacer(clock, 1, lambda: looked_after.append(clock.monotonic()))

    pacer.wait(NOON, NOON)
    pacer.wait(NOON + 30 * SECOND, NOON + 31 * SECOND)

    assert sum(clock.slept) == pytest.approx(31)
    assert max(clock.slept) <= 0.5
    assert len(looked_after) == len(clock.slept)


def test_what_comes_late_does_not_wait_and_the_pace_stays_the_call_s() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, 1, lambda: None)
    pacer.wait(NOON, NOON + SECOND)

    clock.pass_by(5)  # the input stood still
    for number in range(1, 8):
        pacer.wait(NOON + number * SECOND, NOON + (number + 1) * SECOND)

    assert clock.monotonic() == pytest.approx(8), "five seconds late, and caught up with"


@pytest.mark.parametrize("leap", [61 * SECOND, -90 * SECOND, 2**62])
def test_a_leap_of_the_times_is_not_waited_for(leap: int) -> None:
    clock = FakeClock()
    pacer = Pacer(clock, 1, lambda: None)
    pacer.wait(NOON, NOON + SECOND)

    for number in range(1, 4):
        pacer.wait(NOON + leap + number * SECOND, NOON + leap + (number + 1) * SECOND)

    assert sum(clock.slept) == pytest.approx(4), "of the audio alone"
