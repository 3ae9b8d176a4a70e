"""The lock of a run: two exports of many calls never work on one file of progress, or in one folder.

Repairs hold one, too (`machine_lock.py`).

The kernel holds it, and drops it when the process ends, by a kill too. So no lock is ever stale.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from connect_audio_cli.output.command_error import CommandError, describe, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path, busy: CommandError | None = None) -> Iterator[None]:
    """Lock a file or a folder for as long as the context lasts.

    A file system without locks counts as free.

    Args:
        path: the file or folder, which is there.
        busy: the complaint if another process holds it; None for that of an export.

    Raises:
        CommandError: another process holds it, or it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError as error:
        raise CommandError(f"{printable(str(path))}: {describe(error)}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            of_export = CommandError(f"another export works on {printable(str(path))}: wait for its end, or stop it")
            raise (busy or of_export) from error
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
