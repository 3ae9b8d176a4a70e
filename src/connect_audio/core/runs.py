"""Blocks of a fragment joined into runs: what the recording and the live preview place on a timeline.

A run is no more than a shortcut. Its samples come to lie where its blocks, one by one, would (ADR 11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connect_audio.core.fragments import Block
from connect_audio.core.pcm import SAMPLE_BYTES, AudioTrack
from connect_audio.core.timeline import to_samples


@dataclass(slots=True)
class Run:
    """Blocks of one track, equally long and following each other to the sample: placed in one go.

    Args:
        track: the blocks' track.
        start: time of the first sample, samples since the epoch.
        payloads: the blocks' payloads, in order.
        block_bytes: bytes of each payload.
        block_length: samples of each block.
        next_start: position at which the next block continues the run; -1 if none can.
    """

    track: AudioTrack
    start: int
    payloads: list[bytes]
    block_bytes: int
    block_length: int
    next_start: int


def runs_of(blocks: Sequence[Block], by_number: Mapping[int, AudioTrack]) -> tuple[list[Run], int]:
    """Join blocks into runs.

    Args:
        blocks: in stream order.
        by_number: the audio tracks by track number.

    Returns:
        The runs, each track's in order, and how many blocks are on none of the tracks.
    """
    closed: list[Run] = []
    open_runs: dict[int, Run] = {}
    ignored = 0
    for number, time_ns, data, _, _ in blocks:
        track = by_number.get(number)
        if track is None:
            ignored += 1
            continue
        start = to_samples(time_ns, track.pcm.rate)
        run = open_runs.get(number)
        if run is not None:
            if start == run.next_start and len(data) == run.block_bytes:
                run.payloads.append(data)
                run.next_start += run.block_length
                continue
            closed.append(run)
        length, dangling = divmod(len(data), SAMPLE_BYTES * track.pcm.channels)
        # A block with half a sample at its end closes its run: nothing can follow it to the sample.
        next_start = -1 if dangling else start + length
        open_runs[number] = Run(track, start, [data], len(data), length, next_start)
    return [*closed, *open_runs.values()], ignored
