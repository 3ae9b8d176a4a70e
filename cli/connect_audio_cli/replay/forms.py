"""The further forms of a replayed call: FLAC, Opus, MP3, pictures, single channels, and standard output.

They are made from the finished WAV, so a replay without them costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.output.existing import refuse_existing
from connect_audio_cli.pictures.layout import PictureFormat
from connect_audio_cli.recordings.conversion import Conversion, check, convert, format_named
from connect_audio_cli.recordings.encoding import AudioFormat, Channels
from connect_audio_cli.recordings.location import Location
from connect_audio_cli.recordings.wav_file import open_wav


def forms_of(
    formats: Sequence[str], channels: str, *, spectrogram: bool, to_standard_output: bool
) -> tuple[Conversion, ...]:
    """Return the forms that the options ask for.

    Args:
        formats: the values of `--format`.
        channels: the value of `--channels`.
        spectrogram: True with `--spectrogram`.
        to_standard_output: True with `--output -`, which takes one form, by default WAV.

    Raises:
        CommandError: there is no such form, a package for it is not installed, or standard output would get two.
    """
    chosen = Channels(channels)
    named = [format_named(name) for name in formats]
    if to_standard_output and len(named) > 1:
        raise CommandError("standard output takes one --format")
    if not named and (to_standard_output or chosen is not Channels.BOTH):
        named = [AudioFormat.WAV]
    if not to_standard_output and chosen is Channels.BOTH and AudioFormat.WAV in named:
        raise CommandError("--format wav is the recording itself: --channels says which channels another WAV gets")
    forms = tuple(Conversion(each, chosen, spectrogram=spectrogram and each is PictureFormat.PNG) for each in named)
    if spectrogram and not any(form.spectrogram for form in forms):
        raise CommandError("--spectrogram belongs to --format png")
    for form in forms:
        check(form)
    return forms


def write_forms(wav: Path, forms: Sequence[Conversion], *, force: bool = False) -> Iterator[Path]:
    """Write the forms beside the WAV and yield each path.

    Args:
        wav: the finished WAV.
        forms: the forms.
        force: True to replace files that are there.

    Raises:
        CommandError: a file is there, or cannot be written.
    """
    targets = [wav.with_name(wav.stem + form.ending) for form in forms]
    refuse_existing(targets, force=force)
    for form, target in zip(forms, targets, strict=True):
        with open_wav(Location(str(wav))) as opened:
            convert(opened, form, target)
        yield target


def write_to_standard_output(wav: Path, form: Conversion) -> None:
    """Write one form to standard output.

    Raises:
        CommandError: it cannot be written, or standard output is a terminal.
    """
    with open_wav(Location(str(wav))) as opened:
        convert(opened, form, None)
