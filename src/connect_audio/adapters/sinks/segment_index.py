"""The index of a call's segments as values: pages of 600 segments each, and a head over them.

Only the newest page is rewritten with each segment, and it keeps its entries' text. So a segment costs the same in the
first minute of a call and in its 47th hour. Schema: `docs/segments-index.schema.json`.

*How it works.* An `IndexPage` holds its entries as encoded text; `put` adds one and `encode` joins them. An `IndexHead`
counts the segments of each page and keeps the missing ranges (`MissingSegments`). `decode` reads either back and
refuses the index of another call. The sink decides when to write.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.manifest import rfc3339
from connect_audio.core.segment_wav import SegmentWav

SCHEMA_VERSION: Final = "1.0"
PAGE_SEGMENTS: Final = 600
HEAD_NAME: Final = "index.json"
MAX_RANGES: Final = 1000
"""Missing ranges that the head lists; beyond, it counts their segments alone."""


class State(StrEnum):
    """State of a call's index: more segments may come, or the call is over."""

    LIVE = "live"
    ENDED = "ended"


class DamagedIndexError(ValueError):
    """The text is no index."""


class ForeignIndexError(ValueError):
    """The index is of another call, of other settings or of another version of the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedCall:
    """The constant facts about a call, which the head and every page repeat.

    Args:
        contact_id: the call's contact.
        recording: URI or file name of the recording that the segments are of.
        segment_seconds: length of a segment but the last.
        layout: `stereo` or `tracks`.
        sample_rate: samples a second of the WAVs; None before the first segment.
    """

    contact_id: str
    recording: str
    segment_seconds: int
    layout: str
    sample_rate: int | None

    def to_json(self) -> dict[str, Any]:
        """The fields that head and page begin with."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            "contactId": self.contact_id,
            "recording": self.recording,
            "segmentSeconds": self.segment_seconds,
            "layout": self.layout,
            "sampleRate": self.sample_rate,
        }

    def read(self, text: bytes) -> dict[str, Any]:
        """Read a head or a page of this call.

        Raises:
            DamagedIndexError: it is no index.
            ForeignIndexError: it is another's; the message names the difference.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise DamagedIndexError("it is no JSON") from exc
        mine = self.to_json()
        if not isinstance(found, dict) or not mine.keys() <= found.keys():
            raise DamagedIndexError("it lacks a field that every index has")
        major, _, _ = str(found["schemaVersion"]).partition(".")
        if major != SCHEMA_VERSION.partition(".")[0]:
            raise ForeignIndexError(f"schemaVersion {str(found['schemaVersion'])[:20]} instead of {SCHEMA_VERSION}")
        for name in ("contactId", "recording", "segmentSeconds", "layout", "sampleRate"):
            open_rate = name == "sampleRate" and (mine[name] is None or found[name] is None)
            if found[name] != mine[name] and not open_rate:
                raise ForeignIndexError(f"{name} {str(found[name])[:200]} instead of {mine[name]}")
        return found


def page_of(segment: int) -> int:
    """The page that lists a segment."""
    return segment // PAGE_SEGMENTS


def page_name(page: int) -> str:
    """Its file name; five digits hold 47 hours of segments of a second 350 times over."""
    return f"index-{page:05d}.json"


def file_name(segment: int, wav: SegmentWav) -> str:
    """The name of a segment's WAV: its number, and the party where it is one party's."""
    return f"{segment:06d}.wav" if wav.party is None else f"{segment:06d}.{wav.party}.wav"


def entry_of(segment: LiveSegment, wavs: Iterable[SegmentWav]) -> dict[str, Any]:
    """A page's entry for a segment.

    Args:
        segment: the segment.
        wavs: its files.
    """
    written = tuple(wavs)
    return {
        "number": segment.number,
        "files": [file_name(segment.number, wav) for wav in written],
        "startSeconds": segment.position / segment.rate,
        "startTime": rfc3339(round(segment.start * 1000 / segment.rate)),
        "durationSeconds": segment.seconds,
        "frames": written[0].frames,
        "levels": {party.value: _level(level) for wav in written for party, level in wav.levels.items()},
    }


def _level(dbfs: float) -> float | None:
    return round(dbfs, 1) if math.isfinite(dbfs) else None


class IndexPage:
    """The entries of up to 600 segments, by number.

    Args:
        number: the page's number, from 0.
        entries: their JSON.
    """

    def __init__(self, number: int, entries: Mapping[int, bytes] | None = None) -> None:
        self.number = number
        self._entries = dict(entries or {})

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[int]:
        """The segments that it lists, in order."""
        return iter(sorted(self._entries))

    @property
    def name(self) -> str:
        """Its file name."""
        return page_name(self.number)

    def put(self, entry: Mapping[str, Any]) -> None:
        """Add a segment's entry, or replace it."""
        self._entries[entry["number"]] = _encoded(entry)

    def cut(self, end: int) -> bool:
        """Remove the entries from a number on; return True if there were any."""
        beyond = [number for number in self._entries if number >= end]
        for number in beyond:
            del self._entries[number]
        return bool(beyond)

    def encode(self, call: IndexedCall) -> bytes:
        """The file: a segment a line."""
        head = _encoded({**call.to_json(), "page": self.number})
        lines = b",\n".join([self._entries[number] for number in self])
        return b'%b,"segments":[\n%b\n]}\n' % (head[:-1], lines)

    @classmethod
    def decode(cls, number: int, text: bytes, call: IndexedCall) -> IndexPage:
        """Read a page that `encode` wrote.

        Raises:
            DamagedIndexError: it is no page.
            ForeignIndexError: it is another call's.
        """
        found = call.read(text)
        entries = found.get("segments")
        if found.get("page") != number or not isinstance(entries, list):
            raise DamagedIndexError(f"it is not page {number}")
        numbers = [each.get("number") if isinstance(each, dict) else None for each in entries]
        if not all(type(each) is int and page_of(each) == number for each in numbers):
            raise DamagedIndexError("it lists what is none of its segments")
        return cls(number, {each["number"]: _encoded(each) for each in entries})


class MissingSegments:
    """Ranges of numbers, both ends included, in order and apart; only the first `MAX_RANGES` are kept.

    Args:
        ranges: to begin with.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: list[tuple[int, int]] = []
        for first, last in ranges:
            self.add(first, last)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The ranges."""
        return tuple(self._ranges)

    def add(self, first: int, last: int) -> bool:
        """Add the numbers from first to last; return True if that changed anything."""
        if first > last:
            return False
        before = self.ranges
        joined: list[tuple[int, int]] = []
        for begin, end in sorted([*before, (first, last)]):
            if joined and begin <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((begin, end))
        self._ranges = joined[:MAX_RANGES]
        return self.ranges != before

    def cut(self, end: int) -> None:
        """Remove the numbers from one on."""
        self._ranges = [(first, min(last, end - 1)) for first, last in self._ranges if first < end]

    def discard(self, number: int) -> bool:
        """Remove a number; return True if it was there."""
        at = bisect_left(self._ranges, number, key=lambda each: each[1])
        if at == len(self._ranges) or self._ranges[at][0] > number:
            return False
        first, last = self._ranges[at]
        left = [(begin, end) for begin, end in ((first, number - 1), (number + 1, last)) if begin <= end]
        self._ranges[at : at + 1] = left
        self._ranges = self._ranges[:MAX_RANGES]
        return True


@dataclass(slots=True, kw_only=True)
class IndexHead:
    """The head of the index: all that is known of a call's segments.

    Args:
        pages: number of segments that each page lists, by page.
        newest: number up to which every segment is listed or missing; -1 for none.
        missing: the segments that no page lists.
        sample_rate: samples a second of the WAVs found; None if there were none.
        start_ms: time of the recording's first frame, ms since the epoch; None while unknown.
        state: live or ended.
        duration_seconds: length of the recording, seconds; None while the call lasts.
    """

    pages: dict[int, int] = field(default_factory=dict)
    newest: int = -1
    missing: MissingSegments = field(default_factory=MissingSegments)
    sample_rate: int | None = None
    start_ms: int | None = None
    state: State = State.LIVE
    duration_seconds: float | None = None

    def note(self, page: IndexPage, segment: int) -> bool:
        """Note a segment that its page lists now; return True if the head has changed."""
        begins = page.number not in self.pages
        self.pages[page.number] = len(page)
        skipped = self.missing.add(self.newest + 1, segment - 1)
        came = self.missing.discard(segment)
        self.newest = max(self.newest, segment)
        return begins or skipped or came

    def take(self, page: IndexPage) -> None:
        """Note a page that was found: its entries, and the segments that it lacks."""
        first = page.number * PAGE_SEGMENTS
        self.pages[page.number] = len(page)
        for segment in page:
            self.note(page, segment)
        end = min(self.newest, first + PAGE_SEGMENTS - 1) + 1
        for left, right in pairwise([first - 1, *page, end]):
            self.missing.add(left + 1, right - 1)

    def pages_beyond(self, end: int) -> list[int]:
        """The pages that may list a segment from a number on."""
        return [page for page in sorted(self.pages) if (page + 1) * PAGE_SEGMENTS > end]

    def cut(self, end: int) -> None:
        """Fix the number of segments: each one that has not come is missing, and no other."""
        self.missing.add(self.newest + 1, end - 1)
        self.missing.cut(end)
        self.newest = end - 1

    def encode(self, call: IndexedCall) -> bytes:
        """The file."""
        listed = sum(self.pages.values())
        document = {
            **call.to_json(),
            "startTime": rfc3339(self.start_ms),
            "state": self.state.value,
            "durationSeconds": self.duration_seconds,
            "segmentsPerPage": PAGE_SEGMENTS,
            "segments": listed,
            "pages": [
                {"name": page_name(page), "first": page * PAGE_SEGMENTS, "segments": self.pages[page]}
                for page in sorted(self.pages)
            ],
            "missingSegments": self.newest + 1 - listed,
            "missing": [{"first": first, "last": last} for first, last in self.missing.ranges],
        }
        return json.dumps(document, indent=1).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, text: bytes, call: IndexedCall) -> IndexHead:
        """Read a head that `encode` wrote. The caller then notes the newest page, which may list more.

        Raises:
            DamagedIndexError: it is no head.
            ForeignIndexError: it is another call's.
        """
        found = call.read(text)
        try:
            pages = {page_of(_number(each["first"])): _number(each["segments"]) for each in found["pages"]}
            ranges = [(_number(each["first"]), _number(each["last"])) for each in found["missing"]]
        except (KeyError, TypeError, ValueError) as exc:
            raise DamagedIndexError("it is no head of an index") from exc
        # When the newest page began, every segment before it was listed or missing.
        newest = max([last for _, last in ranges] + [page * PAGE_SEGMENTS - 1 for page in pages], default=-1)
        return cls(pages=pages, missing=MissingSegments(ranges), newest=newest, sample_rate=found["sampleRate"])


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("no number of anything")
    return value


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
