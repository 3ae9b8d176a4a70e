"""The fragments of a call that is over, by the stream's listing alone.

Used for recordings that are made after the call. No right on Connect is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from connect_audio.core.fragment import fragment_counter
from connect_audio.ports import Clock, FragmentIndex, ListedFragment
from connect_audio.recorder.policy import EARLY_MS

QUIET_MS: Final = 600_000
"""Silence of the stream that ends a call, ms: the idle limit of a live recording."""
_WINDOW_MS: Final = 3_600_000
"""Time that one listing asks for, ms: four pages of one call's fragments."""
_LONGEST_MS: Final = 48 * 3_600_000
"""Longest time that is listed, ms: an hour more than the longest recording. Behind it the stream counts as quiet."""

_BREAK_MS: Final = 2000
"""Longest time between the starts of two fragments without a break, ms; Connect's fragments last about a second."""
_SETTLED_MS: Final = 5000
"""Age at which a fragment surely stands in the listing, ms; the service says "typically less than one second"."""


def settled_fragments_of_call(index: FragmentIndex, start_ms: int, clock: Clock) -> Sequence[ListedFragment]:
    """List a call as `fragments_of_call`, and once more before a hole in the listing is believed.

    The listing is eventually consistent. The second question waits until the newest fragment is five seconds old.

    Args:
        index: the stream's listing.
        start_ms: StartTimestamp, ms since the epoch.
        clock: for the time and the wait.

    Returns:
        The fragments of both listings, as `fragments_of_call`.

    Raises:
        MediaSourceError: as `fragments_of_call`.
    """
    return _settled(lambda: fragments_of_call(index, start_ms, clock.now_ms()), start_ms, clock)


def settled_fragments_between(index: FragmentIndex, from_ms: int, to_ms: int, clock: Clock) -> Sequence[ListedFragment]:
    """List a range of producer time, and once more before a hole in the listing is believed.

    Args:
        index: the stream's listing.
        from_ms: least begin of a fragment, ms since the epoch, inclusive.
        to_ms: greatest begin, ms since the epoch, inclusive.
        clock: for the time and the wait.

    Returns:
        The fragments of both listings in the order of their numbers.

    Raises:
        MediaSourceError: as `fragments_of_call`.
    """

    def listing() -> Sequence[ListedFragment]:
        begins = range(from_ms, to_ms + 1, _WINDOW_MS)
        return [each for at in begins for each in index.fragments(at, min(to_ms, at + _WINDOW_MS - 1))]

    return _settled(listing, from_ms, clock)


def _settled(listing: Callable[[], Sequence[ListedFragment]], start_ms: int, clock: Clock) -> Sequence[ListedFragment]:
    found = listing()
    if len(unbroken_runs(_in_order(found))) == 1:
        return _in_order(found)
    end_ms = max((each.producer_ms + each.length_ms for each in found), default=start_ms)
    wait_ms = min(end_ms + _SETTLED_MS - clock.now_ms(), _SETTLED_MS)
    if wait_ms > 0:
        clock.sleep(wait_ms / 1000)
    return _in_order({each.number: each for each in (*found, *listing())}.values())


def unbroken_runs(fragments: Sequence[ListedFragment]) -> Sequence[Sequence[ListedFragment]]:
    """Cut a listing where it has a hole: more than two seconds between two starts, or a producer that counts anew.

    Args:
        fragments: in the order of their numbers.

    Returns:
        The runs, none of them empty; none for no fragments.
    """
    runs: list[list[ListedFragment]] = [[fragments[0]]] if fragments else []
    for before, after in pairwise(fragments):
        if _is_break(before, after):
            runs.append([])
        runs[-1].append(after)
    return runs


def _is_break(before: ListedFragment, after: ListedFragment) -> bool:
    first, second = fragment_counter(before.number), fragment_counter(after.number)
    counts_anew = first is not None and second is not None and second <= first
    return counts_anew or after.producer_ms - before.producer_ms > _BREAK_MS


def fragments_of_call(index: FragmentIndex, start_ms: int, now_ms: int) -> Sequence[ListedFragment]:
    """List a stream from a call's start to the next long silence.

    They may belong to several calls: a listing names no contact.

    Args:
        index: the stream's listing.
        start_ms: StartTimestamp, ms since the epoch.
        now_ms: wall clock, ms since the epoch.

    Returns:
        The fragments in the order of their numbers; none where the stream has none near the start.

    Raises:
        MediaSourceError: ListFragments failed; the code is `OUTSIDE_RETENTION` if the stream does not keep that time.
    """
    found: list[ListedFragment] = []
    begin_ms = start_ms - EARLY_MS
    last_ms = start_ms
    while begin_ms <= min(now_ms, start_ms + _LONGEST_MS):
        end_ms = begin_ms + _WINDOW_MS
        for each in sorted(index.fragments(begin_ms, end_ms), key=lambda fragment: fragment.producer_ms):
            if each.producer_ms - last_ms >= QUIET_MS:
                return _in_order(found)
            found.append(each)
            last_ms = each.producer_ms + each.length_ms
        if end_ms - last_ms >= QUIET_MS:
            break
        begin_ms = end_ms + 1
    return _in_order(found)


def _in_order(fragments: Iterable[ListedFragment]) -> Sequence[ListedFragment]:
    return sorted(fragments, key=lambda fragment: int(fragment.number))
