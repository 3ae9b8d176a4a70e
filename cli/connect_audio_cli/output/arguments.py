"""Command lines read by argparse: one option a line in the help, one line for an error.

An error names the option or argument, says what is wrong and leads to the help of the command.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn, override

from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.terminal import width

NAME: Final = "connect-audio"
CAPTURE_HELP: Final = "A file of GetMedia bytes (.mkv), or - for standard input."
_LEAST_HELP_COLUMNS: Final = 60
"""Narrower than this argparse breaks words."""
_MOST_HELP_COLUMNS: Final = 100
"""Wider lines are hard to read."""
_LEAST_LIKENESS: Final = 0.7
"""The least ratio of difflib at which one word is proposed for another: --out is like --output, --nope like nothing."""
# argparse's own texts (CPython 3.13, argparse.py), and how this command says the same.
_TEXTS: Final = (
    (re.compile(r"the following arguments are required: (-\S+?)(?:,.*)?"), "Missing option '{0}'"),
    (re.compile(r"the following arguments are required: (\S+?)(?:,.*)?"), "Missing argument '{0}'"),
    (re.compile(r"unrecognized arguments: (.*)", re.DOTALL), "Got unexpected extra argument ({0})"),
    (re.compile(r"argument (?:-\w/)?(\S+): expected .*argument.*"), "Option '{0}' requires an argument"),
    (re.compile(r"argument (?:-\w/)?(\S+): ignored explicit argument .*"), "Option '{0}' does not take a value"),
    (re.compile(r"argument (?:-\w/)?(\S+): (.*)", re.DOTALL), "Invalid value for '{0}': {1}"),
)


class Parser(argparse.ArgumentParser):
    """The options of one command.

    Args:
        command: the command's name.
        arguments: the arguments beside the options, as the first line of the help shows them.
        description: summary of the command. A blank line ends a paragraph.
        epilog: exit codes and the like, after the options.
    """

    def __init__(self, command: str, arguments: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"{NAME} {command}",
            usage=f"{NAME} {command} [OPTIONS] {arguments}".strip(),
            description=description,
            epilog=epilog or None,
            formatter_class=_Help,
            allow_abbrev=False,
            add_help=False,
        )
        self._positionals.title, self._optionals.title = "Arguments", "Options"
        self.add_argument("-h", "--help", action="help", help="Show this and exit.")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read a command line; options and arguments may be mixed.

        Raises:
            CommandError: it cannot be used.
            SystemExit: the help was asked for, and is shown.
        """
        self._refuse_unknown_options(arguments)
        return self.parse_intermixed_args(_without_separator(arguments))

    def _refuse_unknown_options(self, arguments: Sequence[str]) -> None:
        """Name an unknown option before argparse complains of an argument that is missing."""
        known = self._option_string_actions
        for argument in arguments:
            if argument in ("--", "-h", "--help"):
                return
            name = argument.partition("=")[0]
            is_option = len(argument) > 1 and argument.startswith("-") and " " not in argument
            if is_option and not (
                name in known or argument[:2] in known or self._negative_number_matcher.match(argument)
            ):
                self.error(f"No such option: {name}{similar(name, known)}")

    @override
    def error(self, message: str) -> NoReturn:
        for pattern, text in _TEXTS:
            if found := pattern.fullmatch(message):
                message = text.format(*found.groups())
                break
        raise CommandError(f"{printable(message)} (see {self.prog} --help)", ExitCode.UNUSABLE)


def _without_separator(arguments: Sequence[str]) -> list[str]:
    """Take out `--`, behind which everything is a file, even with a dash at its beginning.

    CPython 3.13's `parse_intermixed_args` reads the rest twice and takes such a file for an option.
    """
    if "--" not in arguments:
        return list(arguments)
    at = arguments.index("--")
    files = [f"./{name}" if name.startswith("-") and name != "-" else name for name in arguments[at + 1 :]]
    return [*arguments[:at], *files]


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, within what is easily read; paragraphs of the description wrapped."""

    def __init__(self, prog: str) -> None:
        columns = min(max(width(), _LEAST_HELP_COLUMNS), _MOST_HELP_COLUMNS)
        super().__init__(prog, max_help_position=32, width=columns)

    @override
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, prefix or "Usage: ")

    @override
    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrap = super(argparse.RawDescriptionHelpFormatter, self)._fill_text
        return "\n\n".join(wrap(paragraph, width, indent) for paragraph in text.split("\n\n"))


def number[Number: (int, float)](
    kind: type[Number], least: Number | None = None, most: Number | None = None
) -> Callable[[str], Number]:
    """Make a reader of a number's text.

    Args:
        kind: int or float.
        least: the lowest value; None for no bound.
        most: the highest value; None for no bound.
    """
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            word = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"'{text}' is not a {word}") from None
        if (least is not None and not value >= least) or (most is not None and not value <= most):
            raise argparse.ArgumentTypeError(f"{text} is not {bounds}")
        return value

    return read


def similar(name: str, known: Iterable[str]) -> str:
    """Return a question that names the known word most like a mistyped one; empty if none is like it."""
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    found = get_close_matches(name, list(known), n=1, cutoff=_LEAST_LIKENESS)
    return f" (did you mean {found[0]}?)" if found else ""


def flag(parser: Parser | argparse._ArgumentGroup, name: str, help_text: str) -> None:
    """Add an option that takes no value."""
    parser.add_argument(name, action="store_true", help=help_text)
