"""The lock of one change in a folder, between threads and between processes.

The kernel holds it, and drops it when the process ends, by a kill too. It lasts for one change of names alone: whole
runs are kept apart by `run_lock.py`.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FolderLock:
    """A lock that its holder may take again.

    Args:
        path: the lock's file. It and its folder are made where missing, and stay.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for as long as the context lasts.

        A file system without locks keeps threads apart alone.

        Raises:
            OSError: the file cannot be made.
        """
        with self._threads:
            self._depth += 1
            try:
                if self._depth > 1:
                    yield
                else:
                    with self._of_processes():
                        yield
            finally:
                self._depth -= 1

    @contextmanager
    def _of_processes(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
