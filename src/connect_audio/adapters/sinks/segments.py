"""The sink `segments`: a WAV for every few seconds of a call while it lasts, and an index that grows with it.

A segment's files are written first, then its page of the index, then the index's head if it changed. So every listed
file is there. A segment that is delivered again is written again, with the same names and bytes. Files, names and index
are described in `docs/live-segments.md`. The composition roots make the sink.

*How it works.* The first call reads the index of earlier invocations: the head, its newest page, and any page begun
after it (`_opened`). `deliver_segment` writes the WAVs, adds the entry to its page, notes it in the head and writes
both. A failed write of the index stays due, and the next segment repeats it. `end` takes out entries beyond the
recording's end and closes the head.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from connect_audio.adapters.sinks.segment_index import (
    HEAD_NAME,
    DamagedIndexError,
    ForeignIndexError,
    IndexedCall,
    IndexHead,
    IndexPage,
    State,
    entry_of,
    file_name,
    page_name,
    page_of,
)
from connect_audio.adapters.sinks.segment_store import SegmentStore
from connect_audio.core.errors import SinkError
from connect_audio.core.segment_wav import WavShape, segment_wavs
from connect_audio.ports import Clock
from connect_audio.sinks import LiveEnd, LiveSegment

_WAV: Final = "audio/wav"
_JSON: Final = "application/json"
LAST_CALL_SECONDS: Final = 3.0
"""Latest begin of a call of the store within a delivery, seconds. With the 7 s of such a call a delivery takes 10 s,
after which the driver would interrupt it. A later call fails with `TIMEOUT`."""
_PAGES_HELD: Final = 2
"""Pages in memory. A repeated delivery reaches back by the buffer's 300 s at most, so over one border between pages. An
older page is read from the store again."""


class SegmentFileSink:
    """Segments of one call, in one invocation, as `connect_audio.sinks.SegmentSink`.

    The sink continues the index of an earlier invocation, which it reads once, before the first segment. A damaged head
    is rebuilt from the pages. A damaged page begins anew, and the segments that it listed are missing. An index of
    another call or of other settings stays as it is, and the sink writes nothing beside it.

    Args:
        store: the place of the files; closed by `close`.
        contact_id: the call's contact.
        recording: URI or file name of the recording, for the index.
        shape: form of the WAVs.
        segment_seconds: length of a segment.
        clock: measures how long a delivery takes.
    """

    def __init__(
        self,
        store: SegmentStore,
        *,
        contact_id: str,
        recording: str,
        shape: WavShape,
        segment_seconds: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._contact_id = contact_id
        self._recording = recording
        self._shape = shape
        self._segment_seconds = segment_seconds
        self._clock = clock
        self._interrupted = threading.Event()
        self._began = 0.0
        self._call: IndexedCall | None = None
        self._head: IndexHead | None = None
        self._head_is_due = True
        # The next page to read of the index that earlier invocations left; None once all are read.
        self._unread: int | None = None
        self._pages: dict[int, IndexPage] = {}
        # Pages with entries that the store lacks: of the segment under way, and after a failed write of earlier ones.
        self._unwritten: set[int] = set()

    @property
    def segment_seconds(self) -> int:
        """Length of a segment, seconds."""
        return self._segment_seconds

    def prepare(self) -> None:
        """Read the index of earlier invocations, so that the first delivery need not.

        Raises:
            SinkError: as `deliver_segment`; nothing is written.
        """
        with self._interruptible():
            self._opened(self._indexed_call(self._shape.rate))

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Write a segment and its entry in the index.

        Raises:
            SinkError: the store's; `TIMEOUT` where it is too slow; `INTERRUPTED`; `FOREIGN_INDEX`, not retryable,
                where another call's index is there.
        """
        with self._interruptible():
            wavs = segment_wavs(segment, self._shape)
            call = self._indexed_call(wavs[0].rate)
            head = self._opened(call)
            page = self._page(page_of(segment.number), call, head)
            for wav in wavs:
                self._put(file_name(segment.number, wav), wav.wav, _WAV)
            page.put(entry_of(segment, wavs))
            head.start_ms = round((segment.start - segment.position) * 1000 / segment.rate)
            self._head_is_due |= head.state is State.ENDED
            head.state, head.duration_seconds = State.LIVE, None
            # Noted before it is written: if that fails, the entry goes with the next one, since its files are there.
            self._head_is_due |= head.note(page, segment.number)
            self._unwritten.add(page.number)
            self._write_index(call, head)

    def end(self, end: LiveEnd) -> None:
        """Write into the index that the call is over, its length, and the missing segments.

        Raises:
            SinkError: as `deliver_segment`.
        """
        with self._interruptible():
            call = self._indexed_call(self._shape.rate or end.rate)
            head = self._opened(call)
            if end.origin is not None and end.rate is not None:
                head.start_ms = round(end.origin * 1000 / end.rate)
            if end.rate is not None:
                self._cut(-(-end.frames // (self._segment_seconds * end.rate)), call, head)
            head.state = State.ENDED
            head.duration_seconds = end.frames / end.rate if end.rate else 0.0
            self._head_is_due = True
            self._write_index(call, head)

    def interrupt(self) -> None:
        """Let the delivery or `end` under way begin no further call of the store. A call under way times out after 7 s.

        An interrupt between two deliveries counts for the next one, since the caller cannot know.
        """
        self._interrupted.set()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _cut(self, count: int, call: IndexedCall, head: IndexHead) -> None:
        """Remove the segments beyond the recording's end: audio delivered ahead may not have been recorded."""
        for number in head.pages_beyond(count):
            page = self._page(number, call, head)
            if page.cut(count):
                head.pages[number] = len(page)
                self._unwritten.add(number)
        head.cut(count)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        self._began = self._clock.monotonic()
        try:
            yield
        finally:
            self._interrupted.clear()

    def _indexed_call(self, rate: int | None) -> IndexedCall:
        if self._call is None or self._call.sample_rate is None:
            self._call = IndexedCall(
                contact_id=self._contact_id,
                recording=self._recording,
                segment_seconds=self._segment_seconds,
                layout=self._shape.layout,
                sample_rate=rate,
            )
        return self._call

    def _opened(self, call: IndexedCall) -> IndexHead:
        """The head, after the index of earlier invocations was read: head, newest page and any page begun after it."""
        if self._head is None:
            self._head = self._read_head(call)
            self._unread = max(self._head.pages, default=0)
        # Checked at each call, since the rate may be unknown when the head is read.
        there, mine = self._head.sample_rate, call.sample_rate
        if there is not None and mine is not None and there != mine:
            raise _foreign(HEAD_NAME, ForeignIndexError(f"sampleRate {there} instead of {mine}"))
        while self._unread is not None:
            page = self._read_page(self._unread, call)
            if page is None and self._unread not in self._head.pages:
                self._hold(IndexPage(self._unread))
                self._unread = None
            else:
                self._take(page or IndexPage(self._unread), self._head)
                self._unread += 1
        return self._head

    def _read_head(self, call: IndexedCall) -> IndexHead:
        text = self._get(HEAD_NAME)
        try:
            return IndexHead() if text is None else IndexHead.decode(text, call)
        except DamagedIndexError:
            return IndexHead()
        except ForeignIndexError as exc:
            raise _foreign(HEAD_NAME, exc) from exc

    def _page(self, number: int, call: IndexedCall, head: IndexHead) -> IndexPage:
        if number not in self._pages:
            page = self._read_page(number, call)
            if page is not None or number in head.pages:
                self._take(page or IndexPage(number), head)
            else:
                self._hold(IndexPage(number))
        return self._pages[number]

    def _read_page(self, number: int, call: IndexedCall) -> IndexPage | None:
        """A page as it is stored; an empty one if it is damaged, None if there is none."""
        name = page_name(number)
        text = self._get(name)
        try:
            return None if text is None else IndexPage.decode(number, text, call)
        except DamagedIndexError:
            return IndexPage(number)
        except ForeignIndexError as exc:
            raise _foreign(name, exc) from exc

    def _take(self, page: IndexPage, head: IndexHead) -> None:
        """Hold a page that was found, and note its entries in the head."""
        head.take(page)
        self._head_is_due = True
        self._hold(page)

    def _hold(self, page: IndexPage) -> None:
        written = [number for number in self._pages if number not in self._unwritten]
        for number in written[: max(0, len(self._pages) + 1 - _PAGES_HELD)]:
            del self._pages[number]
        self._pages[page.number] = page

    def _write_index(self, call: IndexedCall, head: IndexHead) -> None:
        for number in sorted(self._unwritten):
            page = self._pages[number]
            self._put(page.name, page.encode(call), _JSON)
            self._unwritten.discard(number)
        if self._head_is_due:
            self._put(HEAD_NAME, head.encode(call), _JSON)
            self._head_is_due = False

    def _put(self, name: str, body: bytes, content_type: str) -> None:
        self._check(name)
        self._store.put(name, body, content_type)

    def _get(self, name: str) -> bytes | None:
        self._check(name)
        return self._store.get(name)

    def _check(self, name: str) -> None:
        if self._interrupted.is_set():
            raise SinkError("INTERRUPTED", f"interrupted before {name}", retryable=True)
        seconds = self._clock.monotonic() - self._began
        if seconds > LAST_CALL_SECONDS:
            raise SinkError("TIMEOUT", f"{seconds:.1f} s have passed before {name}", retryable=True)


def _foreign(name: str, exc: ForeignIndexError) -> SinkError:
    return SinkError("FOREIGN_INDEX", f"{name} is there already and lists other segments: {exc}", retryable=False)
