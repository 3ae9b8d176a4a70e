"""How a sub-command ends early: one line for people and an exit code. Raised everywhere, shown by `cli.main` alone.

Text from a capture passes `printable` first, so that no capture can steer the terminal that shows it.
"""

from __future__ import annotations

from enum import IntEnum

from connect_audio.text import printable

__all__ = ["CommandError", "ExitCode", "describe", "printable"]


class ExitCode(IntEnum):
    """The command's answer to the shell (README, "Replay")."""

    WHOLE = 0
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
