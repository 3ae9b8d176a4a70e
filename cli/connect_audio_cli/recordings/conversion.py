"""One recording in another form, audio or picture, into a file or to standard output."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.pictures.layout import PictureFormat, Subject, lanes_of
from connect_audio_cli.recordings.encoding import AudioFormat, Channels, check_format, encode
from connect_audio_cli.recordings.wav_file import OpenWav

type Format = AudioFormat | PictureFormat

FORMATS: Final[dict[str, Format]] = {each.value: each for each in (*AudioFormat, *PictureFormat)} | {
    "ogg": AudioFormat.OPUS
}
"""Each format by the ending of its files."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A form of a recording.

    Args:
        format: the format.
        channels: the channels of the audio, or the lanes of the picture.
        spectrogram: True for a spectrogram in place of the waveform; for PNG alone.
    """

    format: Format
    channels: Channels = Channels.BOTH
    spectrogram: bool = False

    @property
    def ending(self) -> str:
        """The end of such a file's name, behind the recording's own name: `.customer.flac`."""
        parts = ["" if self.channels is Channels.BOTH else self.channels.value]
        parts.append("spectrogram" if self.spectrogram else "")
        return "".join(f".{part}" for part in (*parts, self.format.value) if part)


def format_named(name: str) -> Format:
    """Return the format of a name or of a file's ending.

    Raises:
        CommandError: there is no such format.
    """
    found = FORMATS.get(name.lower().removeprefix("."))
    if found is None:
        raise CommandError(f"'{printable(name, 60)}' is no format: {', '.join(FORMATS)} are known")
    return found


def check(conversion: Conversion, rate: int | None = None) -> None:
    """Refuse what cannot be made, before anything is opened or written.

    Args:
        conversion: the form.
        rate: samples a second; None where it is not known yet.

    Raises:
        CommandError: a package is not installed, or the form does not exist.
    """
    if conversion.spectrogram and conversion.format is not PictureFormat.PNG:
        raise CommandError(f"a spectrogram is a png, not {conversion.format.value}")
    if isinstance(conversion.format, AudioFormat):
        check_format(conversion.format, rate)
    elif conversion.format is PictureFormat.PNG:
        with needs("png", extra="formats"):
            import PIL  # noqa: F401, PLC0415 - checked before the work
        if conversion.spectrogram:
            with needs("a spectrogram", extra="formats"):
                import numpy as np  # noqa: F401, PLC0415 - as above


def convert(wav: OpenWav, conversion: Conversion, target: Path | None) -> int | None:
    """Write a recording in another form.

    Args:
        wav: the open recording; its chunks are used up.
        conversion: the form.
        target: the file, which gets its name once it is whole; None for standard output.

    Returns:
        Bytes of the file; None for standard output.

    Raises:
        CommandError: the recording cannot be read, the form does not exist at its rate, or the file cannot be written.
    """
    check(conversion, wav.rate)
    write = _writer(wav, conversion)
    if target is None:
        _to_standard_output(write, streams=conversion.format in (AudioFormat.WAV, PictureFormat.SVG))
        return None
    with AtomicFile(target) as file:
        with _named_failures(str(target)):
            write(file.raw)
            size = file.raw.seek(0, 2)
        file.seal()
        file.publish()
    return size


def _writer(wav: OpenWav, conversion: Conversion) -> Callable[[BinaryIO], None]:
    audio_format = conversion.format
    if isinstance(audio_format, AudioFormat):

        def write(target: BinaryIO) -> None:
            encode(
                wav.chunks,
                target,
                audio_format=audio_format,
                rate=wav.rate,
                frames=wav.frames,
                channels=conversion.channels,
            )

        return write
    # Imported here: audio needs none of it.
    from connect_audio_cli.pictures.drawing import draw  # noqa: PLC0415

    subject = Subject(
        name=wav.name,
        rate=wav.rate,
        frames=wav.frames,
        manifest=wav.manifest,
        lanes=lanes_of(conversion.channels),
    )
    return lambda target: draw(
        subject, wav.chunks, target, picture_format=audio_format, spectrogram=conversion.spectrogram
    )


def _to_standard_output(write: Callable[[BinaryIO], None], *, streams: bool) -> None:
    """Write to standard output; by way of a file where the encoder goes back to its beginning."""
    output = sys.stdout.buffer
    if output.isatty():
        raise CommandError("standard output is a terminal: redirect it, or name a file")
    with _named_failures("standard output"):
        if streams:
            write(output)
        else:
            with tempfile.TemporaryFile() as file:
                write(file)
                file.seek(0)
                shutil.copyfileobj(file, output)
        output.flush()


@contextmanager
def _named_failures(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{printable(name)}: cannot be written: {describe(error)}") from error
