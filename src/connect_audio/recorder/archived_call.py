"""The fragments of a call that is over, by the stream's listing alone.

Used for recordings that are made after the call. No right on Connect is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connect_audio.ports import FragmentIndex, ListedFragment
from connect_audio.recorder.policy import EARLY_MS

QUIET_MS: Final = 600_000
"""Silence of the stream that ends a call, ms: the idle limit of a live recording."""
_WINDOW_MS: Final = 3_600_000
"""Time that one listing asks for, ms: four pages of one call's fragments."""
_LONGEST_MS: Final = 48 * 3_600_000
"""Longest time that is listed, ms: an hour more than the longest recording. Behind it the stream counts as quiet."""


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


def _in_order(fragments: Sequence[ListedFragment]) -> Sequence[ListedFragment]:
    return sorted(fragments, key=lambda fragment: int(fragment.number))
