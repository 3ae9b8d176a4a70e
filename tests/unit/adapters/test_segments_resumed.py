"""The sink `segments` in a later invocation: an index goes on, a damaged one is remade, another call's is left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from connect_audio.adapters.sinks.segment_index import PAGE_SEGMENTS
from connect_audio.core.errors import SinkError
from connect_audio.sinks import LiveEnd
from support.segment_calls import (
    CONTACT,
    RECORDING,
    START_MS,
    MemorySegmentStore,
    deliver_all,
    heard,
    listed,
    noisy_call,
    numbers,
    short_segments,
    sink_of,
    state,
)


def test_a_sink_of_a_later_invocation_goes_on_with_what_is_there_and_reads_it_once() -> None:
    store, call = MemorySegmentStore(), noisy_call(6)
    deliver_all(sink_of(store), call.segments()[:4])
    store.asked.clear()
    later = sink_of(store)
    deliver_all(later, call.segments()[3:])
    assert [asked for asked in store.asked if asked.startswith("get")] == [
        "get index.json",
        "get index-00000.json",
        "get index-00001.json",
    ]
    later.end(call.end)
    assert heard(store) == call.samples
    assert state(store) == ("ended", 6, 0, [])


def test_a_page_read_and_written_again_is_the_same() -> None:
    store, call = MemorySegmentStore(), noisy_call(3)
    deliver_all(sink_of(store), call.segments())
    before = store.files["index-00000.json"]
    sink_of(store).deliver_segment(call.segment(2))
    assert store.files["index-00000.json"] == before


def test_a_page_begun_just_before_a_crash_is_found_though_no_head_tells_of_it() -> None:
    store, call = MemorySegmentStore(), short_segments(PAGE_SEGMENTS + 4)
    deliver_all(sink_of(store), call.segments()[:PAGE_SEGMENTS])
    head = store.files["index.json"]
    deliver_all(sink_of(store), call.segments()[PAGE_SEGMENTS : PAGE_SEGMENTS + 1])
    store.files["index.json"] = head
    later = sink_of(store)
    later.deliver_segment(call.segment(PAGE_SEGMENTS + 3))
    assert state(store) == ("live", PAGE_SEGMENTS + 2, 2, [(601, 602)])


@pytest.mark.parametrize("in_the_same", [True, False])
def test_an_ended_index_is_live_again_where_more_comes(*, in_the_same: bool) -> None:
    store, call = MemorySegmentStore(), short_segments(3)
    first = sink_of(store)
    first.deliver_segment(call.segment(0))
    first.end(call.end)
    assert state(store) == ("ended", 1, 2, [(1, 2)])
    later = first if in_the_same else sink_of(store)
    # Comes again, so that nothing else of the head changes.
    later.deliver_segment(call.segment(0))
    assert state(store) == ("live", 1, 2, [(1, 2)])
    assert store.json("index.json")["durationSeconds"] is None
    later.deliver_segment(call.segment(1))
    assert state(store) == ("live", 2, 1, [(2, 2)])


def test_the_end_of_a_call_may_come_in_an_invocation_without_audio() -> None:
    store, call = MemorySegmentStore(), short_segments(3)
    deliver_all(sink_of(store), call.segments())
    sink_of(store).end(call.end)
    assert state(store) == ("ended", 3, 0, [])
    assert store.json("index.json")["sampleRate"] == 1


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"schemaVersion": "1.0"}',
        "pages",
        "first",
        "negative",
        "fraction",
        "ranges",
    ],
)
@pytest.mark.slow
def test_a_damaged_head_is_made_again_from_the_pages(damage: bytes | str) -> None:
    store, call = MemorySegmentStore(), short_segments(1300)
    deliver_all(sink_of(store), call.segments()[:1250])
    head = store.json("index.json")
    if isinstance(damage, bytes):
        store.files["index.json"] = damage
    else:
        spoilt: dict[str, dict[str, Any]] = {
            "pages": {"pages": None},
            "first": {"pages": [{"first": "x", "segments": 1}]},
            "negative": {"pages": [{"first": -600, "segments": 1}]},
            "fraction": {"missing": [{"first": 1.5, "last": 2}]},
            "ranges": {"missing": [{"first": 1}]},
        }
        store.files["index.json"] = json.dumps({**head, **spoilt[damage]}).encode()
    later = sink_of(store)
    deliver_all(later, call.segments()[1250:])
    later.end(call.end)
    assert state(store) == ("ended", 1300, 0, [])
    assert numbers(store) == list(range(1300))


@pytest.mark.parametrize("damage", [b"", b"{}", "page", "foreign number", "no number", "no list"])
def test_a_damaged_page_is_begun_anew_and_what_it_listed_is_missing(damage: bytes | str) -> None:
    store, call = MemorySegmentStore(), short_segments(1210)
    deliver_all(sink_of(store), call.segments()[:1205])
    page = store.json("index-00002.json")
    if isinstance(damage, bytes):
        store.files["index-00002.json"] = damage
    else:
        spoilt: dict[str, dict[str, Any]] = {
            "page": {"page": 1},
            "foreign number": {"segments": [{**page["segments"][0], "number": 1199}]},
            "no number": {"segments": ["x"]},
            "no list": {"segments": {}},
        }
        store.files["index-00002.json"] = json.dumps({**page, **spoilt[damage]}).encode()
    later = sink_of(store)
    deliver_all(later, call.segments()[1207:])
    later.end(call.end)
    assert state(store) == ("ended", 1203, 7, [(1200, 1206)])
    assert set(store.files) >= {f"{number:06d}.wav" for number in range(1205)}


def test_what_a_damaged_page_listed_is_missing_also_where_nothing_more_comes() -> None:
    store, call = MemorySegmentStore(), short_segments(1205)
    deliver_all(sink_of(store), call.segments())
    store.files["index-00002.json"] = b"spoilt"
    sink_of(store).end(call.end)
    assert state(store) == ("ended", 1200, 5, [(1200, 1204)])


def test_an_older_page_found_damaged_is_begun_anew_too() -> None:
    store, call = MemorySegmentStore(), short_segments(605)
    deliver_all(sink_of(store), call.segments())
    store.files["index-00000.json"] = b"spoilt"
    later = sink_of(store)
    later.deliver_segment(call.segment(599))
    assert state(store) == ("live", 6, 599, [(0, 598)])


def test_a_page_that_somebody_deleted_is_begun_anew_too() -> None:
    store, call = MemorySegmentStore(), short_segments(605)
    deliver_all(sink_of(store), call.segments())
    del store.files["index-00000.json"]
    later = sink_of(store)
    later.deliver_segment(call.segment(599))
    assert state(store) == ("live", 6, 599, [(0, 598)])


@pytest.mark.parametrize("in_the_same", [True, False])
def test_audio_may_come_after_an_end_without_any(*, in_the_same: bool) -> None:
    store, call = MemorySegmentStore(), noisy_call(1)
    first = sink_of(store)
    first.end(LiveEnd(frames=0, origin=None, rate=None))
    (first if in_the_same else sink_of(store)).deliver_segment(call.segment(0))
    assert heard(store) == call.samples
    assert [store.json(name)["sampleRate"] for name in ("index.json", "index-00000.json")] == [8_000, 8_000]


@pytest.mark.parametrize(
    ("there", "mine", "difference"),
    [
        ({"contact_id": "another"}, {}, f"contactId another instead of {CONTACT}"),
        ({"recording": "other.wav"}, {}, f"recording other.wav instead of {RECORDING}"),
        ({"seconds": 2}, {}, "segmentSeconds 2 instead of 1"),
        ({}, {"layout": "tracks"}, "layout stereo instead of tracks"),
        ({}, {"rate": 16_000}, "sampleRate 8000 instead of 16000"),
    ],
)
def test_an_index_of_other_segments_is_left_alone_and_nothing_is_written_beside_it(
    there: dict[str, Any], mine: dict[str, Any], difference: str
) -> None:
    store, call = MemorySegmentStore(), noisy_call(4)
    sink_of(store, **there).deliver_segment(call.segment(0, there.get("seconds", 1)))
    before = dict(store.files)
    sink = sink_of(store, **mine)
    message = f"FOREIGN_INDEX: index.json is there already and lists other segments: {difference}"
    attempts: list[Callable[[], None]] = [lambda: sink.deliver_segment(call.segment(1)), lambda: sink.end(call.end)]
    for attempt in attempts:
        with pytest.raises(SinkError, match=f"^{re.escape(message)}$") as caught:
            attempt()
        assert not caught.value.retryable
    assert store.files == before


def test_whether_a_place_is_taken_can_be_asked_before_anything_comes() -> None:
    store, call = MemorySegmentStore(), noisy_call(2)
    sink_of(store, contact_id="another").deliver_segment(call.segment(0))
    before = dict(store.files)
    message = (
        f"FOREIGN_INDEX: index.json is there already and lists other segments: contactId another instead of {CONTACT}"
    )
    with pytest.raises(SinkError, match=f"^{re.escape(message)}$"):
        sink_of(store).prepare()
    assert store.files == before
    store = MemorySegmentStore()
    sink = sink_of(store)
    sink.prepare()
    assert store.files == {}
    deliver_all(sink, call.segments())
    assert heard(store) == call.samples
    assert [asked for asked in store.asked if asked.startswith("get")] == ["get index.json", "get index-00000.json"]


def test_an_index_of_another_rate_is_left_alone_also_where_the_rate_was_not_known_at_first() -> None:
    store, call = MemorySegmentStore(), noisy_call(2)
    sink_of(store, rate=16_000).deliver_segment(call.segment(0))
    before = dict(store.files)
    sink = sink_of(store)
    sink.prepare()
    message = "FOREIGN_INDEX: index.json is there already and lists other segments: sampleRate 16000 instead of 8000"
    with pytest.raises(SinkError, match=f"^{re.escape(message)}$"):
        sink.deliver_segment(call.segment(1))
    assert store.files == before


def test_a_page_of_other_segments_is_left_alone_too() -> None:
    store, call = MemorySegmentStore(), short_segments(2)
    sink_of(store, contact_id="another").deliver_segment(call.segment(0))
    del store.files["index.json"]
    before = dict(store.files)
    message = (
        "FOREIGN_INDEX: index-00000.json is there already and lists other segments: contactId another instead of "
        f"{CONTACT}"
    )
    with pytest.raises(SinkError, match=f"^{re.escape(message)}$"):
        sink_of(store).deliver_segment(call.segment(1))
    assert store.files == before


def test_an_index_of_a_later_version_is_left_alone_and_one_with_more_fields_is_not() -> None:
    store, call = MemorySegmentStore(), short_segments(3)
    deliver_all(sink_of(store), call.segments()[:1])
    head = store.json("index.json")
    store.files["index.json"] = json.dumps({**head, "schemaVersion": "1.7", "more": 1}).encode()
    sink_of(store).deliver_segment(call.segment(1))
    assert state(store) == ("live", 2, 0, [])
    store.files["index.json"] = json.dumps({**head, "schemaVersion": "2.0"}).encode()
    message = "FOREIGN_INDEX: index.json is there already and lists other segments: schemaVersion 2.0 instead of 1.0"
    with pytest.raises(SinkError, match=f"^{re.escape(message)}$"):
        sink_of(store).deliver_segment(call.segment(2))


def test_times_are_rounded_to_the_millisecond_as_in_the_manifest() -> None:
    store, rate = MemorySegmentStore(), 11_025
    call = noisy_call(2, rate)
    deliver_all(sink_of(store, rate=16_000), call.segments())
    origin = START_MS * rate // 1000
    assert round(origin * 1000 / rate) == START_MS
    assert store.json("index.json")["startTime"] == "2026-01-02T03:04:05.678Z"
    assert [entry["startTime"] for entry in listed(store)] == ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:06.678Z"]
