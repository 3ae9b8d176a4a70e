"""`connect-audio demo`: its options. The one command that needs stand-ins for all of AWS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connect_audio_cli.output.arguments import Parser, flag, number
from connect_audio_cli.output.extras import needs


def main(arguments: Sequence[str]) -> int:
    """Read the options and run a call.

    Returns:
        1 where the recording is not what was sent, else 0.

    Raises:
        CommandError: options that cannot be used, or something that is not installed.
    """
    given = _parser().read(arguments)
    with needs("demo", extra="local"):
        from connect_audio_cli.demo.screen import demo_console  # noqa: PLC0415 - rich is for the demo alone

        if given.live:
            from connect_audio_cli.demo.live import run_live_demo  # noqa: PLC0415 - it brings the stand-ins

            return run_live_demo(output=given.output, seconds=given.seconds or 20, console=demo_console())
        from connect_audio_cli.demo.fast import run_demo  # noqa: PLC0415 - it brings the stand-ins
    return run_demo(output=given.output, seconds=given.seconds or 60, console=demo_console())


def _parser() -> Parser:
    parser = Parser(
        "demo",
        "",
        "Run a whole two-party call: Connect event, trigger, consumer, Kinesis Video emulator, S3, WAV.",
        "Exit code 1: the recording is not what was sent, or with --live the segments are not the recording.",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("build/demo"),
        help="Directory for the WAV and the manifest. (default: build/demo)",
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=number(int, 1),
        help="Length of the call. (default: 60, with --live 20)",
    )
    flag(parser, "--live", "At the pace of a call, and show its segments as they appear in S3.")
    return parser
