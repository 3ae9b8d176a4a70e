"""The sink `segments`: audio that never comes is missing in the index, and audio that comes again is listed once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.adapters.sinks.segment_index import MAX_RANGES
from connect_audio.core.pcm import PARTIES
from connect_audio.sinks import LiveEnd
from support.segment_calls import (
    START_MS,
    MemorySegmentStore,
    deliver_all,
    heard,
    missing,
    noisy_call,
    numbers,
    short_segments,
    sink_of,
    state,
)


def test_what_was_passed_over_is_missing_until_it_comes() -> None:
    store, call = MemorySegmentStore(), short_segments(8)
    sink = sink_of(store)
    deliver_all(sink, [call.segment(number) for number in (1, 5)])
    assert state(store) == ("live", 2, 4, [(0, 0), (2, 4)])
    sink.deliver_segment(call.segment(3))
    assert state(store) == ("live", 3, 3, [(0, 0), (2, 2), (4, 4)])
    deliver_all(sink, [call.segment(number) for number in (0, 2)])
    assert state(store) == ("live", 5, 1, [(4, 4)])
    assert numbers(store) == [0, 1, 2, 3, 5]
    sink.end(call.end)
    assert state(store) == ("ended", 5, 3, [(4, 4), (6, 7)])


def test_of_a_call_of_which_nothing_came_all_is_missing() -> None:
    store = MemorySegmentStore()
    sink_of(store, seconds=2).end(noisy_call(4.1).end)
    assert state(store) == ("ended", 0, 3, [(0, 2)])


@pytest.mark.parametrize("count", [602, 601, 600, 599, 1, 0])
def test_what_the_recording_has_not_in_the_end_is_not_in_the_index(count: int) -> None:
    store, call, skipped = MemorySegmentStore(), short_segments(603), {0, 600, 601}
    deliver_all(sink_of(store), [segment for segment in call.segments() if segment.number not in skipped])
    assert missing(store) == [(0, 0), (600, 601)]
    sink_of(store).end(LiveEnd(frames=count, origin=START_MS // 1000, rate=1))
    lacking = [number for first, last in missing(store) for number in range(first, last + 1)]
    assert lacking == [number for number in sorted(skipped) if number < count]
    assert numbers(store) == [number for number in range(count) if number not in skipped]
    assert state(store)[:3] == ("ended", count - len(lacking), len(lacking))
    assert "000602.wav" in store.files


def test_where_there_is_no_recording_what_was_heard_of_it_stays_in_the_index() -> None:
    store, call = MemorySegmentStore(), short_segments(3)
    sink = sink_of(store)
    deliver_all(sink, call.segments())
    sink.end(LiveEnd(frames=0, origin=None, rate=None))
    assert state(store) == ("ended", 3, 0, [])
    assert store.json("index.json")["durationSeconds"] == 0.0


def test_a_segment_that_comes_again_is_written_with_the_same_bytes_and_listed_once() -> None:
    store, call = MemorySegmentStore(), noisy_call(3)
    sink = sink_of(store, rate=16_000)
    deliver_all(sink, call.segments())
    before = dict(store.files)
    deliver_all(sink, call.segments()[1:])
    assert store.files == before


def test_of_a_segment_that_comes_corrected_the_newest_counts() -> None:
    store, first, corrected = MemorySegmentStore(), noisy_call(3, seed=1), noisy_call(3, seed=2)
    sink = sink_of(store)
    deliver_all(sink, [*first.segments(), corrected.segment(1)])
    expected = {
        party: first.samples[party][:16_000] + corrected.samples[party][16_000:32_000] + first.samples[party][32_000:]
        for party in PARTIES
    }
    assert heard(store) == expected


def test_a_segment_of_an_earlier_page_finds_its_page() -> None:
    store, call = MemorySegmentStore(), short_segments(1700)
    sink = sink_of(store)
    segments = call.segments()
    deliver_all(sink, [*segments[:100], *segments[101:]])
    assert missing(store) == [(100, 100)]
    store.asked.clear()
    sink.deliver_segment(segments[100])
    # Two pages are held, so the first of three is read again.
    assert store.asked == ["get index-00000.json", "put 000100.wav", "put index-00000.json", "put index.json"]
    sink.end(call.end)
    assert state(store) == ("ended", 1700, 0, [])
    assert numbers(store) == list(range(1700))


@given(
    order=st.lists(st.integers(0, 2000), min_size=1, max_size=40),
    hand_overs=st.lists(st.integers(0, 40), max_size=4),
    ended=st.booleans(),
)
def test_whatever_comes_in_whatever_order_is_listed_and_all_else_is_missing(
    order: list[int], hand_overs: list[int], *, ended: bool
) -> None:
    store, call = MemorySegmentStore(), short_segments(2001)
    sink = sink_of(store)
    for at, number in enumerate(order):
        if at in hand_overs:
            sink = sink_of(store)
        sink.deliver_segment(call.segment(number))
    if ended:
        sink.end(call.end)
    expected = sorted(set(order))
    assert numbers(store) == expected
    upto = 2001 if ended else expected[-1] + 1
    lacking = [number for first, last in missing(store) for number in range(first, last + 1)]
    assert lacking == sorted(set(range(upto)) - set(order))
    if ended:
        assert state(store)[1:3] == (len(expected), len(lacking))


@pytest.mark.slow
def test_the_head_lists_so_many_ranges_and_counts_on() -> None:
    store, count = MemorySegmentStore(), 2 * MAX_RANGES + 21
    call = short_segments(count)
    sink = sink_of(store)
    deliver_all(sink, call.segments()[1::2])
    sink.end(call.end)
    assert missing(store) == [(number, number) for number in range(0, 2 * MAX_RANGES, 2)]
    assert state(store)[1:3] == (count // 2, count - count // 2)
