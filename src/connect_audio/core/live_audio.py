"""Live audio as it is handed to sinks: a block of one party the moment it is in, or a segment of both.

Values alone; `ports.AudioSink` says who takes them, `connect_audio.live` makes them. A position never changes once it
is known, so what is handed over again, after a crash or a hand-over, carries the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class LiveAudio:
    """A stretch of a call.

    Args:
        start: time of its first sample, samples since the epoch.
        rate: samples a second.
        samples: mono 16-bit little-endian samples by party, all equally long: of a block its own party's alone, of a
            segment both parties'.
        position: of its first sample, frames since the recording's first; None where that is not known yet, which is
            so for blocks of a call's first fragment alone.
        segment: which segment, from 0; None for a block.
        last: whether the recording ends with it, so that a segment may be short.
        before: of a segment, the one sample of each party before its first, silence at the recording's beginning; for
            filters that need it.
    """

    start: int
    rate: int
    samples: Mapping[Party, bytes]
    position: int | None = None
    segment: int | None = None
    last: bool = False
    before: Mapping[Party, bytes] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Samples of each party."""
        return max((len(samples) for samples in self.samples.values()), default=0) // SAMPLE_BYTES

    @property
    def start_ms(self) -> int:
        """When it begins, by the producer's clock; ms since the epoch, rounded down."""
        return self.start * 1000 // self.rate

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.length / self.rate
