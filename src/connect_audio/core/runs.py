"""Blocks of a fragment joined into runs: what the recording and the live preview place on a timeline.

A run is no more than a shortcut. Its samples come to lie where its blocks, one by one, would (ADR 11). Fragments of one
shape have the same runs, so these are worked out once for a `BlockLayout` (`core/shapes.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from connect_audio.core.ebml import new_tuple
from connect_audio.core.fragment import Block, Fragment, end_of
from connect_audio.core.other_tracks import BlockCount
from connect_audio.core.shapes import BlockLayout, ShapedBlocks, stretches
from connect_audio.core.timeline import to_samples
from connect_audio.core.tracks import AudioTrack, TrackChoice, TrackNames, choose_tracks
from connect_audio.values import dataclass

_NS: Final = 1_000_000_000


class Run(NamedTuple):
    """Blocks of one track, equally long and following each other to the sample: placed in one go.

    Args:
        track: the blocks' track.
        start: time of the first sample, samples since the epoch.
        payload: the blocks' payloads, joined.
        block_length: samples of each block.
    """

    track: AudioTrack
    start: int
    payload: bytes
    block_length: int


@dataclass(slots=True)
class _Group:
    """Blocks of a run in the making.

    Args:
        track: the blocks' track.
        start: time of the first sample, samples since the epoch.
        indexes: the blocks' indexes, in order.
        block_bytes: bytes of each block.
        block_length: samples of each block.
        next_start: position at which the next block continues the run; -1 if none can.
    """

    track: AudioTrack
    start: int
    indexes: list[int]
    block_bytes: int
    block_length: int
    next_start: int


class _PlannedRun(NamedTuple):
    """A run of a block layout, the same in all its fragments but for the Cluster's time and the payloads.

    Args:
        track: the blocks' track.
        after_ns: when the first block begins, ns after the Cluster's Timecode.
        payloads: cuts the payloads out of bytes, given the position of a fragment in them.
        block_length: samples of each block.
    """

    track: AudioTrack
    after_ns: int
    payloads: Callable[[bytes, int], tuple[bytes, ...]]
    block_length: int


class _Plan(NamedTuple):
    """The runs of a block layout.

    Args:
        tracks: the audio tracks that they are of.
        runs: each track's in order; None if they depend on the Cluster's time.
        others: blocks on none of the tracks.
        received: bytes of payload by track number.
    """

    tracks: Sequence[AudioTrack]
    runs: Sequence[_PlannedRun] | None
    others: tuple[BlockCount, ...]
    received: Mapping[int, int]


def start_ns(blocks: Sequence[Block]) -> int:
    """When the earliest of some blocks begins, ns since the epoch."""
    if isinstance(blocks, ShapedBlocks):
        return blocks.cluster_ns + blocks.layout.start_ns
    return min(block.time_ns for block in blocks)


def end_ns(blocks: Sequence[Block]) -> int:
    """When the last of some blocks begins, plus one block as most are, ns since the epoch."""
    if isinstance(blocks, ShapedBlocks):
        return blocks.cluster_ns + blocks.layout.end_ns
    return end_of((block.track_number, block.time_ns) for block in blocks)


def media_bytes(blocks: Sequence[Block]) -> int:
    """Bytes of audio in some blocks."""
    if isinstance(blocks, ShapedBlocks):
        return blocks.layout.media_bytes
    return sum(len(block.data) for block in blocks)


def tracks_of(fragment: Fragment, names: TrackNames) -> TrackChoice:
    """Return the parties' tracks of a fragment, see `choose_tracks`.

    Args:
        fragment: the fragment.
        names: the parties' tracks as a user names them; the same for all fragments of a reader.
    """
    blocks = fragment.blocks
    if not isinstance(blocks, ShapedBlocks):
        return choose_tracks(fragment.tracks, fragment.tag("MimeType"), names)
    layout = blocks.layout
    if layout.choice is None:
        layout.choice = choose_tracks(fragment.tracks, fragment.tag("MimeType"), names)
    return layout.choice


def runs_of(blocks: Sequence[Block], tracks: Sequence[AudioTrack]) -> tuple[list[Run], Sequence[BlockCount]]:
    """Join blocks into runs.

    Args:
        blocks: in stream order.
        tracks: the audio tracks.

    Returns:
        The runs, each track's in order, and the blocks on none of the tracks, by track number.
    """
    by_number = {track.number: track for track in tracks}
    if isinstance(blocks, ShapedBlocks):
        plan: _Plan | None = blocks.layout.plan
        if plan is None or plan.tracks is not tracks:
            plan = blocks.layout.plan = _planned(blocks.layout, tracks, by_number)
        if plan.runs is not None:
            buffer, at, cluster_ns = blocks.buffer, blocks.at, blocks.cluster_ns
            return [
                new_tuple(
                    Run,
                    (
                        track,
                        to_samples(cluster_ns + after_ns, track.pcm.rate),
                        b"".join(payloads(buffer, at)),
                        block_length,
                    ),
                )
                for track, after_ns, payloads, block_length in plan.runs
            ], plan.others
    groups, others = _grouped(blocks, by_number)
    return [
        Run(group.track, group.start, b"".join([blocks[index][2] for index in group.indexes]), group.block_length)
        for group in groups
    ], others


def received_bytes(blocks: Sequence[Block]) -> Mapping[int, int]:
    """Bytes of payload of some blocks by track number; counted apart from the runs, to check them."""
    if isinstance(blocks, ShapedBlocks):
        plan: _Plan | None = blocks.layout.plan
        if plan is not None:
            return plan.received
    received: Counter[int] = Counter()
    for number, _, data, _, _ in blocks:
        received[number] += len(data)
    return received


def _planned(layout: BlockLayout, tracks: Sequence[AudioTrack], by_number: Mapping[int, AudioTrack]) -> _Plan:
    """Work out the runs of all fragments of a layout."""
    places = layout.places
    received: Counter[int] = Counter()
    for number, _, start, stop in places:
        received[number] += stop - start
    for number, after_ns, _, _ in places:
        track = by_number.get(number)
        if track is not None and after_ns * track.pcm.rate % _NS:
            # The rounding of the Cluster's time decides if blocks follow each other to the sample.
            return _Plan(tracks, None, (), received)
    blocks = [Block(number, after_ns, bytes(stop - start), 1, stop - start) for number, after_ns, start, stop in places]
    groups, others = _grouped(blocks, by_number)
    runs = [
        _PlannedRun(
            group.track,
            places[group.indexes[0]][1],
            stretches([places[index][2:] for index in group.indexes]),
            group.block_length,
        )
        for group in groups
    ]
    return _Plan(tracks, runs, others, received)


def _grouped(
    blocks: Sequence[Block], by_number: Mapping[int, AudioTrack]
) -> tuple[list[_Group], tuple[BlockCount, ...]]:
    """Find the blocks that make a run.

    Args:
        blocks: in stream order.
        by_number: the audio tracks by track number.

    Returns:
        The groups, each track's in order, and the blocks on none of the tracks, by track number.
    """
    closed: list[_Group] = []
    open_groups: dict[int, _Group] = {}
    others: dict[int, tuple[int, int]] = {}
    for index, (number, time_ns, data, _, payload) in enumerate(blocks):
        size = len(data)
        group = open_groups.get(number)
        if group is not None:
            start = to_samples(time_ns, group.track.pcm.rate)
            if start == group.next_start and size == group.block_bytes:
                group.indexes.append(index)
                group.next_start += group.block_length
                continue
            closed.append(group)
        track = by_number.get(number)
        if track is None:
            count, total = others.get(number, (0, 0))
            others[number] = (count + 1, total + payload)
            continue
        start = to_samples(time_ns, track.pcm.rate)
        length, dangling = divmod(size, track.pcm.frame_bytes)
        # A block with half a sample at its end closes its run: nothing can follow it to the sample.
        open_groups[number] = _Group(track, start, [index], size, length, -1 if dangling else start + length)
    return [*closed, *open_groups.values()], tuple(BlockCount(number, *each) for number, each in others.items())
