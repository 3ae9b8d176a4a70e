"""A capture as the commands read it: bytes from a file or from standard input, and the fragments in them.

Unlike a live reader, which reconnects, a file reader goes on behind what is broken and says what was lost.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from connect_audio.core.errors import CaptureError
from connect_audio.core.fragments import BytesLost, Fragment
from connect_audio.library.capture import capture_events
from connect_audio.values import dataclass
from connect_audio_cli.output.command_error import CommandError, describe, printable

STANDARD_INPUT = "-"
_CHUNK_BYTES = 128 * 1024
"""Bytes of a read. Reads of 256 KiB cost 12 % more: they leave the caches before their fragments are copied."""
_FREED_BYTES = 1024 * 1024
"""Bytes of a block that is freed once, ahead of the reads. From then on glibc keeps freed memory for the next read.
Otherwise the kernel gets it back and gives it out again, with up to six times as many page faults in a replay."""
_PIECE_BYTES = 256
"""Pieces of a paced replay: less than the shortest block of telephony (20 ms at 8 kHz are 320 bytes)."""


@dataclass(frozen=True, slots=True)
class CaptureInput:
    """An open capture.

    Args:
        name: its name in messages.
        size: bytes; None if unknown.
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
    """Yield the bytes that have arrived, without waiting for a full buffer."""
    descriptor = file.fileno()
    bytearray(_FREED_BYTES)
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except OSError as error:
            raise CommandError(f"{name}: cannot be read: {describe(error)}") from error
        if not chunk:
            return
        yield chunk


@contextmanager
def capture_errors() -> Iterator[None]:
    """Turn what the library says of a capture into the command's end.

    Raises:
        CommandError: the library raised `CaptureError`.
    """
    try:
        yield
    except CaptureError as error:
        raise CommandError(str(error)) from error


def read_events(chunks: Iterable[bytes], name: str) -> Iterator[Fragment | BytesLost]:
    """Yield a capture's fragments, and the runs of bytes that are in none, in order.

    Args:
        chunks: the capture's bytes.
        name: the capture's name in messages.

    Raises:
        CommandError: there is no fragment in it.
    """
    with capture_errors():
        yield from capture_events(chunks, name)


def small_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut chunks so small that blocks come one by one, for a paced replay."""
    for chunk in chunks:
        for at in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[at : at + _PIECE_BYTES]
