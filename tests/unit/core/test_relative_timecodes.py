"""Cluster timecodes that count from each fragment's own beginning, as KVS producers may also write them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.fragments import END, Fragment, FragmentReader
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import Block, write_fragment


def read(data: bytes) -> list[Fragment]:
    reader = FragmentReader()
    reader.receive_data(data)
    reader.receive_data(b"")
    found = []
    while (event := reader.next_event()) is not END:
        if isinstance(event, Fragment):
            found.append(event)
    return found


@pytest.mark.parametrize("start_ms", [1_782_912_654_536, 45_000])
def test_they_are_placed_at_the_producer_timestamp(start_ms: int) -> None:
    call = SyntheticCall(customer=bytes(range(256)) * 200, agent=None, start_ms=start_ms)
    absolute = list(synthesize_call(call))
    relative = b"".join(
        write_fragment(
            replace(
                each.contents,
                blocks=tuple(
                    Block(block.track_number, block.time_ns - each.producer_ms * 1_000_000, block.pcm)
                    for block in each.contents.blocks
                ),
            )
        )
        for each in absolute
    )
    expected = [block.time_ns for each in read(b"".join(each.data for each in absolute)) for block in each.blocks]
    found = [block.time_ns for each in read(relative) for block in each.blocks]
    if start_ms > 86_400_000:
        assert found == expected
    else:
        # Times near the epoch, as a test producer's, may be either: they are taken as they stand.
        assert found == [ns - each.producer_ms * 1_000_000 for each in absolute for ns in each_times(each.data)]


def each_times(data: bytes) -> list[int]:
    return [block.time_ns for fragment in read(data) for block in fragment.blocks]
