"""Programs that run at once, one at a time: who goes on at each call of a port is drawn, and time is simulated.

How it works. Each actor is a greenlet. `Actor.cross` is called at each call of a port. There it may go back to
`Stage.run`, which lets another actor go on: one that is drawn from the ones that do not sleep. If all sleep, the time
goes on to the first that wakes. Threads would wait for the machine's scheduler at each change.

An actor runs `life` again and again until it returns. A kill ends a life at a crossing. From then on no call of that
life has an effect, since a killed process runs no clean-up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

_MOST_CROSSINGS: Final = 6
"""Crossings that an actor passes at most before another one may go on."""
_LONGEST_S: Final = 48 * 3600


class Trouble(StrEnum):
    """What happens at a crossing."""

    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    FAIL_BEFORE = "failed before"
    FAIL_AFTER = "answer lost"
    FAIL_FOR_GOOD = "failed for good"


KILLS: Final = frozenset({Trouble.KILL_BEFORE, Trouble.KILL_AFTER})


class KilledError(BaseException):
    """The process ends."""


@dataclass
class Actor:
    """A program with its crossings.

    Args:
        stage: the run.
        name: for the trace.
        troubles: what happens at which crossing, from 1, counted over all lives.
    """

    stage: Stage
    name: str
    troubles: Mapping[int, Trouble] = field(default_factory=dict)
    crossings: int = 0
    kills: int = 0
    wake_s: float = 0.0
    is_over: bool = False
    _is_dead: bool = False
    _left: int = 1
    _greenlet: greenlet | None = None

    def begin(self, life: Callable[[], None], *, at_s: float) -> None:
        """Let the actor live from a time on, s."""
        self.wake_s = at_s
        self._greenlet = greenlet(lambda: self._run(life))

    def cross[T](self, effect: Callable[[], T], error: Callable[[bool], Exception]) -> T:
        """Make a call of a port.

        Args:
            effect: the call.
            error: makes the port's own error; its argument says whether another try may help.
        """
        self.pause()
        self.crossings += 1
        trouble = self.troubles.get(self.crossings)
        if trouble is Trouble.KILL_BEFORE:
            self.die()
        if trouble in {Trouble.FAIL_BEFORE, Trouble.FAIL_FOR_GOOD}:
            raise error(trouble is Trouble.FAIL_BEFORE)
        result = effect()
        if trouble is Trouble.KILL_AFTER:
            self.die()
        if trouble is Trouble.FAIL_AFTER:
            raise error(True)  # noqa: FBT003 - the one argument
        return result

    def pause(self) -> None:
        """Let another actor go on, if the dice say so. A killed life ends here."""
        if self._is_dead:
            raise KilledError
        self._left -= 1
        if self._left <= 0:
            self._hand_back()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        if self._is_dead:
            raise KilledError
        self.wake_s = self.stage.now_s + seconds
        self._hand_back()

    def die(self) -> None:
        """End this life."""
        self._is_dead = True
        self.kills += 1
        raise KilledError

    def go_on(self, crossings: int) -> None:
        """Go on for some crossings, or until it sleeps or is over."""
        self._left = crossings
        assert self._greenlet is not None
        self._greenlet.switch()

    def _hand_back(self) -> None:
        self.stage.hub.switch()

    def _run(self, life: Callable[[], None]) -> None:
        while not self.is_over:
            self._is_dead = False
            try:
                life()
                self.is_over = True
            except KilledError:
                self._is_dead = False
                self.sleep(self.stage.dice.uniform(1, 90))


class Stage:
    """A run. Also the clock of all that is in it.

    Args:
        dice: draws who goes on.
        start_ms: wall clock at the beginning, ms since the epoch.
    """

    def __init__(self, dice: random.Random, start_ms: int) -> None:
        self.dice = dice
        self.now_s = 0.0
        self.hub = getcurrent()
        self.actors: list[Actor] = []
        self._start_ms = start_ms
        self._current: Actor | None = None

    def actor(self, name: str, life: Callable[[Actor], None], troubles: Mapping[int, Trouble], *, at_s: float) -> Actor:
        """Add an actor that begins at a time, s."""
        made = Actor(self, name, troubles)
        self.actors.append(made)
        made.begin(lambda: life(made), at_s=at_s)
        return made

    def run(self) -> None:
        """Run until every actor is over.

        Raises:
            AssertionError: one does not end.
        """
        while living := [each for each in self.actors if not each.is_over]:
            self.now_s = max(self.now_s, min(each.wake_s for each in living))
            assert self.now_s < _LONGEST_S, f"{living[0].name} never ends"
            self._current = self.dice.choice([each for each in living if each.wake_s <= self.now_s])
            self._current.go_on(self.dice.randint(1, _MOST_CROSSINGS))

    # --- the clock ----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return self._start_ms + round(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let the actor that holds the baton sleep."""
        assert self._current is not None
        self._current.sleep(seconds)
