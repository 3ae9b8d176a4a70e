"""`connect-audio demo`: its options. The one command that needs stand-ins for all of AWS."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from connect_audio_cli.output.arguments import Parser, flag, number
from connect_audio_cli.output.command_error import CommandError, ExitCode
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.reporting import Form, Report, add_report_options

_SECONDS: Final = 60
_LIVE_SECONDS: Final = 20
"""Lengths of the call by default, seconds: with `--live` a user waits for each of them."""


def main(arguments: Sequence[str]) -> int:
    """Read the options and run a call.

    Raises:
        CommandError: options that cannot be used, something that is not installed, or a recording that is not what was
            sent.
    """
    given = parser().read(arguments)
    report = Report.of(given)
    with needs("demo", extra="local"):
        # Imported here: rich is for the demo alone, and so are most of the stand-ins.
        from connect_audio_cli.demo.fast import run_demo  # noqa: PLC0415
        from connect_audio_cli.demo.live import run_live_demo  # noqa: PLC0415
        from connect_audio_cli.demo.screen import demo_console  # noqa: PLC0415
        from connect_audio_local.child_process import StandInError  # noqa: PLC0415
    if given.words and not given.live:
        raise CommandError("--words is for a call at its own pace; add --live")
    run = partial(run_live_demo, has_words=given.words) if given.live else run_demo
    seconds = given.seconds or (_LIVE_SECONDS if given.live else _SECONDS)
    try:
        outcome = run(output=given.output, seconds=seconds, console=demo_console(shown=report.form is Form.TEXT))
    except (StandInError, TimeoutError) as error:
        raise CommandError(str(error), ExitCode.DIFFERENT) from error
    report.document(outcome.as_json())
    if given.open:
        from connect_audio_cli.commands.page import show_in_browser  # noqa: PLC0415 - only `--open` needs it

        show_in_browser(outcome.page)
    if not outcome.is_whole:
        raise CommandError(outcome.fault, ExitCode.DIFFERENT)
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "demo",
        "",
        "Run a whole two-party call: Connect event, trigger, consumer, Kinesis Video emulator, S3, WAV.",
        examples=(
            ("connect-audio demo --open", "A call of a minute, and its page in the browser."),
            ("connect-audio demo --live --seconds 10", "Ten seconds at the pace of a call, second by second."),
        ),
        exit_codes={
            ExitCode.DIFFERENT: "the recording is not what was sent, or with --live the segments are not the recording",
        },
    )
    options.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("build/demo"),
        help="Folder for the WAV, the manifest and the page. (default: build/demo)",
    )
    options.add_argument(
        "--seconds",
        metavar="N",
        type=number(int, 1),
        help="Length of the call. (default: 60, with --live 20)",
    )
    flag(options, "--live", "At the pace of a call, and show its segments as they appear in S3.")
    flag(options, "--words", "With --live: a call of spoken digits, and its words as they come. Needs pocketsphinx.")
    flag(options, "--open", "Open the page of the call in the browser: see it and listen to it.")
    add_report_options(options)
    return options
