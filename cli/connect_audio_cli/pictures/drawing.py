"""A picture of a call: one pass over its samples, the layout, and the drawing in the wanted format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from connect_audio_cli.output.extras import needs
from connect_audio_cli.pictures.layout import LANE_COLUMNS, SPECTRUM_HEIGHT, PictureFormat, Subject, lay_out
from connect_audio_cli.pictures.svg import svg
from connect_audio_cli.pictures.waveform import extremes


def draw(
    subject: Subject,
    chunks: Iterable[bytes],
    target: BinaryIO,
    *,
    picture_format: PictureFormat,
    spectrogram: bool = False,
) -> None:
    """Draw a call.

    Args:
        subject: the call.
        chunks: all its stereo frames.
        target: an open binary file.
        picture_format: the format.
        spectrogram: True for a spectrogram, which is a PNG, in place of the waveform.

    Raises:
        OSError: the file cannot be written.
        CommandError: a package of the extra `formats` is not installed.
    """
    if spectrogram:
        with needs("a spectrogram", extra="formats"):
            from connect_audio_cli.pictures.png import write_png  # noqa: PLC0415 - Pillow is in an extra
            from connect_audio_cli.pictures.spectrogram import spectrograms  # noqa: PLC0415 - so is numpy

        pixels = spectrograms(
            chunks, rate=subject.rate, frames=subject.frames, columns=LANE_COLUMNS, lanes=subject.lanes
        )
        write_png(lay_out(subject, lane_height=SPECTRUM_HEIGHT), target, lanes=pixels)
        return
    picture = lay_out(subject, extremes(chunks, frames=subject.frames, columns=LANE_COLUMNS, lanes=subject.lanes))
    if picture_format is PictureFormat.SVG:
        target.write(svg(picture))
        return
    with needs("png", extra="formats"):
        from connect_audio_cli.pictures.png import write_png  # noqa: PLC0415 - Pillow is in an extra

    write_png(picture, target)
