"""One sink's progress through a call: its next task, the meaning of a failure, and the audio that it did not get.

*How it works.* The reader knows the sink's place on the buffer and cuts pieces. The breaker knows when the next try may
be made. This class joins them: `next` gives a task, and after the driver has run it, `delivered` or `refused`
reports the result. Between the two the buffer may change under the task:

- a *rewind* takes the reader back, since the recording has corrected audio that was delivered ahead of it;
- a *drop* takes the reader forward, since the sink is too slow for the buffer.

Both begin a new turn. A task of an earlier turn does not move the reader any more. If only drops lie between, its
audio was counted as dropped and has been delivered after all, so the count is corrected.

No thread and no waiting: a driver (`live/drivers.py`) does both. The caller holds the pipeline's lock.
"""

from __future__ import annotations

from collections.abc import Callable

from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.live_state import SinkState
from connect_audio.live.circuit_breaker import CircuitBreaker
from connect_audio.live.piece import Piece, SinkReader
from connect_audio.live.sink_thread import SinkThread
from connect_audio.sinks import LiveEnd, Sink
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class EndOfCall:
    """The last task of a sink: its `end`.

    Args:
        deliver: hands the end to the sink.
    """

    deliver: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing for a driver to do.

    Args:
        work: a piece of audio, or the end of the call.
        turn: the turn in which the work was cut from the buffer.
    """

    work: Piece | EndOfCall
    turn: int


class SinkProgress:
    """One sink's progress.

    Args:
        name: name of the sink.
        reader: the sink's place on the buffer.
        breaker: the pauses between tries.
        state: the state that earlier invocations left.
        thread: the thread that made the sink; None if the caller's thread did.
    """

    def __init__(
        self,
        name: str,
        reader: SinkReader,
        breaker: CircuitBreaker,
        state: SinkState,
        thread: SinkThread | None = None,
    ) -> None:
        self.name = name
        self.thread = thread
        """The thread that made the sink and is to run its code; None for a new one."""
        self.breaker = breaker
        self.counts = state.counts.copy()
        self.failure = state.failure
        """Code of the failure that disabled the sink; None while the sink is in use."""
        self.longest_lag = 0.0
        """Longest time from the arrival of a piece's last sample to its delivery, seconds; the pipeline resets it."""
        self._reader = reader
        self._resumed_at = state.frames
        self._messages_before = state.counts.dropped_messages
        self._end: LiveEnd | None = None
        self._ended = False
        self._turn = 0
        self._last_rewind = 0  # the newest turn that began with a rewind
        # Position before which audio counts as dropped, so that the sink cannot have it again.
        self._floor: int | None = None
        self._settled_at_failure: int | None = None

    @property
    def sink(self) -> Sink:
        """The sink."""
        return self._reader.sink

    @property
    def lead_s(self) -> float:
        """Seconds before the recorder's cursor that the next piece may begin at."""
        return self._reader.lead_s

    @property
    def position(self) -> int | None:
        """Position before which no audio is needed, samples since the epoch; None before the first audio."""
        return self._reader.position

    @property
    def end_seconds(self) -> float:
        """Time that the sink asks for its `end`, seconds; 0 if it asks for none."""
        seconds = _attribute(self.sink, "end_seconds")
        return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 0.0

    def needed_from(self, buffer: LiveBuffer) -> int | None:
        """Position before which the sink needs no audio, not even again; None before the first audio.

        Args:
            buffer: holds the audio.
        """
        place, settled = self._reader.position, self._settled
        if place is None or settled is None or buffer.origin is None:
            return place
        return self._reader.needed_from(buffer.origin + settled, buffer)

    @property
    def _settled(self) -> int | None:
        """The sink's own word for what it needs no more, frames; None for a sink that has done with what it took."""
        frames = _attribute(self.sink, "settled")
        return frames if isinstance(frames, int) and frames >= 0 else None

    @property
    def finished(self) -> bool:
        """True if the sink gets nothing more: the call has ended for it, or it is disabled."""
        return self._ended or self.failure is not None

    # The buffer's side.

    def begin(self, buffer: LiveBuffer) -> None:
        """Begin to read a new buffer."""
        self._rewound()
        self._reader.begin(buffer)

    def learn_origin(self, buffer: LiveBuffer) -> None:
        """Note that the recording's first frame is known now."""
        self._reader.learn_origin(buffer)

    def resume(self, buffer: LiveBuffer, earliest: int) -> None:
        """Go on where the earlier invocation stood.

        Args:
            buffer: holds the audio that the earlier invocation saved for the sinks.
            earliest: position before which nothing was saved, samples since the epoch.
        """
        wanted = (buffer.origin or 0) + self._resumed_at
        self.counts.dropped_frames += self._reader.resume(wanted, earliest, buffer)

    def rewind(self, position: int, buffer: LiveBuffer) -> None:
        """Deliver again from a position on: the buffer has changed there."""
        self._rewound()
        self._floor = None
        self._reader.rewind(position, buffer)

    def resend(self, frames: int, buffer: LiveBuffer) -> None:
        """Deliver again from a position on, since the sink asks for it; never audio that counts as dropped already.

        The part that it cannot have counts as dropped, even if it was delivered before.

        Args:
            frames: the position, frames since the recording's first.
            buffer: holds the audio.
        """
        if buffer.origin is None or self.failure is not None:
            return
        position = buffer.origin + max(0, frames)
        if self._ended:
            self.counts.dropped_frames += max(0, buffer.whole_to - position)
            return
        self._turn += 1
        self._last_rewind = self._turn
        self._reader.rewind(position if self._floor is None else max(position, self._floor), buffer)
        self.counts.dropped_frames += max(0, (self._reader.position or 0) - position)

    def drop(self, position: int, buffer: LiveBuffer) -> None:
        """Drop the audio before a position, which the buffer no longer keeps."""
        place = self._reader.position
        if place is None or place >= position:
            return
        self.counts.dropped_frames += self._reader.drop(position, buffer)
        self._floor = self._reader.position
        self._new_turn()

    def drop_unread(self, buffer: LiveBuffer) -> None:
        """Drop all that is left: the call is over and there is no time for more."""
        if self._ended or buffer.origin is None:
            return
        self.counts.dropped_frames += self._reader.drop_all(buffer)
        self._floor = self._reader.position
        self._turn += 1

    def end(self, end: LiveEnd) -> None:
        """Note that no audio follows."""
        self._end = end

    def fail(self, code: str) -> None:
        """Disable the sink for the rest of the call."""
        self.failure = code

    def _rewound(self) -> None:
        self._new_turn()
        self._last_rewind = self._turn

    def _new_turn(self) -> None:
        self._turn += 1
        self.breaker.next_piece()

    def complete_at(self, buffer: LiveBuffer) -> int | None:
        """Position that both parties' audio must reach for another piece; None if any audio makes one."""
        return self._reader.complete_at(buffer)

    # The driver's side.

    def has_work(self, buffer: LiveBuffer) -> bool:
        """True if there is something to deliver, now or after a pause."""
        return not self.finished and (self._end is not None or self._reader.has_next(buffer))

    def next(self, buffer: LiveBuffer, now: float) -> Task | None:
        """The next task; None if there is none, or the sink's pause is not over.

        Args:
            buffer: holds the audio.
            now: monotonic seconds.
        """
        if self.finished or now < self.breaker.wait_until:
            return None
        work = self._work(buffer)
        return None if work is None else Task(work, self._turn)

    def _work(self, buffer: LiveBuffer) -> Piece | EndOfCall | None:
        piece = self._reader.next(buffer)
        end = self._end
        if piece is None and end is not None:
            return EndOfCall(lambda: self.sink.end(end))
        return piece

    def delivered(self, task: Task, now: float) -> None:
        """Note that the sink took a task's work.

        Args:
            task: the task.
            now: monotonic seconds.
        """
        work = task.work
        if isinstance(work, EndOfCall):
            self._ended = True
            return
        settled = self._settled
        if settled is None or self._settled_at_failure is None or settled > self._settled_at_failure:
            # A session that takes audio again and dies again is no success.
            self.breaker.succeeded()
            self._settled_at_failure = None
        else:
            self.breaker.retry_now()
        self.counts.delivered += 1
        self.counts.delivered_frames += work.frames
        if task.turn == self._turn:
            if work.arrived is not None:
                self.longest_lag = max(self.longest_lag, now - work.arrived)
            self._reader.advance(work)
        elif task.turn >= self._last_rewind:
            # The piece fell off the buffer, or a part of it, while the sink was at it.
            self.counts.dropped_frames -= self._reader.frames_passed(work)

    def refused(self, task: Task, now: float, *, retryable: bool) -> None:
        """Note that the sink refused a task's work.

        Args:
            task: the task.
            now: monotonic seconds.
            retryable: True if another try may succeed.
        """
        self.counts.failures += 1
        if self._settled_at_failure is None:
            self._settled_at_failure = self._settled
        if self.breaker.failed(now, retryable=retryable):
            self.counts.circuit_opened += 1
        if not retryable or self.breaker.exhausted:
            self._give_up(task)

    def skip(self, buffer: LiveBuffer) -> None:
        """Drop the next piece without a try."""
        work = self._work(buffer)
        if work is not None:
            self._give_up(Task(work, self._turn))

    def _give_up(self, task: Task) -> None:
        self.breaker.next_piece()
        if task.turn != self._turn:
            return
        if isinstance(task.work, EndOfCall):
            self._ended = True
            return
        self.counts.dropped_frames += task.work.frames
        self._reader.advance(task.work)
        self._floor = self._reader.position

    # The next invocation's side.

    def state(self, buffer: LiveBuffer | None, frames: int) -> SinkState:
        """The state for the next invocation.

        Args:
            buffer: holds the audio; None before the first audio.
            frames: position of the recorder's cursor, frames. Audio after the cursor is read and delivered again.
        """
        needed = self._resumed_at
        if buffer is not None and buffer.origin is not None:
            settled = self._settled
            limit = frames if settled is None else min(frames, settled)
            place = self._reader.needed_from(buffer.origin + limit, buffer)
            needed = needed if place is None else max(0, place - buffer.origin)
        self._note_own_counts()
        return SinkState(frames=needed, failure=self.failure, counts=self.counts.copy())

    def _note_own_counts(self) -> None:
        """Take over what the sink counts itself: recognized audio of the call, dropped messages of the invocation."""
        frames = _attribute(self.sink, "recognized")
        if isinstance(frames, int):
            self.counts.recognized_frames = max(self.counts.recognized_frames, frames)
        messages = _attribute(self.sink, "dropped_messages")
        if isinstance(messages, int):
            dropped = self._messages_before + messages
            self.counts.dropped_messages = max(self.counts.dropped_messages, dropped)


def _attribute(sink: Sink, name: str) -> object:
    """An optional attribute of a sink; None if the sink has none, or if reading it fails."""
    try:
        return getattr(sink, name, None)
    except Exception:  # noqa: BLE001 - no exception of a sink may end the recording
        return None
