"""The sink `segments`: a store that fails, is slow or is interrupted costs a try, and the index stays true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.adapters.sinks.segment_index import PAGE_SEGMENTS
from connect_audio.adapters.sinks.segments import LAST_CALL_SECONDS
from connect_audio.core.errors import SinkError
from support.segment_calls import (
    MemorySegmentStore,
    SetClock,
    deliver_all,
    heard,
    missing,
    noisy_call,
    numbers,
    short_segments,
    sink_of,
    state,
)


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
