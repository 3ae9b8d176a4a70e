"""A fragment's elements as ebmlite sees them: a second opinion on the structure, and what `inspect --tree` shows.

ebmlite forgives much and may stumble over the rest; so every row says where an element ends before its declared size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from ebmlite import MasterElement, loadSchema

from connect_audio.core.errors import MatroskaError
from connect_audio.core.matroska import BLOCK, SIMPLE_BLOCK, decode_block
from connect_audio_cli.output.formatting import count

_MAX_DEPTH: Final = 16
_MAX_KEPT_BYTES: Final = 64 * 1024 * 1024
"""KVS takes fragments of at most 50 MB (service quotas)."""
_SHOWN_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRow:
    """One element of a fragment.

    Args:
        depth: 0 for the EBML header and the Segment.
        offset: offset of its ID in the capture, bytes.
        size: size of its payload, bytes; ebmlite's result if the size is unknown.
        element_id: with its marker.
        name: in RFC 8794 or RFC 9559.
        kind: `master`, `int`, `float`, `str`, `date` or `binary`.
        value: a number, a text, a block in words, the first bytes in hexadecimal, or None for a master.
        children: how many elements a master holds.
        broken: description of the damage; None for none.
    """

    depth: int
    offset: int
    size: int
    element_id: int
    name: str
    kind: str
    value: str | int | float | None
    children: int = 0
    broken: str | None = None


def element_rows(data: bytes, base: int) -> Iterator[ElementRow]:
    """Yield the elements of one fragment, depth first.

    Args:
        data: the fragment.
        base: its offset in the capture, bytes.
    """
    yield from _rows(_schema().load(BytesIO(data), headers=True), data, base, 0)


@lru_cache(maxsize=1)
def _schema() -> Any:
    return loadSchema("matroska.xml")


def _rows(parent: Any, data: bytes, base: int, depth: int) -> Iterator[ElementRow]:
    at = parent.payloadOffset
    children = iter(parent)
    while True:
        try:
            child = next(children)
            row = _row(child, data, base, depth)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - ebmlite names none of its errors, and broken files are shown too
            yield ElementRow(
                depth=depth,
                offset=base + at,
                size=len(data) - at,
                element_id=0,
                name="(unreadable)",
                kind="binary",
                value=None,
                broken=f"ebmlite: {type(error).__name__}: {error}",
            )
            return
        yield row
        at = child.payloadOffset + child.size
        if isinstance(child, MasterElement) and depth < _MAX_DEPTH:
            yield from _rows(child, data, base, depth + 1)


def _row(element: Any, data: bytes, base: int, depth: int) -> ElementRow:
    end = element.payloadOffset + element.size
    broken = f"cut off after {count(len(data) - element.payloadOffset, 'byte')}" if end > len(data) else None
    is_master = isinstance(element, MasterElement)
    kind, value = ("master", None) if is_master else _value(element, data[element.offset : end])
    return ElementRow(
        depth=depth,
        offset=base + element.offset,
        size=element.size,
        element_id=element.id,
        name=element.name,
        kind=kind,
        value=value,
        children=len(element) if is_master and depth < _MAX_DEPTH else 0,
        broken=broken,
    )


def _value(element: Any, raw: bytes) -> tuple[str, str | int | float]:
    header = element.payloadOffset - element.offset
    if element.id in {SIMPLE_BLOCK, BLOCK}:
        try:
            track, timecode, frames = decode_block(raw, header, offset=element.offset)
        except MatroskaError as error:
            return "binary", str(error)
        laced = f" in {len(frames)} frames" if len(frames) > 1 else ""
        return "binary", f"track {track}, {timecode:+} ticks, {count(sum(map(len, frames)), 'byte')}{laced}"
    value = element.value
    match value:
        case int():
            return "int", value
        case float():
            return "float", value
        case str():
            return "str", value
        case bytes() | bytearray() | None:
            payload = raw[header:]
            return "binary", payload[:_SHOWN_BYTES].hex(" ") + (" …" if len(payload) > _SHOWN_BYTES else "")
        case _:
            return "date", str(value)


class KeptBytes:
    """The latest bytes of a capture, for looking at a fragment once it is known where it ends."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._end = 0
        self._kept = 0

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the capture on and keep what goes by."""
        for chunk in chunks:
            self._chunks.append((self._end, chunk))
            self._end += len(chunk)
            self._kept += len(chunk)
            while self._kept > _MAX_KEPT_BYTES:
                self._kept -= len(self._chunks.popleft()[1])
            yield chunk

    def take(self, offset: int, size: int) -> bytes:
        """Bytes from a position on; bytes before it are released."""
        stop = offset + size
        while self._chunks and self._chunks[0][0] + len(self._chunks[0][1]) <= offset:
            self._kept -= len(self._chunks.popleft()[1])
        return b"".join(
            chunk[max(0, offset - start) : max(0, stop - start)] for start, chunk in self._chunks if start < stop
        )
