"""`connect-audio emulate`: its options."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import INTERRUPTED, ExitCode
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.reporting import Report, add_report_options


def main(arguments: Sequence[str]) -> int:
    """Read the options and serve until the process is interrupted.

    Raises:
        CommandError: options or captures that cannot be used, or an address that cannot be bound.
    """
    given = parser().read(arguments)
    with needs("emulate", extra="local"):
        from connect_audio_cli.emulation.serve import serve  # noqa: PLC0415 - the stand-in is imported here alone

    serve(
        given.captures,
        Report.of(given),
        host=given.host,
        port=given.port,
        speed=given.speed,
        stream_names=given.stream_name,
        retention_hours=given.retention_hours,
    )
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "emulate",
        "CAPTURE...",
        "Serve captures as Kinesis Video streams to any AWS SDK, until Ctrl-C.\n\n"
        "DescribeStream, ListStreams, GetDataEndpoint, GetMedia, ListFragments, GetMediaForFragmentList, and Connect's "
        "DescribeContact and SearchContacts, in the real APIs' shapes and limits. Prints the variables that lead an "
        "SDK here.",
        examples=(
            ("connect-audio emulate call.mkv", "The stream call on a free port, everything at once."),
            (
                "connect-audio emulate call.mkv --port 8090 --speed 1",
                "The same stream as if the call began now, on port 8090.",
            ),
        ),
        exit_codes={INTERRUPTED: "ended by Ctrl-C, its usual end"},
    )
    options.add_argument("captures", metavar="CAPTURE", nargs="+", help="Files of GetMedia bytes, a stream each.")
    options.add_argument(
        "--port",
        metavar="PORT",
        type=number(int, 0, 65535),
        default=0,
        help="Port to listen on, 0 for a free one. (default: 0)",
    )
    options.add_argument(
        "--host",
        metavar="HOST",
        default="127.0.0.1",
        help="Address to listen on; 0.0.0.0 lets containers and other machines in. (default: 127.0.0.1)",
    )
    options.add_argument(
        "--speed",
        metavar="X",
        type=number(float, 0.01),
        help="Stream live from now on, X times as fast as the call. (default: all at once)",
    )
    options.add_argument(
        "--stream-name",
        metavar="NAME",
        action="append",
        default=[],
        help="The stream's name, once for each capture. (default: the file's name)",
    )
    options.add_argument(
        "--retention-hours",
        metavar="HOURS",
        type=number(int, 0, 87600),
        default=24,
        help="DataRetentionInHours of the streams. (default: 24)",
    )
    add_report_options(options, json_help="One JSON document with streams and variables in place of the text.")
    return options
