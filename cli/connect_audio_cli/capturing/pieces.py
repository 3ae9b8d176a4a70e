"""A body in pieces of whole fragments, as it comes. No byte is lost or changed, whatever is broken.

How it works. `FragmentReader` says where each fragment begins and ends. Bytes before a fragment that are in none, for
example behind damage, are a piece of their own. So the pieces joined are the body. Memory is one fragment, which KVS
bounds at 50 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import BytesLost, Fragment, FragmentReader

_MOST_HELD_BYTES: Final = 64 * 1024 * 1024
"""Bytes that are held for a fragment's end. More are in no fragment: KVS takes fragments of at most 50 MB."""


class Piece(NamedTuple):
    """Bytes of a body.

    Args:
        data: the bytes.
        fragment: the fragment that they are; None for bytes that are in no fragment.
    """

    data: bytes
    fragment: Fragment | None


class Pieces:
    """Takes a body's bytes and gives pieces."""

    def __init__(self) -> None:
        self._reader = FragmentReader()
        self._held = bytearray()
        self._base = 0  # offset in the body of the first held byte

    @property
    def held(self) -> bytes:
        """The bytes that are in no piece yet."""
        return bytes(self._held)

    def receive(self, data: bytes) -> Iterator[Piece]:
        """Yield the pieces that are over.

        Args:
            data: the next bytes; empty at the body's end, which gives out all that is left.
        """
        self._reader.receive_data(data)
        self._held += data
        while True:
            try:
                event = self._reader.next_event()
            except StreamError as error:
                self._reader.resynchronise(str(error))
                continue
            if isinstance(event, Fragment):
                yield from self._between(event.offset)
                yield Piece(self._taken(event.offset + event.size), event)
            elif not isinstance(event, BytesLost):
                break
        if not data or len(self._held) > _MOST_HELD_BYTES:
            yield from self._between(self._base + len(self._held))

    def _between(self, end: int) -> Iterator[Piece]:
        if end > self._base:
            yield Piece(self._taken(end), None)

    def _taken(self, end: int) -> bytes:
        length = max(0, end - self._base)
        data = bytes(self._held[:length])
        del self._held[:length]
        self._base += length
        return data
