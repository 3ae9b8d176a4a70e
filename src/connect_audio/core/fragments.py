"""Fragments out of bytes: a KVS fragment is a Matroska document, or a part of one, with number, times, tags and blocks.

    reader.receive_data(chunk)         stores; b"" means end of body or file
    event = reader.next_event()        Fragment | BytesLost | NEED_DATA | END
    reader.open                        the fragment under way, with the blocks that are whole so far

`next_event` raises `StreamError` and nothing else. Then the caller decides: a live reader reconnects after
its cursor, a file reader calls `resynchronise` and goes on with the next validated document. A Fragment comes out when
it is over. Live audio looks at `reader.open` after each read: a block is in there as soon as its last byte is in.

How it works. Between two fragments `Shapes` looks at the next one (`core/shapes.py`). If it has the shape of one
before, it is read as a whole, or waited for while it fits. Otherwise its elements fill an `OpenFragment`, the draft.
The EBML header begins a draft; tags, tracks and blocks go into it. The continuation token, the next EBML header or
the end makes it a `Fragment`. A document may hold more of them, merged or remuxed. Then the next one begins behind the
token, with a new fragment number, or without any number with each Cluster. A draft behind a token waits for one of
these, or for error tags: until then it has not begun.

A size that was damaged or cut off may reach into the next document, and what follows may look sound by chance. So a
fragment is given out, and an error raised, only once no document is hidden in the bytes before it. A fragment in
Connect's layout needs no look (`OpenFragment.hides_nothing`). If a document is hidden, the bytes are read again from
the draft's beginning, and no size is believed.

| state | meaning |
| --- | --- |
| `_draft` | the fragment under way, or the one that may follow in the same document |
| `_begin` | makes the draft anew, as it is before its first element |
| `_marked` | the `_begin` of the fragment that would be read again |
| `_doubt` | what comes next, if no document is hidden before it |
| `_elementwise`, `_shaped` | whether the fragment under way is read by its elements; the last one that was not |
| `_pending` | what `open` came upon and `next_event` has to give out |
| `_suspect_bytes` | the element that is being decoded: searched again if it makes no sense |
| `_resync_cause`, `_resync_offset` | after `resynchronise`: why and from where the next document is searched |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from connect_audio.core.document_search import document_at
from connect_audio.core.ebml import EBML_HEADER, END, NEED_DATA, EbmlParser, Element, MasterStart, Signal, new_tuple
from connect_audio.core.errors import FragmentError, MatroskaError, StreamError
from connect_audio.core.fragment import Block, BytesLost, Completion, Fragment, fragment_counter
from connect_audio.core.matroska import (
    BLOCK,
    CLUSTER,
    INFO,
    SCHEMA,
    SEGMENT,
    SIMPLE_BLOCK,
    TAGS,
    TIMECODE,
    TRACKS,
    decode_blocks,
    decode_tags,
    decode_timecode_scale,
    decode_tracks,
    decode_uint,
    is_matroska_document,
)
from connect_audio.core.open_fragment import OpenFragment, Part
from connect_audio.core.shapes import MAX_SHAPE_BYTES, NoShapes, Shapes

__all__ = [
    "END",
    "NEED_DATA",
    "Block",
    "BytesLost",
    "Completion",
    "Fragment",
    "FragmentEvent",
    "FragmentReader",
    "OpenFragment",
    "fragment_counter",
]

MAX_FRAGMENT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes that a fragment holds until it is complete. KVS fragments last at most 20 s: 3.9 MB at 48 kHz stereo."""
MAX_CLUSTERS_BYTES: Final = MAX_FRAGMENT_BYTES // 2
"""A new Cluster begins another fragment beyond this, also where nothing else says so. KVS's fragments stay below it."""
BLOCK_OVERHEAD_BYTES: Final = 256
"""Memory of a Block beside its payload, and more: without it, endless empty blocks would weigh nothing."""

_MAX_EXPECTING_BYTES: Final = 1024 * 1024
"""Largest fragment whose blocks stay in memory until the next one begins, since to leave them out takes time."""
_MAGIC: Final = EBML_HEADER.to_bytes(4)


type FragmentEvent = Fragment | BytesLost | Signal


class _Doubt(NamedTuple):
    """The next event or error, which holds if no document is hidden before it.

    Args:
        outcome: the event or the error.
        end: offset in the stream up to which a document may be hidden.
    """

    outcome: Fragment | BytesLost | StreamError
    end: int


def _no_draft() -> OpenFragment | None:
    """Begin with an EBML header."""
    return None


class FragmentReader:
    """Read fragments from the bytes of one GetMedia body, one GetMediaForFragmentList body or one capture file.

    Memory: one element of at most `MAX_BLOCK_BYTES`, a fragment of at most `MAX_FRAGMENT_BYTES` and one received chunk.
    At most `MAX_READ_AGAIN` bytes are kept to be read again. A fragment that was read by its shape keeps the chunk that
    it came in.

    Args:
        shapes: how fragments are read as a whole; `NoShapes` for element by element alone.
    """

    def __init__(self, shapes: Shapes | NoShapes | None = None) -> None:
        self._parser = EbmlParser(SCHEMA, document_at=document_at)
        self._draft: OpenFragment | None = None
        self._begin: Callable[[], OpenFragment | None] = _no_draft
        self._marked: Callable[[], OpenFragment | None] = _no_draft
        self._doubt: _Doubt | None = None
        self._suspect_bytes = 0  # size of the element that is being decoded
        self._shapes = Shapes() if shapes is None else shapes
        self._elementwise = False  # the fragment under way is read element by element
        self._learns = False  # its shape
        self._shaped: Fragment | None = None  # the last fragment, where it was read by its shape
        self._pending: FragmentEvent | StreamError | None = None  # an event that `open` came upon
        self._resync_cause: str | None = None
        self._resync_offset = 0
        self._ended = False  # the rest that the end of the input cut has been given out

    def receive_data(self, data: bytes) -> None:
        """Store bytes for `next_event`; `b""` says that no more will come."""
        self._parser.receive_data(data)

    @property
    def midway(self) -> bool:
        """True if a fragment, or any other element, has begun and is not over."""
        return self._parser.midway or self._under_way is not None or self._doubt is not None

    @property
    def open(self) -> OpenFragment | None:
        """The fragment under way; None where none has begun or the last one has been given out.

        To ask for it makes the reader go through what has come of the fragment element by element.
        """
        if not self._elementwise and self._pending is None and self._resync_cause is None and self._parser.buffered:
            self._begin_elementwise(learns=False)
            try:
                event = self._next_by_element()
            except StreamError as error:
                self._pending = error
            else:
                self._pending = None if event is NEED_DATA else event
        return self._under_way

    @property
    def _under_way(self) -> OpenFragment | None:
        draft = self._draft
        return None if draft is None or not draft.begun else draft

    def next_event(self) -> FragmentEvent:
        """Return the next event, `NEED_DATA`, or `END` once the input is used up.

        Raises:
            StreamError: the bytes are not what GetMedia serves; see `resynchronise`.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            if isinstance(pending, StreamError):
                raise pending
            return pending
        if self._resync_cause is not None:
            return self._search()
        if not self._elementwise:
            event = self._next_by_shape()
            if event is not None:
                return event
        return self._next_by_element()

    def _next_by_shape(self) -> FragmentEvent | None:
        """Take the next fragment by its shape; NEED_DATA while it may have one, None if its elements must be read."""
        parser = self._parser
        if parser.between_documents:
            window = parser.window
            at = window.position
            if at == len(window.buffer):
                return None
            fragment = self._shapes.match(window.buffer, at, window.base + at)
            if fragment is not None:
                parser.skip_document(fragment.size, SEGMENT if self._shapes.leaves_open else None)
                self._draft, self._shaped = None, fragment
                return fragment
            if not window.ended and self._shapes.may_match(window.buffer, at, window.last_read):
                return NEED_DATA
        elif not parser.buffered:
            return None
        self._begin_elementwise(learns=True)
        return None

    def _begin_elementwise(self, *, learns: bool) -> None:
        """Read the fragment under way element by element from its beginning."""
        self._elementwise = True
        shaped, self._shaped = self._shaped, None
        if shaped is not None:
            self._expect(shaped)
        self._learns = self._shapes.elementwise() and learns
        self._mark(self._parser.offset)

    def _mark(self, offset: int) -> None:
        """Note where the draft begins, should it have to be read again."""
        self._parser.mark(offset)
        self._marked = self._begin

    def _next_by_element(self) -> FragmentEvent:
        while True:
            doubt = self._doubt
            if doubt is None:
                event = self._read_on()
                if event is not None:
                    return event
                continue
            hidden = self._parser.hides_document(doubt.end)
            if hidden is None:
                return NEED_DATA
            self._doubt = None
            if not hidden:
                return self._beyond_doubt(doubt.outcome)
            self._parser.read_again(doubt.end)
            self._begin = self._marked
            self._draft = self._begin()

    def _read_on(self) -> FragmentEvent | None:
        """Take tokens up to an event that is beyond doubt; None once there is a doubt."""
        parser = self._parser
        try:
            while self._doubt is None:
                self._suspect_bytes = 0
                token = parser.next_token()
                if type(token) is Element:
                    # Should it make no sense, its size is not to be believed: whole fragments may be in it.
                    self._suspect_bytes = len(token.raw)
                    event = self._take_element(token)
                    if event is not None:
                        return event
                elif type(token) is MasterStart:
                    self._take_master(token)
                elif token is NEED_DATA:
                    return NEED_DATA
                elif token is END:
                    return self._end()
        except StreamError as error:
            self._doubt = _Doubt(error, parser.element_offset - self._suspect_bytes)
        return None

    def _beyond_doubt(self, outcome: Fragment | BytesLost | StreamError) -> FragmentEvent:
        """Give out an event, or raise an error, before which no document is hidden."""
        if isinstance(outcome, StreamError):
            raise outcome
        if isinstance(outcome, BytesLost):
            self._ended = True
        elif self._under_way is None and outcome.completion is Completion.TOKEN:
            self._over()
        elif self._draft is not None:
            self._mark(self._draft.offset)
        return outcome

    def _over(self) -> None:
        """The fragment under way is over at its token: the next one may have a known shape."""
        self._elementwise = False
        self._parser.window.unmark()

    def _learn(self, fragment: Fragment) -> None:
        """Learn the shape of a fragment that was read element by element, for the next ones."""
        parser = self._parser
        if self._learns and fragment.size <= MAX_SHAPE_BYTES and parser.between_documents:
            raw = parser.window.since_mark(fragment.offset, fragment.offset + fragment.size)
            # A later fragment of a document is read by what stands before it, so its bytes alone have no shape.
            if raw.startswith(_MAGIC):
                self._shapes.learn(raw, fragment, leaves_open=parser.open_element == SEGMENT)

    def resynchronise(self, cause: str) -> None:
        """After an error, make `next_event` go on with the next validated document.

        The unfinished fragment, if any, comes out first, TRUNCATED; then a BytesLost counts what was passed over.

        Args:
            cause: description of the fault, for the report.
        """
        self._parser.search_again(self._suspect_bytes)
        self._suspect_bytes = 0
        self._resync_cause = cause
        self._resync_offset = self._parser.element_offset
        self._elementwise = False

    def _search(self) -> FragmentEvent:
        """Deliver the broken fragment, then look for the next document."""
        cause = self._resync_cause
        if cause is None:  # pragma: no cover - the caller has looked
            return NEED_DATA
        draft, self._draft = self._under_way, None
        self._begin = _no_draft
        if draft is not None:
            return draft.finish(Completion.TRUNCATED, cause, self._resync_offset)
        lost = self._parser.resynchronise(is_matroska_document)
        if lost is None:
            return NEED_DATA
        self._resync_cause = None
        return BytesLost(self._resync_offset, lost, cause)

    def _end(self) -> Signal | None:
        """Doubt what the end of the input leaves behind; END once that has been given out."""
        draft, self._draft = self._under_way, None
        parser = self._parser
        truncation, end = parser.truncation(), parser.window.received
        if draft is not None:
            completion = Completion.END_OF_BODY if truncation is None else Completion.TRUNCATED
            self._doubt = _Doubt(draft.finish(completion, truncation, parser.element_offset), end)
            return None
        if truncation is not None and end > parser.element_offset and not self._ended:
            self._doubt = _Doubt(BytesLost(parser.element_offset, end - parser.element_offset, truncation), end)
            return None
        return END

    def _take_master(self, token: MasterStart) -> None:
        draft = self._require_draft(token.offset)
        if token.element_id != CLUSTER:
            return
        if draft.blocks and (draft.number_tag is None or draft.held_bytes > MAX_CLUSTERS_BYTES):
            draft = self._succeed(draft, token.offset, draft.goes_on())
        draft.begin_cluster()

    def _succeed(self, draft: OpenFragment, offset: int, part: Part) -> OpenFragment:
        """End a fragment where its document goes on with the next one, which becomes the draft."""
        fragment = draft.finish(Completion.SUCCESSOR, None, offset)
        self._doubt = _Doubt(fragment, offset)
        self._begin = partial(OpenFragment.after, fragment, part)
        draft = self._draft = OpenFragment.after(fragment, part)
        return draft

    def _expect(self, fragment: Fragment) -> None:
        """Behind a fragment another one of its document may follow: it has no draft before its first element."""
        if fragment.held_bytes > _MAX_EXPECTING_BYTES:
            fragment = replace(fragment, blocks=())
        self._begin = partial(OpenFragment.after, fragment, Part(begun=False))
        self._draft = None

    def _require_draft(self, offset: int) -> OpenFragment:
        draft = self._draft
        if draft is None:
            draft = self._draft = self._begin()
            if draft is None:
                raise MatroskaError("a Segment without an EBML header before it", offset=offset)
        return draft

    def _take_element(self, element: Element) -> Fragment | None:
        """Take a whole element; return the fragment that is over with it beyond doubt."""
        element_id, offset, payload, raw = element
        if element_id == EBML_HEADER:
            self._begin_document(offset)
            return None
        draft = self._require_draft(offset)
        if element_id == TAGS:
            return self._take_tags(draft, element)
        if element_id in {SIMPLE_BLOCK, BLOCK}:
            self._take_blocks(draft, element)
        elif element_id == TIMECODE:
            draft.take_timecode(decode_uint(raw, payload))
        elif element_id == TRACKS:
            draft.take_tracks(decode_tracks(raw, offset=offset), len(raw))
            if draft.held_bytes > MAX_FRAGMENT_BYTES:
                raise _too_much(draft, offset)
        elif element_id == INFO:
            draft.take_timecode_scale(decode_timecode_scale(raw, offset=offset))
        return None

    def _begin_document(self, offset: int) -> None:
        previous, self._draft = self._under_way, OpenFragment(offset)
        self._begin = _no_draft
        if previous is None:
            if offset != self._parser.marked_offset:
                self._mark(offset)
            self._marked = _no_draft
        else:
            self._doubt = _Doubt(previous.finish(Completion.SUCCESSOR, None, offset), offset)

    def _take_blocks(self, draft: OpenFragment, element: Element) -> None:
        """Decode a block, and the similar blocks behind it that are already here."""
        _, offset, header_size, raw = element
        size = len(raw)
        draft.last_labels.clear()
        self._decode_blocks(draft, raw, range(1), size, header_size, offset)
        buffer, starts = self._parser.take_repeats()
        if starts:
            before = len(draft.blocks)
            try:
                self._decode_blocks(draft, buffer, starts, size, header_size, offset + size)
            except StreamError:
                # As if the blocks had come one by one: the blocks after the bad one have not been looked at.
                self._parser.give_back(len(starts) - (len(draft.blocks) - before) - 1)
                raise

    def _decode_blocks(
        self, draft: OpenFragment, buffer: bytes, starts: range, size: int, header_size: int, offset: int
    ) -> None:
        """Decode blocks of one size; `offset` is the first one's in the stream."""
        cluster_timecode = draft.cluster_timecode
        if cluster_timecode is None:
            raise MatroskaError("a block before its Cluster's Timecode", offset=offset)
        if not draft.begun:
            raise MatroskaError("a block after its fragment's continuation token", offset=offset)
        scale, not_audio, blocks, held_bytes = draft.timecode_scale_ns, draft.not_audio, draft.blocks, draft.held_bytes
        cluster_ns = (draft.zero_ns or 0) + cluster_timecode * scale
        try:
            for track_number, timecode, data, frame_count in decode_blocks(
                buffer, starts, size=size, header_size=header_size, offset=offset
            ):
                kept = b"" if track_number in not_audio else data
                held_bytes += len(kept) + BLOCK_OVERHEAD_BYTES
                if held_bytes > MAX_FRAGMENT_BYTES:
                    raise _too_much(draft, offset)
                time_ns = cluster_ns + timecode * scale
                blocks.append(new_tuple(Block, (track_number, time_ns, kept, frame_count, len(data))))
                offset += size
        finally:
            draft.held_bytes = held_bytes

    def _take_tags(self, draft: OpenFragment, element: Element) -> Fragment | None:
        """Take a Tags element; return the fragment whose continuation token it holds, if that is beyond doubt."""
        tags = decode_tags(element.raw, offset=element.offset)
        if draft.blocks and draft.ends_before(tags):
            # The labels between two Clusters may be of either fragment.
            draft = self._succeed(draft, element.offset, Part(begun=True, contact_ids=tuple(draft.last_labels)))
        token = draft.take_tags(tags, len(element.raw))
        if draft.held_bytes > MAX_FRAGMENT_BYTES:
            raise _too_much(draft, element.offset)
        if token is None:
            return None
        if not (draft.clusters or draft.errors) or self._doubt is not None:
            draft.has_token = True
            return None
        end = element.offset + len(element.raw)
        fragment = draft.finish(Completion.TOKEN, None, end)
        self._expect(fragment)
        if draft.hides_nothing(token):
            self._learn(fragment)
            self._over()
            return fragment
        self._doubt = _Doubt(fragment, end)
        return None


def _too_much(draft: OpenFragment, offset: int) -> FragmentError:
    return FragmentError(f"fragment {draft.number} would hold more than {MAX_FRAGMENT_BYTES} bytes", offset=offset)
