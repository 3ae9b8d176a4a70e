"""`connect-audio receive`: a receiver of the sink `webhook` on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import INTERRUPTED, CommandError, ExitCode, describe
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.folders import make_folder
from connect_audio_cli.output.reporting import Report, add_report_options

SECRET_VARIABLE = "WEBHOOK_SIGNING_SECRET"  # noqa: S105 - a name


def main(arguments: Sequence[str]) -> int:
    """Read the options and receive until the process is interrupted.

    Raises:
        CommandError: there is no secret or a short one, the port is taken, or the folder cannot be written to.
    """
    given = parser().read(arguments)
    run(given.port, given.output, Report.of(given))
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "receive",
        "",
        "Receive what the sink webhook posts, on this machine, and print each delivery, until Ctrl-C.\n\n"
        f"Verifies each signature with the text in the variable {SECRET_VARIABLE}. It makes a certificate authority "
        "of its own and prints the file that the sender must trust.",
        examples=(
            ("connect-audio receive", "On port 8443; the segments are counted."),
            ("connect-audio receive --port 9443 -o build/webhook", "On another port; the WAVs go into build/webhook."),
        ),
        exit_codes={INTERRUPTED: "ended by Ctrl-C, its usual end"},
    )
    options.add_argument(
        "--port",
        metavar="PORT",
        type=number(int, 0, 65535),
        default=8443,
        help="Port on 127.0.0.1, 0 for a free one. (default: 8443)",
    )
    options.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="Folder for the WAVs, made if missing.")
    add_report_options(options, json_help="One JSON object a line: the address first, then each delivery.")
    return options


def run(port: int, output: Path | None, report: Report) -> None:
    """Receive until the process is interrupted.

    Raises:
        CommandError: there is no secret or a short one, the port is taken, or the folder cannot be written to.
    """
    from connect_audio.adapters.endpoint.secret import SHORTEST_SECRET  # noqa: PLC0415 - help needs no sinks

    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        raise CommandError(f"{SECRET_VARIABLE} is not set; set it to the text that the sender signs with")
    if len(secret) < SHORTEST_SECRET:
        # No sender would sign with it, so that nothing could ever arrive.
        raise CommandError(f"the secret in {SECRET_VARIABLE} is shorter than {SHORTEST_SECRET} characters")
    if output is not None:
        make_folder(output)
    with needs("receive", extra="local"):
        from connect_audio_cli.emulation.receive import receive  # noqa: PLC0415 - the stand-in is imported here alone
    try:
        receive(secret.encode(), port, output, report)
    except OSError as error:
        raise CommandError(f"cannot listen on 127.0.0.1 port {port}: {describe(error)}") from error
