"""`connect-audio repair`: record calls again whose recordings lack what their streams still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from connect_audio_cli.output.arguments import Parser, flag
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import count
from connect_audio_cli.output.reporting import Report, add_report_options
from connect_audio_cli.output.stack_options import add_stack_options, check_stack_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connect_audio_cli.repairing.repair import Audited

_WHOLE: Final = "complete"
_SAID: Final[Mapping[str, str]] = {
    "WHOLE": "whole: left alone",
    "RECOVERABLE": "partly in the stream",
    "REPAIRED": "repaired",
    "NOTHING_GAINED": "recorded again without a gain: the old recording stays",
    "NOTHING_RECOVERABLE": "the stream has nothing more of it",
    "OUTSIDE_RETENTION": "the stream does not keep the call any more",
}
"""Each result for people."""


def main(arguments: Sequence[str]) -> int:
    """Read the options and repair.

    Raises:
        CommandError: options or manifests that cannot be used, or a recording is not whole.
    """
    options = parser()
    given = options.read(arguments)
    check_stack_options(given, options)
    with needs("repair"):
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - help and slips need none of it

        from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
        from connect_audio_cli.export.pace import StreamPaces  # noqa: PLC0415
        from connect_audio_cli.export.shared_session import SharedSession  # noqa: PLC0415
        from connect_audio_cli.repairing.place import Place  # noqa: PLC0415
        from connect_audio_cli.repairing.repair import RecordingRepair  # noqa: PLC0415
        from connect_audio_cli.stacks.recordings_place import RecordingsPlace  # noqa: PLC0415
    report = Report.of(given)
    paces, lines = StreamPaces(SystemClock()), list[dict[str, Any]]()
    codes = set[int]()
    try:
        session = SharedSession(profile_name=given.profile, region_name=given.region)
        stack = None
        if given.stack is not None:
            stack = RecordingsPlace.of_stack(session, given.stack, otherwise="give --staging-bucket")
        for name in given.manifests:
            try:
                place = Place.of(name, session, stack, given.staging_bucket)
                pace = paces.of(place.request.stream_arn)
                repair = RecordingRepair(place, session=session, pace=pace)
                line = _line(name, repair.audited() if given.dry_run else repair.repaired())
                codes.add(ExitCode.WHOLE if line["status"] == _WHOLE else ExitCode.NOT_WHOLE)
            except CommandError as error:
                if len(given.manifests) == 1:
                    raise
                line = {"manifest": name, "result": "FAILED", "status": None, "detail": str(error)}
                codes.add(error.code)
            lines.append(line)
            report.line(f"{printable(name)}: {line['detail']}" if line["status"] else line["detail"])
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error
    report.document({"recordings": lines})
    if codes == {ExitCode.WHOLE}:
        return ExitCode.WHOLE
    lacking = sum(each["status"] != _WHOLE for each in lines)
    what = f"{lacking} of {count(len(lines), 'recording')}" if len(lines) > 1 else "the recording"
    code = ExitCode.UNUSABLE if codes == {ExitCode.UNUSABLE} else ExitCode.NOT_WHOLE
    raise CommandError(f"{what} {'is' if lacking == 1 else 'are'} not whole", code)


def _line(name: str, audited: Audited) -> dict[str, Any]:
    """Return what became of one recording, as `--json` says it."""
    manifest, audit = audited.manifest, audited.audit
    detail = _SAID[audited.result]
    if audit is not None and audit.recoverable:
        detail += f" ({count(audit.recoverable, 'fragment')} of {audit.listed} listed ones lacked or were in part)"
    codes = [str(each["code"]) for each in manifest["reasons"]]
    if codes:
        detail += f"; {manifest['status']}: {', '.join(codes)}"
    return {
        "manifest": name,
        "result": audited.result,
        "status": manifest["status"],
        "reasons": codes,
        "listedFragments": audit and audit.listed,
        "recoverableFragments": audit and audit.recoverable,
        "detail": detail,
    }


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "repair",
        "MANIFEST...",
        "Record calls again whose recordings lack audio that their streams still hold. Works on AWS, with your "
        "credentials.\n\n"
        "A manifest says what its recording lacks. The command lists the stream for the call's time. If the stream has "
        "fragments that the recording lacks, the call is recorded again, whole. The new recording replaces the old one "
        "only if it is better: it loses nothing, and has more audio or fewer missing fragments. A kill at any moment "
        "leaves the old recording or the new one; the same command completes the rest. A whole recording is left "
        "alone.",
        examples=(
            (
                "connect-audio repair calls/2026/07/01/*.json",
                "Audit the recordings of a day, and repair them where their streams have more.",
            ),
            (
                "connect-audio repair --dry-run s3://my-recordings/calls/CALL.json",
                "Say what the stream still has of a call, and write nothing.",
            ),
            (
                "connect-audio repair --stack connect-audio s3://my-recordings/calls/CALL.json",
                "Repair a recording in its stack's bucket.",
            ),
        ),
        exit_codes={
            ExitCode.WHOLE: "all recordings are whole now",
            ExitCode.NOT_WHOLE: "a recording is not whole, or could not be repaired yet",
        },
    )
    options.add_argument(
        "manifests", metavar="MANIFEST", nargs="+", help="A recording's .json, a file or s3://BUCKET/KEY."
    )
    add_stack_options(options, "The stack that made the recordings: they are written as it stages and encrypts.")
    flag(options, "--dry-run", "List the streams, say what is recoverable, and write nothing.")
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument("--region", metavar="REGION", help="Region of the stack.")
    add_report_options(options)
    return options
