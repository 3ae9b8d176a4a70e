"""A call's first run, and what a resumed timeline knows of the audio before it."""

from __future__ import annotations

import struct

from connect_audio.core.pcm import Party
from connect_audio.core.timeline import Timeline, TimelineState

MS = 1_000_000
BLOCK = 512


def samples(first: int, count: int = BLOCK) -> bytes:
    return struct.pack(f"<{count}h", *((7 * (first + index)) % 0x8000 for index in range(count)))


def written(blocks: int = 40) -> Timeline:
    line = Timeline(TimelineState(rate=8000))
    for index in range(blocks):
        line.place(Party.CUSTOMER, 1000 + BLOCK * index, samples(BLOCK * index), tick_ns=MS)
        line.place(Party.AGENT, 1000 + BLOCK * index, samples(BLOCK * index), tick_ns=MS)
    line.settle()
    return line


def test_a_run_may_be_the_first_audio_of_a_call() -> None:
    line = Timeline(TimelineState(rate=8000))
    placed = line.place_run(Party.CUSTOMER, 1000, samples(0, 3 * BLOCK), tick_ns=MS, block_length=BLOCK)
    assert b"".join(each.samples for each in placed) == samples(0, 3 * BLOCK)
    assert line.counts().customer.audio == 3 * BLOCK


def test_a_resumed_timeline_tells_a_repetition_from_other_audio() -> None:
    for shift, repeated, conflicting in ((0, BLOCK, 0), (5000, 0, BLOCK)):
        line = Timeline(written().state())
        line.place(Party.CUSTOMER, 1000 + 30 * BLOCK, samples(30 * BLOCK + shift), tick_ns=MS)
        dropped = line.counts().customer.dropped
        assert (dropped.repeated.samples, dropped.conflicting.samples) == (repeated, conflicting)
