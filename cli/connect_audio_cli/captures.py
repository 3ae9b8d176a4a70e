"""A capture as the commands read it: bytes from a file or from standard input, and the fragments in them.

Unlike a live reader, which reconnects, a file reader goes on behind what is broken and says what was lost.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, Completion, Fragment, FragmentReader, OpenFragment
from connect_audio_cli.output.command_error import CommandError, describe, printable

STANDARD_INPUT = "-"
_CHUNK_BYTES = 256 * 1024
_PIECE_BYTES = 256
"""Pieces of a paced replay: less than the shortest block of telephony (20 ms at 8 kHz are 320 bytes)."""
# KVS takes fragments of at most 50 MB (service quotas): in a capture, however cut, the next one begins within that.
_SEARCH_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CaptureInput:
    """An open capture.

    Args:
        name: what to call it in messages.
        size: bytes, None where it cannot be told.
        chunks: its bytes, as they come; can be read once.
    """

    name: str
    size: int | None
    chunks: Iterator[bytes]


@contextmanager
def open_capture(argument: str) -> Iterator[CaptureInput]:
    """Open what the user named.

    Args:
        argument: a path, or `-` for standard input.

    Raises:
        CommandError: it does not exist, is a directory or may not be read.
    """
    if argument == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise CommandError("standard input is a terminal: pipe a capture into it, or name a file")
        yield CaptureInput("standard input", None, _chunks(sys.stdin.buffer, "standard input"))
        return
    name = printable(argument)
    try:
        file = open(argument, "rb", buffering=0)  # noqa: SIM115, PTH123 - closed below; a path is taken as it was typed
    except (OSError, ValueError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"{name}: cannot be read: {reason}") from error
    with file:
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        yield CaptureInput(name, size, _chunks(file, name))


def _chunks(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Whatever has arrived, without waiting for a buffer to fill."""
    descriptor = file.fileno()
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except OSError as error:
            raise CommandError(f"{name}: cannot be read: {describe(error)}") from error
        if not chunk:
            return
        yield chunk


def read_events(
    chunks: Iterable[bytes], name: str, on_growth: Callable[[OpenFragment | Fragment], None] | None = None
) -> Iterator[Fragment | BytesLost]:
    """Yield a capture's fragments, and the runs of bytes that are in none, in order.

    Args:
        chunks: the capture's bytes.
        name: what to call it in messages.
        on_growth: called with the fragment under way whenever a few more bytes of it are in, and with each fragment
            before it is yielded.

    Raises:
        CommandError: there is no fragment in it.
    """
    reader = FragmentReader()
    received = 0
    found = False
    # What comes before the first fragment is one run of lost bytes, told once it is known that this is a capture.
    lost: BytesLost | None = None
    cause: str | None = None
    for chunk in _with_end(chunks if on_growth is None else _pieces(chunks)):
        reader.receive_data(chunk)
        received += len(chunk)
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                cause = cause or str(error)
                reader.resynchronise(str(error))
                continue
            if event is NEED_DATA or event is END:
                if reader.open is not None and reader.open.blocks:
                    found = True
                    if on_growth is not None:
                        on_growth(reader.open)
                break
            if on_growth is not None and isinstance(event, Fragment):
                on_growth(event)
            if found or _is_something(event):
                found = True
                if lost is not None:
                    yield lost
                    lost = None
                yield event
            elif isinstance(event, BytesLost):
                lost = _joined(lost, event)
            elif event.completion is Completion.TRUNCATED:
                lost = _joined(lost, BytesLost(event.offset, event.size, event.truncation or ""))
        if not found and received > _SEARCH_BYTES:
            break
    if not received:
        raise CommandError(f"{name}: is empty")
    if not found:
        cause = cause or (lost.cause if lost else "there is no Matroska document in it")
        raise CommandError(f"{name}: is no GetMedia capture: {printable(cause)}")


def _joined(lost: BytesLost | None, more: BytesLost) -> BytesLost:
    return more if lost is None else BytesLost(lost.offset, lost.count + more.count, lost.cause)


def _is_something(event: Fragment | BytesLost) -> bool:
    """Whether it shows that this is a capture: an EBML header alone does not."""
    return isinstance(event, Fragment) and bool(event.tracks or event.tags or event.contact_ids or event.blocks)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut chunks so small that blocks come one by one."""
    for chunk in chunks:
        for at in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[at : at + _PIECE_BYTES]


def _with_end(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""
