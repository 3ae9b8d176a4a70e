"""Leaps forward of less than two seconds: a pause of the producer, or a change of its clock.

One fragment does not show which, since delays of the network differ by a second. Many do: behind a pause the server's
clock is as far behind the fragments as before. Behind a change of the clock it is less far behind, by the leap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connect_audio.values import dataclass

DELAYS: Final = 8
"""Delays that are compared on either side of a leap: some eight seconds of audio."""
LEAST_MS: Final = 100
"""Shorter leaps are never explained, ms: they are lost blocks, and delays that shift by so little mean nothing."""
_NOISE_PART: Final = 4
"""Delays of one side may differ by this part of the leap, and their shift from the leap by as much. A network that gets
faster during a pause is seldom so steady, and seldom faster by just the pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortLeap:
    """A short leap forward, and the delays before it.

    Args:
        leap_ms: its length, ms.
        least_ms: the least delay before it, ms.
        most_ms: the longest delay before it, ms.
    """

    leap_ms: int
    least_ms: int
    most_ms: int

    @classmethod
    def before(cls, leap_ms: int, delays_ms: Sequence[int]) -> ShortLeap | None:
        """Make one of the delays before it; return None if they can never explain it."""
        if leap_ms < LEAST_MS or len(delays_ms) < DELAYS:
            return None
        least_ms, most_ms = min(delays_ms), max(delays_ms)
        is_steady = _NOISE_PART * (most_ms - least_ms) <= leap_ms
        return cls(leap_ms=leap_ms, least_ms=least_ms, most_ms=most_ms) if is_steady else None

    def is_clock_change(self, delays_ms: Sequence[int]) -> bool:
        """Return True if the delays behind the leap are less by its length, so that no time has passed in it.

        Args:
            delays_ms: delays of the fragments behind it, ms.
        """
        least_ms, most_ms = min(delays_ms), max(delays_ms)
        shifts = (self.least_ms - least_ms, self.most_ms - most_ms)
        is_steady = _NOISE_PART * (most_ms - least_ms) <= self.leap_ms
        return is_steady and all(_NOISE_PART * abs(shift - self.leap_ms) <= self.leap_ms for shift in shifts)
