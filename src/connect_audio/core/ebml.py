"""An incremental EBML push parser (RFC 8794): bytes in, elements out, whatever the cut.

It moves by declared sizes, never by searching, and knows nothing of Matroska beyond the schema it is given
(`core/matroska.py`). `core/fragments.py` drives it.

    parser.receive_data(chunk)          stores, never parses; b"" means end of file
    token = parser.next_token()         MasterStart | Element | MasterEnd | NEED_DATA | END

`next_token` raises `EbmlError` and nothing else. After an error only `resynchronise` makes it go on.

How it works. `_parse` decodes one header after the other at the position of the window. A master is pushed on a
stack, a DATA element comes out whole, a SKIP element of any size is passed over as it comes. An element of unknown size
ends where an element begins that only an outer one may hold. Chunks are joined when there are enough bytes for the next
token. A declared size is checked against the schema's bound before its payload is waited for.

A damaged size may reach over the next document. SKIP elements, and DATA elements of more than `MAX_BELIEVED_BYTES`, are
searched for a document that they must not hide. Smaller ones are believed. When something behind them makes no sense,
the caller has the bytes since `mark` read again, and then nothing is believed. So each verdict follows from the bytes
of one document, however they were cut and whatever came before.

| state | changes with |
| --- | --- |
| `_window`: buffer, position and waiting chunks (`core/byte_window.py`) | received bytes, each token |
| `_stack`, `_limit` (the nearest known end) | masters that begin and end |
| `_repeat_header`, `_repeat_size` (the last DATA element's) | each DATA element, for blocks of one size |
| `_skipped`: the SKIP element that is being passed over | its first and its last byte |
| `_marked`: offset and stack to read again from; `_doubted_to`, `_looked_to` | `mark`, `read_again`, each search |
| `_failed`, `_passed_over` | an error, and the search for the next document |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from connect_audio.core.byte_window import ByteWindow
from connect_audio.core.errors import EbmlError
from connect_audio.text import counted
from connect_audio.values import dataclass

ROOT: Final = 0
"""Stands for the parent of top-level elements."""

EBML_HEADER: Final = 0x1A45DFA3
VOID: Final = 0xEC
CRC_32: Final = 0xBF
_MAGIC: Final = EBML_HEADER.to_bytes(4)

ANY_SIZE: Final = (1 << 56) - 2
"""The bound of elements that are never held as a whole: masters and what is passed over."""
MAX_BELIEVED_BYTES: Final = 64 * 1024
"""Payload of a DATA element that is believed before anything follows it. Connect's blocks have 1 or 2 KiB, 4 s of 8 kHz
PCM have 64. A larger element is searched as it comes: its broken size must not hold back minutes of a live call."""


class Kind(Enum):
    """The handling of an element by the parser."""

    MASTER = auto()
    """Descend: MasterStart, the children, MasterEnd."""
    DATA = auto()
    """Buffer the whole element, whatever is inside, and deliver it as one Element."""
    SKIP = auto()
    """Pass over the element as it comes, whatever its size, unless a document is inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRule:
    """The rule of a schema for one element ID.

    Args:
        name: the element's name in RFC 8794 or RFC 9559.
        kind: its handling.
        parents: IDs it may stand in; `ROOT` for the top level.
        max_size: largest payload accepted, bytes; checked before a byte of the payload is buffered. Only DATA needs it.
        may_be_unknown_size: True allows the all-ones size (masters only).
    """

    name: str
    kind: Kind
    parents: frozenset[int]
    max_size: int
    may_be_unknown_size: bool = False


# Tokens are NamedTuples, not frozen dataclasses: some 160 000 an hour of audio, and a frozen dataclass costs three
# times as much to make. `new_tuple(Element, (…))` makes the same as `Element(…)`, again at half the cost.
new_tuple: Final = tuple.__new__


class MasterStart(NamedTuple):
    """A master element begins. `offset` is that of its ID; `size` its payload in bytes, None when unknown."""

    element_id: int
    offset: int
    size: int | None


class MasterEnd(NamedTuple):
    """A master element has ended just before `offset`."""

    element_id: int
    offset: int


class Element(NamedTuple):
    """One whole element. `raw` holds ID, size and payload; the payload starts at `raw[header_size]`."""

    element_id: int
    offset: int
    header_size: int
    raw: bytes


class Signal(Enum):
    """The result of `next_token` when there is no element to return."""

    NEED_DATA = auto()
    END = auto()


NEED_DATA: Final = Signal.NEED_DATA
END: Final = Signal.END

type Token = MasterStart | MasterEnd | Element | Signal

# Length of a variable-size integer by its first byte (RFC 8794, section 4); 0 where the byte starts none.
VINT_LENGTH: Final = bytes(9 - byte.bit_length() if byte else 0 for byte in range(256))
# The largest value that `length` bytes can hold means "unknown".
_UNKNOWN_SIZE: Final = tuple((1 << 7 * length) - 1 for length in range(9))
_LOOK_EVERY_BYTES: Final = 64 * 1024
"""How much more of a large element comes before it is looked at again for a document that it must not hide."""
_GLOBAL_IDS: Final = frozenset({VOID, CRC_32})


_NO_END: Final = 1 << 62
"""Stands for the end of an element of unknown size: beyond any stream."""


class _Skipped(NamedTuple):
    """An element that is being passed over: its rule's name, its size and where it begins and ends in the stream."""

    name: str
    size: int
    start: int
    end: int


class _Open:
    """A master element whose end has not been reached.

    Args:
        start: offset of its ID.
        end: offset of its end, None when unknown.
        limit: the nearest known end among it and its ancestors.
    """

    __slots__ = ("element_id", "end", "limit", "name", "start")

    def __init__(self, element_id: int, name: str, start: int, end: int | None, limit: int) -> None:
        self.element_id = element_id
        self.name = name
        self.start = start
        self.end = end
        self.limit = limit


class EbmlParser:
    """Parse one endless run of EBML documents.

    Memory: at most the largest `max_size` of the schema's DATA elements, its header, one received chunk, and what the
    window keeps behind a mark.

    Args:
        schema: rules by element ID; IDs without a rule are skipped inside masters and refused at the top.
        document_at: judges if a document stands at a position of some bytes: True or False, None when more bytes
            are needed. Its verdict depends on the bytes from there on alone. With it, a size that reaches over the
            next document is found out, also where the element's end never comes.
    """

    def __init__(
        self,
        schema: Mapping[int, ElementRule],
        *,
        document_at: Callable[[bytes, int], bool | None] = lambda _data, _at: False,
    ) -> None:
        self._schema = schema
        self._document_at = document_at
        self._looked_to = 0  # offset in the stream before which the element that is searched hides no document
        self._doubted_to = 0  # offset in the stream before which no element is believed
        self._marked: tuple[int, tuple[_Open, ...]] = (0, ())  # offset in the stream, and what was open there
        self._skipped: _Skipped | None = None
        self._window = ByteWindow()
        self._wanted = 0  # bytes from the position on without which there is no next token
        self._stack: list[_Open] = []
        self._limit = _NO_END  # offset where the innermost element of known size ends
        # Blocks of one length follow each other with the same ID and size: the header need not be decoded again.
        self._repeat_header = b""  # empty, or the ID and size of the last DATA element in the innermost element
        self._repeat_size = 0  # bytes, header included
        self._failed = False
        self._passed_over = 0  # bytes, since the error that is being recovered from

    @property
    def offset(self) -> int:
        """Bytes of the stream consumed so far."""
        return self._window.offset

    @property
    def element_offset(self) -> int:
        """Offset in the stream of the first element that is not over: bytes before it belong to whole ones."""
        return self.offset - self._passed_over if self._skipped is None else self._skipped.start

    @property
    def midway(self) -> bool:
        """True if the last element is not over."""
        return self._window.size > 0 or self._skipped is not None

    @property
    def buffered(self) -> int:
        """Bytes received and not yet consumed."""
        return self._window.size

    def receive_data(self, data: bytes) -> None:
        """Store bytes for `next_token`; `b""` says that no more will come."""
        self._window.receive(data)

    def _starve(self, wanted: int) -> Signal:
        self._wanted = wanted
        return END if self._window.ended else NEED_DATA

    # Whole documents, which the caller recognises by itself.

    @property
    def between_documents(self) -> bool:
        """True if the next byte may begin a document that is believed: only a Segment of unknown size is open."""
        stack = self._stack
        if self._failed or self._skipped is not None or (self._doubted_to and self.offset < self._doubted_to):
            return False
        return not stack or (len(stack) == 1 and (stack[0].end is None or stack[0].end == self.offset))

    @property
    def window(self) -> ByteWindow:
        """All that was received and not consumed; to be looked at where a document may begin."""
        if self._window.waits:
            self._join()
        return self._window

    def _join(self) -> None:
        self._window.join()
        self._wanted = 0

    def skip_document(self, size: int, leaves_open: int | None) -> None:
        """Consume a whole document without reading its elements.

        Args:
            size: bytes.
            leaves_open: ID of its element of unknown size that further elements may follow in; None for none.
        """
        self._window.position += size
        self._repeat_header = b""
        self._stack.clear()
        self._limit = _NO_END
        if leaves_open is not None:
            # It began somewhere in the document: its first byte is near enough.
            self._stack.append(_Open(leaves_open, self._schema[leaves_open].name, self.offset - size, None, _NO_END))

    @property
    def open_element(self) -> int | None:
        """ID of the innermost element of unknown size, where that is the only one that is open; None for none."""
        return self._stack[0].element_id if len(self._stack) == 1 and self._stack[0].end is None else None

    def next_token(self) -> Token:
        """Return the next token, `NEED_DATA`, or `END` once the input is used up (see `truncation`).

        Raises:
            EbmlError: the bytes are not EBML of this schema.
        """
        if self._failed:
            raise EbmlError("the parser has failed before; resynchronise it first", offset=self.offset)
        if self._window.waits:
            if self.buffered < self._wanted and not self._window.ended:
                return NEED_DATA
            self._join()
        try:
            return self._parse()
        except EbmlError:
            self._failed = True
            raise

    def _parse(self) -> Token:
        window = self._window
        buffer, base = window.buffer, window.base
        length = len(buffer)
        while True:
            if self._skipped is not None and self._pass_by(self._skipped):
                return END if window.ended else NEED_DATA
            position = window.position
            start = base + position
            # An unknown-size child of a known-size parent ends with the parent at the latest.
            if start == self._limit:
                return self._close(start)
            if length - position < 2:
                return self._starve(2)
            id_length = VINT_LENGTH[buffer[position]]
            size_at = position + id_length
            if not 1 <= id_length <= 4:
                raise EbmlError(f"byte 0x{buffer[position]:02X} starts no element ID", offset=start)
            if size_at >= length:
                return self._starve(id_length + 1)
            size_length = VINT_LENGTH[buffer[size_at]]
            if not size_length:
                raise EbmlError("element size of more than 8 bytes", offset=start)
            payload_at = size_at + size_length
            if payload_at > length:
                return self._starve(payload_at - position)
            element_id = buffer[position] if id_length == 1 else int.from_bytes(buffer[position:size_at])
            size = int.from_bytes(buffer[size_at:payload_at]) & _UNKNOWN_SIZE[size_length]
            rule = self._schema.get(element_id) or self._unknown_element(element_id, id_length, start)
            stack = self._stack
            if rule.parents and (stack[-1].element_id if stack else ROOT) not in rule.parents:
                return self._close_for(rule, start)
            is_unknown = size == _UNKNOWN_SIZE[size_length]
            end = payload_at + size
            if is_unknown or size > rule.max_size or base + end > self._limit:
                self._check_size(rule, None if is_unknown else size, start)
            is_data = rule.kind is Kind.DATA
            if start < self._doubted_to or (size > MAX_BELIEVED_BYTES and is_data):
                wanted = self._suspect(rule, size, end if is_data else payload_at)
                if wanted:
                    return self._starve(wanted)
            if is_data and end > length:
                return self._starve(end - position)
            if rule.kind is Kind.MASTER:
                window.position = payload_at
                return self._begin(rule, element_id, None if is_unknown else base + end, start)
            if is_data:
                window.position = end
                # In doubt each block is looked at by itself.
                believed = size <= MAX_BELIEVED_BYTES and base + end >= self._doubted_to
                self._repeat_header = buffer[position:payload_at] if believed else b""
                self._repeat_size = end - position
                return new_tuple(Element, (element_id, start, payload_at - position, buffer[position:end]))
            self._skipped = _Skipped(rule.name, size, start, base + end)
            window.position = payload_at
            self._looked_to = max(self._looked_to, base + payload_at)

    def _close_for(self, rule: ElementRule, start: int) -> MasterEnd:
        """Leave the innermost element, of unknown size, for an element that only an outer one may hold."""
        stack = self._stack
        if stack and stack[-1].end is None and self._fits_further_up(rule):
            return self._close(start)
        where = f"inside {stack[-1].name}" if stack else "at the top level"
        raise EbmlError(f"{rule.name} {where}", offset=start)

    def _check_size(self, rule: ElementRule, size: int | None, start: int) -> None:
        """Refuse a size that the rule or the elements around do not allow; None for an unknown one."""
        if size is None:
            if not rule.may_be_unknown_size:
                raise EbmlError(f"{rule.name} of unknown size", offset=start)
        elif size > rule.max_size:
            raise EbmlError(f"{rule.name} declares {size} bytes, at most {rule.max_size} are accepted", offset=start)
        else:
            raise EbmlError(
                f"{rule.name} of {counted(size, 'byte')} overruns the element around it, "
                f"which ends at byte {self._limit}",
                offset=start,
            )

    def _begin(self, rule: ElementRule, element_id: int, end: int | None, start: int) -> MasterStart:
        """Enter a master element, whose payload begins at the position."""
        self._repeat_header = b""
        size = None if end is None else end - self.offset
        self._limit = self._limit if end is None else end
        self._stack.append(_Open(element_id, rule.name, start, end, self._limit))
        return MasterStart(element_id, start, size)

    def _suspect(self, rule: ElementRule, size: int, end: int) -> int:
        """Look into the element at the position for a document, as it comes, before its size is believed.

        Args:
            rule: the element's.
            size: bytes of payload that it declares.
            end: position after what is looked at: the element, or its ID and size alone.

        Returns:
            How many bytes from the element's first on are needed to go on; 0 if it may be believed.

        Raises:
            EbmlError: the size reaches over the next document.
        """
        window = self._window
        position, length = window.position, len(window.buffer)
        end += self._overhang(window.offset)
        # A document may begin in the ID and in the size, too.
        verdict = self._hides_document(position + 1, end)
        if verdict:
            raise self._reaches_over(rule.name, size, window.offset)
        if verdict is None:
            return length - position + 1
        if end > length and not window.ended:
            return min(end - position, length - position + _LOOK_EVERY_BYTES)
        return 0

    def _overhang(self, start: int) -> int:
        """How far the first bytes of a document may reach over the end of the element that begins at an offset."""
        return len(_MAGIC) - 1 if start < self._doubted_to else 0

    def _reaches_over(self, name: str, size: int, start: int) -> EbmlError:
        return EbmlError(f"{name} of {counted(size, 'byte')} reaches over the next document", offset=start)

    def _pass_by(self, skipped: _Skipped) -> bool:
        """Consume what has come of an element that is passed over. Returns True if more bytes are needed.

        Raises:
            EbmlError: its size reaches over the next document, which is at the position.
        """
        window = self._window
        end, length = skipped.end - window.base, len(window.buffer)
        reach = end + self._overhang(skipped.start)
        verdict = self._hides_document(window.position, reach)
        if verdict is not False:
            window.position = self._looked_to - window.base
            if verdict:
                self._skipped = None
                self._passed_over = self.offset - skipped.start
                raise self._reaches_over(skipped.name, skipped.size, skipped.start)
            self._wanted = length - window.position + 1
            return True
        if reach <= length or (window.ended and end <= length):
            self._skipped = None
            window.position = end
            return False
        window.position = max(window.position, min(end, length) - len(_MAGIC) + 1)
        self._wanted = length - window.position + 1
        return True

    def _hides_document(self, first: int, end: int) -> bool | None:
        """Return True if a document begins between two positions of the buffer, at `_looked_to` then.

        No byte is looked at twice.

        Returns:
            None if more bytes are needed to decide: the place in doubt is `_looked_to`.
        """
        buffer, base = self._window.buffer, self._window.base
        search = max(first, self._looked_to - base)
        while True:
            candidate = buffer.find(_MAGIC, search, end)
            if candidate < 0:
                # The last three bytes may be the beginning of the magic.
                self._looked_to = base + max(search, min(end, len(buffer)) - len(_MAGIC) + 1)
                return False
            verdict = self._document_at(buffer, candidate)
            if verdict or (verdict is None and not self._window.ended):
                self._looked_to = base + candidate
                return verdict
            search = candidate + 1

    # Reading again, where something makes no sense.

    @property
    def marked_offset(self) -> int:
        """Offset of the last mark."""
        return self._marked[0]

    def mark(self, offset: int) -> None:
        """Note a place in the buffer that `read_again` goes back to: an element begins there."""
        self._window.mark(offset)
        self._marked = offset, tuple(opened for opened in self._stack if opened.start < offset)

    def hides_document(self, end: int) -> bool | None:
        """Return True if a document begins between the mark and an offset, that is inside an element.

        Bytes that were read in doubt are not looked at again.

        Args:
            end: the offset, which may lie beyond the position.

        Returns:
            None if more bytes are needed to decide.
        """
        window = self._window
        first = max(self._doubted_to, self._marked[0] + 1)
        if first >= end:
            return False
        if window.waits:
            self._join()
        if not window.recall():
            return False
        first -= window.base
        while (candidate := window.buffer.find(_MAGIC, first, end - window.base + len(_MAGIC) - 1)) >= 0:
            verdict = self._document_at(window.buffer, candidate)
            if verdict or (verdict is None and not window.ended):
                return verdict
            first = candidate + 1
        # The last three bytes may be the beginning of the magic.
        tail = window.buffer[max(0, end - window.base - len(_MAGIC) + 1) :]
        may_begin = len(tail) < 2 * len(_MAGIC) and any(_MAGIC.startswith(tail[at:]) for at in range(len(tail)))
        return None if may_begin and not window.ended else False

    def read_again(self, doubted_to: int) -> None:
        """Go back to the mark, and believe no element that begins before an offset.

        To be called when `hides_document` has returned True.

        Args:
            doubted_to: the offset.
        """
        window = self._window
        offset, stack = self._marked
        window.position = offset - window.base
        self._stack = list(stack)
        self._limit = stack[-1].limit if stack else _NO_END
        self._repeat_header = b""
        self._skipped = None
        self._failed = False
        self._wanted = self._passed_over = 0
        self._looked_to = offset
        self._doubted_to = doubted_to

    def take_repeats(self) -> tuple[bytes, range]:
        """Take the elements that follow the last Element with the same ID and size, as far as they are all there.

        A run of equal blocks costs a fraction of what it would through `next_token`.

        Returns:
            A buffer and where in it each of them starts; all are as long as that Element.
        """
        header, size, buffer, first = self._repeat_header, self._repeat_size, self._window.buffer, self._window.position
        if not header:
            return buffer, range(0)
        last = min(len(buffer), self._limit - self._window.base) - size
        position = first
        while position <= last and buffer.startswith(header, position):
            position += size
        self._window.position = position
        return buffer, range(first, position, size)

    def give_back(self, count: int) -> None:
        """Undo `take_repeats` for the last `count` of the elements it returned."""
        self._window.position -= count * self._repeat_size

    def search_again(self, size: int) -> None:
        """Undo `next_token` for an Element that made no sense: `resynchronise`, which has to be next, searches it too.

        Args:
            size: bytes of the whole element.
        """
        self._window.position -= size

    def _close(self, at: int) -> MasterEnd:
        """Leave the innermost element."""
        self._repeat_header = b""
        closed = self._stack.pop()
        self._limit = self._stack[-1].limit if self._stack else _NO_END
        return MasterEnd(closed.element_id, at)

    def _unknown_element(self, element_id: int, id_length: int, start: int) -> ElementRule:
        """Return the rule for an ID that the schema does not name: pass over it, but not at the top level."""
        if element_id not in _GLOBAL_IDS:
            if not self._stack:
                raise EbmlError(f"element 0x{element_id:X} does not belong at the top level", offset=start)
            if element_id == (1 << 7 * id_length + 1) - 1:
                raise EbmlError(f"reserved element ID 0x{element_id:X}", offset=start)
        return ElementRule(name=f"element 0x{element_id:X}", kind=Kind.SKIP, parents=frozenset(), max_size=ANY_SIZE)

    def _fits_further_up(self, rule: ElementRule) -> bool:
        """Return True if an enclosing element may hold the element, reached by closing unknown-size ones only."""
        for depth in range(len(self._stack) - 1, -1, -1):
            if self._stack[depth].element_id in rule.parents:
                return True
            if self._stack[depth].end is not None:
                return False
        return ROOT in rule.parents

    def truncation(self) -> str | None:
        """Say what the end of the input cut short, or None where it fell on the boundary of an element.

        Meaningful once `next_token` has returned `END`.
        """
        skipped = self._skipped
        if skipped is not None:
            came = self._window.received - skipped.start
            return f"stream ends after {counted(came, 'byte')} of a {skipped.size}-byte {skipped.name}"
        if self.buffered:
            return f"stream ends after {counted(self.buffered, 'byte')} of {self._describe_next()}"
        for opened in self._stack:
            if opened.end is not None:
                return f"stream ends {counted(opened.end - self.offset, 'byte')} before the end of its {opened.name}"
        return None

    def _describe_next(self) -> str:
        """Name the element whose first bytes are buffered, with its size where that has come."""
        head = self._window.buffer[self._window.position : self._window.position + 12]
        id_length = VINT_LENGTH[head[0]]
        if len(head) <= id_length or not VINT_LENGTH[head[id_length]]:
            return "an element header"
        size_length = VINT_LENGTH[head[id_length]]
        if len(head) < id_length + size_length:
            return "an element header"
        element_id = int.from_bytes(head[:id_length])
        size = int.from_bytes(head[id_length : id_length + size_length]) & _UNKNOWN_SIZE[size_length]
        rule = self._schema.get(element_id)
        return f"a {size}-byte {rule.name if rule else f'element 0x{element_id:X}'}"

    def resynchronise(self, is_document: Callable[[bytes, int], bool | None]) -> int | None:
        """After an error, pass over bytes until the next *validated* EBML header.

        May be called again once more data has been received, for as long as it returns None.

        Args:
            is_document: judges if a document begins at a position of some bytes: True or False, None when more bytes
                are needed.

        Returns:
            How many bytes were passed over since the error, or None when the search needs more data.
            At end of file all that is left is passed over.
        """
        self._stack.clear()
        self._repeat_header = b""
        self._skipped = None
        self._limit = _NO_END
        self._wanted = 0
        if self._window.waits:
            self._join()
        first = self._window.position
        search = first
        while True:
            candidate = self._window.buffer.find(_MAGIC, search)
            if candidate < 0:
                # The last three bytes may be the beginning of the magic.
                keep = 0 if self._window.ended else min(3, len(self._window.buffer) - search)
                return self._pass_over(first, len(self._window.buffer) - keep, found=False)
            verdict = is_document(self._window.buffer, candidate)
            if verdict is None and not self._window.ended:
                return self._pass_over(first, candidate, found=False)
            if verdict:
                return self._pass_over(first, candidate, found=True)
            search = candidate + 1

    def _pass_over(self, first: int, to: int, *, found: bool) -> int | None:
        self._passed_over += to - first
        self._window.position = to
        if not found and not self._window.ended:
            return None
        self._failed = False
        passed_over, self._passed_over = self._passed_over, 0
        return passed_over


def read_vint(data: bytes, position: int) -> tuple[int, int]:
    """Decode a variable-size integer with its marker removed (RFC 8794, section 4).

    Args:
        data: the bytes.
        position: its start in the bytes.

    Returns:
        The value and the position after it.

    Raises:
        ValueError: no such integer there, or it runs beyond the data.
    """
    if position >= len(data):
        raise ValueError("a variable-size integer was expected where the data ends")
    length = VINT_LENGTH[data[position]]
    end = position + length
    if not length or end > len(data):
        raise ValueError("a variable-size integer runs beyond the data")
    return int.from_bytes(data[position:end]) & _UNKNOWN_SIZE[length], end


def read_header(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Decode an element's ID and size inside a buffered element.

    Args:
        data: the bytes.
        position: start of the element.
        end: end of its parent.

    Returns:
        ID (with its marker), payload position, position after the payload.

    Raises:
        ValueError: malformed, of unknown size, or running beyond its parent.
    """
    if position >= end:
        raise ValueError("an element was expected where its parent ends")
    id_length = VINT_LENGTH[data[position]]
    size_at = position + id_length
    if not 1 <= id_length <= 4 or size_at >= end:
        raise ValueError("an element ID runs beyond its parent")
    size_length = VINT_LENGTH[data[size_at]]
    payload = size_at + size_length
    if not size_length or payload > end:
        raise ValueError("an element size runs beyond its parent")
    size = int.from_bytes(data[size_at:payload]) & _UNKNOWN_SIZE[size_length]
    if size == _UNKNOWN_SIZE[size_length]:
        raise ValueError("an inner element of unknown size")
    after = payload + size
    if after > end:
        raise ValueError(f"an inner element of {counted(size, 'byte')} overruns its parent by {after - end}")
    return int.from_bytes(data[position:size_at]), payload, after
