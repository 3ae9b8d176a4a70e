"""Who hands the audio over: a thread for each sink, or the caller itself where nothing is live.

Threads live for one invocation: `stop` interrupts and joins them. A sink that does not come back from its own code is
left behind, told, and never used again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from aws_lambda_powertools import Logger

from connect_audio.core.errors import SinkError
from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.live.feed import EndOfCall, Feed, LivePolicy, Task
from connect_audio.ports import AudioSink, Clock

LEFT_BEHIND: Final = "LEFT_BEHIND"
"""Why a sink is not used any more: it did not return in time, and its thread could not be joined."""
NO_THREAD: Final = "NO_THREAD"
"""Why a sink is not used any more: the machine has no thread for it."""


@dataclass
class PipelineState:
    """What pipeline, feeds and drivers share, and the lock that guards all of it."""

    policy: LivePolicy
    clock: Clock
    logger: Logger
    buffer: LiveBuffer | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


class Driver(Protocol):
    """How the feeds' tasks get done."""

    def wake(self) -> None:
        """There may be something to hand over. Called with the lock held."""

    def flush(self, timeout_s: float) -> None:
        """Wait until the sinks that get on have all that there is; at most so long. Called without the lock."""

    def interrupt_overdue(self) -> None:
        """Look after deliveries that last too long. Called now and then, without the lock."""

    def stop(self) -> None:
        """End all of it. Called without the lock."""


def _hand_over(feed: Feed, task: Task) -> SinkError | None:
    """Hand a task to its sink; whatever a sink raises becomes a SinkError."""
    try:
        if isinstance(task.work, EndOfCall):
            feed.sink.end(task.work.end)
        else:
            feed.sink.deliver(task.work)
    except SinkError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever a sink does, the recording goes on
        return _unforeseen(error)
    return None


def _unforeseen(error: BaseException) -> SinkError:
    # Its text may hold anything, so only its type is told.
    return SinkError(type(error).__name__, "the sink raised what it should not", retryable=False)


def _note(shared: PipelineState, feed: Feed, task: Task, error: SinkError | None) -> None:
    """Write down what came of a task. With the lock held."""
    now = shared.clock.monotonic()
    was_open = feed.is_open
    if error is None:
        if shared.buffer is not None:
            feed.taken(task, shared.buffer, now)
        if was_open:
            shared.logger.info("live sink takes audio again", extra={"sink": feed.name})
        return
    feed.refused(task, now, retryable=error.retryable)
    about = {"sink": feed.name, "code": error.code, "retryable": error.retryable}
    if feed.is_open and not was_open:
        shared.logger.warning("live sink fails again and again and is left alone for a while", extra=about)
    elif not was_open:
        shared.logger.debug("live sink did not take audio", extra=about)


def _prepare(shared: PipelineState, feed: Feed) -> None:
    try:
        feed.sink.prepare()
    except Exception as error:  # noqa: BLE001 - as in `_hand_over`
        code = error.code if isinstance(error, SinkError) else type(error).__name__
        shared.logger.debug("live sink not prepared", extra={"sink": feed.name, "code": code})


def close_sink(logger: Logger, name: str, sink: AudioSink) -> None:
    """Close a sink, whatever it makes of that."""
    try:
        sink.close()
    except Exception as error:  # noqa: BLE001 - as in `_hand_over`
        logger.warning("live sink could not be closed", extra={"sink": name, "code": type(error).__name__})


def _close(shared: PipelineState, feed: Feed) -> None:
    close_sink(shared.logger, feed.name, feed.sink)


class Inline:
    """The caller hands over, and waits for it: for captures and tests, where nothing is live.

    A sink that is left alone for a while gets nothing meanwhile, or the caller would wait for it.
    """

    def __init__(self, shared: PipelineState, feeds: Sequence[Feed]) -> None:
        self._shared = shared
        self._feeds = feeds

    def wake(self) -> None:
        """Hand over all that there is."""
        shared = self._shared
        for feed in self._feeds:
            while shared.buffer is not None and feed.has_work(shared.buffer):
                wait_s = feed.wait_until - shared.clock.monotonic()
                if wait_s > 0 and feed.is_open:
                    feed.skip(shared.buffer)
                    continue
                if wait_s > 0:
                    shared.clock.sleep(wait_s)
                task = feed.next(shared.buffer, max(feed.wait_until, shared.clock.monotonic()))
                if task is not None:
                    _note(shared, feed, task, _hand_over(feed, task))

    def flush(self, timeout_s: float) -> None:
        """Nothing is left to wait for."""

    def interrupt_overdue(self) -> None:
        """Nobody to look after."""

    def stop(self) -> None:
        """Close the sinks."""
        for feed in self._feeds:
            _close(self._shared, feed)


class _SinkThread(threading.Thread):
    """One sink's thread."""

    def __init__(self, shared: PipelineState, feed: Feed) -> None:
        super().__init__(name=f"live-{feed.name}", daemon=True)
        self.feed = feed
        self.condition = threading.Condition(shared.lock)
        self.busy_since: float | None = None
        self.interrupted = False
        self.stopping = False
        self.interrupter: threading.Thread | None = None
        self._shared = shared

    def run(self) -> None:
        self._busy()
        self._guarded(lambda: _prepare(self._shared, self.feed))
        self._idle(None, None)
        while (task := self._await_task()) is not None:
            self._idle(task, self._guarded(lambda task=task: _hand_over(self.feed, task)))  # type: ignore[misc]
        self._guarded(lambda: _close(self._shared, self.feed))

    def _guarded(self, work: Callable[[], SinkError | None]) -> SinkError | None:
        """Run what a sink does; not even what ends a process ends this thread (a sink's own loop may be cancelled)."""
        try:
            return work()
        except BaseException as error:  # noqa: BLE001 - see above
            return _unforeseen(error)

    def _busy(self) -> None:
        with self.condition:
            self.busy_since = self._shared.clock.monotonic()

    def _idle(self, task: Task | None, error: SinkError | None) -> None:
        with self.condition:
            self.busy_since = None
            self.interrupted = False
            if task is not None:
                _note(self._shared, self.feed, task, error)
            self.condition.notify_all()

    def _await_task(self) -> Task | None:
        shared = self._shared
        with self.condition:
            while not self.stopping:
                now = shared.clock.monotonic()
                buffer = shared.buffer
                task = None if buffer is None else self.feed.next(buffer, now)
                if task is not None:
                    self.busy_since = now
                    return task
                wait_s = self.feed.wait_until - now
                self.condition.wait(wait_s if wait_s > 0 else None)
            return None

    def interrupt(self) -> None:
        """Make what is under way fail soon. In a thread of its own: a sink may wait there for the very thing."""
        self.interrupted = True
        self.interrupter = threading.Thread(target=self._interrupt, name=f"{self.name}-interrupt", daemon=True)
        try:
            self.interrupter.start()
        except RuntimeError:
            self.interrupter = None  # no thread to be had: what is under way has its own limits

    def _interrupt(self) -> None:
        try:
            self.feed.sink.interrupt()
        except BaseException as error:  # noqa: BLE001 - as in `_guarded`
            code = type(error).__name__
            self._shared.logger.warning("live sink not interrupted", extra={"sink": self.feed.name, "code": code})

    @property
    def threads(self) -> Sequence[threading.Thread]:
        """Itself, and who interrupts it."""
        return [self] if self.interrupter is None else [self, self.interrupter]


class Threads:
    """A thread for each sink."""

    def __init__(self, shared: PipelineState, feeds: Sequence[Feed]) -> None:
        self._shared = shared
        self._threads: list[_SinkThread] = []
        for feed in feeds:
            thread = _SinkThread(shared, feed)
            try:
                thread.start()
            except RuntimeError:
                feed.fail(NO_THREAD)
                shared.logger.error("no thread for a live sink", extra={"sink": feed.name})  # noqa: TRY400 - nothing more to tell
                _close(shared, feed)
            else:
                self._threads.append(thread)

    def wake(self) -> None:
        """Wake those who have something to do."""
        buffer = self._shared.buffer
        if buffer is None:
            return
        for thread in self._threads:
            if thread.busy_since is None and thread.feed.has_work(buffer):
                thread.condition.notify()

    def flush(self, timeout_s: float) -> None:
        """Wait for the sinks that get on; not for one that is left alone for a while."""
        shared = self._shared
        until = shared.clock.monotonic() + timeout_s
        for thread in self._threads:
            with thread.condition:
                while shared.buffer is not None and not thread.feed.finished:
                    now = shared.clock.monotonic()
                    if thread.feed.is_open and thread.feed.wait_until > now:
                        break
                    left_s = until - now
                    idle = thread.busy_since is None and not thread.feed.has_work(shared.buffer)
                    if idle or left_s <= 0:
                        break
                    thread.condition.notify_all()
                    thread.condition.wait(left_s)

    def interrupt_overdue(self) -> None:
        """Interrupt what lasts too long."""
        now = self._shared.clock.monotonic()
        for thread in self._threads:
            with thread.condition:
                since = thread.busy_since
                late = (
                    since is not None and not thread.interrupted and now - since >= self._shared.policy.longest_delivery
                )
            if late:
                thread.interrupt()

    def stop(self) -> None:
        """End the threads: what is under way is interrupted, and everyone is joined."""
        for thread in self._threads:
            with thread.condition:
                thread.stopping = True
                busy = thread.busy_since is not None
                thread.condition.notify_all()
            if busy:
                thread.interrupt()
        until = self._shared.clock.monotonic() + self._shared.policy.join
        for thread in self._threads:
            for each in thread.threads:
                each.join(max(0.0, until - self._shared.clock.monotonic()))
            if any(each.is_alive() for each in thread.threads):
                with self._shared.lock:
                    thread.feed.fail(LEFT_BEHIND)
                self._shared.logger.error("live sink left behind", extra={"sink": thread.feed.name})
        self._threads = []
