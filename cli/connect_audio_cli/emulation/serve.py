"""Captures as Kinesis Video streams for any AWS SDK, until Ctrl-C: the work behind `connect-audio emulate`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from connect_audio_cli.emulation.streams import Complaints, Served, exports, read_stored, sdk_variables, stream_name
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.formatting import count
from connect_audio_cli.output.reporting import Report
from connect_audio_local.kvs import ALL_AT_ONCE, EmulatedStream, KvsEmulator, Live, StoredFragment


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
    contents = [read_stored("emulate", capture) for capture in captures]
    try:
        emulator = KvsEmulator(host, port, on_unanswered=Complaints(report, caught_up=True))
    except (OSError, OverflowError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"cannot listen on {printable(host)} port {port}: {reason}") from error
    with emulator:
        streams = _add_streams(
            emulator, captures, contents, speed=speed, stream_names=stream_names, retention_hours=retention_hours
        )
        _report(emulator, streams, report)
        threading.Event().wait()


def _add_streams(
    emulator: KvsEmulator,
    captures: Sequence[str],
    contents: Sequence[Sequence[StoredFragment]],
    *,
    speed: float | None,
    stream_names: Sequence[str],
    retention_hours: int,
) -> list[Served]:
    served = []
    for index, fragments in enumerate(contents):
        capture = captures[index]
        name = stream_names[index] if stream_names else stream_name(capture)
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
        served.append(Served(stream, printable(capture), fragments))
    return served


def _report(emulator: KvsEmulator, streams: Sequence[Served], report: Report) -> None:
    """Report the streams, and the variables to set in the shell that runs the SDK."""
    variables = sdk_variables(emulator.environment())
    for served in streams:
        for line in served.lines():
            report.line(line)
    report.line(f"\nListening on {emulator.url}. For any AWS SDK or CLI, in another shell:\n")
    report.line(exports(variables))
    report.line("\nCtrl-C ends it.")
    report.document(
        {"url": emulator.url, "streams": [served.as_json() for served in streams], "environment": variables}
    )
    sys.stdout.flush()
