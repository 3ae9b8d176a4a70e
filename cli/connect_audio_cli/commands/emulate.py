"""`connect-audio emulate`: its options."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import ExitCode
from connect_audio_cli.output.extras import needs


def main(arguments: Sequence[str]) -> int:
    """Read the options and serve until the process is interrupted.

    Raises:
        CommandError: options or captures that cannot be used, or an address that cannot be bound.
    """
    given = _parser().read(arguments)
    with needs("emulate", extra="local"):
        from connect_audio_cli.emulation.serve import serve  # noqa: PLC0415 - the stand-in is imported here alone

    serve(
        given.captures,
        host=given.host,
        port=given.port,
        speed=given.speed,
        stream_names=given.stream_name,
        retention_hours=given.retention_hours,
    )
    return ExitCode.WHOLE


<<<<<<< HEAD
def _serve(
    emulator: KvsEmulator,
    captures: Sequence[str],
    contents: Sequence[Sequence[StoredFragment]],
    *,
    speed: float | None,
    stream_names: Sequence[str],
    retention_hours: int,
) -> None:
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
        _print_stream(stream, capture, fragments)


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


def _print_stream(stream: EmulatedStream, capture: str, fragments: Sequence[StoredFragment]) -> None:
    write = sys.stdout.write
    write(f"Stream   {stream.name}\n")
    write(f"  ARN    {stream.arn}\n")
    length = duration((fragments[-1].end_ms - fragments[0].producer_ms) / 1000)
    write(f"  from   {printable(capture)}: {count(len(fragments), 'fragment')}, {length}\n")
    contacts = dict.fromkeys(fragment.contact_id for fragment in fragments if fragment.contact_id)
    for contact_id in list(contacts)[:10]:
        start_ms = next(fragment.producer_ms for fragment in fragments if fragment.contact_id == contact_id)
        write(f"  holds  contact {printable(contact_id, 100)}, StartTimestamp {start_ms}\n")


def _print_exports(emulator: KvsEmulator) -> None:
    """Print the variables to set in the shell that runs the SDK."""
    write = sys.stdout.write
    write(f"\nListening on {emulator.url}. For any AWS SDK or CLI, in another shell:\n\n")
    values = {
        **emulator.environment(),
        # Any will do, and an SDK refuses to go without.
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_DEFAULT_REGION": "eu-west-2",
    }
    for name, value in values.items():
        write(f"export {name}={shlex.quote(value)}\n")
    write("\nCtrl-C ends it.\n")
    sys.stdout.flush()
=======
def _parser() -> Parser:
    parser = Parser(
        "emulate",
        "CAPTURE...",
        "Serve captures as Kinesis Video streams to any AWS SDK, until Ctrl-C.\n\n"
        "DescribeStream, GetDataEndpoint, GetMedia and Connect's DescribeContact, in the real APIs' shapes and "
        "limits. Prints the variables that lead an SDK here.",
    )
    parser.add_argument("captures", metavar="CAPTURE", nargs="+", help="Files of GetMedia bytes, a stream each.")
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=number(int, 0, 65535),
        default=0,
        help="Port to listen on, 0 for a free one. (default: 0)",
    )
    parser.add_argument(
        "--host",
        metavar="HOST",
        default="127.0.0.1",
        help="Address to listen on; 0.0.0.0 lets containers and other machines in. (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--speed",
        metavar="X",
        type=number(float, 0.01),
        help="Stream live from now on, X times as fast as the call. (default: all at once)",
    )
    parser.add_argument(
        "--stream-name",
        metavar="NAME",
        action="append",
        default=[],
        help="The stream's name, once for each capture. (default: the file's name)",
    )
    parser.add_argument(
        "--retention-hours",
        metavar="HOURS",
        type=number(int, 0, 87600),
        default=24,
        help="DataRetentionInHours of the streams. (default: 24)",
    )
    return parser
>>>>>>> c7bf903 (The command reads its options by argparse and prints its own tables: help and replay import no more than they use)
