"""A stream's numbers are claims: times, lengths and rates of one fragment are held against each other here.

A block's time, its payload's length, the rate of its track and the fragment's producer timestamp say the same thing
in different ways. Each contradiction is counted by kind in `TimesDisagree` and makes a recording partial. Claims of
several fragments are compared in `core/order.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final

from connect_audio.core.fragment import Block, Fragment
from connect_audio.core.runs import start_ns, tracks_of
from connect_audio.core.shapes import ShapedBlocks
from connect_audio.core.tracks import AudioTrack, TrackNames
from connect_audio.values import dataclass

CLUSTER_SLACK_MS: Final = 1_000
"""A producer timestamp may lie so far outside of its fragment's blocks; KVS takes it from the first Cluster."""
OVERLAP_SLACK_NS: Final = 20_000_000
"""Two neighbours may each be off by the jitter tolerance of 10 ms; a longer overlap is no jitter."""
_PAIRS_FOR_A_RATE: Final = 4
"""Pairs of blocks that say something about a rate. Fewer may as well be lost blocks."""
_RATE_SLACK: Final = 0.03
"""Part by which payload and distance may differ: ten times the drift of the worst clock."""
_UNIFORM: Final = 0.05
"""Part by which distances of a wrong rate differ from each other. Lost blocks leave distances of many lengths."""
STRAY_NS: Final = 500_000_000
"""A block at a fragment's edge may be a stray one if it is further from the next block. Lost blocks seldom leave so
long a hole. The next fragment decides, so a pause stays a pause."""
_BLOCKS_BESIDE_A_STRAY: Final = 3
"""Blocks that show where a track of a fragment is."""
_LEAP_PART: Final = 4
"""A block's neighbours stand two distances apart if they are off by no more than this part of a distance."""


@dataclass(slots=True)
class TimesDisagree:
    """How often numbers of a stream contradicted each other, by kind. A new value replaces the one before.

    Args:
        leap: fragments whose time leaped while their neighbours' went on; placed between the neighbours.
        clock_change: changes forward of the producer's clock that the server's clock denies; placed as the times say.
        block_leap: blocks whose time leaped while their neighbours' went on; placed between the neighbours.
        block_overlap: blocks whose payload lasts longer than the distance to the next block.
        rate: tracks of fragments whose payload does not fit the distances at the claimed rate and channels.
        cluster_time: fragments whose Cluster time and producer timestamp differ.
    """

    leap: int = 0
    clock_change: int = 0
    block_leap: int = 0
    block_overlap: int = 0
    rate: int = 0
    cluster_time: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.leap + self.clock_change + self.block_leap + self.block_overlap + self.rate + self.cluster_time

    def kinds(self) -> dict[str, int]:
        """The counts by kind, in the manifest's words."""
        return {
            "leap": self.leap,
            "clockChange": self.clock_change,
            "blockLeap": self.block_leap,
            "blockOverlap": self.block_overlap,
            "rate": self.rate,
            "clusterTime": self.cluster_time,
        }

    def text(self) -> str:
        """The kinds that were seen, with their counts."""
        return ", ".join(f"{kind} {count}" for kind, count in self.kinds().items() if count)

    def plus(self, other: TimesDisagree) -> TimesDisagree:
        """Return the sums by kind."""
        return TimesDisagree(
            self.leap + other.leap,
            self.clock_change + other.clock_change,
            self.block_leap + other.block_leap,
            self.block_overlap + other.block_overlap,
            self.rate + other.rate,
            self.cluster_time + other.cluster_time,
        )


@dataclass(frozen=True, slots=True)
class TrackSpan:
    """The time that one track of a fragment takes.

    Args:
        number: the TrackEntry's number.
        first_ns: when its first block begins, ns after the fragment's earliest block.
        after_ns: when its next block should begin, ns after the fragment's earliest block.
    """

    number: int
    first_ns: int
    after_ns: int


@dataclass(frozen=True, slots=True)
class Stray:
    """A block at the edge of its track in a fragment, far from that track's other blocks.

    Args:
        index: its index in the fragment's blocks.
        number: the TrackEntry's number.
        before_ns: when it begins if it belongs before the other blocks, ns since the epoch.
        after_ns: when it begins if it belongs behind the other blocks, ns since the epoch.
        lasts_ns: distance between the other blocks, ns.
    """

    index: int
    number: int
    before_ns: int
    after_ns: int
    lasts_ns: int


def stray_blocks(blocks: Sequence[Block]) -> tuple[Stray, ...]:
    """Find the block of each track that is at an edge of it and more than `STRAY_NS` from its other blocks.

    Args:
        blocks: straightened.
    """
    if isinstance(blocks, ShapedBlocks) and blocks.layout.is_straight:
        return ()
    found = []
    for number, places in _by_track(blocks).items():
        times = [time_ns for _, time_ns in places]
        if len(times) < _BLOCKS_BESIDE_A_STRAY + 1 or times[-1] - times[0] <= STRAY_NS:
            continue
        distances = [later - earlier for earlier, later in pairwise(times)]
        lasts_ns = _median(distances)
        for edge, near, others in ((-1, times[:-1], distances[:-1]), (0, times[1:], distances[1:])):
            if distances[edge] > STRAY_NS >= max(others):
                found.append(Stray(places[edge][0], number, near[0] - lasts_ns, near[-1] + lasts_ns, lasts_ns))
    return tuple(found)


def straightened(blocks: Sequence[Block]) -> tuple[Sequence[Block], int]:
    """Put blocks in the order of their times, and each block whose time leaped between its neighbours.

    Args:
        blocks: in stream order.

    Returns:
        The blocks, the same object where nothing had to be done; and how many had leaped.
    """
    if isinstance(blocks, ShapedBlocks) and blocks.layout.is_straight:
        return blocks, 0
    by_track = _by_track(blocks)
    if all(later[1] >= earlier[1] for places in by_track.values() for earlier, later in pairwise(places)):
        # So it is in nearly all fragments, and in none in which a block leaped past its neighbours.
        if isinstance(blocks, ShapedBlocks):
            blocks.layout.is_straight = not stray_blocks(blocks)
        return blocks, 0
    moved = {index: time_ns for places in by_track.values() for index, time_ns in _leaps(places)}
    placed = [block._replace(time_ns=moved.get(index, block.time_ns)) for index, block in enumerate(blocks)]
    return sorted(placed, key=itemgetter(1)), len(moved)


def track_spans(fragment: Fragment, blocks: Sequence[Block], names: TrackNames) -> tuple[TrackSpan, ...]:
    """Find the time that each track of a fragment takes.

    Args:
        fragment: the fragment.
        blocks: its blocks, straightened.
        names: the parties' tracks as a user names them.
    """
    if isinstance(blocks, ShapedBlocks):
        if not blocks.layout.spans:
            blocks.layout.spans = track_spans(fragment, tuple(blocks), names)
        return blocks.layout.spans
    earliest = start_ns(blocks)
    spans = []
    for number, places in _by_track(blocks).items():
        times = [time_ns - earliest for _, time_ns in places]
        distances = [later - earlier for earlier, later in pairwise(times) if later > earlier]
        lasts_ns = _median(distances) if distances else None
        if len(distances) < 2:
            # Several show how long a block lasts, whatever its rate is said to be. A single one may hold a hole.
            said_ns = _lasts_ns(fragment, names, number, blocks[places[-1][0]])
            lasts_ns = min((each for each in (lasts_ns, said_ns) if each is not None), default=None)
        if lasts_ns is not None:
            spans.append(TrackSpan(number, times[0], times[-1] + lasts_ns))
    return tuple(spans)


def disagreements(
    blocks: Sequence[Block], tracks: Sequence[AudioTrack], *, producer_ms: int | None, tick_ns: int
) -> TimesDisagree | None:
    """Hold the claims of one fragment against each other.

    Args:
        blocks: straightened.
        tracks: the audio tracks.
        producer_ms: the producer timestamp, ms since the epoch; None where absent.
        tick_ns: resolution of the blocks' times, ns.

    Returns:
        The contradictions by kind; None for none.
    """
    if blocks.__class__ is ShapedBlocks:
        layout = blocks.layout
        if layout.doubts is None or layout.doubts[0] is not tracks:
            layout.doubts = tracks, *_length_doubts(blocks, tracks, tick_ns)
        _, overlaps, rates = layout.doubts
        base_ns, last_ns = blocks.cluster_ns + layout.start_ns, blocks.cluster_ns + layout.last_ns
    else:
        overlaps, rates = _length_doubts(blocks, tracks, tick_ns)
        base_ns, last_ns = start_ns(blocks), max(block[1] for block in blocks)
    slack_ns = CLUSTER_SLACK_MS * 1_000_000 + tick_ns
    in_time = producer_ms is None or base_ns - slack_ns <= producer_ms * 1_000_000 <= last_ns + slack_ns
    if in_time and not overlaps and not rates:
        return None
    return TimesDisagree(block_overlap=overlaps, rate=rates, cluster_time=not in_time)


def _lasts_ns(fragment: Fragment, names: TrackNames, number: int, block: Block) -> int | None:
    """How long a block lasts by its size and its track's rate, ns; None if its track is no party's audio."""
    pcm = next((track.pcm for track in tracks_of(fragment, names).audio if track.number == number), None)
    return None if pcm is None else len(block[2]) * 1_000_000_000 // (pcm.frame_bytes * pcm.rate)


def _median(values: Sequence[int]) -> int:
    """The lower middle of some values. The module `statistics` would take longer to import than a short replay's audio.

    Args:
        values: at least one.
    """
    return sorted(values)[(len(values) - 1) // 2]


def _by_track(blocks: Sequence[Block]) -> dict[int, list[tuple[int, int]]]:
    """The index and the time of each block of audio, by track number."""
    found: dict[int, list[tuple[int, int]]] = {}
    for index, (number, time_ns, data, _, _) in enumerate(blocks):
        if data:
            found.setdefault(number, []).append((index, time_ns))
    return found


def _leaps(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Find blocks of one track whose neighbours stand two distances apart, with nothing in the middle.

    Args:
        places: index and time of each block, in stream order.

    Returns:
        Index and right time of each.
    """
    times = [time_ns for _, time_ns in places]
    distances = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if len(times) < 3 or not distances:
        return []
    distance = _median(distances)
    slack = distance // _LEAP_PART
    found = []
    for at in range(1, len(times) - 1):
        before, time_ns, after = times[at - 1 : at + 2]
        if abs(after - before - 2 * distance) > slack or abs(time_ns - before - distance) <= 2 * slack:
            continue
        others = [*times[:at], *times[at + 1 :]]
        is_vacant = all(abs(each - before - distance) > 2 * slack for each in others)
        # A block that fills a place between other blocks is merely out of order.
        fills = min(others) < time_ns < max(others) and all(abs(each - time_ns) > 2 * slack for each in others)
        if is_vacant and not fills:
            times[at] = before + distance
            found.append((places[at][0], times[at]))
    return found


def _length_doubts(blocks: Sequence[Block], tracks: Sequence[AudioTrack], tick_ns: int) -> tuple[int, int]:
    """Compare payloads with the distances between blocks.

    Returns:
        How many blocks last longer than the distance to the next one, and how many tracks' rates do not fit.
    """
    overlaps = rates = 0
    for track in tracks:
        per_second = track.pcm.frame_bytes * track.pcm.rate
        own = [block for block in blocks if block[0] == track.number and block[2]]
        # A block with the time of the one before it is that block once more, or the accounts call it conflicting.
        pairs = [
            (later[1] - earlier[1], len(earlier[2]) * 1_000_000_000 // per_second)
            for earlier, later in pairwise(own)
            if later[1] > earlier[1]
        ]
        if _is_another_rate(pairs, tick_ns):
            rates += 1
        else:
            overlaps += sum(lasts - distance > OVERLAP_SLACK_NS + tick_ns for distance, lasts in pairs)
    return overlaps, rates


def _is_another_rate(pairs: Sequence[tuple[int, int]], tick_ns: int) -> bool:
    """Return True if all payloads are too long, or all too short, by the same part of the distance.

    Args:
        pairs: distance to the next block and length of the payload, ns each.
        tick_ns: resolution of the distances, ns.
    """
    if len(pairs) < _PAIRS_FOR_A_RATE:
        return False
    distance, lasts = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    if abs(lasts - distance) <= _RATE_SLACK * distance + OVERLAP_SLACK_NS + tick_ns:
        return False
    part = lasts / distance
    return all(abs(pair[1] - part * pair[0]) <= _UNIFORM * pair[0] + tick_ns for pair in pairs)
