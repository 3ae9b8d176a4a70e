"""Matroska (RFC 9559) as KVS and its producers write it: the schema for `core/ebml.py`, and decoders of whole elements.

Blocks and the per-fragment `AWS_KINESISVIDEO_*` tags change every time and are decoded by hand. Tracks, Info and the
other tags repeat in every fragment. They go through ebmlite behind a small cache keyed by their bytes (ADR 2).
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ebmlite import loadSchema

from connect_audio.core.ebml import (
    ANY_SIZE,
    CRC_32,
    EBML_HEADER,
    ROOT,
    VINT_LENGTH,
    VOID,
    ElementRule,
    Kind,
    read_header,
    read_vint,
)
from connect_audio.core.errors import MatroskaError
from connect_audio.text import counted
from connect_audio.values import dataclass

SEGMENT: Final = 0x18538067
INFO: Final = 0x1549A966
TIMECODE_SCALE: Final = 0x2AD7B1
TRACKS: Final = 0x1654AE6B
TAGS: Final = 0x1254C367
CLUSTER: Final = 0x1F43B675
TIMECODE: Final = 0xE7
SIMPLE_BLOCK: Final = 0xA3
BLOCK_GROUP: Final = 0xA0
BLOCK: Final = 0xA1
_TAG: Final = 0x7373
_SIMPLE_TAG: Final = 0x67C8
_TAG_NAME: Final = 0x45A3
_TAG_STRING: Final = 0x4487
_DOC_TYPE: Final = 0x4282

_BLOCK_HEAD_BYTES: Final = 4
_LACING: Final = 0b0110

_MAX_DEPTH: Final = 16
"""Deeper nesting than any real Tags or Tracks has; without a bound hostile bytes could exhaust the stack."""

MAX_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""A second of 48 kHz stereo PCM is 192 kB; a key frame of 4K video from other producers stays below this."""
_MAX_STRUCTURE_BYTES: Final = 256 * 1024
# KVS allows 10 tags of 128 + 256 characters a fragment and codec private data of some KB; this is generous.
_MAX_CACHED_BYTES: Final = 4096
# Many times what Connect writes. Larger elements would let a hostile stream fill the caches with hundreds of MB.
_MAX_CODEC_PRIVATE_BYTES: Final = 40
"""Size of a WAVEFORMATEXTENSIBLE, the longest one that is read."""

_MAX_HEADER_PAYLOAD_BYTES: Final = 4096 - 64
MAX_DOCUMENT_LOOK_BYTES: Final = 8192
"""Bytes that show if a document begins somewhere: an EBML header, and padding before the first child of its Segment."""
_SEGMENT_ID: Final = SEGMENT.to_bytes(4)

_IN_SEGMENT = frozenset({SEGMENT})
_IN_CLUSTER = frozenset({CLUSTER})


def _rule(name: str, kind: Kind, parents: frozenset[int], max_size: int, *, unknown: bool = False) -> ElementRule:
    return ElementRule(name=name, kind=kind, parents=parents, max_size=max_size, may_be_unknown_size=unknown)


_MAX_FRAGMENT: Final = 50 * 1024 * 1024  # KVS service quota: no group of blocks is larger

SCHEMA: Final = {
    EBML_HEADER: _rule("EBML header", Kind.DATA, frozenset({ROOT}), 4096),
    SEGMENT: _rule("Segment", Kind.MASTER, frozenset({ROOT}), ANY_SIZE, unknown=True),
    INFO: _rule("Info", Kind.DATA, _IN_SEGMENT, _MAX_STRUCTURE_BYTES),
    TRACKS: _rule("Tracks", Kind.DATA, _IN_SEGMENT, _MAX_STRUCTURE_BYTES),
    TAGS: _rule("Tags", Kind.DATA, _IN_SEGMENT, _MAX_STRUCTURE_BYTES),
    CLUSTER: _rule("Cluster", Kind.MASTER, _IN_SEGMENT, ANY_SIZE, unknown=True),
    0x114D9B74: _rule("SeekHead", Kind.SKIP, _IN_SEGMENT, ANY_SIZE),
    0x1C53BB6B: _rule("Cues", Kind.SKIP, _IN_SEGMENT, ANY_SIZE),
    0x1043A770: _rule("Chapters", Kind.SKIP, _IN_SEGMENT, ANY_SIZE),
    0x1941A469: _rule("Attachments", Kind.SKIP, _IN_SEGMENT, ANY_SIZE),
    TIMECODE: _rule("Timecode", Kind.DATA, _IN_CLUSTER, 8),
    SIMPLE_BLOCK: _rule("SimpleBlock", Kind.DATA, _IN_CLUSTER, MAX_BLOCK_BYTES),
    BLOCK_GROUP: _rule("BlockGroup", Kind.MASTER, _IN_CLUSTER, _MAX_FRAGMENT),
    BLOCK: _rule("Block", Kind.DATA, frozenset({BLOCK_GROUP}), MAX_BLOCK_BYTES),
}
"""The elements of the frame path. Everything else inside a Segment, Cluster or BlockGroup is skipped by its size."""


class BlockHeader(NamedTuple):
    """The head of a SimpleBlock or Block.

    Args:
        track_number: as in its TrackEntry; may exceed 127.
        timecode: relative to the Cluster's, in timecode ticks, may be negative.
        frames: the payload of each laced frame, in order; one without lacing.
    """

    track_number: int
    timecode: int
    frames: tuple[bytes, ...]


def decode_blocks(
    buffer: bytes, starts: range, *, size: int, header_size: int, offset: int
) -> Iterator[tuple[int, int, bytes, int]]:
    """Decode SimpleBlocks or Blocks of one size, at a third of what `decode_block` costs for each.

    Args:
        buffer: holds the elements.
        starts: start of each in it, one right behind the other.
        size: bytes of each, with ID and size.
        header_size: bytes of ID and size.
        offset: position of the first one in the stream, for the error.

    Yields:
        Track number, timecode, payload of the frames joined, how many frames they are.

    Raises:
        MatroskaError: one of them is no such block.
    """
    frame_size = size - header_size - _BLOCK_HEAD_BYTES
    if frame_size < 0:
        raise MatroskaError(
            f"block: a block of {counted(size - header_size, 'byte')} has no room for its header", offset=offset
        )
    # The common shape, a track number of one byte and no lacing, for the whole run in one go.
    run = memoryview(buffer)[starts.start : starts.start + len(starts) * size]
    layout = f">{header_size}xBhB{frame_size}s"
    for start, (track_number, timecode, flags, frame) in zip(starts, struct.iter_unpack(layout, run), strict=True):
        if track_number & 0x80 and not flags & _LACING:
            yield track_number & 0x7F, timecode, frame, 1
        else:
            raw = buffer[start : start + size]
            header = decode_block(raw, header_size, offset=offset + start - starts.start)
            yield header.track_number, header.timecode, b"".join(header.frames), len(header.frames)


def decode_block(raw: bytes, payload: int, *, offset: int) -> BlockHeader:
    """Decode a SimpleBlock or a Block (RFC 9559, section 10), any lacing.

    Args:
        raw: the whole element.
        payload: start of its payload in `raw`.
        offset: position of the element in the stream, for the error.

    Raises:
        MatroskaError: no such block in there.
    """
    try:
        track_number, at = read_vint(raw, payload)
        if len(raw) < at + 3:
            raise ValueError(f"a block of {counted(len(raw) - payload, 'byte')} has no room for its header")
        timecode = int.from_bytes(raw[at : at + 2], signed=True)
        flags = raw[at + 2]
        lacing = flags & _LACING
        if not lacing:
            return BlockHeader(track_number, timecode, (raw[at + 3 :],))
        return BlockHeader(track_number, timecode, tuple(_split_lace(raw, at + 3, lacing)))
    except ValueError as error:
        raise MatroskaError(f"block: {error}", offset=offset) from error


def _split_lace(raw: bytes, at: int, lacing: int) -> Iterator[bytes]:
    """Yield the frames of a laced block (RFC 9559, section 10.3)."""
    if at >= len(raw):
        raise ValueError("a laced block ends before its frame count")
    count = raw[at] + 1
    at += 1
    sizes: list[int] = []
    if lacing == 0b0100:  # fixed
        size, remainder = divmod(len(raw) - at, count)
        if remainder:
            raise ValueError(f"{len(raw) - at} bytes do not divide into {count} laced frames")
        sizes = [size] * (count - 1)
    elif lacing == 0b0010:  # Xiph: each size as bytes of 255 and a remainder
        for _ in range(count - 1):
            size = 0
            while True:
                if at >= len(raw):
                    raise ValueError("a laced block ends inside its frame sizes")
                byte = raw[at]
                at += 1
                size += byte
                if byte != 255:
                    break
            sizes.append(size)
    elif count > 1:  # EBML: the first size, then signed differences
        size, at = read_vint(raw, at)
        sizes.append(size)
        for _ in range(count - 2):
            start = at
            difference, at = read_vint(raw, at)
            size += difference - ((1 << 7 * (at - start) - 1) - 1)
            sizes.append(size)
    for size in sizes:
        if size < 0 or at + size > len(raw):
            raise ValueError(f"a laced frame of {counted(size, 'byte')} overruns its block")
        yield raw[at : at + size]
        at += size
    yield raw[at:]


def decode_uint(raw: bytes, payload: int) -> int:
    """Decode an unsigned integer element of 0 to 8 bytes."""
    return int.from_bytes(raw[payload:])


class TagValue(NamedTuple):
    """One SimpleTag: its name and its string, NUL padding removed."""

    name: str
    value: str


def decode_tags(raw: bytes, *, offset: int) -> tuple[TagValue, ...]:
    """Decode a Tags element, nested SimpleTags included, in document order.

    Args:
        raw: the whole element.
        offset: position of the element in the stream, for the error.

    Raises:
        MatroskaError: the tags do not nest, or have no name.
    """
    # The hint chooses between two decoders that agree (a test holds them to it); only their cost differs.
    if b"AWS_KINESISVIDEO_" in raw:
        try:
            _, payload, end = read_header(raw, 0, len(raw))
            found: list[TagValue] = []
            _walk_tags(raw, payload, end, found)
            return tuple(found)
        except ValueError as error:
            raise MatroskaError(f"Tags: {error}", offset=offset) from error
    return _repeated(_tags_with_ebmlite, raw, "Tags", offset)


def _walk_tags(raw: bytes, at: int, end: int, found: list[TagValue], depth: int = 1) -> None:
    """Add the SimpleTags between two positions of a Tags, Tag or SimpleTag element, `depth` deep, to `found`."""
    if depth >= _MAX_DEPTH:
        raise ValueError(f"elements nested deeper than {_MAX_DEPTH}")
    while at < end:
        element_id, payload, after = read_header(raw, at, end)
        if depth == 1:
            if element_id == _TAG:
                _walk_tags(raw, payload, after, found, depth + 1)
        elif element_id == _SIMPLE_TAG:
            name, value, nested = None, None, False
            inner = payload
            while inner < after:
                inner_id, text, inner_end = read_header(raw, inner, after)
                if inner_id == _TAG_NAME:
                    name = _text(raw[text:inner_end]) if name is None else name
                elif inner_id == _TAG_STRING:
                    value = _text(raw[text:inner_end]) if value is None else value
                elif inner_id == _SIMPLE_TAG:
                    nested = True
                inner = inner_end
            if name is None:
                raise ValueError("a SimpleTag without a TagName")
            found.append(TagValue(name, value or ""))
            if nested:
                _walk_tags(raw, payload, after, found, depth + 1)
        at = after


def _text(data: bytes) -> str:
    """Decode a string element: it ends at its first NUL (RFC 8794, section 7.4), bad UTF-8 is replaced."""
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackEntry:
    """One TrackEntry.

    Args:
        number: the number blocks refer to.
        track_type: 1 video, 2 audio, others as in RFC 9559.
        name: NUL padding removed; empty where absent.
        codec_id: as declared, which Connect's is not to be believed.
        sampling_frequency: Hz from the Audio master, None where absent.
        channels: from the Audio master, None where absent.
        bit_depth: from the Audio master, None where absent.
        codec_private: the first `_MAX_CODEC_PRIVATE_BYTES` of CodecPrivate; empty where absent.
    """

    number: int
    track_type: int
    name: str
    codec_id: str
    sampling_frequency: float | None = None
    channels: int | None = None
    bit_depth: int | None = None
    codec_private: bytes = b""


def decode_tracks(raw: bytes, *, offset: int) -> tuple[TrackEntry, ...]:
    """Decode a Tracks element.

    Args:
        raw: the whole element.
        offset: position of the element in the stream, for the error.

    Raises:
        MatroskaError: an entry does not nest, or has no number.
    """
    return _repeated(_tracks_with_ebmlite, raw, "Tracks", offset)


def decode_timecode_scale(raw: bytes, *, offset: int) -> int:
    """Return an Info element's TimecodeScale, nanoseconds a tick; 1 000 000 where it has none.

    Args:
        raw: the whole element.
        offset: position of the element in the stream, for the error.

    Raises:
        MatroskaError: the element does not nest, or the scale is not between 1 ns and 10 s.
    """
    scale = _repeated(_scale_with_ebmlite, raw, "Info", offset)
    if not 1 <= scale <= 10_000_000_000:
        raise MatroskaError(f"TimecodeScale of {scale} ns", offset=offset)
    return scale


def _repeated[T](decode: Callable[[bytes], T], raw: bytes, name: str, offset: int) -> T:
    """Call a cached decoder and give its error the stream's offset."""
    if len(raw) > _MAX_CACHED_BYTES:
        decode = inspect.unwrap(decode)
    try:
        return decode(raw)
    except Exception as error:  # ebmlite raises whatever it stumbles over: OSError, TypeError, struct.error, ...
        raise MatroskaError(f"{name}: {error}", offset=offset) from error


@lru_cache(maxsize=1)
def _ebmlite() -> Any:
    """The Matroska schema, loaded on first use: 25 ms that a cold trigger must not pay."""
    return loadSchema("matroska.xml")


def load_schema() -> None:
    """Load the Matroska schema now, so that the first fragment does not wait for it."""
    _ebmlite()


def _load(raw: bytes) -> Any:
    """Parse one element with ebmlite.

    ebmlite forgives sizes that do not nest and would hand out what lies beyond; so they are checked first.
    """
    _check_nesting(raw, 0, len(raw))
    return _ebmlite().loads(raw)[0]


_MASTERS = frozenset(
    {INFO, TRACKS, TAGS, _TAG, _SIMPLE_TAG, 0x63C0, 0xAE, 0xE0, 0xE1, 0x6D80, 0x6240, 0x5034, 0x5035, 0x55B0, 0x55D0}
)


def _check_nesting(raw: bytes, at: int, end: int, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"elements nested deeper than {_MAX_DEPTH}")
    while at < end:
        element_id, payload, after = read_header(raw, at, end)
        if element_id in _MASTERS:
            _check_nesting(raw, payload, after, depth + 1)
        at = after


def _children(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element if child.name == name)


def _value(element: Any, name: str, default: Any) -> Any:
    return next((child.value for child in _children(element, name)), default)


def _string(element: Any, name: str) -> str | None:
    # Decoded here: ebmlite refuses or warns of what is not clean UTF-8 or ASCII.
    return next((_text(bytes(child.getRawValue())) for child in _children(element, name)), None)


def _binary(element: Any, name: str) -> bytes:
    return next((bytes(child.getRawValue()) for child in _children(element, name)), b"")


@lru_cache(maxsize=64)
def _tags_with_ebmlite(raw: bytes) -> tuple[TagValue, ...]:
    def walk(simple_tag: Any) -> Iterator[TagValue]:
        name = _string(simple_tag, "TagName")
        if name is None:
            raise ValueError("a SimpleTag without a TagName")
        yield TagValue(name, _string(simple_tag, "TagString") or "")
        for inner in _children(simple_tag, "SimpleTag"):
            yield from walk(inner)

    return tuple(
        value
        for tag in _children(_load(raw), "Tag")
        for simple_tag in _children(tag, "SimpleTag")
        for value in walk(simple_tag)
    )


@lru_cache(maxsize=16)
def _tracks_with_ebmlite(raw: bytes) -> tuple[TrackEntry, ...]:
    entries = []
    for entry in _children(_load(raw), "TrackEntry"):
        number = _value(entry, "TrackNumber", 0)
        if not number:
            raise ValueError("a TrackEntry without a TrackNumber")
        audio = next(_children(entry, "Audio"), ())
        entries.append(
            TrackEntry(
                number=number,
                track_type=_value(entry, "TrackType", 0),
                name=_string(entry, "Name") or "",
                codec_id=_string(entry, "CodecID") or "",
                sampling_frequency=_value(audio, "SamplingFrequency", None),
                channels=_value(audio, "Channels", None),
                bit_depth=_value(audio, "BitDepth", None),
                codec_private=_binary(entry, "CodecPrivate")[:_MAX_CODEC_PRIVATE_BYTES],
            )
        )
    return tuple(entries)


@lru_cache(maxsize=16)
def _scale_with_ebmlite(raw: bytes) -> int:
    scale: int = _value(_load(raw), "TimecodeScale", 1_000_000)
    return scale


def is_matroska_document(data: bytes, at: int = 0) -> bool | None:
    """Judge whether bytes that start with the EBML magic really begin a Matroska document.

    Args:
        data: the bytes, as many as there are.
        at: position of the magic in them.

    Returns:
        True for a whole EBML header with a Matroska DocType followed by a Segment; None when more bytes are needed.
    """
    have = len(data) - at
    if have < 5:
        return None
    size_length = VINT_LENGTH[data[at + 4]]
    if not size_length:
        return False
    if have < 4 + size_length:
        return None
    size, payload = read_vint(data, at + 4)
    end = payload + size
    if not 4 <= size <= _MAX_HEADER_PAYLOAD_BYTES:
        return False
    if len(data) < end + 4:
        return None
    doc_type = b""
    inner = payload
    try:
        while inner < end:
            element_id, value, inner = read_header(data, inner, end)
            if element_id == _DOC_TYPE:
                doc_type = data[value:inner].rstrip(b"\0")
    except ValueError:
        return False
    return doc_type in {b"matroska", b"webm"} and data.startswith(_SEGMENT_ID, end)


def document_goes_on(data: bytes, at: int) -> bool | None:
    """Judge whether the Segment of the Matroska document that begins at a position has a child that it may have.

    Args:
        data: the bytes, as many as there are.
        at: position of the EBML header, which `is_matroska_document` has found there.

    Returns:
        None when more bytes are needed, which is never beyond `MAX_DOCUMENT_LOOK_BYTES` from there.
    """
    end = min(len(data), at + MAX_DOCUMENT_LOOK_BYTES)
    more = None if end == len(data) < at + MAX_DOCUMENT_LOOK_BYTES else False
    size, payload = read_vint(data, at + 4)
    at = payload + size + len(_SEGMENT_ID)
    if at >= end:
        return more
    at += VINT_LENGTH[data[at]]
    while True:
        id_length = VINT_LENGTH[data[at]] if at < end else 0
        size_at = at + id_length
        if at >= end or (1 <= id_length <= 4 and size_at >= end):
            return more
        size_length = VINT_LENGTH[data[size_at]] if 1 <= id_length <= 4 else 0
        if not size_length:
            return False
        if size_at + size_length > end:
            return more
        element_id = int.from_bytes(data[at:size_at])
        if element_id not in _PADDING:
            return element_id in SCHEMA and SEGMENT in SCHEMA[element_id].parents
        size, payload = read_vint(data, size_at)
        at = payload + size


_PADDING: Final = frozenset({VOID, CRC_32})
