"""The rule for files that are there already: a command replaces none of them unless `--force` says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from connect_audio_cli.output.arguments import Parser, flag
from connect_audio_cli.output.command_error import CommandError, printable


def add_force_option(parser: Parser) -> None:
    """Add `--force` to a command."""
    flag(parser, "--force", "Replace files of the same names.")


def refuse_existing(targets: Iterable[Path], *, force: bool) -> None:
    """Refuse to replace a file.

    Args:
        targets: the files that the command is about to write.
        force: True if the user allows it.

    Raises:
        CommandError: one of them is there.
    """
    for target in targets:
        if not force and target.exists():
            raise CommandError(f"{printable(str(target))}: is there already (--force replaces it)")
