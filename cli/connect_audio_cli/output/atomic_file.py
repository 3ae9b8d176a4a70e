"""A file that gets its name only once it is whole, so that no reader ever meets half of one.

`replay` and `synthesize` write through it.

How it works. The bytes go into a file of a passing name (`passing_file.py`), which gets its own name at the end.
"""

from __future__ import annotations

import filecmp
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.folders import make_folder
from connect_audio_cli.output.passing_file import create_passing, remove_leftovers


class AtomicFile:
    """Written under a passing name in the same directory, which is made where missing; a context manager.

    Left without `publish`, for whatever reason, nothing remains. A file of a process that was killed is removed, too.

    Args:
        target: its name once it is whole; a file of that name is replaced then.

    Raises:
        CommandError: the directory cannot be made or written to, or `target` is a directory, a device or a pipe. So do
            all methods, when the disk is full for example.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        make_folder(target.parent)
        try:
            if target.is_dir():
                raise IsADirectoryError(None, "is a directory")
            if target.exists() and not target.is_file():
                # A rename would put a file in the place of a device or a pipe.
                raise OSError(None, "is no regular file")
            remove_leftovers(target.parent)
            self._path, descriptor = create_passing(target.parent)
            self._lock: int | None = os.dup(descriptor)  # holds it beyond `seal`
            # Without a buffer: what a full disk refuses is refused here, and not once more when the object goes.
            self._file = os.fdopen(descriptor, "wb", buffering=0)
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def write(self, data: bytes) -> None:
        """Append."""
        unwritten = memoryview(data)
        try:
            while unwritten:
                unwritten = unwritten[self._file.write(unwritten) :]
        except OSError as error:
            raise self._failure(error) from error

    def skip(self, length: int) -> None:
        """Append zeros that take no room on the disk, where its file system knows holes.

        Args:
            length: how many, bytes.
        """
        try:
            end = self._file.tell() + length
            self._file.truncate(end)
            self._file.seek(end)
        except OSError as error:
            raise self._failure(error) from error

    @property
    def raw(self) -> BinaryIO:
        """The open file, for an encoder that goes back in it. Its errors are the system's own."""
        return cast("BinaryIO", self._file)

    def write_start(self, data: bytes) -> None:
        """Write over the first bytes."""
        try:
            self._file.seek(0)
        except OSError as error:
            raise self._failure(error) from error
        self.write(data)

    def seal(self) -> None:
        """Bring every byte to the disk; nothing can be written any more."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise self._failure(error) from error

    def replaces(self) -> bool:
        """Return True if a file of that name is there and `publish` would give it other bytes."""
        try:
            return self.target.exists() and not filecmp.cmp(self._path, self.target, shallow=False)
        except OSError as error:
            raise self._failure(error) from error

    def publish(self) -> None:
        """Give the sealed file its name."""
        try:
            self._path.replace(self.target)
            self._unlock()
            self._sync_directory()
        except OSError as error:
            raise self._failure(error) from error

    def discard(self) -> None:
        """Remove what has no name yet."""
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _failure(self, error: OSError) -> CommandError:
        return CommandError(f"{printable(str(self.target))}: cannot be written: {describe(error)}")
