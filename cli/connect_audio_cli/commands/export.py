"""`connect-audio export`: record a call after it ended, out of its stream's archive, into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.reporting import Report, add_report_options


def main(arguments: Sequence[str]) -> int:
    """Read the options and export.

    Raises:
        CommandError: options that cannot be used, or no recording could be made, or it is not whole.
    """
    given = parser().read(arguments)
    with needs("export"):
        import boto3  # noqa: PLC0415 - help and slips need none of it
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        from connect_audio.core.errors import RequestError  # noqa: PLC0415
        from connect_audio_cli.export.call import CallExport  # noqa: PLC0415
        from connect_audio_cli.export.stream_name import stream_arn  # noqa: PLC0415
    report = Report.of(given)
    try:
        session = boto3.Session(profile_name=given.profile, region_name=given.region)
        export = CallExport(
            stream_arn(session, given.stream),
            given.start,
            given.output,
            session=session,
            contact_id=given.contact_id,
            instance_arn=given.instance,
            prefix=given.prefix.strip("/"),
        )
        names, outcome = export.run()
    except RequestError as error:
        raise CommandError(printable(str(error))) from error
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error
    status = "exists" if outcome is None else str(outcome.status)
    wav = given.output / names.key
    reasons = [] if outcome is None else list(outcome.reasons)
    report.values(
        [
            ("status", status),
            *([("recording", str(wav))] if wav.exists() else []),
            *([("reasons", ", ".join(reasons))] if reasons else []),
            *([("length", f"{outcome.duration_s:.3f} s")] if outcome is not None else []),
        ]
    )
    report.document({"status": status, "key": names.key, "reasons": reasons})
    if status not in ("exists", "complete"):
        raise CommandError(f"the recording is {status}: {', '.join(reasons) or 'no audio'}", ExitCode.NOT_WHOLE)
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "export",
        "--stream STREAM --start MS",
        "Record a call after it ended, out of its stream's archive, into a folder. Works on AWS, with your "
        "credentials.\n\n"
        "It needs no right on Connect: the stream's listing shows the call's end, and its fragments name the contact. "
        "The recording has the key that the functions would have used. A recording that is there is left alone.",
        examples=(
            (
                "connect-audio export --stream calls-1 --start 1782912654536 -o calls",
                "The call that began then, into the folder calls.",
            ),
            (
                "connect-audio export --stream calls-1 --start 1782912654536 --json",
                "The same into this folder, with the outcome as JSON.",
            ),
        ),
        exit_codes={
            ExitCode.UNUSABLE: "arguments that cannot be used, the stream keeps no such call, or the call may go on",
            ExitCode.NOT_WHOLE: "the recording is there but not whole",
        },
    )
    options.add_argument("--stream", metavar="STREAM", required=True, help="The stream's ARN, or its name.")
    options.add_argument(
        "--start",
        metavar="MS",
        required=True,
        type=number(int, 946_684_800_000, 253_402_300_799_999),
        help="StartTimestamp of Connect's event, in milliseconds since 1970.",
    )
    options.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, default=Path(), help="The folder. (default: this one)"
    )
    options.add_argument("--contact-id", metavar="ID", help="The contact. (default: the stream's at that time)")
    options.add_argument("--instance", metavar="ARN", help="The Connect instance. (default: the stream's)")
    options.add_argument(
        "--prefix", metavar="PREFIX", default="", help="The stack's RecordingsPrefix, before the date. (default: none)"
    )
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument("--region", metavar="REGION", help="Region of a stream that is given by its name.")
    add_report_options(options)
    return options
