"""The command `connect-audio`: which commands there are, signals, exit codes, and every error in one line.

A command's options and work are imported when it runs, so that help and short replays are quick.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.interrupts import Interrupted, end_interrupted, end_of_work, take_signals

_NAME: Final = "connect-audio"
_READER_GONE: Final = 128 + signal.SIGPIPE
_LEAST_HELP_COLUMNS: Final = 40
"""The least width of the help: narrower ones are torn into single words."""
_MOST_HELP_COLUMNS: Final = 100
"""Wider lines are hard to read."""

COMMANDS: Final = {
    "demo": "Run a whole two-party call on this machine and show the recording.",
    "replay": "Turn a GetMedia capture into a stereo WAV and a manifest, and if wanted into live segments.",
    "inspect": "Show what is in a GetMedia capture: fragments, contacts, tracks, gaps, errors, lost bytes.",
    "explain": "Say what happened to a recorded call: its gaps, its evidence, and what to do. With a picture.",
    "convert": "Write a recording as FLAC, Opus, MP3 or WAV of the wanted channels, or as a picture.",
    "emulate": "Serve captures as Kinesis Video streams to any AWS SDK, until Ctrl-C.",
    "cloud": "Keep S3, Kinesis Video Streams, Lambda and the consumer running on this machine, until Ctrl-C.",
    "receive": "Receive what the sink webhook posts, on this machine, and print each delivery, until Ctrl-C.",
    "synthesize": "Write a capture laid out as Connect's, from two WAV files or from generated speech.",
    "page": "Make one HTML file on which a call is seen and listened to, with its gaps, figures and words.",
    "transcribe": "Write the words of a recording beside it, by a speech server of your choice, with their speakers.",
    "serve": "Show recordings of a folder or a bucket in the browser: list, pages, and calls that are going on.",
    "record": "Record a call live, until the contact ends. Works on AWS, with your credentials.",
    "capture": "Write what a stream serves, byte for byte, and how it was had. Works on AWS, with your credentials.",
    "export": "Record a call after it ended, out of its stream's archive. Works on AWS, with your credentials.",
    "repair": "Record a call again whose recording lacks what its stream still holds. Works on AWS.",
    "redrive": "Start failed recordings again, each where it stood. Works on AWS, with your credentials.",
    "doctor": "Say why calls are not recorded: look at a stack and what it needs. Works on AWS, changes nothing.",
    "completion": "Print the script that completes commands, options and files in bash, zsh or fish.",
}
"""A command's module in `commands` and its line in the help."""

_ABOUT: Final = (
    "The audio of Amazon Connect calls. Start with demo: a whole call, from the Connect event to the WAV, on this "
    "machine and without AWS. Commands that work on AWS say so, and use your credentials. A command's own help "
    "(connect-audio COMMAND --help) has examples."
)
_OPTIONS: Final = {"--version": "Show the version and exit.", "-h, --help": "Show this and exit."}
_EXAMPLES: Final = {
    "connect-audio demo --seconds 20": "Record a call of 20 seconds; no AWS account is needed.",
    "connect-audio replay call.mkv": "Make a WAV of a capture of your own.",
}
_EXIT_CODES: Final = {
    "0": "all is well",
    "1": "demo alone: the recording is not what was sent",
    "2": "arguments or input that cannot be used; nothing was written",
    "3": "the result is there but not whole",
    "128+N": "ended by signal N: 130 by Ctrl-C, 141 as the reader of its output has gone, 143 by SIGTERM",
}
_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000
"""Ten times Python's own number. A command's imports make many objects and no garbage, and looking for it took a tenth
of a short replay."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the arguments after the command's name; the process's own by default.

    Returns:
        The exit code.
    """
    if not sys.warnoptions:
        # A library's warning would stand between the user and the one line that matters.
        warnings.simplefilter("ignore")
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    take_signals()
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        end_of_work()
    except Interrupted as interrupted:
        return end_interrupted(interrupted)
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except OSError as error:
        return _complain(f"{error.filename or 'standard output'}: {error.strerror or error}", ExitCode.UNUSABLE)
    return code


def _run(arguments: list[str]) -> int:
    try:
        return _command(arguments)
    except SystemExit as end:
        # argparse ends so after help; rich, in the demo, when the reader of its output has gone.
        return _READER_GONE if end.code else ExitCode.WHOLE
    except CommandError as error:
        return _complain(str(error), error.code)


def _command(arguments: list[str]) -> int:
    """Run what the first argument names."""
    if arguments and arguments[0] in COMMANDS:
        command: Callable[[Sequence[str]], int] = import_module(f"connect_audio_cli.commands.{arguments[0]}").main
        return command(arguments[1:])
    if arguments and not arguments[0].startswith("-"):
        from connect_audio_cli.output.arguments import similar  # noqa: PLC0415 - see the module

        hint = similar(arguments[0], COMMANDS)
        raise CommandError(f"No such command '{printable(arguments[0], 60)}'{hint} (see {_NAME} --help)")
    return _about(arguments)


def _about(arguments: list[str]) -> int:
    """Show the help or the version."""
    if arguments in ([], ["-h"], ["--help"]):
        sys.stdout.write(_help())
    elif arguments == ["--version"]:
        from importlib.metadata import version  # noqa: PLC0415 - see the module

        sys.stdout.write(f"{_NAME} {version('connect-audio-consumer')}\n")
    else:
        raise CommandError(f"No such option: {printable(arguments[0], 60)} (see {_NAME} --help)")
    return ExitCode.WHOLE


def _help() -> str:
    """Return the help, as wide as the terminal, within what is easily read."""
    from textwrap import fill  # noqa: PLC0415 - see the module

    from connect_audio_cli.output.terminal import width  # noqa: PLC0415 - see the module

    columns = min(max(width(), _LEAST_HELP_COLUMNS), _MOST_HELP_COLUMNS)

    def table(rows: Mapping[str, str]) -> str:
        return "\n".join(
            fill(text, columns, initial_indent=f"  {name:<10}  ", subsequent_indent=" " * 14)
            for name, text in rows.items()
        )

    examples = "\n".join(
        f"  {line}\n{fill(effect, columns, initial_indent=' ' * 6, subsequent_indent=' ' * 6)}"
        for line, effect in _EXAMPLES.items()
    )
    return (
        f"Usage: connect-audio COMMAND ...\n\n{fill(_ABOUT, columns)}\n\nCommands:\n{table(COMMANDS)}\n\n"
        f"Options:\n{table(_OPTIONS)}\n\nExamples:\n{examples}\n\nExit codes:\n{table(_EXIT_CODES)}\n\n"
        f"{fill('An error is one line on standard error.', columns)}\n"
    )


def _complain(message: str, code: int) -> int:
    """Say what went wrong, in one line."""
    sys.stderr.write(f"{_NAME}: {' '.join(message.split())}\n")
    return code
