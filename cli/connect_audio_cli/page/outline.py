"""The outline of a WAV: the peak of every few milliseconds to draw, and the level of every 20 ms to find speech in.

audioop reads them off in one pass, a minute of audio at a time: half a second of processor for an hour's call.
"""

from __future__ import annotations

import io
import wave
from array import array
from dataclasses import dataclass
from typing import IO, Any, Final, override

import audioop

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.recordings.location import ByteReader

SAMPLE_BYTES: Final = 2
WINDOWS_PER_SECOND: Final = 50
"""Levels a second of a channel: speech begins and ends to 20 ms."""
_READ_WINDOWS: Final = 3000
"""Windows of one read: a minute of audio, 1 MB at 8 kHz. More costs memory and saves nothing."""
_MOST_BUCKETS: Final = 400_000
"""Peaks of a channel: more than an hour of 10 ms. A longer call has longer buckets, so its page stays small."""
_MOST_CHANNELS: Final = 2
_BUFFER_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Outline:
    """A call's audio as the page draws it.

    Args:
        rate: frames a second.
        frames: length.
        bucket_frames: frames of one peak.
        peaks: for each channel a byte a bucket: 255 is full scale.
        levels: for each channel an RMS level a window of 20 ms, 0 to 32768.
    """

    rate: int
    frames: int
    bucket_frames: int
    peaks: tuple[bytes, ...]
    levels: tuple[array[int], ...]

    @property
    def seconds(self) -> float:
        """Length of the call."""
        return self.frames / self.rate

    @property
    def channels(self) -> int:
        """Number of channels: 2 of a recording, 1 of a mixed one."""
        return len(self.peaks)


def outline_of(file: IO[bytes], name: str) -> Outline:
    """Read the outline of a WAV.

    Args:
        file: the WAV; it need not be seekable.
        name: name of the file, for messages.

    Raises:
        CommandError: it is no WAV of 16 bits with one or two channels, or it has no audio.
    """
    try:
        with wave.open(file) as wav:
            return _read(wav, name)
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends within its header"
        raise CommandError(f"{name} is no WAV that can be shown: {reason}") from error


def _read(wav: wave.Wave_read, name: str) -> Outline:
    channels, rate = wav.getnchannels(), wav.getframerate()
    if wav.getsampwidth() != SAMPLE_BYTES or channels > _MOST_CHANNELS:
        bits = 8 * wav.getsampwidth()
        raise CommandError(f"{name} has {channels} channels of {bits} bits; the page shows 1 or 2 channels of 16 bits")
    window = 2 * max(1, rate // (2 * WINDOWS_PER_SECOND))
    bucket = window // 2
    while wav.getnframes() / bucket > _MOST_BUCKETS:
        bucket *= 2
    # Whole buckets and whole windows: both divide it, being powers of two of one another.
    read_frames = max(bucket, window) * _READ_WINDOWS
    peaks = [bytearray() for _ in range(channels)]
    levels = [array("H") for _ in range(channels)]
    frames = 0
    while data := wav.readframes(read_frames):
        data = data[: len(data) - len(data) % (SAMPLE_BYTES * channels)]
        frames += len(data) // (SAMPLE_BYTES * channels)
        for channel in range(channels):
            mono = memoryview(_mono(data, channel, channels))
            step = SAMPLE_BYTES * bucket
            peaks[channel].extend(
                min(255, audioop.max(mono[at : at + step], SAMPLE_BYTES) >> 7) for at in range(0, len(mono), step)
            )
            step = SAMPLE_BYTES * window
            levels[channel].extend(audioop.rms(mono[at : at + step], SAMPLE_BYTES) for at in range(0, len(mono), step))
    if not frames:
        raise CommandError(f"{name} has no audio")
    return Outline(rate, frames, bucket, tuple(bytes(each) for each in peaks), tuple(levels))


def _mono(data: bytes, channel: int, channels: int) -> bytes:
    return data if channels == 1 else audioop.tomono(data, SAMPLE_BYTES, 1 - channel, channel)


def whole_reads(reader: ByteReader) -> IO[bytes]:
    """Read a file or the body of an object in full pieces: a body may give less than was asked for."""
    return io.BufferedReader(_Raw(reader), _BUFFER_BYTES)


class _Raw(io.RawIOBase):
    """A reader under a buffer."""

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader

    @override
    def readable(self) -> bool:
        """Return True."""
        return True

    @override
    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return the number of bytes."""
        data = self._reader.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
