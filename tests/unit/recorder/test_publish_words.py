"""Transcript and captions out of the pages of words: what counts, what lacks, and nothing beyond the recording."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.core.word_pages import (
    MissingReason,
    MissingSpan,
    NumberedTurn,
    WordPage,
    WordsCall,
    WordState,
    encode_page,
    page_name,
    pages_prefix,
)
from connect_audio.recorder.publish_words import publish_words
from support.calls import call
from support.schema_paths import paths_of_schema
from support.world import World, world

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "transcript.schema.json").read_text("utf-8"))
RATE = 8000


def turn(party: Party, start: float, *words: str, seconds: float = 0.5) -> Turn:
    """Words of half a second each, without pauses."""
    frames = [round((start + seconds * at) * RATE) for at in range(len(words) + 1)]
    made = tuple(Word(text=text, start=frames[at], end=frames[at + 1]) for at, text in enumerate(words))
    return Turn(party=party, start=frames[0], end=frames[-1], text=" ".join(words), words=made)


CALL = WordsCall(contact_id="contact-1", recording="s3://calls/a.wav", engine="scripted", language="en-US", rate=RATE)


def pages(at: World, *kept: list[Turn], settled: tuple[float, float], missing: list[MissingSpan] | None = None) -> None:
    """Put pages beside the recording, with a state that is settled up to some seconds."""
    state = WordState(
        settled={party: round(seconds * RATE) for party, seconds in zip(PARTIES, settled, strict=True)},
        missing=missing or [],
    )
    number = 0
    for page, turns in enumerate(kept):
        numbered = [NumberedTurn(number=number + at, turn=turn) for at, turn in enumerate(turns)]
        number += len(turns)
        body = encode_page(WordPage(number=page, call=CALL, state=state, turns=tuple(numbered)))
        at.store.objects[pages_prefix(at.names.key) + page_name(page)] = (body, {})


@pytest.fixture
def at() -> World:
    return world(call(2))


def published(at: World, seconds: float) -> tuple[dict[str, Any], str]:
    """The transcript and the captions of a recording of some seconds."""
    assert publish_words(at.ports(), "transcribe", round(seconds * RATE), RATE) is not None
    document = json.loads(at.store.objects[at.names.transcript][0])
    Draft202012Validator(SCHEMA).validate(document)
    return document, at.store.objects[at.names.captions][0].decode()


def test_turns_of_all_pages_come_in_the_order_of_time_with_their_own_numbers(at: World) -> None:
    first, second = turn(Party.AGENT, 5, "good", "morning"), turn(Party.CUSTOMER, 1, "hello")
    pages(at, [first], [second], settled=(10, 10))
    document, captions = published(at, 10)
    assert [(each["id"], each["participant"], each["text"]) for each in document["turns"]] == [
        ("1", "CUSTOMER", "hello"),
        ("0", "AGENT", "good morning"),
    ]
    assert document["turns"][1]["words"][1] == {"text": "morning", "start": 5.5, "end": 6.0, "confidence": None}
    assert document["missing"] == []
    assert captions == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:01.500\n<v CUSTOMER>hello\n\n"
        "00:00:05.000 --> 00:00:06.000\n<v AGENT>good morning\n"
    )


def test_a_span_that_was_not_settled_when_the_call_ended_is_missing(at: World) -> None:
    pages(at, [turn(Party.AGENT, 1, "a")], settled=(4, 6))
    document, _ = published(at, 10)
    assert document["missing"] == [
        {"participant": "CUSTOMER", "start": 4.0, "end": 10.0, "reason": "UNFINISHED"},
        {"participant": "AGENT", "start": 6.0, "end": 10.0, "reason": "UNFINISHED"},
    ]


def test_a_call_whose_sink_left_no_page_has_a_transcript_that_lacks_all_of_it(at: World) -> None:
    document, captions = published(at, 10)
    assert document["turns"] == []
    assert document["engine"] == "transcribe"
    assert document["missing"] == [{"participant": None, "start": 0.0, "end": 10.0, "reason": "UNFINISHED"}]
    assert captions == "WEBVTT\n"


def test_a_turn_of_an_older_page_that_the_newest_does_not_settle_is_a_leftover(at: World) -> None:
    pages(at, [turn(Party.AGENT, 1, "a"), turn(Party.AGENT, 3, "taken")], [], settled=(10, 2))
    document, _ = published(at, 2)
    assert [each["text"] for each in document["turns"]] == ["a"]


def test_words_beyond_the_end_of_the_recording_are_left_out_and_said_to_be(at: World) -> None:
    pages(at, [turn(Party.AGENT, 1, "in", "out"), turn(Party.CUSTOMER, 4, "out")], settled=(9, 9))
    document, _ = published(at, 1.7)
    assert [each["text"] for each in document["turns"]] == ["in"]
    assert document["missing"] == [{"participant": "AGENT", "start": 1.5, "end": 1.7, "reason": "TAKEN_BACK"}]


def test_spans_that_the_sink_listed_are_cut_to_the_recording(at: World) -> None:
    listed = [MissingSpan(party=each, start=RATE, end=9 * RATE, reason=MissingReason.DROPPED) for each in PARTIES]
    pages(at, [], settled=(9, 9), missing=listed)
    document, _ = published(at, 3)
    assert document["missing"] == [{"participant": None, "start": 1.0, "end": 3.0, "reason": "DROPPED"}]


def damage(at: World, page: int) -> None:
    at.store.objects[pages_prefix(at.names.key) + page_name(page)] = (b"{}", {})


def test_a_damaged_page_costs_the_span_between_its_neighbours_of_each_party(at: World) -> None:
    listed = [MissingSpan(party=Party.AGENT, start=4 * RATE, end=5 * RATE, reason=MissingReason.DROPPED)]
    first = [turn(Party.CUSTOMER, 1, "a"), turn(Party.AGENT, 2, "b")]
    last = [turn(Party.CUSTOMER, 7, "c")]
    pages(
        at,
        first,
        [turn(Party.AGENT, 3, "lost")],
        [turn(Party.CUSTOMER, 5, "lost")],
        last,
        settled=(10, 9),
        missing=listed,
    )
    damage(at, 1)
    damage(at, 2)
    document, _ = published(at, 10)
    assert [each["text"] for each in document["turns"]] == ["a", "b", "c"]
    assert [each for each in document["missing"] if each["participant"] == "CUSTOMER"] == [
        {"participant": "CUSTOMER", "start": 1.5, "end": 7.0, "reason": "DAMAGED"},
    ]
    assert [each for each in document["missing"] if each["participant"] == "AGENT"] == [
        {"participant": "AGENT", "start": 2.5, "end": 4.0, "reason": "DAMAGED"},
        {"participant": "AGENT", "start": 4.0, "end": 5.0, "reason": "DROPPED"},
        {"participant": "AGENT", "start": 5.0, "end": 9.0, "reason": "DAMAGED"},
        {"participant": "AGENT", "start": 9.0, "end": 10.0, "reason": "UNFINISHED"},
    ]


def test_without_its_newest_page_a_call_s_words_are_known_up_to_the_page_before(at: World) -> None:
    pages(at, [turn(Party.CUSTOMER, 1, "a")], [turn(Party.CUSTOMER, 5, "lost")], settled=(4, 4))
    damage(at, 1)
    document, _ = published(at, 10)
    assert [each["text"] for each in document["turns"]] == ["a"]
    assert document["missing"] == [{"participant": None, "start": 4.0, "end": 10.0, "reason": "DAMAGED"}]


def test_pages_that_cannot_be_read_leave_no_transcript_and_no_failure(at: World) -> None:
    pages(at, [turn(Party.AGENT, 1, "a")], settled=(4, 6))
    at.store.objects[pages_prefix(at.names.key) + page_name(0)] = (b"{}", {})
    assert publish_words(at.ports(), "transcribe", RATE, RATE) is None
    assert at.names.transcript not in at.store.objects


def test_every_field_of_the_transcript_is_documented_and_the_other_way_round() -> None:
    document, _, _ = (DOCS / "transcript.md").read_text("utf-8").partition("## Other tools' forms")
    rows = re.findall(r"^\| `([a-zA-Z.\[\]]+)` \|", document, re.MULTILINE)
    codes = {each.value for each in MissingReason}
    assert {row for row in rows if row not in codes} == set(paths_of_schema(SCHEMA, SCHEMA))
    assert codes <= set(re.findall(r"^\| `([A-Z_]+)` \|", document, re.MULTILINE))
    assert set(SCHEMA["properties"]["missing"]["items"]["properties"]["reason"]["enum"]) == codes
