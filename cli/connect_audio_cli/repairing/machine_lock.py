"""The lock of a repair: two repairs of one recording by one user of a machine share the name of their claim.

So the claim lets both in. The kernel holds this lock, and drops it when the process ends, by a kill too.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from connect_audio_cli.export.run_lock import locked
from connect_audio_cli.output.command_error import CommandError, ExitCode, describe

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def only_repair(claimant: str) -> Iterator[None]:
    """Be the only repair under a name for as long as the context lasts.

    Args:
        claimant: the recording, and the begin of the names under which the repair claims it.

    Raises:
        CommandError: another repair is at it, or the lock's file cannot be made.
    """
    folder = Path(tempfile.gettempdir()) / f"connect-audio-{os.getuid()}"
    path = folder / f"{hashlib.sha256(claimant.encode()).hexdigest()[:32]}.lock"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CommandError(f"{path}: {describe(error)}") from error
    message = "another repair of this call runs on this machine: wait for its end, or stop it"
    with locked(path, CommandError(message, ExitCode.NOT_WHOLE)):
        yield
