"""`connect-audio record`: record a call live, from the user's own machine, until the contact ends."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import duration
from connect_audio_cli.output.reporting import Report, add_report_options
from connect_audio_cli.output.stack_options import add_stack_options, check_stack_options

if TYPE_CHECKING:
    from boto3 import Session

    from connect_audio_cli.listening.live_call import RecordedCall


def main(arguments: Sequence[str]) -> int:
    """Read the options and record.

    Raises:
        CommandError: options that cannot be used, AWS or the target refused, or the recording is not whole.
        Interrupted: the user asked for the end before a contact spoke.
    """
    options = parser()
    given = options.read(arguments)
    check_stack_options(given, options)
    with needs("record"):
        import boto3  # noqa: PLC0415 - help and slips need none of it
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        from connect_audio.core.errors import RequestError  # noqa: PLC0415
    try:
        return _record(given, boto3.Session(profile_name=given.profile, region_name=given.region))
    except RequestError as error:
        raise CommandError(printable(str(error))) from error
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error


def _record(given: argparse.Namespace, session: Session) -> int:
    from connect_audio_cli.export.stream_name import stream_arn  # noqa: PLC0415 - as above
    from connect_audio_cli.export.target import Target  # noqa: PLC0415
    from connect_audio_cli.listening.live_call import LiveCall  # noqa: PLC0415
    from connect_audio_cli.listening.meter import Meter  # noqa: PLC0415
    from connect_audio_cli.listening.stop import Stop  # noqa: PLC0415

    report = Report.of(given)
    target = Target.named(given, session)
    arn = stream_arn(session, given.stream, argument="STREAM")
    stop, meter = Stop(), Meter(shown=report.shows_progress)
    live = LiveCall(
        arn,
        target,
        session=session,
        stop=stop,
        meter=meter,
        silence_s=given.silence,
        contact_id=given.contact_id,
        instance_arn=given.instance,
    )
    with stop.taken():
        meter.wait("Waiting for a contact that speaks. Ctrl-C ends it.")
        try:
            call = live.run()
        finally:
            meter.clear()
    place = live.shown(call.key)
    _report(call, place, report)
    if call.outcome.reasons or call.outcome.recording is None:
        causes = ", ".join(call.outcome.reasons) or "no audio"
        raise CommandError(f"{place} is {call.outcome.status}: {causes}", ExitCode.NOT_WHOLE)
    return ExitCode.WHOLE


def _report(call: RecordedCall, place: str, report: Report) -> None:
    from connect_audio_cli.explanation.explanation import ENDS  # noqa: PLC0415 - as above

    outcome = call.outcome
    end = str(outcome.end_reason)
    rows = [
        ("Contact", call.contact_id),
        ("Recording", place if outcome.recording else "none: no audio of the contact came"),
        ("Manifest", f"{place.removesuffix('.wav')}.json"),
        ("Duration", duration(outcome.duration_s or 0.0)),
        ("Status", str(outcome.status)),
        ("Ended as", ENDS.get(end, end)),
    ]
    rows += [("", code) for code in outcome.reasons]
    if call.refusals:
        codes = printable(", ".join(call.refusals))
        rows.append(("Connect", f"did not say whether the contact was connected: {codes}"))
    report.values(rows)
    report.document(
        {
            "contactId": call.contact_id,
            "recording": place if outcome.recording else None,
            "key": call.key,
            "status": str(outcome.status),
            "reasons": list(outcome.reasons),
            "endReason": end,
            "durationSeconds": outcome.duration_s,
            "connectRefusals": list(call.refusals),
        }
    )


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "record",
        "STREAM",
        "Record a call live, until the contact ends. Works on AWS, with your credentials.\n\n"
        "It waits for the first contact that speaks in the stream and writes WAV and manifest as export does. The "
        "recording begins up to 5 s before the command met the contact. The stream shows the call's end; Connect is "
        "asked, too, where you may call DescribeContact. Ctrl-C ends the recording with what came, and its manifest "
        "says so.\n\n"
        "It takes one of the stream's 3 connections of GetMedia, of which the recorder is one. In a bucket the "
        "recording lies under PREFIX/record, apart from the stack's own.",
        examples=(
            ("connect-audio record calls-1", "The call that is going on or comes next, into this folder."),
            (
                "connect-audio record calls-1 --contact-id 7c9e6679-7425-40de-944b-e07fc1f90ae7 -o calls",
                "That contact alone, into the folder calls.",
            ),
            ("connect-audio record calls-1 --stack connect-audio", "Into the bucket of a stack."),
        ),
        exit_codes={
            ExitCode.WHOLE: "the recording is whole",
            ExitCode.NOT_WHOLE: "written, but something is missing, as after Ctrl-C",
        },
    )
    options.add_argument("stream", metavar="STREAM", help="The stream's ARN, or its name.")
    options.add_argument(
        "-o",
        "--output",
        metavar="TARGET",
        help="A folder, or s3://BUCKET/PREFIX. (default: this folder)",
    )
    add_stack_options(options, "Record into the stack's bucket, as it stages and encrypts, in place of -o.")
    options.add_argument("--contact-id", metavar="ID", help="The contact. (default: the first one that speaks)")
    options.add_argument("--instance", metavar="ARN", help="The Connect instance. (default: the stream's)")
    options.add_argument(
        "--silence",
        metavar="SECONDS",
        type=number(float, 1, 86_400),
        help="End after so many seconds without audio of the contact. (default: 600, and 30 once the stream or "
        "Connect shows the end)",
    )
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument(
        "--region", metavar="REGION", help="Region of the stack, and of a stream that is given by its name."
    )
    add_report_options(options)
    return options
