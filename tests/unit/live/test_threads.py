"""Sinks in threads of their own: nobody waits for them, and none outlives its invocation."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import FRAME_BYTES, Party
from connect_audio.live import LivePolicy, Threads
from connect_audio.live.drivers import LEFT_BEHIND
from connect_audio.ports import Log
from connect_audio.sinks import LiveEnd
from support.clock import FakeClock
from support.live_sinks import LOGGER, RATE, Blocks, Call, Segments, call_into, refusal
from support.log_lines import LogLines

PATIENCE_S = 10.0


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("live-")}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert threads() == set()


@dataclass
class Waiting(Segments):
    """Takes a piece only once it is released; tells when it has one in hand."""

    released: threading.Event = field(default_factory=threading.Event)
    in_hand: threading.Event = field(default_factory=threading.Event)
    heeds: bool = True
    """Whether it gives up where it is interrupted."""

    def deliver_segment(self, segment: LiveSegment) -> None:
        self.in_hand.set()
        assert self.released.wait(PATIENCE_S)
        if self.interrupted.is_set():
            raise SinkError("INTERRUPTED", "gave up", retryable=True)
        super().deliver_segment(segment)

    def interrupt(self) -> None:
        super().interrupt()
        if self.heeds:
            self.released.set()


def live_call(*sinks: Segments | Blocks, policy: LivePolicy | None = None, logger: Log = LOGGER) -> Call:
    return call_into(*sinks, driver=Threads, clock=SystemClock(), policy=policy, logger=logger)  # type: ignore[arg-type]


def test_each_sink_has_a_thread_until_the_pipeline_closes() -> None:
    first, second = Segments(), Blocks()
    call = live_call(first, second)
    assert threads() == {"live-a", "live-b"}
    call.speak(3)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert threads() == set()
    assert first.numbers == [0, 1, 2]
    assert sum(each.length for each in second.took) == 2 * 3 * RATE
    assert (first.closed, second.closed, len(first.ends), len(second.ends)) == (1, 1, 1, 1)
    assert (first.prepared, second.prepared) == (1, 1)
    call.pipeline.close()
    assert first.closed == 1


def test_a_sink_that_hangs_holds_up_neither_the_writer_nor_its_neighbour() -> None:
    hanging, well = Waiting(), Segments()
    call = live_call(hanging, well, policy=LivePolicy(flush_timeout=0.2))
    for _ in range(50):
        call.speak(1)
    assert hanging.in_hand.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while len(well.numbers) < 50 and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    call.pipeline.flush()
    assert well.numbers == list(range(50))
    call.pipeline.close()
    assert hanging.interrupted.is_set()
    assert hanging.closed == 1


def test_what_does_not_fit_the_buffer_any_more_is_dropped_oldest_first_and_counted() -> None:
    sink = Waiting()
    call = live_call(sink, policy=LivePolicy(buffer=20))
    call.speak(1)
    assert sink.in_hand.wait(PATIENCE_S)
    for _ in range(49):
        call.speak(1)
    sink.released.set()
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    # It held the first while thirty seconds went by; of what it had not taken the newest twenty are there.
    assert sink.numbers == [0, *range(30, 50)]
    state = call.pipeline.state(call.timeline.taken)[0].sinks["a"]
    assert (state.counts.delivered, state.counts.dropped_frames) == (21, 29 * RATE)


def test_the_end_of_an_invocation_waits_for_sinks_that_get_on() -> None:
    sink = Waiting()
    call = live_call(sink, policy=LivePolicy(flush_timeout=PATIENCE_S))
    call.speak(3)
    assert sink.in_hand.wait(PATIENCE_S)
    threading.Thread(target=sink.released.set).start()
    call.pipeline.flush()
    call.pipeline.close()
    assert sink.numbers == [0, 1, 2]


def test_what_hangs_at_the_end_of_an_invocation_comes_in_the_next() -> None:
    sink = Waiting()
    call = live_call(sink, policy=LivePolicy(flush_timeout=0.05))
    call.speak(3.5)
    assert sink.in_hand.wait(PATIENCE_S)
    call.pipeline.flush()
    call.pipeline.close()
    frames = call.take()
    state, tail = call.pipeline.state(frames)
    assert (state.sinks["a"].frames, len(tail)) == (0, frames * FRAME_BYTES)
    well = Segments()
    following = call_into(well, state=state, taken=frames)
    following.pipeline.resume(following.timeline, tail)
    assert well.numbers == [0, 1, 2]


def test_a_sink_whose_circuit_is_open_is_not_waited_for() -> None:
    sink = Segments(troubles=[refusal(retryable=False)] * 50)
    call = live_call(sink, policy=LivePolicy(flush_timeout=3600, open=3600))
    call.speak(9)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    state = call.pipeline.state(call.timeline.taken)[0].sinks["a"]
    assert (state.counts.delivered, state.counts.dropped_frames) == (0, 9 * RATE)
    assert state.counts.circuit_opened >= 1


def test_a_sink_that_was_left_alone_has_a_last_chance_at_the_end_and_is_told_of_it() -> None:
    sink = Segments(troubles=[refusal()] * 5)
    call = live_call(sink, policy=LivePolicy(first_backoff=0, longest_backoff=0, open=3600, longest_open=3600))
    call.speak(3)
    while not call.pipeline.state(0)[0].sinks["a"].counts.circuit_opened:
        threading.Event().wait(0.001)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert sink.numbers == [0, 1, 2]
    assert len(sink.ends) == 1


def test_a_sink_that_took_nothing_is_told_of_the_end_all_the_same() -> None:
    class Picky(Segments):
        def deliver_segment(self, segment: LiveSegment) -> None:  # noqa: ARG002 - the port's name
            raise refusal()

    sink = Picky()
    quick = LivePolicy(first_backoff=0, longest_backoff=0, open=3600, longest_open=3600, flush_timeout=PATIENCE_S)
    call = live_call(sink, policy=quick)
    call.speak(3)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert [end.frames for end in sink.ends] == [3 * RATE]
    assert call.pipeline.state(call.timeline.taken)[0].sinks["a"].counts.dropped_frames == 3 * RATE


def test_an_interrupt_that_waits_for_what_hangs_holds_up_nobody() -> None:
    class Deadlocked(Waiting):
        lock = threading.Lock()

        def deliver_segment(self, segment: LiveSegment) -> None:
            with self.lock:
                super().deliver_segment(segment)

        def interrupt(self) -> None:
            with self.lock:
                self.released.set()

    sink = Deadlocked()
    call = live_call(sink, policy=LivePolicy(join=0.05, flush_timeout=0.05, longest_delivery=0))
    call.speak(1)
    assert sink.in_hand.wait(PATIENCE_S)
    call.pipeline.interrupt_overdue()
    call.pipeline.close()
    assert call.pipeline.failures == {"a": LEFT_BEHIND}
    sink.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("live-"):
            thread.join(PATIENCE_S)


def test_not_even_what_ends_a_process_ends_a_sink_s_thread() -> None:
    class Cancelled(Segments):
        def deliver_segment(self, segment: LiveSegment) -> None:
            if segment.number == 0:
                raise asyncio.CancelledError
            super().deliver_segment(segment)

    sink = Cancelled()
    call = live_call(sink)
    call.speak(2)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert (sink.numbers, sink.closed) == ([1], 1)
    state = call.pipeline.state(call.timeline.taken)[0].sinks["a"]
    assert (state.counts.failures, state.counts.dropped_frames) == (1, RATE)


class UnreadableError(SinkError):
    """An error of a sink's author, who has forgotten the base class."""

    def __init__(self) -> None:
        Exception.__init__(self, "secret")


def fatal() -> SinkError:
    return SinkError("BROKEN", "secret", retryable=True, is_fatal=True)


@pytest.mark.parametrize(("error", "code"), [(fatal(), "BROKEN"), (UnreadableError(), "AttributeError")])
def test_a_sink_that_fails_for_good_is_closed_and_not_used_again_and_one_line_says_so(
    error: SinkError, code: str
) -> None:
    log, sink, well = LogLines(), Segments(troubles=[None, error]), Segments()
    call = live_call(sink, well, logger=log)
    call.speak(5)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert (sink.numbers, sink.ends, sink.closed) == ([0], [], 1)
    assert call.pipeline.failures == {"a": code}
    state = call.pipeline.state(call.timeline.taken)[0].sinks["a"]
    assert (state.failure, state.counts.dropped_frames) == (code, 4 * RATE)
    ((level, told),) = log.of("live sink failed; disabled for this call")
    assert (level, told["sink"], told["code"]) == ("error", "a", code)
    assert re.fullmatch(r"(live_sinks|drivers)\.py:\d+", str(told["place"]))
    assert "secret" not in str(log.lines)
    assert (well.numbers, len(well.ends)) == ([0, 1, 2, 3, 4], 1)


def test_a_thread_that_cannot_be_had_costs_its_own_sink_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name == "live-b":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    first, second, third = Segments(), Segments(), Segments()
    call = live_call(first, second, third)
    call.speak(2)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert (first.numbers, second.numbers, third.numbers) == ([0, 1], [], [0, 1])
    assert call.pipeline.failures == {"b": "NO_THREAD"}
    assert second.closed == 1


def test_a_delivery_that_lasts_too_long_is_interrupted_once_and_tried_again() -> None:
    class Impatient(Waiting):
        interruptions = 0

        def interrupt(self) -> None:
            self.interruptions += 1
            super().interrupt()
            # What comes next is taken.
            threading.Timer(0.05, self.interrupted.clear).start()

    sink = Impatient()
    call = live_call(sink, policy=LivePolicy(longest_delivery=0, first_backoff=0.2))
    call.speak(1)
    assert sink.in_hand.wait(PATIENCE_S)
    call.pipeline.interrupt_overdue()
    call.pipeline.interrupt_overdue()
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert sink.numbers == [0]
    assert sink.interruptions == 1


def test_a_delivery_is_interrupted_once_alone() -> None:
    class Stubborn(Waiting):
        interruptions = 0

        def interrupt(self) -> None:
            self.interruptions += 1

    sink = Stubborn()
    call = live_call(sink, policy=LivePolicy(longest_delivery=0))
    call.speak(1)
    assert sink.in_hand.wait(PATIENCE_S)
    call.pipeline.interrupt_overdue()
    call.pipeline.interrupt_overdue()
    assert sink.interruptions == 1
    sink.released.set()
    call.pipeline.close()


def test_what_is_under_way_when_the_buffer_changes_beneath_it_is_delivered_again() -> None:
    sink = Waiting()
    call = live_call(sink, policy=LivePolicy(flush_timeout=PATIENCE_S))
    call.speak_ahead(1, value=7)
    call.speak(0.0)
    sink.in_hand.clear()
    call.speak_ahead(1, value=7)
    assert sink.in_hand.wait(PATIENCE_S)
    call.speak(1)
    sink.released.set()
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert sink.took[-1].number == 0
    assert set(sink.took[-1].samples[Party.AGENT]) != {0, 7}


def test_a_sink_that_heeds_nothing_is_left_behind_told_and_never_used_again() -> None:
    sink = Waiting(heeds=False)
    call = live_call(sink, policy=LivePolicy(join=0.05, flush_timeout=0.05))
    call.speak(1)
    assert sink.in_hand.wait(PATIENCE_S)
    call.pipeline.close()
    assert call.pipeline.state(call.take())[0].sinks["a"].failure == LEFT_BEHIND
    # What it does once it comes back changes nothing any more.
    sink.released.set()
    for thread in threading.enumerate():
        if thread.name == "live-a":
            thread.join(PATIENCE_S)


def test_what_a_sink_raises_when_it_is_closed_or_interrupted_stays_there() -> None:
    class Rude(Waiting):
        def prepare(self) -> None:
            raise RuntimeError("not yet")

        def interrupt(self) -> None:
            super().interrupt()
            raise RuntimeError("not now")

        def close(self) -> None:
            raise RuntimeError("not at all")

    sink = Rude()
    call = live_call(sink, policy=LivePolicy(flush_timeout=0.05))
    call.speak(1)
    assert sink.in_hand.wait(PATIENCE_S)
    call.pipeline.close()
    assert threads() == set()


def test_the_longest_lag_is_from_the_last_sample_s_arrival_to_its_being_taken() -> None:
    clock = FakeClock(0)

    class Slow(Segments):
        def deliver_segment(self, segment: LiveSegment) -> None:
            clock.sleep(0.25)
            super().deliver_segment(segment)

        def end(self, end: LiveEnd) -> None:
            super().end(end)

    call = call_into(Slow(), clock=clock)
    call.speak(1)
    assert call.pipeline.take_longest_lag() == pytest.approx(0.25)
    assert call.pipeline.take_longest_lag() == 0.0
