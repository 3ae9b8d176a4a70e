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

| state | meaning |
| --- | --- |
| `_draft` | the fragment under way, or the one that may follow in the same document |
| `_elementwise`, `_shaped` | whether the fragment under way is read by its elements; the last one that was not |
| `_pending` | what `open` came upon and `next_event` has to give out |
| `_suspect_bytes` | the element that is being decoded: searched again if it makes no sense |
| `_resync_cause`, `_resync_offset` | after `resynchronise`: why and from where the next document is searched |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, Self

from connect_audio.core.ebml import (
    CRC_32,
    EBML_HEADER,
    END,
    NEED_DATA,
    VOID,
    EbmlParser,
    Element,
    MasterStart,
    Signal,
    new_tuple,
    read_header,
    read_vint,
)
from connect_audio.core.errors import FragmentError, MatroskaError, StreamError
from connect_audio.core.fragment import Block, BytesLost, Completion, Fragment, fragment_counter
from connect_audio.core.in_band import ERROR_TAGS, InBandError
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
    TagValue,
    TrackEntry,
    decode_blocks,
    decode_tags,
    decode_timecode_scale,
    decode_tracks,
    decode_uint,
    is_matroska_document,
)
from connect_audio.core.shapes import NoShapes, Shapes

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
FRAGMENT_OVERHEAD_BYTES: Final = 1024
"""Memory of a fragment that holds nothing, and more."""
BLOCK_OVERHEAD_BYTES: Final = 256
"""Memory of a Block beside its payload, and more: without it, endless empty blocks would weigh nothing."""
TAG_OVERHEAD_BYTES: Final = 256
"""Memory of a tag beside its two texts, and more."""

MAX_CLUSTERS_BYTES: Final = MAX_FRAGMENT_BYTES // 2
"""A new Cluster begins another fragment beyond this, also where nothing else says so. KVS's fragments stay below it."""
MAX_CONTACT_IDS: Final = 4
"""Most distinct contacts that a fragment is known to name. Two are a contradiction already; others are passed over."""
MAX_CONTACT_ID_CHARS: Final = 256
"""Longest ContactId that is kept as it is; Connect's have 36 characters. A hash stands for the rest of a longer one."""

_AUDIO_TRACK: Final = 2
_DAY_NS: Final = 86_400_000_000_000
_MAGIC: Final = EBML_HEADER.to_bytes(4)
_MAX_HEADER_BYTES: Final = 4096
_PREFIX: Final = "AWS_KINESISVIDEO_"
_NUMBER: Final = _PREFIX + "FRAGMENT_NUMBER"
_TOKEN: Final = _PREFIX + "CONTINUATION_TOKEN"
_SERVER_TAGS: Final = frozenset({_PREFIX + "SERVER_TIMESTAMP", _PREFIX + "SERVER_SIDE_TIMESTAMP"})
_PRODUCER_TAGS: Final = frozenset({_PREFIX + "PRODUCER_TIMESTAMP", _PREFIX + "PRODUCER_SIDE_TIMESTAMP"})
_SECONDS: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_DECIMAL: Final = re.compile(r"\d{1,128}", re.ASCII)


type FragmentEvent = Fragment | BytesLost | Signal


@dataclass(slots=True, eq=False)
class OpenFragment:
    """The fragment under way: what has come of it so far. Its reader alone changes it.

    Each fragment has an object of its own: identity separates one fragment from the next.

    Args:
        offset: offset of its first byte in the stream, bytes.
        contact_ids: the distinct ContactId values so far, in order.
        tags: every other SimpleTag so far as (name, value), in order.
        document_tags: SimpleTags of its document that hold where it has none of that name.
        timecode_scale_ns: ns a timecode tick.
        tracks: the TrackEntries.
        blocks: the whole blocks so far, in stream order.
        begun: False behind a continuation token, until a number, a Cluster or an error follows in the same document.
    """

    offset: int
    number: str | None = None
    server_timestamp_ms: int | None = None
    producer_timestamp_ms: int | None = None
    millis_behind_now: int | None = None
    contact_ids: list[str] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    document_tags: Sequence[tuple[str, str]] = ()
    timecode_scale_ns: int = 1_000_000
    tracks: tuple[TrackEntry, ...] = ()
    not_audio: frozenset[int] = frozenset()
    blocks: list[Block] = field(default_factory=list)
    errors: list[InBandError] = field(default_factory=list)
    held_bytes: int = FRAGMENT_OVERHEAD_BYTES  # an estimate that errs on the high side
    has_cluster: bool = False
    cluster_timecode: int | None = None
    last_block_offset: int = 0  # in the stream
    zero_ns: int | None = None  # zero of the Cluster timecodes, since the epoch; None before the first one
    begun: bool = True
    number_tag: str | None = None  # as it stands before its blocks, decimal or not
    has_token: bool = False  # before its first Cluster
    last_labels: list[str] = field(default_factory=list)  # ContactId values since its last block
    before: Fragment | None = None  # the one before it in its document, without its blocks, until it has begun

    @classmethod
    def after(cls, fragment: Fragment, *, begun: bool) -> Self:
        """Make the draft of the fragment that may follow in the same document.

        Args:
            fragment: the fragment before it.
            begun: True if something of it has come already.
        """
        return cls(
            fragment.offset + fragment.size,
            document_tags=[tag for tag in fragment.tags if not tag[0].startswith(_PREFIX)],
            timecode_scale_ns=fragment.timecode_scale_ns,
            tracks=fragment.tracks,
            not_audio=_not_audio(fragment.tracks),
            begun=begun,
            before=None if begun else replace(fragment, blocks=()),
        )

    def tag(self, name: str) -> str | None:
        """The first value of a tag so far, or None."""
        return next((value for tag_name, value in self._all_tags() if tag_name == name), None)

    def _all_tags(self) -> Sequence[tuple[str, str]]:
        if not self.document_tags:
            return self.tags
        names = {name for name, _ in self.tags}
        return [*self.tags, *(tag for tag in self.document_tags if tag[0] not in names)]

    def finish(self, completion: Completion, truncation: str | None, end: int) -> Fragment:
        """Make the fragment of what has come; `end` is the offset after its last byte."""
        if self.has_token and not self.has_cluster and completion is not Completion.TRUNCATED:
            completion = Completion.TOKEN
        return Fragment(
            number=self.number,
            server_timestamp_ms=self.server_timestamp_ms,
            producer_timestamp_ms=self.producer_timestamp_ms,
            millis_behind_now=self.millis_behind_now,
            contact_ids=tuple(self.contact_ids),
            tags=tuple(self._all_tags()),
            timecode_scale_ns=self.timecode_scale_ns,
            tracks=self.tracks,
            blocks=tuple(_without_swallowed(self.blocks) if completion is Completion.TRUNCATED else self.blocks),
            errors=tuple(self.errors),
            completion=completion,
            truncation=truncation,
            offset=self.offset,
            size=end - self.offset,
            held_bytes=self.held_bytes,
        )


class FragmentReader:
    """Read fragments from the bytes of one GetMedia body, one GetMediaForFragmentList body or one capture file.

    Memory: one element of at most `MAX_BLOCK_BYTES`, a fragment of at most `MAX_FRAGMENT_BYTES` and one received chunk.
    A fragment that was read by its shape keeps the chunk that it came in.

    Args:
        shapes: how fragments are read as a whole; `NoShapes` for element by element alone.
    """

    def __init__(self, shapes: Shapes | NoShapes | None = None) -> None:
        self._parser = EbmlParser(SCHEMA, document_at=_document_at)
        self._draft: OpenFragment | None = None
        self._suspect_bytes = 0  # size of the element that is being decoded
        self._shapes = Shapes() if shapes is None else shapes
        self._elementwise = False  # the fragment under way is read element by element
        self._shaped: Fragment | None = None  # the last fragment, where it was read by its shape
        self._pending: FragmentEvent | StreamError | None = None  # an event that `open` came upon
        self._resync_cause: str | None = None
        self._resync_offset = 0
        self._ended = False

    def receive_data(self, data: bytes) -> None:
        """Store bytes for `next_event`; `b""` says that no more will come."""
        self._parser.receive_data(data)

    @property
    def midway(self) -> bool:
        """True if a fragment, or any other element, has begun and is not over."""
        return self._parser.buffered > 0 or self._under_way is not None

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
        if not parser.buffered:
            return None
        if parser.between_documents:
            window = parser.window
            fragment = self._shapes.match(window.buffer, window.position, window.offset)
            if fragment is not None:
                parser.skip_document(fragment.size, SEGMENT if self._shapes.leaves_open else None)
                self._draft, self._shaped = None, fragment
                return fragment
            if not window.ended and self._shapes.may_match(window.buffer, window.position, window.last_read):
                return NEED_DATA
        self._begin_elementwise(learns=True)
        return None

    def _begin_elementwise(self, *, learns: bool) -> None:
        """Read the fragment under way element by element from its beginning."""
        self._elementwise = True
        shaped, self._shaped = self._shaped, None
        if shaped is not None:
            self._draft = OpenFragment.after(shaped, begun=False)
        if self._shapes.elementwise() and learns:
            self._parser.window.keep()
        else:
            self._parser.window.keep_nothing()

    def _learn(self, fragment: Fragment) -> None:
        """A fragment that was read element by element is over at its token: the next one may have its shape."""
        self._elementwise = False
        raw = self._parser.window.kept(fragment.offset, fragment.offset + fragment.size)
        # A later fragment of a document is read by what stands before it, so its bytes alone have no shape.
        if raw is not None and raw.startswith(_MAGIC) and self._parser.between_documents:
            self._shapes.learn(raw, fragment, leaves_open=self._parser.open_element == SEGMENT)

    def _next_by_element(self) -> FragmentEvent:
        self._suspect_bytes = 0
        while True:
            token = self._parser.next_token()
            if type(token) is Element:
                # Should it make no sense, its size is not to be believed: whole fragments may be in it.
                self._suspect_bytes = len(token.raw)
                event = self._take_element(token)
                self._suspect_bytes = 0
                if event is not None:
                    if not self._under_way:
                        self._learn(event)
                    return event
            elif type(token) is MasterStart:
                event = self._take_master(token)
                if event is not None:
                    return event
            elif token is NEED_DATA:
                return NEED_DATA
            elif token is END:
                return self._end()

    def resynchronise(self, cause: str) -> None:
        """After an error, make `next_event` go on with the next validated document.

        The unfinished fragment, if any, comes out first, TRUNCATED; then a BytesLost counts what was passed over.

        Args:
            cause: description of the fault, for the report.
        """
        self._parser.search_again(self._suspect_bytes)
        self._suspect_bytes = 0
        self._doubt_last_block()
        self._resync_cause = cause
        self._resync_offset = self._parser.offset
        self._elementwise = False

    def _doubt_last_block(self) -> None:
        """Search the last block for a document, too, if one may begin in it: then that explains the error behind it.

        This is so if a body was cut off inside a block and another body follows, as in captures joined end to end.
        """
        draft = self._under_way
        if draft is None or not draft.blocks:
            return
        verdicts = _documents_in(draft.blocks[-1].data)
        may_begin = any(verdict is not False for verdict in verdicts)
        if may_begin and self._parser.search_last_data(draft.last_block_offset):
            draft.blocks.pop()

    def _search(self) -> FragmentEvent:
        """Deliver the broken fragment, then look for the next document."""
        cause = self._resync_cause
        if cause is None:  # pragma: no cover - the caller has looked
            return NEED_DATA
        draft, self._draft = self._under_way, None
        if draft is not None:
            return draft.finish(Completion.TRUNCATED, cause, self._resync_offset)
        lost = self._parser.resynchronise(is_matroska_document)
        if lost is None:
            return NEED_DATA
        self._resync_cause = None
        return BytesLost(self._resync_offset, lost, cause)

    def _end(self) -> FragmentEvent:
        draft, self._draft = self._under_way, None
        truncation = self._parser.truncation()
        if draft is not None:
            completion = Completion.END_OF_BODY if truncation is None else Completion.TRUNCATED
            return draft.finish(completion, truncation, self._parser.offset)
        if truncation is not None and self._parser.buffered and not self._ended:
            self._ended = True
            return BytesLost(self._parser.offset, self._parser.buffered, truncation)
        self._ended = True
        return END

    def _take_master(self, token: MasterStart) -> Fragment | None:
        """Begin a Cluster; return the fragment that ends with it."""
        draft = self._require_draft(token.offset)
        if token.element_id != CLUSTER:
            return None
        fragment = None
        if draft.blocks and (draft.number_tag is None or draft.held_bytes > MAX_CLUSTERS_BYTES):
            fragment = self._succeed(draft, token.offset)
            before, draft = draft, self._require_draft(token.offset)
            draft.number_tag, draft.zero_ns = before.number_tag, before.zero_ns
            if before.number_tag is not None or before.number is None:
                # The tags of such a document belong to all its Clusters.
                draft.contact_ids = before.contact_ids
        draft.begun, draft.before = True, None
        draft.has_cluster = True
        draft.cluster_timecode = None
        return fragment

    def _succeed(self, draft: OpenFragment, offset: int) -> Fragment:
        """End a fragment where something in its document can only be of the next one, which becomes the draft."""
        fragment = draft.finish(Completion.SUCCESSOR, None, offset)
        self._draft = OpenFragment.after(fragment, begun=True)
        return fragment

    def _require_draft(self, offset: int) -> OpenFragment:
        if self._draft is None:
            raise MatroskaError("a Segment without an EBML header before it", offset=offset)
        return self._draft

    def _take_element(self, element: Element) -> Fragment | None:
        element_id, offset, payload, raw = element
        if element_id == EBML_HEADER:
            previous, self._draft = self._draft, OpenFragment(offset)
            if previous is not None and previous.begun:
                return previous.finish(Completion.SUCCESSOR, None, offset)
            return None
        draft = self._require_draft(offset)
        if element_id == TAGS:
            return self._take_tags(draft, element)
        if element_id in {SIMPLE_BLOCK, BLOCK}:
            self._take_blocks(draft, element)
        elif element_id == TIMECODE:
            draft.cluster_timecode = decode_uint(raw, payload)
            if draft.zero_ns is None:
                draft.zero_ns = _zero_ns(draft, draft.cluster_timecode * draft.timecode_scale_ns)
        elif element_id == TRACKS:
            draft.tracks = decode_tracks(raw, offset=offset)
            draft.not_audio = _not_audio(draft.tracks)
        elif element_id == INFO:
            draft.timecode_scale_ns = decode_timecode_scale(raw, offset=offset)
        return None

    def _take_blocks(self, draft: OpenFragment, element: Element) -> None:
        """Decode a block, and the similar blocks behind it that are already here."""
        _, offset, header_size, raw = element
        size = len(raw)
        draft.last_labels.clear()
        self._decode_blocks(draft, raw, range(1), size, header_size, offset)
        draft.last_block_offset = offset
        buffer, starts = self._parser.take_repeats()
        if starts:
            before = len(draft.blocks)
            try:
                self._decode_blocks(draft, buffer, starts, size, header_size, offset + size)
            except StreamError:
                # As if the blocks had come one by one: the blocks after the bad one have not been looked at.
                self._parser.give_back(len(starts) - (len(draft.blocks) - before) - 1)
                raise
            finally:
                draft.last_block_offset = offset + size * (len(draft.blocks) - before)

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
        """Take a Tags element; return the fragment that ends with it, or before it."""
        tags = decode_tags(element.raw, offset=element.offset)
        fragment = None
        if draft.blocks and _of_another_fragment(draft, tags):
            # The labels between two Clusters may be of either fragment.
            labels = draft.last_labels
            fragment = self._succeed(draft, element.offset)
            draft = self._require_draft(element.offset)
            draft.contact_ids = labels
        draft.held_bytes += TAG_OVERHEAD_BYTES * len(tags) + 2 * len(element.raw)
        if draft.held_bytes > MAX_FRAGMENT_BYTES:
            raise _too_much(draft, element.offset)
        has_token = _take_values(draft, tags)
        if has_token and fragment is None and (draft.has_cluster or draft.errors):
            end = element.offset + len(element.raw)
            fragment = draft.finish(Completion.TOKEN, None, end)
            self._draft = OpenFragment.after(fragment, begun=False)
        elif has_token:
            draft.has_token = True
        return fragment


def _of_another_fragment(draft: OpenFragment, tags: Sequence[TagValue]) -> bool:
    """Return True if tags behind a fragment's blocks can only be of the next one in its document."""
    return any(
        (name == _NUMBER and draft.number_tag is not None and value != draft.number_tag)
        or (name == _TOKEN and draft.has_token)
        for name, value in tags
    )


def _take_values(draft: OpenFragment, tags: Sequence[TagValue]) -> bool:
    """Add tags to a fragment; return True if the continuation token is among them."""
    has_token = False
    error_values: list[str] = []
    for tag in tags:
        name, value = tag
        if name == "ContactId":
            _take_label(draft, value)
            continue
        draft.tags.append(tag)
        if not name.startswith(_PREFIX):
            continue
        if name == _NUMBER:
            draft.begun = True
            draft.number_tag = draft.number_tag if draft.blocks else value
            draft.number = value if _DECIMAL.fullmatch(value) else None
        elif name in _SERVER_TAGS:
            draft.server_timestamp_ms = _milliseconds(value)
        elif name in _PRODUCER_TAGS:
            draft.producer_timestamp_ms = _milliseconds(value)
        elif name == "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW":
            draft.millis_behind_now = int(value) if _DECIMAL.fullmatch(value) else None
        elif name == _TOKEN:
            has_token = True
        elif name in ERROR_TAGS:
            error_values.append(value)
    if error_values:
        if not draft.begun and draft.before is not None:
            # An error that KVS reports after the continuation token comes as a fragment of its own.
            draft.number = draft.before.number
            for contact_id in draft.before.contact_ids:
                _take_label(draft, contact_id)
        draft.begun = True
        draft.errors.append(InBandError.from_tags(error_values))
    return has_token


def _take_label(draft: OpenFragment, contact_id: str) -> None:
    """Add a ContactId; more than two say no more than two, which contradict each other."""
    if not contact_id:
        return
    if len(contact_id) > MAX_CONTACT_ID_CHARS:
        # Its beginning alone could be another one's.
        contact_id = f"{contact_id[:MAX_CONTACT_ID_CHARS]} {sha256(contact_id.encode()).hexdigest()}"
    for labels in (draft.contact_ids, draft.last_labels):
        if contact_id not in labels and len(labels) < MAX_CONTACT_IDS:
            labels.append(contact_id)


def _not_audio(tracks: Sequence[TrackEntry]) -> frozenset[int]:
    """Numbers of the tracks that are declared as something else than audio."""
    return frozenset(track.number for track in tracks if track.track_type not in {_AUDIO_TRACK, 0})


def _zero_ns(draft: OpenFragment, first_cluster_ns: int) -> int:
    """Find the zero of a fragment's Cluster timecodes, ns since the epoch.

    Connect's timecodes count from the epoch. Another producer's may count from the fragment's beginning or from that of
    the producer session. In both forms the first Cluster begins at the producer timestamp.
    """
    zero_ns = (draft.producer_timestamp_ms or 0) * 1_000_000 - first_cluster_ns
    return zero_ns if zero_ns > _DAY_NS else 0


def _without_swallowed(blocks: Sequence[Block]) -> Sequence[Block]:
    """Leave out what a block took from the next document, and what was made of the bytes behind it.

    A fragment may be cut off inside a block with another document behind it, as in captures joined end to end. Then the
    block's size reaches into that document: another contact's audio would be taken for this one's.
    """
    for index, block in enumerate(blocks):
        if holds_document(block.data):
            return blocks[:index]
    return blocks


def holds_document(data: bytes) -> bool:
    """Return True if a block's payload holds a whole document's beginning, not by chance: another contact's audio."""
    return any(_documents_in(data))


def _documents_in(data: bytes) -> Iterator[bool | None]:
    """Yield the verdict of `_document_at` on each place in a block's payload where a document may begin."""
    at = data.find(_MAGIC)
    while at >= 0:
        yield _document_at(data, at)
        at = data.find(_MAGIC, at + 1)


def _document_at(data: bytes, at: int) -> bool | None:
    """Return True if a document stands there with its head and a first whole child of its Segment, not by chance.

    Returns:
        None if more bytes are needed.
    """
    verdict = is_matroska_document(data[at : at + _MAX_HEADER_BYTES])
    if verdict and not _goes_on(data, at):
        return None if len(data) - at < _MAX_HEADER_BYTES else False
    return verdict


def _goes_on(data: bytes, at: int) -> bool:
    """Return True if the Segment of the document that begins there has a whole permitted child."""
    end = len(data)
    try:
        _, _, segment = read_header(data, at, end)
        _, at = read_vint(data, segment + 4)
        element_id = VOID
        while element_id in {VOID, CRC_32}:
            element_id, _, at = read_header(data, at, end)
    except ValueError:
        return False
    return element_id in SCHEMA and SEGMENT in SCHEMA[element_id].parents


def _too_much(draft: OpenFragment, offset: int) -> FragmentError:
    return FragmentError(f"fragment {draft.number} would hold more than {MAX_FRAGMENT_BYTES} bytes", offset=offset)


def _milliseconds(seconds: str) -> int | None:
    """Turn KVS's seconds with a fraction, a string, into whole milliseconds; None where it is no such number."""
    match = _SECONDS.fullmatch(seconds)
    if match is None:
        return None
    return int(match[1]) * 1000 + int(f"{match[2] or '':0<3}"[:3])
