"""The port of a speech recognizer: sessions that take both parties' audio and give turns.

*How it works.* A session begins at the first position that a party still needs. The words' sink hands it both parties'
audio from there on, in order and without a gap. A party whose audio is settled further on gets zeros up to there, so no
sample of a party can be recognized twice. The session says which turns are final, and up to which position all of a
party's words are out (`settled`). The sink stores the turns first and moves its own position then. If a session fails,
the sink opens another one at the last stored position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """The facts that a session begins with.

    Args:
        rate: samples a second of the audio, 8000 to 48 000.
        needed: position from which on each party's words are wanted, frames since the recording's first. The audio
            begins at the least of them.
        notify: to be called, from any thread, once there are new results or the session has failed. It never blocks.
    """

    rate: int
    needed: Mapping[Party, int]
    notify: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The results of a session since they were asked for last.

    Args:
        turns: new final turns, each party's in the order of their time. None begins before the party's
            `settled` of the results before.
        partials: the turn of each party that is not final yet, as it reads now; a party without one is missing.
        settled: position before which all words of a party are out, as turns of this session or as silence. It never
            falls within a session, and never lies within a turn that is not final.
    """

    turns: tuple[Turn, ...] = ()
    partials: Mapping[Party, Turn] = field(default_factory=dict)
    settled: Mapping[Party, int] = field(default_factory=dict)


class RecognitionSession(Protocol):
    """One session of a recognizer. One thread calls `receive`, another one may call `results`."""

    def receive(self, position: int, samples: Mapping[Party, bytes]) -> None:
        """Take the next audio of both parties.

        Args:
            position: position of the first sample; it continues the audio before directly.
            samples: mono 16-bit little-endian samples of each party, equally long, 1 s at most.

        Raises:
            SinkError: the session has failed, or did not take the audio within its limit. It is of no more use.
        """

    def results(self) -> Results:
        """Take the results since the last call. Never waits.

        Raises:
            SinkError: the session has failed. Results from before that were given by earlier calls, or are lost; a new
                session gives them again.
        """

    def finish(self, *, is_call_over: bool, timeout_s: float) -> Results:
        """End the session's input and return what is still to come.

        Args:
            is_call_over: True if no audio follows. Otherwise a turn that this end cut short is left out, and
                `settled` stays before it, so that the next session gives it whole.
            timeout_s: longest wait for it, seconds.

        Raises:
            SinkError: the session has failed, or did not end in time.
        """

    def interrupt(self) -> None:
        """Make the call under way fail soon. Comes from another thread."""

    def close(self) -> None:
        """Release all resources, with or without `finish` before. The last call; must not raise."""


class Recognizer(Protocol):
    """Opens sessions with one engine, for one call in one invocation."""

    @property
    def engine(self) -> str:
        """Name of the engine as transcripts carry it, such as `transcribe` or `whisper`."""

    def prepare(self) -> None:
        """Do in advance the slow work that the first session would wait for: imports, credentials, secrets.

        Raises:
            SinkError: preparation failed. The first session is tried.
        """

    def open(self, start: SessionStart) -> RecognitionSession:
        """Begin a session. Connecting may go on behind it; `receive` fails then.

        Raises:
            SinkError: the session cannot begin. If it is not `retryable`, no later one can.
        """

    def close(self) -> None:
        """Release all resources of the engine; sessions are closed before. The last call; must not raise."""
