"""`connect-audio serve`: its options, and a server until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from connect_audio_cli.output.arguments import Parser, flag, number
from connect_audio_cli.output.command_error import INTERRUPTED, CommandError, ExitCode, describe
from connect_audio_cli.output.reporting import Report, add_report_options


def main(arguments: Sequence[str]) -> int:
    """Read the options and serve until an interrupt.

    Raises:
        CommandError: options that cannot be used, no such place, or the port is taken.
    """
    given = parser().read(arguments)
    # Imported here, so that help and slips of the fingers cost no more than they use.
    from connect_audio_cli.serving.server import RecordingServer  # noqa: PLC0415
    from connect_audio_cli.serving.stores import open_store  # noqa: PLC0415

    store = open_store(given.place)
    try:
        server = RecordingServer(store, given.port)
    except OSError as error:
        raise CommandError(
            f"port {given.port} cannot be used: {describe(error)} (--port 0 takes a free one)"
        ) from error
    with server:
        report = Report.of(given)
        report.line(f"Serving {store.name} on this machine alone. Open:\n{server.address}\nCtrl-C ends it.")
        report.document({"place": store.name, "address": server.address})
        sys.stdout.flush()
        if given.open:
            import webbrowser  # noqa: PLC0415 - only `--open` needs it

            webbrowser.open(server.address)
        server.serve_forever(poll_interval=0.2)
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "serve",
        "FOLDER|s3://BUCKET/PREFIX",
        "Show recordings in the browser: a list with search and filter, the page of each call, and calls that are "
        "still going on.\n\n"
        "It listens on this machine alone, for the browser that opens the printed address. It reads with your own "
        "credentials and writes nothing.",
        examples=(
            ("connect-audio serve out --open", "Recordings in the folder out, in the browser."),
            ("connect-audio serve s3://recordings/calls/2026/07", "A month's recordings in a bucket."),
        ),
        exit_codes={INTERRUPTED: "ended by Ctrl-C, its usual end"},
    )
    options.add_argument("place", metavar="PLACE", help="A folder, or s3://BUCKET/PREFIX.")
    options.add_argument(
        "--port",
        metavar="PORT",
        type=number(int, 0, 65535),
        default=0,
        help="Port to listen on, 0 for a free one. (default: 0)",
    )
    add_report_options(options, json_help="The address in one JSON document in place of the text.")
    flag(options, "--open", "Open it in the browser.")
    return options
