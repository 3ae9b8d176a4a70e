"""Cluster timecodes that count from a fragment's or a producer session's beginning, as KVS producers may write them."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from random import Random

import pytest
from fuzz.two_ways import both_ways
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.fragments import END, Fragment, FragmentReader
from connect_audio_local.synthesis.calls import SyntheticCall, SyntheticFragment, synthesize_call
from connect_audio_local.synthesis.fragment_writer import Block, FragmentLayout, write_fragment
from core_support.reading import events_of, fragments_of, record
from support.examples import examples

START_MS = 1_782_912_654_536
CONTACT = "00000000-0000-4000-8000-000000000001"
SPEECH = Random(5).randbytes(6 * 16_384)


def read(data: bytes) -> list[Fragment]:
    reader = FragmentReader()
    reader.receive_data(data)
    reader.receive_data(b"")
    found = []
    while (event := reader.next_event()) is not END:
        if isinstance(event, Fragment):
            found.append(event)
    return found


def counted_from(each: SyntheticFragment, zero_ms: int, layout: FragmentLayout | None = None) -> bytes:
    """Write a fragment with Cluster timecodes that count from a time, ms since the epoch."""
    blocks = tuple(
        Block(block.track_number, block.time_ns - zero_ms * 1_000_000, block.pcm) for block in each.contents.blocks
    )
    return write_fragment(replace(each.contents, blocks=blocks), layout or FragmentLayout())


def times(data: bytes) -> list[int]:
    return [block.time_ns for fragment in read(data) for block in fragment.blocks]


@pytest.mark.parametrize("start_ms", [START_MS, 45_000])
def test_timecodes_from_the_fragments_beginning_are_placed_at_the_producer_timestamp(start_ms: int) -> None:
    absolute = list(synthesize_call(SyntheticCall(customer=SPEECH, agent=None, start_ms=start_ms)))
    relative = b"".join(counted_from(each, each.producer_ms) for each in absolute)
    expected = [block.time_ns for each in absolute for block in each.contents.blocks]
    if start_ms > 86_400_000:
        assert times(relative) == expected
    else:
        # Times near the epoch, as a test producer's, may be either: they are taken as they stand.
        assert times(relative) == [
            block.time_ns - each.producer_ms * 1_000_000 for each in absolute for block in each.contents.blocks
        ]


@pytest.mark.parametrize("session_ms", [0, 7_000, 3 * 3_600_000])
def test_timecodes_from_the_producer_sessions_beginning_are_placed_at_the_producer_timestamp(session_ms: int) -> None:
    absolute = list(synthesize_call(SyntheticCall(customer=SPEECH, agent=SPEECH[::-1])))
    relative = b"".join(counted_from(each, absolute[0].producer_ms - session_ms) for each in absolute)

    assert times(relative) == [block.time_ns for each in absolute for block in each.contents.blocks]


def test_a_session_of_relative_timecodes_is_recorded_whole_and_the_same_after_every_resumption() -> None:
    absolute = list(synthesize_call(SyntheticCall(customer=SPEECH, agent=SPEECH[::-1])))
    relative = [counted_from(each, absolute[0].producer_ms) for each in absolute]
    whole = record(events_of([b"".join(each.data for each in absolute)]), CONTACT)
    found = record(events_of([b"".join(relative)]), CONTACT)

    assert found.stereo == whole.stereo
    assert found.manifest(CONTACT)["status"] == "complete"
    for cut in range(1, len(relative)):
        first = record(events_of([b"".join(relative[:cut])]), CONTACT)
        second = record(events_of([b"".join(relative[cut:])]), CONTACT, cursor=first.cursor)
        assert first.stereo + second.stereo == whole.stereo


@settings(max_examples=examples(30))
@given(
    zero_ms=st.sampled_from((START_MS, START_MS - 5_000, START_MS + 1_024)),
    blocks_per_cluster=st.none() | st.integers(1, 20),
    chunk=st.sampled_from((700, 16_000, 1 << 18)),
)
def test_the_shape_and_the_elements_give_the_same_times(
    zero_ms: int, blocks_per_cluster: int | None, chunk: int
) -> None:
    layout = FragmentLayout(blocks_per_cluster=blocks_per_cluster)
    synthetic = islice(synthesize_call(SyntheticCall(customer=SPEECH, agent=SPEECH[::-1])), 1, None)
    data = b"".join(counted_from(each, zero_ms, layout) for each in synthetic if each.producer_ms >= zero_ms)

    both_ways([data[at : at + chunk] for at in range(0, len(data), chunk)], looks=False)


def test_the_fragments_of_a_relative_session_are_read_by_their_shape() -> None:
    absolute = list(synthesize_call(SyntheticCall(customer=SPEECH, agent=SPEECH[::-1])))

    data = b"".join(counted_from(each, absolute[0].producer_ms) for each in absolute)
    report = both_ways([data], looks=False)

    assert report.shaped == len(absolute) - 1
    assert len(fragments_of(events_of([data]))) == len(absolute)
