"""The result of a Call Analytics job: turns with roles, words with times in milliseconds, marks that repeat them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.call_analytics_result import analytics_result, is_analytics_result
from connect_audio.core.pcm import Party
from connect_audio.core.transcribe_result import DamagedResultError
from connect_audio.core.transcript import Turn, Word

RATE = 8000
CONTACT = "5f3c1b1e-0d6c-4a55-8f0e-2b8a7c1d9e10"


def item(start: Any, end: Any, text: Any, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"Type": "pronunciation", "Confidence": "0.98", "Content": text}
    return {**given, "BeginOffsetMillis": start, "EndOffsetMillis": end, **fields}


def turn(role: str, start: Any, end: Any, text: str, *items: Any, **fields: Any) -> dict[str, Any]:
    times = {"BeginOffsetMillis": start, "EndOffsetMillis": end}
    return {"ParticipantRole": role, **times, "Content": text, "Items": list(items), "Sentiment": "NEGATIVE", **fields}


def result(*turns: Any, **fields: Any) -> dict[str, Any]:
    return {"JobName": f"{CONTACT}_1", "JobStatus": "COMPLETED", "Transcript": list(turns), **fields}


def test_each_turn_of_the_job_is_one_and_marks_go_to_the_word_before_them() -> None:
    document = result(
        turn(
            "CUSTOMER",
            4860,
            5400,
            "On hold?",
            item(4860, 5010, "On"),
            item(5010, 5400, "hold"),
            item(5010, 5400, "?", Type="punctuation", Confidence="0.0"),
        ),
        turn("AGENT", 3500, 3890, "Sorry."),
        LanguageCode="en-US",
    )
    found = analytics_result(document, RATE)
    assert (found.contact_id, found.language) == (CONTACT, "en-US")
    assert found.turns == [
        Turn(party=Party.AGENT, start=28_000, end=31_120, text="Sorry.", words=()),
        Turn(
            party=Party.CUSTOMER,
            start=38_880,
            end=43_200,
            text="On hold?",
            words=(
                Word(text="On", start=38_880, end=40_080, confidence=0.98),
                Word(text="hold?", start=40_080, end=43_200, confidence=0.98),
            ),
        ),
    ]


def test_a_redacted_word_has_no_confidence_of_its_own() -> None:
    hidden = item(100, 200, "[PII]", Redaction=[{"Confidence": "0.9"}])
    del hidden["Confidence"]
    (found,) = analytics_result(result(turn("AGENT", 100, 200, "[PII]", hidden)), RATE).turns
    assert [(word.text, word.confidence) for word in found.words] == [("[PII]", None)]


def test_a_turn_without_text_is_left_out_and_a_silent_call_has_none() -> None:
    assert analytics_result(result(turn("AGENT", 0, 10, " ")), RATE).turns == []
    assert analytics_result(result(), RATE).turns == []


def test_a_mark_that_opens_a_sentence_goes_to_the_word_behind_it() -> None:
    mark = item(100, 200, "¿", Type="punctuation")
    (found,) = analytics_result(result(turn("AGENT", 100, 200, "¿Cómo", mark, item(100, 200, "Cómo"))), RATE).turns
    assert [word.text for word in found.words] == ["¿Cómo"]


def test_the_call_file_of_contact_lens_is_of_no_job() -> None:
    assert not is_analytics_result({"Version": "1.1.0", "Transcript": []})
    assert not is_analytics_result([])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "it is no result of a Call Analytics job"),
        ({"JobName": "a", "Transcript": {}}, "its Transcript is no list of turns"),
        (result(1), "turn 0 is no object"),
        (result(turn("SYSTEM", 0, 1, "a")), "turn 0 is neither AGENT's nor CUSTOMER's"),
        (result({"ParticipantRole": ["AGENT"]}), "turn 0 is neither AGENT's nor CUSTOMER's"),
        (result({"ParticipantRole": "AGENT"}), "turn 0 has no Content"),
        (result(turn("AGENT", 0, 1, "a", Items={})), "turn 0 has Items that are no list"),
        (result(turn("AGENT", None, 1, "a")), "BeginOffsetMillis of turn 0 is no number"),
        (result(turn("AGENT", -1, 1, "a")), "BeginOffsetMillis of turn 0 is no time of a call"),
        (result(turn("AGENT", 0, 1, "a", 7)), "item 0 of turn 0 has no Content"),
        (result(turn("AGENT", 0, 1, "a", item(0, "x", "a"))), "EndOffsetMillis of item 0 of turn 0 is no number"),
        (
            result(turn("AGENT", 0, 1, "a", item(0, 1, "a", Confidence="high"))),
            "confidence of item 0 of turn 0 is no number",
        ),
    ],
)
def test_what_cannot_be_read_is_named(document: Any, message: str) -> None:
    with pytest.raises(DamagedResultError) as raised:
        analytics_result(document, RATE)
    assert str(raised.value) == message


TIMES = st.integers(0, 30_000)
ITEMS = st.builds(item, TIMES, TIMES, st.text(max_size=3), Type=st.sampled_from(["pronunciation", "punctuation"]))


@given(
    st.lists(
        st.builds(
            lambda *given: turn("AGENT", *given[:3], *given[3]),
            TIMES,
            TIMES,
            st.text(max_size=4),
            st.lists(ITEMS, max_size=5),
        ),
        max_size=4,
    )
)
def test_words_of_a_turn_never_overlap_and_lie_within_it(turns: list[Any]) -> None:
    found = analytics_result(result(*turns), RATE).turns
    assert [each.start for each in found] == sorted(each.start for each in found)
    for each in found:
        ends = each.start
        for spoken in each.words:
            assert ends <= spoken.start <= spoken.end <= each.end
            ends = spoken.end
