"""Clocks that a test moves by hand."""

from __future__ import annotations

from connect_audio_local.synthesis.calls import DEFAULT_START_MS


class FakeClock:
    """Time that passes only where somebody waits."""

    def __init__(self, now_ms: int = DEFAULT_START_MS) -> None:
        self._start_ms = now_ms
        self._elapsed = 0.0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._elapsed += seconds

    def pass_by(self, seconds: float) -> None:
        """Let time pass without anybody sleeping."""
        self._elapsed += seconds
