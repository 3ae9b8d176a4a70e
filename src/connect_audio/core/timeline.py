"""Two tracks on one timeline: blocks with absolute times in, settled stereo frames out.

A block joins its predecessor without a seam when its time differs from the predecessor's end by no more than the
jitter tolerance. A later block leaves a gap, which becomes silence. An earlier block overlaps, and the overlap is
dropped. A track that lags by more than `MAX_SKEW_S` of media time becomes silence.

Nothing here depends on how the blocks arrived. Reading the same fragments again from a `TimelineState` gives the same
frames (ADR 3).

Positions are frames since the origin, the earliest sample of the first block.

How it works. `place` turns a block's time into a position. `_join` moves it to the track's end if it is within the
tolerance. `_put` counts samples that get no place. `clip` finds the new part of an overlap. Placed samples wait in
their track. `settle`, once a fragment, fixes what both tracks have reached and what lies more than `MAX_SKEW_S`
behind the leading one. `take` gives out settled frames, with silence where a track has none.

| state | changes with |
| --- | --- |
| each track's samples that wait, and its `TrackCounts` | `place`, `take` |
| `origin` | the first block, once |
| `settled` | `settle`, `close` |
| `taken` | `take` |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from connect_audio.core.copying import copier
from connect_audio.core.pcm import CHUNK_FRAMES, FRAME_BYTES, SAMPLE_BYTES, Party, interleave
from connect_audio.core.wav import MAX_DATA_BYTES

JITTER_MS: Final = 10
"""Half of the shortest blocks telephony uses (20 ms): a lost one is always seen as a hole."""
MAX_SKEW_S: Final = 5
"""A track may lag the other so much before its place is taken by silence; 0.7 s has been seen in real streams."""
MAX_HOLE_S: Final = 4 * 3600
"""A longer jump forward is a broken clock, not a pause: the block is left out and counted."""
MAX_FRAMES: Final = MAX_DATA_BYTES // FRAME_BYTES
"""Most frames that a WAV can hold."""
_NS: Final = 1_000_000_000


def to_samples(time_ns: int, rate: int) -> int:
    """Turn a time into the nearest sample.

    Args:
        time_ns: ns since the epoch.
        rate: samples a second.
    """
    return (time_ns * rate + _NS // 2) // _NS


@dataclass(slots=True)
class TrackCounts:
    """The position of one track and the counts of its samples; changes in place. All counts are samples.

    Args:
        end: position after its last sample.
        audio: samples placed.
        repeated: dropped because that time had been written from this track before.
        late: dropped because silence had taken their place.
        out_of_range: dropped because their time lies before the origin or more than `MAX_HOLE_S` ahead.
        beyond_limit: dropped because the recording had reached its longest.
        gaps: number of gaps.
        max_jitter: largest correction made in joining blocks.
        dangling_bytes: bytes that made no whole sample.
    """

    end: int = 0
    audio: int = 0
    repeated: int = 0
    late: int = 0
    out_of_range: int = 0
    beyond_limit: int = 0
    gaps: int = 0
    max_jitter: int = 0
    dangling_bytes: int = 0


_copied: Final = copier(TrackCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineState:
    """Everything a timeline knows besides samples: plain numbers, as long for a day as for a minute.

    Args:
        rate: samples a second.
        origin: origin of the timeline, samples since the epoch; None before the first block.
        settled: frames that no later block can change.
        customer: the left track.
        agent: the right track.
    """

    rate: int
    origin: int | None = None
    settled: int = 0
    customer: TrackCounts = field(default_factory=TrackCounts)
    agent: TrackCounts = field(default_factory=TrackCounts)


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


class Placed(NamedTuple):
    """Samples that got their place on a timeline, and the silence that goes before them.

    Args:
        party: the track's party.
        start: position of the first, frames since the origin.
        samples: mono 16-bit samples; each gets one position, and each position one sample.
        gap: silent frames between the track's end and the first sample; 0 where it joins.
    """

    party: Party
    start: int
    samples: bytes
    gap: int


class Clipped(NamedTuple):
    """The new part of a stretch of samples, and the counts of its dropped beginning. All are samples.

    Args:
        kept: new, at the stretch's end.
        repeated: written from this track before.
        late: silence has taken their place.
        before: before the origin.
    """

    kept: int
    repeated: int
    late: int
    before: int


def clip(start: int, length: int, end: int, settled: int) -> Clipped:
    """Clip a stretch to the part that a track can still take, after its end and after the settled frames.

    The dropped samples fall into three groups, in this order: before the origin, already written from this track,
    already filled with silence.

    Args:
        start: position of the stretch, frames; may be negative.
        length: samples.
        end: end of the track, frames.
        settled: position before which nothing can change, frames.
    """
    stop = max(start, min(start + length, max(end, settled)))
    before = max(0, min(0, stop) - start)
    repeated = max(0, min(end, stop) - max(start, 0))
    return Clipped(start + length - stop, repeated, stop - start - before - repeated, before)


class _Track:
    """A track's samples that have not been taken yet, and its counts."""

    __slots__ = ("counts", "party", "runs")

    def __init__(self, party: Party, counts: TrackCounts) -> None:
        self.party = party
        self.counts = _copied(counts)
        self.runs: deque[tuple[int, bytes]] = deque()

    def take(self, start: int, stop: int) -> bytes:
        """Samples of [start, stop), silence where there are none; what lies before is gone."""
        pieces: list[bytes] = []
        position = start
        runs = self.runs
        while runs and runs[0][0] < stop:
            run_start, samples = runs.popleft()
            run_stop = run_start + len(samples) // SAMPLE_BYTES
            if run_stop <= position:
                continue
            if run_start > position:
                pieces.append(bytes(SAMPLE_BYTES * (run_start - position)))
                position = run_start
            until = min(run_stop, stop)
            pieces.append(samples[SAMPLE_BYTES * (position - run_start) : SAMPLE_BYTES * (until - run_start)])
            position = until
            if run_stop > stop:
                runs.appendleft((stop, samples[SAMPLE_BYTES * (stop - run_start) :]))
        if position < stop:
            pieces.append(bytes(SAMPLE_BYTES * (stop - position)))
        return b"".join(pieces)


class Timeline:
    """Place blocks, settle, give out stereo frames.

    Memory: the audio of at most `MAX_SKEW_S` of one track, plus what was placed since the last `settle` and `take`.

    Args:
        state: state to continue from; a fresh one has only a rate.
        taken: frames given out before, so not given out again.
        limit: longest recording, frames; what would lie beyond is dropped and counted.
    """

    def __init__(self, state: TimelineState, *, taken: int = 0, limit: int = MAX_FRAMES) -> None:
        self.rate: Final = state.rate
        """Samples a second."""
        self._origin = state.origin
        self._settled = state.settled
        self._taken = taken
        self._limit = limit
        self._customer = _Track(Party.CUSTOMER, state.customer)
        self._agent = _Track(Party.AGENT, state.agent)

    @property
    def origin(self) -> int | None:
        """The timeline's zero, samples since the epoch."""
        return self._origin

    @property
    def settled(self) -> int:
        """Frames that no later block can change."""
        return self._settled

    @property
    def taken(self) -> int:
        """Frames given out."""
        return self._taken

    @property
    def end(self) -> int:
        """Position after the last sample of either track."""
        return max(self._customer.counts.end, self._agent.counts.end)

    def state(self) -> TimelineState:
        """The timeline's state; it pairs with the frames taken only if `end <= taken`."""
        return TimelineState(
            rate=self.rate,
            origin=self._origin,
            settled=self._settled,
            customer=_copied(self._customer.counts),
            agent=_copied(self._agent.counts),
        )

    @property
    def full(self) -> bool:
        """True if samples were dropped because the recording had reached its longest."""
        return bool(self._customer.counts.beyond_limit or self._agent.counts.beyond_limit)

    def set_origin(self, origin: int) -> None:
        """Fix the timeline's zero: the earliest sample of the first fragment, samples since the epoch."""
        self._origin = origin

    def place(self, party: Party, start: int, samples: bytes, *, tick_ns: int, dangling: int = 0) -> Placed | None:
        """Place one block.

        Args:
            party: the track's party.
            start: time of its first sample, samples since the epoch.
            samples: mono 16-bit samples.
            tick_ns: resolution of the time, ns.
            dangling: bytes of the block that made no whole sample, counted if the block is placed.

        Returns:
            The placed samples; None for none.
        """
        length = len(samples) // SAMPLE_BYTES
        track = self._track(party)
        if not length:
            track.counts.dangling_bytes += dangling
            return None
        tolerance = self._tolerance(length, tick_ns)
        return self._put(track, self._join(track, start, length, tolerance), samples, tolerance, dangling)

    def place_run(
        self, party: Party, start: int, samples: bytes, *, block_length: int, tick_ns: int, dangling: int = 0
    ) -> list[Placed]:
        """Place equally long blocks that follow each other to the sample.

        A run is no more than a shortcut: its samples come to lie where its blocks, one by one, would.

        Args:
            party: the track's party.
            start: time of the first sample, samples since the epoch.
            samples: mono 16-bit samples.
            block_length: samples of each block.
            tick_ns: resolution of the time, ns.
            dangling: bytes of a single block that made no whole sample, counted if the block is placed.

        Returns:
            The placed samples, in order.
        """
        length = len(samples) // SAMPLE_BYTES
        if length <= block_length:
            only = self.place(party, start, samples, tick_ns=tick_ns, dangling=dangling)
            return [] if only is None else [only]
        track = self._track(party)
        tolerance = self._tolerance(block_length, tick_ns)
        position = self._join(track, start, block_length, tolerance)
        if position >= max(track.counts.end, self._settled) and position + length <= self._limit:
            whole = self._put(track, position, samples, tolerance, dangling)
            return [] if whole is None else [whole]
        size = block_length * SAMPLE_BYTES
        blocks = [samples[at : at + size] for at in range(0, len(samples), size)]
        placed = (
            self.place(party, start + index * block_length, block, tick_ns=tick_ns)
            for index, block in enumerate(blocks)
        )
        return [each for each in placed if each is not None]

    def _track(self, party: Party) -> _Track:
        return self._customer if party is Party.CUSTOMER else self._agent

    def _tolerance(self, block_length: int, tick_ns: int) -> int:
        """How far, in samples, a block may be off its predecessor's end and still join it."""
        return max(min(self.rate * JITTER_MS // 1000, block_length // 2), -(-tick_ns * self.rate // _NS))

    def _join(self, track: _Track, start: int, block_length: int, tolerance: int) -> int:
        """Turn a time into a position, and a position within the tolerance of the track's end into that end."""
        if self._origin is None:
            self._origin = start
        position = start - self._origin
        counts = track.counts
        offset = position - counts.end
        # Early by less than half a block, or the same block once more would pass for its successor.
        if counts.audio and -min(tolerance, (block_length - 1) // 2) <= offset <= tolerance:
            position = counts.end
            counts.max_jitter = max(counts.max_jitter, abs(offset))
        return position

    def _put(self, track: _Track, start: int, samples: bytes, tolerance: int, dangling: int) -> Placed | None:
        """Give samples their place, or count why they get none."""
        counts = track.counts
        length = len(samples) // SAMPLE_BYTES
        floor = max(counts.end, self._settled)
        if start + length <= 0 or start > floor + MAX_HOLE_S * self.rate:
            counts.out_of_range += length
            return None
        if start + length > self._limit:
            counts.beyond_limit += length
            return None
        if start < floor:
            if start < counts.end and start + length <= counts.end + tolerance:
                # No more than jitter sticks out at the end: the same audio once more, and its end is no new audio.
                before = max(0, -start)
                counts.out_of_range += before
                counts.repeated += length - before
                return None
            clipped = clip(start, length, counts.end, self._settled)
            counts.out_of_range += clipped.before
            counts.repeated += clipped.repeated
            counts.late += clipped.late
            if not clipped.kept:
                return None
            dropped = length - clipped.kept
            samples, start, length = samples[SAMPLE_BYTES * dropped :], start + dropped, clipped.kept
        gap = start - counts.end
        counts.gaps += gap > 0
        # Only here: of a block that comes again it was counted the first time.
        counts.dangling_bytes += dangling
        counts.audio += length
        counts.end = start + length
        track.runs.append((start, samples))
        return Placed(track.party, start, samples, gap)

    def settle(self) -> None:
        """Settle what both tracks have reached, and what the leading one has left more than the skew behind.

        To be called once a fragment, at its end: the result is part of what makes the output repeatable.
        """
        customer, agent = self._customer.counts.end, self._agent.counts.end
        self._settled = max(self._settled, min(customer, agent), max(customer, agent) - MAX_SKEW_S * self.rate)

    def close(self) -> list[Gap]:
        """Settle everything: the shorter track becomes silence up to the end of the longer one. May be called again.

        Returns:
            The silence at the end of the shorter track.
        """
        end = max(self.end, self._settled)
        if self._settled >= end:
            # Closed before, by a recorder that was killed then: its gaps are counted. Or no track is the shorter one.
            return []
        self._settled = end
        gaps: list[Gap] = []
        for track in (self._customer, self._agent):
            if track.counts.end < end:
                track.counts.gaps += 1
                gaps.append(Gap(party=track.party, start=track.counts.end, length=end - track.counts.end))
        return gaps

    def take(self) -> Iterator[bytes]:
        """Give out the settled frames that were not given out before, at most 32 KiB at a time."""
        return (interleave(left, right) for left, right in self.take_channels())

    def take_channels(self) -> Iterator[tuple[bytes, bytes]]:
        """Give out what `take` does as the customer's and the agent's samples."""
        while self._taken < self._settled:
            stop = min(self._taken + CHUNK_FRAMES, self._settled)
            left, right = self._customer.take(self._taken, stop), self._agent.take(self._taken, stop)
            self._taken = stop
            yield left, right

    def preview(self) -> Timeline:
        """A timeline that stands where this one does and has none of its samples: to try blocks on."""
        return Timeline(self.state(), taken=self._taken, limit=self._limit)

    def complete_up_to(self, party: Party) -> int:
        """Before which position nothing will come any more from a track, frames."""
        return max(self._track(party).counts.end, self._settled)
