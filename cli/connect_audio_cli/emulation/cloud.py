"""All services of the demo in the foreground: the work behind `connect-audio cloud`."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final, TextIO

from connect_audio_cli.emulation.serve import MISLEADING, sdk_variables
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.reporting import Form, Report
from connect_audio_local.cloud import Addresses, Execution, LocalCloud, local_cloud
from connect_audio_local.kvs import CaptureError

_SETTINGS: Final = {"DRAIN_SECONDS": "2", "IDLE_LIMIT_SECONDS": "30"}
"""Waits short enough to watch, as in local/sam-local-env.json."""


def keep_up(captures: Sequence[str], report: Report, *, host: str, ports: tuple[int, int, int], log: Path) -> None:
    """Serve until the process is interrupted.

    Args:
        captures: paths of captures, each a stream of the file's name.
        report: gets the variables, and a line for each recording that ends.
        host: address to bind.
        ports: ports of S3, Kinesis Video Streams and Lambda, 0 for a free one.
        log: file of the functions' output.

    Raises:
        CommandError: a port is taken, or a file cannot be used.
    """
    for port in ports:
        _check_free(host, port)
    say = _Speaker(report, sys.stdout)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{printable(str(log))}: cannot be written: {describe(error)}") from error
    addresses = Addresses(host=host, s3_port=ports[0], kvs_port=ports[1], lambda_port=ports[2])
    try:
        with (
            file,
            redirect_stdout(file),
            local_cloud(_SETTINGS, addresses=addresses, on_end=say.ended) as cloud,
        ):
            for capture in captures:
                _serve(cloud, capture)
            say.began(cloud, log)
            threading.Event().wait()
    except KeyboardInterrupt:
        return  # Being ended is how this ends when all is well.


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken, before anything starts."""
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise CommandError(f"cannot listen on {printable(host)} port {port}: {reason}") from error


def _serve(cloud: LocalCloud, capture: str) -> None:
    try:
        cloud.emulator.serve_capture(Path(capture))
    except (CaptureError, OSError, ValueError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"{printable(capture)}: cannot be served: {printable(reason)}") from error


class _Speaker:
    """The lines on standard output, past the redirection of the functions' own."""

    def __init__(self, report: Report, out: TextIO) -> None:
        self._form = report.form
        self._out = out

    def began(self, cloud: LocalCloud, log: Path) -> None:
        """Say where everything is."""
        variables = sdk_variables(
            {
                "AWS_ENDPOINT_URL_S3": cloud.s3_url,
                "AWS_ENDPOINT_URL_LAMBDA": cloud.front.url.replace("//0.0.0.0:", "//127.0.0.1:"),
                **cloud.emulator.environment(),
            }
        )
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
        self._say(
            f"Bucket   s3://{cloud.bucket}\nConsumer ConsumerFunction:live\nLog      {log}\n\n"
            f"For any AWS SDK or CLI, in another shell:\n\n{exports}\nunset {' '.join(MISLEADING)}\n\nCtrl-C ends it.",
            {"environment": variables, "bucket": cloud.bucket, "log": str(log)},
        )

    def ended(self, execution: Execution) -> None:
        """Say what became of a recording."""
        result = execution.result if isinstance(execution.result, dict) else {}
        said = result.get("recording") or execution.error or "no recording"
        self._say(
            f"{printable(execution.name, 80)}: {execution.status}, {printable(str(said), 300)}",
            {"execution": execution.name, "status": execution.status, "result": execution.result},
        )

    def _say(self, line: str, document: dict[str, Any]) -> None:
        if self._form is not Form.QUIET:
            self._out.write((json.dumps(document) if self._form is Form.JSON else line) + "\n")
            self._out.flush()
