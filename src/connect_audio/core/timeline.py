"""Two tracks on one timeline: blocks with absolute times in, settled stereo frames out.

A block joins its predecessor without a seam when its time differs from the predecessor's end by no more than the
jitter tolerance; later than that the hole becomes silence, earlier the overlap is dropped. A track that lags by more
than `MAX_SKEW_S` of media time becomes silence. Nothing here depends on how the blocks arrived, so reading the same
fragments again from a `TimelineState` gives the same frames (ADR 3).

Positions are frames since the origin, the earliest sample of the first block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

from connect_audio.core.pcm import FRAME_BYTES, SAMPLE_BYTES, Party, interleave
from connect_audio.core.wav import MAX_DATA_BYTES

JITTER_MS: Final = 10
"""Half of the shortest blocks telephony uses (20 ms): a lost one is always seen as a hole."""
MAX_SKEW_S: Final = 5
"""A track may lag the other so much before its place is taken by silence; 0.7 s has been seen in real streams."""
MAX_HOLE_S: Final = 4 * 3600
"""A longer jump forward is a broken clock, not a pause: the block is left out and counted."""
MAX_FRAMES: Final = MAX_DATA_BYTES // FRAME_BYTES
"""What a WAV can hold."""
_CHUNK_FRAMES: Final = 8192
_NS: Final = 1_000_000_000


def to_samples(time_ns: int, rate: int) -> int:
    """Turn a time into the nearest sample.

    Args:
        time_ns: ns since the epoch.
        rate: samples a second.
    """
    return (time_ns * rate + _NS // 2) // _NS


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackState:
    """Where one track stands and what became of its samples. All counts are samples.

    Args:
        end: position after its last sample.
        audio: samples placed.
        repeated: dropped because that time had been written from this track before.
        late: dropped because silence had taken their place.
        misplaced: dropped because their time lies before the origin or absurdly far ahead.
        beyond_limit: dropped because the recording had reached its longest.
        gaps: how many holes became silence.
        max_jitter: largest correction made in joining blocks.
        dangling_bytes: bytes that made no whole sample.
    """

    end: int = 0
    audio: int = 0
    repeated: int = 0
    late: int = 0
    misplaced: int = 0
    beyond_limit: int = 0
    gaps: int = 0
    max_jitter: int = 0
    dangling_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineState:
    """Everything a timeline knows besides samples: plain numbers, as long for a day as for a minute.

    Args:
        rate: samples a second.
        origin: of the timeline, samples since the epoch; None before the first block.
        settled: frames that no later block can change.
        customer: the left track.
        agent: the right track.
    """

    rate: int
    origin: int | None = None
    settled: int = 0
    customer: TrackState = TrackState()
    agent: TrackState = TrackState()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A hole in one track that became silence.

    Args:
        party: whose track.
        start: first silent position, frames.
        length: frames.
    """

    party: Party
    start: int
    length: int


_COUNTS: Final = tuple(TrackState.__dataclass_fields__)
_read_counts: Final = attrgetter(*_COUNTS)


class Snapshot(NamedTuple):
    """A `TimelineState` in the making: cheap to take once a fragment, turned into one only where a cursor is wanted."""

    settled: int
    customer: tuple[int, ...]
    agent: tuple[int, ...]


class Placement(NamedTuple):
    """Samples that got their place.

    Args:
        party: whose track.
        start: position of the first, frames since the origin.
        samples: mono 16-bit samples; none of them comes at another place, and nothing else comes at theirs.
    """

    party: Party
    start: int
    samples: bytes


class _Track:
    """A track's samples that have not been taken yet, and its counts, named as in `TrackState`."""

    __slots__ = (*_COUNTS, "party", "runs")

    def __init__(self, party: Party, state: TrackState) -> None:
        self.party = party
        self.runs: deque[tuple[int, bytes]] = deque()
        self.end = state.end
        self.audio = state.audio
        self.repeated = state.repeated
        self.late = state.late
        self.misplaced = state.misplaced
        self.beyond_limit = state.beyond_limit
        self.gaps = state.gaps
        self.max_jitter = state.max_jitter
        self.dangling_bytes = state.dangling_bytes

    def counts(self) -> tuple[int, ...]:
        return _read_counts(self)

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
        state: where to go on; a fresh one has only a rate.
        taken: frames given out before, so not given out again.
        limit: longest recording, frames; what would lie beyond is dropped and counted.
        watched: whether somebody takes the placements.
    """

    def __init__(self, state: TimelineState, *, taken: int = 0, limit: int = MAX_FRAMES, watched: bool = False) -> None:
        self._rate = state.rate
        self._origin = state.origin
        self._settled = state.settled
        self._taken = taken
        self._limit = limit
        self._lowest_placed: int | None = None
        self._customer = _Track(Party.CUSTOMER, state.customer)
        self._agent = _Track(Party.AGENT, state.agent)
        self._gaps: list[Gap] = []
        self._watched = watched
        self._placements: list[Placement] = []

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self._rate

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
        return max(self._customer.end, self._agent.end)

    def snapshot(self) -> Snapshot:
        """Where the timeline stands after all that was placed and settled."""
        return Snapshot(self._settled, self._customer.counts(), self._agent.counts())

    def state(self, snapshot: Snapshot) -> TimelineState:
        """The state that a snapshot of this timeline stands for; pairs with frames only where `end <= taken`."""
        return TimelineState(
            rate=self._rate,
            origin=self._origin,
            settled=snapshot.settled,
            customer=TrackState(**dict(zip(_COUNTS, snapshot.customer, strict=True))),
            agent=TrackState(**dict(zip(_COUNTS, snapshot.agent, strict=True))),
        )

    @property
    def full(self) -> bool:
        """Whether samples were dropped because the recording had reached its longest."""
        return bool(self._customer.beyond_limit or self._agent.beyond_limit)

    def set_origin(self, origin: int) -> None:
        """Fix the timeline's zero: the earliest sample of the first fragment, samples since the epoch."""
        self._origin = origin

    def place(
        self, party: Party, start: int, samples: bytes, *, tick_ns: int, block_length: int = 0, dangling: int = 0
    ) -> None:
        """Place one block, or a run of blocks that follow each other to the sample.

        A run is no more than a shortcut: its samples come to lie where its blocks, one by one, would.

        Args:
            party: whose track.
            start: time of its first sample, samples since the epoch.
            samples: mono 16-bit samples.
            tick_ns: resolution of the time, ns.
            block_length: samples of each block of a run; 0 for a single block.
            dangling: bytes of the block that made no whole sample, counted if the block is placed.
        """
        track = self._customer if party is Party.CUSTOMER else self._agent
        length = len(samples) // SAMPLE_BYTES
        if not length:
            track.dangling_bytes += dangling
            return
        if self._origin is None:
            self._origin = start
        start -= self._origin
        asked = start
        one = block_length or length
        tolerance = max(min(self._rate * JITTER_MS // 1000, one // 2), -(-tick_ns * self._rate // _NS))
        offset = start - track.end
        # Early by less than half a block, or the same block once more would pass for its successor.
        if track.audio and -min(tolerance, (one - 1) // 2) <= offset <= tolerance:
            start = track.end
            track.max_jitter = max(track.max_jitter, abs(offset))
        if one < length and (start < max(track.end, self._settled) or start + length > self._limit):
            size = one * SAMPLE_BYTES
            for at in range(0, len(samples), size):
                block_start = self._origin + asked + at // SAMPLE_BYTES
                self.place(party, block_start, samples[at : at + size], tick_ns=tick_ns)
            return
        if start + length <= 0 or start > max(track.end, self._settled) + MAX_HOLE_S * self._rate:
            track.misplaced += length
            return
        if start + length > self._limit:
            track.beyond_limit += length
            return
        floor = max(track.end, self._settled)
        if start < floor:
            if start < track.end and start + length <= track.end + tolerance:
                # No more than jitter sticks out at the end: the same audio once more, and its end is no new audio.
                before = max(0, -start)
                track.misplaced += before
                track.repeated += length - before
                return
            # Of what is dropped, the first samples lie before the origin, the next were written from this track, the
            # last had become silence.
            stop = min(start + length, floor)
            before = max(0, min(0, stop) - start)
            repeated = max(0, min(track.end, stop) - max(start, 0))
            track.misplaced += before
            track.repeated += repeated
            track.late += stop - start - before - repeated
            if stop == start + length:
                return
            samples = samples[SAMPLE_BYTES * (stop - start) :]
            length -= stop - start
            start = stop
        if start > track.end:
            self._add_gap(track, track.end, start)
        # Only here: of a block that comes again it was counted the first time.
        track.dangling_bytes += dangling
        track.runs.append((start, samples))
        if self._watched:
            self._placements.append(Placement(party, start, samples))
        track.audio += length
        self._lowest_placed = start if self._lowest_placed is None else min(self._lowest_placed, start)
        track.end = start + length

    def _add_gap(self, track: _Track, start: int, stop: int) -> None:
        track.gaps += 1
        self._gaps.append(Gap(party=track.party, start=start, length=stop - start))

    def take_lowest_placed(self) -> int | None:
        """The first position that got a sample since the last call; None where none did."""
        lowest, self._lowest_placed = self._lowest_placed, None
        return lowest

    def settle(self) -> None:
        """Settle what both tracks have reached, and what the leading one has left more than the skew behind.

        To be called once a fragment, at its end: the result is part of what makes the output repeatable.
        """
        customer, agent = self._customer.end, self._agent.end
        self._settled = max(self._settled, min(customer, agent), max(customer, agent) - MAX_SKEW_S * self._rate)

    def close(self) -> None:
        """Settle everything: the shorter track becomes silence up to the end of the longer one. May be called again."""
        end = max(self.end, self._settled)
        if self._settled >= end:
            # Closed before, by a recorder that was killed then: its gaps are counted. Or no track is the shorter one.
            return
        self._settled = end
        for track in (self._customer, self._agent):
            if track.end < end:
                self._add_gap(track, track.end, end)

    def take(self) -> Iterator[bytes]:
        """Give out the settled frames that were not given out before, at most 32 KiB at a time."""
        while self._taken < self._settled:
            stop = min(self._taken + _CHUNK_FRAMES, self._settled)
            left, right = self._customer.take(self._taken, stop), self._agent.take(self._taken, stop)
            self._taken = stop
            yield interleave(left, right)

    def preview(self) -> Timeline:
        """A watched timeline that stands where this one does and has none of its samples: to try blocks on."""
        return Timeline(self.state(self.snapshot()), taken=self._taken, limit=self._limit, watched=True)

    def take_placements(self) -> list[Placement]:
        """Give out what was placed since the last call, where this timeline is watched."""
        placements, self._placements = self._placements, []
        return placements

    def stop_watching(self) -> None:
        """Nobody takes the placements any more."""
        self._watched = False
        self._placements.clear()

    def reached(self, party: Party) -> int:
        """Before which position nothing will come any more from a track, frames."""
        track = self._customer if party is Party.CUSTOMER else self._agent
        return max(track.end, self._settled)

    def take_gaps(self) -> list[Gap]:
        """Give out the holes found since the last call."""
        gaps, self._gaps = self._gaps, []
        return gaps
