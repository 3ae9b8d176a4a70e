"""How a sub-command ends early: one line for people and an exit code. Raised everywhere, shown by `cli.main` alone.

Text from a capture passes `printable` first, so that no capture can steer the terminal that shows it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from connect_audio.text import printable

__all__ = ["INTERRUPTED", "CommandError", "ExitCode", "describe", "printable"]

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


class ExitCode(IntEnum):
    """The command's answer to the shell (README, "Replay")."""

    WHOLE = 0
    DIFFERENT = 1
    """A result is not what it must be: the demo's recording is not what was sent."""
    UNUSABLE = 2
    """Arguments or input that cannot be used; nothing was written."""
    NOT_WHOLE = 3
    """Something was written or shown, and something is missing from it."""


class CommandError(Exception):
    """The command ends here.

    Args:
        message: for people, one line.
        code: the exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.UNUSABLE) -> None:
        super().__init__(message)
        self.code = code


def describe(error: OSError) -> str:
    """The system's own words for a failure, without its number and path."""
    return error.strerror or str(error)
