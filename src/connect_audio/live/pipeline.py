"""The recorder's side of live audio: the recorder writes the buffer, the sinks read it.

*How it works.* The pipeline holds one buffer, a driver, and the progress of each sink. Its methods are called from the
recorder's thread alone, in this order:

- `resume`, if an earlier invocation has recorded a part of the call;
- `write` after each read with new audio, ahead of the recording's decision;
- `longest_nap_s` before a read, so that bytes gather while no segment can be complete;
- `confirm` after each decided fragment, or `discard` as long as the recording has no audio;
- `end` once the call is over;
- `flush`, `close` and `state` before the invocation ends.

Three rules bound the buffer. A sink that falls further behind than `LivePolicy.buffer` loses the oldest audio. Audio
before every sink's place is freed, except for what the next invocation needs from before the recorder's cursor. No
party ever holds more than `_MOST_SAMPLES`.

Nothing here raises because of a sink, and only `flush` and `close` wait for one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.live_preview import BEFORE_FIRST_S
from connect_audio.core.live_state import LiveState, SinkState
from connect_audio.core.pcm import FRAME_BYTES, PARTIES, channel, interleave
from connect_audio.core.timeline import Timeline
from connect_audio.live.circuit_breaker import CircuitBreaker
from connect_audio.live.drivers import Driver, Threads, close_sink
from connect_audio.live.named_sink import NamedSink
from connect_audio.live.pipeline_state import PipelineState
from connect_audio.live.policy import LivePolicy
from connect_audio.live.sink_progress import SinkProgress
from connect_audio.ports import Clock, Log
from connect_audio.sinks import LiveEnd

_MOST_SAMPLES: Final = 2_400_000
"""Samples of each party that the buffer holds at most: 300 s at Connect's 8 kHz, the limit of LIVE_BUFFER_SECONDS.
At a higher rate the buffer holds fewer seconds; older audio is dropped."""
_NAP_MARGIN_S: Final = 0.1
"""Time before a segment can be complete at which a nap ends, s: more than a block of Connect's, 64 ms. A segment whose
audio comes earlier than that waits for the nap's end."""


class LivePipeline:
    """Live audio of one call in one invocation.

    Memory: at most `LivePolicy.buffer` seconds of audio, and the lead of one party over the other.

    Args:
        sinks: all sinks of the call.
        policy: durations and limits.
        clock: measures and waits.
        logger: gets ids, codes and numbers.
        state: the state that earlier invocations left; None for a new call.
        driver: `Threads`, or `Inline` if nothing is live.
        jitter: returns 0 to 1, for the pauses between tries.
    """

    def __init__(
        self,
        sinks: Sequence[NamedSink],
        policy: LivePolicy,
        clock: Clock,
        logger: Log,
        *,
        state: LiveState | None = None,
        driver: Callable[[PipelineState, Sequence[SinkProgress]], Driver] = Threads,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        before = {} if state is None else state.sinks
        self._shared = PipelineState(policy, clock, logger)
        self._disabled: dict[str, SinkState] = {}
        self._sinks: list[SinkProgress] = []
        for named in sinks:
            known = before.get(named.name, SinkState())
            if named.reader is not None and known.failure is None:
                breaker = CircuitBreaker(policy, jitter)
                self._sinks.append(SinkProgress(named.name, named.reader, breaker, known, named.thread))
                continue
            self._disabled[named.name] = replace(known, failure=known.failure or named.failure)
            if named.sink is not None:
                close_sink(logger, named.name, named.sink)
        self._lead_s = max((progress.lead_s for progress in self._sinks), default=0.0)
        self._end: LiveEnd | None = None
        self._closed = False
        self._least_age_s: float | None = None  # shortest time from a sample's position to its arrival
        self._driver = driver(self._shared, self._sinks)

    @property
    def names(self) -> Sequence[str]:
        """Names of all sinks, the disabled ones included."""
        return [*self._disabled, *(progress.name for progress in self._sinks)]

    @property
    def failures(self) -> Mapping[str, str]:
        """Code of the failure of each disabled sink, by name."""
        with self._shared.lock:
            made = {progress.name: progress.failure for progress in self._sinks if progress.failure is not None}
        return {**{name: state.failure for name, state in self._disabled.items() if state.failure is not None}, **made}

    # The buffer.

    def resume(self, timeline: Timeline, tail: bytes) -> None:
        """Begin in the midst of a call.

        Args:
            timeline: the recording's, as the earlier invocation left it.
            tail: stereo frames up to the last one taken that the sinks still need; may be empty.
        """
        shared, origin = self._shared, timeline.origin
        if origin is None:
            return
        with shared.lock:
            begins = origin + timeline.taken - len(tail) // FRAME_BYTES
            buffer = shared.buffer = LiveBuffer(timeline.rate, begins, origin)
            if tail:
                saved = [LiveSamples(party, begins, channel(tail, index)) for index, party in enumerate(PARTIES)]
                buffer.confirm(saved, {}, shared.clock.monotonic())
            for progress in self._sinks:
                progress.resume(buffer, begins)
            self._driver.wake()

    def write(self, samples: Sequence[LiveSamples], rate: int) -> None:
        """Write audio that has arrived and on which the recording has not decided.

        Args:
            samples: the audio, in the order of its arrival.
            rate: samples a second.
        """
        shared = self._shared
        with shared.lock:
            now = shared.clock.monotonic()
            for each in samples:
                buffer = shared.buffer or self._new_buffer(rate, each.start - BEFORE_FIRST_S * rate, None)
                self._rewind(buffer, buffer.write(each, now))
            self._note_age(now)
            self._drop_oldest()
            self._driver.wake()

    def discard(self) -> None:
        """Discard all written audio: a fragment is decided and the recording has no audio yet."""
        with self._shared.lock:
            self._shared.buffer = None

    def confirm(self, timeline: Timeline, placed: Iterable[LiveSamples]) -> None:
        """Take over the audio of a decided fragment.

        Args:
            timeline: the recording's, with the fragment placed.
            placed: the audio that the recording has placed since the last call, each party's in order.
        """
        shared, origin = self._shared, timeline.origin
        if origin is None:
            self.discard()
            return
        with shared.lock:
            buffer = shared.buffer
            if buffer is None or (buffer.origin is None and origin < buffer.begins):
                buffer = self._new_buffer(timeline.rate, origin, origin)
            elif buffer.origin is None:
                buffer.origin = origin
                for progress in self._sinks:
                    progress.learn_origin(buffer)
            reached = {party: origin + timeline.complete_up_to(party) for party in PARTIES}
            now = shared.clock.monotonic()
            self._rewind(buffer, buffer.confirm(placed, reached, now))
            self._note_age(now)
            self._drop_oldest()
            self._free(buffer, origin + timeline.taken)
            self._driver.wake()

    def end(self, timeline: Timeline | None, placed: Iterable[LiveSamples] = ()) -> None:
        """Note that the call is over and its timeline closed: the recording has all settled frames.

        Only the first call of `end` or `give_up` counts.

        Args:
            timeline: the recording's; None if the recording has no audio.
            placed: the audio that the recording has placed since the last `confirm`, each party's in order.
        """
        # Frames that an earlier invocation took are recorded, even if they could not be read again.
        self._finish(timeline, placed, 0 if timeline is None else max(timeline.settled, timeline.taken))

    def give_up(self, timeline: Timeline | None) -> None:
        """Note that the recorder gives up: the recording has only the frames taken.

        Args:
            timeline: the recording's; None if the recording has no audio.
        """
        self._finish(timeline, (), 0 if timeline is None else timeline.taken)

    def _finish(self, timeline: Timeline | None, placed: Iterable[LiveSamples], frames: int) -> None:
        """Deliver the last audio, then the end of a recording of so many frames."""
        if self._end is not None:
            return
        if timeline is None:
            self.discard()
        else:
            self.confirm(timeline, placed)
        end = LiveEnd(frames=0, origin=None, rate=None)
        if timeline is not None and timeline.origin is not None:
            end = LiveEnd(frames=frames, origin=timeline.origin, rate=timeline.rate)
        self._end = end
        with self._shared.lock:
            buffer = self._shared.buffer or self._new_buffer(1, 0, 0)  # an empty one, so that `end` is delivered
            buffer.complete = True
            for progress in self._sinks:
                progress.end(end)
            self._driver.wake()

    def longest_nap_s(self) -> float:
        """Longest time that the writer may let audio gather without delaying a piece, seconds.

        Returns:
            Time until the next piece can be complete at the earliest, less a margin. It is 0 if a sink takes blocks or
            the recording has no origin. No audio is expected sooner after its time than the quickest so far.
        """
        shared = self._shared
        with shared.lock:
            working = [progress for progress in self._sinks if not progress.finished]
            if not working:
                return math.inf
            buffer = shared.buffer
            borders = [None if buffer is None else progress.complete_at(buffer) for progress in working]
            known = [border for border in borders if border is not None]
            if buffer is None or self._least_age_s is None or len(known) < len(borders):
                return 0.0
            due_s = min(known) / buffer.rate + self._least_age_s
            return max(0.0, due_s - shared.clock.monotonic() - _NAP_MARGIN_S)

    def _note_age(self, now: float) -> None:
        """Note how long after its time the newest audio of both parties arrived."""
        buffer = self._shared.buffer
        if buffer is not None:
            age_s = now - buffer.whole_to / buffer.rate
            self._least_age_s = age_s if self._least_age_s is None else min(self._least_age_s, age_s)

    def _new_buffer(self, rate: int, begins: int, origin: int | None) -> LiveBuffer:
        buffer = self._shared.buffer = LiveBuffer(rate, begins, origin)
        for progress in self._sinks:
            progress.begin(buffer)
        return buffer

    def _rewind(self, buffer: LiveBuffer, changed: int | None) -> None:
        """Deliver again from the position on at which the buffer has changed."""
        if changed is None:
            return
        self._shared.logger.debug("live audio re-sent after a correction", extra={"samples": buffer.ends - changed})
        # Audio that was passed on ahead may lie before the recording's first frame, and is no part of it.
        position = changed if buffer.origin is None else max(changed, buffer.origin)
        for progress in self._sinks:
            progress.rewind(position, buffer)

    def _drop_oldest(self) -> None:
        """Let sinks that are too slow lose the oldest audio. A pause in the call is no slowness of a sink."""
        shared, buffer = self._shared, self._shared.buffer
        if buffer is None or not self._driver.drops:
            return
        most = min(round(shared.policy.buffer * buffer.rate), _MOST_SAMPLES)
        slow = [
            progress
            for progress in self._sinks
            if progress.position is not None and buffer.ends - progress.position > most
        ]
        if slow:
            oldest = buffer.newest(most)
            for progress in slow:
                progress.drop(oldest, buffer)

    def _free(self, buffer: LiveBuffer, cursor: int) -> None:
        """Free the audio that neither a sink nor the next invocation needs.

        The next invocation begins at the cursor, and a segment may straddle the cursor.
        """
        oldest = buffer.ends - min(round(self._shared.policy.buffer * buffer.rate), _MOST_SAMPLES)
        needed: list[int] = []
        for progress in self._sinks:
            place, again = progress.position, progress.needed_from(buffer)
            if not progress.finished:
                needed.append(buffer.begins if place is None or again is None else max(again, min(place, oldest)))
        buffer.free(min([cursor - math.ceil(self._lead_s * buffer.rate), *needed]) - 1)

    # The end of a step, or of an invocation.

    def interrupt_overdue(self) -> None:
        """Interrupt the deliveries that last too long. To be called every few seconds."""
        self._driver.interrupt_overdue()

    def flush(self) -> None:
        """Wait until all sinks that make progress have everything, at most `LivePolicy.flush_timeout`.

        At the end of the call, each sink gets one last try, even during a pause, and `end`.
        """
        timeout_s = self._shared.policy.flush_timeout
        if self._end is None:
            self._driver.flush(timeout_s)
            return
        self._retry_now()
        self._driver.flush(timeout_s / 2)
        with self._shared.lock:
            if self._shared.buffer is not None:
                for progress in self._sinks:
                    progress.drop_unread(self._shared.buffer)
            self._retry_now()
            asked_s = max((each.end_seconds for each in self._sinks if not each.finished), default=0.0)
        self._driver.flush(max(timeout_s / 2, min(asked_s, self._shared.policy.longest_end)))

    def _retry_now(self) -> None:
        with self._shared.lock:
            for progress in self._sinks:
                progress.breaker.retry_now()
            self._driver.wake()

    def take_longest_lag(self) -> float:
        """Longest time from the arrival of a piece's last sample to its delivery since the last call, seconds."""
        with self._shared.lock:
            longest = max((progress.longest_lag for progress in self._sinks), default=0.0)
            for progress in self._sinks:
                progress.longest_lag = 0.0
        return longest

    def state(self, frames: int) -> tuple[LiveState, bytes]:
        """The state for the next invocation.

        Args:
            frames: position of the recorder's cursor, frames since the recording's first.

        Returns:
            The state, without a key of its tail, and the tail: stereo frames up to the cursor that sinks still need.
        """
        with self._shared.lock:
            buffer = self._shared.buffer
            made = {progress.name: progress.state(buffer, frames) for progress in self._sinks}
            disabled = {name: self._lacking(state) for name, state in self._disabled.items()}
            state = LiveState(sinks={**disabled, **made})
            first = min((sink.frames for sink in made.values() if sink.failure is None), default=frames)
            if buffer is None or buffer.origin is None:
                return state, b""
            if self._lead_s:
                # The sample before a segment, for filters. A lost tail may have taken it along.
                first = max(0, first - 1, buffer.begins - buffer.origin)
            if first >= frames:
                return state, b""
            start, stop = buffer.origin + first, buffer.origin + frames
            return state, interleave(*(buffer.read(party, start, stop) for party in PARTIES))

    def _lacking(self, state: SinkState) -> SinkState:
        """A disabled sink's state; at the end of the call it counts all that the sink lacks."""
        return state if self._end is None else state.without(self._end.frames)

    def close(self) -> None:
        """Stop all threads and close the sinks. Only a thread that did not end in time still runs afterwards."""
        if not self._closed:
            self._closed = True
            self._driver.stop()
