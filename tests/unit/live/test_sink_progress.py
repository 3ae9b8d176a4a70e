"""One sink's progress: what it gets, how a failure is answered, what is dropped and counted."""

from __future__ import annotations

import pytest

from connect_audio.core.pcm import Party
from connect_audio.live import Inline, LivePolicy, Threads
from support.clock import FakeClock
from support.live_sinks import ORIGIN, RATE, Blocks, Segments, call_into, refusal


def test_segments_come_numbered_from_the_timeline_and_the_last_is_short() -> None:
    sink = Segments()
    call = call_into(sink)
    call.speak(0.6)
    assert sink.numbers == []
    call.speak(2)
    call.end()
    assert [(each.number, each.position, each.start, each.length, each.last) for each in sink.took] == [
        (0, 0, ORIGIN, RATE, False),
        (1, RATE, ORIGIN + RATE, RATE, False),
        (2, 2 * RATE, ORIGIN + 2 * RATE, RATE * 6 // 10, True),
    ]
    (end,) = sink.ends
    assert (end.frames, end.origin, end.rate) == (RATE * 26 // 10, ORIGIN, RATE)


def test_a_segment_waits_for_the_party_that_lags() -> None:
    sink = Segments()
    call = call_into(sink)
    call.speak(3, party=Party.CUSTOMER)
    assert sink.numbers == []
    call.speak(1.5, party=Party.AGENT)
    assert sink.numbers == [0]


def test_a_party_that_never_comes_is_silence_once_the_other_leads_by_five_seconds() -> None:
    sink = Segments()
    call = call_into(sink)
    call.speak(7, party=Party.CUSTOMER)
    assert sink.numbers == [0, 1]
    assert not any(sink.took[0].samples[Party.AGENT])


def test_the_sample_before_a_segment_comes_with_it() -> None:
    sink = Segments()
    call = call_into(sink)
    call.speak(2)
    first, second = sink.took
    assert first.before == {Party.CUSTOMER: b"\0\0", Party.AGENT: b"\0\0"}
    assert second.before == {party: samples[-2:] for party, samples in first.samples.items()}


def test_blocks_come_by_party_with_silence_where_nothing_came() -> None:
    sink = Blocks()
    call = call_into(sink)
    call.speak(0.5)
    call.confirm(*call.timeline.place(Party.CUSTOMER, ORIGIN + 6000, b"\1\0" * 800, tick_ns=1_000_000))
    customer = [each for each in sink.took if each.party is Party.CUSTOMER]
    assert [(each.position, each.length) for each in customer] == [(0, 4000), (4000, 2000), (6000, 800)]
    assert customer[1].samples == bytes(4000)


def test_what_is_refused_for_the_moment_is_tried_again_after_growing_pauses() -> None:
    clock, sink = FakeClock(0), Segments(troubles=[refusal(), refusal(), refusal()])
    call = call_into(sink, clock=clock)
    before = clock.monotonic()
    call.speak(1)
    assert sink.numbers == [0]
    assert sink.tries == 4
    assert clock.monotonic() - before == pytest.approx(0.2 + 0.4 + 0.8)
    state = call.pipeline.state(0)[0].sinks["a"]
    assert (state.counts.failures, state.counts.delivered, state.counts.dropped_frames) == (3, 1, 0)


def test_what_is_refused_for_good_is_given_up_and_counted_and_the_next_is_tried() -> None:
    sink = Segments(troubles=[refusal(retryable=False)])
    call = call_into(sink)
    call.speak(2)
    assert sink.numbers == [1]
    state = call.pipeline.state(0)[0].sinks["a"]
    assert (state.counts.failures, state.counts.delivered, state.counts.dropped_frames) == (1, 1, RATE)


def test_whatever_else_a_sink_raises_costs_that_piece_alone() -> None:
    sink = Segments(troubles=[ZeroDivisionError()])
    call = call_into(sink)
    call.speak(2)
    assert sink.numbers == [1]


def test_tries_of_one_piece_can_be_limited() -> None:
    sink = Segments(troubles=[refusal()] * 3)
    call = call_into(sink, policy=LivePolicy(most_tries=3))
    call.speak(2)
    assert sink.numbers == [1]
    assert call.pipeline.state(0)[0].sinks["a"].counts.dropped_frames == RATE


def test_a_sink_that_fails_again_and_again_is_left_alone_for_growing_whiles() -> None:
    clock, sink = FakeClock(0), Segments(troubles=[refusal(retryable=False)] * 7)
    call = call_into(sink, clock=clock)
    call.speak(8)
    assert sink.tries == 5
    state = call.pipeline.state(0)[0].sinks["a"]
    assert (state.counts.circuit_opened, state.counts.dropped_frames) == (1, 8 * RATE)
    clock.sleep(9.9)
    call.speak(1)
    assert sink.tries == 5
    clock.sleep(0.2)
    call.speak(1)
    assert sink.tries == 6, "after 10 s one is tried"
    clock.sleep(19.9)
    call.speak(1)
    assert sink.tries == 6, "its failure doubles the while"
    clock.sleep(0.2)
    call.speak(1)
    assert sink.tries == 7
    clock.sleep(41)
    call.speak(3)
    assert sink.numbers[-3:] == [12, 13, 14], "one that is taken closes the circuit"
    assert call.pipeline.state(0)[0].sinks["a"].counts.circuit_opened == 3
    sink.troubles = [refusal(retryable=False)] * 5
    call.speak(6)
    assert sink.tries == 15, "five more failures open it again"
    clock.sleep(10.1)
    call.speak(1)
    assert sink.tries == 16, "for as short a while as at first"


def test_one_sink_s_failures_cost_another_nothing() -> None:
    bad, good = Segments(troubles=[refusal(retryable=False)] * 20), Segments()
    call = call_into(bad, good)
    call.speak(9)
    assert good.numbers == list(range(9))


def test_a_correction_brings_the_segments_again_from_the_one_that_it_touches() -> None:
    sink = Segments()
    call = call_into(sink)
    call.speak(1)
    call.speak_ahead(2, value=7)
    assert sink.numbers == [0, 1, 2]
    call.speak(2)
    assert sink.numbers == [0, 1, 2, 1, 2]
    assert sink.took[3].samples != sink.took[1].samples
    call.end()
    assert call.pipeline.state(call.timeline.taken)[0].sinks["a"].counts.dropped_frames == 0


@pytest.mark.parametrize("driver", [Inline, Threads])
def test_an_end_without_audio_is_told_too(driver: type[Inline | Threads]) -> None:
    sink = Segments()
    call = call_into(sink, driver=driver)
    call.pipeline.end(None)
    call.pipeline.flush()
    call.pipeline.close()
    assert [(end.frames, end.origin, end.rate) for end in sink.ends] == [(0, None, None)]
    assert sink.closed == 1
