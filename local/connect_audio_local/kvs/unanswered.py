"""Why a request got nothing, in one plain line for the terminal of `connect-audio emulate` and `cloud`.

Pure. A client often sees an empty body alone, or an error of three words. The lines carry ids and times, and nothing
else of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from connect_audio_local.kvs.archive import ArchiveView
    from connect_audio_local.kvs.capture import StoredFragment

_LEAST_MS: Final = 100_000_000_000
"""A time of so many seconds is in the year 5138: it was meant in ms."""
_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999, s since the epoch: a date that can be written."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that got an error, or nothing.

    Args:
        operation: the API's name.
        place: the stream or contact that it asked for; empty where it named none.
        why: the reason.
        caught_up: True where all is well: the reader has everything that there is.
    """

    operation: str
    place: str
    why: str
    caught_up: bool = False

    def __str__(self) -> str:
        return f"{self.operation}{f' of {self.place}' if self.place else ''}: {self.why}"


def empty_body(stream_name: str, selector: Mapping[str, Any], view: ArchiveView) -> Unanswered | None:
    """Say why GetMedia sends nothing now; None where it sends something.

    Args:
        stream_name: the stream.
        selector: StartSelector of the request, which the stream has accepted.
        view: the retained part of the stream.
    """
    caught_up = False
    if not view.fragments:
        why: str | None = "the stream has no fragment yet, or retains none"
    elif selector["StartSelectorType"] in ("PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP"):
        why = _beyond(selector, view)
    else:
        number = selector.get("AfterFragmentNumber") or selector.get("ContinuationToken")
        caught_up = number is not None and not any(int(each.number or 0) > int(number) for each in view.fragments)
        why = f"no fragment follows {number}" if caught_up else None
    return None if why is None else Unanswered("GetMedia", f"stream {stream_name}", why, caught_up)


def empty_listing(stream_name: str, selector: Mapping[str, Any], view: ArchiveView) -> Unanswered:
    """Say why ListFragments found nothing.

    Args:
        stream_name: the stream.
        selector: FragmentSelector of the request, which the archive has accepted.
        view: the retained part of the stream.
    """
    span = selector["TimestampRange"]
    for name in ("StartTimestamp", "EndTimestamp"):
        if span[name] >= _LEAST_MS:
            return Unanswered("ListFragments", f"stream {stream_name}", _in_ms(name, span[name]))
    why = f"no fragment begins from {_time(span['StartTimestamp'])} to {_time(span['EndTimestamp'])}"
    return Unanswered("ListFragments", f"stream {stream_name}", f"{why}{_extent(view, selector)}")


def _beyond(selector: Mapping[str, Any], view: ArchiveView) -> str | None:
    start = selector["StartTimestamp"]
    if start * 1000 < max(_end_ms(each, selector["StartSelectorType"]) for each in view.fragments):
        return None
    if start >= _LEAST_MS:
        return _in_ms("StartTimestamp", start)
    end = max(_end_ms(each, selector["StartSelectorType"]) for each in view.fragments)
    return f"StartTimestamp {start} ({_time(start)}) is not before the stream's end at {_time(end / 1000)}"


def _in_ms(name: str, value: float) -> str:
    return f"{name} {value:.0f} is in milliseconds, and seconds since the epoch are wanted: {value / 1000:.3f}"


def _extent(view: ArchiveView, selector: Mapping[str, Any]) -> str:
    if not view.fragments:
        return "; the stream retains none"
    by_server = selector.get("FragmentSelectorType") == "SERVER_TIMESTAMP"
    starts = [each.server_ms if by_server else each.producer_ms for each in view.fragments]
    return f"; the stream's fragments begin from {_time(min(starts) / 1000)} to {_time(max(starts) / 1000)}"


def _end_ms(fragment: StoredFragment, kind: str) -> int:
    """The end of a fragment in the selector's time, ms since the epoch."""
    return (fragment.server_ms if kind == "SERVER_TIMESTAMP" else fragment.producer_ms) + fragment.duration_ms


def _time(seconds: float) -> str:
    """A time in words; the number where it is no date."""
    if not 0 <= seconds <= _LAST_SECOND:
        return f"{seconds:.0f}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
