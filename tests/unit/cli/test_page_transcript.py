"""Words beside a recording, in JSON and in WebVTT."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.page.transcript import Paragraph, Word, paragraphs, parse_transcript


def turn(party: str, *words: tuple[float, str], **more: Any) -> dict[str, Any]:
    listed = [{"text": text, "start": start, "end": start + 0.5} for start, text in words]
    return {
        "participant": party,
        "start": words[0][0],
        "end": words[-1][0] + 0.5,
        "text": " ".join(text for _, text in words),
        "words": listed,
        **more,
    }


def parsed(*turns: dict[str, Any]) -> list[Paragraph]:
    return parse_transcript(json.dumps({"turns": turns}).encode(), "x.transcript.json")


def texts(found: list[Paragraph]) -> list[tuple[int, str]]:
    return [(each.party, " ".join(word.text for word in each.words)) for each in found]


def test_turns_of_one_party_that_follow_closely_are_one_paragraph() -> None:
    found = parsed(turn("customer", (0, "one")), turn("customer", (3.5, "two")), turn("customer", (7.1, "three")))
    assert texts(found) == [(0, "one two"), (0, "three")]


def test_a_turn_of_the_other_party_begins_a_paragraph() -> None:
    found = parsed(turn("agent", (2, "b")), turn("customer", (0, "a")), turn("customer", (3, "c")))
    assert texts(found) == [(0, "a"), (1, "b"), (0, "c")]


def test_a_paragraph_ends_with_the_turn_in_which_a_minute_has_passed() -> None:
    turns = [Paragraph(0, (Word(at, 2, str(at)),)) for at in range(0, 100, 4)]
    assert [each.words[0].start for each in paragraphs(turns)] == [0, 64]


def test_a_turn_without_words_is_one_piece() -> None:
    found = parsed(turn("agent", (1, "all of it"), words=[]))
    assert found == [Paragraph(1, (Word(1, 0.5, "all of it"),))]


VTT = """WEBVTT

NOTE made by hand

1
00:01.000 --> 00:02.000
<v Agent>Good <00:01.500>day &amp; welcome

00:00:09.000 --> 00:00:10.000 align:start
<v Customer>Hello
"""


def test_webvtt_gives_voices_times_inside_a_cue_and_plain_text() -> None:
    assert parse_transcript(VTT.encode(), "x.vtt") == [
        Paragraph(1, (Word(1, 0.5, "Good"), Word(1.5, 0.5, "day & welcome"))),
        Paragraph(0, (Word(9, 1, "Hello"),)),
    ]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"{", "x.transcript.json"),
        (b"[]", "x.transcript.json"),
        (b'{"turns": [{"participant": "nobody", "start": 0, "end": 1, "text": "a"}]}', "x.transcript.json"),
        (b'{"turns": [{"participant": "agent", "start": null, "end": 1, "text": "a"}]}', "x.transcript.json"),
        (b"1\n00:01.000 --> 00:02.000\nx", "x.vtt"),
        (b"WEBVTT\n\nsoon --> later\nx", "x.vtt"),
        (b"\xff\xfe", "x.vtt"),
    ],
)
def test_what_is_no_transcript_is_refused_by_its_name(data: bytes, name: str) -> None:
    with pytest.raises(CommandError, match=f"{name} is no transcript that can be shown"):
        parse_transcript(data, name)
