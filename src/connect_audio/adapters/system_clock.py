"""The machine's clock as the `Clock` port; the composition roots inject it, tests inject one of their own."""

from __future__ import annotations

import time


class SystemClock:
    """The real time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)
    """Seconds of a clock that never steps back."""

    def sleep(self, seconds: float) -> None:
        """Wait; not at all for zero or a negative number of seconds."""
        if seconds > 0:
            time.sleep(seconds)
