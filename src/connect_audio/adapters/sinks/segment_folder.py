"""A folder of this machine as a `SegmentStore`. Used by replay."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connect_audio.core.errors import SinkError


class SegmentFolder:
    """One folder, made with its parents once something is written.

    Args:
        folder: the place; may exist and hold other files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Write a file beside its place and move it there, so that a reader never sees half of one.

        Args:
            name: the file's name.
            body: all of it.
            content_type: not kept; a file's name says what it is.

        Raises:
            SinkError: the system refused; the code is errno's name (`ENOSPC`). Retryable where it says to try again.
        """
        del content_type
        beside = self._folder / f".{name}.part"
        with self._translated(name):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_bytes(body)
                beside.replace(self._folder / name)
            except BaseException:  # an interrupt from the keyboard, too
                beside.unlink(missing_ok=True)
                raise

    def get(self, name: str) -> bytes | None:
        """Read a file, or None where there is no such file.

        Raises:
            SinkError: as `put`.
        """
        with self._translated(name):
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            code = errno.errorcode.get(exc.errno or 0, type(exc).__name__)
            passing = isinstance(exc, (BlockingIOError, InterruptedError, TimeoutError))
            raise SinkError(code, f"{self._folder / name}: {exc.strerror or exc}", retryable=passing) from exc
