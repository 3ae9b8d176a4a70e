"""The numbers of the admitted fragments, as ranges: what was admitted before, and how many are missing between two.

Numbers of a producer session count its fragments (`fragment_counter`), so a whole call is one range. A number of
another form is a range of its own.
"""

from __future__ import annotations

from typing import Final

from connect_audio.core.fragment import fragment_counter, missing_between
from connect_audio.values import dataclass

MAX_RANGES: Final = 16
"""Ranges that are kept, by their last change. An older one is dropped: its fragments count as never admitted."""


_COUNT: Final = 1 << 92
"""Difference of two numbers whose counters differ by 1; what lies below it is the server's clock."""
_NEXT_BUT_LATER: Final = _COUNT + _COUNT // 2
"""The difference to the next number stays below it if the server's clock has not gone back."""


@dataclass(slots=True)
class NumberRange:
    """Fragment numbers whose counters follow each other. A new value replaces the one before.

    Args:
        first: the first number.
        last: the last number; the same for a range of one.
        beyond_ms: how far the server's clock in any of its numbers lies outside of the two, ms at most.
    """

    first: str
    last: str
    beyond_ms: int = 0


class AdmittedNumbers:
    """Numbers of admitted fragments.

    Args:
        ranges: ranges to continue from, in the order of their last change.
    """

    __slots__ = ("_last", "ranges")

    def __init__(self, ranges: tuple[NumberRange, ...] = ()) -> None:
        self.ranges = ranges
        """The ranges, in the order of their last change."""
        self._last = self._only_last()

    def add(self, number: str | None) -> bool:
        """Take the number of an admitted fragment; None for none.

        Returns:
            True if it was admitted before.
        """
        if number is None:
            return False
        if self._last is not None:
            # Nearly every number is the next one of the only range, and the server's clock has gone on.
            try:
                value = int(number)
            except ValueError:
                value = 0
            if _COUNT <= value - self._last < _NEXT_BUT_LATER:
                self.ranges = (NumberRange(self.ranges[0].first, number),)
                self._last = value
                return False
        if self.holds(number):
            return True
        counter = fragment_counter(number)
        added = NumberRange(number, number)
        others = []
        for each in self.ranges:
            joined = None if counter is None else _joined(each, added)
            if joined is None:
                others.append(each)
            else:
                added = joined
        self.ranges = (*others, added)[-MAX_RANGES:]
        self._last = self._only_last()
        return False

    def _only_last(self) -> int | None:
        """The last number if all are in one range, and the latest by the server's clock; else None."""
        if len(self.ranges) != 1:
            return None
        only = self.ranges[0]
        if fragment_counter(only.last) is None or only.beyond_ms or _server_ms(only.last) < _server_ms(only.first):
            return None
        return int(only.last)

    def holds(self, number: str) -> bool:
        """Return True if a fragment of this number was admitted."""
        counter = fragment_counter(number)
        return any(_is_in(number, counter, each) for each in self.ranges)

    def missing_between(self, before: str | None, after: str | None) -> int | None:
        """Return how many fragments between two numbers were not admitted; None if the numbers do not show it.

        Args:
            before: number of the fragment whose audio stands in front.
            after: number of the fragment behind; a lower one if the times of the two are swapped.
        """
        first, second = fragment_counter(before), fragment_counter(after)
        if before is not None and after is not None and first is not None and second is not None and second < first:
            if _server_ms(after) > _server_ms(before):
                # Another session has begun to count anew.
                return None
            before, after, first, second = after, before, second, first
        missing = missing_between(before, after)
        if missing is None or first is None or second is None or before is None or after is None:
            return None
        for each in self.ranges if missing else ():
            low, high = fragment_counter(each.first), fragment_counter(each.last)
            if low is not None and high is not None and each.first <= after and each.last >= before:
                missing -= max(0, min(high, second - 1) - max(low, first + 1) + 1)
        return max(0, missing)


def _is_in(number: str, counter: int | None, each: NumberRange) -> bool:
    if number in (each.first, each.last):
        return True
    low, high = fragment_counter(each.first), fragment_counter(each.last)
    if counter is None or low is None or high is None or not low <= counter <= high:
        return False
    # Another session may have the same counter, at another time.
    earliest_ms, latest_ms = _clock(each)
    return earliest_ms <= _server_ms(number) <= latest_ms


def _server_ms(number: str) -> int:
    """The server's clock in a number with a counter, ms since the epoch."""
    return (int(number) >> 28) & (1 << 64) - 1


def _clock(each: NumberRange) -> tuple[int, int]:
    """The earliest and the latest server's clock that a number in a range may have, ms since the epoch."""
    ends = _server_ms(each.first), _server_ms(each.last)
    return min(ends) - each.beyond_ms, max(ends) + each.beyond_ms


def _joined(one: NumberRange, other: NumberRange) -> NumberRange | None:
    """Join two ranges that follow each other in either order; None if they do not."""
    for low, high in ((one, other), (other, one)):
        last, first = fragment_counter(low.last), fragment_counter(high.first)
        if last is not None and first is not None and first == last + 1:
            clocks = *_clock(low), *_clock(high)
            earliest_ms, latest_ms = _clock(NumberRange(low.first, high.last))
            beyond_ms = max(0, earliest_ms - min(clocks), max(clocks) - latest_ms)
            return NumberRange(low.first, high.last, beyond_ms)
    return None
