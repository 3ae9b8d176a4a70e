"""`connect-audio convert` with words: a transcript becomes another tool's form, or is made of another tool's output.

Such output is WhisperX's JSON or the result of an Amazon Transcribe job, of Call Analytics or not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connect_audio_cli.output.arguments import STANDARD_OUTPUT
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.existing import refuse_existing
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.transcription.transcript_forms import FORMS, from_verbose_json

if TYPE_CHECKING:
    from connect_audio_cli.output.reporting import Report

TRANSCRIPT: Final = ".transcript.json"
_MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest document that is read; an hour of words has about 1 MB."""
_RATE: Final = 1000
"""Times in captions have milliseconds."""


def convert_transcript(source: str, output: str, named_format: str | None, *, force: bool, report: Report) -> None:
    """Convert a transcript to another form, or WhisperX's JSON or a Transcribe job's result to a transcript.

    Args:
        source: path of the document, or s3://BUCKET/KEY.
        output: path of the file to write, or - for standard output.
        named_format: the value of `--format`; None if it is not given.
        force: True to replace a file.
        report: the summary.

    Raises:
        CommandError: the document cannot be read or is none, there is no such form, or the file cannot be written.
    """
    from connect_audio_cli.output.atomic_file import AtomicFile  # noqa: PLC0415 - help needs no files
    from connect_audio_cli.recordings.location import Location  # noqa: PLC0415

    target = None if output == STANDARD_OUTPUT else Path(output)
    if target is not None:
        refuse_inputs([target], [] if Location(source).is_s3 else [Path(source)])
        refuse_existing([target], force=force)
    document = _document(Location(source))
    try:
        name, text = _converted(document, output, named_format)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{printable(source)} cannot be converted: {_reason(error)}") from error
    if target is None:
        sys.stdout.write(text)
        return
    with AtomicFile(target) as file:
        file.write(text.encode())
        file.seal()
        file.publish()
    report.line(f"{target}: {name}")
    report.document({"output": str(target), "format": name})


def _converted(document: Any, output: str, named_format: str | None) -> tuple[str, str]:
    """The name of the form, and the text of the file."""
    if output.endswith(TRANSCRIPT):
        if named_format not in {None, "transcript"}:
            raise ValueError(f"--format {named_format} does not fit an output that ends in {TRANSCRIPT}")
        return "transcript", _json(_transcript(document))
    if output.endswith(".vtt") and named_format in {None, "vtt"}:
        from connect_audio.core.transcript_document import turns_of  # noqa: PLC0415 - as above
        from connect_audio.core.webvtt import webvtt  # noqa: PLC0415

        return "vtt", webvtt(turns_of(document, _RATE), _RATE)
    if named_format is None or named_format not in FORMS:
        raise ValueError(f"give --format {' or '.join(FORMS)}, or an OUTPUT that ends in .vtt")
    return named_format, _json(FORMS[named_format](document))


def _transcript(document: Any) -> dict[str, Any]:
    """Make a transcript of what another tool wrote."""
    from connect_audio.core.call_analytics_result import analytics_result, is_analytics_result  # noqa: PLC0415 - as above
    from connect_audio.core.transcribe_result import is_job_result, job_result  # noqa: PLC0415 - as above
    from connect_audio.core.transcript_document import TranscriptFacts, transcript_document  # noqa: PLC0415

    if is_analytics_result(document):
        result = analytics_result(document, _RATE)
    elif is_job_result(document):
        result = job_result(document, _RATE)
    else:
        return from_verbose_json(document, "unknown")
    return transcript_document(
        TranscriptFacts(
            turns=result.turns,
            missing=[],
            rate=_RATE,
            frames=max((turn.end for turn in result.turns), default=0),
            contact_id=result.contact_id,
            engine="transcribe",
            language=result.language,
            source="batch",
        )
    )


def _document(location: Any) -> Any:
    with location.open() as file:
        data = b""
        while len(data) <= _MOST_BYTES and (piece := file.read(1 << 20)):
            data += piece
    if len(data) > _MOST_BYTES:
        raise CommandError(f"{location.name} is no transcript: it has more than {_MOST_BYTES} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{location.name} is no transcript: it is no JSON") from error


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else printable(str(error), 200)
