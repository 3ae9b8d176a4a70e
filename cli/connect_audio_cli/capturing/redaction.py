"""Takes the audio and the ids out of a capture, and leaves every size and every time.

How it works. An element is kept only if it is known to hold neither. One that this module does not name becomes zeros
behind its ID and size. A block keeps its track number, its time and its lacing. A tag keeps its value if that is
a number or a name of KVS. Any other value gets zeros for its letters and digits, and a number, the same for the same
value. So a border between two contacts stays one. An id that was seen in a tag is replaced in every other element, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from connect_audio.core.ebml import EBML_HEADER, VINT_LENGTH, read_vint
from connect_audio.core.errors import MatroskaError
from connect_audio.core.matroska import (
    BLOCK,
    BLOCK_GROUP,
    CLUSTER,
    INFO,
    SEGMENT,
    SIMPLE_BLOCK,
    TAGS,
    TIMECODE,
    TIMECODE_SCALE,
    TRACKS,
    decode_block,
)

_SIMPLE_TAG: Final = 0x67C8
_TAG_NAME: Final = 0x45A3
_TAG_STRING: Final = 0x4487
_MASTERS: Final = frozenset(
    # Segment, Info, Tracks, TrackEntry, Audio, Video, Cluster, BlockGroup, Tags, Tag, Targets, SimpleTag, SeekHead;
    # Seek
    {SEGMENT, INFO, TRACKS, 0xAE, 0xE1, 0xE0, CLUSTER, BLOCK_GROUP, TAGS, 0x7373, 0x63C0, _SIMPLE_TAG, 0x114D9B74}
    | {0x4DBB}
)
_KEPT: Final = frozenset(
    # EBML header; Info: TimecodeScale, Duration, DateUTC, MuxingApp, WritingApp
    {EBML_HEADER, TIMECODE_SCALE, 0x4489, 0x4461, 0x4D80, 0x5741}
    # Cluster: Timecode, Position, PrevSize, BlockDuration, ReferenceBlock, DiscardPadding; SeekID, SeekPosition
    | {TIMECODE, 0xA7, 0xAB, 0x9B, 0xFB, 0x75A2, 0x53AB, 0x53AC}
    # TrackEntry: number, UID, type, flags, caches, durations, name, language, codec and its private data
    | {0xD7, 0x73C5, 0x83, 0xB9, 0x88, 0x55AA, 0x9C, 0x6DE7, 0x6DF8, 0x23E383, 0x55EE, 0x536E, 0x22B59C, 0x86, 0x63A2}
    # CodecName, CodecDelay, SeekPreRoll; Audio: frequencies, channels, bits
    | {0x258688, 0x56AA, 0x56BB, 0xB5, 0x78B5, 0x9F, 0x6264}
    # Tag: type and UIDs of its targets, name, language, default
    | {0x68CA, 0x63CA, 0x63C5, 0x63C9, _TAG_NAME, 0x447A, 0x4484}
)
_KEPT_TAGS: Final = frozenset({b"MimeType"})
_KVS: Final = b"AWS_KINESISVIDEO_"
_NUMBER: Final = re.compile(rb"[0-9]{0,3}")
_KVS_VALUE: Final = re.compile(rb"[0-9.]*|[A-Za-z_]{1,64}")
"""A value of KVS that is no text: a number, a time, the name of an error."""
_LEAST_ID_BYTES: Final = 8
"""Shorter values are no ids, and would be found in every element. So would numbers: they are parts of times."""
_MOST_VALUES: Final = 1000
"""Values that are remembered. Further ones become zeros alone, so that a tag that always changes fills no memory."""


class Redaction:
    """Redacts the fragments of one capture, in their order.

    Args:
        ids: texts that are replaced wherever they stand, for example the stream's name.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._replaced: dict[bytes, bytes] = {}
        for each in ids:
            self._replacement(each.encode())

    def text(self, text: str) -> str:
        """Return the replacement of an id, as long as the id."""
        return self._replacement(text.encode()).decode()

    def fragment(self, data: bytes) -> bytes:
        """Return a fragment without audio and ids, as long as it was.

        Args:
            data: the fragment, which may be cut off. From the first byte on that is no element there are zeros.
        """
        redacted = bytearray(len(data))
        at, tag_name = 0, b""
        while at < len(data):
            try:
                payload, end = _element_at(data, at)
            except ValueError:
                break
            element_id = int.from_bytes(data[at : at + VINT_LENGTH[data[at]]])
            redacted[at:payload] = data[at:payload]
            if element_id in _MASTERS:
                tag_name = b"" if element_id == _SIMPLE_TAG else tag_name
                at = payload
                continue
            if end > len(data):
                break
            value = data[payload:end]
            if element_id == _TAG_NAME:
                tag_name = _unpadded(value)
            if element_id in _KEPT:
                redacted[payload:end] = value
            elif element_id in {SIMPLE_BLOCK, BLOCK}:
                head = _block_head(data[at:end], payload - at)
                redacted[payload : payload + head] = value[:head]
            elif element_id == _TAG_STRING:
                redacted[payload:end] = self._tag_value(tag_name, value)
            at = end
        return self._without_ids(bytes(redacted))

    def _tag_value(self, name: bytes, padded: bytes) -> bytes:
        value = _unpadded(padded)
        if name in _KEPT_TAGS or _NUMBER.fullmatch(value) or (name.startswith(_KVS) and _KVS_VALUE.fullmatch(value)):
            kept = value
        else:
            kept = self._replacement(value)
        return kept.ljust(len(padded), b"\0")

    def _replacement(self, value: bytes) -> bytes:
        """Return the value with a number in place of its letters and digits; the same for the same value."""
        known = self._replaced.get(value)
        if known is not None:
            return known
        places = [at for at, byte in enumerate(value) if byte >= 0x80 or chr(byte).isalnum()]
        is_remembered = len(self._replaced) < _MOST_VALUES
        number = len(self._replaced) if is_remembered else -1
        while True:
            number += 1
            digits = str(number).encode().rjust(len(places), b"0")[-len(places) :] if places else b""
            made = bytearray(value)
            for at, digit in zip(places, digits, strict=True):
                made[at] = digit
            if bytes(made) != value or not places:
                break
        if is_remembered:
            self._replaced[value] = bytes(made)
        return bytes(made)

    def _without_ids(self, data: bytes) -> bytes:
        for value, replacement in self._replaced.items():
            if len(value) >= _LEAST_ID_BYTES and not value.replace(b".", b"").isdigit():
                data = data.replace(value, replacement)
        return data


def _element_at(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of the element at a position begins and ends; the end may lie beyond the data.

    Raises:
        ValueError: there is no element.
    """
    id_length = VINT_LENGTH[data[at]]
    if not 1 <= id_length <= 4:
        raise ValueError("no element ID")
    size, payload = read_vint(data, at + id_length)
    return payload, payload + size


def _block_head(raw: bytes, payload: int) -> int:
    """Return how many bytes of a block's payload come before its audio: 0 for what is no block.

    Args:
        raw: the whole element.
        payload: start of its payload in `raw`.
    """
    try:
        frames = decode_block(raw, payload, offset=0).frames
    except MatroskaError:
        return 0
    return len(raw) - payload - sum(map(len, frames))


def _unpadded(value: bytes) -> bytes:
    return value.split(b"\0", 1)[0]
