"""The outline of a WAV: peaks to draw, levels of 20 ms to find stretches of speech in, and the active windows.

One pass reads them off, a minute of audio at a time: by numpy if it is installed, else by audioop. Both give the same
numbers. A window is active by the rule of the manifest, so `replay` and `explain` give the page's figures.
"""

from __future__ import annotations

import io
import wave
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any, Final, Protocol, override

import audioop

from connect_audio.core.levels import ACTIVE_RMS, WINDOWS_A_SECOND
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
        active: for each channel a byte a window of 200 ms, 1 if it is active, else 0.
    """

    rate: int
    frames: int
    bucket_frames: int
    peaks: tuple[bytes, ...]
    levels: tuple[array[int], ...]
    active: tuple[bytes, ...]

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
        CommandError: it is no WAV of 16 bits with one or two channels, has no audio, or ends before its header says.
    """
    try:
        with wave.open(file) as wav:
            return _read(wav, name)
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends within its header"
        raise CommandError(f"{name}: is no WAV of a recording: {reason} (replay makes one of a capture)") from error


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
    windows = [_ActiveWindows(rate) for _ in range(channels)]
    measures = _measures()
    frames = 0
    while data := wav.readframes(read_frames):
        data = data[: len(data) - len(data) % (SAMPLE_BYTES * channels)]
        frames += len(data) // (SAMPLE_BYTES * channels)
        for channel in range(channels):
            mono = data if channels == 1 else measures.channel(data, channel)
            peaks[channel] += measures.peaks(mono, bucket)
            levels[channel].extend(measures.levels(mono, window))
            windows[channel].add(mono)
    if not frames:
        raise CommandError(f"{name} has no audio")
    if frames < wav.getnframes():
        # A page of the rest would call the recording whole.
        raise CommandError(f"{name}: ends after {frames} of its {wav.getnframes()} frames: fetch it again")
    return Outline(
        rate=rate,
        frames=frames,
        bucket_frames=bucket,
        peaks=tuple(bytes(each) for each in peaks),
        levels=tuple(levels),
        active=tuple(each.closed() for each in windows),
    )


class _ActiveWindows:
    """Which windows of a channel are active, as `core/levels.py` has it; the last one may be shorter."""

    def __init__(self, rate: int) -> None:
        self._size: Final = rate // WINDOWS_A_SECOND * SAMPLE_BYTES
        self._flags = bytearray()
        self._open = b""

    def add(self, mono: bytes) -> None:
        """Take the next samples, cut anywhere."""
        samples = self._open + mono
        end = len(samples) - len(samples) % self._size
        self._flags.extend(self._active(memoryview(samples)[:end]))
        self._open = samples[end:]

    def closed(self) -> bytes:
        """Return a byte a window, after the last sample."""
        return bytes(self._flags) + bytes(self._active(memoryview(self._open)))

    def _active(self, samples: memoryview) -> Iterator[int]:
        pieces = (samples[at : at + self._size] for at in range(0, len(samples), self._size))
        return (audioop.rms(piece, SAMPLE_BYTES) >= ACTIVE_RMS for piece in pieces)


class Measures(Protocol):
    """Measures mono audio, piece by piece; the last piece may be shorter."""

    def channel(self, stereo: bytes, number: int) -> bytes:
        """Return one channel, 0 or 1."""
        ...

    def peaks(self, mono: bytes, frames: int) -> bytes:
        """Return the peak of each piece, 255 for full scale."""
        ...

    def levels(self, mono: bytes, frames: int) -> Iterable[int]:
        """Return the RMS level of each piece, rounded down."""
        ...


class ByAudioop:
    """The measures of audioop, which every installation has."""

    def channel(self, stereo: bytes, number: int) -> bytes:
        """Return one channel."""
        # A slice of an array is several times as fast as audioop.tomono, which computes with floats.
        return array("h", stereo)[number::2].tobytes()

    def peaks(self, mono: bytes, frames: int) -> bytes:
        """Return the peak of each piece."""
        return bytes(min(255, audioop.max(piece, SAMPLE_BYTES) >> 7) for piece in _pieces(mono, frames))

    def levels(self, mono: bytes, frames: int) -> Iterable[int]:
        """Return the RMS level of each piece."""
        return (audioop.rms(piece, SAMPLE_BYTES) for piece in _pieces(mono, frames))


class ByNumpy:
    """The same by numpy, if it is installed: all pieces at once."""

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - a plain installation does without it

        self._np = np

    def channel(self, stereo: bytes, number: int) -> bytes:
        """Return one channel."""
        samples: bytes = self._np.frombuffer(stereo, "<i2")[number::2].tobytes()
        return samples

    def peaks(self, mono: bytes, frames: int) -> bytes:
        """Return the peak of each piece."""
        # The absolute of -32768 is 32768 without a sign. A maximum over columns is several times as fast as over rows.
        absolute = self._np.abs(self._rows(mono, frames)).view("u2")
        highest = self._np.ascontiguousarray(absolute.T).max(axis=0)
        peaks: bytes = self._np.minimum(highest >> 7, 255).astype("u1").tobytes()
        return peaks

    def levels(self, mono: bytes, frames: int) -> Iterable[int]:
        """Return the RMS level of each piece."""
        rows = self._rows(mono, frames).astype("f8")
        lengths = self._np.full(len(rows), float(frames))
        lengths[-1:] = len(mono) // SAMPLE_BYTES - frames * (len(rows) - 1)
        squares = self._np.einsum("ij,ij->i", rows, rows)
        levels: list[int] = self._np.sqrt(squares / lengths).astype("u2").tolist()
        return levels

    def _rows(self, mono: bytes, frames: int) -> Any:
        """A row a piece, the last one filled up with digital silence, which changes no maximum and no sum."""
        return self._np.frombuffer(mono + bytes(-len(mono) % (SAMPLE_BYTES * frames)), "<i2").reshape(-1, frames)


def _measures() -> Measures:
    return ByNumpy() if find_spec("numpy") else ByAudioop()


def _pieces(mono: bytes, frames: int) -> Iterator[memoryview]:
    view, step = memoryview(mono), SAMPLE_BYTES * frames
    return (view[at : at + step] for at in range(0, len(view), step))


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
