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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from connect_audio_cli.emulation.streams import Complaints, Served, exports, read_stored, sdk_variables, stream_name
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.folders import make_folder
from connect_audio_cli.output.reporting import Form, Report
from connect_audio_local.cloud import Addresses, Execution, LocalCloud, connect_event, local_cloud
from connect_audio_local.kvs import EmulatedStream, StoredFragment
from connect_audio_local.sample_call import sample_execution, sample_stream

_SETTINGS: Final = {"DRAIN_SECONDS": "2", "IDLE_LIMIT_SECONDS": "30", "ARCHIVE_LOOK_SECONDS": "10"}
"""Waits short enough to watch. local/sam-local-env.json has the first two."""
_SAMPLE: Final = "the call of the sample events"
_ANY_INSTANCE: Final = "00000000-0000-4000-8000-000000000000"
_INVOCATIONS: Final = "/2015-03-31/functions/TriggerFunction/invocations"


@dataclass(frozen=True, slots=True)
class Manner:
    """The manner of the recordings.

    Args:
        mode: `live` or `archive`, as the stack's parameter RecordingMode has it.
        contact_events: True if contact events announce the calls' ends.
    """

    mode: str
    contact_events: bool

    def settings(self) -> dict[str, str]:
        """The variables of the functions."""
        return {"RECORDING_MODE": self.mode, "CONTACT_EVENTS": "on" if self.contact_events else "off"}

    def line(self) -> str:
        """The line of the text report."""
        return f"Mode     {self.mode}" + (", contact events announce the end" if self.contact_events else "")


@dataclass(frozen=True, slots=True)
class _Offer:
    """A stream, and the files with the Connect events of its contacts.

    Args:
        served: the stream.
        events: path of an event, for each contact in order.
    """

    served: Served
    events: tuple[Path, ...]

    def lines(self, invocations: str) -> list[str]:
        """The part of it that the text report holds."""
        starts = [f"  start  curl --data @{shlex.quote(str(path))} {invocations}" for path in self.events]
        return [*self.served.lines(), *starts]

    def as_json(self) -> dict[str, Any]:
        """The part of it that the JSON report holds."""
        return {**self.served.as_json(), "events": [str(path) for path in self.events]}


def keep_up(
    captures: Sequence[str], report: Report, *, host: str, ports: tuple[int, int, int], log: Path, manner: Manner
) -> None:
    """Serve until the process is interrupted.

    Args:
        captures: paths of captures, each a stream of the file's name; the call of the sample events is another one.
        report: gets the streams and the variables, and a line for each recording that ends.
        host: address to bind.
        ports: ports of S3, Kinesis Video Streams and Lambda, 0 for a free one.
        log: file of the functions' output. The Connect events of the captures' contacts are written beside it.
        manner: the manner of the recordings.

    Raises:
        CommandError: a port is taken, or a file cannot be used.
    """
    contents = [(capture, read_stored("cloud", capture)) for capture in captures]
    for port in ports:
        _check_free(host, port)
    say = _Speaker(report, sys.stdout)
    make_folder(log.parent)
    try:
        file = log.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{printable(str(log))}: cannot be written: {describe(error)}") from error
    addresses = Addresses(host=host, s3_port=ports[0], kvs_port=ports[1], lambda_port=ports[2])
    with (
        file,
        redirect_stdout(file),
        local_cloud(
            {**_SETTINGS, **manner.settings()},
            addresses=addresses,
            on_end=say.ended,
            on_unanswered=Complaints(report, caught_up=False),
            # An event wakes what waits, so the wait must last.
            skip_waits=not manner.contact_events,
            announces_ends=manner.contact_events,
            ended=(sample_execution(),),
        ) as cloud,
    ):
        sample = cloud.emulator.add_stream(sample_stream())
        offers = [_offer(Served(sample, _SAMPLE, sample.retained(cloud.emulator.clock.monotonic())), log.parent)]
        offers += [_offer(_serve(cloud, *content), log.parent) for content in contents]
        say.began(cloud, offers, log, manner)
        threading.Event().wait()


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken, before anything starts."""
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise CommandError(f"cannot listen on {printable(host)} port {port}: {reason}") from error


def _serve(cloud: LocalCloud, capture: str, fragments: Sequence[StoredFragment]) -> Served:
    try:
        stream = cloud.emulator.add_stream(EmulatedStream(stream_name(capture), fragments))
    except ValueError as error:
        raise CommandError(f"{printable(capture)}: cannot be served: {printable(str(error))}") from error
    return Served(stream, printable(capture), fragments)


def _offer(served: Served, folder: Path) -> _Offer:
    """Write the event with which a Connect flow would call the trigger, for each contact of a stream."""
    paths = []
    for number, contact in enumerate(served.contacts(), 1):
        path = folder / f"{served.stream.name}{'' if number == 1 else f'.{number}'}.event.json"
        event = connect_event(
            contact_id=contact.contact_id,
            # Without a label the emulator's Connect knows the contact in every instance.
            instance_id=contact.first.instance_id or _ANY_INSTANCE,
            stream_arn=served.stream.arn,
            start_ms=contact.first.producer_ms,
            start_fragment=contact.first.number,
        )
        try:
            path.write_text(json.dumps(event, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{printable(str(path))}: cannot be written: {describe(error)}") from error
        paths.append(path)
    return _Offer(served, tuple(paths))


class _Speaker:
    """The lines on standard output, past the redirection of the functions' own."""

    def __init__(self, report: Report, out: TextIO) -> None:
        self._form = report.form
        self._out = out

    def began(self, cloud: LocalCloud, offers: Sequence[_Offer], log: Path, manner: Manner) -> None:
        """Say where everything is, and how a recording is started."""
        functions = cloud.front.url.replace("//0.0.0.0:", "//127.0.0.1:")
        variables = sdk_variables(
            {
                "AWS_ENDPOINT_URL_S3": cloud.s3_url,
                "AWS_ENDPOINT_URL_LAMBDA": functions,
                **cloud.emulator.environment(),
            }
        )
        streams = "\n".join(line for offer in offers for line in offer.lines(functions + _INVOCATIONS))
        self._say(
            f"{streams}\nBucket   s3://{cloud.bucket}\nTrigger  TriggerFunction\nConsumer ConsumerFunction:live\n"
            f"{manner.line()}\nLog      {log}\n\n"
            f"For any AWS SDK or CLI, in another shell:\n\n{exports(variables)}\n\nCtrl-C ends it.",
            {
                "environment": variables,
                "bucket": cloud.bucket,
                "log": str(log),
                "recordingMode": manner.mode,
                "contactEvents": manner.contact_events,
                "streams": [offer.as_json() for offer in offers],
            },
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
