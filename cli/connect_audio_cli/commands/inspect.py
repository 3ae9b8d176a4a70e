"""`connect-audio inspect`: its options."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio_cli.output.arguments import CAPTURE_HELP, Parser, flag, number
from connect_audio_cli.output.command_error import ExitCode


def main(arguments: Sequence[str]) -> int:
    """Read the options and show the capture.

    Raises:
        CommandError: options that cannot be used, no capture, or a broken one.
    """
    given = _parser().read(arguments)
    from connect_audio_cli.inspection.report import show  # noqa: PLC0415 - help and slips need none of it

    show(given.capture, tree=given.tree, as_json=given.json, limit=given.limit)
    return ExitCode.WHOLE


def _parser() -> Parser:
    parser = Parser(
        "inspect",
        "CAPTURE",
        "Show what is in a GetMedia capture: fragments, contacts, tracks, gaps, errors, lost bytes.",
        "Exit code 3: the capture is broken somewhere; what can be shown is shown.",
    )
    parser.add_argument("capture", metavar="CAPTURE", help=CAPTURE_HELP)
    flag(parser, "--tree", "Show every element (offset, size, name, ID, value) instead of the table.")
    flag(parser, "--json", "One JSON document; all fragments unless --limit says otherwise.")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=number(int, 0),
        help="Fragments to show, 0 for all. (default: 40, with --tree 1)",
    )
    return parser
