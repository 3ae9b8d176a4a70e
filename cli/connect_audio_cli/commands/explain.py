"""`connect-audio explain`: what happened to a call, out of its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from connect_audio_cli.output.arguments import Parser
from connect_audio_cli.output.command_error import CommandError, ExitCode
from connect_audio_cli.output.reporting import Form, Report, add_report_options

if TYPE_CHECKING:
    from connect_audio_cli.pictures.waveform import Extremes
    from connect_audio_cli.recordings.location import Location


def main(arguments: Sequence[str]) -> int:
    """Read the options and explain a recording.

    Raises:
        CommandError: as `run`, or options that cannot be used.
    """
    given = parser().read(arguments)
    run(given.recording, Report.of(given))
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "explain",
        "RECORDING",
        "Say what happened to a call: whether it is whole and what proves it, its gaps by cause, and what to do.\n\n"
        "With a picture of its timeline. If the WAV lies beside the manifest, the picture shows who speaks when.",
        examples=(
            ("connect-audio explain call.json", "The manifest's story, with a picture."),
            ("connect-audio explain s3://BUCKET/recordings/2026/07/01/call.wav", "The same of a recording in S3."),
            ("connect-audio explain call.wav --json", "Gaps with causes and reasons with remedies, for scripts."),
        ),
        exit_codes={
            ExitCode.WHOLE: "the recording is whole",
            ExitCode.NOT_WHOLE: "the recording is partial or empty; all is shown",
        },
    )
    options.add_argument(
        "recording",
        metavar="RECORDING",
        help="A manifest (.json) or its WAV: a path, or s3://BUCKET/KEY with your own credentials.",
    )
    add_report_options(options)
    return options


def run(argument: str, report: Report) -> None:
    """Explain a recording.

    Raises:
        CommandError: there is no manifest to read, or the recording is not whole.
    """
    # Imported here, so that help and slips of the fingers cost no more than they use.
    from connect_audio.core.recording_facts import Status  # noqa: PLC0415
    from connect_audio_cli.explanation.explanation import document, facts, verdict  # noqa: PLC0415
    from connect_audio_cli.explanation.timeline import timeline  # noqa: PLC0415
    from connect_audio_cli.output.terminal import width  # noqa: PLC0415
    from connect_audio_cli.recordings.gaps import gaps_of  # noqa: PLC0415
    from connect_audio_cli.recordings.location import Location  # noqa: PLC0415
    from connect_audio_cli.recordings.manifest_file import read_manifest  # noqa: PLC0415

    location = Location(argument)
    manifest_location = location.beside(".json") if location.suffix == ".wav" else location
    manifest = read_manifest(manifest_location)
    gaps = gaps_of(manifest)
    if report.form is Form.TEXT and manifest["recording"] is not None:
        columns = min(width(), 120)
        levels, unread = _levels(manifest_location, manifest, columns)
        for line in timeline(manifest, gaps, columns=columns, levels=levels):
            report.line(line)
        if unread:
            report.line(f"The picture shows no levels. {unread}")
        report.line()
    report.values(facts(manifest, gaps))
    report.document(document(manifest, gaps))
    if manifest["status"] != Status.COMPLETE:
        raise CommandError(f"{manifest_location.name}: {verdict(manifest)}", ExitCode.NOT_WHOLE)


def _levels(
    manifest_location: Location, manifest: dict[str, Any], columns: int
) -> tuple[list[list[Extremes]] | None, str]:
    """Read how loud each cell of the picture is, from the WAV beside the manifest.

    Returns:
        The levels, None where the WAV is not at hand; and why a WAV that is there cannot be used, else nothing.
    """
    from connect_audio_cli.explanation.timeline import cells_of  # noqa: PLC0415 - see `run`
    from connect_audio_cli.pictures.waveform import extremes  # noqa: PLC0415 - see `run`
    from connect_audio_cli.recordings.encoding import Channels  # noqa: PLC0415 - see `run`
    from connect_audio_cli.recordings.location import NotThereError  # noqa: PLC0415 - see `run`
    from connect_audio_cli.recordings.wav_file import open_wav  # noqa: PLC0415 - see `run`

    if manifest_location.is_s3:
        # A recording of an hour has 115 MB.
        return None, ""
    try:
        with open_wav(manifest_location.beside(".wav"), manifest) as wav:
            levels = extremes(
                wav.chunks,
                frames=wav.frames,
                columns=cells_of(columns, wav.frames),
                lanes=(Channels.CUSTOMER, Channels.AGENT),
            )
    except NotThereError:
        # The manifest alone is enough for every line; the picture then shows audio and gaps.
        return None, ""
    except CommandError as error:
        return None, str(error)
    return levels, ""
