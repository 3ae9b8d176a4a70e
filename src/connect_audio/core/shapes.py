"""Reads fragments that are laid out like one before them by their shape, at a tenth of the cost of element by element.

How it works. The IDs and sizes in some bytes decide how a parser reads them. A fragment that was read element by
element shows which of its bytes are values. These are the Cluster's Timecode, four or five `AWS_KINESISVIDEO_*` tags
and the payloads of the blocks. All its other bytes are fixed. The parser would read a later fragment with the same
fixed bytes in the same way, so its values are picked from the same places. Three rules keep the shortcut equal to the
parser (ADR 16):

- A shape is made of a fragment that the parser has read. It is used if it gives the same fragment for the same bytes.
- All fixed bytes are compared. Values are accepted in their common form alone: digits, seconds with milliseconds.
- At the first byte that does not fit, the parser reads the fragment from its beginning.

`Shapes` keeps the newest `MAX_SHAPES` and decides when to learn another. Learning costs some ten fragments' reading, so
it is paid for with credit: matches earn it, and every 128th fragment that did not match.

| state of `Shapes` | changes with |
| --- | --- |
| shapes, the last match first | a match, a learnt shape |
| credit for learning, in shapes | a match, a fragment read by its elements, a learnt shape |
| the shape that fits the bytes so far, and how many of its parts were compared | each look at an incomplete fragment |
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final, NamedTuple, overload

from connect_audio.core.ebml import MAX_BELIEVED_BYTES, VINT_LENGTH, new_tuple, read_header
from connect_audio.core.fragment import Block, Completion, Fragment, end_of
from connect_audio.core.matroska import (
    BLOCK_GROUP,
    CLUSTER,
    SEGMENT,
    SIMPLE_BLOCK,
    TAGS,
    TIMECODE,
    TagValue,
)
from connect_audio.core.tracks import TrackChoice

MAX_SHAPES: Final = 8
"""Layouts that may take turns, such as the lengths of MILLIS_BEHIND_NOW; the one that matched longest ago goes."""
MAX_SHAPE_BYTES: Final = 1024 * 1024
"""Longest fragment that is learnt: half a minute of both parties. A longer one costs little for each second anyway."""
_WAIT_FACTOR: Final = 32
"""A fragment is waited for if the reads are at least a 32nd of it: else joining them would cost more than it saves."""
_MATCHES_FOR_A_SHAPE: Final = 4
_ELEMENTWISE_FOR_A_SHAPE: Final = 128
_MAX_CREDIT: Final = 2.0
_MAX_MISSES: Final = 8
"""A shape whose first and last parts have fitted so often in a row without the whole is dropped."""

_TAG: Final = 0x7373
_SIMPLE_TAG: Final = 0x67C8
_TAG_NAME: Final = 0x45A3
_TAG_STRING: Final = 0x4487
_BLOCK_HEAD_BYTES: Final = 4
_LACING: Final = 0b0110
_PREFIX: Final = b"AWS_KINESISVIDEO_"
_DAY_NS: Final = 86_400_000_000_000
_MAX_DIGITS: Final = 128
_SECONDS_BYTES: Final = 14
_DOT: Final = 0x2E
_PARTS_AT_ONCE: Final = 8
"""Parts of an incomplete fragment that are compared in one go. Each multiple needs a function of its own."""


class ShapeError(ValueError):
    """A fragment whose layout no shape can describe."""


def _is_digits(value: bytes) -> bool:
    return value.isdigit() and len(value) <= _MAX_DIGITS


def _is_seconds(value: bytes) -> bool:
    """Return True for a time in KVS's common form: ten digits, a dot, three digits."""
    return len(value) == _SECONDS_BYTES and value[10] == _DOT and (value[:10] + value[11:]).isdigit()


def _is_anything(_: bytes) -> bool:
    return True


_NUMBER, _SERVER, _PRODUCER, _BEHIND, _TOKEN, _TIMECODE, _MEDIA = range(7)
_ROLES: Final = {
    b"FRAGMENT_NUMBER": _NUMBER,
    b"SERVER_TIMESTAMP": _SERVER,
    b"PRODUCER_TIMESTAMP": _PRODUCER,
    b"SERVER_SIDE_TIMESTAMP": _SERVER,
    b"PRODUCER_SIDE_TIMESTAMP": _PRODUCER,
    b"MILLIS_BEHIND_NOW": _BEHIND,
    b"CONTINUATION_TOKEN": _TOKEN,
}
_NEEDED_TAGS: Final = frozenset(_ROLES.values()) - {_BEHIND}
"""The tags that every shape has. GetMediaForFragmentList gives no MILLIS_BEHIND_NOW."""
_ACCEPTS: Final[tuple[Callable[[bytes], bool], ...]] = (
    _is_digits,
    _is_seconds,
    _is_seconds,
    _is_digits,
    _is_digits,
    _is_anything,
    _is_anything,
)
"""By role: whether a value has the common form."""


class _Span(NamedTuple):
    """A value: the bytes of a fragment from `start` to `stop` that may change, and what they are."""

    start: int
    stop: int
    role: int


def _has_common_length(span: _Span) -> bool:
    length = span.stop - span.start
    return length == _SECONDS_BYTES if span.role in {_SERVER, _PRODUCER} else 0 < length <= _MAX_DIGITS


class _Part(NamedTuple):
    """A stretch of a fragment to be compared: `fixed` bytes, or a value of a role where that is empty."""

    start: int
    stop: int
    fixed: bytes
    role: int


class _BlockPlace(NamedTuple):
    """The place of a block in a fragment: its track, ticks after the Cluster's Timecode, and its payload."""

    track_number: int
    tick: int
    start: int
    stop: int


class FragmentShape:
    """The layout that fragments have in common.

    Args:
        raw: a whole fragment, from its EBML header to its continuation token.
        fragment: the parser's reading of it.
        leaves_open: True if its Segment is of unknown size, so that more elements may follow in it.

    Raises:
        ShapeError: the layout cannot be described.
    """

    def __init__(self, raw: bytes, fragment: Fragment, *, leaves_open: bool) -> None:
        spans = list(_spans(raw))
        roles = {span.role for span in spans}
        if not roles >= _NEEDED_TAGS:
            raise ShapeError("AWS tags are missing")
        self.size: Final = len(raw)
        self.model: Final = replace(fragment, blocks=())
        """A fragment of this shape without its blocks, which would fill the memory."""
        self.leaves_open: Final = leaves_open
        parts = list(_parts(raw, spans))
        self._parts = [part for part in parts if part.role != _MEDIA or part.fixed]  # the ones to compare
        self._stops = [part.stop for part in self._parts]
        self._beginnings: dict[int, tuple[Callable[[bytes, int], tuple[bytes, ...]], bytes]] = {}
        fixed = [part for part in parts if part.fixed]
        self._ends = fixed[0], next(part for part in reversed(fixed) if part.stop <= spans[-1].start)
        self._pick_fixed = stretches([(part.start, part.stop) for part in fixed])
        self._fixed = b"".join(part.fixed for part in fixed)
        values = [span for span in spans if span.role != _MEDIA]
        pick = _values_by_role(values)
        self._pick_values = pick if _BEHIND in roles else _with_no_behind(pick)
        if not all(map(_has_common_length, values)):
            raise ShapeError("a value of another length")
        self._tags = _TagTemplate(fragment)
        self._knows_producer_time = _index_of(spans, _PRODUCER) < _index_of(spans, _TIMECODE)
        self.layout: Final = BlockLayout(_block_places(raw, spans), fragment)
        self.misses = 0
        if self.read(raw, 0, fragment.offset) != fragment:
            raise ShapeError("the shape gives another fragment than the parser")

    def looks_like(self, buffer: bytes, at: int) -> bool:
        """Return True if the first and the last fixed part of a fragment that begins at a position fit."""
        head, tail = self._ends
        return buffer.startswith(tail.fixed, at + tail.start) and buffer.startswith(head.fixed, at)

    def read(self, buffer: bytes, at: int, offset: int) -> Fragment | None:
        """Read the fragment of this shape that begins at a position of a buffer, which holds all of it.

        Args:
            buffer: the bytes.
            at: position of the fragment in them.
            offset: its offset in the stream.

        Returns:
            None if it is not of this shape.
        """
        if b"".join(self._pick_fixed(buffer, at)) != self._fixed:
            return None
        values = self._pick_values(buffer, at)
        number, server, producer, behind, token, timecode = values
        # All that are there are at least a byte long, and both times have 14 bytes: see `_has_common_length`.
        server_digits, producer_digits = server[:10] + server[11:], producer[:10] + producer[11:]
        if not (
            number == token
            and server[10] == _DOT == producer[10]
            and (number + server_digits + producer_digits + behind).isdigit()
        ):
            return None
        model = self.model
        producer_ms = int(producer_digits)
        cluster_ns = int.from_bytes(timecode) * model.timecode_scale_ns
        if self._knows_producer_time and producer_ms * 1_000_000 - cluster_ns > _DAY_NS:
            cluster_ns = producer_ms * 1_000_000  # see `_zero_ns` in `core/fragments.py`
        return Fragment(
            number=number.decode(),
            server_timestamp_ms=int(server_digits),
            producer_timestamp_ms=producer_ms,
            millis_behind_now=int(behind) if behind else None,
            contact_ids=model.contact_ids,
            tags=ShapedTags(self._tags, values),
            timecode_scale_ns=model.timecode_scale_ns,
            tracks=model.tracks,
            blocks=ShapedBlocks(self.layout, buffer, at, cluster_ns),
            errors=(),
            completion=Completion.TOKEN,
            truncation=None,
            offset=offset,
            size=self.size,
            held_bytes=model.held_bytes,
        )

    def fits_so_far(self, buffer: bytes, at: int, first: int) -> int | None:
        """Compare what has come of a fragment.

        Args:
            buffer: the bytes.
            at: position of the fragment in them.
            first: the part to begin with, of the ones that are compared; all parts before it fit.

        Returns:
            Which part to begin with once more bytes are there; None if something does not fit.
        """
        have = len(buffer) - at
        whole = bisect_right(self._stops, have) // _PARTS_AT_ONCE * _PARTS_AT_ONCE
        if whole > first:
            if not self._begins_like(buffer, at, first, whole):
                return None
            first = whole
        for index in range(first, len(self._parts)):
            start, stop, fixed, role = self._parts[index]
            if stop > have:
                return index if start >= have or buffer.startswith(fixed[: have - start], at + start) else None
            if fixed:
                if buffer[at + start : at + stop] != fixed:
                    return None
            elif not _ACCEPTS[role](buffer[at + start : at + stop]):
                return None
        return len(self._parts)

    def _begins_like(self, buffer: bytes, at: int, first: int, count: int) -> bool:
        """Compare the first parts of a fragment, which have all come.

        Args:
            buffer: the bytes.
            at: position of the fragment in them.
            first: the first part whose value was not accepted yet.
            count: how many parts.
        """
        known = self._beginnings.get(count)
        if known is None:
            fixed = [part for part in self._parts[:count] if part.fixed]
            known = stretches([part[:2] for part in fixed]), b"".join(part.fixed for part in fixed)
            self._beginnings[count] = known
        pick, expected = known
        return b"".join(pick(buffer, at)) == expected and all(
            _ACCEPTS[role](buffer[at + start : at + stop])
            for start, stop, fixed, role in self._parts[first:count]
            if not fixed
        )


class _TagTemplate:
    """A fragment's tags with room for the values that change."""

    def __init__(self, fragment: Fragment) -> None:
        prefix = _PREFIX.decode()
        roles = {prefix + name.decode(): role for name, role in _ROLES.items()}
        self._tags = fragment.tags
        self._places = [(at, name, roles[name]) for at, (name, _) in enumerate(fragment.tags) if name in roles]

    def filled(self, values: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
        """The tags with these values, which are in the order of their roles."""
        tags = list(self._tags)
        for at, name, role in self._places:
            tags[at] = new_tuple(TagValue, (name, values[role].decode()))
        return tuple(tags)


class ShapedTags(Sequence[tuple[str, str]]):
    """A fragment's tags, made at the first look at one of them.

    Args:
        template: the tags of its shape.
        values: the fragment's values, in the order of their roles.
    """

    __slots__ = ("_made", "_template", "_values")

    def __init__(self, template: _TagTemplate, values: Sequence[bytes]) -> None:
        self._template = template
        self._values = values
        self._made: tuple[tuple[str, str], ...] | None = None

    def _tags(self) -> tuple[tuple[str, str], ...]:
        if self._made is None:
            self._made = self._template.filled(self._values)
        return self._made

    def __len__(self) -> int:
        return len(self._tags())

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[str, str]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | Sequence[tuple[str, str]]:
        return self._tags()[index]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._tags())

    def __eq__(self, other: object) -> bool:
        return self._tags() == (other._tags() if isinstance(other, ShapedTags) else other)

    def __hash__(self) -> int:
        return hash(self._tags())

    def __repr__(self) -> str:
        return repr(self._tags())


class BlockLayout:
    """The places of a shape's blocks, and what follows from them for each fragment of it.

    Args:
        places: one place a block, in stream order.
        fragment: the fragment that the shape is made of.
    """

    def __init__(self, places: Sequence[_BlockPlace], fragment: Fragment) -> None:
        if not places or len(places) != len(fragment.blocks):
            raise ShapeError("not one block for each SimpleBlock")
        scale = fragment.timecode_scale_ns
        self.places: Final = [(track, tick * scale, start, stop) for track, tick, start, stop in places]
        """Track number, ns after the Cluster's Timecode, and the payload's place of each block."""
        times = [each[1] for each in self.places]
        self.start_ns: Final = min(times)
        """When the earliest block begins, ns after the Cluster's Timecode."""
        self.end_ns: Final = end_of(each[:2] for each in self.places)
        """When the last block begins, plus the median step between blocks; see `end_ms` in `core/admission.py`."""
        self.last_ns: Final = max(times)
        """When the last block begins, ns after the Cluster's Timecode."""
        self.media_bytes: Final = sum(stop - start for _, _, start, stop in self.places)
        self.choice: TrackChoice | None = None
        """The parties' tracks of these fragments; None until `core/runs.py` has found them."""
        self.plan: Any = None
        """The runs of these fragments, once `core/runs.py` has worked them out."""
        self.is_straight = False
        """True once `core/claims.py` has found the blocks in the order of their times."""
        self.spans: tuple[Any, ...] = ()
        """The time that each track takes, once `core/claims.py` has worked it out."""
        self.doubts: tuple[Any, int, int] | None = None
        """The tracks, and what `core/claims.py` found wrong with the lengths of their blocks."""


class ShapedBlocks(Sequence[Block]):
    """A fragment's blocks, made at the first look at one of them.

    Args:
        layout: their places.
        buffer: bytes that hold the fragment; they stay in memory as long as the fragment does.
        at: position of the fragment in them.
        cluster_ns: the Cluster's Timecode, ns since the epoch.
    """

    __slots__ = ("_made", "at", "buffer", "cluster_ns", "layout")

    def __init__(self, layout: BlockLayout, buffer: bytes, at: int, cluster_ns: int) -> None:
        self.layout = layout
        self.buffer = buffer
        self.at = at
        self.cluster_ns = cluster_ns
        self._made: tuple[Block, ...] | None = None

    def _blocks(self) -> tuple[Block, ...]:
        if self._made is None:
            buffer, at, cluster_ns = self.buffer, self.at, self.cluster_ns
            self._made = tuple(
                Block(track_number, cluster_ns + after_ns, buffer[at + start : at + stop], 1, stop - start)
                for track_number, after_ns, start, stop in self.layout.places
            )
        return self._made

    def __len__(self) -> int:
        return len(self.layout.places)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Block]: ...
    def __getitem__(self, index: int | slice) -> Block | Sequence[Block]:
        return self._blocks()[index]

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ShapedBlocks):
            return self._blocks() == other._blocks()
        return self._blocks() == other

    def __hash__(self) -> int:
        return hash(self._blocks())

    def __repr__(self) -> str:
        return repr(self._blocks())


class Shapes:
    """The shapes of one stream."""

    def __init__(self) -> None:
        self._shapes: list[FragmentShape] = []
        self._credit = _MAX_CREDIT
        self._fitting: FragmentShape | None = None
        self._compared = 0  # parts of the fitting shape
        self.leaves_open = False
        """True if the Segment of the fragment that matched last goes on after it."""

    def match(self, buffer: bytes, at: int, offset: int) -> Fragment | None:
        """Read the fragment that begins at a position, if all of it is there and it has a known shape.

        Args:
            buffer: the bytes.
            at: position of the fragment in them.
            offset: its offset in the stream.
        """
        have = len(buffer) - at
        for index, shape in enumerate(self._shapes):
            if shape.size > have or not shape.looks_like(buffer, at):
                continue
            fragment = shape.read(buffer, at, offset)
            if fragment is None:
                shape.misses += 1
                if shape.misses >= _MAX_MISSES:
                    del self._shapes[index]
                return None
            shape.misses = 0
            if index:
                self._shapes.insert(0, self._shapes.pop(index))
            self._credit = min(_MAX_CREDIT, self._credit + 1 / _MATCHES_FOR_A_SHAPE)
            self._fitting = None
            self.leaves_open = shape.leaves_open
            return fragment
        return None

    def may_match(self, buffer: bytes, at: int, read_bytes: int) -> bool:
        """Return True if an incomplete fragment fits a shape so far and is worth waiting for.

        Args:
            buffer: the bytes.
            at: position of the fragment in them.
            read_bytes: bytes of the last read.
        """
        have = len(buffer) - at
        fitting = self._fitting
        if fitting is not None and fitting.size > have:
            compared = fitting.fits_so_far(buffer, at, self._compared)
            if compared is not None:
                self._compared = compared
                return True
        for shape in self._shapes:
            if shape.size > have and max(have, read_bytes) * _WAIT_FACTOR >= shape.size:
                compared = shape.fits_so_far(buffer, at, 0)
                if compared is not None:
                    self._fitting, self._compared = shape, compared
                    return True
        self._fitting = None
        return False

    def elementwise(self) -> bool:
        """Note that a fragment is read by its elements. Returns True if its shape should be learnt."""
        self._fitting = None
        self._credit += 1 / _ELEMENTWISE_FOR_A_SHAPE
        return self._credit >= 1

    def learn(self, raw: bytes, fragment: Fragment, *, leaves_open: bool) -> None:
        """Learn the shape of a fragment that was read by its elements.

        Args:
            raw: its bytes.
            fragment: the parser's reading of it.
            leaves_open: True if its Segment is of unknown size, so that more elements may follow in it.
        """
        self._credit = max(0.0, self._credit - 1)
        if fragment.errors or not fragment.blocks or len(raw) > MAX_SHAPE_BYTES:
            return
        try:
            shape = FragmentShape(raw, fragment, leaves_open=leaves_open)
        except ValueError:
            return
        self._shapes.insert(0, shape)
        del self._shapes[MAX_SHAPES:]


class NoShapes:
    """In place of `Shapes`: every fragment is read element by element."""

    leaves_open: Final = False

    def match(self, buffer: bytes, at: int, offset: int) -> Fragment | None:  # noqa: ARG002 - as in `Shapes`
        """Match nothing."""
        return None

    def may_match(self, buffer: bytes, at: int, read_bytes: int) -> bool:  # noqa: ARG002 - as in `Shapes`
        """Wait for nothing."""
        return False

    def elementwise(self) -> bool:
        """Learn nothing."""
        return False

    def learn(self, raw: bytes, fragment: Fragment, *, leaves_open: bool) -> None:
        """Learn nothing."""


def _spans(raw: bytes) -> Iterator[_Span]:
    """Find the values of a fragment.

    Raises:
        ValueError: the layout cannot be described.
    """
    at, end = 0, len(raw)
    clusters = 0
    while at < end:
        id_length = VINT_LENGTH[raw[at]]
        element_id = int.from_bytes(raw[at : at + id_length])
        if element_id in {SEGMENT, CLUSTER}:
            clusters += element_id == CLUSTER
            at += id_length + VINT_LENGTH[raw[at + id_length]]
            continue
        element_id, payload, after = read_header(raw, at, end)
        if element_id == TIMECODE:
            yield _Span(payload, after, _TIMECODE)
        elif element_id == SIMPLE_BLOCK:
            if after - payload > MAX_BELIEVED_BYTES:
                raise ShapeError("a block that is searched for another document before it is believed")
            if after - payload <= _BLOCK_HEAD_BYTES or not raw[payload] & 0x80 or raw[payload + 3] & _LACING:
                raise ShapeError("a block with a long track number, with laces or without audio")
            yield _Span(payload + _BLOCK_HEAD_BYTES, after, _MEDIA)
        elif element_id == TAGS:
            yield from _tag_spans(raw, payload, after)
        elif element_id == BLOCK_GROUP:
            raise ShapeError("a BlockGroup")
        at = after
    if clusters != 1:
        raise ShapeError("not one Cluster")


def _tag_spans(raw: bytes, at: int, end: int) -> Iterator[_Span]:
    """Find the values in a Tags or Tag element."""
    while at < end:
        element_id, payload, after = read_header(raw, at, end)
        if element_id == _TAG:
            yield from _tag_spans(raw, payload, after)
        elif element_id == _SIMPLE_TAG:
            fields: dict[int, tuple[int, int]] = {}
            while payload < after:
                inner_id, text, payload = read_header(raw, payload, after)
                if inner_id == _SIMPLE_TAG or inner_id in fields:
                    raise ShapeError("a tag that is nested or has two names")
                fields[inner_id] = text, payload
            name = raw[slice(*fields.get(_TAG_NAME, (0, 0)))]
            if name.startswith(_PREFIX):
                role = _ROLES.get(name.removeprefix(_PREFIX))
                if role is None or _TAG_STRING not in fields:
                    raise ShapeError("an AWS tag of another kind")
                yield _Span(*fields[_TAG_STRING], role)
        at = after


def _parts(raw: bytes, spans: Sequence[_Span]) -> Iterator[_Part]:
    """Cut a fragment into fixed parts and values."""
    roles = [span.role for span in spans if span.role != _MEDIA]
    if len(roles) != len(set(roles)):
        raise ShapeError("a value that comes twice")
    at = 0
    for start, stop, role in spans:
        yield _Part(at, start, raw[at:start], -1)
        yield _Part(start, stop, b"", role)
        at = stop
    if at < len(raw):
        yield _Part(at, len(raw), raw[at:], -1)


def _block_places(raw: bytes, spans: Sequence[_Span]) -> list[_BlockPlace]:
    """Read track number and relative timecode of each block, which stand before its payload."""
    places = []
    for start, stop, role in spans:
        if role == _MEDIA:
            track_number, tick = struct.unpack_from(">Bh", raw, start - _BLOCK_HEAD_BYTES)
            places.append(_BlockPlace(track_number & 0x7F, tick, start, stop))
    return places


def _index_of(spans: Sequence[_Span], role: int) -> int:
    return next(index for index, span in enumerate(spans) if span.role == role)


def stretches(places: Sequence[tuple[int, int]]) -> Callable[[bytes, int], tuple[bytes, ...]]:
    """Make a function that cuts stretches out of bytes, given the position that the places count from.

    Args:
        places: start and stop of each stretch, in order.
    """
    layout, at = [], 0
    for start, stop in places:
        layout.append(f"{start - at}x{stop - start}s")
        at = stop
    return struct.Struct(">" + "".join(layout)).unpack_from


def _values_by_role(spans: Sequence[_Span]) -> Callable[[bytes, int], tuple[bytes, ...]]:
    """Make a function that cuts values out of bytes like `stretches`, and gives them in the order of their roles."""
    in_order = sorted(spans)
    pick = stretches([(span.start, span.stop) for span in in_order])
    by_role = itemgetter(*sorted(range(len(in_order)), key=lambda index: in_order[index].role))
    return lambda buffer, at: by_role(pick(buffer, at))


def _with_no_behind(pick: Callable[[bytes, int], tuple[bytes, ...]]) -> Callable[[bytes, int], tuple[bytes, ...]]:
    """Put nothing in the place of MILLIS_BEHIND_NOW, which a shape does not have."""

    def picked(buffer: bytes, at: int) -> tuple[bytes, ...]:
        values = pick(buffer, at)
        return (*values[:_BEHIND], b"", *values[_BEHIND:])

    return picked
