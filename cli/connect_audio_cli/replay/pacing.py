"""The pace of a call that is over: each block waits until it would have been there. `replay --speed` uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connect_audio.ports import Clock

_LONGEST_WAIT_S: Final = 60
"""Media time that is waited for in one go: one damaged time in a capture must not mean a wait of years."""
_SLICE_S: Final = 0.5


class Pacer:
    """Lets media time pass at a speed, from the first block on.

    Args:
        clock: the clock on the wall.
        speed: media seconds a second.
        meanwhile: called repeatedly during a wait.
    """

    def __init__(self, clock: Clock, speed: float, meanwhile: Callable[[], None]) -> None:
        self._clock = clock
        self._speed = speed
        self._meanwhile = meanwhile
        self._began_s = 0.0
        self._began_ns: int | None = None
        self._newest_ns = 0

    def wait(self, start_ns: int, end_ns: int) -> None:
        """Wait until a block's last sample would have been spoken; not at all where that has passed.

        If the times jump by more than a minute, in either direction, the pace begins anew with the block.

        Args:
            start_ns: time of its first sample, ns.
            end_ns: time after its last sample, ns.
        """
        if self._began_ns is None or abs(end_ns - self._newest_ns) > _LONGEST_WAIT_S * 1_000_000_000:
            self._began_s, self._began_ns = self._clock.monotonic(), start_ns
        self._newest_ns = end_ns
        due_s = self._began_s + (end_ns - self._began_ns) / 1e9 / self._speed
        while (left_s := due_s - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, _SLICE_S))
            self._meanwhile()
