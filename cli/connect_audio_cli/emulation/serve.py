"""Captures as Kinesis Video streams for any AWS SDK, until Ctrl-C: the work behind `connect-audio emulate`."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connect_audio_cli.captures import STANDARD_INPUT, open_capture, read_events
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.formatting import count, duration
from connect_audio_cli.output.reporting import Report
from connect_audio_local.kvs import (
    ALL_AT_ONCE,
    CaptureError,
    EmulatedStream,
    KvsEmulator,
    Live,
    StoredFragment,
    read_capture,
)

MISLEADING: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
"""Variables of the user's other work that would lead an SDK elsewhere, or stop it."""
_MOST_CONTACTS: Final = 10
"""Contacts of a capture that are shown; `inspect` shows all."""


def serve(
    captures: Sequence[str],
    report: Report,
    *,
    host: str,
    port: int,
    speed: float | None,
    stream_names: Sequence[str],
    retention_hours: int,
) -> None:
    """Serve captures until the process is interrupted.

    Args:
        captures: paths.
        report: gets the streams and the variables.
        host: address to bind.
        port: port to bind, 0 for a free one.
        speed: media seconds a second from now on; None for everything at once.
        stream_names: one a capture, or none for the captures' own names.
        retention_hours: DataRetentionInHours of every stream.

    Raises:
        CommandError: a capture that cannot be served, a name that is taken, an address that cannot be bound.
    """
    if stream_names and len(stream_names) != len(captures):
        raise CommandError(
            f"--stream-name is given {count(len(stream_names), 'time')} for {count(len(captures), 'capture')}: "
            "give one for each, in the same order, or none"
        )
    contents = [_read(capture) for capture in captures]
    try:
        emulator = KvsEmulator(host, port)
    except (OSError, OverflowError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"cannot listen on {printable(host)} port {port}: {reason}") from error
    try:
        with emulator:
            streams = _add_streams(
                emulator, captures, contents, speed=speed, stream_names=stream_names, retention_hours=retention_hours
            )
            _report(emulator, streams, report)
            threading.Event().wait()
    except KeyboardInterrupt:
        return  # Being ended is how this ends when all is well, by SIGTERM, too.


@dataclass(frozen=True, slots=True)
class _Served:
    """A stream and the capture in it.

    Args:
        stream: the stream.
        capture: path of the capture, fit to be shown.
        fragments: the capture's.
    """

    stream: EmulatedStream
    capture: str
    fragments: Sequence[StoredFragment]

    @property
    def seconds(self) -> float:
        """From the first fragment to the end of the last, seconds."""
        return (self.fragments[-1].end_ms - self.fragments[0].producer_ms) / 1000

    def contacts(self) -> list[tuple[str, int]]:
        """The first contacts, each with the time of its first fragment, ms since the epoch."""
        starts: dict[str, int] = {}
        for fragment in self.fragments:
            if fragment.contact_id:
                starts.setdefault(printable(fragment.contact_id, 100), fragment.producer_ms)
        return list(starts.items())[:_MOST_CONTACTS]

    def as_json(self) -> dict[str, Any]:
        """The part of it that the report holds."""
        return {
            "name": self.stream.name,
            "arn": self.stream.arn,
            "capture": self.capture,
            "fragments": len(self.fragments),
            "durationSeconds": self.seconds,
            "contacts": [{"contactId": each, "startTimestamp": start_ms} for each, start_ms in self.contacts()],
        }


def _add_streams(
    emulator: KvsEmulator,
    captures: Sequence[str],
    contents: Sequence[Sequence[StoredFragment]],
    *,
    speed: float | None,
    stream_names: Sequence[str],
    retention_hours: int,
) -> list[_Served]:
    served = []
    for index, fragments in enumerate(contents):
        capture = captures[index]
        name = stream_names[index] if stream_names else _stream_name(capture)
        try:
            stream = emulator.add_stream(
                EmulatedStream(
                    name,
                    fragments,
                    pace=ALL_AT_ONCE if speed is None else Live(speed),
                    retention_hours=retention_hours,
                )
            )
        except ValueError as error:
            raise CommandError(f"{printable(capture)}: {printable(str(error))} (see --stream-name)") from error
        served.append(_Served(stream, printable(capture), fragments))
    return served


def _read(capture: str) -> list[StoredFragment]:
    if capture == STANDARD_INPUT:
        raise CommandError("emulate reads a capture many times, which standard input does not allow: name a file")
    with open_capture(capture) as opened:
        # The emulator takes whatever begins like Matroska, to serve captures that are cut off.
        next(read_events(opened.chunks, opened.name))
    try:
        return read_capture(Path(capture))
    except CaptureError as error:
        raise CommandError(printable(str(error))) from error
    except (OSError, ValueError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"{printable(capture)}: cannot be read: {reason}") from error


def _stream_name(capture: str) -> str:
    """The file's name without its suffix, in the characters a stream's name may have."""
    stem = Path(capture).stem
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "-" for letter in stem)[
        :256
    ]


def sdk_variables(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that lead an SDK to services on this machine.

    Args:
        addresses: the variables of the services' addresses.
    """
    return {
        **addresses,
        # Any will do, and an SDK refuses to go without.
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_REGION": "eu-west-2",  # the one that SDKs but botocore read
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",  # it counts if both are set
    }


def _report(emulator: KvsEmulator, streams: Sequence[_Served], report: Report) -> None:
    """Report the streams, and the variables to set in the shell that runs the SDK."""
    variables = sdk_variables(emulator.environment())
    for served in streams:
        report.line(f"Stream   {served.stream.name}")
        report.line(f"  ARN    {served.stream.arn}")
        report.line(
            f"  from   {served.capture}: {count(len(served.fragments), 'fragment')}, {duration(served.seconds)}"
        )
        for contact_id, start_ms in served.contacts():
            report.line(f"  holds  contact {contact_id}, StartTimestamp {start_ms}")
    report.line(f"\nListening on {emulator.url}. For any AWS SDK or CLI, in another shell:\n")
    for name, value in variables.items():
        report.line(f"export {name}={shlex.quote(value)}")
    report.line(f"unset {' '.join(MISLEADING)}")
    report.line("\nCtrl-C ends it.")
    report.document(
        {"url": emulator.url, "streams": [served.as_json() for served in streams], "environment": variables}
    )
    sys.stdout.flush()
