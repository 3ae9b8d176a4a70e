"""A segment of a call as WAV: one stereo file or one of each party, at the stream's rate or resampled.

pydub resamples with audioop's `ratecv`, which draws straight lines between samples and has no low-pass. Alone on each
segment, `ratecv` gives one sample too few and a seam at every border. So each segment begins with the one sample before
it, and the output of that sample is left out. Output j of a call is then its signal at the time of input (j + 1) x in /
out - 1. Whole seconds give exactly as many samples as they should. The joined segments are the whole call resampled in
one go, late by 1/in - 1/out seconds (62.5 µs from 8 to 16 kHz). Used by the sinks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party, interleave, level_dbfs
from connect_audio.core.wav import wav_header
from connect_audio.values import dataclass

with warnings.catch_warnings():
    # pydub looks for ffmpeg, which only other formats than PCM would need.
    warnings.simplefilter("ignore", RuntimeWarning)
    from pydub import AudioSegment


@dataclass(frozen=True, slots=True)
class WavShape:
    """The form of a segment's WAVs.

    Args:
        layout: `stereo` for one WAV (customer left, agent right), `tracks` for one mono WAV of each party.
        rate: samples a second; None for the stream's own.
    """

    layout: Literal["stereo", "tracks"] = "stereo"
    rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentWav:
    """One WAV of a segment.

    Args:
        party: the speaker; None for both, in stereo.
        rate: samples a second.
        frames: its length.
        wav: the whole file, header and 16-bit samples.
        levels: RMS in dB below full scale of each party in it, in channel order, of the samples before any resampling;
            minus infinity for silence.
    """

    party: Party | None
    rate: int
    frames: int
    wav: bytes
    levels: Mapping[Party, float]


def segment_wavs(segment: LiveSegment, shape: WavShape) -> tuple[SegmentWav, ...]:
    """Make a segment's WAVs: a function of the segment alone, so that one delivered again gives the same bytes.

    Args:
        segment: the segment.
        shape: layout and rate.

    Returns:
        One in stereo, or one of each party in channel order.

    Raises:
        ValueError: resampling would leave a seam, since the segment begins at no whole output sample.
    """
    rate = shape.rate or segment.rate
    mono = {party: _resampled(segment, party, rate) for party in PARTIES}
    levels = {party: level_dbfs(segment.samples[party]) for party in PARTIES}
    if shape.layout == "tracks":
        return tuple(_wav(party, mono[party], rate, {party: levels[party]}) for party in PARTIES)
    return (_wav(None, interleave(mono[Party.CUSTOMER], mono[Party.AGENT]), rate, levels),)


def _wav(party: Party | None, samples: bytes, rate: int, levels: Mapping[Party, float]) -> SegmentWav:
    channels = len(levels)
    return SegmentWav(
        party=party,
        rate=rate,
        frames=len(samples) // (channels * SAMPLE_BYTES),
        wav=wav_header(data_bytes=len(samples), rate=rate, channels=channels) + samples,
        levels=MappingProxyType(levels),
    )


def _resampled(segment: LiveSegment, party: Party, rate: int) -> bytes:
    samples = segment.samples[party]
    if rate == segment.rate:
        return samples
    if segment.position * rate % segment.rate:
        raise ValueError(
            f"a segment at position {segment.position} cannot be resampled from {segment.rate} to {rate} Hz: it must "
            "begin at a whole sample of both rates"
        )
    source = AudioSegment(
        data=segment.before[party] + samples, sample_width=SAMPLE_BYTES, frame_rate=segment.rate, channels=1
    )
    resampled: bytes = source.set_frame_rate(rate).raw_data
    # The first output stands for `before` itself, and is the previous segment's last.
    return resampled[SAMPLE_BYTES:]
