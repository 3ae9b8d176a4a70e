"""Invocations that follow each other: what the state and the tail carry over, and what happens where they do not."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.live_audio import LiveBlock, LiveSamples
from connect_audio.core.pcm import FRAME_BYTES, PARTIES, Party
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink, SinkCounts, SinkState
from connect_audio.live.piece import Piece
from support.clock import FakeClock
from support.live_sinks import LOGGER, ORIGIN, RATE, Blocks, Call, FakeSink, Segments, call_into, refusal, stereo


class Dropping(Inline):
    """Delivers at once, and lets a slow sink lose audio as threads do."""

    drops = True


class Absent(Dropping):
    """Delivers nothing: nobody is there to do it."""

    def wake(self) -> None:
        pass


def handed_over(call: Call, *sinks: Segments) -> Call:
    """The next invocation: it knows the state, as JSON, and the tail."""
    frames = call.take()
    call.pipeline.flush()
    call.pipeline.close()
    state, tail = call.pipeline.state(frames)
    state = from_plain(LiveState, json.loads(json.dumps(to_plain(state))))
    following = call_into(*sinks, state=state, taken=frames)
    following.pipeline.resume(following.timeline, tail)
    # What the one before had not settled is read again.
    following.timeline = type(call.timeline)(call.timeline.state(), taken=frames)
    return following


@given(
    pieces=st.lists(st.floats(0.05, 3), min_size=1, max_size=6),
    seconds=st.sampled_from((1, 2, 5)),
    ahead=st.floats(0, 2.5),
    damaged=st.booleans(),
)
def test_over_hand_overs_anywhere_every_segment_comes_whole_and_with_the_sample_before_it(
    pieces: list[float],
    seconds: int,
    ahead: float,
    damaged: bool,  # noqa: FBT001 - Hypothesis calls it by name
) -> None:
    sink = Segments(segment_seconds=seconds)
    call = call_into(sink)
    told = b""
    for piece in pieces:
        call.speak(piece)
        told = b"".join([told, *call.timeline.take()])
        # The next fragment has begun, and is read again by the next invocation, where its bytes may differ.
        call.speak_ahead(ahead, value=7 if damaged else None)
        call = handed_over(call, sink)
    call.speak(0.5)
    told = b"".join([told, *call.timeline.take()])
    call.end()
    # What was told ahead and never came to be recorded lies behind the end.
    assert stereo(sink)[: len(told)] == told
    assert FRAME_BYTES * sink.ends[-1].frames == len(told)
    by_number = {each.number: each for each in sink.took}
    for number, each in by_number.items():
        before = by_number.get(number - 1)
        if before is not None and each.position < sink.ends[-1].frames:
            assert each.before == {party: samples[-2:] for party, samples in before.samples.items()}


def test_without_its_tail_a_sink_goes_on_with_the_next_segment_and_the_loss_is_counted() -> None:
    sink = Segments()
    call = call_into(sink)
    call.speak(1.5)
    frames = call.take()
    state, tail = call.pipeline.state(frames)
    assert tail
    following = call_into(sink, state=state, taken=frames)
    following.pipeline.resume(following.timeline, b"")
    following.speak(2)
    assert sink.numbers == [0, 2]
    assert following.pipeline.state(following.take())[0].sinks["a"].counts.dropped_frames == RATE


def test_audio_lost_with_a_tail_is_counted_once_and_never_comes_back_as_silence() -> None:
    segments, blocks = Segments(segment_seconds=3), Blocks()
    call = call_into(segments, blocks)
    call.speak(4.5)
    frames = call.take()
    state = call.pipeline.state(frames)[0]
    for _ in range(3):
        # Nothing that follows completes a segment, and each invocation loses its tail, if it saved one.
        following = call_into(segments, blocks, state=state, taken=frames)
        following.pipeline.resume(following.timeline, b"")
        state, tail = following.pipeline.state(frames)
        assert tail == b""
    assert state.sinks["a"].counts.dropped_frames == 3 * RATE
    last = call_into(segments, blocks, state=state, taken=frames)
    last.pipeline.resume(last.timeline, b"")
    last.speak(0.5)
    # The recording corrects what came ahead of it: the segment that holds it is not whole any more.
    last.speak_ahead(0.5, value=7)
    last.confirm()
    last.speak(4)
    last.end()
    assert segments.numbers == [0, 2]
    assert all(any(samples) for each in segments.took for samples in each.samples.values())


def test_a_state_whose_tail_could_not_be_kept_counts_what_is_lost() -> None:
    sinks = {"a": SinkState(frames=100), "b": SinkState(frames=300), "c": SinkState(frames=0, failure="LEFT_BEHIND")}
    state = LiveState(sinks=sinks, tail="somewhere").without_tail(250)
    assert {name: (each.frames, each.counts.dropped_frames) for name, each in state.sinks.items()} == {
        "a": (250, 150),
        "b": (300, 0),
        "c": (250, 0),
    }
    assert state.tail is None


def test_counts_go_on_over_invocations() -> None:
    call = call_into(Segments(troubles=[refusal(retryable=False)]))
    call.speak(2)
    following = handed_over(call, Segments())
    following.speak(2)
    state = following.pipeline.state(following.take())[0].sinks["a"]
    assert (
        state.counts.delivered,
        state.counts.delivered_frames,
        state.counts.dropped_frames,
        state.counts.failures,
    ) == (3, 3 * RATE, RATE, 1)


def test_a_sink_that_failed_for_good_is_not_used_again_and_closed_unused() -> None:
    sink = Segments()
    call = call_into(sink, state=LiveState(sinks={"a": SinkState(failure="LEFT_BEHIND")}))
    call.speak(3)
    assert (sink.numbers, sink.closed) == ([], 1)
    assert call.pipeline.state(call.take())[0].sinks["a"].failure == "LEFT_BEHIND"


def test_a_sink_that_could_not_be_made_is_in_the_state_and_nothing_else_suffers() -> None:
    sink = Segments()
    named = [NamedSink.of("made", sink), NamedSink("broken", None, "UNKNOWN_SINK")]
    pipeline = LivePipeline(named, LivePolicy(), FakeClock(0), LOGGER)
    pipeline.close()
    state, tail = pipeline.state(0)
    assert {name: each.failure for name, each in state.sinks.items()} == {"broken": "UNKNOWN_SINK", "made": None}
    assert tail == b""


def test_audio_that_was_told_ahead_and_came_to_nothing_is_forgotten() -> None:
    sink = Blocks()
    call = call_into(sink)
    call.pipeline.write([LiveSamples(Party.CUSTOMER, 5000, b"\7\0" * 100)], RATE)
    assert [each.position for each in sink.took] == [None]
    call.pipeline.discard()
    call.speak(0.5)
    assert {each.position for each in sink.took[1:]} == {0}


def test_a_first_fragment_that_proves_to_begin_earlier_than_was_told_ahead_is_told_from_its_beginning() -> None:
    sink = Segments()
    call = call_into(sink)
    call.pipeline.write([LiveSamples(Party.CUSTOMER, ORIGIN + 100 * RATE, b"\7\0" * 100)], RATE)
    call.speak(2)
    assert [(each.number, each.start) for each in sink.took] == [(0, ORIGIN), (1, ORIGIN + RATE)]


def test_a_recording_that_begins_later_than_was_told_ahead_has_no_segment_before_its_beginning() -> None:
    sink = Segments()
    call = call_into(sink)
    # The stream forgets the fragment before it is whole.
    call.pipeline.write([LiveSamples(party, ORIGIN - 5 * RATE, b"\7\0" * RATE) for party in PARTIES], RATE)
    call.speak(2)
    assert [(each.number, each.start) for each in sink.took] == [(0, ORIGIN), (1, ORIGIN + RATE)]


def test_memory_is_bounded_by_the_buffer_however_long_a_sink_is_deaf() -> None:
    sink = Segments()
    call = call_into(sink, policy=LivePolicy(buffer=20.5), driver=Absent)
    for _ in range(100):
        call.speak(0.75)
        call.take()
    buffer = call.pipeline._shared.buffer
    assert buffer is not None
    assert buffer.ends - buffer.begins <= 21 * RATE + 1
    state, tail = call.pipeline.state(call.timeline.taken)
    # 75 s came, and the oldest 55 are gone, in whole segments.
    assert (state.sinks["a"].frames, state.sinks["a"].counts.dropped_frames) == (55 * RATE, 55 * RATE)
    assert len(tail) <= 21 * RATE * FRAME_BYTES


@pytest.mark.parametrize("frames", [0, 1])
def test_before_the_first_audio_there_is_nothing_to_carry_over(frames: int) -> None:
    call = call_into(Segments())
    state, tail = call.pipeline.state(frames)
    assert (state.sinks["a"].frames, tail) == (0, b"")


@pytest.mark.parametrize("seconds", [None, 0.09, math.nan, 0, -1, 61, True, "1"])
def test_a_sink_that_says_no_sound_length_is_not_used_and_no_other_suffers(seconds: object) -> None:
    odd, well = Segments(), Segments()
    odd.segment_seconds = seconds  # type: ignore[assignment]
    call = call_into(odd, well)
    call.speak(2)
    assert (odd.numbers, odd.closed, well.numbers) == ([], 1, [0, 1])
    assert call.pipeline.failures == {"a": "BAD_SINK"}


def test_a_pause_longer_than_the_buffer_costs_a_sink_that_keeps_up_nothing() -> None:
    sink = Segments(segment_seconds=20)
    call = call_into(sink, policy=LivePolicy(buffer=60), driver=Dropping)
    call.speak(25)
    start = ORIGIN + 25 * RATE + 3600 * RATE
    placed = [call.timeline.place(party, start, b"\1\0" * RATE, tick_ns=1_000_000) for party in PARTIES]
    call.confirm(*placed[0], *placed[1])
    call.take()
    call.end()
    assert len(stereo(sink)) == FRAME_BYTES * (25 + 3600 + 1) * RATE
    assert call.pipeline.state(call.timeline.taken)[0].sinks["a"].counts.dropped_frames == 0


def test_a_piece_that_fell_off_the_buffer_in_part_while_it_was_under_way_is_not_counted_twice() -> None:
    sink = Blocks()
    call = call_into(sink, policy=LivePolicy(buffer=2), driver=Absent)
    call.speak(1.8)
    shared = call.pipeline._shared
    (progress,) = call.pipeline._sinks
    assert shared.buffer is not None
    task = progress.next(shared.buffer, 0.0)
    assert task is not None
    call.speak(0.9)
    progress.delivered(task, 0.0)
    # Of 2.7 s the first 0.7 fell off, of the customer's with a piece that was taken all the same.
    assert isinstance(task.work, Piece)
    assert task.work.parties == (Party.CUSTOMER,)
    assert call.pipeline.state(0)[0].sinks["a"].counts.dropped_frames == RATE * 7 // 10


def test_what_a_sink_that_is_not_used_lacks_is_counted_once_the_call_is_over() -> None:
    state = LiveState(
        sinks={"a": SinkState(frames=3 * RATE, failure="LEFT_BEHIND", counts=SinkCounts(dropped_frames=RATE))}
    )
    call = call_into(Segments(), Segments(), state=state)
    call.speak(10)
    (second,) = call.pipeline._sinks
    second.fail("LEFT_BEHIND")
    call.speak(2.5)
    assert call.pipeline.state(call.take())[0].sinks["a"].counts.dropped_frames == RATE
    call.end()
    call.pipeline.flush()
    for _ in range(2):
        found = call.pipeline.state(call.timeline.taken)[0].sinks
        assert found["a"].counts.dropped_frames == RATE + RATE * 19 // 2
        assert found["b"].counts.dropped_frames == RATE * 5 // 2


def test_a_sink_of_both_kinds_or_of_neither_is_not_used_and_no_other_suffers() -> None:
    class Both(Segments):
        def deliver_block(self, block: LiveBlock) -> None:
            raise AssertionError(block)

    both, neither, well = Both(), FakeSink(), Segments()
    call = call_into(both, neither, well)  # type: ignore[arg-type]
    call.speak(2)
    assert (both.numbers, both.closed, neither.closed, well.numbers) == ([], 1, 1, [0, 1])
    assert call.pipeline.failures == {"a": "BAD_SINK", "b": "BAD_SINK"}
