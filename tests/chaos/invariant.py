"""The invariant that the recorder rests on, as a state machine: *cursor + log => same bytes* (ADR 3).

A life reads the log after the cursor, in any chunks, over any number of connections cut anywhere, takes as many frames
as it likes and saves its cursor whenever it likes; a kill leaves nothing but what was saved. Whatever the order of all
that, the frames saved and those still to come are the call's, the CRC-32 is theirs, and no count counts twice.
`tests/unit/recorder/test_chaos_invariant.py` runs it.
"""

from __future__ import annotations

import zlib
from itertools import islice

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.fragments import END, NEED_DATA, Completion, Fragment, FragmentReader
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.recording import CallRecording
from core_support.expectation import expected_recording
from core_support.generated_streams import OURS, GeneratedStream, generated_streams
from core_support.reading import Recorded, events_of, record
from support.json_text import through_json


class CursorAndLog(RuleBasedStateMachine):
    """Lives of a recorder over one log."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: tuple[Cursor, bytes, tuple[Note, ...]] = (Cursor(), b"", ())

    @initialize(stream=generated_streams(unique_numbers=True))
    def begin(self, stream: GeneratedStream) -> None:
        self.log = [fragment.data for fragment in stream.fragments]
        self.numbers = [fragment.contents.number for fragment in stream.fragments]
        self.expected = expected_recording(stream).stereo
        self.uninterrupted = record(events_of([stream.data]), OURS)
        self.live()

    def live(self) -> None:
        """A process begins: all it knows is what was saved."""
        cursor, stereo, notes = self.saved
        self.recording = CallRecording(OURS, cursor=from_plain(Cursor, through_json(to_plain(cursor))))
        self.stereo = bytearray(stereo)
        self.notes = list(notes)
        self.position = cursor.fragment
        self.connect()

    def connect(self) -> None:
        """GetMedia after the newest completed fragment."""
        first = 0 if self.position is None else self.numbers.index(self.position) + 1
        self.body = b"".join(self.log[first:])
        self.reader = FragmentReader()

    @rule(size=st.integers(1, 3000))
    def receive(self, size: int) -> None:
        chunk, self.body = self.body[:size], self.body[size:]
        if chunk:
            self.reader.receive_data(chunk)
            self.read()

    @rule()
    def receive_much(self) -> None:
        self.receive(1 << 20)

    @rule()
    def end_of_body(self) -> None:
        """A body that ends is no reason to believe that its last fragment is whole."""
        self.reader.receive_data(b"")
        self.read()
        self.connect()

    @rule()
    def cut(self) -> None:
        self.connect()

    @rule(chunks=st.integers(0, 3))
    def take_some(self, chunks: int) -> None:
        for frames in islice(self.recording.take(), chunks):
            self.stereo += frames

    @rule()
    def save(self) -> None:
        cursor = self.recording.cursor()
        self.notes += self.recording.take_notes()
        self.saved = (cursor, bytes(self.stereo), tuple(self.notes))

    @rule()
    def kill(self) -> None:
        self.live()

    def read(self) -> None:
        while (event := self.reader.next_event()) is not NEED_DATA and event is not END:
            if isinstance(event, Fragment) and event.completion in {Completion.TOKEN, Completion.SUCCESSOR}:
                self.recording.add(event)
                self.position = event.number or self.position

    @invariant()
    def what_is_there_is_right(self) -> None:
        if hasattr(self, "expected"):
            assert self.expected.startswith(self.stereo)

    def teardown(self) -> None:
        if not hasattr(self, "expected"):
            return
        cursor, stereo, notes = self.saved
        self.position = cursor.fragment
        self.connect()
        rest = record(events_of([self.body]), OURS, cursor=from_plain(Cursor, through_json(to_plain(cursor))))
        whole = Recorded(stereo + rest.stereo, rest.cursor, [*notes, *rest.notes])
        assert whole.stereo == self.expected
        assert whole.cursor.crc32 == zlib.crc32(whole.stereo)
        assert whole.cursor == self.uninterrupted.cursor
        assert whole.notes == self.uninterrupted.notes
