"""The WAV header against the standard library's reader."""

from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.wav import HEADER_BYTES, MAX_DATA_BYTES, wav_header


@given(st.binary(max_size=200), st.integers(1, 192_000), st.sampled_from((1, 2)))
def test_the_standard_library_reads_what_was_written(data: bytes, rate: int, channels: int) -> None:
    data = data[: len(data) // (2 * channels) * 2 * channels]
    header = wav_header(data_bytes=len(data), rate=rate, channels=channels)
    assert len(header) == HEADER_BYTES

    with wave.open(io.BytesIO(header + data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (channels, 2, rate)
        assert file.getnframes() == len(data) // (2 * channels)
        assert file.readframes(1000) == data


def test_the_standard_library_writes_the_same_header() -> None:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(400))

    assert wav_header(data_bytes=400, rate=8000) == written.getvalue()[:HEADER_BYTES]


def test_the_longest_recording_has_a_header() -> None:
    longest = MAX_DATA_BYTES // 4 * 4

    assert int.from_bytes(wav_header(data_bytes=longest, rate=8000)[4:8], "little") == longest + 36


@pytest.mark.parametrize(
    ("data_bytes", "message"),
    [
        (
            MAX_DATA_BYTES + 1,
            "4294967252 bytes of audio do not fit a WAV, which holds at most 4294967251",
        ),
        (-4, "-4 bytes of audio do not fit a WAV, which holds at most 4294967251"),
        (401, "401 bytes of audio are not whole frames of 4 bytes"),
    ],
)
def test_a_length_that_no_wav_can_have_is_refused(data_bytes: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        wav_header(data_bytes=data_bytes, rate=8000)
