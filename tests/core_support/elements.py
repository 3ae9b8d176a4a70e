"""EBML elements by hand, for tests that need broken ones: declared sizes that lie, unknown sizes, any ID."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Final

from hypothesis import strategies as st

EBML_HEADER: Final = bytes.fromhex("1A45DFA38B4282886D6174726F736B61")
"""The shortest that is a Matroska document's: DocType alone."""
SEGMENT_OF_UNKNOWN_SIZE: Final = bytes.fromhex("1853806701FFFFFFFFFFFFFF")
DOCUMENT: Final = EBML_HEADER + SEGMENT_OF_UNKNOWN_SIZE
"""How a document begins."""

SEGMENT, INFO, TIMECODE_SCALE, TRACKS, TRACK_ENTRY = 0x18538067, 0x1549A966, 0x2AD7B1, 0x1654AE6B, 0xAE
TRACK_NUMBER, TRACK_TYPE, NAME, CODEC_ID, AUDIO = 0xD7, 0x83, 0x536E, 0x86, 0xE1
SAMPLING_FREQUENCY, CHANNELS, BIT_DEPTH = 0xB5, 0x9F, 0x6264
TAGS, TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
CLUSTER, TIMECODE, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1
VOID, CRC_32, SEEK_HEAD = 0xEC, 0xBF, 0x114D9B74
UNKNOWN_CLUSTER: Final = bytes.fromhex("1F43B675FF")

EVERY_ID: Final = (
    0x1A45DFA3, SEGMENT, INFO, TIMECODE_SCALE, TRACKS, TRACK_ENTRY, TRACK_NUMBER, TRACK_TYPE, NAME, CODEC_ID, AUDIO,
    SAMPLING_FREQUENCY, CHANNELS, BIT_DEPTH, TAGS, TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING, CLUSTER, TIMECODE,
    SIMPLE_BLOCK, BLOCK_GROUP, BLOCK, VOID, CRC_32, SEEK_HEAD,
    0x4461,  # DateUTC
    0x4489,  # Duration
    0x73A4,  # SegmentUID
    0x4485,  # TagBinary
    0x63C0,  # Targets
    0x6D80,  # ContentEncodings
    0x55FF,  # nobody's
)  # fmt: skip


def named(value: object) -> str | None:
    """A parameter's name in a test's id: bytes would fill the line."""
    return "bytes" if isinstance(value, bytes) else None


def size_field(size: int | None, width: int = 8) -> bytes:
    """A size as EBML writes it.

    Args:
        size: bytes; None for unknown.
        width: of the field, bytes; large enough for the size.
    """
    value = (1 << 7 * width) - 1 if size is None else size
    return (value | 1 << 7 * width).to_bytes(width, "big")


def element(element_id: int, payload: bytes = b"", *, declared: int | None = None, width: int = 8) -> bytes:
    """One element.

    Args:
        element_id: with its marker bits.
        payload: what it holds.
        declared: the size to declare in place of the payload's.
        width: of the size field, bytes.
    """
    head = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
    return head + size_field(len(payload) if declared is None else declared, width) + payload


def simple_tag(name: str, value: str) -> bytes:
    """One SimpleTag."""
    return element(SIMPLE_TAG, element(TAG_NAME, name.encode()) + element(TAG_STRING, value.encode()))


def tags(*pairs: tuple[str, str]) -> bytes:
    """A Tags element with one Tag."""
    return element(TAGS, element(TAG, b"".join(simple_tag(name, value) for name, value in pairs)))


def track_entry(number: int = 1, *children: bytes) -> bytes:
    """A TrackEntry: its number, type audio, and what else it should hold."""
    head = element(TRACK_NUMBER, number.to_bytes(4, "big")) + element(TRACK_TYPE, b"\x02")
    return element(TRACK_ENTRY, head + b"".join(children))


_BLOCKS: Final = DOCUMENT + UNKNOWN_CLUSTER + element(TIMECODE, b"\0")
_ENDLESS: Final = {
    "empty blocks": (_BLOCKS, bytes.fromhex("A384 81000080")),
    "empty block groups": (_BLOCKS, element(BLOCK_GROUP, element(BLOCK, b"\x81\0\0\0"))),
    "contacts": (DOCUMENT, tags(("ContactId", "1"))),
    "errors": (DOCUMENT, tags(("AWS_KINESISVIDEO_ERROR_CODE", "4000"))),
    "short tags": (DOCUMENT, element(TAGS, element(TAG, bytes.fromhex("67C883 45A380") * 1000))),
}
ENDLESS: Final = tuple(_ENDLESS)
"""Fragments that never end and whose pieces weigh next to nothing."""


def endless(name: str) -> Iterator[bytes]:
    """The chunks of one of `ENDLESS`; in truth 13 MB of them, lest a failing test eat the machine."""
    head, piece = _ENDLESS[name]
    yield head
    yield from repeat(piece * (1 + 32 * 1024 // len(piece)), 400)


@st.composite
def element_soup(draw: st.DrawFn, depth: int = 4) -> bytes:
    """Elements of every kind inside each other, some of whose sizes lie: nearer to trouble than random bytes."""
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        element_id = draw(st.sampled_from(EVERY_ID))
        payload = draw(element_soup(depth - 1)) if depth and draw(st.booleans()) else draw(st.binary(max_size=12))
        lie = draw(st.sampled_from((0, 0, 0, 0, 0, 1, -1, 1 << 20, 1 << 50)))
        size: int | None = max(0, len(payload) + lie)
        if draw(st.integers(0, 9)) == 0:
            size = None
        head = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
        pieces.append(head + size_field(size) + payload)
    return b"".join(pieces)


@st.composite
def mutated(draw: st.DrawFn, data: bytes, *, most: int = 4) -> bytes:
    """Bytes with a few of them changed, taken out, doubled or put in."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(result)))
        length = draw(st.sampled_from((1, 1, 1, 2, 9, 300)))
        match draw(st.sampled_from(("change", "change", "take out", "double", "put in"))):
            case "change":
                result[at : at + length] = draw(st.binary(min_size=length, max_size=length))
            case "take out":
                del result[at : at + length]
            case "double":
                result[at:at] = result[at : at + length]
            case _:
                result[at:at] = draw(st.binary(min_size=1, max_size=length))
    return bytes(result)
