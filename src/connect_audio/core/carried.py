"""Audio that lies among the frames taken, and beyond the cursor's fragment.

Frames are taken as soon as they are settled, and a fragment's last frames may settle later than its first. So a cursor
says of the frames taken beyond its fragment which of them hold audio. A process that goes on from the cursor reads that
audio again as a rule. If the stream has dropped it meanwhile, the timeline books it as carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Final

from connect_audio.core.pcm import SAMPLE_BYTES, Party
from connect_audio.core.written import Stretch
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedTrack:
    """The carried audio of one track.

    Args:
        stretches: its positions, in order.
        width: bytes of payload of one sample.
        known_from: position before which audio is too long ago to be in `stretches`, frames; 0 for none.
    """

    stretches: tuple[Stretch, ...] = ()
    width: int = SAMPLE_BYTES
    known_from: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedAudio:
    """Audio among the frames taken that the cursor's timeline does not know.

    Args:
        rate: samples a second; None where the cursor's timeline says it, or before the first audio.
        origin: origin of the timeline, samples since the epoch; None as above.
        customer: carried audio of the left track.
        agent: carried audio of the right track.
    """

    rate: int | None = None
    origin: int | None = None
    customer: CarriedTrack = field(default_factory=CarriedTrack)
    agent: CarriedTrack = field(default_factory=CarriedTrack)

    def of(self, party: Party) -> CarriedTrack:
        """The carried audio of a party's track."""
        return self.customer if party is Party.CUSTOMER else self.agent


NOTHING_CARRIED: Final = CarriedAudio()
"""Before the first frame, or if the cursor's timeline knows all audio among the frames taken."""


def within(stretches: Iterable[Stretch], start: int, stop: int) -> Iterator[Stretch]:
    """The parts of stretches in [start, stop), frames."""
    for each in stretches:
        first, last = max(start, each.start), min(stop, each.stop)
        if first < last:
            yield Stretch(first, last, each.first if first == each.start else each.last, each.last)


def without(stretches: Iterable[Stretch], known: Iterable[Stretch]) -> Iterator[Stretch]:
    """The parts of stretches that no known one reaches over; both in order."""
    others = list(known)
    for each in stretches:
        start = each.start
        for other in others:
            if other.start >= each.stop:
                break
            yield from within([each], start, other.start)
            start = max(start, other.stop)
        yield from within([each], start, each.stop)
