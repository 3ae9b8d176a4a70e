"""The rule for the files that a command reads: it writes over none of them, not even with `--force`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from connect_audio_cli.output.command_error import CommandError, printable


def refuse_inputs(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over a file that the command reads, under whatever name or link.

    Args:
        targets: the files that the command is about to write.
        inputs: the files that it reads; one that is missing is passed over.

    Raises:
        CommandError: a target is an input.
    """
    read = [path for path in inputs if path.exists()]
    for target in targets:
        if target.exists() and any(target.samefile(path) for path in read):
            raise CommandError(f"{printable(str(target))} is an input of this command: choose another output")
