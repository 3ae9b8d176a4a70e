"""A call's audio in the formats that people open: WAV by this project, FLAC, Opus and MP3 by soundfile (libsndfile).

`encode` reads stereo chunks and writes one file; memory does not grow with the call. `convert`, `replay` and the call
page use it. soundfile comes with the extra `formats` and is imported when a format needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO, Final

import audioop

from connect_audio.core.pcm import SAMPLE_BYTES, Party, channel
from connect_audio.core.wav import MAX_DATA_BYTES, wav_header
from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.output.extras import needs


class AudioFormat(StrEnum):
    """A format of audio; its value is the ending of its files."""

    WAV = "wav"
    FLAC = "flac"
    """Lossless: the samples of the WAV in 40 % of its size, for a telephone call."""
    OPUS = "opus"
    MP3 = "mp3"


class Channels(StrEnum):
    """The channels that a file gets."""

    BOTH = "both"
    """Stereo: the customer left, the agent right."""
    CUSTOMER = "customer"
    AGENT = "agent"
    MIXED = "mixed"
    """Both parties in one channel, each at half its level, so that nothing clips."""

    @property
    def number(self) -> int:
        """How many they are."""
        return 2 if self is Channels.BOTH else 1


@dataclass(frozen=True, slots=True)
class _Coding:
    format: str
    subtype: str
    name: str
    rates: frozenset[int] | None
    effort: float | None = None


_CODINGS: Final[Mapping[AudioFormat, _Coding]] = {
    # libFLAC's level 3 of 8: a third less processor than its default, 5, for 1.4 % more bytes of a telephone call.
    AudioFormat.FLAC: _Coding("FLAC", "PCM_16", "FLAC", None, effort=3 / 8),
    # RFC 6716, section 2.
    AudioFormat.OPUS: _Coding("OGG", "OPUS", "Opus", frozenset({8000, 12000, 16000, 24000, 48000})),
    # MPEG 1, 2 and 2.5.
    AudioFormat.MP3: _Coding(
        "MP3",
        "MPEG_LAYER_III",
        "MP3",
        frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}),
    ),
}


def encode(
    chunks: Iterable[bytes],
    target: BinaryIO,
    *,
    audio_format: AudioFormat,
    rate: int,
    frames: int,
    channels: Channels = Channels.BOTH,
) -> None:
    """Write a call's audio.

    Args:
        chunks: all its frames, customer and agent interleaved as 16-bit little-endian samples.
        target: an open binary file. It must be seekable, except for WAV.
        audio_format: the format.
        rate: samples a second.
        frames: length of the call.
        channels: which channels the file gets.

    Raises:
        OSError: the file cannot be written.
        CommandError: soundfile is not installed, or the format has no such rate or length.
    """
    laid_out = laid_out_as(channels, chunks)
    if audio_format is AudioFormat.WAV:
        size = frames * channels.number * SAMPLE_BYTES
        if size > MAX_DATA_BYTES:
            raise CommandError(f"{size} bytes of audio do not fit a WAV, which holds at most {MAX_DATA_BYTES}")
        _write_all(target, wav_header(data_bytes=size, rate=rate, channels=channels.number))
        for data in laid_out:
            _write_all(target, data)
        return
    _encode_with_soundfile(laid_out, target, _CODINGS[audio_format], rate, channels.number)


def laid_out_as(channels: Channels, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the wanted channels of stereo chunks, interleaved if they are two."""
    for stereo in chunks:
        if channels is Channels.BOTH:
            yield stereo
        elif channels is Channels.MIXED:
            yield audioop.tomono(stereo, SAMPLE_BYTES, 0.5, 0.5)
        else:
            yield channel(stereo, list(Party).index(Party(channels.value)))


def check_format(audio_format: AudioFormat, rate: int | None) -> None:
    """Refuse what `encode` cannot write, before anything is opened.

    Args:
        audio_format: the format.
        rate: samples a second; None where it is not known yet.

    Raises:
        CommandError: soundfile is not installed, or the format has no such rate.
    """
    if audio_format is AudioFormat.WAV:
        return
    coding = _CODINGS[audio_format]
    _soundfile(coding.name)
    if coding.rates is not None and rate is not None and rate not in coding.rates:
        raise CommandError(f"{coding.name} has no rate of {rate} Hz: FLAC and WAV have every rate")


def _encode_with_soundfile(
    chunks: Iterable[bytes], target: BinaryIO, coding: _Coding, rate: int, channels: int
) -> None:
    soundfile = _soundfile(coding.name)
    guarded = _Guarded(target)
    try:
        with soundfile.SoundFile(
            guarded,
            "w",
            samplerate=rate,
            channels=channels,
            format=coding.format,
            subtype=coding.subtype,
            compression_level=coding.effort,
        ) as encoder:
            for data in chunks:
                encoder.buffer_write(data, "int16")
    except (soundfile.LibsndfileError, AssertionError) as error:
        if guarded.failure is None:
            raise CommandError(f"{coding.name} cannot be written: {error}") from error
    if guarded.failure is not None:
        raise guarded.failure


def _soundfile(name: str) -> Any:
    with needs(name, extra="formats"):
        import soundfile  # noqa: PLC0415 - it imports numpy, which WAV does without
    return soundfile


def _write_all(target: BinaryIO, data: bytes) -> None:
    """Write all of some bytes; a file without a buffer may take a part of them."""
    unwritten = memoryview(data)
    while unwritten:
        unwritten = unwritten[target.write(unwritten) :]


class _Guarded:
    """A file under libsndfile, which cannot pass an exception on: the first failure is kept for later.

    Everything but `write` is the file's own.
    """

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def write(self, data: Any, /) -> int:
        """Write all, or nothing after a failure."""
        if self.failure is not None:
            return 0
        try:
            _write_all(self._target, bytes(data))
        except OSError as error:
            self.failure = error
            return 0
        return len(data)
