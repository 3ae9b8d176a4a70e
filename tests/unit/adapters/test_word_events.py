"""Words on the bus: one event a turn, one for turns that are no more, and a refusal that the sink can repeat."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from connect_audio.adapters.words.word_events import WordEvents
from connect_audio.core.errors import AnnouncementError, SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.core.word_pages import NumberedTurn, WordsCall

CALL = WordsCall(contact_id="contact-1", recording="s3://calls/a.wav", engine="whisper", language="en", rate=8000)
SAID = Turn(
    party=Party.CUSTOMER,
    start=8000,
    end=12_000,
    text="Yes.",
    words=(Word(text="Yes.", start=8000, end=12_000, confidence=0.5),),
    confidence=0.75,
)


class Bus:
    """Keeps the events, or refuses them."""

    def __init__(self, refusal: AnnouncementError | None = None) -> None:
        self.refusal = refusal
        self.events: list[tuple[str, Mapping[str, Any]]] = []

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.events.append((detail_type, detail))
        return "id"


def test_a_turn_is_an_event_with_the_same_fields_as_in_the_transcript() -> None:
    bus = Bus()
    WordEvents(lambda _: bus).turns(CALL, [NumberedTurn(number=7, turn=SAID)])
    assert bus.events == [
        (
            "Call Words",
            {
                "schemaVersion": "1.0",
                "contactId": "contact-1",
                "recordingUri": "s3://calls/a.wav",
                "engine": "whisper",
                "language": "en",
                "turn": {
                    "id": "7",
                    "participant": "CUSTOMER",
                    "start": 1.0,
                    "end": 1.5,
                    "text": "Yes.",
                    "confidence": 0.75,
                    "words": [{"text": "Yes.", "start": 1.0, "end": 1.5, "confidence": 0.5}],
                },
            },
        )
    ]


def test_turns_that_are_no_more_are_one_event_without_words() -> None:
    bus = Bus()
    WordEvents(lambda _: bus).taken_back(CALL, [3, 4])
    ((detail_type, detail),) = bus.events
    assert (detail_type, detail["turns"]) == ("Call Words Retracted", ["3", "4"])
    assert "language" not in detail


@pytest.mark.parametrize("retryable", [True, False])
def test_a_refusal_keeps_its_code_and_tells_no_words(*, retryable: bool) -> None:
    bus = Bus(AnnouncementError("ThrottlingException", "no", retryable=retryable))
    with pytest.raises(SinkError) as caught:
        WordEvents(lambda _: bus).turns(CALL, [NumberedTurn(number=7, turn=SAID)])
    assert (caught.value.code, caught.value.retryable) == ("ThrottlingException", retryable)
    assert "Yes" not in str(caught.value)


def test_the_bus_s_client_is_closed_with_the_words_and_opened_by_the_first_turn_alone() -> None:
    steps: list[str] = []

    def open_bus(resources: ExitStack) -> Bus:
        steps.append("opened")
        resources.callback(steps.append, "closed")
        return Bus()

    events = WordEvents(open_bus)
    events.partials(CALL, {Party.CUSTOMER: SAID})
    assert steps == []
    events.turns(CALL, [NumberedTurn(number=7, turn=SAID), NumberedTurn(number=8, turn=SAID)])
    assert steps == ["opened"]
    events.close()
    events.close()
    assert steps == ["opened", "closed"]
