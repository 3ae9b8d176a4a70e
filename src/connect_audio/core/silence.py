"""Settled silence: which gaps a track has, and the cause of each silent frame.

A frame is silent in one track while the other has audio, or in both. In both it is a hole inside a fragment or between
two consecutive ones, a pause of the producer, or a hole in the stream. The numbers of the fragments on either side
show which (`AdmittedNumbers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from connect_audio.core.accounts import Silence
from connect_audio.core.pcm import Party
from connect_audio.core.written import Stretch, WrittenAudio
from connect_audio.values import dataclass

BLOCK_HOLE_S: Final = 1
"""Longest silence of both tracks between consecutive fragments that lost blocks explain; a longer one is a pause."""

_START: Final = attrgetter("start")

type Cause = Literal["stream_hole", "producer_pause", "block_hole"]
"""Why both tracks are silent: the name of an account in `Silence`."""

type MissingBetween = Callable[[str, str], int | None]
"""How many fragments are missing between two keys; None if they do not show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A hole in one track that became silence.

    Args:
        party: the track's party.
        start: first silent position, frames.
        length: frames.
    """

    party: Party
    start: int
    length: int


class SettledGap(NamedTuple):
    """A gap that no later block can change.

    Args:
        gap: the gap.
        after: key of the fragment of the audio before it; empty for none.
        before: key of the fragment of the audio after it; empty for none.
    """

    gap: Gap
    after: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoleCounts:
    """How often both tracks are silent, by cause. `Silence` has the lengths.

    Args:
        stream_holes: holes with fragments missing, or perhaps missing.
        producer_pauses: pauses of the producer.
        block_holes: holes inside fragments, or short ones between consecutive fragments.
    """

    stream_holes: int = 0
    producer_pauses: int = 0
    block_holes: int = 0

    def plus(self, other: HoleCounts) -> HoleCounts:
        """The sum of two counts."""
        return HoleCounts(
            stream_holes=self.stream_holes + other.stream_holes,
            producer_pauses=self.producer_pauses + other.producer_pauses,
            block_holes=self.block_holes + other.block_holes,
        )


class Silent(NamedTuple):
    """Frames that are silent in both tracks.

    Args:
        start: the first, frames.
        stop: after the last, frames.
        cause: name of the account in `Silence`.
        ends: True if audio follows them.
    """

    start: int
    stop: int
    cause: Cause
    ends: bool


def reached(track: WrittenAudio, settled: int) -> int:
    """First position from the settled one on where a track has no audio, frames."""
    if track.start <= settled:
        return track.stop
    for stretch in track.stretches(settled):
        if stretch.start > settled:
            break
        settled = stretch.stop
    return settled


def silent_stretches(track: WrittenAudio, start: int, stop: int) -> list[tuple[int, int]]:
    """The positions of [start, stop) at which a track has no audio."""
    found = []
    for stretch in track.stretches(start):
        if stretch.start >= stop:
            break
        if stretch.start > start:
            found.append((start, stretch.start))
        start = stretch.stop
    if start < stop:
        found.append((start, stop))
    return found


def silent_in_both(
    tracks: Sequence[WrittenAudio], start: int, stop: int, *, rate: int, missing_between: MissingBetween
) -> Iterator[Silent]:
    """Frames of [start, stop) that are silent in both tracks, with their cause.

    Args:
        tracks: both.
        start: first newly settled position, frames.
        stop: position after the last, frames.
        rate: samples a second.
        missing_between: see `MissingBetween`.
    """
    merged = sorted((each for track in tracks for each in track.stretches()), key=_START)
    left = Stretch(0, 0, "", "")
    for right in merged:
        if max(left.stop, start) < min(right.start, stop):
            cause = _cause(left, right, rate, missing_between)
            yield Silent(max(left.stop, start), min(right.start, stop), cause, ends=right.start <= stop)
        if right.start >= stop:
            break
        if right.stop > left.stop:
            left = right
    else:
        # A process before took these frames, and what it knew behind them is lost.
        if max(left.stop, start) < stop:
            yield Silent(max(left.stop, start), stop, "stream_hole", ends=True)


def _cause(left: Stretch, right: Stretch, rate: int, missing_between: MissingBetween) -> Cause:
    """Find the cause of a silence of both tracks between two stretches."""
    if left.last == right.first:
        return "block_hole"
    if missing_between(left.last, right.first) != 0:
        return "stream_hole"
    return "block_hole" if right.start - left.stop <= BLOCK_HOLE_S * rate else "producer_pause"


def holes_of(both: Sequence[Silent]) -> HoleCounts:
    """Count silences of both tracks that audio follows."""
    causes = [each.cause for each in both if each.ends]
    return HoleCounts(
        stream_holes=causes.count("stream_hole"),
        producer_pauses=causes.count("producer_pause"),
        block_holes=causes.count("block_hole"),
    )


def with_silence(silence: Silence, both: Sequence[Silent], frames: int) -> Silence:
    """Add newly settled silence of one track to its account.

    Args:
        silence: the account before.
        both: the part in which both tracks are silent.
        frames: all of it, frames.
    """
    for each in both:
        length = each.stop - each.start
        frames -= length
        silence = replace(silence, **{each.cause: getattr(silence, each.cause) + length})
    return replace(silence, one_sided=silence.one_sided + frames)


def gaps_before(party: Party, track: WrittenAudio, settled: int) -> list[SettledGap]:
    """Gaps of a track that end in settled frames and are not noted yet; `track.noted` moves behind them.

    Args:
        party: the track's party.
        track: the track.
        settled: settled position, frames.
    """
    found = []
    last, end, noted = "", 0, track.noted
    for stretch in track.stretches():
        if stretch.start > settled:
            break
        if stretch.start > end >= track.noted:
            gap = Gap(party=party, start=end, length=stretch.start - end)
            found.append(SettledGap(gap, last, stretch.first))
        last, end, noted = stretch.last, stretch.stop, stretch.start
    track.noted = max(track.noted, noted)
    return found
