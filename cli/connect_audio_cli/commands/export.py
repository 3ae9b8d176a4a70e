"""`connect-audio export`: record calls after they ended, out of their streams' archives."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.arguments import Parser, flag, number
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.existing import add_force_option
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import count, data_size
from connect_audio_cli.output.progress import tracked
from connect_audio_cli.output.reporting import Report, add_report_options
from connect_audio_cli.output.stack_options import add_stack_options, check_stack_options

if TYPE_CHECKING:
    from connect_audio_cli.export.exporter import Exporter
    from connect_audio_cli.export.progress_file import ProgressFile
    from connect_audio_cli.export.rows import Row
    from connect_audio_cli.export.target import Target

_DOLLARS_A_GB: Final = 0.0085
"""Price of a GB that is read from a stream, whichever API reads it (docs/cost.md)."""


def main(arguments: Sequence[str]) -> int:
    """Read the options and export.

    Raises:
        CommandError: options that cannot be used, or no recording could be made, or one is not whole.
    """
    options = parser()
    given = options.read(arguments)
    _check(given)
    check_stack_options(given, options)
    with needs("export"):
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - help and slips need none of it

        from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
        from connect_audio_cli.export.exporter import Exporter  # noqa: PLC0415
        from connect_audio_cli.export.manifest import write_manifest  # noqa: PLC0415
        from connect_audio_cli.export.pace import StreamPaces  # noqa: PLC0415
        from connect_audio_cli.export.progress_file import progress_file  # noqa: PLC0415
        from connect_audio_cli.export.shared_session import SharedSession  # noqa: PLC0415
        from connect_audio_cli.export.sources import find_rows  # noqa: PLC0415
        from connect_audio_cli.export.stream_source import Api  # noqa: PLC0415
        from connect_audio_cli.export.target import Target  # noqa: PLC0415
    try:
        session = SharedSession(profile_name=given.profile, region_name=given.region)
        target = Target.named(given, session)
        exporter = Exporter(
            session, target, StreamPaces(SystemClock()), given.instance, given.concurrency, Api(given.api)
        )
        report = Report.of(given)
        rows = find_rows(given, exporter, shows=report.shows_progress)
        if given.dry_run:
            return _dry(rows, exporter, report)
        if given.to_manifest is not None:
            items = write_manifest(rows, given.to_manifest, exporter, force=given.force)
            return _written(items, rows, given.to_manifest, report)
        if given.stream is not None or (given.contact_id is not None and len(rows) == 1):
            return _one(rows[0], exporter, report)
        with progress_file(_progress(given, target), target.place) as progress:
            return _many(rows, exporter, progress, report)
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error


def _written(items: int, rows: Sequence[Row], place: str, report: Report) -> int:
    report.values([("calls", str(len(rows))), ("items", str(items)), ("manifest", printable(place))])
    report.document({"calls": len(rows), "items": items, "manifest": place})
    return ExitCode.WHOLE


def _check(given: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    many = [given.csv, given.contact_records, given.prefix]
    sources = sum(each is not None for each in [given.stream, *many]) + given.search
    by_contact = sources == 0 and given.contact_id is not None
    if sources + by_contact != 1 or (given.stream is None) != (given.start is None):
        names = "--stream and --start, --contact-id and --instance, --csv, --contact-records, --prefix or --search"
        raise CommandError(f"give {names} (see connect-audio export --help)")
    if given.contact_id is not None and not by_contact and given.stream is None:
        raise CommandError("--contact-id is for one call: with --stream, or with --instance and no other source")
    has_range = given.begin is not None and given.end is not None and given.begin <= given.end
    takes_range = given.prefix is not None or given.search
    if (takes_range or given.begin is not None or given.end is not None) and not (takes_range and has_range):
        name = "--search" if given.search else "--prefix"
        raise CommandError(f"{name} needs --from and --to, a time and a later one")
    if (given.search or by_contact) and given.instance is None:
        name = "--search" if given.search else "--contact-id without --stream"
        raise CommandError(f"{name} needs --instance, the ARN of the Connect instance")
    if given.force and given.to_manifest is None:
        raise CommandError("--force is for --to-manifest: a recording that is there is left alone")


def _one(row: Row, exporter: Exporter, report: Report) -> int:
    line = exporter.line(row)
    rows = [("status", line.status), ("recording", exporter.target.shown(line.key or ""))]
    report.values([*rows, *([("reasons", line.detail)] if line.detail else [])])
    report.document({"status": line.status, "key": line.key, "reasons": line.detail.split(", ") if line.detail else []})
    if line.status not in {"complete", "exists"}:
        raise CommandError(f"the recording is {line.status}: {line.detail or 'no audio'}", ExitCode.NOT_WHOLE)
    return ExitCode.WHOLE


def _dry(rows: Sequence[Row], exporter: Exporter, report: Report) -> int:
    """List the calls and say how much there is to read. Nothing is written, and no media is read."""
    from connect_audio_cli.export.exporter import least_seconds  # noqa: PLC0415 - as above

    there = []
    sizes = tracked(exporter.sizes(rows), what="Listing", total=len(rows), shown=report.shows_progress, with_lines=True)
    for row, size in sizes:
        if size.lacking:
            report.line(f"failed     {row.start_ms}  {printable(row.stream)}  {size.lacking}")
        else:
            there.append((row, size))
    lacking = len(rows) - len(there)
    fragments, bytes_ = sum(each.fragments for _, each in there), sum(each.size for _, each in there)
    dollars = bytes_ / 1e9 * _DOLLARS_A_GB
    hours = least_seconds(there, exporter.at_once) / 3600
    report.values(
        [
            ("calls", str(len(there))),
            ("without audio", str(lacking)),
            ("to read", f"at most {data_size(bytes_)} in {count(fragments, 'fragment')}"),
            ("price", f"at most ${dollars:.4f} for reading, at ${_DOLLARS_A_GB} a GB"),
            ("time", f"at least {hours:.3f} h at the streams' quotas, with {exporter.at_once} at once"),
        ]
    )
    report.document(
        {
            "calls": len(there),
            "withoutAudio": lacking,
            "fragments": fragments,
            "bytes": bytes_,
            "dollars": dollars,
            "hours": hours,
        }
    )
    return ExitCode.NOT_WHOLE if lacking else ExitCode.WHOLE


def _many(rows: Sequence[Row], exporter: Exporter, progress: ProgressFile, report: Report) -> int:
    from connect_audio_cli.export.progress_file import DONE  # noqa: PLC0415 - as above

    left = progress.left(rows)
    statuses = Counter({"skipped": len(rows) - len(left)} if len(left) < len(rows) else {})
    lines = exporter.lines(left)
    for line in tracked(lines, what="Exporting", total=len(left), shown=report.shows_progress, with_lines=True):
        progress.add(line)
        statuses[line.status] += 1
        report.line(f"{line.status:9}  {line.start}  {line.key or printable(line.stream)}  {line.detail}".rstrip())
        sys.stdout.flush()
    report.document({"calls": len(rows), "statuses": dict(statuses)})
    lacking = sum(number for status, number in statuses.items() if status not in DONE | {"skipped"})
    if lacking:
        message = f"{count(lacking, 'call')} of {len(rows)} not whole; the same command tries them again"
        raise CommandError(message, ExitCode.NOT_WHOLE)
    report.line(f"{count(len(rows), 'call')}: all are whole")
    return ExitCode.WHOLE


def _progress(given: argparse.Namespace, target: Target) -> Path:
    """Return the file of progress: in the folder, or in this folder for a bucket."""
    if given.progress is not None:
        return Path(given.progress)
    return Path("progress.jsonl") if target.is_in_bucket else Path(target.place, "progress.jsonl")


def _time_ms(text: str) -> int:
    """Read a time in ISO 8601, in UTC unless it says otherwise, as ms since the epoch."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-07-01T00:00:00Z") from error
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "export",
        "",
        "Record calls after they ended, out of their streams' archives, into a folder or a bucket. Works on "
        "AWS, with your credentials.\n\n"
        "It needs no right on Connect: a stream's listing shows a call's end, and its fragments name the contact. "
        "A recording has the key that the functions would have used. A recording that is there is left alone. Give "
        "--stream and --start for one call, or --contact-id and --instance; --csv, --contact-records, --prefix or "
        "--search for many. Connect is asked by --search, and by --contact-id without --stream.",
        examples=(
            (
                "connect-audio export --stream calls-1 --start 1782912654536 -o calls",
                "The call that began then, into the folder calls.",
            ),
            (
                "connect-audio export --contact-id 7c9e6679-7425-40de-944b-e07fc1f90ae7 --instance ARN -o calls",
                "The call of a contact, whose stream Connect names.",
            ),
            (
                "connect-audio export --csv calls.csv -o calls",
                "The calls of a file, some at the same time; a recording that is there is skipped.",
            ),
            (
                "connect-audio export --csv calls.csv --stack connect-audio",
                "The same into the stack's bucket, under the keys of its own recordings.",
            ),
        ),
        exit_codes={
            ExitCode.UNUSABLE: "arguments that cannot be used, the stream keeps no such call, or the call may go on",
            ExitCode.NOT_WHOLE: "a recording is not whole, or a call of the file has none",
        },
    )
    options.add_argument("--stream", metavar="STREAM", help="The stream's ARN, or its name.")
    options.add_argument(
        "--start",
        metavar="MS",
        type=number(int, 946_684_800_000, 253_402_300_799_999),
        help="StartTimestamp of Connect's event, in milliseconds since 1970.",
    )
    options.add_argument(
        "--csv",
        metavar="FILE",
        type=Path,
        help="A file with the columns stream_arn and start_ms; if wanted, contact_id and instance_arn.",
    )
    options.add_argument(
        "--contact-records",
        metavar="PLACE",
        help="Connect's contact records, as Firehose writes them: a file, a folder or s3://BUCKET/PREFIX.",
    )
    options.add_argument(
        "--prefix",
        metavar="NAME",
        help="Find the calls in the streams whose names begin so, between --from and --to. Connect is not asked.",
    )
    flag(
        options,
        "--search",
        "Find the calls by Connect's SearchContacts, between --from and --to in --instance; for 2000 calls at most.",
    )
    for name, help_text in (("from", "Least start of a call, as 2026-07-01T00:00:00Z."), ("to", "Greatest start.")):
        dest = {"from": "begin", "to": "end"}[name]
        options.add_argument(f"--{name}", dest=dest, metavar="TIME", type=_time_ms, help=help_text)
    options.add_argument(
        "-o",
        "--output",
        metavar="TARGET",
        help="A folder, or s3://BUCKET/PREFIX with the stack's RecordingsPrefix. (default: this folder)",
    )
    add_stack_options(
        options, "Record into the stack's bucket, under its prefix, as it stages and encrypts, in place of -o."
    )
    options.add_argument(
        "--progress",
        metavar="FILE",
        type=Path,
        help="The file of progress. (default: progress.jsonl in the folder, for a bucket in this one)",
    )
    options.add_argument(
        "--to-manifest",
        metavar="PLACE",
        help="Record nothing: write the calls to a file or s3://BUCKET/KEY, for the state machine of a backfill.",
    )
    add_force_option(options)
    options.add_argument(
        "--contact-id",
        metavar="ID",
        help="The contact. Without --stream Connect names its stream. (default: the stream's at that time)",
    )
    options.add_argument("--instance", metavar="ARN", help="The Connect instance. (default: the stream's)")
    options.add_argument(
        "--concurrency",
        metavar="N",
        type=number(int, 1, 32),
        default=8,
        help="Calls of a file at the same time; of one stream never more than two. (default: 8)",
    )
    options.add_argument(
        "--api",
        choices=("auto", "media", "archive"),
        metavar="API",
        default="auto",
        help="media for GetMedia, archive for GetMediaForFragmentList, auto for GetMedia and for the archive where "
        "GetMedia is denied or a place of it fails. (default: auto)",
    )
    flag(
        options,
        "--dry-run",
        "List the calls, say how much there is to read, its price and the time, and write nothing.",
    )
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument(
        "--region", metavar="REGION", help="Region of the stack, and of a stream that is given by its name."
    )
    add_report_options(options)
    return options
