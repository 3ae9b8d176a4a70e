"""Writes the pages of a call's words when they are due, and hands stored turns to the listener."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import NumberedTurn
from connect_audio.ports import Clock, Log
from connect_audio.words.live_words import WordsListener, WordsPolicy
from connect_audio.words.word_ledger import WordLedger

_TURNS_AT_ONCE: Final = 20
"""Turns that the listener gets in one call. If it refuses one of them, all of them come again."""
_LAST_S: Final = 3.0
"""Time for handing on what is left when the invocation ends, seconds. Beyond, no further call is made."""


class PageWriter:
    """The way of the ledger's pages into the store.

    Args:
        policy: how often they are written.
        clock: measures.
        listener: gets the words behind that.
        logger: gets codes: one line for the first failed write, and one for the first refusal of the listener.
    """

    def __init__(self, policy: WordsPolicy, clock: Clock, listener: WordsListener, logger: Log) -> None:
        self._policy = policy
        self._clock = clock
        self._listener = listener
        self._logger = logger
        self._logged: set[str] = set()
        self._untold = 0
        self._due_at = clock.monotonic()
        self._pause_until = clock.monotonic()
        self._taken_back: list[int] = []
        self._partials: Mapping[Party, Turn] = {}

    @property
    def dropped(self) -> int:
        """Final turns and retractions that no reader gets any more, in this invocation."""
        return self._listener.dropped + self._untold

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
        except SinkError as error:
            if self._is_first_failure("store"):
                self._logger.warning(
                    "words not stored: tried again", extra={"code": error.code, "retryable": error.retryable}
                )
        else:
            try:
                self._announce(ledger, is_last=is_last)
            except SinkError as error:
                if self._is_first_failure("reader"):
                    self._logger.warning(
                        "words not handed to their reader: tried again",
                        extra={"code": error.code, "retryable": error.retryable},
                    )
        if is_last and ledger.state.ended:
            self._untold = len(ledger.unannounced()) + bool(self._taken_back)

    def _is_first_failure(self, of: str) -> bool:
        """Begin a pause; return True for the first failure of its kind, which is logged."""
        self._pause_until = self._clock.monotonic() + self._policy.write_pause
        is_first = of not in self._logged
        self._logged.add(of)
        return is_first

    def write(self, ledger: WordLedger) -> None:
        """Write the pages.

        Raises:
            SinkError: the store's.
        """
        ledger.write()
        self._due_at = self._clock.monotonic() + self._policy.write_interval

    def _announce(self, ledger: WordLedger, *, is_last: bool) -> None:
        if self._taken_back and not ledger.is_taking_back:
            self._listener.taken_back(ledger.call, self._taken_back)
            self._taken_back = []
        until = self._clock.monotonic() + _LAST_S
        while turns := ledger.unannounced()[:_TURNS_AT_ONCE]:
            self._listener.turns(ledger.call, turns)
            ledger.state.announced = turns[-1].number + 1
            if not is_last or self._clock.monotonic() >= until:
                break
