"""The bytes of a stream that were received and not yet consumed, as one buffer with a position.

How it works. Received chunks wait in a list until `join` brings them behind the unread bytes of the buffer. So a
trickle is not copied over and over. A join drops consumed bytes. Behind a `mark` it puts them aside, piece by piece,
since a fragment may have to be read again, or become a shape.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_READ_AGAIN: Final = 4 * 1024 * 1024
"""Most consumed bytes that are kept: 20 s of 48 kHz stereo, KVS's longest fragment. A longer one is not read again."""


class ByteWindow:
    """Bytes between what was consumed and what was received.

    Memory: one received chunk, what the next token needs, and behind a mark `MAX_READ_AGAIN` and one chunk more.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.position = 0
        """Position of the next unread byte in the buffer."""
        self.base = 0
        """Offset in the stream of the buffer's first byte."""
        self.last_read = 0
        """Bytes that were received last."""
        self.ended = False
        """True if no more bytes will come."""
        self._waiting: list[bytes] = []
        self._received = 0  # offset in the stream
        self._marked: int | None = None  # offset in the stream
        self._aside: deque[bytes] = deque()  # consumed bytes from the mark on, up to the buffer
        self._aside_bytes = 0

    @property
    def offset(self) -> int:
        """Bytes of the stream consumed so far."""
        return self.base + self.position

    @property
    def size(self) -> int:
        """Bytes received and not yet consumed."""
        return self._received - self.base - self.position

    @property
    def received(self) -> int:
        """Bytes of the stream received so far."""
        return self._received

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
        if self._marked is not None:
            self._put_aside(self.buffer[max(0, self._marked - self.base) : self.position])
        unread = self.buffer[self.position :]
        self.base += self.position
        self.position = 0
        self.buffer = b"".join((unread, *self._waiting)) if unread or len(self._waiting) != 1 else self._waiting[0]
        self._waiting.clear()

    def _put_aside(self, consumed: bytes) -> None:
        if not consumed:
            return
        self._aside.append(consumed)
        self._aside_bytes += len(consumed)
        while self._aside_bytes - len(self._aside[0]) >= MAX_READ_AGAIN:
            self._aside_bytes -= len(self._aside.popleft())

    def mark(self, offset: int) -> None:
        """From now on keep the bytes from an offset on, which lies in the buffer."""
        self._marked = offset
        self._aside.clear()
        self._aside_bytes = 0

    def unmark(self) -> None:
        """Undo `mark`."""
        self._marked = None
        self._aside.clear()
        self._aside_bytes = 0

    def recall(self) -> bool:
        """Bring the consumed bytes from the mark on back into the buffer, before the position.

        Returns:
            False if there is no mark, or if more than `MAX_READ_AGAIN` bytes behind it are consumed.
        """
        if self._marked is None or self.offset - self._marked > MAX_READ_AGAIN:
            return False
        if self._aside:
            self.buffer = b"".join((*self._aside, self.buffer))
            self.base -= self._aside_bytes
            self.position += self._aside_bytes
            self._aside.clear()
            self._aside_bytes = 0
        return True

    def since_mark(self, start: int, stop: int) -> bytes:
        """Return consumed bytes between two offsets; empty if some of them are gone."""
        if not self.recall() or start < self.base:
            return b""
        return self.buffer[start - self.base : stop - self.base]
