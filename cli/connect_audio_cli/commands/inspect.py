"""`connect-audio inspect`: its options."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio_cli.output.arguments import CAPTURE_HELP, Parser, flag, number
from connect_audio_cli.output.command_error import ExitCode
from connect_audio_cli.output.reporting import Report, add_report_options


def main(arguments: Sequence[str]) -> int:
    """Read the options and show the capture.

    Raises:
        CommandError: options that cannot be used, no capture, or a broken one.
    """
    given = parser().read(arguments)
    from connect_audio_cli.inspection.report import show  # noqa: PLC0415 - help and slips need none of it

    show(given.capture, Report.of(given), tree=given.tree, limit=given.limit)
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "inspect",
        "CAPTURE",
        "Show what is in a GetMedia capture: fragments, contacts, tracks, gaps, errors, lost bytes.",
        examples=(
            ("connect-audio inspect call.mkv", "A table of the fragments, and a summary."),
            ("connect-audio inspect call.mkv --tree", "Every element of the first fragment."),
            ("connect-audio inspect call.mkv --quiet", "The exit code alone: is the capture sound?"),
        ),
        exit_codes={ExitCode.NOT_WHOLE: "the capture is broken somewhere; what can be shown is shown"},
    )
    options.add_argument("capture", metavar="CAPTURE", help=CAPTURE_HELP)
    flag(options, "--tree", "Show every element (offset, size, name, ID, value) instead of the table.")
    add_report_options(options, json_help="One JSON document; all fragments unless --limit says otherwise.")
    options.add_argument(
        "--limit",
        metavar="N",
        type=number(int, 0),
        help="Fragments to show, 0 for all. (default: 40, with --tree 1)",
    )
    return options
