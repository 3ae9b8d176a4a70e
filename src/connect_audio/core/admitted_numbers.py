"""The numbers of the admitted fragments, as ranges: what was admitted before, and how many are missing between two.

Numbers of a producer session count its fragments (`fragment_counter`), so a whole call is one range. A number of
another form is a range of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connect_audio.core.fragment import fragment_counter, missing_between

MAX_RANGES: Final = 16
"""Ranges that are kept, by their last change. An older one is dropped: its fragments count as never admitted."""


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Fragment numbers whose counters follow each other.

    Args:
        first: the first number.
        last: the last number; the same for a range of one.
    """

    first: str
    last: str


class AdmittedNumbers:
    """Numbers of admitted fragments.

    Args:
        ranges: ranges to continue from, in the order of their last change.
    """

    __slots__ = ("_last_counter", "ranges")

    def __init__(self, ranges: tuple[NumberRange, ...] = ()) -> None:
        self.ranges = ranges
        """The ranges, in the order of their last change."""
        self._last_counter = fragment_counter(ranges[-1].last) if ranges else None

    def add(self, number: str | None) -> bool:
        """Take the number of an admitted fragment; None for none.

        Returns:
            True if it was admitted before.
        """
        if number is None:
            return False
        counter, last = fragment_counter(number), self._last_counter
        if counter is not None and last is not None and counter == last + 1 and len(self.ranges) == 1:
            only = self.ranges[0]
            if number > only.last:
                self.ranges = (NumberRange(only.first, number),)
                self._last_counter = counter
                return False
        if self.holds(number):
            return True
        added = NumberRange(number, number)
        others = []
        for each in self.ranges:
            joined = None if counter is None else _joined(each, added)
            if joined is None:
                others.append(each)
            else:
                added = joined
        self.ranges = (*others, added)[-MAX_RANGES:]
        self._last_counter = fragment_counter(added.last)
        return False

    def holds(self, number: str) -> bool:
        """Return True if a fragment of this number was admitted."""
        counter = fragment_counter(number)
        return any(_is_in(number, counter, each) for each in self.ranges)

    def missing_between(self, before: str | None, after: str | None) -> int | None:
        """Return how many fragments between two numbers were not admitted; None if the numbers do not show it."""
        missing = missing_between(before, after)
        first, second = fragment_counter(before), fragment_counter(after)
        if missing is None or first is None or second is None or before is None or after is None:
            return None
        for each in self.ranges if missing else ():
            low, high = fragment_counter(each.first), fragment_counter(each.last)
            if low is not None and high is not None and each.first <= after and each.last >= before:
                missing -= max(0, min(high, second - 1) - max(low, first + 1) + 1)
        return max(0, missing)


def _is_in(number: str, counter: int | None, each: NumberRange) -> bool:
    # Numbers with a counter all have as many digits, so that their order is the order of their text.
    if number in (each.first, each.last):
        # The server's clock may have gone back inside the range.
        return True
    if counter is None or not each.first <= number <= each.last:
        return False
    # Another session may have the same counter, at another time.
    return _server_ms(each.first) <= _server_ms(number) <= _server_ms(each.last)


def _server_ms(number: str) -> int:
    """The server's clock in a number with a counter, ms since the epoch."""
    return (int(number) >> 28) & (1 << 64) - 1


def _joined(one: NumberRange, other: NumberRange) -> NumberRange | None:
    """Join two ranges that follow each other in either order; None if they do not."""
    for low, high in ((one, other), (other, one)):
        last, first = fragment_counter(low.last), fragment_counter(high.first)
        if last is not None and first is not None and first == last + 1 and low.last < high.first:
            return NumberRange(low.first, high.last)
    return None
