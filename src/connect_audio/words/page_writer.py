"""Writes the pages of a call's words when they are due, and hands stored turns to the listener."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import NumberedTurn
from connect_audio.ports import Clock
from connect_audio.words.live_words import WordsListener, WordsPolicy
from connect_audio.words.word_ledger import WordLedger


class PageWriter:
    """The way of the ledger's pages into the store.

    Args:
        policy: how often they are written.
        clock: measures.
        listener: gets the words behind that.
    """

    def __init__(self, policy: WordsPolicy, clock: Clock, listener: WordsListener) -> None:
        self._policy = policy
        self._clock = clock
        self._listener = listener
        self._due_at = clock.monotonic()
        self._pause_until = clock.monotonic()
        self._taken_back: list[int] = []
        self._partials: Mapping[Party, Turn] = {}

    def hand_partials_on(self, ledger: WordLedger, partials: Mapping[Party, Turn]) -> None:
        """Hand the turns that are not final yet to the listener, if they have changed."""
        if partials != self._partials:
            self._partials = partials
            self._listener.partials(ledger.call, partials)

    def close(self) -> None:
        """Close the listener."""
        self._listener.close()

    def take_back(self, turns: Iterable[NumberedTurn]) -> None:
        """Note turns that are no more; the listener learns their numbers once the pages are written."""
        self._taken_back += [each.number for each in turns]

    def write_if_due(self, ledger: WordLedger, *, is_last: bool = False) -> None:
        """Write new turns at once, and a new position every few seconds. A failed write is repeated after a pause.

        Args:
            ledger: has the words.
            is_last: True if nothing writes behind this.
        """
        now = self._clock.monotonic()
        is_new = ledger.has_unwritten_turns or ledger.is_taking_back
        is_behind = ledger.least > ledger.stored
        if now < self._pause_until and not is_last:
            return
        try:
            if is_new or (is_behind and (is_last or now >= self._due_at)):
                self.write(ledger)
            self._announce(ledger)
        except SinkError:
            self._pause_until = now + self._policy.write_pause

    def write(self, ledger: WordLedger) -> None:
        """Write the pages.

        Raises:
            SinkError: the store's.
        """
        ledger.write()
        self._due_at = self._clock.monotonic() + self._policy.write_interval

    def _announce(self, ledger: WordLedger) -> None:
        if self._taken_back and not ledger.is_taking_back:
            self._listener.taken_back(ledger.call, self._taken_back)
            self._taken_back = []
        turns = ledger.unannounced()
        if turns:
            self._listener.turns(ledger.call, turns)
            ledger.state.announced = turns[-1].number + 1
