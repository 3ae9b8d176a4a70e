"""Both laws of the accounts: whatever comes in whatever order, each byte and each frame is in exactly one account.

The oracle is a dict from position to sample for each party, and no line of the timeline. Everything lies on the grid of
4 ms on which audio is compared, so that the oracle may compare sample by sample.
"""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.accounts import PartyBytes, TrackCounts, imbalances
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.timeline import Timeline, TimelineState
from support.examples import examples

RATE: Final = 1000
"""Low, so that the oracle is quick."""
CELL: Final = 4
JITTER: Final = 10
TICK: Final = 1
WAIT: Final = 5 * RATE
ORIGIN: Final = 14_263_301_236_288


@dataclass(frozen=True)
class Piece:
    """A block: whose, when, how long and with whose content, in cells of 4 ms."""

    party: Party
    start: int
    length: int
    take: int

    def values(self) -> list[int]:
        noise = random.Random(f"{self.party} {self.take}")
        noise_of = [noise.randrange(1, 1 << 15) for _ in range(CELL * 8)]
        # Content belongs to a time, so that a piece that is cut elsewhere has the same at the same time.
        return [
            (noise_of[at % len(noise_of)] * (1 + at // len(noise_of)) * 7919 + at) % 65_521 - 32_760
            for at in range(CELL * self.start, CELL * (self.start + self.length))
        ]


@dataclass
class Side:
    """One party of the oracle: samples with the stretch that each belongs to."""

    samples: dict[int, tuple[int, int]] = field(default_factory=dict)
    accounts: Counter[str] = field(default_factory=Counter)
    end: int = 0
    stretch: int = 0
    filled: tuple[int, int] | None = None
    """Where what this delivery filled in last ends, and its stretch."""

    def fill(self, start: int, values: Sequence[int]) -> None:
        """Write into silence: what one delivery fills in without a gap is one stretch."""
        before, self.stretch = self.stretch, self.stretch + 1
        if self.filled is not None and self.filled[0] == start:
            self.stretch = self.filled[1]
        self.write(start, values, joins=True)
        self.filled = start + len(values), self.stretch
        self.stretch = max(self.stretch, before)

    def write(self, start: int, values: Sequence[int], *, joins: bool) -> None:
        if not joins or not self.samples:
            self.stretch += 1
        stretch = self.stretch
        self.samples.update((start + at, (value, stretch)) for at, value in enumerate(values))
        self.accounts["audio"] += len(values)

    def holds(self, start: int, values: Sequence[int]) -> bool:
        """Whether these samples are there, in one stretch that is not too old to compare."""
        there = [self.samples.get(start + at) for at in range(len(values))]
        return (
            start >= self.end - WAIT
            and len({each and each[1] for each in there}) == 1
            and [each and each[0] for each in there] == list(values)
        )


class Oracle:
    """Both parties, and what is settled."""

    def __init__(self) -> None:
        self.sides = {party: Side() for party in PARTIES}
        self.open = dict.fromkeys(PARTIES, 0)
        self.settled = 0
        self.silence = {party: Counter[str]() for party in PARTIES}

    def begin(self) -> None:
        for side in self.sides.values():
            side.filled = None

    def place(self, piece: Piece, *, is_repeated: bool) -> None:
        side, values = self.sides[piece.party], piece.values()
        length, start = len(values), CELL * piece.start
        jitter = min(JITTER, length // 2)
        if side.samples and -min(jitter, (length - 1) // 2) <= start - side.end <= max(jitter, TICK):
            start = side.end
        if start + length <= 0:
            side.accounts["out_of_range"] += length
            return
        if start >= max(side.end, self.settled):
            self._append(piece.party, start, values)
            return
        shares = list(self._shares(side, start, values, is_repeated=is_repeated))
        if any(account == "conflicting" for account, _, _ in shares) and start >= 0:
            for shift in range(-min(jitter, JITTER) // CELL * CELL, JITTER + 1, CELL):
                if abs(shift) <= jitter and side.holds(start + shift, values):
                    side.accounts["repeated"] += length
                    return
        for account, first, last in shares:
            part = values[first - start : last - start]
            if account != "written":
                side.accounts[account] += last - first
            elif first >= side.end:
                self._append(piece.party, first, part)
            else:
                side.fill(first, part)

    def _append(self, party: Party, start: int, values: Sequence[int]) -> None:
        side = self.sides[party]
        inserted, side.stretch = side.stretch, self.open[party] or side.stretch
        joins = bool(side.samples) and start == side.end
        if not joins:
            side.stretch = inserted
        side.write(start, values, joins=joins)
        self.open[party] = side.stretch
        side.stretch = max(side.stretch, inserted)
        side.end = start + len(values)

    def _shares(
        self, side: Side, start: int, values: Sequence[int], *, is_repeated: bool
    ) -> Iterator[tuple[str, int, int]]:
        stop = start + len(values)
        tolerance = max(min(JITTER, len(values) // 2), TICK)
        sticks_out = is_repeated and start < side.end and stop <= side.end + tolerance

        def kind(at: int) -> tuple[str, int]:
            if at < 0:
                return "out_of_range", 0
            if at >= side.end:
                return ("repeated" if sticks_out else "late" if at < self.settled else "written"), -1
            if at in side.samples:
                return "audio", side.samples[at][1]
            return "silence", 0

        for (account, _), group in groupby(range(start, stop), kind):
            positions = list(group)
            first, last = positions[0], positions[-1] + 1
            if account == "silence":
                if is_repeated and (first == start) != (last == stop) and last - first <= tolerance:
                    yield "repeated", first, last
                    continue
                middle = max(first, min(last, self.settled))
                yield from (each for each in (("late", first, middle), ("written", middle, last)) if each[1] < each[2])
            elif account != "audio":
                yield account, first, last
            elif is_repeated or side.holds(first, values[first - start : last - start]):
                yield "repeated", first, last
            else:
                yield "conflicting", first, last

    def settle(self, *, closes: bool = False) -> None:
        ends = [side.end for side in self.sides.values()]
        before = self.settled
        if closes:
            self.settled = max(self.settled, *ends)
        else:
            self.settled = max(self.settled, min(map(self._reached, self.sides.values())), max(ends) - WAIT)
        for position in range(before, self.settled):
            silent = [party for party in PARTIES if position not in self.sides[party].samples]
            for party in silent:
                self.silence[party]["one" if len(silent) == 1 else "both"] += 1

    def _reached(self, side: Side) -> int:
        at = self.settled
        while at in side.samples:
            at += 1
        return max(at, 0)


@dataclass(frozen=True)
class Delivery:
    """A fragment as it comes: its pieces, and whether it came before under its number."""

    pieces: tuple[Piece, ...]
    is_repeated: bool


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    """Fragments of a call, swapped, sent again, shifted and with other content."""
    count = draw(st.integers(1, 10))
    came: list[Delivery] = []
    for number in range(count):
        if came and draw(st.integers(0, 5)) == 0:
            again = draw(st.sampled_from(came))
            came.append(Delivery(again.pieces, is_repeated=draw(st.booleans())))
            continue
        step = draw(st.sampled_from((64, 64, 64, 250, 700)))
        at = max(0, number * step + draw(st.sampled_from((0, 0, 0, -1, 2, -30, -200, 64, 1500))))
        pieces = []
        for party in PARTIES:
            skew = draw(st.sampled_from((0, 0, 5, 40)))
            for index in range(draw(st.integers(0, 3))):
                length = draw(st.sampled_from((16, 16, 16, 6, 40)))
                start = at + skew + 16 * index + draw(st.sampled_from((0, 0, 0, 0, 1, 3, -2, -8)))
                pieces.append(Piece(party, start, length, draw(st.sampled_from((0, 0, 0, 0, 1)))))
        came.append(
            Delivery(tuple(draw(st.permutations(pieces))) if draw(st.booleans()) else tuple(pieces), is_repeated=False)
        )
    return came


def resumed(timeline: Timeline) -> Timeline:
    """The same timeline behind a kill: its state went through JSON, its samples are gone."""
    state = from_plain(TimelineState, json.loads(json.dumps(to_plain(timeline.state()))))
    return Timeline(state, taken=timeline.taken)


def place(timeline: Timeline, delivery: Delivery, name: str) -> None:
    timeline.begin(name, is_repeated=delivery.is_repeated)
    for piece in delivery.pieces:
        values = piece.values()
        samples = struct.pack(f"<{len(values)}h", *values)
        timeline.place(piece.party, ORIGIN + CELL * piece.start, samples, tick_ns=1_000_000)


def accounts(counts: TrackCounts) -> dict[str, int]:
    dropped = counts.dropped
    found = {
        "audio": counts.audio,
        "repeated": dropped.repeated.samples,
        "late": dropped.late.samples,
        "out_of_range": dropped.out_of_range.samples,
        "conflicting": dropped.conflicting.samples,
    }
    return {name: count for name, count in found.items() if count}


@settings(max_examples=examples(100), deadline=None)
@given(deliveries(), st.sets(st.integers(0, 9)))
def test_both_laws_hold_and_each_account_is_what_a_dict_of_samples_says(came: list[Delivery], kills: set[int]) -> None:
    whole, again = (Timeline(TimelineState(rate=RATE, origin=ORIGIN)) for _ in range(2))
    oracle = Oracle()
    frames = b""
    for number, delivery in enumerate(came):
        oracle.begin()
        for piece in delivery.pieces:
            oracle.place(piece, is_repeated=delivery.is_repeated)
        oracle.settle()
        for line in (whole, again):
            place(line, delivery, f"#{number}")
            line.settle()
        assert whole.settled == oracle.settled
        frames += b"".join(whole.take())
        if number in kills:
            again = resumed(again)
    oracle.settle(closes=True)
    whole.close()
    again.close()
    frames += b"".join(whole.take())

    assert whole.state() == again.state()
    state = whole.state()
    stereo = list(struct.iter_unpack("<hh", frames))
    for index, (party, counts) in enumerate(zip(PARTIES, (state.customer, state.agent), strict=True)):
        side = oracle.sides[party]
        assert accounts(counts) == {name: count for name, count in side.accounts.items() if count}
        sent = sum(2 * CELL * piece.length for each in came for piece in each.pieces if piece.party is party)
        assert imbalances([(party, counts, PartyBytes(sent))], frames=len(stereo), settled=state.settled) == ()
        assert counts.silence.one_sided == oracle.silence[party]["one"]
        assert counts.silence.frames - counts.silence.one_sided == oracle.silence[party]["both"]
        assert [frame[index] for frame in stereo] == [
            side.samples[at][0] if at in side.samples else 0 for at in range(len(stereo))
        ]
