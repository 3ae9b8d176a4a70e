"""A recording's WAV read in pieces, from a file or out of S3, so that memory does not grow with the call."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Final, cast

from connect_audio.core.pcm import FRAME_BYTES, PARTIES, SAMPLE_BYTES
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.recordings.location import Location
from connect_audio_cli.recordings.manifest_file import manifest_beside, refuse_foreign

_PIECE_FRAMES: Final = 64 * 1024
"""Frames of a piece: 256 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWav:
    """An open recording.

    Args:
        name: its name in messages.
        rate: samples a second.
        frames: its length.
        manifest: the manifest beside it; None where there is none.
        chunks: all frames, customer and agent interleaved as 16-bit samples; can be read once.
    """

    name: str
    rate: int
    frames: int
    manifest: dict[str, Any] | None
    chunks: Iterator[bytes]

    @property
    def size(self) -> int:
        """Bytes of all frames."""
        return self.frames * FRAME_BYTES

    def with_chunks(self, chunks: Iterator[bytes]) -> OpenWav:
        """Return the same recording, read through another iterator of its chunks."""
        return replace(self, chunks=chunks)


@contextmanager
def open_wav(location: Location, manifest: dict[str, Any] | None = None) -> Iterator[OpenWav]:
    """Open a stereo WAV of 16-bit samples.

    Args:
        location: the WAV.
        manifest: its manifest; None for the one beside it, if there is one.

    Raises:
        CommandError: it cannot be read, is no such WAV, or ends before its header says. The chunks raise it, too.
    """
    with location.open() as file:
        try:
            reader = wave.open(cast("IO[bytes]", file), "rb")  # noqa: SIM115 - it holds nothing of its own
        except (wave.Error, EOFError) as error:
            raise CommandError(
                f"{location.name}: is no WAV of a recording: {printable(str(error) or 'it is too short')}"
                " (replay makes one of a capture)"
            ) from error
        shape = (reader.getnchannels(), reader.getsampwidth())
        if shape != (len(PARTIES), SAMPLE_BYTES) or not reader.getframerate() or not reader.getnframes():
            raise CommandError(
                f"{location.name}: has {shape[0]} x {8 * shape[1]} bit and {reader.getnframes()} frames: "
                "a recording has 2 x 16 bit, customer left and agent right"
            )
        manifest = manifest or manifest_beside(location)
        refuse_foreign(location, manifest, frames=reader.getnframes(), rate=reader.getframerate())
        yield OpenWav(
            name=location.name,
            rate=reader.getframerate(),
            frames=reader.getnframes(),
            manifest=manifest,
            chunks=_chunks(reader, location.name),
        )


def _chunks(reader: wave.Wave_read, name: str) -> Iterator[bytes]:
    remaining = reader.getnframes()
    while remaining:
        data = reader.readframes(min(remaining, _PIECE_FRAMES))
        frames = len(data) // FRAME_BYTES
        if not frames:
            whole = reader.getnframes()
            raise CommandError(f"{name}: ends after {whole - remaining} of its {whole} frames: fetch it again")
        remaining -= frames
        yield data[: frames * FRAME_BYTES]
