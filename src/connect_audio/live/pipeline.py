"""The recorder's hand on the live audio: it writes the buffer, the sinks read it.

Called from the recorder's thread alone. Nothing here raises because of a sink, and nothing waits for one but `rest` and
`close`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aws_lambda_powertools import Logger

from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.live_preview import BEFORE_FIRST_S
from connect_audio.core.pcm import FRAME_BYTES, PARTIES, channel, interleave
from connect_audio.core.timeline import Timeline
from connect_audio.live.drivers import Driver, Inline, PipelineState, Threads, close_sink
from connect_audio.live.feed import Feed, LivePolicy
from connect_audio.live.state import LiveState, SinkState
from connect_audio.ports import AudioSink, Clock, LiveEnd

BAD_SINK: Final = "BAD_SINK"
"""Why a sink is not used: its `segment_seconds` is no whole number of seconds from 0 to 60."""
_LONGEST_SEGMENT_S: Final = 60
_MOST_SAMPLES: Final = 2_400_000
"""Of each party on the buffer at the most: five minutes at Connect's 8 kHz, less where the rate is higher."""


@dataclass(frozen=True, slots=True)
class NamedSink:
    """A sink, or why there is none.

    Args:
        name: as in the settings.
        sink: the sink; None where it could not be made.
        failed: a code that says why.
    """

    name: str
    sink: AudioSink | None
    failed: str | None = None


class LivePipeline:
    """Live audio of one call in one invocation.

    Memory: the buffer, at most `LivePolicy.buffer` seconds and what one track leads.

    Args:
        sinks: where it goes.
        policy: durations and limits.
        clock: for what is measured and waited for.
        logger: for ids and numbers.
        state: what earlier invocations left.
        driver: `Threads`, or `Inline` where nothing is live: then the caller waits for the sinks and nothing is
            dropped for their slowness.
        jitter: returns 0 to 1, for backoff.
    """

    def __init__(
        self,
        sinks: Sequence[NamedSink],
        policy: LivePolicy,
        clock: Clock,
        logger: Logger,
        *,
        state: LiveState | None = None,
        driver: Callable[[PipelineState, Sequence[Feed]], Driver] = Threads,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        state = state or LiveState()
        self._shared = PipelineState(policy, clock, logger)
        self._drops = driver is not Inline
        self._before = state
        self._unmade: dict[str, SinkState] = {}
        self._feeds: list[Feed] = []
        for named in sinks:
            known = state.sinks.get(named.name, SinkState())
            seconds = None if named.sink is None else _segment_seconds(named.sink)
            if named.sink is None or seconds is None or known.failed is not None:
                self._unmade[named.name] = replace(known, failed=known.failed or named.failed or BAD_SINK)
                if named.sink is not None:
                    close_sink(logger, named.name, named.sink)
            else:
                self._feeds.append(Feed(named.name, named.sink, seconds, policy, known, jitter))
        self._lead = max((feed.seconds for feed in self._feeds), default=0)
        self._end: LiveEnd | None = None
        self._closed = False
        self._driver: Driver = driver(self._shared, self._feeds)

    @property
    def names(self) -> Sequence[str]:
        """Names of all sinks, also of those that could not be made."""
        return [*self._unmade, *(feed.name for feed in self._feeds)]

    @property
    def failures(self) -> Mapping[str, str]:
        """Sinks that are not used any more, and why."""
        with self._shared.lock:
            made = {feed.name: feed.failed for feed in self._feeds if feed.failed is not None}
        return {**{name: state.failed for name, state in self._unmade.items() if state.failed is not None}, **made}

    # The buffer.

    def resume(self, timeline: Timeline, tail: bytes) -> None:
        """Begin in the midst of a call.

        Args:
            timeline: where the recording stands.
            tail: stereo frames from before that the sinks may still need, up to the last one taken; may be empty.
        """
        shared, origin = self._shared, timeline.origin
        if origin is None:
            return
        with shared.lock:
            taken = origin + timeline.taken
            begins = taken - len(tail) // FRAME_BYTES
            buffer = shared.buffer = LiveBuffer(timeline.rate, begins, origin)
            if tail:
                placements = [LiveSamples(party, begins, channel(tail, index)) for index, party in enumerate(PARTIES)]
                buffer.confirm(placements, {}, shared.clock.monotonic())
            for feed in self._feeds:
                feed.resume(buffer, begins)
            self._driver.wake()

    def write(self, placements: Sequence[LiveSamples], rate: int) -> None:
        """A block is in, ahead of the recording's word.

        Args:
            placements: its samples, positions since the epoch.
            rate: samples a second.
        """
        shared = self._shared
        with shared.lock:
            now = shared.clock.monotonic()
            for placement in placements:
                buffer = shared.buffer or self._new_buffer(rate, placement.start - BEFORE_FIRST_S * rate, None)
                self._changed(buffer, buffer.write(placement, now))
            self._tidy(None)
            self._driver.wake()

    def discard(self) -> None:
        """Discard what was written ahead: a fragment has been decided, and the recording has no audio yet."""
        with self._shared.lock:
            self._shared.buffer = None

    def confirm(self, timeline: Timeline, placed: Iterable[LiveSamples]) -> None:
        """A fragment has been decided.

        Args:
            timeline: holds its audio.
            placed: what the recording has placed since the last time, each party's in order.
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
                for feed in self._feeds:
                    feed.learn_origin(buffer)
            reached = {party: origin + timeline.complete_up_to(party) for party in PARTIES}
            self._changed(buffer, buffer.confirm(placed, reached, shared.clock.monotonic()))
            self._tidy(timeline)
            self._driver.wake()

    def end(self, timeline: Timeline | None, placed: Iterable[LiveSamples] = (), *, settled: bool = True) -> None:
        """The call is over.

        Args:
            timeline: where its audio lies.
            placed: what the recording has placed since the last `confirm`, each party's in order.
            settled: whether it is closed, so that all that is settled will be recorded; else what was taken is all.
        """
        if self._end is not None:
            return
        if timeline is None:
            self.discard()
        else:
            self.confirm(timeline, placed)
        known = timeline is not None and timeline.origin is not None
        end = self._end = LiveEnd(
            # What an earlier invocation had taken is recorded, also where it could not be read again.
            frames=max(timeline.settled if settled else 0, timeline.taken) if timeline is not None and known else 0,
            origin=timeline.origin if timeline is not None else None,
            rate=timeline.rate if timeline is not None and known else None,
        )
        with self._shared.lock:
            if self._shared.buffer is None:
                self._new_buffer(1, 0, 0)  # nothing on it, but its end is to be told
            for feed in self._feeds:
                feed.end(end)
            self._driver.wake()

    def _new_buffer(self, rate: int, begins: int, origin: int | None) -> LiveBuffer:
        buffer = self._shared.buffer = LiveBuffer(rate, begins, origin)
        for feed in self._feeds:
            feed.begin(buffer)
        return buffer

    def _changed(self, buffer: LiveBuffer, position: int | None) -> None:
        if position is not None:
            self._shared.logger.debug("live audio is told again", extra={"samples": buffer.ends - position})
            for feed in self._feeds:
                feed.rewind(position, buffer)

    def _tidy(self, timeline: Timeline | None) -> None:
        """Let sinks that are too slow lose the oldest, and forget what nobody needs."""
        shared = self._shared
        buffer = shared.buffer
        if buffer is None:
            return
        if self._drops:
            most = min(round(shared.policy.buffer * buffer.rate), _MOST_SAMPLES)
            slow = [feed for feed in self._feeds if buffer.ends - feed.position > most]
            # A pause in the call, however long, is no sink's slowness, and takes no room.
            oldest = buffer.newest(most) if slow else 0
            for feed in slow:
                feed.drop(oldest, buffer)
        if timeline is not None and timeline.origin is not None:
            # The next invocation begins where the cursor stands, and a segment may straddle that.
            keep = timeline.origin + timeline.taken - self._lead * buffer.rate
            needs = [feed.position for feed in self._feeds if not feed.finished]
            buffer.forget(min([keep, *needs]) - 1)

    # The end of a step, or of an invocation.

    def interrupt_overdue(self) -> None:
        """Look after deliveries that last too long; to be called now and then."""
        self._driver.interrupt_overdue()

    def flush(self) -> None:
        """Wait until the sinks that get on have all that there is, at most `LivePolicy.flush_timeout`.

        At the end of the call each has a last chance, also one that was left alone, and all are told of the end.
        """
        timeout_s = self._shared.policy.flush_timeout
        if self._end is None:
            self._driver.flush(timeout_s)
            return
        for gives_up in (False, True):
            with self._shared.lock:
                for feed in self._feeds:
                    if gives_up and self._shared.buffer is not None:
                        feed.drop_unread(self._shared.buffer)
                    feed.probe()
                self._driver.wake()
            self._driver.flush(timeout_s / 2)

    def take_longest_lag(self) -> float:
        """Longest time from the arrival of a piece's last sample to its being taken, since the last call; seconds."""
        with self._shared.lock:
            longest = max((feed.longest_lag for feed in self._feeds), default=0.0)
            for feed in self._feeds:
                feed.longest_lag = 0.0
        return longest

    def state(self, frames: int) -> tuple[LiveState, bytes]:
        """What the next invocation has to know.

        Args:
            frames: where the cursor stands, frames.

        Returns:
            The state, and the stereo frames up to the cursor that sinks may still need; the state does not say yet
            where those are kept.
        """
        with self._shared.lock:
            sinks = self._sinks(frames)
            buffer = self._shared.buffer
            first = min((sinks[feed.name].frames for feed in self._feeds if feed.failed is None), default=frames)
            if self._lead:
                first = max(0, first - 1)  # for the filters of the next segment, even if it begins at the cursor
            if buffer is None or buffer.origin is None or first >= frames:
                return LiveState(sinks=sinks), b""
            start, stop = buffer.origin + first, buffer.origin + frames
            tail = interleave(*(buffer.read(party, start, stop) for party in PARTIES))
            return LiveState(sinks=sinks), tail

    def _sinks(self, frames: int) -> Mapping[str, SinkState]:
        with self._shared.lock:
            made = {feed.name: feed.state(self._shared.buffer, frames) for feed in self._feeds}
        return {**{name: self._lacking(state) for name, state in self._unmade.items()}, **made}

    def _lacking(self, state: SinkState) -> SinkState:
        """A sink that is not used: once the call is over, what it lacks is known."""
        end = self._end
        if end is None or end.frames <= state.frames:
            return state
        return replace(state, frames=end.frames, dropped_frames=state.dropped_frames + end.frames - state.frames)

    def close(self) -> None:
        """Stop everything: when this returns no thread of a sink runs, but for one that was told as left behind."""
        if not self._closed:
            self._closed = True
            self._driver.stop()


def _segment_seconds(sink: AudioSink) -> int | None:
    """How a sink wants its audio cut, where it says that as it should."""
    try:
        seconds: object = sink.segment_seconds
    except Exception:  # noqa: BLE001 - whatever a sink does, the others go on
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        return None
    return seconds if 0 <= seconds <= _LONGEST_SEGMENT_S else None
