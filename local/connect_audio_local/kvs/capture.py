"""Cuts GetMedia bytes into fragments by walking element sizes, and reads what the emulator must know of each.

A flat walk, independent of `connect_audio.core`. It enters masters that matter and skips everything else by its size.
An EBML header starts the next fragment. It needs no ends of masters, so it treats known and
unknown sizes alike.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Protocol

_EBML, _SEGMENT, _CLUSTER, _BLOCK_GROUP = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xA0
_INFO, _TAGS, _TAG, _SIMPLE_TAG = 0x1549A966, 0x1254C367, 0x7373, 0x67C8
_ENTERED = frozenset({_SEGMENT, _CLUSTER, _BLOCK_GROUP, _INFO, _TAGS, _TAG, _SIMPLE_TAG})
_TIMECODE_SCALE, _TIMECODE, _SIMPLE_BLOCK, _BLOCK, _TAG_NAME, _TAG_STRING = 0x2AD7B1, 0xE7, 0xA3, 0xA1, 0x45A3, 0x4487
_DECIMAL = re.compile(r"\d{1,128}", re.ASCII)


class CaptureError(ValueError):
    """A file that is no GetMedia capture; the message names the file and the byte."""


@dataclass(frozen=True, slots=True)
class StoredFragment:
    """One fragment as a stream stores it.

    Args:
        number: fragment number, decimal; empty where the fragment carries none.
        producer_ms: producer timestamp, milliseconds since the epoch.
        server_ms: server timestamp, milliseconds since the epoch.
        duration_ms: length of its media in milliseconds.
        contact_id: the ContactId tag, or None.
        instance_id: the InstanceId tag, or None.
        size: bytes.
        load: gives the bytes; from the disk for a capture.
    """

    number: str
    producer_ms: int
    server_ms: int
    duration_ms: int
    contact_id: str | None
    instance_id: str | None
    size: int
    load: Callable[[], bytes]

    @property
    def end_ms(self) -> int:
        """Producer time at which its media ends."""
        return self.producer_ms + self.duration_ms

    @classmethod
    def from_bytes(cls, data: bytes, duration_ms: int | None = None) -> StoredFragment:
        """Read one fragment that is held in memory.

        Args:
            data: the fragment.
            duration_ms: its length if known; else all blocks count as equally long.

        Raises:
            CaptureError: not one fragment.
        """
        walk = _walk(data, 0, "fragment")
        if walk.end != len(data):
            raise CaptureError(f"fragment: another one starts at byte {walk.end}")
        found = _stored(walk, len(data), lambda: data)
        return found if duration_ms is None else replace(found, duration_ms=duration_ms)


class Fragment(Protocol):
    """A fragment of a synthetic call, as the emulator sees it."""

    @property
    def data(self) -> bytes:
        """Its bytes."""

    @property
    def duration_ms(self) -> int:
        """The length of its audio in milliseconds."""


def stored(fragments: Iterable[Fragment]) -> Iterator[StoredFragment]:
    """Turn fragments, of a synthetic call for example, into what a stream stores; one by one, as they are asked for."""
    return (StoredFragment.from_bytes(fragment.data, fragment.duration_ms) for fragment in fragments)


def read_capture(path: Path) -> list[StoredFragment]:
    """Index a capture; the bytes stay on the disk until they are served.

    A fragment that the end of the file cuts off is served as far as it goes.

    Raises:
        CaptureError: empty, not a GetMedia capture, or damaged.
        OSError: the file cannot be read.
    """
    fragments: list[StoredFragment] = []
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise CaptureError(f"{path}: is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            at = 0
            while at < len(buffer):
                walk = _walk(buffer, at, str(path))
                fragments.append(_stored(walk, walk.end - at, _loader(path, at, walk.end - at)))
                at = walk.end
    return fragments


def block_ends(data: bytes) -> list[tuple[int, int]]:
    """Find the places at which a fragment may be cut for delivery block by block.

    Returns:
        For every block the offset behind it and the milliseconds, since the fragment's start, when it is whole.
    """
    walk = _walk(data, 0, "fragment")
    spacing = _spacing(walk.block_ms)
    return [(end, at + spacing) for end, at in zip(walk.block_ends, walk.block_ms, strict=True)]


@dataclass(slots=True)
class _Walk:
    end: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    first_ms: int | None = None
    block_ms: list[int] = field(default_factory=list)
    block_ends: list[int] = field(default_factory=list)


type _Buffer = bytes | mmap.mmap


def _walk(buffer: _Buffer, start: int, name: str) -> _Walk:
    """Walk one fragment. Times are milliseconds since the first Cluster's timecode."""
    walk = _Walk()
    at, length = start, len(buffer)
    scale, cluster, tag_name = 1_000_000, 0, ""
    while at < length:
        element_id, size, body = element_header(buffer, at, name)
        if (element_id == _EBML) != (at == start):
            if element_id == _EBML:
                break
            raise CaptureError(f"{name}: no EBML header at byte {at}, so this is no GetMedia capture")
        if element_id in _ENTERED:
            at = body
            continue
        if size is None:
            raise CaptureError(f"{name}: element {element_id:X} at byte {at} has an unknown size")
        at = body + size
        if at > length:
            break
        if element_id in (_SIMPLE_BLOCK, _BLOCK):
            timecode = body + _width(buffer[body])
            relative = int.from_bytes(buffer[timecode : timecode + 2], "big", signed=True)
            walk.block_ms.append((cluster + relative) * scale // 1_000_000 - (walk.first_ms or 0))
            walk.block_ends.append(at - start)
        elif element_id == _TIMECODE:
            cluster = int.from_bytes(buffer[body:at], "big")
            if walk.first_ms is None:
                walk.first_ms = cluster * scale // 1_000_000
        elif element_id == _TIMECODE_SCALE:
            scale = int.from_bytes(buffer[body:at], "big")
        elif element_id == _TAG_NAME:
            tag_name = _text(buffer[body:at])
        elif element_id == _TAG_STRING:
            walk.tags[tag_name] = _text(buffer[body:at])
    walk.end = min(at, length)
    return walk


def element_header(buffer: _Buffer, at: int, name: str) -> tuple[int, int | None, int]:
    """Read an element's header.

    Args:
        buffer: the bytes.
        at: offset of the element.
        name: the file's name, for the message.

    Returns:
        The ID, the size (None: unknown) and the start of the content. An element that the end cuts off reaches beyond
        the end.

    Raises:
        CaptureError: no element starts there.
    """
    length = len(buffer)
    id_width = _width(buffer[at])
    if id_width > 4:
        raise CaptureError(f"{name}: byte {at} starts no Matroska element")
    size_at = at + id_width
    element_id = int.from_bytes(buffer[at:size_at], "big")
    if size_at >= length:
        return element_id, length, length
    size_width = _width(buffer[size_at])
    if size_width > 8:
        raise CaptureError(f"{name}: element {element_id:X} at byte {at} has no valid size")
    body = size_at + size_width
    if body > length:
        return element_id, length, length
    ones = (1 << 7 * size_width) - 1
    size = int.from_bytes(buffer[size_at:body], "big") & ones
    return element_id, None if size == ones else size, body


def _width(first_byte: int) -> int:
    """Bytes of a variable-size integer by its first byte; 9 where that is no valid one."""
    return 9 - first_byte.bit_length()


def _spacing(block_ms: list[int]) -> int:
    """Length of a block: the smallest step between block times."""
    times = sorted(set(block_ms))
    return min((after - before for before, after in pairwise(times)), default=0)


def _stored(walk: _Walk, size: int, load: Callable[[], bytes]) -> StoredFragment:
    tags = walk.tags
    number = tags.get("AWS_KINESISVIDEO_FRAGMENT_NUMBER", "")
    producer_ms = _tag_ms(tags, "PRODUCER")
    if producer_ms is None:
        producer_ms = walk.first_ms or 0
    server_ms = _tag_ms(tags, "SERVER")
    end_ms = max(walk.block_ms) + _spacing(walk.block_ms) if walk.block_ms else 0
    return StoredFragment(
        number=number if _DECIMAL.fullmatch(number) else "",
        producer_ms=producer_ms,
        server_ms=producer_ms if server_ms is None else server_ms,
        duration_ms=max(0, end_ms),
        contact_id=tags.get("ContactId"),
        instance_id=tags.get("InstanceId"),
        size=size,
        load=load,
    )


def _tag_ms(tags: dict[str, str], side: str) -> int | None:
    """A timestamp tag in either spelling: seconds with a fraction, as text."""
    for spelling in (side, f"{side}_SIDE"):
        try:
            return int(Decimal(tags[f"AWS_KINESISVIDEO_{spelling}_TIMESTAMP"]) * 1000)
        except (KeyError, ValueError, ArithmeticError):
            continue
    return None


def _loader(path: Path, at: int, size: int) -> Callable[[], bytes]:
    def load() -> bytes:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    return load


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
