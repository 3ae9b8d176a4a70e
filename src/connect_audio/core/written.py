"""Audio that a track has written in its last seconds: its positions, its fragments, and how to know it again.

*How it works.* A track's audio lies in stretches. Audio that joins the track's end makes the open stretch longer; audio
behind a gap closes it and opens the next. Audio with which a fragment fills silence is a stretch of its own. Between
two stretches lies silence.

Audio that comes again is compared in cells of 4 ms on a grid from the origin. A cell is comparable if it lies within
one stretch and in the last `COMPARED_S` seconds. Its digest is the lower half of its CRC-32. While the samples are in
memory a digest is made of them when it is needed; a checkpoint carries the digests and no sample. So a recording that
goes on from a checkpoint compares as one that never stopped (ADR 3).
"""

from __future__ import annotations

import sys
import zlib
from array import array
from base64 import b85decode, b85encode
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from connect_audio.core.pcm import SAMPLE_BYTES
from connect_audio.values import dataclass

COMPARED_S: Final = 5
"""Seconds of each track that can be compared: a producer that rewinds 4.5 s has been seen. Older audio never is."""
_CELLS_A_SECOND: Final = 250
LEAST_COMPARED: Final = 3
"""Cells that samples must reach over to hold two whole ones wherever they begin."""
_DIGEST_MASK: Final = 0xFFFF
_KNOWN_S: Final = 60
"""Seconds for which stretches stay known, so that what comes for settled silence counts as late."""
_MOST_KNOWN: Final = 32
"""Most stretches that stay known beyond `COMPARED_S`."""
_SMALL: Final = 512
"""Runs shorter than this are joined, samples: a block of 64 ms at 8 kHz."""
_LEAST_RUNS: Final = 16
"""Runs that are kept before the ones older than `COMPARED_S` are removed."""
_START: Final = attrgetter("start")
_STOP: Final = attrgetter("stop")
_RUN_START: Final = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Audio of one track without a gap.

    Args:
        start: position of its first sample, frames.
        stop: position after its last sample, frames.
        first: key of the fragment of its first sample.
        last: key of the fragment of its last sample.
    """

    start: int
    stop: int
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenState:
    """The written audio of a track as plain values.

    Args:
        closed: stretches before the open one, in order.
        start: position of the open stretch, frames.
        first: key of the fragment of its first sample.
        last: key of the fragment of its last sample.
        known_from: position before which stretches have been dropped, frames.
        noted: position before which every gap has been noted, frames.
        digests: the comparable cells' digests, in order, in base 85.
        tail_crc32: CRC-32 of the begun cell at the track's end.
        block_start: claimed position of the block that was placed last, frames.
        block_crc32: its CRC-32; None before the first.
    """

    closed: tuple[Stretch, ...] = ()
    start: int = 0
    first: str = ""
    last: str = ""
    known_from: int = 0
    noted: int = 0
    digests: str = ""
    tail_crc32: int = 0
    block_start: int = 0
    block_crc32: int | None = None


class Kind(Enum):
    """The content of some positions of a track."""

    AUDIO = auto()
    """Audio of one stretch."""
    SILENCE = auto()
    """No audio so far."""
    UNKNOWN = auto()
    """It is too long ago to know."""


class Segment(NamedTuple):
    """Positions [start, stop) of one kind, frames."""

    start: int
    stop: int
    kind: Kind


class WrittenAudio:
    """The audio of one track: stretches, and the samples of its last seconds.

    Memory: `COMPARED_S` of samples and some runs more.

    Args:
        rate: samples a second.
        stop: end of the track, frames.
        state: state to continue from.
    """

    __slots__ = (
        "block",
        "cell",
        "closed",
        "digests",
        "filled",
        "first",
        "known_from",
        "last",
        "noted",
        "runs",
        "start",
        "stop",
        "tail",
        "trim_at",
        "window",
    )

    def __init__(self, rate: int, stop: int, state: WrittenState) -> None:
        self.cell = max(1, rate // _CELLS_A_SECOND)
        self.window = COMPARED_S * rate
        self.stop = stop
        """Position after the open stretch: the end of the track."""
        self.closed = list(state.closed)
        """Stretches before the open one."""
        self.start = state.start
        """Position of the open stretch."""
        self.first = state.first
        """Key of the fragment of the open stretch's first sample."""
        self.last = state.last
        """Key of the fragment of the open stretch's last sample."""
        self.known_from = state.known_from
        """Position before which stretches have been dropped."""
        self.noted = state.noted
        """Position before which every gap has been noted."""
        self.filled: Stretch | None = None
        """The stretch with which the fragment filled silence last; None for none."""
        self.runs: list[tuple[int, bytes]] = []
        self.trim_at = _LEAST_RUNS
        self.digests: dict[int, int] = {}
        # The cell that the track's end cuts: its index, where its samples in memory begin, the CRC-32 before that.
        self.tail = (stop // self.cell, stop, state.tail_crc32)
        # The block placed last: its claimed position, and its samples or their CRC-32.
        self.block: tuple[int, bytes | int | None] = (state.block_start, state.block_crc32)
        digests = array("H", b85decode(state.digests))
        if sys.byteorder == "big":
            digests.byteswap()
        self.digests.update(zip(chain.from_iterable(self._comparable()), digests, strict=True))

    def copy(self) -> WrittenAudio:
        """The same audio, which goes on by itself."""
        made = WrittenAudio.__new__(WrittenAudio)
        made.cell, made.window, made.stop, made.closed = self.cell, self.window, self.stop, self.closed[:]
        made.start, made.first, made.last = self.start, self.first, self.last
        made.known_from, made.noted, made.runs = self.known_from, self.noted, self.runs[:]
        made.digests, made.tail, made.block = self.digests, self.tail, self.block
        made.trim_at, made.filled = self.trim_at, self.filled
        return made

    def state(self) -> WrittenState:
        """The written audio as plain values."""
        digests = array("H")
        for cells in self._comparable():
            digests.extend(self._digests_of(cells))
        if sys.byteorder == "big":
            digests.byteswap()
        index, begun = self.stop // self.cell, self.stop // self.cell * self.cell
        tail = 0
        if begun >= self.start:
            since, crc32 = (self.tail[1], self.tail[2]) if self.tail[0] == index else (begun, 0)
            tail = zlib.crc32(self._samples(since, self.stop), crc32)
        claimed, block = self.block
        return WrittenState(
            closed=tuple(self.closed),
            start=self.start,
            first=self.first,
            last=self.last,
            known_from=self.known_from,
            noted=self.noted,
            digests=b85encode(digests.tobytes()).decode(),
            tail_crc32=tail,
            block_start=claimed,
            block_crc32=zlib.crc32(block) if isinstance(block, bytes) else block,
        )

    def append(self, start: int, stop: int, samples: bytes, fragment: str) -> None:
        """Add samples at or behind the end.

        Args:
            start: position of the first, frames.
            stop: position after the last, frames.
            samples: mono 16-bit samples.
            fragment: key of their fragment.
        """
        if start != self.stop:
            if self.stop > self.start:
                self.closed.append(Stretch(self.start, self.stop, self.first, self.last))
            self.start, self.first = start, fragment
        elif self.start == start:
            self.first = fragment
        self.last = fragment
        self.stop = stop
        if stop - start < _SMALL and self.runs and self.start < start:
            # Few large runs rather than many small ones: a recording keeps a copy of the list a fragment.
            last_start, last = self.runs[-1]
            length = len(last) // SAMPLE_BYTES
            if last_start + length == start and length < _SMALL:
                self.runs.pop()
                start, samples = last_start, last + samples
        self.runs.append((start, samples))
        if len(self.runs) > self.trim_at or self.stop - self.runs[0][0] > 2 * self.window:
            self._trim()

    def insert(self, start: int, stop: int, samples: bytes, fragment: str) -> None:
        """Fill silence before the end; the arguments are as for `append`.

        Samples that join the ones filled in since `begin` make their stretch longer. Else each block would be one.
        """
        filled = self.filled
        if filled is not None and filled.stop == start:
            made = replace(filled, stop=stop, last=fragment)
            self.closed[bisect_left(self.closed, filled.start, key=_START)] = made
        else:
            made = Stretch(start, stop, fragment, fragment)
            insort(self.closed, made, key=_START)
        self.filled = made
        insort(self.runs, (start, samples), key=_RUN_START)

    def begin(self) -> None:
        """Begin a fragment: a cursor may stand here, so what is filled in behind joins nothing before."""
        self.filled = None

    def stretches(self, after: int = -1) -> Iterator[Stretch]:
        """Every stretch that is still known and ends after a position, frames; in order."""
        yield from self.closed[bisect_right(self.closed, after, key=_STOP) :]
        if self.stop > self.start and self.stop > after:
            yield Stretch(self.start, self.stop, self.first, self.last)

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """The content of the positions [start, stop), frames, in order."""
        if start < self.known_from < stop:
            yield Segment(start, self.known_from, Kind.UNKNOWN)
            start = self.known_from
        elif start < self.known_from:
            if start < stop:
                yield Segment(start, stop, Kind.UNKNOWN)
            return
        for stretch in self.stretches(start):
            if stretch.start >= stop:
                break
            if stretch.start > start:
                yield Segment(start, stretch.start, Kind.SILENCE)
            start, until = max(start, stretch.start), min(stop, stretch.stop)
            yield Segment(start, until, Kind.AUDIO)
            start = until
        if start < stop:
            yield Segment(start, stop, Kind.SILENCE)

    def cells_of(self, start: int, stop: int) -> bool:
        """Return True if positions [start, stop), frames, hold a whole cell."""
        return stop // self.cell > -(-start // self.cell)

    def is_comparable(self, start: int) -> bool:
        """Return True if audio from a position on, frames, is not too old to compare."""
        return -(-start // self.cell) * self.cell >= self.stop - self.window

    def begins_before(self, position: int) -> bool:
        """Return True if a stretch reaches over a position, frames, and the one before it."""
        return next((each.start < position for each in self.stretches(position)), False)

    def is_same(self, start: int, samples: bytes, *, least: int = 1) -> bool:
        """Return True if samples can be shown to equal the ones that a stretch has at their position.

        Args:
            start: position of the first, frames.
            samples: mono 16-bit samples; a stretch reaches over all of them.
            least: least number of whole cells that must be compared.
        """
        cell = self.cell
        first, last = -(-start // cell), (start + len(samples) // SAMPLE_BYTES) // cell
        if last - first < least or first * cell < self.stop - self.window:
            return False
        at = SAMPLE_BYTES * (first * cell - start)
        for index in range(first, last):
            if zlib.crc32(samples[at : at + SAMPLE_BYTES * cell]) & _DIGEST_MASK != self._digest(index):
                return False
            at += SAMPLE_BYTES * cell
        return True

    def is_same_within(self, start: int, samples: bytes, jitter: int) -> bool:
        """Return True if samples can be shown to equal written ones at most the jitter, frames, from their position."""
        length = len(samples) // SAMPLE_BYTES
        for stretch in self.stretches(start - jitter):
            if stretch.start > start + jitter:
                break
            lowest, highest = max(start - jitter, stretch.start), min(start + jitter, stretch.stop - length)
            for position in sorted(range(lowest, highest + 1), key=lambda each: abs(each - start)):
                if self.is_same(position, samples, least=2):
                    return True
        return False

    def note_block(self, claimed: int, samples: bytes) -> None:
        """Remember the block that was placed last.

        Args:
            claimed: the position that it claimed, frames.
            samples: its samples.
        """
        self.block = (claimed, samples)

    def is_last_block(self, claimed: int, samples: bytes) -> bool:
        """Return True if a block is the one that was placed last."""
        position, block = self.block
        if position != claimed or block is None:
            return False
        return zlib.crc32(samples) == (zlib.crc32(block) if isinstance(block, bytes) else block)

    def drop_before(self, settled: int) -> None:
        """Drop what no longer matters: gaps are noted, and the audio is too old to compare.

        Args:
            settled: settled position, frames.
        """
        oldest = self.stop - self.window
        if self.closed:
            noted = min(settled, self.noted)
            # A stretch goes once the next one begins before that; the gap between them goes with it.
            starts = [*(each.start for each in self.closed[1:]), self.start]
            too_many = min(len(self.closed) - _MOST_KNOWN, bisect_right(starts, min(oldest, noted)))
            count = max(too_many, bisect_right(starts, min(self.stop - _KNOWN_S * self.window // COMPARED_S, noted)))
            if count > 0:
                del self.closed[:count]
                self.known_from = starts[count - 1]

    def _trim(self) -> None:
        """Free the memory of samples that are too old to compare."""
        oldest = self.stop - self.window
        del self.runs[: max(0, bisect_right(self.runs, oldest, key=_RUN_START) - 1)]
        self.trim_at = max(_LEAST_RUNS, 2 * len(self.runs))

    def _comparable(self) -> Iterator[range]:
        """Indexes of the cells that can be compared, of each stretch in order."""
        cell = self.cell
        oldest = max(0, -(-(self.stop - self.window) // cell))
        for stretch in self.stretches(self.stop - self.window):
            yield range(max(oldest, -(-stretch.start // cell)), stretch.stop // cell)

    def _digests_of(self, cells: range) -> list[int]:
        """Digests of neighbouring comparable cells; for a checkpoint, which needs many at once."""
        first_in_memory = max(cells.start, min(cells.stop, self.tail[0] + 1))
        before = [self._digest(index) for index in range(cells.start, first_in_memory)]
        if first_in_memory == cells.stop:
            return before
        size = SAMPLE_BYTES * self.cell
        samples = self._samples(first_in_memory * self.cell, cells.stop * self.cell)
        pieces = [samples[at : at + size] for at in range(0, len(samples), size)]
        return before + [crc32 & _DIGEST_MASK for crc32 in map(zlib.crc32, pieces)]

    def _digest(self, index: int) -> int:
        """Digest of a comparable cell."""
        known = self.digests.get(index)
        if known is not None:
            return known
        start, crc32 = index * self.cell, 0
        if self.tail[0] == index:
            _, start, crc32 = self.tail
        return zlib.crc32(self._samples(start, (index + 1) * self.cell), crc32) & _DIGEST_MASK

    def _samples(self, start: int, stop: int) -> bytes:
        """Samples of [start, stop), all of them in memory."""
        pieces = []
        at = max(0, bisect_right(self.runs, start, key=_RUN_START) - 1)
        while start < stop:
            run_start, samples = self.runs[at]
            until = min(stop, run_start + len(samples) // SAMPLE_BYTES)
            if until > start:
                pieces.append(samples[SAMPLE_BYTES * (start - run_start) : SAMPLE_BYTES * (until - run_start)])
                start = until
            at += 1
        return b"".join(pieces)
