"""Two tracks on one timeline: blocks with absolute times in, settled stereo frames out.

A block joins its predecessor without a seam when its time differs from the predecessor's end by no more than the
jitter tolerance. A later block leaves a gap. Samples that come for silence are put there while the silence is
unsettled. Samples that come for written audio are dropped: as repeated if they are the same, else as conflicting.
A track that lags by more than `MAX_SKEW_S` of media time becomes silence.

Nothing here depends on how the blocks arrived. Reading the same fragments again from a `TimelineState` gives the same
frames and the same accounts (ADR 3).

Positions are frames since the origin, the earliest sample of the first block.

*How it works.* `place` turns a block's time into a position. `_join` moves it to the track's end if it is within the
tolerance. Behind the end of the track and the settled frames a block is appended. `_sort_out` gives each sample of any
other block its account. Placed samples wait in their track. `settle`, once a fragment, fixes what both tracks have
reached without a hole, and what lies more than `MAX_SKEW_S` behind the leading one. It accounts for the silence in
there (`silence.py`). `take` gives out settled frames, with silence where a track has none.

| state | changes with |
| --- | --- |
| each track's samples that wait, what it has written (`written.py`), its `TrackCounts` | `place`, `settle`, `take` |
| `origin` | the first block, once |
| `settled` | `settle`, `close` |
| `taken` | `take` |
| what a process before gave out beyond the state (`carried.py`) | `settle`, `close` |
| the fragment that is placed | `begin` |
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from operator import attrgetter, itemgetter
from typing import Any, Final, Literal, NamedTuple

from connect_audio.core.accounts import Amount, TrackCounts
from connect_audio.core.carried import NOTHING_CARRIED, CarriedAudio, CarriedTrack, within, without
from connect_audio.core.copying import copier, reader
from connect_audio.core.ebml import new_tuple
from connect_audio.core.pcm import CHUNK_FRAMES, FRAME_BYTES, SAMPLE_BYTES, Party, interleave
from connect_audio.core.silence import (
    Gap,
    HoleCounts,
    MissingBetween,
    SettledGap,
    gaps_before,
    holes_of,
    reached,
    silent_in_both,
    silent_stretches,
    with_silence,
)
from connect_audio.core.wav import MAX_DATA_BYTES
from connect_audio.core.written import LEAST_COMPARED, Kind, Stretch, WrittenAudio, WrittenState
from connect_audio.values import dataclass

JITTER_MS: Final = 10
"""Half of the shortest blocks telephony uses (20 ms): a lost one is always seen as a hole."""
MAX_SKEW_S: Final = 5
"""Longest time that audio waits for an earlier part or the other track, media time; then silence takes its place.

A lag of 0.7 s has been seen in real streams.
"""
MAX_HOLE_S: Final = 4 * 3600
"""A longer jump forward is a broken clock, not a pause: the block is left out and counted."""
MAX_FRAMES: Final = MAX_DATA_BYTES // FRAME_BYTES
"""Most frames that a WAV can hold."""
MAX_STRETCHES: Final = 256
"""Most stretches of a track that wait to be settled. Beyond, the oldest settles although it has not waited long."""
_MOST_TOLERANCES: Final = 64
"""Lengths of blocks whose tolerance is remembered; a call has one or two."""
_NS: Final = 1_000_000_000


def to_samples(time_ns: int, rate: int) -> int:
    """Turn a time into the nearest sample.

    Args:
        time_ns: ns since the epoch.
        rate: samples a second.
    """
    return (time_ns * rate + _NS // 2) // _NS


_copied: Final = copier(TrackCounts)
_values_of: Final = reader(TrackCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineState:
    """Everything a timeline knows besides samples: plain values, as long for a day as for a minute.

    Args:
        rate: samples a second.
        origin: origin of the timeline, samples since the epoch; None before the first block.
        settled: frames that no later block can change.
        customer: accounts of the left track.
        agent: accounts of the right track.
        customer_written: written audio of the left track.
        agent_written: written audio of the right track.
    """

    rate: int
    origin: int | None = None
    settled: int = 0
    customer: TrackCounts = field(default_factory=TrackCounts)
    agent: TrackCounts = field(default_factory=TrackCounts)
    customer_written: WrittenState = field(default_factory=WrittenState)
    agent_written: WrittenState = field(default_factory=WrittenState)


class NotedTimeline(NamedTuple):
    """The values of `TimelineState`, quick to note.

    Args:
        rate: samples a second.
        origin: origin of the timeline, samples since the epoch; None before the first block.
        settled: frames that no later block can change.
        customer: values of the left track's `TrackCounts`.
        agent: values of the right track's.
        customer_written: written audio of the left track.
        agent_written: written audio of the right track.
    """

    rate: int
    origin: int | None
    settled: int
    customer: tuple[Any, ...]
    agent: tuple[Any, ...]
    customer_written: WrittenAudio
    agent_written: WrittenAudio

    def state(self) -> TimelineState:
        """The timeline's state."""
        return TimelineState(
            rate=self.rate,
            origin=self.origin,
            settled=self.settled,
            customer=TrackCounts(*self.customer),
            agent=TrackCounts(*self.agent),
            customer_written=self.customer_written.state(),
            agent_written=self.agent_written.state(),
        )


class Placed(NamedTuple):
    """Samples that got their place on a timeline.

    Args:
        party: the track's party.
        start: position of the first, frames since the origin.
        samples: mono 16-bit samples; each gets one position, and each position one sample.
    """

    party: Party
    start: int
    samples: bytes


class Settled(NamedTuple):
    """The silence in newly settled frames.

    Args:
        gaps: gaps that end there.
        holes: silence of both tracks.
    """

    gaps: Sequence[SettledGap]
    holes: HoleCounts


NO_SILENCE: Final = Settled((), HoleCounts())
"""Settled frames with audio alone."""


type Account = Literal["repeated", "late", "out_of_range", "conflicting", "beyond_limit"]
"""The name of an account of samples in `Dropped`."""


def unknown_numbers(_before: str, _after: str) -> None:
    """Return None: no number shows which fragments are missing, see `MissingBetween`."""


@dataclass(slots=True)
class _Again:
    """Blocks of one fragment that came for written audio and follow each other without a gap.

    Args:
        stop: position after the last one, frames.
        tail: its samples behind the last whole cell.
        is_shown: True once a whole cell is shown to be the same.
        unshown: samples and bytes of them that were booked as conflicting for want of a whole cell.
    """

    stop: int
    tail: bytes
    is_shown: bool
    unshown: Amount = field(default_factory=Amount)


class _Track:
    """A track's samples that have not been taken yet, what it has written, and its accounts."""

    __slots__ = ("again", "counts", "party", "runs", "written")

    def __init__(self, party: Party, counts: TrackCounts, written: WrittenAudio) -> None:
        self.party = party
        self.again: _Again | None = None
        self.counts = _copied(counts)
        self.written = written
        self.runs: deque[tuple[int, bytes]] = deque()

    def append(self, start: int, samples: bytes, length: int, size: int, fragment: str) -> Placed:
        """Write samples at or behind the track's end.

        Args:
            start: position of the first, frames.
            samples: mono 16-bit samples.
            length: how many.
            size: their bytes of payload.
            fragment: key of their fragment.
        """
        counts = self.counts
        counts.audio += length
        counts.written_bytes += size
        counts.end = stop = start + length
        self.runs.append((start, samples))
        self.written.append(start, stop, samples, fragment)
        return new_tuple(Placed, (self.party, start, samples))

    def insert(self, start: int, samples: bytes, size: int, fragment: str) -> Placed:
        """Write samples into unsettled silence; the arguments are as for `append`."""
        length = len(samples) // SAMPLE_BYTES
        self.counts.audio += length
        self.counts.written_bytes += size
        insort(self.runs, (start, samples), key=itemgetter(0))
        self.written.insert(start, start + length, samples, fragment)
        return Placed(self.party, start, samples)

    def carry(self, stretch: Stretch, width: int) -> None:
        """Write samples that were taken by a process before; zeros stand for them.

        Args:
            stretch: their positions, all silent.
            width: bytes of payload of one sample.
        """
        counts = self.counts
        self.written.begin()
        length = stretch.stop - stretch.start
        counts.carried = counts.carried.plus(length, length * width)
        # The first sample alone where the stretch has different fragments at its ends.
        middle = stretch.start + (stretch.first != stretch.last)
        for start, stop, key in ((stretch.start, middle, stretch.first), (middle, stretch.stop, stretch.last)):
            samples = bytes(SAMPLE_BYTES * (stop - start))
            if samples and start >= counts.end:
                self.append(start, samples, stop - start, (stop - start) * width, key)
            elif samples:
                self.insert(start, samples, (stop - start) * width, key)

    def drop(self, account: Account, length: int, size: int) -> None:
        """Count samples that are not written.

        Args:
            account: the account.
            length: how many.
            size: their bytes of payload.
        """
        if length or size:
            dropped = self.counts.dropped
            amount: Amount = getattr(dropped, account)
            changed: dict[str, Any] = {account: amount.plus(length, size)}
            self.counts.dropped = replace(dropped, **changed)

    def is_same(self, first: int, samples: bytes) -> bool:
        """Return True if samples are shown to equal the written ones, by themselves or with the block before.

        A block that is shorter than two cells may hold no whole cell. It is compared together with the blocks of its
        fragment that join it.

        Args:
            first: position of the first, frames.
            samples: mono 16-bit samples; one stretch reaches over all of them.
        """
        again, written = self.again, self.written
        stop = first + len(samples) // SAMPLE_BYTES
        start = first
        if again is not None and again.stop == first and written.begins_before(first):
            start, samples = first - len(again.tail) // SAMPLE_BYTES, again.tail + samples
        else:
            again = None
        is_shown = again is not None and again.is_shown
        if written.cells_of(start, stop):
            if not written.is_same(start, samples):
                self.again = None
                return False
            is_shown = True
        elif not written.is_comparable(start):
            self.again = None
            return False
        tail = samples[SAMPLE_BYTES * max(0, stop // written.cell * written.cell - start) :]
        unshown = Amount() if again is None else again.unshown
        if is_shown and unshown.bytes:
            dropped = self.counts.dropped
            self.counts.dropped = replace(
                dropped,
                conflicting=dropped.conflicting.plus(-unshown.samples, -unshown.bytes),
                repeated=dropped.repeated.plus(unshown.samples, unshown.bytes),
            )
            unshown = Amount()
        self.again = _Again(stop, tail, is_shown, unshown)
        return is_shown

    def note_unshown(self, last: int, length: int, size: int) -> None:
        """Note samples that were booked as conflicting: what follows them may show that they are the same.

        Args:
            last: position after the last, frames.
            length: how many.
            size: their bytes of payload.
        """
        again = self.again
        if again is not None and again.stop == last and not again.is_shown:
            again.unshown = again.unshown.plus(length, size)

    def dangle(self, size: int) -> None:
        """Count bytes that make no whole sample."""
        if size:
            dropped = self.counts.dropped
            self.counts.dropped = replace(dropped, dangling_bytes=dropped.dangling_bytes + size)

    def take(self, start: int, stop: int) -> bytes:
        """Samples of [start, stop), silence where there are none; what lies before is gone."""
        runs = self.runs
        if runs and runs[0][0] == start and len(runs[0][1]) == SAMPLE_BYTES * (stop - start):
            # So it is with each fragment of a call whose tracks have the same length.
            return runs.popleft()[1]
        pieces: list[bytes] = []
        position = start
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


class _Block(NamedTuple):
    """A block at a position.

    Args:
        start: position of its first sample, frames; may be negative.
        samples: mono 16-bit samples.
        tolerance: jitter tolerance, samples.
        width: bytes of payload of one sample.
        dangling: bytes that made no whole sample.
    """

    start: int
    samples: bytes
    tolerance: int
    width: int
    dangling: int


class Timeline:
    """Place blocks, settle, give out stereo frames.

    Memory: the audio of at most `MAX_SKEW_S` of one track, what was placed since the last `settle` and `take`, and
    what `WrittenAudio` keeps.

    Args:
        state: state to continue from; a fresh one has only a rate.
        taken: frames given out before, so not given out again.
        limit: longest recording, frames; what would lie beyond is dropped and counted.
        written: written audio of the tracks, customer first; the state's if None.
        carried: audio among the frames given out before that the state does not know.
    """

    def __init__(
        self,
        state: TimelineState,
        *,
        taken: int = 0,
        limit: int = MAX_FRAMES,
        written: tuple[WrittenAudio, WrittenAudio] | None = None,
        carried: CarriedAudio = NOTHING_CARRIED,
    ) -> None:
        self.rate: Final = state.rate
        """Samples a second."""
        self._origin = state.origin
        self._settled = state.settled
        self._taken = taken
        self._limit = limit
        self._carried = carried
        self._given = taken if taken > state.settled else 0  # frames given out before and not settled again yet
        customer, agent = written or (
            WrittenAudio(state.rate, state.customer.end, state.customer_written),
            WrittenAudio(state.rate, state.agent.end, state.agent_written),
        )
        self._customer = _Track(Party.CUSTOMER, state.customer, customer)
        self._agent = _Track(Party.AGENT, state.agent, agent)
        self._tolerances: dict[tuple[int, int], tuple[int, int]] = {}
        self._fragment = ""
        self._is_repeated = False

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
        return self.noted().state()

    def noted(self) -> NotedTimeline:
        """The values of the timeline's state."""
        customer, agent = self._customer, self._agent
        return new_tuple(
            NotedTimeline,
            (
                self.rate,
                self._origin,
                self._settled,
                _values_of(customer.counts),
                _values_of(agent.counts),
                customer.written.copy(),
                agent.written.copy(),
            ),
        )

    def counts(self) -> TimelineState:
        """The timeline's state without what the tracks have written: quick to make."""
        return TimelineState(
            rate=self.rate,
            origin=self._origin,
            settled=self._settled,
            customer=_copied(self._customer.counts),
            agent=_copied(self._agent.counts),
        )

    def written(self) -> tuple[WrittenAudio, WrittenAudio]:
        """Written audio of the tracks, customer first: copies that go on by themselves."""
        return self._customer.written.copy(), self._agent.written.copy()

    @property
    def full(self) -> bool:
        """True if samples were dropped because the recording had reached its longest."""
        return any(track.counts.dropped.beyond_limit.samples for track in (self._customer, self._agent))

    def set_origin(self, origin: int) -> None:
        """Fix the timeline's zero: the earliest sample of the first fragment, samples since the epoch."""
        self._origin = origin

    def begin(self, fragment: str, *, is_repeated: bool) -> None:
        """Begin a fragment: the blocks that are placed from now on are of it.

        Args:
            fragment: its key.
            is_repeated: True if it was admitted before, so that audio over written audio needs no comparison.
        """
        self._fragment, self._is_repeated = fragment, is_repeated
        for track in (self._customer, self._agent):
            track.again = None
            track.written.begin()

    def place(
        self,
        party: Party,
        start: int,
        samples: bytes,
        *,
        tick_ns: int,
        width: int = SAMPLE_BYTES,
        dangling: int = 0,
    ) -> list[Placed]:
        """Place one block.

        Args:
            party: the track's party.
            start: time of its first sample, samples since the epoch.
            samples: mono 16-bit samples.
            tick_ns: resolution of the time, ns.
            width: bytes of payload of one sample.
            dangling: bytes of the block that made no whole sample.

        Returns:
            The placed samples, in order; empty for none.
        """
        length = len(samples) // SAMPLE_BYTES
        track = self._track(party)
        if not length:
            track.dangle(dangling)
            return []
        if self._origin is None:
            self._origin = start
        claimed, counts = start - self._origin, track.counts
        early, late = self._tolerance(length, tick_ns)
        is_coarse = early > (length - 1) // 2
        if is_coarse and claimed < counts.end and track.written.is_last_block(claimed, samples) and any(samples):
            # With so coarse a time the same block once more would pass for its successor.
            track.drop("repeated", length, length * width + dangling)
            return []
        position = self._join(counts, claimed, early, late)
        placed = self._put(track, _Block(position, samples, late, width, dangling))
        if is_coarse and placed:
            track.written.note_block(claimed, samples)
        return placed

    def place_run(
        self,
        party: Party,
        start: int,
        samples: bytes,
        *,
        block_length: int,
        tick_ns: int,
        width: int = SAMPLE_BYTES,
        dangling: int = 0,
    ) -> list[Placed]:
        """Place equally long blocks that follow each other to the sample.

        A run is no more than a shortcut: its samples come to lie where its blocks, one by one, would.

        Args:
            party: the track's party.
            start: time of the first sample, samples since the epoch.
            samples: mono 16-bit samples.
            block_length: samples of each block.
            tick_ns: resolution of the time, ns.
            width: bytes of payload of one sample.
            dangling: bytes of a single block that made no whole sample.

        Returns:
            The placed samples, in order.
        """
        length = len(samples) // SAMPLE_BYTES
        track = self._track(party)
        counts = track.counts
        if length > block_length and self._origin is not None:
            early, late = self._tolerance(block_length, tick_ns)
            if early <= (block_length - 1) // 2:
                position = self._join(counts, start - self._origin, early, late)
                floor = max(counts.end, self._settled)
                is_free = floor <= position <= floor + MAX_HOLE_S * self.rate and position >= self._given
                if is_free and position + length <= self._limit:
                    return [track.append(position, samples, length, length * width, self._fragment)]
        size = max(block_length, 1) * SAMPLE_BYTES
        if len(samples) <= size:
            return self.place(party, start, samples, tick_ns=tick_ns, width=width, dangling=dangling)
        return [
            placed
            for at in range(0, len(samples), size)
            for placed in self.place(
                party, start + at // SAMPLE_BYTES, samples[at : at + size], tick_ns=tick_ns, width=width
            )
        ]

    def is_written(self, party: Party, start: int, samples: bytes) -> bool | None:
        """Return True if samples are written already at most the jitter from their time.

        Args:
            party: the track's party.
            start: time of the first sample, samples since the epoch.
            samples: mono 16-bit samples.

        Returns:
            None for samples that are too few to compare, or all zero.
        """
        if self._origin is None or len(samples) // SAMPLE_BYTES < LEAST_COMPARED * self._track(party).written.cell:
            return None
        if not any(samples):
            return None
        jitter = self.rate * JITTER_MS // 1000
        return self._track(party).written.is_same_within(start - self._origin, samples, jitter)

    def _track(self, party: Party) -> _Track:
        return self._customer if party is Party.CUSTOMER else self._agent

    def _tolerance(self, block_length: int, tick_ns: int) -> tuple[int, int]:
        """How far, in samples, a block may begin before and after its predecessor's end and still join it."""
        known = self._tolerances.get((block_length, tick_ns))
        if known is not None:
            return known
        tick = -(-tick_ns * self.rate // _NS)
        jitter = min(self.rate * JITTER_MS // 1000, block_length // 2)
        # Early by less than half a block, or the same block once more would pass for its successor. Coarser times
        # cannot keep to that.
        early = max(min(jitter, (block_length - 1) // 2), tick if tick > block_length // 2 else 0)
        if len(self._tolerances) >= _MOST_TOLERANCES:
            self._tolerances.clear()
        self._tolerances[block_length, tick_ns] = early, max(jitter, tick)
        return early, max(jitter, tick)

    @staticmethod
    def _join(counts: TrackCounts, position: int, early: int, late: int) -> int:
        """Return the track's end for a position within the tolerance of it, else the position."""
        offset = position - counts.end
        if offset and counts.audio and -early <= offset <= late:
            counts.max_jitter = max(counts.max_jitter, abs(offset))
            return counts.end
        return position

    def _put(self, track: _Track, block: _Block) -> list[Placed]:
        """Give samples their place, or count why they get none."""
        start, length = block.start, len(block.samples) // SAMPLE_BYTES
        floor = max(track.counts.end, self._settled)
        size = length * block.width + block.dangling
        if start + length <= 0 or start > floor + MAX_HOLE_S * self.rate:
            track.drop("out_of_range", length, size)
            return []
        if start + length > self._limit:
            track.drop("beyond_limit", length, size)
            return []
        if start < floor or start < self._given:
            return self._sort_out(track, block)
        track.dangle(block.dangling)
        return [track.append(start, block.samples, length, length * block.width, self._fragment)]

    def _sort_out(self, track: _Track, block: _Block) -> list[Placed]:
        """Give each sample of a block its account that does not lie wholly behind the track's end and what is settled.

        The block's dangling bytes are booked with its last sample.
        """
        start, samples, width = block.start, block.samples, block.width
        stop = start + len(samples) // SAMPLE_BYTES
        shares = self._shares(track, block)
        placed = []
        for account, first, last in shares:
            size = (last - first) * width
            part = samples[SAMPLE_BYTES * (first - start) : SAMPLE_BYTES * (last - start)]
            if account is not None:
                size += block.dangling if last == stop else 0
                track.drop(account, last - first, size)
                if account == "conflicting":
                    track.note_unshown(last, last - first, size)
            elif first >= track.counts.end:
                placed.append(track.append(first, part, last - first, size, self._fragment))
            else:
                placed.append(track.insert(first, part, size, self._fragment))
        if shares and shares[-1][0] is None:
            track.dangle(block.dangling)
        return placed

    def _shares(self, track: _Track, block: _Block) -> list[tuple[Account | None, int, int]]:
        """Divide a block: each part's account, None for a part that is written, and its positions."""
        start, samples = block.start, block.samples
        stop, end = start + len(samples) // SAMPLE_BYTES, track.counts.end
        shares: list[tuple[Account | None, int, int]] = []

        def share(account: Account | None, first: int, last: int) -> None:
            if first < last:
                shares.append((account, first, last))

        share("out_of_range", start, min(0, stop))
        is_same = True
        for first, last, kind in track.written.segments(max(0, start), min(stop, end)):
            if kind is Kind.SILENCE:
                at_edge = (first == start) != (last == stop)
                if self._is_repeated and at_edge and last - first <= block.tolerance:
                    # Its times jitter against the joined audio: what sticks out into a hole is no new audio.
                    share("repeated", first, last)
                    continue
                middle = max(first, min(last, self._settled))
                share("late", first, middle)
                share(None, middle, last)
                continue
            part = samples[SAMPLE_BYTES * (first - start) : SAMPLE_BYTES * (last - start)]
            if self._is_repeated or (kind is Kind.AUDIO and track.is_same(first, part)):
                share("repeated", first, last)
            else:
                is_same = False
                share("conflicting", first, last)
        behind = max(0, start, end)
        middle = max(behind, min(stop, self._settled))
        sticks_out = self._is_repeated and start < end and stop <= end + block.tolerance
        # Jitter that sticks out of a repeated fragment is no new audio.
        share("repeated" if sticks_out else "late", behind, middle)
        share("repeated" if sticks_out else None, middle, stop)
        jitter = min(block.tolerance, self.rate * JITTER_MS // 1000)
        if not is_same and start >= 0 and track.written.is_same_within(start, samples, jitter):
            return [("repeated", start, stop)]
        return self._outside_given(track, shares) if start < self._given else shares

    def _outside_given(
        self, track: _Track, shares: Sequence[tuple[Account | None, int, int]]
    ) -> list[tuple[Account | None, int, int]]:
        """Shares of a block, with nothing written where a process before gave out silence: that part is late."""
        carried = self._carried.of(track.party)
        found: list[tuple[Account | None, int, int]] = []
        for account, first, last in shares:
            given = min(last, self._given)
            if account is not None or given <= first:
                found.append((account, first, last))
                continue
            unknown = Stretch(0, carried.known_from, "", "")
            parts = [unknown, *without(carried.stretches, [unknown])]
            free = [(each.start, each.stop) for each in within(parts, first, given)]
            if given < last:
                free.append((given, last))
            position = first
            for start, stop in free:
                if position < start:
                    found.append(("late", position, start))
                    position = start
                if found and found[-1][0] is None and found[-1][2] == start:
                    found[-1] = (None, found[-1][1], stop)
                else:
                    found.append((None, start, stop))
                position = stop
            if position < last:
                found.append(("late", position, last))
        return found

    def settle(self, missing_between: MissingBetween = unknown_numbers) -> Settled:
        """Settle what both tracks have reached, and what lies more than the skew behind the leading one.

        To be called once a fragment, at its end: the result is part of what makes the output repeatable.

        Args:
            missing_between: counts the fragments that are missing between two.

        Returns:
            The silence in the newly settled frames.
        """
        customer, agent, settled = self._customer.written, self._agent.written, self._settled
        latest = max(customer.stop, agent.stop) - MAX_SKEW_S * self.rate
        if customer.start <= settled and agent.start <= settled:
            # No hole waits.
            settled = max(settled, latest, min(customer.stop, agent.stop))
        else:
            for written in (customer, agent):
                if len(written.closed) > MAX_STRETCHES:
                    latest = max(latest, written.closed[-MAX_STRETCHES].start)
            settled = max(settled, latest, min(reached(customer, settled), reached(agent, settled)))
        return self._settle(settled, missing_between)

    def _settle(self, settled: int, missing_between: MissingBetween) -> Settled:
        """Settle up to a position and account for the silence."""
        before, self._settled = self._settled, settled
        if self._given:
            self._carry(before)
        customer, agent = self._customer.written, self._agent.written
        found = NO_SILENCE
        if not (
            customer.start <= before and agent.start <= before and customer.stop >= settled and agent.stop >= settled
        ):
            found = self._account_for_silence(before, missing_between)
        if customer.closed or agent.closed:
            customer.drop_before(settled)
            agent.drop_before(settled)
        return found

    def _carry(self, before: int) -> None:
        """Write the carried audio that was not read again, between what was settled before and now."""
        settled = self._settled
        for track in (self._customer, self._agent):
            carried = self._carried.of(track.party)
            silent = [Stretch(start, stop, "", "") for start, stop in silent_stretches(track.written, before, settled)]
            for stretch in within(carried.stretches, before, settled):
                for part in silent:
                    for each in within([stretch], part.start, part.stop):
                        track.carry(each, carried.width)
        if settled >= self._given:
            self._given, self._carried = 0, NOTHING_CARRIED

    def carried_from(self, point: TimelineState | None) -> CarriedAudio:
        """The audio among the frames given out that an earlier state does not know.

        Args:
            point: the state; None for the one before the first audio.
        """
        known = point or TimelineState(rate=self.rate)
        if known.settled >= self._taken:
            return NOTHING_CARRIED
        return CarriedAudio(
            rate=self.rate if point is None else None,
            origin=self._origin if point is None else None,
            customer=self._carried_of(self._customer, known, known.customer, known.customer_written),
            agent=self._carried_of(self._agent, known, known.agent, known.agent_written),
        )

    def _carried_of(
        self, track: _Track, point: TimelineState, counts: TrackCounts, written: WrittenState
    ) -> CarriedTrack:
        """The audio of one track among the frames given out that a state does not know."""
        carried = self._carried.of(track.party)
        there = list(track.written.stretches(point.settled))
        there += without(carried.stretches, there)
        known = (*written.closed, Stretch(written.start, counts.end, "", ""))
        found = tuple(within(without(sorted(there, key=attrgetter("start")), known), point.settled, self._taken))
        known_from = max(track.written.known_from, carried.known_from)
        if known_from <= point.settled:
            known_from = 0
        audio = track.counts.audio - counts.audio
        if not found and not known_from:
            return CarriedTrack()
        width = (track.counts.written_bytes - counts.written_bytes) // audio if audio else carried.width
        return CarriedTrack(stretches=found, width=width, known_from=known_from)

    def _account_for_silence(self, before: int, missing_between: MissingBetween) -> Settled:
        """Account for the silence between what was settled before and now, frames."""
        settled = self._settled
        tracks = (self._customer, self._agent)
        written = [track.written for track in tracks]
        gaps = [gap for track in tracks for gap in gaps_before(track.party, track.written, settled)]
        both = list(silent_in_both(written, before, settled, rate=self.rate, missing_between=missing_between))
        for track in tracks:
            track.counts.gaps += sum(gap.gap.party is track.party for gap in gaps)
            silent = sum(stop - start for start, stop in silent_stretches(track.written, before, settled))
            if silent:
                track.counts.silence = with_silence(track.counts.silence, both, silent)
        return Settled(gaps, holes_of(both))

    def close(self, missing_between: MissingBetween = unknown_numbers) -> Settled:
        """Settle everything: the shorter track becomes silence up to the end of the longer one. May be called again.

        Args:
            missing_between: see `settle`.

        Returns:
            The silence in the newly settled frames, and the gap at the end of the shorter track.
        """
        end = max(self.end, self._settled, self._given)
        if self._settled >= end:
            # Closed before, by a recorder that was killed then: its gaps are counted. Or no track is the shorter one.
            return NO_SILENCE
        gaps, holes = self._settle(end, missing_between)
        last = []
        for track in (self._customer, self._agent):
            stop = track.counts.end
            if stop < end:
                track.counts.gaps += 1
                last.append(SettledGap(Gap(party=track.party, start=stop, length=end - stop), track.written.last, ""))
        return Settled((*gaps, *last), holes)

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
        """A timeline that stands where this one does: to try blocks on. It gives out no frames."""
        return Timeline(
            self.counts(), taken=self._taken, limit=self._limit, written=self.written(), carried=self._carried
        )

    def complete_up_to(self, party: Party) -> int:
        """Before which position a track is complete, frames, but for unsettled silence that may yet be filled."""
        return max(self._track(party).counts.end, self._settled)
