"""Files of a passing name: what is not whole yet, and is removed if its process is killed.

How it works. A process holds a lock (flock) on its file as long as it lives. A killed process leaves its file behind
and its lock goes. The next writer into the directory removes every such file whose lock is free. On a file system
without locks nothing proves that the process is dead, so its file stays.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".connect-audio-"
_SUFFIX: Final = ".partial"


def create_passing(directory: Path) -> tuple[Path, int]:
    """Create a file of a passing name and lock it, where locks are known.

    Args:
        directory: a folder that exists.

    Returns:
        Its path, and its descriptor, which holds the lock until it is closed.

    Raises:
        OSError: the directory cannot be written to.
    """
    while True:
        path = directory / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"
        # Not mkstemp, whose files only their owner could read.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        # Another process found it before it was locked, and removed it.
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Remove the files of processes that are no more: their locks are free.

    Args:
        directory: a folder.
    """
    for path in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
