"""The user's wish to end a recording: a signal that breaks off waiting and nothing else.

How it works. The first signal only sets a flag, at which the recorder looks between two reads. A read, a pause or a
call of AWS that still waits half a second later is broken off. So no fragment and no write is cut in its midst. The
second signal is the command's own: it ends everything.

| state | changes with |
| --- | --- |
| the signal | the first signal |
| whether something may be broken off | `breakable` |
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import ContactAnswer, ContactState
from connect_audio_cli.output.interrupts import Interrupted

if TYPE_CHECKING:
    from connect_audio.ports import ContactStatus, MediaSource, MediaStream, StartSelector

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_S: Final = 0.5
"""Seconds that a read may still wait after the signal. Bytes of a call come more often."""
_CODE: Final = "INTERRUPTED"


class _BrokenOffError(Exception):
    """The wait is broken off."""


class Stop:
    """The user's wish to end; a wall clock whose pauses end with it, too."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._is_breakable = False

    def __call__(self) -> bool:
        """Return True once the user has asked for the end."""
        return self._number is not None

    def raise_if_asked(self) -> None:
        """End the command at once, if the user has asked for the end.

        Raises:
            Interrupted: the user has.
        """
        if self._number is not None:
            raise Interrupted(self._number)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the signals that ask for the end, except ignored ones (nohup)."""
        before: dict[int, Any] = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGALRM)}

        def ask(number: int, frame: FrameType | None) -> None:
            del frame
            self._number = number
            for taken in _SIGNALS:
                signal.signal(taken, before[taken])
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S, _PATIENCE_S)

        signal.signal(signal.SIGALRM, self._break_off)
        for each in _SIGNALS:
            if before[each] is not signal.SIG_IGN:
                signal.signal(each, ask)
        try:
            yield
        finally:
            # After a second signal the command's own handlers and deadline are in force. They stay.
            for each in _SIGNALS:
                if signal.getsignal(each) is ask:
                    signal.signal(each, before[each])
            if signal.getsignal(signal.SIGALRM) == self._break_off:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before[signal.SIGALRM])

    def breakable[Result](self, work: Callable[[], Result]) -> Result:
        """Do some work that may wait for long.

        Raises:
            MediaSourceError: the user has asked for the end; the code is INTERRUPTED.
        """
        try:
            self._is_breakable = True
            return work()
        except _BrokenOffError as error:
            raise MediaSourceError(_CODE, "the user has asked for the end", retryable=True) from error
        finally:
            self._is_breakable = False

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._is_breakable:
            self._is_breakable = False
            raise _BrokenOffError

    # --- the clock ---

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the user asks for the end."""
        if self():
            return
        try:
            self._is_breakable = True
            time.sleep(seconds)
        except _BrokenOffError:
            return
        finally:
            self._is_breakable = False


class StoppableSource:
    """A source whose waiting ends with the user's wish.

    Args:
        source: the stream.
        stop: the wish.
        on_data: gets the bytes of the stream as they come.
    """

    def __init__(self, source: MediaSource, stop: Stop, on_data: Callable[[bytes], None]) -> None:
        self._source, self._stop, self._on_data = source, stop, on_data

    def retention_hours(self) -> int:
        """DataRetentionInHours of the stream.

        Raises:
            MediaSourceError: DescribeStream failed, or the user asked for the end.
        """
        return self._stop.breakable(self._source.retention_hours)

    def open(self, start: StartSelector) -> StoppableStream:
        """Open GetMedia.

        Raises:
            MediaSourceError: GetDataEndpoint or GetMedia failed, or the user asked for the end.
        """
        stream = self._stop.breakable(lambda: self._source.open(start))
        self._on_data(b"")
        return StoppableStream(stream, self._stop, self._on_data)


class StoppableStream:
    """One body of such a source."""

    def __init__(self, stream: MediaStream, stop: Stop, on_data: Callable[[bytes], None]) -> None:
        self._stream, self._stop, self._on_data = stream, stop, on_data

    def read(self) -> bytes:
        """Return the bytes that have arrived; `b""` at the end of the body.

        Raises:
            MediaSourceError: the connection broke or stalled, or the user asked for the end.
        """
        data = self._stop.breakable(self._stream.read)
        if data:
            self._on_data(data)
        return data

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


class StoppableStatus:
    """Connect's answers, until the user asks for the end.

    Args:
        status: asks Connect.
        stop: the wish.
    """

    def __init__(self, status: ContactStatus, stop: Stop) -> None:
        self._status, self._stop = status, stop

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        """Ask once; UNKNOWN after the wish."""
        status = self._status
        if self._stop():
            return ContactAnswer(ContactState.UNKNOWN)

        def ask() -> ContactAnswer:
            return status.describe(instance_id, contact_id, stream_arn=stream_arn, start_fragment=start_fragment)

        try:
            return self._stop.breakable(ask)
        except MediaSourceError:
            return ContactAnswer(ContactState.UNKNOWN)
