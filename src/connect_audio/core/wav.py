"""The WAV header: RIFF, PCM format and data chunk, 44 bytes. Lengths are known only at a recording's end."""

from __future__ import annotations

import struct
from typing import Final

HEADER_BYTES: Final = 44
MAX_DATA_BYTES: Final = 0xFFFFFFFF - HEADER_BYTES
"""RIFF counts in 32 bits: 37 hours of 8 kHz stereo. A recording stops before it."""

_PCM: Final = 1
_BITS: Final = 16


def wav_header(*, data_bytes: int, rate: int, channels: int = 2) -> bytes:
    """Make the header of a 16-bit PCM WAV.

    Args:
        data_bytes: length of the samples that follow.
        rate: samples a second and channel.
        channels: interleaved channels.

    Raises:
        ValueError: more data than RIFF can count, or a part of a frame.
    """
    frame = channels * _BITS // 8
    if not 0 <= data_bytes <= MAX_DATA_BYTES:
        raise ValueError(f"{data_bytes} bytes of audio do not fit a WAV, which holds at most {MAX_DATA_BYTES}")
    if data_bytes % frame:
        raise ValueError(f"{data_bytes} bytes of audio are not whole frames of {frame} bytes")
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        HEADER_BYTES - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        channels,
        rate,
        rate * frame,
        frame,
        _BITS,
        b"data",
        data_bytes,
    )
