"""Samples: the parties, the formats of a payload, and its decoding to mono 16-bit little-endian PCM.

audioop, on which pydub rests, decodes G.711 and shapes the samples. The import of pydub would take longer than a short
replay. `core/audio_format.py` finds a track's format, `core/tracks.py` its party.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

import audioop

from connect_audio.values import dataclass

SAMPLE_BYTES: Final = 2
MIN_RATE: Final = 4_000
MAX_RATE: Final = 192_000
FRAME_BYTES: Final = 2 * SAMPLE_BYTES
"""Bytes of one stereo frame: a sample of either party."""
_FULL_SCALE: Final = 1 << 15


CHUNK_FRAMES: Final = 8192
"""Frames that a recording gives out at a time."""
_SILENT_CHUNK: Final = bytes(SAMPLE_BYTES * CHUNK_FRAMES)


class Party(StrEnum):
    """The party of a track. The customer is the left channel, the agent the right."""

    CUSTOMER = "customer"
    AGENT = "agent"


PARTIES: Final = (Party.CUSTOMER, Party.AGENT)
"""In channel order."""


class Encoding(StrEnum):
    """How the payload of a block writes a sample."""

    S16LE = "s16le"
    """16-bit little-endian PCM, as Connect sends it."""
    S16BE = "s16be"
    MULAW = "mulaw"
    """G.711 mu-law, one byte a sample."""
    ALAW = "alaw"
    """G.711 A-law, one byte a sample."""

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample of one channel."""
        return 1 if self in _G711 else SAMPLE_BYTES


_G711: Final = (Encoding.MULAW, Encoding.ALAW)


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """The format of a track's payload.

    Args:
        rate: samples a second and channel.
        channels: interleaved channels.
        encoding: form of a sample.
    """

    rate: int
    channels: int
    encoding: Encoding = Encoding.S16LE
    frame_bytes: int = field(init=False, repr=False)
    """Bytes of the payload for one sample of every channel."""

    def __post_init__(self) -> None:
        """Compute the size of a frame once, since every block asks for it."""
        object.__setattr__(self, "frame_bytes", self.encoding.sample_bytes * self.channels)


def to_mono(data: bytes, pcm: PcmFormat) -> tuple[bytes, int]:
    """Turn a block's payload into mono 16-bit little-endian samples.

    Args:
        data: the payload.
        pcm: its format.

    Returns:
        The samples, and how many bytes at the end made no whole frame.
    """
    dangling = len(data) % pcm.frame_bytes
    if dangling:
        data = data[:-dangling]
    if pcm.encoding is not Encoding.S16LE:
        data = _DECODE[pcm.encoding](data)
    if pcm.channels == 2:
        data = audioop.tomono(data, SAMPLE_BYTES, 0.5, 0.5)
    return data, dangling


def _swapped(data: bytes) -> bytes:
    samples = array("h", data)
    samples.byteswap()
    return samples.tobytes()


_DECODE: Final[Mapping[Encoding, Callable[[bytes], bytes]]] = {
    Encoding.S16BE: _swapped,
    Encoding.MULAW: lambda data: audioop.ulaw2lin(data, SAMPLE_BYTES),
    Encoding.ALAW: lambda data: audioop.alaw2lin(data, SAMPLE_BYTES),
}


def interleave(left: bytes, right: bytes) -> bytes:
    """Make stereo frames of two mono channels (three times as fast as pydub, ADR 2).

    Args:
        left: 16-bit little-endian samples.
        right: as many.
    """
    # Widening makes a sample the upper half of a frame, which is where the right one belongs. In most of a call one
    # party is silent, and widening is all there is to do.
    if left == _SILENT_CHUNK:
        return audioop.lin2lin(right, SAMPLE_BYTES, FRAME_BYTES)
    if right == _SILENT_CHUNK:
        return audioop.lin2lin(left, SAMPLE_BYTES, FRAME_BYTES)[SAMPLE_BYTES:] + bytes(SAMPLE_BYTES)
    stereo = bytearray(audioop.lin2lin(right, SAMPLE_BYTES, FRAME_BYTES))
    stereo[0::4] = left[0::2]
    stereo[1::4] = left[1::2]
    return bytes(stereo)


def channel(stereo: bytes, index: int) -> bytes:
    """Take one channel out of stereo frames (0 left, 1 right; pydub would go sample by sample)."""
    mono = bytearray(len(stereo) // 2)
    first = SAMPLE_BYTES * index
    mono[0::2], mono[1::2] = stereo[first::FRAME_BYTES], stereo[first + 1 :: FRAME_BYTES]
    return bytes(mono)


def level_dbfs(samples: bytes) -> float:
    """RMS level of mono samples in dB below full scale; minus infinity for silence or no samples."""
    rms = audioop.rms(samples, SAMPLE_BYTES)
    return 20 * math.log10(rms / _FULL_SCALE) if rms else -math.inf
