"""A call's words as EventBridge events: one for each final turn, and one for turns that are no more.

The events hold what callers say. They are off unless `WORDS_EVENTS` is on. Documented in `docs/words.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from connect_audio.core.errors import AnnouncementError, SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.transcript_document import turn_json
from connect_audio.core.word_pages import NumberedTurn, WordsCall
from connect_audio.ports import EventBus

SCHEMA_VERSION: Final = "1.0"
TURN: Final = "Call Words"
RETRACTED: Final = "Call Words Retracted"


class WordEvents:
    """Puts words on a bus, as `WordsListener`.

    Args:
        open_bus: opens the bus, at the first turn; its resources go into the stack.
    """

    dropped: Final = 0

    def __init__(self, open_bus: Callable[[ExitStack], EventBus]) -> None:
        self._open_bus = open_bus
        self._resources = ExitStack()
        self._bus: EventBus | None = None

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Put an event for each turn.

        Raises:
            SinkError: the bus did not take one; all of them come again.
        """
        for each in turns:
            self._put(
                TURN, {**_facts(call), "language": call.language, "turn": turn_json(each.turn, each.number, call.rate)}
            )

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Put an event for turns that are no more.

        Raises:
            SinkError: as `turns`.
        """
        self._put(RETRACTED, {**_facts(call), "turns": [str(number) for number in numbers]})

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Do nothing: events are for final turns alone."""

    def close(self) -> None:
        """Close the bus's client."""
        self._resources.close()
        self._bus = None

    def _put(self, detail_type: str, detail: dict[str, Any]) -> None:
        try:
            if self._bus is None:
                self._bus = self._open_bus(self._resources)
            self._bus.put(detail_type, detail)
        except AnnouncementError as exc:
            raise SinkError(exc.code, "the event bus did not take words", retryable=exc.retryable) from exc


def _facts(call: WordsCall) -> dict[str, Any]:
    return {
        "schemaVersion": SCHEMA_VERSION,
        "contactId": call.contact_id,
        "recordingUri": call.recording,
        "engine": call.engine,
    }
