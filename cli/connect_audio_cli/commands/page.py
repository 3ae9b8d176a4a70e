"""`connect-audio page`: its options, one call, and what a user reads after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from connect_audio_cli.output.arguments import Parser, flag
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.existing import add_force_option
from connect_audio_cli.output.formatting import data_size, duration
from connect_audio_cli.output.reporting import Report, add_report_options

if TYPE_CHECKING:
    from connect_audio_cli.page.page import Made
    from connect_audio_cli.recordings.location import Location


def main(arguments: Sequence[str]) -> int:
    """Read the options and make the page.

    Raises:
        CommandError: options that cannot be used, no page was made, or no browser was found for it.
    """
    given = parser().read(arguments)
    # Imported here, so that help and slips of the fingers cost no more than they use.
    from connect_audio_cli.page.page import AudioChoice, make_page  # noqa: PLC0415
    from connect_audio_cli.recordings.location import Location  # noqa: PLC0415

    wav = Location(given.wav)
    output = given.output or _default_output(wav)
    made = make_page(
        wav,
        output,
        audio=AudioChoice(given.audio),
        transcript=Location(given.transcript) if given.transcript else None,
        force=given.force,
    )
    report = Report.of(given)
    report.values(_summary(made))
    report.document(_document(made))
    if given.open:
        show_in_browser(made.path)
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "page",
        "CALL.wav",
        "Make one HTML file on which a call is seen and listened to, from the disk and without a network.\n\n"
        "It shows both parties' waveforms, the gaps with their causes, who speaks how long, and the words if a "
        "transcript lies beside the WAV. The file holds the call: keep it as you keep the recording.",
        examples=(
            ("connect-audio page call.wav --open", "Makes call.html and opens it in the browser."),
            (
                "connect-audio page call.wav -o out/call.html --audio beside",
                "A small page that plays the WAV from there.",
            ),
        ),
        exit_codes={
            ExitCode.WHOLE: "the page is made, of a whole recording or not",
            ExitCode.NOT_WHOLE: "the page is made, but no browser was found to open it",
        },
    )
    options.add_argument(
        "wav",
        metavar="CALL.wav",
        help="A recording, a file or s3://BUCKET/KEY. Manifest and transcript are taken from beside it.",
    )
    options.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="The page. (default: CALL.html beside the WAV; of one in S3, here)",
    )
    options.add_argument(
        "--audio",
        metavar="HOW",
        choices=("embed", "wav", "flac", "beside"),
        default="embed",
        help="embed puts it into the page, as FLAC if soundfile is installed, else as WAV. wav and flac say which. "
        "With beside the WAV stays where it is, and no party can be muted. (default: embed)",
    )
    options.add_argument("--transcript", metavar="FILE", help="Words from this .transcript.json or .vtt.")
    flag(options, "--open", "Open the page in the browser.")
    add_force_option(options)
    add_report_options(options)
    return options


def _default_output(wav: Location) -> Path:
    path = Path(wav.text)
    return Path(path.stem + ".html") if wav.is_s3 else path.with_suffix(".html")


def show_in_browser(path: Path) -> None:
    """Open a page in the user's browser.

    Raises:
        CommandError: there is none.
    """
    import webbrowser  # noqa: PLC0415 - only `--open` needs it

    if not webbrowser.open(path.absolute().as_uri()):
        raise CommandError(f"{printable(str(path))} is made, but no browser was found to open it", ExitCode.NOT_WHOLE)


def _summary(made: Made) -> Iterator[tuple[str, str]]:
    facts = made.facts
    audio = facts["audio"]
    yield "Page", str(made.path)
    yield "Size", f"{data_size(made.size)}, audio {audio['kind']} as {audio['format']}"
    yield "Call", f"{duration(facts['duration'])}, {facts['statusText'].lower()}"
    yield "Gaps", facts["gapSummary"]
    yield "Words", f"from {made.transcript.name}" if made.transcript else "no transcript beside the WAV"


def _document(made: Made) -> dict[str, object]:
    facts = made.facts
    return {
        "page": str(made.path),
        "sizeBytes": made.size,
        "audio": facts["audio"]["kind"],
        "audioFormat": facts["audio"]["format"],
        "durationSeconds": facts["duration"],
        "status": facts["status"],
        "gaps": len(facts["gaps"]),
        "transcript": made.transcript.text if made.transcript else None,
        "figures": facts["figures"],
    }
