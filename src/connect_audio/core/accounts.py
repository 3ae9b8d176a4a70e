"""The accounts of a party's audio: each received byte and each written frame is in exactly one of them.

Two laws hold at every moment and are checked at the end of a recording (`imbalances`):

- in bytes of payload: received + carried = written + repeated + late + out of range + conflicting + beyond limit
  + unsupported + dangling;
- in frames: frames = audio + silence by cause.

Carried audio was received and taken by a process that ended, and the stream had dropped it when the next one read on.
It is 0 where every fragment behind a checkpoint was read again.

The left side of each law is counted apart from the right side, so a mistake in either shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from connect_audio.core.pcm import Party
from connect_audio.text import counted
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """Samples of one account and their bytes of payload, which depend on the format.

    Args:
        samples: mono samples.
        bytes: bytes of payload.
    """

    samples: int = 0
    bytes: int = 0

    def plus(self, samples: int, size: int) -> Amount:
        """This amount and some more samples, of `size` bytes of payload."""
        return Amount(self.samples + samples, self.bytes + size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Received audio of one party that was not written, by cause.

    Args:
        repeated: its bytes were written before, or its fragment was admitted before.
        late: silence had taken its place.
        out_of_range: its time lies before the origin, or more than `MAX_HOLE_S` ahead.
        conflicting: other bytes were written at its place, or none that can be shown to be the same.
        beyond_limit: the recording had reached its longest.
        dangling_bytes: bytes that made no whole sample.
    """

    repeated: Amount = Amount()
    late: Amount = Amount()
    out_of_range: Amount = Amount()
    conflicting: Amount = Amount()
    beyond_limit: Amount = Amount()
    dangling_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of payload in all accounts together."""
        amounts = (self.repeated, self.late, self.out_of_range, self.conflicting, self.beyond_limit)
        return sum(amount.bytes for amount in amounts) + self.dangling_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Settled silence of one track by cause, frames.

    Args:
        stream_hole: neither track has audio, and fragments are missing or may be.
        producer_pause: neither track has audio, and the fragments on either side are consecutive.
        block_hole: neither track has audio, inside a fragment or for a moment between consecutive ones.
        one_sided: the other track has audio.
    """

    stream_hole: int = 0
    producer_pause: int = 0
    block_hole: int = 0
    one_sided: int = 0

    @property
    def frames(self) -> int:
        """All of it."""
        return self.stream_hole + self.producer_pause + self.block_hole + self.one_sided


@dataclass(slots=True)
class TrackCounts:
    """The position of one track and its accounts; changes in place. Counts are samples unless said otherwise.

    Args:
        end: position after its last sample.
        audio: samples written.
        written_bytes: their bytes of payload.
        gaps: number of settled gaps.
        max_jitter: largest correction made in joining blocks.
        dropped: audio that was not written.
        silence: settled silence.
        carried: audio that was taken by a process before and not read again; `audio` and `written_bytes` have it too.
    """

    end: int = 0
    audio: int = 0
    written_bytes: int = 0
    gaps: int = 0
    max_jitter: int = 0
    dropped: Dropped = field(default_factory=Dropped)
    silence: Silence = field(default_factory=Silence)
    carried: Amount = Amount()


@dataclass(frozen=True, slots=True)
class PartyBytes:
    """Bytes of payload of one party in admitted fragments.

    Args:
        received: all of them.
        unsupported: in a format or at a rate that cannot be joined.
    """

    received: int = 0
    unsupported: int = 0


def imbalances(
    tracks: Iterable[tuple[Party, TrackCounts, PartyBytes]], *, frames: int, settled: int | None
) -> tuple[str, ...]:
    """Check both laws.

    Args:
        tracks: each party with its accounts and its received bytes.
        frames: length of the recording, frames.
        settled: settled frames; None if the recording failed, so that its silence is not known.

    Returns:
        A sentence with numbers for each law that does not hold; empty if all hold.
    """
    found = []
    for party, track, payload in tracks:
        booked = track.written_bytes + track.dropped.bytes + payload.unsupported
        came = payload.received + track.carried.bytes
        if booked != came:
            found.append(f"{counted(came, 'byte')} of the {party} came in and {booked} went into the accounts")
        silence = track.silence.frames
        if settled is not None and (track.audio + silence != settled or frames != settled):
            found.append(
                f"{counted(track.audio, 'sample')} and {counted(silence, 'frame')} of silence of the {party} "
                f"do not make {counted(settled, 'settled frame')} of {frames}"
            )
    return tuple(found)
