"""`connect-audio convert`: a recording in another form, for other programs and for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.arguments import STANDARD_OUTPUT, Parser, add_form_options
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.existing import add_force_option, refuse_existing
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.output.reporting import Report, add_report_options

if TYPE_CHECKING:
    from connect_audio_cli.recordings.conversion import Conversion

_TRANSCRIPT: Final = ".transcript.json"


def main(arguments: Sequence[str]) -> int:
    """Read the options and convert.

    Raises:
        CommandError: as `run`, or options that cannot be used.
    """
    given = parser().read(arguments)
    if given.recording.endswith(_TRANSCRIPT) or given.output.endswith(_TRANSCRIPT):
        from connect_audio_cli.transcription.transcript_conversion import convert_transcript  # noqa: PLC0415 - see `run`

        convert_transcript(given.recording, given.output, given.format, force=given.force, report=Report.of(given))
        return ExitCode.WHOLE
    run(
        given.recording,
        given.output,
        named_format=given.format,
        channels=given.channels,
        spectrogram=given.spectrogram,
        force=given.force,
        report=Report.of(given),
    )
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "convert",
        "CALL.wav OUTPUT",
        "Write a recording in another form: FLAC, Opus, MP3 or WAV of the wanted channels, or a picture.\n\n"
        "The ending of OUTPUT names the form: .wav .flac .opus .ogg .mp3 .svg .png. Pictures show a lane a party, the "
        "gaps that the manifest beside the WAV lists, and the time. WAV and SVG need no package; the other forms need "
        "the extra formats.\n\n"
        "CALL.transcript.json in place of the WAV becomes captions (.vtt), Contact Lens' call file or WhisperX's JSON. "
        "The result of an Amazon Transcribe job, or WhisperX's JSON, becomes CALL.transcript.json.",
        examples=(
            ("connect-audio convert call.wav call.flac", "The same samples in less than half the size."),
            ("connect-audio convert call.wav agent.mp3 --channels agent", "The agent alone."),
            ("connect-audio convert call.wav - --format wav --channels mixed", "Both in one channel, to a pipe."),
            ("connect-audio convert call.wav call.png --spectrogram", "A picture of the spectrum over time."),
            (
                "connect-audio convert call.transcript.json lens.json --format contact-lens",
                "The words as Contact Lens' call file; verbose-json is WhisperX's form.",
            ),
            ("connect-audio convert job.json call.transcript.json", "The result of a Transcribe job as a transcript."),
        ),
    )
    options.add_argument(
        "recording", metavar="CALL.wav", help="A stereo WAV of replay or the stack: a path, or s3://BUCKET/KEY."
    )
    options.add_argument("output", metavar="OUTPUT", help="The file to write, or - for standard output.")
    add_form_options(options)
    options.add_argument("--format", metavar="FORMAT", help="The form, where the name of OUTPUT does not say it.")
    add_force_option(options)
    add_report_options(options)
    return options


def run(
    recording: str,
    output: str,
    *,
    named_format: str | None,
    channels: str,
    spectrogram: bool,
    force: bool,
    report: Report,
) -> None:
    """Convert a recording.

    Raises:
        CommandError: the recording cannot be read, there is no such form, or the file cannot be written.
    """
    # Imported here, so that help and slips of the fingers cost no more than they use.
    from connect_audio_cli.output.formatting import data_size, duration  # noqa: PLC0415
    from connect_audio_cli.output.progress import progress_of  # noqa: PLC0415
    from connect_audio_cli.recordings.conversion import check, convert  # noqa: PLC0415
    from connect_audio_cli.recordings.location import Location  # noqa: PLC0415
    from connect_audio_cli.recordings.wav_file import open_wav  # noqa: PLC0415

    target = None if output == STANDARD_OUTPUT else Path(output)
    if target is not None:
        refuse_inputs([target], Location(recording).files())
    conversion = _conversion(output, named_format, channels, spectrogram=spectrogram)
    check(conversion)
    if target is not None:
        refuse_existing([target], force=force)
    with (
        open_wav(Location(recording)) as wav,
        progress_of(wav.chunks, what="Converting", total=wav.size, shown=report.shows_progress) as chunks,
    ):
        size = convert(wav.with_chunks(chunks), conversion, target)
    if target is None or size is None:
        return
    seconds = wav.frames / wav.rate
    report.line(f"{target}: {conversion.format.value}, {channels}, {duration(seconds)}, {data_size(size)}")
    report.document(
        {
            "output": str(target),
            "format": conversion.format.value,
            "channels": channels,
            "durationSeconds": seconds,
            "sizeBytes": size,
        }
    )


def _conversion(output: str, named_format: str | None, channels: str, *, spectrogram: bool) -> Conversion:
    """Return the form that the name of the output or the options ask for.

    Raises:
        CommandError: neither names a form, or each names another.
    """
    from connect_audio_cli.recordings.conversion import FORMATS, Conversion, format_named  # noqa: PLC0415 - see `run`
    from connect_audio_cli.recordings.encoding import Channels  # noqa: PLC0415 - see `run`

    ending = "" if output == STANDARD_OUTPUT else PurePath(output).suffix
    name = named_format or ending
    if not name:
        raise CommandError("the form is not known: give --format, or an OUTPUT that ends in .flac, .png and so on")
    form = format_named(name)
    by_ending = FORMATS.get(ending.lower().removeprefix("."), form)
    if by_ending is not form:
        # A player goes by the ending, and would find another form in the file.
        raise CommandError(
            f"--format {form.value} does not fit {printable(output)}: "
            f"drop --format, or let the name end in .{form.value}"
        )
    return Conversion(form, Channels(channels), spectrogram=spectrogram)
