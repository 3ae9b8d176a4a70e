"""A session of Transcribe behind the port: the SDK's asyncio loop in a thread of its own, with a limit for every wait.

*How it works.* `TranscribeSession` starts a thread that runs `_serve`: it opens the connection, and then a sender and a
reader run side by side. `receive` hands the sender a piece and waits until all of it is sent. The reader fills the book
of results and notifies. The first failure of any of them is kept, ends the thread, and comes out of each later call.
`interrupt` and `close` are failures of that kind. Without audio for a while the sender sends a little silence, since
Transcribe ends a stream after 15 s without any.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from connect_audio.adapters.words.transcribe_failures import translated
from connect_audio.adapters.words.transcribe_results import Result, SessionResults
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party, interleave
from connect_audio.words.recognizer import Results, SessionStart

CONNECT_S: Final = 8.0
"""Limit of connecting, seconds. A certificate that does not hold takes awscrt 14 to 21 s. Beyond: `TIMEOUT`."""
SEND_S: Final = 5.0
"""Limit of sending one piece of audio, seconds. Beyond: `TIMEOUT`."""
EVENT_S: Final = 0.256
"""Longest audio event, seconds: a segment of the sink. Transcribe allows 1 s and gives results sooner with less."""
QUIET_S: Final = 8.0
"""Time without audio after which silence is sent, seconds; Transcribe ends a stream after 15."""
_PAD_S: Final = 0.2
"""Length of such silence, seconds. Transcribe counts it, and the session's positions leave it out."""
_QUIET_TIMES: Final = 8
"""Limit of such silences in a row. Beyond: none is sent, and Transcribe ends the stream, which no caller uses."""
_CLOSE_S: Final = 2.0
"""Limit of closing the connection, seconds. Beyond: its descriptors are freed with its objects."""
WAIT_FOR_AWSCRT: Final = "wait-for-awscrt"
"""Name of a task that waits for a future of awscrt's thread."""
_REASON_S: Final = 0.5
"""Time that Transcribe has for saying why it takes no more audio, seconds. Beyond: the sender's own failure counts."""
_JOIN_S: Final = 4.0
"""Limit of waiting for the thread at `close`, seconds. Beyond: it ends by itself."""


class Connection(Protocol):
    """One stream, as `TranscribeConnection` is one."""

    async def open(self) -> None:
        """Connect."""

    async def send(self, stereo: bytes) -> None:
        """Send one audio event."""

    async def end_input(self) -> None:
        """Say that no audio follows."""

    def results(self) -> AsyncIterator[tuple[Result, ...]]:
        """Give the results as they come."""

    async def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Audio for the sender; no events mean the end of the input."""

    events: tuple[bytes, ...]
    sent: Future[None] = field(default_factory=Future)


class TranscribeSession:
    """One session.

    Args:
        start: the facts that it begins with.
        connect: makes the connection, in the session's thread.
        quiet_s: time without audio after which silence is sent, seconds.
    """

    def __init__(self, start: SessionStart, connect: Callable[[], Connection], *, quiet_s: float = QUIET_S) -> None:
        self._start, self._connect, self._quiet_s = start, connect, quiet_s
        self._results = SessionResults(start)
        # Everything below is shared by the threads, under the lock.
        self._lock = threading.Lock()
        self._failure: SinkError | None = None
        self._piece: _Piece | None = None
        self._is_input_over = False
        self._over: Future[None] = Future()
        self._wake: Callable[[], object] = lambda: None
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="transcribe-session", daemon=True)
        self._thread.start()

    def receive(self, position: int, samples: Mapping[Party, bytes]) -> None:
        """Send the audio. See the port."""
        stereo = interleave(*(samples[party] for party in PARTIES))
        frame_bytes = SAMPLE_BYTES * len(PARTIES)
        size = round(EVENT_S * self._start.rate) * frame_bytes
        piece = _Piece(tuple(stereo[at : at + size] for at in range(0, len(stereo), size)))
        with self._lock:
            self._results.sent(position, len(stereo) // frame_bytes)
        self._hand_over(piece, "sending audio", CONNECT_S + SEND_S)

    def results(self) -> Results:
        """Take what is new. See the port."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            return self._results.take()

    def finish(self, *, is_call_over: bool, timeout_s: float) -> Results:
        """End the input and wait for the last results. See the port."""
        with self._lock:
            self._results.end_input(is_call_over=is_call_over)
        self._hand_over(_Piece(()), "ending the input", timeout_s, self._over)
        with self._lock:
            return self._results.last(is_call_over=is_call_over)

    def interrupt(self) -> None:
        """Make the call under way fail. See the port."""
        self._fail(SinkError("INTERRUPTED", "Transcribe: the session was interrupted", retryable=True))

    def close(self) -> None:
        """End the thread. See the port."""
        self._fail(SinkError("CLOSED", "Transcribe: the session is closed", retryable=True))
        self._thread.join(_JOIN_S)

    def _hand_over(self, piece: _Piece, doing: str, limit_s: float, until: Future[None] | None = None) -> None:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._piece = piece
            wake = self._wake
        with suppress(RuntimeError):  # the loop has just ended, and the failure is on its way
            wake()
        try:
            (until or piece.sent).result(limit_s)
        except TimeoutError as error:
            raise self._fail(translated(error, doing, has_begun=True)) from error

    def _fail(self, failure: SinkError) -> SinkError:
        """Keep the first failure and return it; let the waiting call know and end the thread."""
        with self._lock:
            is_first = self._failure is None
            self._failure = failure = self._failure or failure
            piece, stop = self._piece, self._stop
        for waiting in (piece.sent if piece is not None else None, self._over):
            if waiting is not None:
                with suppress(InvalidStateError):  # it was done before
                    waiting.set_exception(failure)
        with suppress(RuntimeError):  # the loop has ended
            stop()
        if is_first:
            self._start.notify()
        return failure

    def _run(self) -> None:
        """The thread."""
        try:
            _run_to_the_end(self._serve())
        except BaseException as error:  # noqa: BLE001 - no caller is above a thread
            self._fail(translated(error, "the session", has_begun=True))

    async def _serve(self) -> None:
        loop, is_there = asyncio.get_running_loop(), asyncio.Event()
        # awscrt leaves tasks whose failures no caller takes; asyncio would write them to the function's log.
        loop.set_exception_handler(lambda _loop, _context: None)
        connection = self._connect()
        work = asyncio.create_task(self._work(connection, is_there))
        with self._lock:
            self._wake = partial(loop.call_soon_threadsafe, is_there.set)
            # It never cancels the closing of the connection, which would leave awscrt's own tasks waiting for ever.
            self._stop = partial(loop.call_soon_threadsafe, work.cancel)
            if self._failure is not None:
                work.cancel()
            if self._piece is not None:
                is_there.set()
        await asyncio.wait({work})
        if not work.cancelled() and (error := work.exception()) is not None:
            self._fail(translated(error, "the session", has_begun=True))
        await asyncio.wait({asyncio.create_task(connection.close())}, timeout=_CLOSE_S)
        with suppress(InvalidStateError):  # it has failed
            self._over.set_result(None)

    async def _work(self, connection: Connection, is_there: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(connection.open(), CONNECT_S)
        except Exception as error:
            raise translated(error, "connecting", has_begun=False) from error
        await self._exchange(connection, is_there)

    async def _exchange(self, connection: Connection, is_there: asyncio.Event) -> None:
        """Send and read side by side, to the end of the answer or the first failure."""
        reader = asyncio.create_task(self._read(connection))
        sender = asyncio.create_task(self._send(connection, is_there))
        try:
            await asyncio.wait({reader, sender}, return_when=asyncio.FIRST_EXCEPTION)
            if not reader.done():
                # Sending failed. Transcribe may have said why.
                await asyncio.wait({reader}, timeout=_REASON_S)
            for task in (reader, sender):
                if task.done():
                    task.result()
        finally:
            for task in (reader, sender):
                task.cancel()
            await asyncio.gather(reader, sender, return_exceptions=True)

    async def _send(self, connection: Connection, is_there: asyncio.Event) -> None:
        quiet_times = 0
        while True:
            try:
                await asyncio.wait_for(is_there.wait(), self._quiet_s if quiet_times < _QUIET_TIMES else None)
            except TimeoutError:
                quiet_times += 1
                await self._pad(connection)
                continue
            is_there.clear()
            quiet_times = 0
            with self._lock:
                piece = self._piece
                self._is_input_over = piece is not None and not piece.events
            if piece is None:
                continue
            with _translating("sending audio"):
                async with asyncio.timeout(SEND_S):
                    for event in piece.events:
                        await connection.send(event)
                    if not piece.events:
                        await connection.end_input()
            if not piece.events:
                return
            with suppress(InvalidStateError):
                piece.sent.set_result(None)

    async def _pad(self, connection: Connection) -> None:
        frames = round(_PAD_S * self._start.rate)
        with self._lock:
            self._results.padded(frames)
        with _translating("sending silence"):
            async with asyncio.timeout(SEND_S):
                await connection.send(bytes(frames * SAMPLE_BYTES * len(PARTIES)))

    async def _read(self, connection: Connection) -> None:
        with _translating("reading results"):
            async for results in connection.results():
                with self._lock:
                    self._results.add(results)
                self._start.notify()
        with self._lock:
            if not self._is_input_over:
                raise SinkError("ENDED", "Transcribe ended its answer in the middle of the audio", retryable=True)


def _run_to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as `asyncio.run` does, but cancel no task that still waits for awscrt's thread.

    Cancelling would cancel the future that the thread sets later on, and the thread would write a traceback.
    """
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
        if left := {task for task in asyncio.all_tasks(loop) if task.get_name() != WAIT_FOR_AWSCRT}:
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=_CLOSE_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


@contextmanager
def _translating(doing: str) -> Iterator[None]:
    """Translate what an exchange with the SDK raises."""
    try:
        yield
    except Exception as error:
        raise translated(error, doing, has_begun=True) from error
