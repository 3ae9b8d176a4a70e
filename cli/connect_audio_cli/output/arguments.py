"""Command lines read by argparse: one option a line in the help, one line for an error.

An error names the option or argument, says what is wrong and leads to the help of the command.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, override

from connect_audio_cli.output.command_error import INTERRUPTED, CommandError, ExitCode, printable
from connect_audio_cli.output.terminal import width

NAME: Final = "connect-audio"
STANDARD_OUTPUT: Final = "-"
"""The name of a file that means standard output, as in most commands."""
CAPTURE_HELP: Final = "A file of GetMedia bytes (.mkv), or - for standard input."
_LEAST_HELP_COLUMNS: Final = 40
"""The least width of a help: narrower ones are torn into single words."""
_NARROW_COLUMNS: Final = 70
"""Below this width the text of an option stands under it, not beside it."""
_MOST_HELP_COLUMNS: Final = 100
"""Wider lines are hard to read."""
_LEAST_LIKENESS: Final = 0.7
"""The least ratio of difflib at which one word is proposed for another: --out is like --output, --nope like nothing."""
EXIT_CODES: Final[Mapping[int, str]] = {
    ExitCode.WHOLE: "all is well",
    ExitCode.UNUSABLE: "arguments or input that cannot be used; nothing was written",
    INTERRUPTED: "interrupted by Ctrl-C",
}
"""Exit codes of every command. A command adds its own, or says one of these more exactly."""
# argparse's own texts (CPython 3.13, argparse.py), and how this command says the same.
_TEXTS: Final = (
    (re.compile(r"the following arguments are required: (-\S+?)(?:,.*)?"), "Missing option '{0}'"),
    (re.compile(r"the following arguments are required: (\S+?)(?:,.*)?"), "Missing argument '{0}'"),
    (re.compile(r"unrecognized arguments: (.*)", re.DOTALL), "Got unexpected extra argument ({0})"),
    (re.compile(r"argument (?:-\w/)?(\S+): expected .*argument.*"), "Option '{0}' requires an argument"),
    (re.compile(r"argument (?:-\w/)?(\S+): ignored explicit argument .*"), "Option '{0}' does not take a value"),
    (
        re.compile(r"argument (?:-\w/)?(\S+): not allowed with argument (?:-\w/)?(\S+)"),
        "Option '{0}' cannot be used together with '{1}'",
    ),
    (re.compile(r"argument (?:-\w/)?(\S+): (.*)", re.DOTALL), "Invalid value for '{0}': {1}"),
)


class Parser(argparse.ArgumentParser):
    """The options of one command.

    Args:
        command: the command's name.
        arguments: the arguments beside the options, as the first line of the help shows them.
        description: summary of the command. A blank line ends a paragraph.
        examples: at least two command lines that can be copied, each with its effect.
        exit_codes: meanings of the command's own exit codes, beside or instead of `EXIT_CODES`.
    """

    def __init__(
        self,
        command: str,
        arguments: str,
        description: str,
        *,
        examples: Sequence[tuple[str, str]],
        exit_codes: Mapping[int, str] | None = None,
    ) -> None:
        self.examples = tuple(examples)
        self.exit_codes = dict(sorted({**EXIT_CODES, **(exit_codes or {})}.items()))
        super().__init__(
            prog=f"{NAME} {command}",
            usage=f"{NAME} {command} [OPTIONS] {arguments}".strip(),
            description=description,
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

    @override
    def format_help(self) -> str:
        columns = _help_columns()
        usage, body = super().format_help().split("\n", 1)
        lines = [_wrapped(usage, columns, first="", further=" " * 7), body, "Examples:"]
        for command_line, effect in self.examples:
            lines += [
                _wrapped(command_line, columns, first="  ", further="      ", end=" \\"),
                _wrapped(effect, columns, first="      ", further="      "),
            ]
        lines += ["", "Exit codes:"]
        lines += [
            _wrapped(meaning, columns, first=f"  {code:<5}", further=" " * 7)
            for code, meaning in self.exit_codes.items()
        ]
        return "\n".join(lines) + "\n"

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
        columns = _help_columns()
        super().__init__(prog, max_help_position=32 if columns >= _NARROW_COLUMNS else 8, width=columns)

    @override
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, prefix or "Usage: ")

    @override
    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrap = super(argparse.RawDescriptionHelpFormatter, self)._fill_text
        return "\n\n".join(wrap(paragraph, width, indent) for paragraph in text.split("\n\n"))


def _help_columns() -> int:
    return min(max(width(), _LEAST_HELP_COLUMNS), _MOST_HELP_COLUMNS)


def _wrapped(text: str, columns: int, *, first: str, further: str, end: str = "") -> str:
    """Break a text at spaces.

    Args:
        text: one paragraph.
        columns: the width.
        first: indent of the first line.
        further: indent of the further lines.
        end: text behind each line but the last. A backslash makes a shell read the lines as one.
    """
    lines = textwrap.wrap(
        text,
        columns - len(end),
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{end}\n".join(lines)


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


def add_form_options(parser: Parser | argparse._ArgumentGroup) -> None:
    """Add the options that say what a file shows of a call."""
    parser.add_argument(
        "--channels",
        metavar="WHICH",
        choices=("both", "customer", "agent", "mixed"),
        default="both",
        help="both, customer, agent, or mixed for both in one channel. (default: both)",
    )
    flag(parser, "--spectrogram", "A png shows the spectrum in place of the waveform.")
