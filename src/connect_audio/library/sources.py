"""The bytes of a capture, out of whatever the user has: a path, bytes, a binary file or an iterable of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from connect_audio.core.errors import CaptureError
from connect_audio.text import printable

CHUNK_BYTES: Final = 256 * 1024
"""The most bytes that one read asks for: a few fragments of a call. More would only take more memory."""
_WAV_MAGIC_BYTES: Final = 12


@runtime_checkable
class BinaryFile(Protocol):
    """An object with a `read` that returns bytes: an open file, `io.BytesIO`, the `Payload` of GetMedia."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


type Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | Iterable[bytes]
"""A capture: a path, bytes, a binary file or an iterable of bytes."""


@dataclass(frozen=True, slots=True)
class OpenSource:
    """An open source.

    Args:
        name: the source's name in messages.
        path: the file's path; None for any other source.
        first: the first bytes, at least 12 unless the source is shorter; `chunks` repeats them.
        chunks: all bytes, never an empty chunk; can be read once.
    """

    name: str
    path: Path | None
    first: bytes
    chunks: Iterator[bytes]

    @property
    def is_wav(self) -> bool:
        """True for a WAV file, which is no capture."""
        return self.first[:4] == b"RIFF" and self.first[8:12] == b"WAVE"


@contextmanager
def open_source(source: Source) -> Iterator[OpenSource]:
    """Open a source for one pass.

    Closes a file that it has opened, and no file that the caller has opened.

    Raises:
        CaptureError: the source cannot be opened, or holds no bytes. A read that fails later raises it, too, for a
            path. Errors of the caller's own file or iterable pass unchanged.
    """
    if isinstance(source, str | os.PathLike):
        name = printable(os.fspath(source))
        try:
            file = Path(source).open("rb", buffering=0)  # noqa: SIM115 - closed below
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error
        with file:
            yield _opened(name, Path(source), _checked(name, _read_path(name, file)))
        return
    name, chunks = _chunks_of(source)
    yield _opened(name, None, _checked(name, chunks))


def _opened(name: str, path: Path | None, chunks: Iterator[bytes]) -> OpenSource:
    first: list[bytes] = []
    while sum(map(len, first)) < _WAV_MAGIC_BYTES and (chunk := next(chunks, b"")):
        first.append(chunk)
    return OpenSource(name, path, b"".join(first)[:_WAV_MAGIC_BYTES], chain(first, chunks))


def _chunks_of(source: Any) -> tuple[str, Iterator[Any]]:
    """Name a source that is no path and return its chunks."""
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source).cast("B")
        return "the bytes", (bytes(view[at : at + CHUNK_BYTES]) for at in range(0, len(view), CHUNK_BYTES))
    if isinstance(source, Mapping):
        raise CaptureError('the source is a mapping, not bytes: pass the body of GetMedia, answer["Payload"]')
    if isinstance(source, BinaryFile):
        name = getattr(source, "name", None)
        return printable(name) if isinstance(name, str) else "the file", _read_file(source)
    if isinstance(source, Iterable):
        return "the iterable", iter(source)
    raise CaptureError(
        f"the source is of type {type(source).__name__}: pass a path, bytes, a binary file or an iterable of bytes"
    )


def _read_path(name: str, file: BinaryFile) -> Iterator[bytes]:
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except OSError as error:
            raise _unreadable(name, error) from error
        if not chunk:
            return
        yield chunk


def _read_file(file: BinaryFile) -> Iterator[Any]:
    """Yield what has arrived, without waiting for a full buffer where the file can do so.

    A file that does not block gives None while it has no bytes: that is no end, so it is passed on and refused.
    """
    if hasattr(file, "set_socket_timeout") and hasattr(file, "__enter__"):
        # botocore's StreamingBody, whose read waits for all it was asked for: entering it gives the response (ADR 4).
        file = file.__enter__()
    read = getattr(file, "read1", file.read)
    while (chunk := read(CHUNK_BYTES)) is None or chunk:
        yield chunk


def _checked(name: str, chunks: Iterator[Any]) -> Iterator[bytes]:
    """Pass the chunks on as bytes and leave empty ones out, which would mean the end."""
    for chunk in chunks:
        if not isinstance(chunk, bytes | bytearray | memoryview):
            advice = {str: ': open it with mode "rb"', type(None): ": set it to blocking"}.get(type(chunk), "")
            raise CaptureError(f"{name}: gives {type(chunk).__name__}, not bytes{advice}")
        if len(chunk):
            yield bytes(chunk)


def _unreadable(name: str, error: OSError | ValueError) -> CaptureError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return CaptureError(f"{name}: cannot be read: {reason}")
