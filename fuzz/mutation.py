"""Mutations that know what EBML looks like: sizes, IDs, lacing, tags and times, not only bytes.

The engine and the bounded run both use them. A mutation is a function of its input and of a seeded `Random`, so that
whatever it finds can be found again. It shares no code with the parser.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

_MASTERS: Final = frozenset(
    bytes.fromhex(text)
    for text in ("18538067", "1549A966", "1654AE6B", "AE", "E1", "1254C367", "7373", "67C8", "1F43B675", "A0")
)
_EBML, _SEGMENT, _CLUSTER = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067"), bytes.fromhex("1F43B675")
_TAGS: Final = bytes.fromhex("1254C367")
_BLOCK_IDS: Final = frozenset({b"\xa3", b"\xa1"})
_TIMECODE, _SCALE, _RATE = b"\xe7", bytes.fromhex("2AD7B1"), b"\xb5"
_TAG_NAME, _TAG_STRING = bytes.fromhex("45A3"), bytes.fromhex("4487")
_IDS: Final = (
    *sorted(_MASTERS),
    _EBML,
    *sorted(_BLOCK_IDS),
    _TIMECODE,
    _SCALE,
    _RATE,
    _TAG_NAME,
    _TAG_STRING,
    *(bytes.fromhex(text) for text in ("EC", "BF", "D7", "83", "536E", "86", "9F", "6264", "114D9B74", "55FF", "A7")),
)
_ANCHORS: Final = (_EBML, _SEGMENT, _CLUSTER, bytes.fromhex("1254C367"), bytes.fromhex("1654AE6B"))

_TEXTS: Final = (
    b"", b"0", b"-1", b"\0", b"\xff\xfe", b"1e999", b"NaN", b"9" * 40, b"9" * 129, b"99999999999999.999", b"../../etc",
    b"\x1b[2J", b"ContactId", b"InstanceId", b"MimeType", b"audio/L16;rate=192000;channels=2;", b"audio/L16;rate=0",
    b"audio/L16;rate=4000;channels=\xd9\xa1", b"audio/L16;" + b"rate=" * 60, b"AUDIO_FROM_CUSTOMER", b"Track_audio/L16",
    b"AWS_KINESISVIDEO_FRAGMENT_NUMBER", b"AWS_KINESISVIDEO_CONTINUATION_TOKEN", b"AWS_KINESISVIDEO_ERROR_ID",
    b"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", b"AWS_KINESISVIDEO_PRODUCER_TIMESTAMP",
    b"00000000-0000-4000-8000-000000000001",
)  # fmt: skip
_NUMBERS: Final = (0, 1, 2, 127, 255, 10**6, 1 << 31, 1 << 32, 1_782_912_654_536, 1 << 62, (1 << 63) - 1, 1 << 63)
_FLOATS: Final = (0.0, -1.0, 1.5, 4000.0, 192_000.0, 1e300, float("inf"), float("-inf"), float("nan"), 5e-324)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an element lies. Offsets are bytes; `end` is behind the payload, or behind the header of unknown sizes."""

    element_id: bytes
    start: int
    size_at: int
    payload: int
    end: int


def places(data: bytes) -> list[Place]:
    """Find the elements of a stream, masters and their children, going on at the next known ID behind damage."""
    found: list[Place] = []
    at = 0
    while at < len(data):
        place = _place(data, at)
        if place is None:
            anchors = [position for anchor in _ANCHORS if (position := data.find(anchor, at + 1)) >= 0]
            if not anchors:
                break
            at = min(anchors)
            continue
        found.append(place)
        at = place.payload if place.element_id in _MASTERS else place.end
    return found


def _place(data: bytes, at: int) -> Place | None:
    id_length = 9 - data[at].bit_length()
    size_at = at + id_length
    if id_length > 4 or size_at >= len(data) or not data[size_at]:
        return None
    size_length = 9 - data[size_at].bit_length()
    payload = size_at + size_length
    size = int.from_bytes(data[size_at:payload]) & (1 << 7 * size_length) - 1
    element_id = data[at:size_at]
    if size == (1 << 7 * size_length) - 1:
        return Place(element_id, at, size_at, payload, payload) if element_id in _MASTERS else None
    if payload + size > len(data):
        return None
    return Place(element_id, at, size_at, payload, payload + size)


def documents(data: bytes) -> list[bytes]:
    """Cut a stream where a document begins; joined they are the stream."""
    starts = [0]
    while (at := data.find(_EBML, starts[-1] + 1)) >= 0:
        starts.append(at)
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]


# --- mutations of a stream -------------------------------------------------------------------------------------------


def mutate_stream(data: bytes, other: bytes, rng: Random) -> bytes:
    """Change a stream in one to four ways.

    Args:
        data: the stream.
        other: another one to take pieces from.
        rng: where the choices come from.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        found = places(data)
        mutation = rng.choice(_MUTATIONS) if found else _flip_bits
        data = mutation(data, found, other, rng)
    return data


def mutate_keeping_labels(data: bytes, rng: Random) -> bytes:
    """Change a stream in ways that leave every document's audio under its own ContactId.

    Documents are dropped, doubled, moved, cut short and parted by garbage; clocks and samples are changed. What is cut
    short is followed by another document, as where captures were appended to each other.
    """
    parts = documents(data)
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(parts))
        match rng.randrange(6):
            case 0:
                parts.insert(rng.randrange(len(parts) + 1), parts[index])
            case 1 if len(parts) > 1:
                del parts[index]
            case 2:
                parts[index] = parts[index][: rng.randrange(len(parts[index]) + 1)]
            case 3:
                parts.insert(index, bytes(rng.choice((b"\0", b"\x1a\x45", rng.randbytes(9)))))
            case 4:
                rng.shuffle(parts)
            case _:
                parts[index] = _times(parts[index], places(parts[index]), b"", rng)
    return b"".join(parts)


def _flip_bits(data: bytes, _: Sequence[Place], __: bytes, rng: Random) -> bytes:
    result = bytearray(data)
    for _bit in range(rng.randint(1, 8) if result else 0):
        result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def _size_field(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    place = rng.choice(found)
    width = place.payload - place.size_at
    unknown = (1 << 7 * width) - 1
    size = place.end - place.payload
    choices = (0, 1, size - 1, size + 1, size + rng.randrange(2000), unknown, unknown - 1, rng.randrange(unknown + 1))
    value = min(max(0, rng.choice(choices)), unknown)
    return data[: place.size_at] + (value | 1 << 7 * width).to_bytes(width) + data[place.payload :]


def _wide_size(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    place = rng.choice(found)
    head = rng.choice((b"\0", b"\x01" + b"\xff" * 7, b"\x01" + b"\xff" * 6 + b"\xfe", b"\x40\x01", b"\x08\0\0\0\x05"))
    return data[: place.size_at] + head + data[place.payload :]


def _swap_id(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    place = rng.choice(found)
    return data[: place.start] + rng.choice(_IDS) + data[place.size_at :]


def _truncate(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    at = rng.choice((rng.choice(found).end, rng.choice(found).start, rng.randrange(len(data) + 1)))
    return data[:at] if rng.random() < 0.3 else data[:at] + data[at + rng.choice((1, 2, 9, 300, 2000)) :]


def _duplicate(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    place = rng.choice(found)
    piece = data[place.start : place.end] * rng.choice((1, 1, 1, 2, 50))
    return data[: place.end] + piece + data[place.end :]


def _duplicate_document(data: bytes, _: Sequence[Place], __: bytes, rng: Random) -> bytes:
    parts = documents(data)
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(parts))
    return b"".join(parts)


def _splice(data: bytes, found: Sequence[Place], other: bytes, rng: Random) -> bytes:
    others = places(other)
    if not others:
        return data
    at, source = rng.choice(found).start, rng.choice(others)
    if rng.random() < 0.5:
        return data[:at] + other[source.start :]
    return data[:at] + other[source.start : source.end] + data[at:]


def _lacing(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    blocks = [place for place in found if place.element_id in _BLOCK_IDS and place.end - place.payload > 5]
    if not blocks:
        return data
    place = rng.choice(blocks)
    head = bytearray(data[place.payload : place.payload + 6])
    head[3] = head[3] & ~6 | rng.choice((0, 2, 4, 6))
    head[4:6] = rng.choice((b"\0\0", b"\xff\xff", b"\x01\xff", b"\x03\x80", b"\x02\x00", rng.randbytes(2)))
    if rng.random() < 0.3:
        head[0] = rng.choice((0x00, 0x01, 0x40, 0x80, 0x81, 0x82, 0xFF))
    return data[: place.payload] + head + data[place.payload + 6 :]


def _tag_text(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    texts = [place for place in found if place.element_id in {_TAG_NAME, _TAG_STRING}]
    if not texts:
        return data
    place = rng.choice(texts)
    length = place.end - place.payload
    text = rng.choice(_TEXTS)
    # Of the same length, so that everything around it still holds together.
    return data[: place.payload] + text[:length].ljust(length, b"\0") + data[place.end :]


def _times(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    clocks = [place for place in found if place.element_id in {_TIMECODE, _SCALE, _RATE, *_BLOCK_IDS}]
    if not clocks:
        return data
    # As many clocks as blocks would leave the few that matter most alone.
    few = [place for place in clocks if place.element_id not in _BLOCK_IDS]
    place = rng.choice(few if few and rng.random() < 0.7 else clocks)
    if place.element_id in _BLOCK_IDS:
        if place.end - place.payload < 4:
            return data
        timecode = rng.choice((b"\x80\0", b"\x7f\xff", b"\xff\xff", rng.randbytes(2)))
        return data[: place.payload + 1] + timecode + data[place.payload + 3 :]
    width = place.end - place.payload
    if place.element_id == _RATE and width == 8:
        value = struct.pack(">d", rng.choice(_FLOATS))
    else:
        now = int.from_bytes(data[place.payload : place.end])
        moved = now + rng.choice((-1, 1)) * rng.choice((1, 9, 500, 4_000, 60_000, 3_600_000, 14_000_000, 10**9))
        chosen = rng.choice((moved, moved, rng.choice(_NUMBERS)))
        value = (max(0, chosen) & (1 << 8 * width) - 1).to_bytes(width)
    return data[: place.payload] + value + data[place.end :]


def _garbage(data: bytes, found: Sequence[Place], _: bytes, rng: Random) -> bytes:
    at = rng.choice(found).start
    pieces = (_EBML, _EBML[:3], b"\0" * 40, bytes.fromhex("1A45DFA38B4282886D6174726F736B61"), rng.randbytes(30))
    return data[:at] + rng.choice(pieces) + data[at:]


def _swallow(data: bytes, found: Sequence[Place], other: bytes, rng: Random) -> bytes:
    """Put a document, whole or in part, in place of the end of an element's payload, or beyond it."""
    place = rng.choice([place for place in found if place.element_id not in _MASTERS] or found)
    document = rng.choice(documents(other))
    document = document[: rng.choice((60, 400, len(document)))]
    at = rng.randrange(place.payload, place.end + 1)
    if rng.random() < 0.5:
        # No size changes, so what stands around it may still be sound.
        document = document[: place.end - at]
    return data[:at] + document + data[at + len(document) :]


def _merge(data: bytes, _: Sequence[Place], __: bytes, rng: Random) -> bytes:
    """Join a document to the one before it: its EBML header, Segment, Info and Tracks go."""
    parts = documents(data)
    index = rng.randrange(len(parts))
    if index:
        parts[index] = parts[index][max(0, parts[index].find(_TAGS)) :]
    return b"".join(parts)


_MUTATIONS: Final[tuple[Callable[[bytes, Sequence[Place], bytes, Random], bytes], ...]] = (
    _flip_bits,
    _size_field,
    _size_field,
    _wide_size,
    _swap_id,
    _truncate,
    _duplicate,
    _duplicate_document,
    _splice,
    _lacing,
    _tag_text,
    _tag_text,
    _times,
    _times,
    _garbage,
    _swallow,
    _merge,
)


# --- mutations of an event -------------------------------------------------------------------------------------------

_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1 << 70, 10**400, 1.5, float("nan"), float("inf"), "", "0", "²", "\ud800", "\0",
    "x" * 300,
    "1782912654536", "99999999999999999999", "arn:aws:kinesisvideo::eu-west-1:000000000000:stream/a/1", "VOICE",
    "TASK",
    "arn:aws:kinesisvideo:eu-west-1:" + "\u0660" * 12 + ":stream/a/1", [], {}, [[]], {"": None}, "x" * 300_000,
)  # fmt: skip


def mutate_event(data: bytes, rng: Random) -> bytes:
    """Put something else into one to three places of a JSON document, or rename a key, or bury it deep."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return _flip_bits(data, (), b"", rng)
    for _ in range(rng.randint(1, 3)):
        event = _changed(event, rng)
    try:
        return json.dumps(event).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data


def _changed(node: Any, rng: Random) -> Any:
    if isinstance(node, dict) and node and rng.random() < 0.9:
        key = rng.choice(sorted(node))
        if rng.random() < 0.1:
            return {name: value for name, value in node.items() if name != key}
        return {**node, key: _changed(node[key], rng)}
    if rng.random() < 0.05:
        deep: Any = node
        for _ in range(rng.choice((10, 100, 2000))):
            deep = [deep]
        return deep
    return rng.choice(_VALUES)
