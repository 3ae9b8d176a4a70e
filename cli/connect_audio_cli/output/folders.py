"""A folder that a command writes into: made where missing, and refused in words where a file has its place."""

from __future__ import annotations

from pathlib import Path

from connect_audio_cli.output.command_error import CommandError, describe, printable


def make_folder(folder: Path) -> None:
    """Make a folder, and the folders above it, where missing.

    Raises:
        CommandError: a file has its place or that of a folder above it, or it cannot be made.
    """
    refuse_file(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{printable(str(folder))}: cannot be made: {describe(error)}") from error


def refuse_file(folder: Path) -> None:
    """Refuse a folder that cannot be, and make none.

    Raises:
        CommandError: a file has its place or that of a folder above it.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise CommandError(f"{printable(str(place))} is a file, and a folder is needed there")
