"""Drives the core as the recorder and the replay do: bytes in any cut to events, events to frames. For the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from connect_audio.core.admission import StreamEnd
from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.ebml import EbmlParser, ElementRule, Token
from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, Fragment, FragmentReader
from connect_audio.core.manifest import EndReason, NoteLog, RecordingFacts, build_manifest
from connect_audio.core.recording import CallRecording

type Event = Fragment | BytesLost
_HEAD = re.compile(
    b"\x1a\x45\xdf\xa3|\x18\x53\x80\x67|\x1f\x43\xb6\x75|\x12\x54\xc3\x67|\x15\x49\xa9\x66|\x16\x54\xae\x6b|[\xa3\xec][\x08-\x7f]"
)
"""The IDs of a document's large elements, and of a block or padding with the first byte of a size behind it."""


def byte_by_byte(data: bytes) -> list[bytes]:
    """Cut into single bytes."""
    return [data[at : at + 1] for at in range(len(data))]


def byte_by_byte_at_heads(data: bytes) -> list[bytes]:
    """Cut into single bytes where an element may begin, and into pieces of 97 bytes within what it holds."""
    single = bytearray(len(data))
    for found in _HEAD.finditer(data):
        single[max(0, found.start() - 8) : found.end() + 24] = b"\1" * (found.end() + 24 - max(0, found.start() - 8))
    del single[len(data) :]
    pieces, at = [], 0
    while at < len(data):
        end = at + 1 if single[at] else min(at + 97, single.find(1, at) % (len(data) + 1))
        pieces.append(data[at:end])
        at = end
    return pieces


def events_of(chunks: Iterable[bytes], *, end: bool = True) -> list[Event]:
    """Read chunks as a live reader does.

    Args:
        chunks: the body.
        end: whether the body ends after them.

    Raises:
        StreamError: the bytes are malformed.
    """
    reader = FragmentReader()
    events: list[Event] = []
    for chunk in chunks:
        reader.receive_data(chunk)
        _drain(reader, events)
    if end:
        reader.receive_data(b"")
        _drain(reader, events)
    return events


def events_in_file_mode(chunks: Iterable[bytes]) -> tuple[list[Event], list[StreamError]]:
    """Read chunks as a file reader does: after an error look for the next document."""
    reader = FragmentReader()
    events: list[Event] = []
    errors: list[StreamError] = []
    for chunk in (*chunks, b""):
        reader.receive_data(chunk)
        while True:
            try:
                _drain(reader, events)
                break
            except StreamError as error:
                errors.append(error)
                reader.resynchronise(str(error))
    return events, errors


def _drain(reader: FragmentReader, events: list[Event]) -> None:
    while True:
        event = reader.next_event()
        if event is NEED_DATA or event is END:
            return
        assert isinstance(event, Fragment | BytesLost)
        events.append(event)


def read_all(reader: FragmentReader, chunks: Iterable[bytes]) -> None:
    """Read chunks until they end or an error is raised; keep nothing."""
    for chunk in chunks:
        reader.receive_data(chunk)
        while reader.next_event() is not NEED_DATA:
            pass


def fragments_of(events: Iterable[Event]) -> list[Fragment]:
    """The fragments among events."""
    return [event for event in events if isinstance(event, Fragment)]


def tokens_three_ways(document: bytes, schema: dict[int, ElementRule], trailing: bytes) -> list[Token]:
    """Parse a document whole, byte by byte and with bytes of a next element behind it, and hold the three together.

    Args:
        document: whole elements.
        schema: for the parser.
        trailing: the beginning of another element, which must be left where it is.

    Returns:
        The tokens, up to where the parser wants more data.
    """
    whole = _tokens([document], schema, left=0)
    assert _tokens(byte_by_byte(document), schema, left=0) == whole
    assert _tokens([document + trailing], schema, left=len(trailing)) == whole
    return whole


def _tokens(chunks: Iterable[bytes], schema: dict[int, ElementRule], *, left: int) -> list[Token]:
    parser = EbmlParser(schema)
    tokens: list[Token] = []
    for chunk in chunks:
        parser.receive_data(chunk)
        while (token := parser.next_token()) is not NEED_DATA:
            tokens.append(token)
    assert parser.buffered == left
    return tokens


@dataclass
class Recorded:
    """What came out of a recording."""

    stereo: bytes
    cursor: Cursor
    notes: list[Note] = field(default_factory=list)

    def manifest(self, contact_id: str) -> dict[str, Any]:
        """The manifest as replay writes it, through JSON."""
        facts = RecordingFacts(contact_id=contact_id, recording="call.wav", end_reason=EndReason.END_OF_INPUT)
        rate = None if self.cursor.timeline is None else self.cursor.timeline.rate
        manifest: dict[str, Any] = json.loads(
            json.dumps(build_manifest(self.cursor, facts, NoteLog().extended(self.notes, rate)))
        )
        return manifest


def record(events: Sequence[Event], contact_id: str, *, cursor: Cursor | None = None) -> Recorded:
    """Record one contact to the end.

    Args:
        events: of a reader.
        contact_id: whose audio.
        cursor: where to go on.
    """
    recording = CallRecording(contact_id, cursor=cursor)
    stereo = bytearray()
    notes: list[Note] = []
    for event in events:
        if isinstance(event, Fragment):
            recording.add(event)
        elif isinstance(event, BytesLost):
            recording.lose(event)
        for frames in recording.take():
            stereo += frames
        notes += recording.take_notes()
    recording.end(StreamEnd.END_OF_INPUT)
    for frames in recording.take():
        stereo += frames
    final = recording.cursor()
    return Recorded(bytes(stereo), final, notes + recording.take_notes())
