"""`connect-audio completion`: a script for the user's shell. Tab starts no Python."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from connect_audio_cli.output.arguments import NAME, Parser
from connect_audio_cli.output.command_error import ExitCode
from connect_audio_cli.output.extras import needs

_SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = frozenset({"CAPTURE", "FILE", "WAV", "OUTPUT.mkv", "OUTPUT", "CALL.wav", "RECORDING", "MANIFEST"})
"""Values that are files, by their names in the help."""
_FOLDERS: Final = frozenset({"DIR", "FOLDER"})


def main(arguments: Sequence[str]) -> int:
    """Print the script.

    Raises:
        CommandError: an unknown shell, or shtab is not installed.
    """
    given = parser().read(arguments)
    with needs("completion"):
        import shtab  # noqa: PLC0415 - help and slips need none of it

    sys.stdout.write(shtab.complete(_whole_command(), given.shell))
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "completion",
        "SHELL",
        "Print the script that completes commands, options and files in bash, zsh or fish.",
        examples=(
            ('eval "$(connect-audio completion bash)"', "For this shell; in ~/.bashrc for every one."),
            (
                "connect-audio completion zsh > ~/.zfunc/_connect-audio",
                "For every zsh that has ~/.zfunc in $fpath.",
            ),
        ),
    )
    options.add_argument("shell", metavar="SHELL", choices=_SHELLS, help="bash, zsh or fish.")
    return options


def _whole_command() -> argparse.ArgumentParser:
    """Return one parser with all commands, as shtab reads it."""
    import shtab  # noqa: PLC0415 - see `main`

    from connect_audio_cli.main import COMMANDS  # noqa: PLC0415 - it imports this module by name

    whole = argparse.ArgumentParser(prog=NAME)
    whole.add_argument("--version", action="store_true", help="Show the version and exit.")
    commands = whole.add_subparsers()
    for name, summary in COMMANDS.items():
        options: Parser = import_module(f"connect_audio_cli.commands.{name}").parser()
        for action in options._actions:  # noqa: SLF001 - argparse has no public way; shtab reads it, too
            if action.metavar in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar in _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        commands.add_parser(name, parents=[options], add_help=False, help=summary)
    return whole
