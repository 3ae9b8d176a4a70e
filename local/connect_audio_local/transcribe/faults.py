"""Misbehaviour of the stand-in on request: one class a way to misbehave, each for one stream."""

from __future__ import annotations

from typing import Protocol


class StreamControl(Protocol):
    """The stream that a behaviour acts on."""

    def refuse(self, status: int, kind: str) -> None:
        """Answer the request with a failure."""

    def fail(self, kind: str) -> None:
        """End the stream with an exception event."""

    def hang(self) -> None:
        """Read and answer nothing from now on."""

    def cut(self) -> None:
        """Break the connection."""

    def end_without_results(self) -> None:
        """End the answer as if all were well."""


class Behaviour:
    """A stream that does as it should; a fault overrides one of the moments."""

    def on_request(self, stream: StreamControl) -> bool:
        """Before the answer's head; True if the stream is not to go on."""
        del stream
        return False

    def on_audio(self, stream: StreamControl, seconds: float) -> bool:
        """After an audio event and before its results; True if the stream is not to go on.

        Args:
            stream: the stream.
            seconds: seconds of audio by now.
        """
        del stream, seconds
        return False

    def on_end(self, stream: StreamControl) -> bool:
        """After the end of the input and before its results; True if the stream is not to go on."""
        del stream
        return False


class Refuse(Behaviour):
    """Answer the request with a failure.

    Args:
        status: the answer's status.
        kind: name of the exception.
    """

    def __init__(self, status: int, kind: str) -> None:
        self._status, self._kind = status, kind

    def on_request(self, stream: StreamControl) -> bool:
        """Refuse it."""
        stream.refuse(self._status, self._kind)
        return True


class HangAtHead(Behaviour):
    """Never answer the request."""

    def on_request(self, stream: StreamControl) -> bool:
        """Hang."""
        stream.hang()
        return True


class _After(Behaviour):
    def __init__(self, seconds: float) -> None:
        """Misbehave once.

        Args:
            seconds: seconds of audio before it.
        """
        self._seconds = seconds

    def on_audio(self, stream: StreamControl, seconds: float) -> bool:
        """Misbehave if it is time."""
        if seconds < self._seconds:
            return False
        self.act(stream)
        return True

    def act(self, stream: StreamControl) -> None:
        """The misbehaviour."""
        raise NotImplementedError


class FailAfter(_After):
    """End with an exception event after some seconds of audio.

    Args:
        seconds: seconds of audio before it.
        kind: name of the exception; Transcribe's own or another.
    """

    def __init__(self, seconds: float, kind: str) -> None:
        super().__init__(seconds)
        self._kind = kind

    def act(self, stream: StreamControl) -> None:
        """Fail."""
        stream.fail(self._kind)


class HangAfter(_After):
    """Read and answer nothing after some seconds of audio."""

    def act(self, stream: StreamControl) -> None:
        """Hang."""
        stream.hang()


class CutAfter(_After):
    """Break the connection after some seconds of audio."""

    def act(self, stream: StreamControl) -> None:
        """Cut."""
        stream.cut()


class EndAfter(_After):
    """End the answer after some seconds of audio, without an exception and without the last results."""

    def act(self, stream: StreamControl) -> None:
        """End."""
        stream.end_without_results()


class HangAtEnd(Behaviour):
    """Take all the audio, and give no last results."""

    def on_end(self, stream: StreamControl) -> bool:
        """Hang."""
        stream.hang()
        return True


class CutAtEnd(Behaviour):
    """Break the connection at the end of the input, before the last results."""

    def on_end(self, stream: StreamControl) -> bool:
        """Cut."""
        stream.cut()
        return True


class EndAtEnd(Behaviour):
    """End the answer at the end of the input without the last results."""

    def on_end(self, stream: StreamControl) -> bool:
        """End."""
        stream.end_without_results()
        return True
