"""The sink `segments`: the files it writes, their order, and what page and head of the index say."""

from __future__ import annotations

from array import array
from typing import Literal

import pytest

from connect_audio.adapters.sinks.segment_index import PAGE_SEGMENTS
from connect_audio.sinks import LiveEnd, SegmentSink
from support.segment_calls import (
    AGENT,
    CONTACT,
    CUSTOMER,
    RECORDING,
    Call,
    MemorySegmentStore,
    deliver_all,
    heard,
    noisy_call,
    numbers,
    short_segments,
    sink_of,
)

type Layout = Literal["stereo", "tracks"]


@pytest.mark.parametrize("layout", ["stereo", "tracks"])
@pytest.mark.parametrize("seconds", [1, 2])
def test_the_segments_of_a_call_are_the_call(layout: Layout, seconds: int) -> None:
    call, store = noisy_call(5.3), MemorySegmentStore()
    sink = sink_of(store, layout=layout, seconds=seconds)
    deliver_all(sink, call.segments(seconds))
    sink.end(call.end)
    assert heard(store) == call.samples
    assert store.types == {name: "application/json" if name.endswith(".json") else "audio/wav" for name in store.files}


def test_names_come_from_the_number_and_the_party() -> None:
    store = MemorySegmentStore()
    sink_of(store).deliver_segment(short_segments(13).segment(12))
    assert sorted(store.files) == ["000012.wav", "index-00000.json", "index.json"]
    store = MemorySegmentStore()
    sink_of(store, layout="tracks").deliver_segment(short_segments(13).segment(12))
    assert sorted(store.files) == ["000012.agent.wav", "000012.customer.wav", "index-00000.json", "index.json"]


def test_a_page_tells_where_when_how_long_and_how_loud() -> None:
    store, loud = MemorySegmentStore(), array("h", [16_384, -16_384] * 10_000).tobytes()
    sink = sink_of(store, layout="tracks", rate=16_000)
    deliver_all(sink, Call({CUSTOMER: loud, AGENT: bytes(40_000)}).segments()[1:])
    assert store.json("index-00000.json") == {
        "schemaVersion": "1.0",
        "contactId": CONTACT,
        "recording": RECORDING,
        "segmentSeconds": 1,
        "layout": "tracks",
        "sampleRate": 16_000,
        "page": 0,
        "segments": [
            {
                "number": 1,
                "files": ["000001.customer.wav", "000001.agent.wav"],
                "startSeconds": 1.0,
                "startTime": "2026-01-02T03:04:06.678Z",
                "durationSeconds": 1.0,
                "frames": 16_000,
                "levels": {"customer": -6.0, "agent": None},
            },
            {
                "number": 2,
                "files": ["000002.customer.wav", "000002.agent.wav"],
                "startSeconds": 2.0,
                "startTime": "2026-01-02T03:04:07.678Z",
                "durationSeconds": 0.5,
                "frames": 8_000,
                "levels": {"customer": -6.0, "agent": None},
            },
        ],
    }


def test_the_head_tells_of_the_whole_while_it_lasts_and_at_its_end() -> None:
    call, store = noisy_call(3.5), MemorySegmentStore()
    sink = sink_of(store)
    deliver_all(sink, call.segments())
    live = {
        "schemaVersion": "1.0",
        "contactId": CONTACT,
        "recording": RECORDING,
        "segmentSeconds": 1,
        "layout": "stereo",
        "sampleRate": 8_000,
        "startTime": "2026-01-02T03:04:05.678Z",
        "state": "live",
        "durationSeconds": None,
        "segmentsPerPage": 600,
        "segments": 1,
        "pages": [{"name": "index-00000.json", "first": 0, "segments": 1}],
        "missingSegments": 0,
        "missing": [],
    }
    assert store.json("index.json") == live
    sink.end(call.end)
    assert store.json("index.json") == {
        **live,
        "state": "ended",
        "durationSeconds": 3.5,
        "segments": 4,
        "pages": [{"name": "index-00000.json", "first": 0, "segments": 4}],
    }


def test_files_come_first_then_the_page_then_the_head_where_it_changed() -> None:
    store = MemorySegmentStore()
    sink = sink_of(store, layout="tracks")
    call = short_segments(3)
    deliver_all(sink, call.segments())
    sink.end(call.end)
    assert store.asked == [
        "get index.json",
        "get index-00000.json",
        "put 000000.customer.wav",
        "put 000000.agent.wav",
        "put index-00000.json",
        "put index.json",
        "put 000001.customer.wav",
        "put 000001.agent.wav",
        "put index-00000.json",
        "put 000002.customer.wav",
        "put 000002.agent.wav",
        "put index-00000.json",
        "put index.json",
    ]


def test_a_new_page_begins_every_600_segments_and_only_the_newest_is_written() -> None:
    store, call = MemorySegmentStore(), short_segments(2 * PAGE_SEGMENTS + 1)
    sink = sink_of(store)
    deliver_all(sink, call.segments())
    sink.end(call.end)
    assert store.json("index.json")["pages"] == [
        {"name": "index-00000.json", "first": 0, "segments": 600},
        {"name": "index-00001.json", "first": 600, "segments": 600},
        {"name": "index-00002.json", "first": 1200, "segments": 1},
    ]
    assert numbers(store) == list(range(1201))
    assert store.asked.count("put index.json") == 4
    assert max(at for at, asked in enumerate(store.asked) if asked == "put index-00000.json") < store.asked.index(
        "put index-00001.json"
    )


def test_a_call_without_audio_ends_with_a_head_alone() -> None:
    store = MemorySegmentStore()
    sink_of(store).end(LiveEnd(frames=0, origin=None, rate=None))
    assert sorted(store.files) == ["index.json"]
    head = store.json("index.json")
    assert (head["state"], head["durationSeconds"], head["startTime"], head["sampleRate"], head["pages"]) == (
        "ended",
        0.0,
        None,
        None,
        [],
    )


def test_it_is_a_sink_of_segments_that_closes_its_store() -> None:
    store = MemorySegmentStore()
    sink: SegmentSink = sink_of(store, seconds=5)
    assert sink.segment_seconds == 5
    sink.close()
    assert store.closed
