"""One sink and its place on the buffer: what it gets next, what a failure means, what it was not given.

No thread, no waiting: a driver (`live/drivers.py`) hands over what `next` gives and reports back. Whoever calls holds
the pipeline's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connect_audio.core.live_audio import LiveAudio
from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party
from connect_audio.live.state import SinkState
from connect_audio.ports import AudioSink, LiveEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePolicy:
    """Durations and limits, in seconds unless the name says otherwise.

    Args:
        buffer: how far a sink may fall behind, in seconds of audio; what is older is dropped.
        first_backoff: pause after a failed try; doubles, and is cut by a random part of itself.
        longest_backoff: the longest such pause.
        failures_to_open: failures in a row after which the sink is left alone for a while.
        open: for how long, at first; doubles with each try that fails then.
        longest_open: the longest such while.
        longest_delivery: a delivery that lasts longer is interrupted.
        most_tries: of one piece; None for as many as the buffer allows.
        flush_timeout: how long an invocation waits at its end for sinks that make progress; at the end of the call half
            of it, and the second half for their `end`.
        join: how long threads have to end, after that.
    """

    buffer: float = 60
    first_backoff: float = 0.2
    longest_backoff: float = 5
    failures_to_open: int = 5
    open: float = 10
    longest_open: float = 60
    longest_delivery: float = 10
    most_tries: int | None = None
    flush_timeout: float = 5
    join: float = 12


@dataclass(frozen=True, slots=True)
class EndOfCall:
    """The last thing that a sink is told."""

    end: LiveEnd


@dataclass(frozen=True, slots=True)
class Task:
    """What a driver is to do.

    Args:
        work: audio to deliver, or the ending.
        turn: which version of the buffer it was cut from; a rewind makes the next.
    """

    work: LiveAudio | EndOfCall
    turn: int


_NONE: Final = -1


class Feed:
    """One sink's progress.

    Args:
        name: of the sink.
        sink: the sink.
        seconds: how long its segments are; 0 for blocks.
        policy: durations and limits.
        state: what earlier invocations left.
        jitter: returns 0 to 1.
    """

    def __init__(
        self,
        name: str,
        sink: AudioSink,
        seconds: int,
        policy: LivePolicy,
        state: SinkState,
        jitter: Callable[[], float],
    ) -> None:
        self.name = name
        self.sink = sink
        self._policy = policy
        self._jitter = jitter
        self._seconds = seconds
        self._before = state
        self._positions: dict[Party, int] = dict.fromkeys(PARTIES, _NONE)  # a segment's both move together
        self._final: LiveEnd | None = None
        self._ended = False
        self._turn = 0
        self._told_again = 0  # the newest turn that began with audio being told again
        self._tries = 0
        self._failed_in_row = 0
        self._opened_in_row = 0
        self._wait_until = 0.0
        self._delivered = 0
        self._delivered_frames = 0
        self._dropped_frames = 0
        self._failures = 0
        self._opened = 0
        self._failed = state.failed
        self.longest_lag = 0.0
        """From the arrival of a piece's last sample to its being taken, seconds; the longest since it was last read."""

    # Where it stands.

    def begin(self, buffer: LiveBuffer) -> None:
        """Begin with a new buffer: segments only once it has an origin, blocks with the first of each party."""
        self._turn += 1
        self._told_again = self._turn
        self._tries = 0
        self._positions = dict.fromkeys(PARTIES, _NONE if buffer.origin is None else buffer.origin)

    def learn_origin(self, buffer: LiveBuffer) -> None:
        """The buffer has its origin now."""
        if buffer.origin is not None:
            self._positions = {party: buffer.origin if at == _NONE else at for party, at in self._positions.items()}

    def resume(self, buffer: LiveBuffer, earliest: int) -> None:
        """Go on where the invocation before stood.

        Args:
            buffer: holds what that one could save of what this sink still needs.
            earliest: from which position on, samples since the epoch; what is needed from before is lost.
        """
        wanted = (buffer.origin or 0) + self._before.frames
        start = self._border(max(wanted, earliest), buffer, up=True)
        self._positions = dict.fromkeys(PARTIES, start)
        self._count_as_dropped(len(PARTIES) * (start - wanted))

    @property
    def position(self) -> int:
        """Before which position nothing is needed, samples since the epoch; negative where nothing has begun."""
        return min(self._positions.values())

    @property
    def seconds(self) -> int:
        """How long a segment is; 0 for a sink that takes blocks."""
        return self._seconds

    @property
    def failed(self) -> str | None:
        """Why the sink is not used any more; None while it is."""
        return self._failed

    def fail(self, why: str) -> None:
        """Never use the sink again."""
        self._failed = why

    def end(self, end: LiveEnd) -> None:
        """Nothing more will come."""
        self._final = end

    @property
    def finished(self) -> bool:
        """Whether all is done that this sink is there for."""
        return self._ended or self._failed is not None

    # What it gets.

    def next(self, buffer: LiveBuffer, now: float) -> Task | None:
        """What to hand over now; None where there is nothing, or it has to wait.

        Args:
            buffer: the buffer.
            now: monotonic seconds.
        """
        if self.finished or now < self._wait_until:
            return None
        work = self._work(buffer)
        return None if work is None else Task(work, self._turn)

    def has_work(self, buffer: LiveBuffer) -> bool:
        """Whether there is something to hand over, now or after a wait."""
        if self.finished:
            return False
        if self._final is not None:
            return True
        if self._seconds:
            return self.position != _NONE and self.position + self._seconds * buffer.rate <= buffer.whole_to
        return any(
            buffer.run_after(party, 0) is not None if at == _NONE else buffer.end(party) > at
            for party, at in self._positions.items()
        )

    @property
    def wait_until(self) -> float:
        """Until when nothing is to be tried, monotonic seconds."""
        return self._wait_until

    @property
    def is_open(self) -> bool:
        """Whether its circuit is open: it has failed again and again, and is left alone for a while."""
        return self._opened_in_row > 0

    def probe(self) -> None:
        """Try at once what would have to wait: there may be no later."""
        self._wait_until = 0.0

    def _work(self, buffer: LiveBuffer) -> LiveAudio | EndOfCall | None:
        audio = self._segment(buffer) if self._seconds else self._block(buffer)
        if audio is None and self._final is not None:
            return EndOfCall(self._final)
        return audio

    def _block(self, buffer: LiveBuffer) -> LiveAudio | None:
        """The party's that is behind: the samples that came together, or a second of silence where none did."""
        found: tuple[int, Party, bytes] | None = None
        for party, at in self._positions.items():
            run = buffer.run_after(party, max(at, 0))
            start = at if at != _NONE else run.start if run else None
            if start is None or (found is not None and found[0] <= start):
                continue
            if run is not None and run.start <= start:
                found = start, party, run.samples
                continue
            stop = min(buffer.end(party) if run is None else run.start, start + buffer.rate)
            if stop > start:
                found = start, party, bytes(SAMPLE_BYTES * (stop - start))
        if found is None:
            return None
        start, party, samples = found
        return LiveAudio(
            start=start,
            rate=buffer.rate,
            samples={party: samples},
            position=None if buffer.origin is None else start - buffer.origin,
        )

    def _segment(self, buffer: LiveBuffer) -> LiveAudio | None:
        origin, start = buffer.origin, self.position
        if origin is None or start == _NONE:
            return None
        length = self._seconds * buffer.rate
        stop = start + length
        whole_to = buffer.whole_to
        if stop > whole_to:
            if self._final is None or start >= whole_to:
                return None
            stop = whole_to
        return LiveAudio(
            start=start,
            rate=buffer.rate,
            samples={party: buffer.read(party, start, stop) for party in PARTIES},
            position=start - origin,
            segment=(start - origin) // length,
            last=self._final is not None and stop == whole_to,
            before={
                party: buffer.read(party, start - 1, start) if start > origin else bytes(SAMPLE_BYTES)
                for party in PARTIES
            },
        )

    # What came of it.

    def taken(self, task: Task, buffer: LiveBuffer, now: float) -> None:
        """The sink took it."""
        self._tries = self._failed_in_row = self._opened_in_row = 0
        self._wait_until = 0.0
        work = task.work
        if isinstance(work, EndOfCall):
            self._ended = True
            return
        self._delivered += 1
        self._delivered_frames += work.length
        if task.turn != self._turn:
            if task.turn >= self._told_again:
                # It was under way when it fell off the buffer, or part of it, and came to its end all the same.
                ends = (min(work.start + work.length, self._positions[party]) for party in work.samples)
                self._count_as_dropped(-sum(max(0, end - work.start) for end in ends))
            return
        arrived = self._arrived(work, buffer)
        self.longest_lag = max(self.longest_lag, 0.0 if arrived is None else now - arrived)
        self._advance(work)

    def refused(self, task: Task, now: float, *, retryable: bool) -> None:
        """The sink did not take it.

        Args:
            task: what.
            now: monotonic seconds.
            retryable: whether another try may help.
        """
        policy = self._policy
        self._failures += 1
        self._failed_in_row += 1
        self._tries += 1
        if not retryable or (policy.most_tries is not None and self._tries >= policy.most_tries):
            self._give_up(task)
        if self._failed_in_row >= policy.failures_to_open:
            pause = min(policy.longest_open, policy.open * 2 ** min(self._opened_in_row, 16))
            self._opened_in_row += 1
            self._opened += 1
        elif retryable:
            pause = min(policy.longest_backoff, policy.first_backoff * 2 ** min(self._failed_in_row - 1, 16))
        else:
            return
        self._wait_until = now + pause * (0.5 + self._jitter() / 2)

    def _give_up(self, task: Task) -> None:
        self._tries = 0
        if task.turn != self._turn:
            return
        if isinstance(task.work, EndOfCall):
            self._ended = True
            return
        self._dropped_frames += task.work.length
        self._advance(task.work)

    def skip(self, buffer: LiveBuffer) -> None:
        """Give up the next piece untried: where nobody waits for a sink, one that is left alone gets nothing."""
        work = self._work(buffer)
        if work is not None:
            self._give_up(Task(work, self._turn))

    def _advance(self, audio: LiveAudio) -> None:
        for party in audio.samples:
            self._positions[party] = audio.start + audio.length

    def _arrived(self, audio: LiveAudio, buffer: LiveBuffer) -> float | None:
        if audio.segment is not None:
            return buffer.arrived(audio.start + audio.length)
        (party,) = audio.samples
        run = buffer.run_after(party, audio.start)
        return None if run is None else run.arrived

    def rewind(self, position: int, buffer: LiveBuffer) -> None:
        """The buffer has changed from a position on: what was handed over of that comes again."""
        # Also what is under way just now may have been cut from what has changed.
        self._turn += 1
        self._told_again = self._turn
        self._tries = 0
        for party, at in self._positions.items():
            if at > position:
                self._positions[party] = self._border(position, buffer, up=False)

    def drop(self, position: int, buffer: LiveBuffer) -> None:
        """The buffer keeps nothing from before a position: go on behind it."""
        if self.position == _NONE or self.position >= position:
            return
        before = sum(self._positions.values())
        for party, at in self._positions.items():
            if at < position:
                self._positions[party] = self._border(position, buffer, up=True)
        self._count_as_dropped(sum(self._positions.values()) - before)
        self._turn += 1
        self._tries = 0

    def drop_unread(self, buffer: LiveBuffer) -> None:
        """The call is over and there is no more time: count what is left, also where the sink has failed."""
        if self._ended or buffer.origin is None:
            return
        self.learn_origin(buffer)
        left = sum(max(0, buffer.end(party) - at) for party, at in self._positions.items())
        self._count_as_dropped(left)
        self._positions = {party: max(at, buffer.end(party)) for party, at in self._positions.items()}
        self._turn += 1

    def _count_as_dropped(self, samples: int) -> None:
        self._dropped_frames += samples // len(PARTIES) if self._seconds else samples

    def _border(self, position: int, buffer: LiveBuffer, *, up: bool) -> int:
        """The nearest position at which it can go on: of segments, where one begins."""
        origin = buffer.origin
        if not self._seconds or origin is None:
            return position
        length = self._seconds * buffer.rate
        return origin + (position - origin + (length - 1 if up else 0)) // length * length

    def state(self, buffer: LiveBuffer | None, frames: int) -> SinkState:
        """What the next invocation has to know.

        Args:
            buffer: the buffer; None before the first audio.
            frames: where the cursor stands, frames: beyond it nothing is certain, so that comes again.
        """
        before = self._before
        needed = before.frames
        if buffer is not None and buffer.origin is not None and self.position != _NONE:
            needed = self._border(min(self.position, buffer.origin + frames), buffer, up=False) - buffer.origin
        return SinkState(
            frames=max(0, needed),
            delivered=before.delivered + self._delivered,
            delivered_frames=before.delivered_frames + self._delivered_frames,
            dropped_frames=before.dropped_frames + self._dropped_frames,
            failures=before.failures + self._failures,
            circuit_opened=before.circuit_opened + self._opened,
            failed=self._failed,
        )
