"""Fragments as values: what `core/fragments.py` reads out of a stream.

One KVS fragment is one Matroska document with its number, times, tags, tracks and blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from connect_audio.core.in_band import InBandError
from connect_audio.core.matroska import TrackEntry
from connect_audio.values import dataclass

_MOST_DIGITS: Final = 48
"""Digits of the largest number that has a counter, which is below `1 << 157`. A longer number shows no counter."""


class Completion(StrEnum):
    """How a fragment ended. Only the last one says that something is missing."""

    TOKEN = "TOKEN"  # noqa: S105 - a KVS continuation token
    """Its continuation token came, which is the last tag of a fragment."""
    SUCCESSOR = "SUCCESSOR"
    """The next document began."""
    END_OF_BODY = "END_OF_BODY"
    """The body ended on the boundary of an element: whole as far as its bytes show."""
    TRUNCATED = "TRUNCATED"
    """The body ended, or garbage began, inside an element."""


class Block(NamedTuple):
    """One SimpleBlock or BlockGroup (a NamedTuple for the same reason as the tokens of `core/ebml.py`).

    Args:
        track_number: the TrackEntry's number.
        time_ns: absolute time of its first sample, ns since the epoch (Connect) or since the document's zero.
        data: the frames' payloads joined; empty for tracks that are not audio.
        frame_count: laced frames in it.
        size: bytes of payload, also where `data` was not kept.
    """

    track_number: int
    time_ns: int
    data: bytes
    frame_count: int
    size: int


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Fragment:
    """One KVS fragment. Nothing changes one: it is not frozen because that would take three times as long to make.

    Args:
        number: AWS's fragment number, decimal; None where the document names none.
        server_timestamp_ms: when KVS took it, ms since the epoch; None where absent.
        producer_timestamp_ms: when it begins by the producer's clock, ms since the epoch; None where absent.
        millis_behind_now: ms that the reader was behind the stream's head; None where absent.
        contact_ids: the distinct ContactId values, in order; more than one is a contradiction.
        tags: every other SimpleTag as (name, value), in order. A tuple, or `ShapedTags`, which are equal to it.
        timecode_scale_ns: ns a timecode tick.
        tracks: the TrackEntries.
        blocks: the blocks in stream order; of a TRUNCATED one without any that reaches into the next document. A tuple,
            or `ShapedBlocks`, which are equal to it.
        errors: in-band errors.
        completion: how it ended.
        truncation: the part that was cut short; None unless `completion` is TRUNCATED.
        offset: offset of its first byte in the stream, bytes.
        size: bytes in the stream.
        held_bytes: bytes that it takes in memory, an estimate that errs on the high side.
    """

    number: str | None
    server_timestamp_ms: int | None
    producer_timestamp_ms: int | None
    millis_behind_now: int | None
    contact_ids: tuple[str, ...]
    tags: Sequence[tuple[str, str]]
    timecode_scale_ns: int
    tracks: tuple[TrackEntry, ...]
    blocks: Sequence[Block]
    errors: tuple[InBandError, ...]
    completion: Completion
    truncation: str | None
    offset: int
    size: int
    held_bytes: int = 0

    def tag(self, name: str) -> str | None:
        """The first value of a tag, or None."""
        return next((value for tag_name, value in self.tags if tag_name == name), None)


@dataclass(frozen=True, slots=True)
class BytesLost:
    """Bytes that belong to no fragment were passed over.

    Args:
        offset: offset of the first one in the stream, bytes.
        count: how many.
        cause: the error that began the search for the next document.
    """

    offset: int
    count: int
    cause: str


@lru_cache(maxsize=8)
def fragment_counter(number: str | None) -> int | None:
    """The producer's count inside a fragment number, or None where the number is not of that anatomy.

    `n = 1 << 156 | counter << 92 | server ms << 28 | 28 bits`, the counter stepping by 1 inside a producer session.
    Undocumented by AWS and seen in every capture so far. It serves for diagnosis and as evidence against a fragment's
    belonging or against its time, never alone.
    """
    if number is None or len(number) > _MOST_DIGITS or not (number.isascii() and number.isdigit()):
        return None
    value = int(number)
    return (value >> 92) & (1 << 64) - 1 if value >> 156 == 1 else None


def missing_between(before: str | None, after: str | None) -> int | None:
    """Return how many fragments the producer counted between two numbers; None if the numbers do not show it."""
    first, second = fragment_counter(before), fragment_counter(after)
    if first is None or second is None or second <= first:
        return None
    return second - first - 1


def end_of(times: Iterable[tuple[int, int]]) -> int:
    """When the last of some blocks begins, plus one block as most are, ns.

    Args:
        times: the track and the time of each block, ns; not empty.
    """
    by_track: dict[int, set[int]] = {}
    for number, time_ns in times:
        by_track.setdefault(number, set()).add(time_ns)
    # Steps of one track only, since tracks may be skewed. The median of them, since a hole inside the fragment would
    # make the average too long, and with it the call.
    steps = sorted(later - earlier for each in by_track.values() for earlier, later in pairwise(sorted(each)))
    return max(map(max, by_track.values())) + (steps[len(steps) // 2] if steps else 0)
