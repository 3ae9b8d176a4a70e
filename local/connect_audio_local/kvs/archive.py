"""The archive APIs of one emulated stream: ListFragments and GetMediaForFragmentList over what the stream retains.

Pure: no HTTP and no clock. `server.py` serves it. The rules come from AWS's documentation, botocore's model and public
issue threads. ListFragments selects fragments by their start, both ends of the range inclusive. Its pages have no
order.
"""

from __future__ import annotations

import math
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from connect_audio_local.kvs.archive_behaviour import ArchiveBehaviour, ArchiveOrder, ArchiveSpelling
from connect_audio_local.kvs.archive_document import archive_document, not_found_document
from connect_audio_local.kvs.capture import block_ends
from connect_audio_local.kvs.service_error import ServiceError, invalid_argument

if TYPE_CHECKING:
    from connect_audio_local.kvs.capture import StoredFragment

MOST_FRAGMENTS: Final = 1000
"""Most fragments of one listing's page, and of one GetMediaForFragmentList; the service model's bound."""
_USUAL_RESULTS: Final = 100
"""Fragments of a page where the request names no MaxResults; AWS's default."""
_HOUR_MS: Final = 60 * 60 * 1000
_MOST_LISTINGS: Final = 64
"""Listings whose next pages are kept; an older token is invalid."""
_NUMBER = re.compile(r"[0-9]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """The retained part of the stream, at one moment.

    Args:
        fragments: the retained fragments, oldest first.
        retention_hours: DataRetentionInHours.
        newest_ms: end of the newest fragment ever stored, ms since the epoch.
    """

    fragments: Sequence[StoredFragment]
    retention_hours: int
    newest_ms: int


class Archive:
    """One stream's archive. Thread-safe.

    Args:
        behaviour: how it answers.
    """

    def __init__(self, behaviour: ArchiveBehaviour) -> None:
        self.behaviour = behaviour
        self._lock = threading.Lock()
        self._random = random.Random(behaviour.seed)
        self._listings = 0
        self._pages: dict[str, list[StoredFragment]] = {}
        self._misses: Counter[str] = Counter()
        self._lengths_ms: dict[str, int] = {}

    def list_fragments(self, request: Mapping[str, Any], view: ArchiveView) -> dict[str, Any]:
        """Answer ListFragments.

        Args:
            request: the request's fields.
            view: the retained part of the stream.

        Raises:
            ServiceError: InvalidArgumentException, or ResourceNotFoundException outside the retention.
        """
        size = _max_results(request)
        with self._lock:
            found = self._next_page(request["NextToken"]) if "NextToken" in request else self._listing(request, view)
            page, further = found[:size], found[size:]
            answer: dict[str, Any] = {"Fragments": [self._listed(each) for each in page]}
            if further:
                answer["NextToken"] = self._keep(further)
        return answer

    def documents(self, request: Mapping[str, Any], view: ArchiveView) -> Iterator[bytes]:
        """Return the documents of a GetMediaForFragmentList answer, each made when it is asked for.

        Args:
            request: the request's fields.
            view: the retained part of the stream.

        Raises:
            ServiceError: InvalidArgumentException.
        """
        wanted = _wanted(request)
        stored = {each.number: each for each in view.fragments if each.number}
        oldest = min((int(number) for number in stored), default=math.inf)
        if any(number not in stored and int(number) >= oldest for number in wanted):
            raise invalid_argument("Fragment numbers are invalid")
        with self._lock:
            found = [(number, self._found(number, stored.get(number))) for number in wanted]
            if self.behaviour.order is ArchiveOrder.SHUFFLED:
                self._random.shuffle(found)
        is_side = self.behaviour.spelling is ArchiveSpelling.SIDE
        return (
            not_found_document(number) if fragment is None else archive_document(fragment.load(), is_side=is_side)
            for number, fragment in found
        )

    def _found(self, number: str, fragment: StoredFragment | None) -> StoredFragment | None:
        times = self.behaviour.not_found.get(number, 0)
        if times is not None and self._misses[number] >= times:
            return fragment
        self._misses[number] += 1
        return None

    def _listing(self, request: Mapping[str, Any], view: ArchiveView) -> list[StoredFragment]:
        selector = request.get("FragmentSelector")
        if not isinstance(selector, Mapping):
            raise invalid_argument("FragmentSelector is missing, and there is no NextToken")
        kind, begin_ms, end_ms = _range(selector)
        now_ms = view.newest_ms + self.behaviour.age_ms
        oldest_ms = now_ms - view.retention_hours * _HOUR_MS
        by_server = kind == "SERVER_TIMESTAMP"
        if view.retention_hours == 0 or end_ms < oldest_ms:
            if by_server:
                raise invalid_argument(f"End timestamp {end_ms} is outside of the stream retention period.")
            raise ServiceError("ResourceNotFoundException", 404, "no fragments in the stream for the given range")
        self._listings += 1
        found = [
            each
            for each in view.fragments
            if each.number
            and self.behaviour.late.get(each.number, 0) < self._listings
            and each.end_ms > oldest_ms
            and begin_ms <= (each.server_ms if by_server else each.producer_ms) <= end_ms
        ]
        self._random.shuffle(found)
        return found

    def _next_page(self, token: object) -> list[StoredFragment]:
        # The same token may come again: an SDK repeats a request whose answer was lost.
        found = self._pages.get(token) if isinstance(token, str) else None
        if found is None:
            raise invalid_argument("NextToken was not issued by this service, or is too old")
        return found

    def _listed(self, fragment: StoredFragment) -> dict[str, Any]:
        length_ms = self._lengths_ms.get(fragment.number)
        if length_ms is None:
            length_ms = self._lengths_ms[fragment.number] = _listed_length_ms(fragment)
        return {
            "FragmentNumber": fragment.number,
            "FragmentSizeInBytes": fragment.size,
            "ProducerTimestamp": fragment.producer_ms / 1000,
            "ServerTimestamp": fragment.server_ms / 1000,
            "FragmentLengthInMilliseconds": length_ms,
        }

    def _keep(self, further: list[StoredFragment]) -> str:
        token = f"{self._random.getrandbits(128):032x}"
        self._pages[token] = further
        while len(self._pages) > _MOST_LISTINGS:
            del self._pages[next(iter(self._pages))]
        return token


def _listed_length_ms(fragment: StoredFragment) -> int:
    """Time from the fragment's start to its last block's start: the service leaves out the last block, ms."""
    ends = sorted({whole_ms for _, whole_ms in block_ends(fragment.load())})
    return ends[-2] if len(ends) > 1 else 0


def _max_results(request: Mapping[str, Any]) -> int:
    size = request.get("MaxResults", _USUAL_RESULTS)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST_FRAGMENTS:
        raise invalid_argument(f"MaxResults is not 1 to {MOST_FRAGMENTS}")
    return size


def _wanted(request: Mapping[str, Any]) -> list[str]:
    wanted = request.get("Fragments")
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST_FRAGMENTS:
        raise invalid_argument(f"Fragments is not a list of 1 to {MOST_FRAGMENTS} fragment numbers")
    if not all(isinstance(number, str) and _NUMBER.fullmatch(number) for number in wanted):
        raise invalid_argument("Fragment numbers are invalid")
    return wanted


def _range(selector: Mapping[str, Any]) -> tuple[str, int, int]:
    kind, span = selector.get("FragmentSelectorType"), selector.get("TimestampRange")
    if kind not in ("PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP"):
        raise invalid_argument(f"FragmentSelectorType {kind!r} is neither PRODUCER_TIMESTAMP nor SERVER_TIMESTAMP")
    if not isinstance(span, Mapping):
        raise invalid_argument("TimestampRange is missing")
    begin_ms, end_ms = (_ms(span, name) for name in ("StartTimestamp", "EndTimestamp"))
    if begin_ms > end_ms:
        raise invalid_argument("StartTimestamp is after EndTimestamp")
    return kind, begin_ms, end_ms


def _ms(span: Mapping[str, Any], name: str) -> int:
    value = span.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid_argument(f"TimestampRange needs {name}, seconds since the epoch")
    return round(value * 1000)
