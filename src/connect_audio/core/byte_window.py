"""The bytes of a stream that were received and not yet consumed, as one buffer with a position.

How it works. Received chunks wait in a list until `join` brings them behind the unread bytes of the buffer. So a
trickle is not copied over and over. A join drops consumed bytes, but for two things. The last DATA element may have
to be searched for a document after an error. The bytes from `keep` on may become a shape.
"""

from __future__ import annotations

from typing import Final

MAX_SEARCHED_AGAIN: Final = 64 * 1024
"""The last DATA element can be searched for a document after an error, if it is no longer: more is not kept for it."""
_MAX_KEPT_BYTES: Final = 1024 * 1024
_MAX_KEPT_JOINS: Final = 64
"""Kept bytes are copied with each read. So many copies of half a fragment cost about as much as reading it."""


class ByteWindow:
    """Bytes between what was consumed and what was received.

    Memory: one received chunk, what the next token needs, `MAX_SEARCHED_AGAIN` bytes of the last element, 1 MiB while
    bytes are kept.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.position = 0
        """Position of the next unread byte in the buffer."""
        self.base = 0
        """Offset in the stream of the buffer's first byte."""
        self.last_data = 0
        """Offset in the stream of the last DATA element."""
        self.last_read = 0
        """Bytes that were received last."""
        self.ended = False
        """True if no more bytes will come."""
        self._waiting: list[bytes] = []
        self._received = 0  # offset in the stream
        self._kept_from: int | None = None  # offset in the stream
        self._joins_kept = 0  # joins since then

    @property
    def offset(self) -> int:
        """Bytes of the stream consumed so far."""
        return self.base + self.position

    @property
    def size(self) -> int:
        """Bytes received and not yet consumed."""
        return self._received - self.base - self.position

    @property
    def waits(self) -> bool:
        """True if chunks wait to be joined."""
        return bool(self._waiting)

    def receive(self, data: bytes) -> None:
        """Store bytes; `b""` says that no more will come."""
        if data:
            self._waiting.append(data)
            self.last_read = len(data)
            self._received += self.last_read
        else:
            self.ended = True

    def join(self) -> None:
        """Bring all that was received into the buffer."""
        last_data = max(0, self.last_data - self.base)
        first = last_data if self.position - MAX_SEARCHED_AGAIN <= last_data else self.position
        if self._kept_from is not None:
            first = min(first, self._first_kept(self._kept_from))
        unread = self.buffer[first:]
        self.base += first
        self.position -= first
        self.buffer = b"".join((unread, *self._waiting)) if unread or len(self._waiting) != 1 else self._waiting[0]
        self._waiting.clear()

    def _first_kept(self, offset: int) -> int:
        """The position in the buffer from which on a join keeps the bytes."""
        self._joins_kept += 1
        if self.offset - offset > _MAX_KEPT_BYTES or self._joins_kept > _MAX_KEPT_JOINS:
            self._kept_from = None
            return self.position
        return max(0, offset - self.base)

    def keep(self) -> None:
        """Keep the bytes from here on after they are consumed, for `kept`: at most 1 MiB and 64 reads of them."""
        self._kept_from = self.offset
        self._joins_kept = 0

    def keep_nothing(self) -> None:
        """Undo `keep`."""
        self._kept_from = None

    def kept(self, start: int, stop: int) -> bytes | None:
        """Return bytes between two offsets and keep them no longer; None if they are gone."""
        kept_from, self._kept_from = self._kept_from, None
        if kept_from is None or start < max(kept_from, self.base):
            return None
        return self.buffer[start - self.base : stop - self.base]
