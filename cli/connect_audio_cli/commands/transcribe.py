"""`connect-audio transcribe`: its options, one call, and what a user reads after it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connect_audio_cli.output.arguments import Parser, number
from connect_audio_cli.output.command_error import CommandError, ExitCode
from connect_audio_cli.output.existing import add_force_option, refuse_existing
from connect_audio_cli.output.formatting import duration
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.output.reporting import Report, add_report_options
from connect_audio_cli.transcription.speech_server import SpeechServer, add_speech_options, speech_server_of

if TYPE_CHECKING:
    from connect_audio_cli.recordings.location import Location
    from connect_audio_cli.recordings.wav_file import OpenWav
    from connect_audio_cli.transcription.transcription import Words

_REQUEST_S: Final = 120
"""Default limit of one request, seconds: a server without a GPU takes long, and some load their model first."""
_TRIES: Final = 4
_BACKLOG_S: Final = 30.0
"""Audio of one party that waits for the server, seconds; reading the recording is quicker than any server."""


def main(arguments: Sequence[str]) -> int:
    """Read the options and write the words.

    Raises:
        CommandError: options that cannot be used, or the words could not be had.
    """
    given = parser().read(arguments)
    server = speech_server_of(given)
    if server is None:
        raise CommandError("--whisper is empty; it must be the address of a speech server")
    # Imported here, so that help and slips of the fingers cost no more than they use.
    from connect_audio_cli.recordings.location import Location  # noqa: PLC0415

    return run(
        Location(given.wav),
        server,
        folder=given.output,
        request_s=given.timeout,
        force=given.force,
        report=Report.of(given),
    )


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "transcribe",
        "CALL.wav --whisper URL",
        "Write the words of a recording beside it, each with its speaker, by a speech server of your choice.\n\n"
        "The customer is the left channel and the agent the right one, so no model has to guess who speaks. Pauses are "
        "not sent. CALL.transcript.json has the words with their times, CALL.vtt is for players; page and serve show "
        "them with the call. The server gets the call's audio: name one that may.",
        examples=(
            (
                "connect-audio transcribe call.wav --whisper http://127.0.0.1:8000/v1 --model small.en",
                "By a server on this machine: vLLM, speaches, LocalAI.",
            ),
            (
                "connect-audio transcribe call.wav --whisper https://api.openai.com/v1 --api-key-env OPENAI_API_KEY",
                "By OpenAI, with the key out of a variable.",
            ),
        ),
        exit_codes={
            ExitCode.WHOLE: "the words of the whole recording are written",
            ExitCode.NOT_WHOLE: "the words are written, and some are missing; the report says which seconds",
        },
    )
    options.add_argument(
        "wav", metavar="CALL.wav", help="A stereo WAV of replay or the stack: a path, or s3://BUCKET/KEY."
    )
    options.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="The folder of the two files. (default: beside the WAV; of one in S3, here)",
    )
    add_speech_options(options, required=True)
    options.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=number(int, 1, 3600),
        default=_REQUEST_S,
        help=f"The longest wait for one answer. (default: {_REQUEST_S})",
    )
    add_force_option(options)
    add_report_options(options)
    return options


def run(
    wav: Location, server: SpeechServer, *, folder: Path | None, request_s: float, force: bool, report: Report
) -> int:
    """Write the words of a recording.

    Returns:
        The exit code.

    Raises:
        CommandError: the recording cannot be read, a file is there already, or the words could not be had.
    """
    from connect_audio_cli.output.progress import progress_of  # noqa: PLC0415 - see `main`
    from connect_audio_cli.recordings.wav_file import open_wav  # noqa: PLC0415
    from connect_audio_cli.transcription.speech_server import recognizer_of  # noqa: PLC0415
    from connect_audio_cli.transcription.transcription import make_words  # noqa: PLC0415

    targets = [_target(wav, folder, ending) for ending in (".transcript.json", ".vtt")]
    if not wav.is_s3:
        refuse_inputs(targets, [Path(wav.text), Path(wav.beside(".json").text)])
    refuse_existing(targets, force=force)
    with (
        open_wav(wav) as opened,
        closing(
            recognizer_of(server, request_s=request_s, tries=_TRIES, backlog_s=_BACKLOG_S, patience_s=None)
        ) as recognizer,
        progress_of(opened.chunks, what="Transcribing", total=opened.size, shown=report.shows_progress) as chunks,
    ):
        words = make_words(opened.with_chunks(chunks), recognizer)
        document = _transcript(opened, words, server, recognizer.engine)
    _write(targets, document, words, opened.rate)
    report.values(_summary(targets, words, opened))
    report.document(_report(targets, document, server))
    return ExitCode.NOT_WHOLE if words.missing else ExitCode.WHOLE


def _target(wav: Location, folder: Path | None, ending: str) -> Path:
    path = Path(wav.beside(ending).text)
    if folder is not None:
        return folder / path.name
    return Path(path.name) if wav.is_s3 else path


def _transcript(wav: OpenWav, words: Words, server: SpeechServer, engine: str) -> dict[str, Any]:
    from connect_audio.core.transcript_document import TranscriptFacts, transcript_document  # noqa: PLC0415

    contact_id = (wav.manifest or {}).get("contactId")
    return transcript_document(
        TranscriptFacts(
            turns=words.turns,
            missing=words.missing,
            rate=wav.rate,
            frames=wav.frames,
            contact_id=contact_id if isinstance(contact_id, str) else None,
            engine=engine,
            language=server.language,
            source="recording",
        )
    )


def _write(targets: Sequence[Path], document: dict[str, Any], words: Words, rate: int) -> None:
    """Write both files, and give them their names once both are whole."""
    from connect_audio.core.webvtt import webvtt  # noqa: PLC0415 - see `main`
    from connect_audio_cli.output.atomic_file import AtomicFile  # noqa: PLC0415

    texts = (json.dumps(document, indent=1, ensure_ascii=False) + "\n", webvtt(words.turns, rate))
    with ExitStack() as cleanup:
        files = [cleanup.enter_context(AtomicFile(target)) for target in targets]
        for file, text in zip(files, texts, strict=True):
            file.write(text.encode())
            file.seal()
        for file in files:
            file.publish()


def _summary(targets: Sequence[Path], words: Words, wav: OpenWav) -> Iterator[tuple[str, str]]:
    yield "Transcript", str(targets[0])
    yield "Subtitles", str(targets[1])
    yield "Call", duration(wav.frames / wav.rate)
    for party in ("customer", "agent"):
        turns = [turn for turn in words.turns if turn.party == party]
        count = sum(len(turn.text.split()) for turn in turns)
        yield party.capitalize(), f"{_counted(count, 'word')} in {_counted(len(turns), 'turn')}"
    for span in words.missing:
        yield "Missing", f"{span.party}, {span.start / wav.rate:.1f} to {span.end / wav.rate:.1f} s"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _report(targets: Sequence[Path], document: dict[str, Any], server: SpeechServer) -> dict[str, Any]:
    return {
        "transcript": str(targets[0]),
        "vtt": str(targets[1]),
        "engine": document["engine"],
        "model": server.model,
        "durationSeconds": document["durationSeconds"],
        "turns": len(document["turns"]),
        "words": sum(len(turn["text"].split()) for turn in document["turns"]),
        "missing": document["missing"],
    }
