"""A sink that is done with its audio only behind the delivery: `settled`, `resend_from` and `end_seconds`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import FRAME_BYTES
from connect_audio.live import LivePolicy, Threads
from connect_audio.sinks import LiveEnd
from support.clock import FakeClock
from support.live_sinks import RATE, Segments, call_into


@dataclass
class Slow(Segments):
    """Takes segments, and settles when the test says so."""

    settled: int | None = 0
    recognized: int | None = None
    dropped_messages: int = 0


@dataclass
class Failing(Slow):
    """Fails at segments as told, and asks for audio from a position on."""

    fails_at: dict[int, int] = field(default_factory=dict)

    def deliver_segment(self, segment: LiveSegment) -> None:
        resend_from = self.fails_at.pop(segment.number, None)
        if resend_from is not None:
            raise SinkError("DIED", "the session is gone", retryable=True, resend_from=resend_from)
        super().deliver_segment(segment)


def test_audio_that_is_not_settled_is_saved_for_the_next_invocation() -> None:
    sink = Slow()
    call = call_into(sink)
    call.speak(10)
    sink.settled = 4 * RATE + 1
    state, tail = call.pipeline.state(call.take())
    assert state.sinks["a"].frames == 4 * RATE
    # One sample more, for filters.
    assert len(tail) == (6 * RATE + 1) * FRAME_BYTES

    again = Slow(settled=4 * RATE + 1)
    later = call_into(again, state=state, taken=10 * RATE)
    later.pipeline.resume(later.timeline, tail)
    later.speak(1)
    assert again.numbers == [4, 5, 6, 7, 8, 9, 10]
    assert again.took[0].samples == sink.took[4].samples


def test_a_sink_that_knows_no_settled_position_is_done_with_what_it_took() -> None:
    sink = Slow(settled=None)
    call = call_into(sink)
    call.speak(10)
    state, _ = call.pipeline.state(call.take())
    assert state.sinks["a"].frames == 10 * RATE


def test_recognized_audio_is_counted_over_invocations_by_the_sink_s_own_count_of_the_call() -> None:
    sink = Slow()
    call = call_into(sink)
    call.speak(2)
    assert call.pipeline.state(0)[0].sinks["a"].counts.recognized_frames == 0
    sink.recognized = 3 * RATE
    state, _ = call.pipeline.state(call.take())
    assert state.sinks["a"].counts.recognized_frames == 3 * RATE
    # The next invocation's sink knows its count once it has read the pages.
    again = Slow()
    later = call_into(again, state=state, taken=2 * RATE)
    assert later.pipeline.state(2 * RATE)[0].sinks["a"].counts.recognized_frames == 3 * RATE
    again.recognized = 5 * RATE
    assert later.pipeline.state(2 * RATE)[0].sinks["a"].counts.recognized_frames == 5 * RATE


def test_dropped_messages_are_counted_over_invocations_by_the_sink_s_count_of_each() -> None:
    sink = Slow()
    call = call_into(sink)
    call.speak(2)
    sink.dropped_messages = 3
    for _ in range(2):
        state, _ = call.pipeline.state(call.take())
        assert state.sinks["a"].counts.dropped_messages == 3
    again = Slow()
    later = call_into(again, state=state, taken=2 * RATE)
    assert later.pipeline.state(2 * RATE)[0].sinks["a"].counts.dropped_messages == 3
    again.dropped_messages = 2
    assert later.pipeline.state(2 * RATE)[0].sinks["a"].counts.dropped_messages == 5


def test_a_failure_has_the_audio_from_a_position_on_delivered_again() -> None:
    sink = Failing(fails_at={7: 3 * RATE + 5})
    call = call_into(sink)
    call.speak(9)
    assert sink.numbers == [0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 8]
    counts = call.pipeline.state(0)[0].sinks["a"].counts
    assert (counts.failures, counts.dropped_frames) == (1, 0)


def test_audio_that_is_not_in_the_buffer_any_more_counts_as_dropped() -> None:
    sink = Failing()
    call = call_into(sink)
    call.speak(9)
    sink.settled = 8 * RATE
    call.take()
    call.speak(1)  # frees the audio before the cursor
    sink.fails_at = {10: 2 * RATE}
    call.speak(1)
    assert sink.numbers[10:] == [8, 9, 10]
    counts = call.pipeline.state(0)[0].sinks["a"].counts
    assert counts.dropped_frames == (8 - 2) * RATE


def test_a_sink_that_takes_audio_and_dies_again_and_again_opens_its_circuit() -> None:
    clock = FakeClock(0)
    sink = Failing()
    call = call_into(sink, clock=clock)
    for number in range(1, 6):
        sink.fails_at = {number: 0}
        call.speak(1 if number > 1 else 2)
    assert call.pipeline.state(0)[0].sinks["a"].counts.circuit_opened == 1
    sink.settled = 6 * RATE
    clock.pass_by(60)
    call.speak(1)
    assert sink.numbers[-1] == 6


def test_audio_that_never_settles_is_kept_no_longer_than_the_buffer() -> None:
    sink = Slow()
    call = call_into(sink, policy=LivePolicy(buffer=15))
    for _ in range(30):
        call.speak(1)
        call.take()
    state, tail = call.pipeline.state(call.timeline.taken)
    assert 14 * RATE < len(tail) // FRAME_BYTES <= 17 * RATE
    assert state.sinks["a"].frames >= 13 * RATE


def test_a_broken_settled_position_counts_as_none() -> None:
    class Broken(Segments):
        @property
        def settled(self) -> int:
            raise OSError("no idea")

    sink = Broken()
    call = call_into(sink)
    call.speak(3)
    assert call.pipeline.state(call.take())[0].sinks["a"].frames == 3 * RATE


class Patient(Segments):
    """Needs long for its end."""

    end_seconds = 9.0

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()

    def end(self, end: LiveEnd) -> None:
        self.may_end.wait(30)
        super().end(end)


@pytest.mark.parametrize(("policy", "expected"), [(LivePolicy(), 9.0), (LivePolicy(longest_end=4), 4.0)])
def test_a_sink_may_ask_for_more_time_for_its_end(policy: LivePolicy, expected: float) -> None:
    waits: list[float] = []
    sink = Patient()

    class Noting(Threads):
        def flush(self, timeout_s: float) -> None:
            waits.append(timeout_s)
            if len(waits) == 2:
                sink.may_end.set()
                super().flush(30)

    call = call_into(sink, policy=policy, driver=Noting)
    call.speak(2)
    call.end()
    call.pipeline.flush()
    call.pipeline.close()
    assert waits == [2.5, expected]
    assert len(sink.ends) == 1
