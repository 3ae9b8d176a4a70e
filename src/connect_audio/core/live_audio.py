"""Live audio as values: samples on their way in, and the blocks and segments that sinks get.

`core/live_preview.py` makes `LiveSamples`, `core/live_buffer.py` keeps them, `connect_audio.live` cuts blocks and
segments out of them. Every position counts samples since the epoch. A position never changes, so audio that is
delivered again, after a crash or a hand-over, carries the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from connect_audio.core.pcm import SAMPLE_BYTES, Party


class LiveSamples(NamedTuple):
    """Consecutive samples of one party on their way to the sinks.

    Args:
        party: the speaker.
        start: position of the first sample, samples since the epoch.
        samples: mono 16-bit little-endian samples.
    """

    party: Party
    start: int
    samples: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBlock:
    """Audio of one party, delivered as soon as it has arrived.

    Args:
        party: the speaker.
        start: time of the first sample, samples since the epoch.
        rate: samples a second.
        samples: mono 16-bit little-endian samples.
        position: the first sample's place in the recording, frames since its first. None during a call's first
            fragment: the recording has no first frame yet.
    """

    party: Party
    start: int
    rate: int
    samples: bytes
    position: int | None

    @property
    def length(self) -> int:
        """Number of samples."""
        return len(self.samples) // SAMPLE_BYTES

    @property
    def start_ms(self) -> int:
        """Time of the first sample by the producer's clock, ms since the epoch, rounded down."""
        return self.start * 1000 // self.rate

    @property
    def seconds(self) -> float:
        """Duration, seconds."""
        return self.length / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSegment:
    """A few seconds of a call, both parties equally long.

    Args:
        number: the segments of a call are numbered from 0 without a gap.
        position: the first sample's place in the recording, frames since its first.
        start: time of the first sample, samples since the epoch.
        rate: samples a second.
        samples: mono 16-bit little-endian samples of each party.
        before: the one sample of each party before the first, for filters; silence before the recording's first.
        last: True if the recording ends with this segment, which may be shorter than others.
    """

    number: int
    position: int
    start: int
    rate: int
    samples: Mapping[Party, bytes]
    before: Mapping[Party, bytes]
    last: bool = False

    @property
    def length(self) -> int:
        """Number of samples of each party."""
        return max((len(samples) for samples in self.samples.values()), default=0) // SAMPLE_BYTES

    @property
    def start_ms(self) -> int:
        """Time of the first sample by the producer's clock, ms since the epoch, rounded down."""
        return self.start * 1000 // self.rate

    @property
    def seconds(self) -> float:
        """Duration, seconds."""
        return self.length / self.rate
