"""The command `connect-audio`: what it can do, and what goes wrong said in one line.

Each sub-command's work is imported when it runs, so that help is quick.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from connect_audio_cli.output.command_error import CommandError, ExitCode

_NAME = "connect-audio"
_INTERRUPTED = 128 + signal.SIGINT
_READER_GONE = 128 + signal.SIGPIPE

app = typer.Typer(
    name=_NAME,
    add_completion=False,
    pretty_exceptions_enable=False,  # an unforeseen exception is a bug, shown as Python shows it
    invoke_without_command=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

CaptureArgument = Annotated[
    str, typer.Argument(metavar="CAPTURE", help="A file of GetMedia bytes (.mkv), or - for standard input.")
]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - see the module

        sys.stdout.write(f"{_NAME} {version('connect-audio-consumer')}\n")
        raise typer.Exit


@app.callback()
def connect_audio(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The audio of Amazon Connect calls, on this machine and without AWS.

    Start with [bold]demo[/bold]: a whole call, from the Connect event to the WAV.

    Exit codes: 0 all is well; 2 arguments or input that cannot be used;
    3 the result is there but not whole; 130 interrupted.
    One line on standard error names each failure.
    """
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")


@app.command()
def demo(
    *,
    output: Annotated[Path, typer.Option(help="Directory for the WAV and the manifest.")] = Path("build/demo"),
    seconds: Annotated[
        int | None, typer.Option(min=1, help="Length of the call. (default: 60, with --live 20)")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="At the pace of a call, and show its segments as they appear in S3.")
    ] = False,
) -> None:
    """Run a whole two-party call: Connect event, trigger, consumer, Kinesis Video emulator, S3, WAV.

    Exit code 1: the recording is not what was sent, or with [bold]--live[/bold] the segments are not the recording.
    """
    from connect_audio_cli.output.console import stdout_console  # noqa: PLC0415 - see the module

    if live:
        from connect_audio_cli.demo.live import run_live_demo  # noqa: PLC0415 - see the module

        raise typer.Exit(run_live_demo(output=output, seconds=seconds or 20, console=stdout_console()))
    from connect_audio_cli.demo.fast import run_demo  # noqa: PLC0415 - see the module

    raise typer.Exit(run_demo(output=output, seconds=seconds or 60, console=stdout_console()))


@app.command()
def replay(
    capture: CaptureArgument,
    *,
    contact_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Contact to write. By default the first one in the capture.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Directory of the output, made if missing.")
    ] = Path(),
    accept_unlabelled: Annotated[
        bool,
        typer.Option(
            "--accept-unlabelled",
            help="Take audio that names no contact for this contact's. Only for captures that hold one call alone.",
        ),
    ] = False,
    segments: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write the call in segments, 000000.wav and so on, and their index.json."
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Also post the segments to this https:// address, signed with the text in the variable "
            "WEBHOOK_SIGNING_SECRET.",
        ),
    ] = None,
    webhook_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificates (PEM) to trust besides the system's.")
    ] = None,
    allow_private_addresses: Annotated[
        bool, typer.Option("--allow-private-addresses", help="Let the webhook be on this machine or in this network.")
    ] = False,
    segment_seconds: Annotated[
        str | None, typer.Option(metavar="N", help="Length of a segment, in seconds. (default: 1)")
    ] = None,
    segment_rate: Annotated[
        str | None, typer.Option(metavar="HZ", help="16000, or source for the call's own. (default: source)")
    ] = None,
    segment_layout: Annotated[
        str | None, typer.Option(metavar="LAYOUT", help="stereo, or tracks for a file of each party. (default: stereo)")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="X", help="X times as fast as the call, as if it were live. (default: at once)"),
    ] = None,
) -> None:
    """Turn a GetMedia capture into a stereo WAV and a manifest, and if wanted into live segments.

    Writes [bold]DIR/<contact id>.wav[/bold] (customer left, agent right) and [bold]DIR/<contact id>.json[/bold].
    The JSON says what the recording holds, what it lacks and why.

    Exit code 0: whole. 3: written, but something is missing, from the recording or from what [bold]--segments[/bold]
    and [bold]--webhook[/bold] got. 2: nothing written.
    """
    from connect_audio_cli.commands import replay as replay_command  # noqa: PLC0415 - see the module

    typed: dict[str, Any] = {
        "segments": segments,
        "webhook": webhook,
        "webhook_ca": webhook_ca,
        "allow_private_addresses": allow_private_addresses,
        "segment_seconds": segment_seconds,
        "segment_rate": segment_rate,
        "segment_layout": segment_layout,
        "speed": speed,
    }
    live = None
    if any(value not in {None, False} for value in typed.values()):
        from connect_audio_cli.replay.live_options import Typed, live_options  # noqa: PLC0415 - see the module

        live = live_options(Typed(**typed))
    replay_command.run(capture, contact_id=contact_id, output=output, accept_unlabelled=accept_unlabelled, live=live)


@app.command()
def inspect(
    capture: CaptureArgument,
    *,
    tree: Annotated[
        bool, typer.Option("--tree", help="Show every element (offset, size, name, ID, value) instead of the table.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document; all fragments unless --limit says otherwise.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Fragments to show, 0 for all. (default: 40, with --tree 1)")
    ] = None,
) -> None:
    """Show what is in a GetMedia capture: fragments, contacts, tracks, gaps, errors, lost bytes.

    Exit code 3: the capture is broken somewhere; what can be shown is shown.
    """
    from connect_audio_cli.commands import inspect as inspect_command  # noqa: PLC0415 - see the module

    inspect_command.run(capture, tree=tree, as_json=as_json, limit=limit)


@app.command()
def emulate(
    captures: Annotated[
        list[str], typer.Argument(metavar="CAPTURE...", help="Files of GetMedia bytes, a stream each.")
    ],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets containers and other machines in.")
    ] = "127.0.0.1",
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.01, metavar="X", help="Stream live from now on, X times as fast as the call. (default: all at once)"
        ),
    ] = None,
    stream_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The stream's name, once for each capture. (default: the file's name)"),
    ] = None,
    retention_hours: Annotated[
        int, typer.Option(min=0, max=87600, metavar="HOURS", help="DataRetentionInHours of the streams.")
    ] = 24,
) -> None:
    """Serve captures as Kinesis Video streams to any AWS SDK, until Ctrl-C.

    DescribeStream, GetDataEndpoint, GetMedia and Connect's DescribeContact, in the real APIs' shapes and limits.
    Prints the variables that lead an SDK here.
    """
    from connect_audio_cli.commands import emulate as emulate_command  # noqa: PLC0415 - see the module

    emulate_command.run(
        captures,
        host=host,
        port=port,
        speed=speed,
        stream_names=stream_name or [],
        retention_hours=retention_hours,
    )


@app.command()
def synthesize(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT.mkv", help="The capture to write.")],
    *,
    customer: Annotated[Path | None, typer.Option(metavar="WAV", help="Mono WAV of the customer.")] = None,
    agent: Annotated[Path | None, typer.Option(metavar="WAV", help="Mono WAV of the agent.")] = None,
    seconds: Annotated[float, typer.Option(min=0.001, max=604800, help="Length of generated speech.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed makes another conversation.")] = 0,
    contact_id: Annotated[str | None, typer.Option(metavar="ID", help="The call's contact id.")] = None,
) -> None:
    """Write a capture laid out as Connect's, from two WAV files or from generated speech.

    [bold]replay[/bold], [bold]inspect[/bold] and [bold]emulate[/bold] read the file.
    """
    from connect_audio_cli.commands import synthesize as synthesize_command  # noqa: PLC0415 - see the module

    synthesize_command.run(output, customer=customer, agent=agent, seconds=seconds, seed=seed, contact_id=contact_id)


@app.command()
def redrive(
    *,
    queue_url: Annotated[
        str, typer.Option(metavar="URL", help="The dead-letter queue: the stack's output FailedRecordingsQueueUrl.")
    ],
    function: Annotated[
        str, typer.Option(metavar="ARN", help="The consumer, with its alias: the stack's output ConsumerAliasArn.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Start failed recordings again, each where it stood. Works on AWS, with your credentials.

    Takes the messages of the dead-letter queue; each one that is started again, or need not be, leaves the queue.

    Exit code 3: a message was left in the queue.
    """
    from connect_audio_cli.commands import redrive as redrive_command  # noqa: PLC0415 - see the module

    redrive_command.run(queue_url, function, dry_run=dry_run)


class _Interrupted(BaseException):
    """A signal that asks for the end; a BaseException, so that only `finally` meets it on the way."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    del frame
    raise _Interrupted(signal_number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the arguments after the command's name; the process's own by default.

    Returns:
        The exit code.
    """
    if not sys.warnoptions:
        # A library's warning would stand between the user and the one line that matters.
        warnings.simplefilter("ignore")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except OSError as error:
        return _complain(f"{error.filename or 'standard output'}: {error.strerror or error}", ExitCode.UNUSABLE)
    return code


def _run(arguments: list[str]) -> int:
    try:
        # In this mode typer returns the code of an early exit, which Ctrl-C is to it as well.
        code = int(app(args=arguments, prog_name=_NAME, standalone_mode=False) or 0)
        return _complain("interrupted", code) if code == _INTERRUPTED else code
    except typer.TyperException as error:
        context: typer.Context | None = getattr(error, "ctx", None)
        path = context.command_path if context else _NAME
        return _complain(f"{error.format_message().rstrip('.')} (see {path} --help)", error.exit_code)
    except SystemExit:
        # Typer and rich end so when the reader of their output has gone.
        return _READER_GONE
    except _Interrupted as interrupted:
        return _complain("terminated", interrupted.exit_code)
    except CommandError as error:
        return _complain(str(error), error.code)


def _complain(message: str, code: int) -> int:
    """Say what went wrong, in one line."""
    sys.stderr.write(f"{_NAME}: {' '.join(message.split())}\n")
    return code
