"""The sink `segments`: what it writes, in which order, and how it goes on after failures and earlier invocations."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.adapters.sinks.segment_index import MAX_RANGES, PAGE_SEGMENTS
from connect_audio.adapters.sinks.segments import LAST_CALL_SECONDS
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES
from connect_audio.sinks import LiveEnd, SegmentSink
from support.segment_calls import (
    AGENT,
    CONTACT,
    CUSTOMER,
    RECORDING,
    START_MS,
    Call,
    MemorySegmentStore,
    SetClock,
    deliver_all,
    heard,
    listed,
    noisy_call,
    short_segments,
    sink_of,
)

type Layout = Literal["stereo", "tracks"]


def numbers(store: MemorySegmentStore) -> list[int]:
    return [entry["number"] for entry in listed(store)]


def missing(store: MemorySegmentStore) -> list[tuple[int, int]]:
    return [(each["first"], each["last"]) for each in store.json("index.json")["missing"]]


def state(store: MemorySegmentStore) -> tuple[str, int, int, list[tuple[int, int]]]:
    """State, listed segments, missing segments, missing ranges."""
    head = store.json("index.json")
    return head["state"], head["segments"], head["missingSegments"], missing(store)


# -- what is written --------------------------------------------------------------------------------------------------


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


# -- what is missing, and comes again ---------------------------------------------------------------------------------


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


def test_the_head_lists_so_many_ranges_and_counts_on() -> None:
    store, count = MemorySegmentStore(), 2 * MAX_RANGES + 21
    call = short_segments(count)
    sink = sink_of(store)
    deliver_all(sink, call.segments()[1::2])
    sink.end(call.end)
    assert missing(store) == [(number, number) for number in range(0, 2 * MAX_RANGES, 2)]
    assert state(store)[1:3] == (count // 2, count - count // 2)


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing",
    [
        "get index.json",
        "get index-00000.json",
        "put 000000.customer.wav",
        "put 000000.agent.wav",
        "put index-00000.json",
        "put index.json",
    ],
)
def test_wherever_the_store_fails_another_try_makes_all_good(failing: str) -> None:
    store, call = MemorySegmentStore(failing={failing}), noisy_call(2)
    sink = sink_of(store, layout="tracks")
    with pytest.raises(SinkError, match=f"^SlowDown: {failing}$"):
        sink.deliver_segment(call.segment(0))
    assert store.asked[-1] == failing
    store.failing.clear()
    deliver_all(sink, call.segments())
    sink.end(call.end)
    assert heard(store) == call.samples
    assert state(store) == ("ended", 2, 0, [])


@pytest.mark.parametrize("failing", ["put index-00000.json", "put index.json"])
def test_what_was_written_and_then_given_up_is_listed_with_the_next(failing: str) -> None:
    store, call = MemorySegmentStore(failing={failing}), noisy_call(2)
    sink = sink_of(store)
    with pytest.raises(SinkError, match=f"^SlowDown: {failing}$"):
        sink.deliver_segment(call.segment(0))
    store.failing.clear()
    sink.deliver_segment(call.segment(1))
    assert heard(store) == call.samples
    assert missing(store) == []


@pytest.mark.parametrize("after", ["a segment of the next page", "three pages", "the end"])
def test_the_last_entry_of_a_page_that_could_not_be_written_comes_with_whatever_is_next(after: str) -> None:
    count = {
        "a segment of the next page": PAGE_SEGMENTS + 1,
        "three pages": 4 * PAGE_SEGMENTS,
        "the end": PAGE_SEGMENTS,
    }
    store, call = MemorySegmentStore(), short_segments(count[after])
    sink, segments = sink_of(store), call.segments()
    deliver_all(sink, segments[: PAGE_SEGMENTS - 1])
    store.failing = {"put index-00000.json"}
    for segment in segments[PAGE_SEGMENTS - 1 :]:
        with pytest.raises(SinkError, match=r"^SlowDown: put index-00000\.json$"):
            sink.deliver_segment(segment)
    store.failing.clear()
    sink.end(call.end)
    assert state(store) == ("ended", count[after], 0, [])
    assert numbers(store) == list(range(count[after]))


def test_of_two_pages_that_wait_to_be_written_the_second_still_waits_once_the_first_is() -> None:
    store, call = MemorySegmentStore(), short_segments(PAGE_SEGMENTS + 1)
    sink, segments = sink_of(store), call.segments()
    deliver_all(sink, segments[: PAGE_SEGMENTS - 1])
    store.failing = {"put index-00000.json"}
    for segment in segments[PAGE_SEGMENTS - 1 :]:
        with pytest.raises(SinkError, match=r"^SlowDown: put index-00000\.json$"):
            sink.deliver_segment(segment)
    store.failing = {"put index-00001.json"}
    with pytest.raises(SinkError, match=r"^SlowDown: put index-00001\.json$"):
        sink.end(call.end)
    store.failing.clear()
    sink.end(call.end)
    assert numbers(store) == list(range(PAGE_SEGMENTS + 1))


def test_what_was_not_written_and_then_given_up_is_missing() -> None:
    store, call = MemorySegmentStore(failing={"put 000001.agent.wav"}), short_segments(3)
    sink = sink_of(store, layout="tracks")
    sink.deliver_segment(call.segment(0))
    with pytest.raises(SinkError, match=r"^SlowDown: put 000001\.agent\.wav$"):
        sink.deliver_segment(call.segment(1))
    sink.deliver_segment(call.segment(2))
    assert numbers(store) == [0, 2]
    assert missing(store) == [(1, 1)]


def test_an_end_that_could_not_be_told_is_told_by_another_try() -> None:
    store, call = MemorySegmentStore(), short_segments(2)
    sink = sink_of(store)
    sink.deliver_segment(call.segment(0))
    store.failing = {"put index.json"}
    with pytest.raises(SinkError, match=r"^SlowDown: put index\.json$"):
        sink.end(call.end)
    store.failing.clear()
    sink.end(call.end)
    assert state(store) == ("ended", 1, 1, [(1, 1)])


@dataclass(slots=True)
class TurningStore(MemorySegmentStore):
    """Does something once a certain file is written."""

    name: str = ""
    turn: Callable[[], None] = lambda: None

    def put(self, name: str, body: bytes, content_type: str) -> None:
        MemorySegmentStore.put(self, name, body, content_type)
        if name == self.name:
            self.turn()


def test_a_store_that_is_slow_ends_the_try_before_its_next_call() -> None:
    clock = SetClock()

    def pass_time() -> None:
        clock.seconds += LAST_CALL_SECONDS + 0.5

    store, call = TurningStore(name="000000.wav", turn=pass_time), short_segments(2)
    sink = sink_of(store, clock=clock)
    with pytest.raises(SinkError, match=r"^TIMEOUT: 3\.5 s have passed before index-00000\.json$") as caught:
        sink.deliver_segment(call.segment(0))
    assert caught.value.retryable
    sink.deliver_segment(call.segment(1))
    assert numbers(store) == [0, 1]


def test_an_interruption_ends_the_try_before_its_next_call_and_not_the_next_try() -> None:
    store, call = TurningStore(name="000000.wav"), short_segments(2)
    sink = sink_of(store)
    store.turn = sink.interrupt
    with pytest.raises(SinkError, match=r"^INTERRUPTED: interrupted before index-00000\.json$") as caught:
        sink.deliver_segment(call.segment(0))
    assert caught.value.retryable
    sink.deliver_segment(call.segment(1))
    assert numbers(store) == [0, 1]


def test_an_interruption_a_moment_too_early_counts_for_the_next_try() -> None:
    store, call = MemorySegmentStore(), short_segments(2)
    sink = sink_of(store)
    sink.interrupt()
    with pytest.raises(SinkError, match=r"^INTERRUPTED: interrupted before index\.json$"):
        sink.deliver_segment(call.segment(0))
    assert store.asked == []
    sink.deliver_segment(call.segment(0))
    sink.interrupt()
    with pytest.raises(SinkError, match=r"^INTERRUPTED: interrupted before index\.json$"):
        sink.end(call.end)
    sink.end(call.end)
    assert numbers(store) == [0]


@dataclass(slots=True)
class FailingStore(MemorySegmentStore):
    """Fails at certain calls, before or after the file is written, and holds every index to what is there."""

    calls: int = 0
    fail_before: frozenset[int] = frozenset()
    fail_after: frozenset[int] = frozenset()

    def put(self, name: str, body: bytes, content_type: str) -> None:
        self._fail(self.fail_before)
        MemorySegmentStore.put(self, name, body, content_type)
        if name.startswith("index-"):
            assert {file for entry in self.json(name)["segments"] for file in entry["files"]} <= self.files.keys()
        if name == "index.json":
            assert {page["name"] for page in self.json(name)["pages"]} <= self.files.keys()
        self._fail(self.fail_after)

    def get(self, name: str) -> bytes | None:
        self._fail(self.fail_before)
        return MemorySegmentStore.get(self, name)

    def _fail(self, when: frozenset[int]) -> None:
        self.calls += 1
        if self.calls in when:
            raise SinkError("SlowDown", f"call {self.calls}", retryable=True)


@given(
    first=st.sampled_from([0, PAGE_SEGMENTS - 10, 2 * PAGE_SEGMENTS - 3]),
    hand_overs=st.sets(st.integers(0, 19), max_size=4),
    patience=st.integers(1, 2),
    fail_before=st.frozensets(st.integers(1, 120), max_size=40),
    fail_after=st.frozensets(st.integers(1, 120), max_size=40),
)
def test_whatever_fails_the_index_lists_what_is_there_and_all_that_was_taken(
    first: int, hand_overs: set[int], patience: int, fail_before: frozenset[int], fail_after: frozenset[int]
) -> None:
    call = short_segments(first + 20)
    store = FailingStore(fail_before=fail_before, fail_after=fail_after)
    sink = sink_of(store, layout="tracks")
    taken = set()
    for at, number in enumerate(range(first, first + 20)):
        if at in hand_overs:
            sink = sink_of(store, layout="tracks")
        for _ in range(patience):
            try:
                sink.deliver_segment(call.segment(number))
            except SinkError:
                continue
            taken.add(number)
            break
    store.fail_before = store.fail_after = frozenset()
    sink.end(call.end)
    lacking = [number for begin, end in missing(store) for number in range(begin, end + 1)]
    assert taken <= set(numbers(store))
    assert sorted([*numbers(store), *lacking]) == list(range(first + 20))
    assert state(store)[1:3] == (len(numbers(store)), len(lacking))


# -- what earlier invocations left ------------------------------------------------------------------------------------


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
