"""Drivers run the sinks' tasks: a thread for each sink, or the writing thread itself if nothing is live.

*How it works.* The pipeline writes to the buffer and calls `wake`. A driver asks a sink's progress for its next task,
runs the task without the lock, and reports the result. `Threads` has one thread for each sink, for one invocation:
`stop` interrupts and joins all of them. A thread that does not end in time is abandoned, and its sink is disabled for
the rest of the call. `Inline` runs every task in `wake` itself, so the writer waits for the sinks.

| state of a sink's thread | `busy_since` | left by |
| --- | --- | --- |
| waits for work, or for the end of a pause | None | `wake`, the pause's end, `stop` |
| runs the sink's code | time of the task's begin | return or exception of the sink |
| interrupted while it runs the sink's code | the same, `interrupted` is set | return or exception of the sink |
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Final, Protocol

from connect_audio.core.errors import SinkError
from connect_audio.live.pipeline_state import PipelineState
from connect_audio.live.sink_progress import SinkProgress, Task
from connect_audio.live.sink_thread import SinkThread
from connect_audio.ports import Log
from connect_audio.sinks import Sink

LEFT_BEHIND: Final = "LEFT_BEHIND"
"""Code of a sink whose thread did not end in time."""
NO_THREAD: Final = "NO_THREAD"
"""Code of a sink for which the machine had no thread."""


class Driver(Protocol):
    """Runs the sinks' tasks."""

    @property
    def drops(self) -> bool:
        """True if the writer does not wait for the sinks, so that a slow sink loses the oldest audio."""

    def wake(self) -> None:
        """Note that there may be something to deliver. Called with the lock held."""

    def flush(self, timeout_s: float) -> None:
        """Wait until all sinks that make progress have everything. Called without the lock.

        Args:
            timeout_s: longest wait, seconds.
        """

    def interrupt_overdue(self) -> None:
        """Interrupt the deliveries that last too long. Called every few seconds, without the lock."""

    def stop(self) -> None:
        """End all work and close the sinks. Called without the lock."""


def _run(task: Task) -> SinkError | None:
    """Run a task; turn whatever the sink raises into a SinkError."""
    try:
        task.work.deliver()
    except SinkError as error:
        return error
    except Exception as error:  # noqa: BLE001 - no exception of a sink may end the recording
        return _unforeseen(error)
    return None


def _unforeseen(error: BaseException) -> SinkError:
    # The exception's text may hold a secret, so only its type is logged.
    return SinkError(type(error).__name__, "the sink raised an exception that is no SinkError", retryable=False)


def _note(shared: PipelineState, progress: SinkProgress, task: Task, error: SinkError | None) -> None:
    """Report a task's result. With the lock held."""
    now = shared.clock.monotonic()
    was_open = progress.breaker.is_open
    if error is None:
        progress.delivered(task, now)
        if was_open:
            shared.logger.info("live sink takes audio again", extra={"sink": progress.name})
        return
    progress.refused(task, now, retryable=error.retryable)
    if error.is_fatal:
        _give_up(shared, progress, error.code, error.__cause__ or error)
        return
    if error.resend_from is not None and shared.buffer is not None:
        progress.resend(error.resend_from, shared.buffer)
    about = {"sink": progress.name, "code": error.code, "retryable": error.retryable}
    if progress.breaker.is_open and not was_open:
        shared.logger.warning("live sink paused after several failures in a row", extra=about)
    elif not was_open:
        shared.logger.debug("live sink refused audio", extra=about)


def _give_up(shared: PipelineState, progress: SinkProgress, code: str, error: BaseException) -> None:
    """Disable a sink after an error that it cannot recover from. With the lock held."""
    progress.fail(code)
    shared.logger.error(
        "live sink failed; disabled for this call",
        extra={"sink": progress.name, "code": code, "place": _place_of(error)},
    )


def _place_of(error: BaseException) -> str | None:
    """File and line where an exception was raised. Its text and the traceback's may hold a secret, or words."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _prepare(shared: PipelineState, progress: SinkProgress) -> None:
    try:
        progress.sink.prepare()
    except Exception as error:  # noqa: BLE001 - as in `_run`
        shared.logger.debug("live sink not prepared", extra={"sink": progress.name, "code": _code_of(error)})


def _code_of(error: BaseException) -> str:
    return error.code if isinstance(error, SinkError) else type(error).__name__


def close_sink(logger: Log, name: str, sink: Sink) -> None:
    """Close a sink and log an exception.

    Args:
        logger: gets the exception's type.
        name: name of the sink.
        sink: the sink.
    """
    try:
        sink.close()
    except Exception as error:  # noqa: BLE001 - as in `_run`
        logger.warning("live sink not closed", extra={"sink": name, "code": _code_of(error)})


def _close(shared: PipelineState, progress: SinkProgress) -> None:
    close_sink(shared.logger, progress.name, progress.sink)


class Inline:
    """Delivers in the writing thread, which waits: for captures and tests, in which nothing is live.

    A sink whose circuit is open gets nothing during its pause, since the writer would wait for the pause's end.
    """

    drops = False

    def __init__(self, shared: PipelineState, sinks: Sequence[SinkProgress]) -> None:
        self._shared = shared
        self._sinks = sinks

    def wake(self) -> None:
        """Deliver all that there is."""
        shared = self._shared
        for progress in self._sinks:
            while shared.buffer is not None and progress.has_work(shared.buffer):
                breaker = progress.breaker
                wait_s = breaker.wait_until - shared.clock.monotonic()
                if wait_s > 0 and breaker.is_open:
                    progress.skip(shared.buffer)
                    continue
                if wait_s > 0:
                    shared.clock.sleep(wait_s)
                task = progress.next(shared.buffer, max(breaker.wait_until, shared.clock.monotonic()))
                if task is not None:
                    _note(shared, progress, task, _run(task))

    def flush(self, timeout_s: float) -> None:
        """Do nothing: `wake` has delivered everything."""

    def interrupt_overdue(self) -> None:
        """Do nothing: no delivery is under way."""

    def stop(self) -> None:
        """Close the sinks."""
        for progress in self._sinks:
            _close(self._shared, progress)


class _Worker:
    """The work of one sink's thread.

    Raises:
        RuntimeError: the machine has no more threads.
    """

    def __init__(self, shared: PipelineState, progress: SinkProgress) -> None:
        self.progress = progress
        self.condition = threading.Condition(shared.lock)
        self.busy_since: float | None = None
        self.interrupted = False
        self.stopping = False
        self.interrupter: threading.Thread | None = None
        self._shared = shared
        thread = progress.thread
        if thread is None:
            thread = SinkThread(progress.name)
            thread.start()
        self._thread = thread
        thread.submit(self._run)
        thread.finish()

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - a bug, or an error without its attributes; no caller is above
            with self.condition:
                self.busy_since = None
                _give_up(self._shared, self.progress, type(error).__name__, error)
                self.condition.notify_all()
        self._guarded(lambda: _close(self._shared, self.progress))

    def _serve(self) -> None:
        self._busy()
        self._guarded(lambda: _prepare(self._shared, self.progress))
        self._idle(None, None)
        while (task := self._await_task()) is not None:
            self._idle(task, self._guarded(lambda task=task: _run(task)))  # type: ignore[misc]

    def _guarded(self, work: Callable[[], SinkError | None]) -> SinkError | None:
        """Run a sink's code. Not even SystemExit or a cancelled event loop of the sink ends this thread."""
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
                _note(self._shared, self.progress, task, error)
            self.condition.notify_all()

    def _await_task(self) -> Task | None:
        shared = self._shared
        with self.condition:
            while not self.stopping:
                now = shared.clock.monotonic()
                buffer = shared.buffer
                task = None if buffer is None else self.progress.next(buffer, now)
                if task is not None:
                    self.busy_since = now
                    return task
                wait_s = self.progress.breaker.wait_until - now
                self.condition.wait(wait_s if wait_s > 0 else None)
            return None

    def interrupt(self) -> None:
        """Make the task under way fail soon. In a thread of its own, since the sink's `interrupt` may block."""
        self.interrupted = True
        self.interrupter = threading.Thread(target=self._interrupt, name=f"{self._thread.name}-interrupt", daemon=True)
        try:
            self.interrupter.start()
        except RuntimeError:
            self.interrupter = None  # the machine has no more threads; the sink's own timeouts end the task

    def _interrupt(self) -> None:
        try:
            self.progress.sink.interrupt()
        except BaseException as error:  # noqa: BLE001 - as in `_guarded`
            code = type(error).__name__
            self._shared.logger.warning("live sink not interrupted", extra={"sink": self.progress.name, "code": code})

    @property
    def threads(self) -> Sequence[threading.Thread]:
        """This thread, and the thread that interrupts it if there is one."""
        return [self._thread] if self.interrupter is None else [self._thread, self.interrupter]


class Threads:
    """Delivers in a thread for each sink."""

    drops = True

    def __init__(self, shared: PipelineState, sinks: Sequence[SinkProgress]) -> None:
        self._shared = shared
        self._workers: list[_Worker] = []
        for progress in sinks:
            try:
                worker = _Worker(shared, progress)
            except RuntimeError:
                progress.fail(NO_THREAD)
                shared.logger.error(  # noqa: TRY400 - the text says all
                    "no thread for a live sink; disabled for this call", extra={"sink": progress.name}
                )
                _close(shared, progress)
            else:
                self._workers.append(worker)

    def wake(self) -> None:
        """Wake the threads whose sinks have work."""
        buffer = self._shared.buffer
        if buffer is None:
            return
        for worker in self._workers:
            if worker.busy_since is None and worker.progress.has_work(buffer):
                worker.condition.notify()

    def flush(self, timeout_s: float) -> None:
        """As `Driver.flush`; a sink whose circuit is open makes no progress."""
        shared = self._shared
        until = shared.clock.monotonic() + timeout_s
        for worker in self._workers:
            with worker.condition:
                while shared.buffer is not None and not worker.progress.finished:
                    now = shared.clock.monotonic()
                    breaker = worker.progress.breaker
                    if breaker.is_open and breaker.wait_until > now:
                        break
                    left_s = until - now
                    idle = worker.busy_since is None and not worker.progress.has_work(shared.buffer)
                    if idle or left_s <= 0:
                        break
                    worker.condition.notify_all()
                    worker.condition.wait(left_s)

    def interrupt_overdue(self) -> None:
        """Interrupt each task that has lasted `LivePolicy.longest_delivery`, once."""
        now = self._shared.clock.monotonic()
        longest = self._shared.policy.longest_delivery
        for worker in self._workers:
            with worker.condition:
                since = worker.busy_since
                overdue = since is not None and not worker.interrupted and now - since >= longest
            if overdue:
                worker.interrupt()

    def stop(self) -> None:
        """Interrupt the tasks under way, and join all threads."""
        for worker in self._workers:
            with worker.condition:
                worker.stopping = True
                busy = worker.busy_since is not None
                worker.condition.notify_all()
            if busy:
                worker.interrupt()
        until = self._shared.clock.monotonic() + self._shared.policy.join
        for worker in self._workers:
            for each in worker.threads:
                each.join(max(0.0, until - self._shared.clock.monotonic()))
            if any(each.is_alive() for each in worker.threads):
                with self._shared.lock:
                    worker.progress.fail(LEFT_BEHIND)
                self._shared.logger.error(
                    "live sink did not stop in time; disabled for this call", extra={"sink": worker.progress.name}
                )
        self._workers = []
