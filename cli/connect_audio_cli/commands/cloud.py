"""`connect-audio cloud`: the services of the demo, staying up on fixed ports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import INTERRUPTED, ExitCode
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.reporting import Report, add_report_options

PORTS = {"s3": 9011, "kvs": 9012, "lambda": 9013}
"""The ports that local/sam-local-env.json names."""
_SERVICES = {"s3": "S3", "kvs": "Kinesis Video Streams and Connect", "lambda": "Lambda"}


def main(arguments: Sequence[str]) -> int:
    """Read the options and serve until the process is interrupted.

    Raises:
        CommandError: options or captures that cannot be used, or a port that is taken.
    """
    given = parser().read(arguments)
    if given.contact_events is None:
        given.contact_events = "on" if given.recording_mode == "archive" else "off"
    with needs("cloud", extra="local"):
        from connect_audio_cli.emulation.cloud import Manner, keep_up  # noqa: PLC0415 - the stand-ins are imported here alone

    keep_up(
        given.captures,
        Report.of(given),
        host=given.host,
        ports=(given.s3_port, given.kvs_port, given.lambda_port),
        log=given.log,
        manner=Manner(given.recording_mode, given.contact_events == "on"),
    )
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "cloud",
        "[CAPTURE...]",
        "Keep S3, Kinesis Video Streams, Lambda and the consumer running on this machine, until Ctrl-C.\n\n"
        "An asynchronous Invoke of ConsumerFunction:live with a DurableExecutionName starts a recording on the local "
        "durable engine, and its WAV and manifest lie in the bucket recordings. A line is printed for each recording "
        "that ends. Prints the variables that lead an SDK here. The containers of sam local call these ports.",
        examples=(
            ("connect-audio cloud call.mkv", "The capture as a stream, and all services."),
            ("connect-audio cloud --recording-mode archive", "Calls are recorded after their end."),
            ("connect-audio cloud --host 0.0.0.0", "Also for the containers of sam local."),
        ),
        exit_codes={INTERRUPTED: "ended by Ctrl-C, its usual end"},
    )
    options.add_argument("captures", metavar="CAPTURE", nargs="*", help="Files of GetMedia bytes, a stream each.")
    options.add_argument(
        "--host",
        metavar="HOST",
        default="127.0.0.1",
        help="Address to listen on; 0.0.0.0 lets containers and other machines in. (default: 127.0.0.1)",
    )
    for name, port in PORTS.items():
        options.add_argument(
            f"--{name}-port",
            metavar="PORT",
            type=number(int, 0, 65535),
            default=port,
            help=f"Port of {_SERVICES[name]}, 0 for a free one. (default: {port})",
        )
    options.add_argument(
        "--recording-mode",
        metavar="MODE",
        choices=("live", "archive"),
        default="live",
        help="The stack's parameter RecordingMode: live, or archive, after the call. (default: live)",
    )
    options.add_argument(
        "--contact-events",
        metavar="on|off",
        choices=("on", "off"),
        help="The stack's parameter ContactEvents: on announces each call's end to ContactEndedFunction. "
        "(default: on for archive, off for live)",
    )
    options.add_argument(
        "--log",
        metavar="FILE",
        type=Path,
        default=Path("build/cloud/functions.log"),
        help="Logs and metrics of the functions. (default: build/cloud/functions.log)",
    )
    add_report_options(options, json_help="One JSON object a line: the variables first, then each recording.")
    return options
