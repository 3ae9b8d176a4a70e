"""A call's audio in other formats, read back by other programs' code."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.recordings.encoding import AudioFormat, Channels, check_format, encode
from support.tones import HIGH_HZ, LOW_HZ, loudest_hz, stereo

LOSSY = (AudioFormat.OPUS, AudioFormat.MP3)


def pieces(samples: NDArray[np.int16]) -> Iterator[bytes]:
    """The samples in pieces of uneven length."""
    data = samples.astype("<i2").tobytes()
    for at in range(0, len(data), 4 * 999):
        yield data[at : at + 4 * 999]


def encoded(
    samples: NDArray[np.int16], audio_format: AudioFormat, channels: Channels = Channels.BOTH, rate: int = 8000
) -> io.BytesIO:
    target = io.BytesIO()
    encode(pieces(samples), target, audio_format=audio_format, rate=rate, frames=len(samples), channels=channels)
    target.seek(0)
    return target


def read(file: io.BytesIO) -> tuple[NDArray[Any], int]:
    samples, rate = soundfile.read(file, dtype="int16", always_2d=True)
    return samples, rate


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC])
@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (Channels.BOTH, lambda call: call),
        (Channels.CUSTOMER, lambda call: call[:, :1]),
        (Channels.AGENT, lambda call: call[:, 1:]),
    ],
)
def test_wav_and_flac_hold_exactly_the_samples_of_the_wanted_channels(
    audio_format: AudioFormat, channels: Channels, expected: Any
) -> None:
    call = np.random.default_rng(7).integers(-32768, 32767, (12345, 2), np.int16)

    samples, rate = read(encoded(call, audio_format, channels))

    assert rate == 8000
    assert np.array_equal(samples, expected(call))


def test_the_mix_is_the_mean_of_both_and_never_clips() -> None:
    call = np.array([[32767, 32767], [-32768, -32768], [1000, -3000], [32767, 0]], np.int16)
    samples, _ = read(encoded(call, AudioFormat.WAV, Channels.MIXED))
    assert np.abs(samples[:, 0] - call.mean(axis=1)).max() <= 1


def test_the_standard_librarys_reader_opens_the_wav_of_one_party() -> None:
    with wave.open(encoded(stereo(), AudioFormat.WAV, Channels.AGENT), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 16000)


@pytest.mark.parametrize("audio_format", LOSSY)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_lossy_file_keeps_each_party_in_its_channel_and_the_length(audio_format: AudioFormat, rate: int) -> None:
    samples, read_rate = read(encoded(stereo(3, rate), audio_format, rate=rate))

    assert read_rate == rate
    assert abs(len(samples) - 3 * rate) <= rate * 0.2
    middle = samples[rate : 2 * rate].astype(float)
    assert loudest_hz(middle[:, 0], rate) == pytest.approx(LOW_HZ, abs=5)
    assert loudest_hz(middle[:, 1], rate) == pytest.approx(HIGH_HZ, abs=5)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_each_file_is_what_its_ending_says(audio_format: AudioFormat) -> None:
    first = {"wav": b"RIFF", "flac": b"fLaC", "opus": b"OggS", "mp3": b"\xff"}
    data = encoded(stereo(), audio_format).getvalue()
    assert data.startswith(first[audio_format])
    if audio_format is AudioFormat.OPUS:
        assert b"OpusHead" in data[:64]


class FullDisk(io.BytesIO):
    """A file that takes 20 000 bytes."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(bytes(data)) > 20_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_full_disk_is_the_systems_own_error(audio_format: AudioFormat) -> None:
    call = np.random.default_rng(7).integers(-32768, 32767, (80_000, 2), np.int16)
    with pytest.raises(OSError, match="No space left"):
        encode(pieces(call), FullDisk(), audio_format=audio_format, rate=8000, frames=len(call))


@pytest.mark.parametrize(
    ("audio_format", "rate", "message"),
    [
        (AudioFormat.OPUS, 11025, "Opus has no rate of 11025 Hz: FLAC and WAV have every rate"),
        (AudioFormat.MP3, 4000, "MP3 has no rate of 4000 Hz: FLAC and WAV have every rate"),
    ],
)
def test_a_rate_that_a_format_does_not_have_is_refused_before_anything_is_written(
    audio_format: AudioFormat, rate: int, message: str
) -> None:
    with pytest.raises(CommandError, match=f"^{message}$"):
        check_format(audio_format, rate)


@pytest.mark.parametrize("audio_format", LOSSY)
def test_the_rates_that_are_refused_are_the_ones_that_the_encoder_refuses(audio_format: AudioFormat) -> None:
    call = stereo(0.2)
    for rate in (4000, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000):
        try:
            check_format(audio_format, rate)
        except CommandError:
            with pytest.raises(CommandError, match="cannot be written"):
                encoded(call, audio_format, rate=rate)
        else:
            assert encoded(call, audio_format, rate=rate).getvalue()


@pytest.mark.parametrize("rate", [4000, 11025, 44100, 192000])
def test_flac_takes_every_rate_of_a_recording(rate: int, tmp_path: Path) -> None:
    check_format(AudioFormat.FLAC, rate)
    path = tmp_path / "call.flac"
    with path.open("wb+") as file:
        encode(pieces(stereo(0.5, rate)), file, audio_format=AudioFormat.FLAC, rate=rate, frames=rate // 2)
    assert soundfile.info(path).samplerate == rate
