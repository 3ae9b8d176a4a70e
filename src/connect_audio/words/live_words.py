"""The port of readers of a call's words while it lasts, and the limits of recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import NumberedTurn, WordsCall
from connect_audio.values import dataclass


class WordsListener(Protocol):
    """Gets the words of a call as soon as they are stored. Each final turn comes at least once.

    One thread at a time calls its methods. `turns` and `taken_back` hold up the next page, so a slow receiver needs a
    thread of its own.
    """

    @property
    def dropped(self) -> int:
        """Final turns and retractions that it took in this invocation, and that did not reach their reader."""

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Take new final turns.

        Raises:
            SinkError: they were not taken; they come again.
        """

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Note that turns are no more: their audio proved to be none of the recording's.

        Raises:
            SinkError: it was not noted; it comes again.
        """

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Take the turns that are not final yet, as they read now. They are not stored, and come once.

        Args:
            call: the call.
            turns: each party's; a party without one is missing. Empty once none is left.
        """

    def close(self) -> None:
        """Release all resources. The last call, also at a hand-over; must not raise, and lasts 3 s at most."""


class NoListener:
    """A listener for a call whose words have no reader."""

    dropped: Final = 0

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Do nothing."""

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Do nothing."""

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


NO_LISTENER: Final = NoListener()


class Listeners:
    """Several listeners as one. If one of them refuses turns, all of them get these again.

    Args:
        listeners: the listeners; one that never refuses comes first.
    """

    def __init__(self, listeners: Sequence[WordsListener]) -> None:
        self._listeners = listeners

    @property
    def dropped(self) -> int:
        """All that did not reach their readers."""
        return sum(each.dropped for each in self._listeners)

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Hand on new final turns.

        Raises:
            SinkError: a listener's.
        """
        for each in self._listeners:
            each.turns(call, turns)

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Hand on the numbers of turns that are no more.

        Raises:
            SinkError: a listener's.
        """
        for each in self._listeners:
            each.taken_back(call, numbers)

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Hand on the turns that are not final yet."""
        for each in self._listeners:
            each.partials(call, turns)

    def close(self) -> None:
        """Close all of them."""
        for each in self._listeners:
            each.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsPolicy:
    """Durations and limits, in seconds unless the name says otherwise.

    Args:
        maximum_minutes: audio of a call that the recognizer gets at most, minutes; None for all of it. The rest of
            the call is a missing span.
        silent_peak: a segment is silent if no sample of either party is larger.
        silence: a session ends after so much silence of both parties.
        idle: a session ends if nothing is delivered for so long.
        rotation: a session older than this ends in the next silent segment.
        longest_session: a session that is this old ends in any case.
        stall: a session that has settled nothing of so much audio has failed.
        hand_over: longest wait for a session's last words at a hand-over.
        last_words: longest wait for them at the end of the call.
        write_interval: how often pages are written that have no new turn.
        write_pause: pause after a failed write.
        join: longest wait for the sink's own thread. A call of the store takes 7 s at most.
    """

    maximum_minutes: int | None = None
    silent_peak: int = 128
    silence: float = 60
    idle: float = 10
    rotation: float = 13_800
    longest_session: float = 14_280
    stall: float = 60
    hand_over: float = 3
    last_words: float = 7
    write_interval: float = 5
    write_pause: float = 2
    join: float = 8
