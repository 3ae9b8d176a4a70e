"""The emulator's time: the system's, or one that a test moves by hand so that nothing has to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Seconds that never step back, and what is needed to sleep until one of them."""

    def monotonic(self) -> float:
        """Seconds since any fixed point."""

    def seconds_to(self, deadline: float) -> float | None:
        """Real seconds until `deadline`, or None where only a wake-up can bring it nearer."""

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called whenever time was moved by hand; returns the function that ends it."""


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        """Seconds of `time.monotonic`."""
        return time.monotonic()

    def seconds_to(self, deadline: float) -> float | None:
        """Real seconds until `deadline`; None for never."""
        return None if deadline == float("inf") else max(0.0, deadline - time.monotonic())

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Do nothing: no caller moves this clock."""
        del wake
        return lambda: None


class ManualClock:
    """Time that stands still until it is advanced. For tests; safe to advance from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0.0
        self._wakers: list[Callable[[], None]] = []

    def advance(self, seconds: float) -> None:
        """Let time pass and wake everyone who waits for it."""
        with self._lock:
            self._now += seconds
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        with self._lock:
            return self._now

    def seconds_to(self, deadline: float) -> float | None:
        """Always None: only `advance` brings a deadline nearer."""
        del deadline
        return None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each `advance`."""
        with self._lock:
            self._wakers.append(wake)

        def unsubscribe() -> None:
            with self._lock:
                self._wakers.remove(wake)

        return unsubscribe
