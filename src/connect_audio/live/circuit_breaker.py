"""Pauses between the tries of one sink: a growing pause after each failure, a long one after many in a row.

*How it works.* A failure that may pass is retried after a short pause, which doubles with each failure in a row. After
`LivePolicy.failures_to_open` failures in a row the circuit is open. The sink then gets one try after a long pause,
which doubles with each failed try. One success closes the circuit. No clock and no thread: times come in.

Used by `live/sink_progress.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from connect_audio.live.policy import LivePolicy


class CircuitBreaker:
    """One sink's failures and pauses.

    Args:
        policy: durations and limits.
        jitter: returns 0 to 1.
    """

    def __init__(self, policy: LivePolicy, jitter: Callable[[], float]) -> None:
        self._policy = policy
        self._jitter = jitter
        self._tries = 0  # tries of the current piece
        self._failed_in_row = 0
        self._opened_in_row = 0
        self.wait_until = 0.0
        """Time before which nothing is tried, monotonic seconds."""

    @property
    def is_open(self) -> bool:
        """True after many failures in a row, until one try succeeds."""
        return self._opened_in_row > 0

    @property
    def exhausted(self) -> bool:
        """True if the piece under way has had all its tries."""
        most = self._policy.most_tries
        return most is not None and self._tries >= most

    def next_piece(self) -> None:
        """Begin to count the tries of another piece."""
        self._tries = 0

    def succeeded(self) -> None:
        """Note that the sink has taken something."""
        self._tries = self._failed_in_row = self._opened_in_row = 0
        self.wait_until = 0.0

    def failed(self, now: float, *, retryable: bool) -> bool:
        """Note that the sink has refused something.

        Args:
            now: monotonic seconds.
            retryable: True if another try may succeed.

        Returns:
            True if the circuit opened, or stays open for another pause.
        """
        policy = self._policy
        self._failed_in_row += 1
        self._tries += 1
        opens = self._failed_in_row >= policy.failures_to_open
        if opens:
            pause = min(policy.longest_open, policy.open * 2 ** min(self._opened_in_row, 16))
            self._opened_in_row += 1
        elif retryable:
            pause = min(policy.longest_backoff, policy.first_backoff * 2 ** min(self._failed_in_row - 1, 16))
        else:
            return False
        self.wait_until = now + pause * (0.5 + self._jitter() / 2)
        return opens

    def retry_now(self) -> None:
        """End the pause: the end of the call leaves no time for a later try."""
        self.wait_until = 0.0
