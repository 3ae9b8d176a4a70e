"""The blocks of a fragment as audio: the party and the rate of each track, and its 16-bit little-endian PCM.

Connect declares `A_AAC` and sends PCM; the truth is the tag `MimeType = audio/L16;rate=8000;channels=1;`
(docs/architecture.md).

audioop, on which pydub rests, shapes the samples. The import of pydub would take longer than a short replay.
"""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import audioop

from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.matroska import TrackEntry

SAMPLE_BYTES: Final = 2
FRAME_BYTES: Final = 2 * SAMPLE_BYTES
"""Bytes of one stereo frame: a sample of either party."""
_FULL_SCALE: Final = 1 << 15
MIN_RATE: Final = 4_000
MAX_RATE: Final = 192_000


class Party(StrEnum):
    """The party of a track. The customer is the left channel, the agent the right."""

    CUSTOMER = "customer"
    AGENT = "agent"


PARTIES: Final = (Party.CUSTOMER, Party.AGENT)
"""In channel order."""

_BY_NAME: Final = {
    "AUDIO_FROM_CUSTOMER": Party.CUSTOMER,
    "AUDIO_TO_CUSTOMER": Party.AGENT,
    # Before Connect streamed both directions there was one track of this name, carrying what the customer says.
    "Track_audio/L16": Party.CUSTOMER,
}


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """How a track's payload is PCM.

    Args:
        rate: samples a second and channel.
        channels: interleaved channels.
        big_endian: byte order of the samples.
    """

    rate: int
    channels: int
    big_endian: bool = False


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One track that goes into a recording."""

    number: int
    party: Party
    pcm: PcmFormat


_L16: Final = re.compile(r"\s*audio/L16\s*((?:;[^;]*)*)", re.IGNORECASE)


@lru_cache(maxsize=64)
def audio_tracks(tracks: tuple[TrackEntry, ...], mime_type: str | None) -> tuple[AudioTrack, ...]:
    """Find the tracks of a fragment that are a party's PCM.

    The name alone gives the direction: track numbers come in either order and the tags `AUDIO_*` contradict it.
    A single audio track of any other name is taken for the customer's. If a party has two tracks, the first counts.

    Args:
        tracks: the fragment's TrackEntries.
        mime_type: the fragment's MimeType tag, None where absent.

    Returns:
        At most one track a party; empty where nothing is PCM audio.

    Raises:
        UnsupportedAudioError: there is an audio track of a known name whose samples we cannot decode.
    """
    audio = [track for track in tracks if track.track_type in {2, 0}]
    chosen: dict[Party, AudioTrack] = {}
    for track in audio:
        party = _BY_NAME.get(track.name)
        if party is None and len(audio) == 1:
            party = Party.CUSTOMER
            if mime_type is None and not track.codec_id.startswith("A_PCM/INT"):
                continue
        if party is not None and party not in chosen:
            chosen[party] = AudioTrack(track.number, party, _pcm_format(track, mime_type))
    return tuple(chosen.values())


def _pcm_format(track: TrackEntry, mime_type: str | None) -> PcmFormat:
    match = _L16.fullmatch(mime_type) if mime_type else None
    if match:
        parameters = dict(part.strip().lower().partition("=")[::2] for part in match[1].split(";") if part.strip())
        return _checked(parameters.get("rate", "8000"), parameters.get("channels", "1"), big_endian=False)
    if track.codec_id in {"A_PCM/INT/LIT", "A_PCM/INT/BIG"}:
        if track.bit_depth not in {None, 16}:
            raise UnsupportedAudioError(f"track {track.number}: PCM of {track.bit_depth} bits, only 16 are supported")
        rate = 8000 if track.sampling_frequency is None else track.sampling_frequency
        return _checked(f"{rate:.0f}", str(track.channels or 1), big_endian=track.codec_id.endswith("BIG"))
    if mime_type is None:
        # Connect's names without the MimeType tag: its one format.
        return PcmFormat(8000, 1)
    raise UnsupportedAudioError(
        f"track {track.number} ({track.name or 'unnamed'}): MimeType '{mime_type[:80]}' and codec "
        f"'{track.codec_id[:40]}' are not 16-bit PCM; only audio/L16 and A_PCM/INT are supported"
    )


def _checked(rate: str, channels: str, *, big_endian: bool) -> PcmFormat:
    try:
        pcm = PcmFormat(int(rate), int(channels), big_endian)
    except ValueError as error:
        raise UnsupportedAudioError(f"audio format with rate '{rate[:20]}' and channels '{channels[:20]}'") from error
    if not MIN_RATE <= pcm.rate <= MAX_RATE:
        raise UnsupportedAudioError(f"audio at {pcm.rate} Hz; {MIN_RATE} to {MAX_RATE} Hz are supported")
    if pcm.channels not in {1, 2}:
        raise UnsupportedAudioError(f"audio of {pcm.channels} channels in one track; 1 and 2 are supported")
    return pcm


def to_mono(data: bytes, pcm: PcmFormat) -> tuple[bytes, int]:
    """Turn a block's payload into mono 16-bit little-endian samples.

    Args:
        data: the payload.
        pcm: its format.

    Returns:
        The samples, and how many bytes at the end made no whole frame.
    """
    dangling = len(data) % (SAMPLE_BYTES * pcm.channels)
    if dangling:
        data = data[:-dangling]
    if pcm.big_endian:
        samples = array("h", data)
        samples.byteswap()
        data = samples.tobytes()
    if pcm.channels == 2:
        data = audioop.tomono(data, SAMPLE_BYTES, 0.5, 0.5)
    return data, dangling


def interleave(left: bytes, right: bytes) -> bytes:
    """Make stereo frames of two mono channels (three times as fast as pydub, ADR 2).

    Args:
        left: 16-bit little-endian samples.
        right: as many.
    """
    # Widening makes a sample the upper half of a frame, which is where the right one belongs.
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


class LevelMeter:
    """RMS level of one party over a whole recording, from its samples as they are placed."""

    def __init__(self) -> None:
        self._energy = 0

    def add(self, samples: bytes) -> None:
        """Take mono samples; silence need not be added."""
        self._energy += len(samples) // SAMPLE_BYTES * audioop.rms(samples, SAMPLE_BYTES) ** 2

    def dbfs(self, frames: int) -> float:
        """The level in dB below full scale; minus infinity for silence.

        Args:
            frames: length of the recording, silence included.
        """
        return 10 * math.log10(self._energy / frames / _FULL_SCALE**2) if self._energy else -math.inf
