"""Advice on missing extras: the line to install for a command that needs more than is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from connect_audio_cli.output.command_error import CommandError

_OWN: Final = frozenset({"connect_audio", "connect_audio_cli", "connect_audio_local"})


@contextmanager
def needs(command: str, *, extra: str = "") -> Iterator[None]:
    """Around a command's imports: say in one line what is missing and how to install it.

    Args:
        command: the command's name.
        extra: the extra of this distribution that brings what is missing; empty where it is a dependency.

    Raises:
        CommandError: something is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in _OWN:
            raise
        wanted = f"'.[{extra}]'" if extra else "."
        raise CommandError(
            f"{command} needs {missing}, which is not installed: "
            f"in the checkout, pip install {wanted} (or uv tool install {wanted})"
        ) from error
