"""`connect-audio capture`: what a stream serves, byte for byte, into a file, and a JSON of how it was had."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.arguments import STANDARD_OUTPUT, Parser, flag, number
from connect_audio_cli.output.command_error import CommandError, ExitCode, describe, printable
from connect_audio_cli.output.existing import add_force_option, refuse_existing
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import count, data_size
from connect_audio_cli.output.reporting import Report, add_report_options

if TYPE_CHECKING:
    from boto3 import Session

    from connect_audio_cli.capturing.answer import Answer, StreamAsker
    from connect_audio_cli.capturing.capture import Captured

_LEAST_MS: Final = 946_684_800_000
_MOST_MS: Final = 253_402_300_799_999
_MOST_FRAGMENTS: Final = 1000
"""Most fragments of one GetMediaForFragmentList."""
_WORDS: Final = ("earliest", "now")


def main(arguments: Sequence[str]) -> int:
    """Read the options and capture.

    Raises:
        CommandError: options that cannot be used, nothing came, or the capture is cut off.
    """
    given = parser().read(arguments)
    _refuse_contradictions(given)
    numbers = None if given.fragments is None else _numbers(given.fragments)
    with needs("capture"):
        import boto3  # noqa: PLC0415 - help and slips need none of it
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        from connect_audio.core.errors import MediaSourceError  # noqa: PLC0415
        from connect_audio_cli.capturing.capture import facts_path  # noqa: PLC0415
    refuse_existing((given.output, facts_path(given.output)), force=given.force)
    try:
        session = boto3.Session(profile_name=given.profile, region_name=given.region)
        return _capture(given, numbers, session)
    except MediaSourceError as error:
        raise CommandError(f"AWS refuses: {printable(str(error))}") from error
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error


def _refuse_contradictions(given: argparse.Namespace) -> None:
    hint = "(see connect-audio capture --help)"
    if str(given.output) == STANDARD_OUTPUT:
        raise CommandError(f"a capture is two files, so -o needs a name {hint}")
    is_archive = given.api == "archive"
    if given.fragments is not None and not is_archive:
        raise CommandError(f"--fragments needs --api archive {hint}")
    if given.fragments is not None and (given.start is not None or given.seconds is not None):
        raise CommandError(f"give --fragments, or --from and --seconds {hint}")
    if is_archive and given.fragments is None and (not isinstance(given.start, int) or given.seconds is None):
        raise CommandError(f"--api archive needs --fragments, or --from MS and --seconds {hint}")


def _capture(given: argparse.Namespace, numbers: Sequence[str] | None, session: Session) -> int:
    from connect_audio_cli.capturing.answer import StreamAsker  # noqa: PLC0415 - as above
    from connect_audio_cli.capturing.capture import Capture, chunks_of  # noqa: PLC0415
    from connect_audio_cli.capturing.contact_filter import ContactFilter  # noqa: PLC0415
    from connect_audio_cli.capturing.redaction import Redaction  # noqa: PLC0415
    from connect_audio_cli.export.stream_name import stream_arn  # noqa: PLC0415
    from connect_audio_cli.output.progress import progress_of  # noqa: PLC0415

    report = Report.of(given)
    arn = stream_arn(session, given.stream, argument="STREAM")
    with StreamAsker(arn, session) as asker:
        answer = _answer(given, numbers, asker, arn, session)
        capture = Capture(
            answer,
            arn,
            given.output,
            seconds=given.seconds if given.api == "media" else None,
            chosen=None if given.contact_id is None else ContactFilter(given.contact_id),
            redaction=Redaction([arn.split("/")[1]]) if given.redact else None,
        )
        with progress_of(chunks_of(answer), what="Capturing", total=None, shown=report.shows_progress) as chunks:
            captured = capture.run(chunks)
    if captured.counts.written:
        _report(captured, given, report)
    if captured.interrupt is not None:
        raise captured.interrupt
    if not captured.counts.served:
        raise CommandError("the stream served nothing: there is no audio at that time, or none any more")
    if not captured.counts.written:
        raise CommandError("the stream served no fragment of that contact")
    if captured.failure is not None and captured.end == "FAILED":
        raise CommandError(f"the connection broke, the capture ends there: {captured.failure}", ExitCode.NOT_WHOLE)
    return ExitCode.WHOLE


def _answer(
    given: argparse.Namespace, numbers: Sequence[str] | None, asker: StreamAsker, arn: str, session: Session
) -> Answer:
    if given.api == "media":
        return asker.media("NOW" if given.start is None else given.start)
    return asker.fragments(_listed(given, arn, session) if numbers is None else numbers)


def _listed(given: argparse.Namespace, arn: str, session: Session) -> Sequence[str]:
    """Return the numbers of the fragments that begin within the wanted time."""
    from contextlib import closing  # noqa: PLC0415 - as above

    from connect_audio.adapters.kvs_index import KvsFragmentIndex  # noqa: PLC0415

    with closing(KvsFragmentIndex(arn, session=session)) as index:
        listed = index.fragments(given.start, given.start + round(given.seconds * 1000) - 1)
    if not listed:
        raise CommandError("the stream keeps no fragment of that time")
    if len(listed) > _MOST_FRAGMENTS:
        raise CommandError(f"{len(listed)} fragments begin in that time; one call takes {_MOST_FRAGMENTS}")
    return [each.number for each in listed]


def _numbers(path: Path) -> Sequence[str]:
    """Read fragment numbers, one a line.

    Raises:
        CommandError: the file cannot be read, or is none.
    """
    name = printable(str(path))
    try:
        lines = path.read_text("utf-8", "replace").split()
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {describe(error)}") from error
    for at, line in enumerate(lines, 1):
        if not re.fullmatch(r"[0-9]{1,128}", line, re.ASCII):
            raise CommandError(f"{name}: '{printable(line, 60)}' (number {at}) is no fragment number")
    if not 1 <= len(lines) <= _MOST_FRAGMENTS:
        raise CommandError(f"{name}: holds {count(len(lines), 'number')}; one call takes 1 to {_MOST_FRAGMENTS}")
    return lines


def _report(captured: Captured, given: argparse.Namespace, report: Report) -> None:
    from connect_audio_cli.capturing.capture import facts_path  # noqa: PLC0415 - as above

    counts = captured.counts
    others = len(counts.contacts - {given.contact_id})
    if given.redact:
        holds = "no audio and no ids"
    elif given.contact_id is not None:
        holds = "one contact's audio: keep it as a recording"
    else:
        holds = "the audio of every caller in that time: keep it as a recording (--contact-id, --redact)"
    report.values(
        [
            ("Capture", str(given.output)),
            ("Facts", str(facts_path(given.output))),
            ("Size", f"{data_size(counts.written)} in {count(counts.kept, 'fragment')}"),
            ("Left out", f"{count(counts.fragments - counts.kept, 'fragment')}; {count(others, 'other contact')} named")
            if given.contact_id is not None
            else ("Contacts", str(len(counts.contacts))),
            ("Ended by", _ENDS[captured.end]),
            ("It holds", holds),
        ]
    )
    report.document(
        {
            "capture": str(given.output),
            "facts": str(facts_path(given.output)),
            "bytes": counts.written,
            "fragments": counts.kept,
            "fragmentsServed": counts.fragments,
            "contacts": len(counts.contacts),
            "end": captured.end,
            "isRedacted": given.redact,
            "isOneContact": given.contact_id is not None,
        }
    )


_ENDS: Final = {
    "SECONDS": "--seconds",
    "BODY": "the service, which ended the body",
    "SILENT": "silence: nothing came for 30 s",
    "INTERRUPTED": "a signal, behind the last whole fragment",
    "FAILED": "a broken connection",
}


def _start(text: str) -> int | str:
    if text in _WORDS:
        return text.upper()
    try:
        return number(int, _LEAST_MS, _MOST_MS)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor earliest, nor now") from error


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "capture",
        "STREAM",
        "Write what a stream serves, byte for byte, into a file. Works on AWS, with your credentials.\n\n"
        "FILE.json beside it says how it was had: call, selector, times, request id, counts. replay and inspect read "
        "the file.\n\n"
        "A stream serves one call after another, so a capture holds the audio of other callers, too. --contact-id "
        "leaves them out, and --redact takes out all audio and ids. It takes one of the stream's 3 connections of "
        "GetMedia, of which the recorder is one.",
        examples=(
            (
                "connect-audio capture calls-1 --from 1782912654536 --seconds 60 -o call.mkv",
                "A minute from that time on.",
            ),
            ("connect-audio capture calls-1 --redact", "The call that is going on, without audio, until Ctrl-C."),
            (
                "connect-audio capture calls-1 --api archive --fragments numbers.txt",
                "Single fragments, by GetMediaForFragmentList.",
            ),
        ),
        exit_codes={
            ExitCode.UNUSABLE: "arguments that cannot be used, or the stream served nothing; nothing was written",
            ExitCode.NOT_WHOLE: "the connection broke; what came is written",
        },
    )
    options.add_argument("stream", metavar="STREAM", help="The stream's ARN, or its name.")
    options.add_argument(
        "--from",
        dest="start",
        metavar="TIME",
        type=_start,
        help="Where it begins: milliseconds since 1970, earliest, or now. (default: now)",
    )
    options.add_argument(
        "--seconds",
        metavar="N",
        type=number(float, 0.001, 1_000_000),
        help="Seconds to capture, in whole fragments. (default: until the stream is silent for 30 s)",
    )
    options.add_argument(
        "--api",
        choices=("media", "archive"),
        metavar="API",
        default="media",
        help="media for GetMedia, archive for GetMediaForFragmentList. (default: media)",
    )
    options.add_argument(
        "--fragments", metavar="FILE", type=Path, help="Fragment numbers, one a line, 1000 at most; with --api archive."
    )
    options.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("capture.mkv"),
        help="The file. (default: capture.mkv)",
    )
    options.add_argument("--contact-id", metavar="ID", help="Drop the fragments of every other contact.")
    flag(options, "--redact", "Make samples silence and ids zeros; every size and time stays.")
    add_force_option(options)
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument("--region", metavar="REGION", help="Region of a stream that is given by its name.")
    add_report_options(options)
    return options
