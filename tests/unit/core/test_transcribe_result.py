"""The result of a Transcribe job: words by channel with times in strings, punctuation without times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.pcm import Party
from connect_audio.core.transcribe_result import DamagedResultError, job_result
from connect_audio.core.transcript import Turn, Word

RATE = 1000
CONTACT = "5f3c1b1e-0d6c-4a55-8f0e-2b8a7c1d9e10"


def word(start: str, end: str, text: str, confidence: str = "0.98") -> dict[str, Any]:
    alternative = {"confidence": confidence, "content": text}
    return {"type": "pronunciation", "start_time": start, "end_time": end, "alternatives": [alternative]}


def mark(text: str) -> dict[str, Any]:
    return {"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": text}]}


def result(*channels: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """What a job writes, with the fields that are read."""
    labelled = [{"channel_label": f"ch_{at}", "items": items} for at, items in enumerate(channels)]
    results = {"channel_labels": {"channels": labelled, "number_of_channels": len(channels)}, **fields}
    return {"jobName": f"{CONTACT}_1764460800000", "results": results, "status": "COMPLETED"}


def texts(document: Any) -> list[tuple[Party, int, int, str]]:
    return [(turn.party, turn.start, turn.end, turn.text) for turn in job_result(document, RATE).turns]


def test_each_channel_is_a_party_and_punctuation_goes_to_the_word_before_it() -> None:
    document = result(
        [word("4.86", "5.01", "On"), word("5.01", "5.4", "hold"), mark(",")],
        [word("3.5", "3.89", "Sorry", "1.0"), mark(".")],
        language_code="en-US",
    )
    found = job_result(document, RATE)
    assert (found.contact_id, found.language) == (CONTACT, "en-US")
    assert found.turns == [
        Turn(
            party=Party.AGENT,
            start=3500,
            end=3890,
            text="Sorry.",
            words=(Word(text="Sorry.", start=3500, end=3890, confidence=1.0),),
        ),
        Turn(
            party=Party.CUSTOMER,
            start=4860,
            end=5400,
            text="On hold,",
            words=(
                Word(text="On", start=4860, end=5010, confidence=0.98),
                Word(text="hold,", start=5010, end=5400, confidence=0.98),
            ),
        ),
    ]


def test_a_pause_of_800_ms_ends_a_turn_and_a_shorter_one_does_not() -> None:
    items = [word("1.0", "2.0", "one"), word("2.799", "3.0", "two"), word("3.8", "4.0", "three")]
    assert texts(result(items)) == [
        (Party.CUSTOMER, 1000, 3000, "one two"),
        (Party.CUSTOMER, 3800, 4000, "three"),
    ]


def test_a_turn_of_15_s_ends_at_the_next_sentence_mark() -> None:
    items: list[dict[str, Any]] = []
    for at in range(18):
        items.append(word(f"{at}.0", f"{at + 1}.0", f"w{at}"))
        if at in {3, 16}:
            items.append(mark("."))
    assert [(start, end) for _, start, end, _ in texts(result(items))] == [(0, 17_000), (17_000, 18_000)]


def test_redacted_words_keep_their_tag_and_have_no_confidence() -> None:
    hidden = word("1.0", "2.0", "[PII]")
    hidden["alternatives"] = [{"content": "[PII]", "redactions": [{"confidence": "0.9999"}]}]
    document = {**result([word("0.5", "0.9", "I'm"), hidden, mark(".")]), "isRedacted": True}
    (turn,) = job_result(document, RATE).turns
    assert (turn.text, [each.confidence for each in turn.words]) == ("I'm [PII].", [0.98, None])


def test_a_job_over_silence_has_no_turns() -> None:
    assert texts(result([], [])) == []
    assert texts({"results": {"transcripts": [{"transcript": ""}], "items": []}}) == []


def test_a_mark_that_opens_a_sentence_goes_to_the_word_behind_it() -> None:
    items = [word("0.1", "0.3", "Sí"), mark("."), mark("¿"), word("0.4", "0.9", "Cómo"), mark("?")]
    assert texts(result(items)) == [(Party.CUSTOMER, 100, 900, "Sí. ¿Cómo?")]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("你", "好", "AWS", "吗"), "你好 AWS 吗"),
        (("안녕", "하세요"), "안녕 하세요"),
    ],
)
def test_only_scripts_without_blanks_are_joined_without_one(words: tuple[str, ...], text: str) -> None:
    items = [word(f"{at / 2}", f"{at / 2 + 0.4}", each) for at, each in enumerate(words)]
    assert [each[3] for each in texts(result(items))] == [text]


def test_words_that_overlap_by_rounding_follow_each_other() -> None:
    (turn,) = job_result(result([word("1.0", "1.51", "a"), word("1.5", "1.9", "b")]), RATE).turns
    assert [(each.start, each.end) for each in turn.words] == [(1000, 1510), (1510, 1900)]


@pytest.mark.parametrize("name", ["my-first-job", f"x{CONTACT}", None])
def test_another_name_of_the_job_tells_no_contact(name: str | None) -> None:
    assert job_result({**result([]), "jobName": name}, RATE).contact_id is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "it is no result of a Transcribe job"),
        ({"results": {"items": [1]}}, "its job ran without channel identification, so its speakers are unknown"),
        ({"results": {"channel_labels": {}}}, "it has channel_labels without a list of channels"),
        ({"results": {"channel_labels": {"channels": [{}]}}}, "it has a channel without label or items"),
        (result([], [], []), "its channel ch_2 is neither ch_0 nor ch_1; a recording has two"),
        (
            {"results": {"channel_labels": {"channels": [{"channel_label": "ch_0"}] * 2}}},
            "its channel ch_0 is there twice",
        ),
        (result([word("one", "2.0", "a")]), "start_time of item 0 of ch_0 is no number"),
        (result([word("1.0", "nan", "a")]), "end_time of item 0 of ch_0 is no number"),
        (result([], [word("-1", "2.0", "a")]), "start_time of item 0 of ch_1 is no time of a call"),
        (result([word("1", "2", "a", "high")]), "confidence of item 0 of ch_0 is no number"),
        (result([{"type": "pronunciation", "alternatives": []}]), "item 0 of ch_0 has no content"),
    ],
)
def test_what_cannot_be_read_is_named(document: Any, message: str) -> None:
    with pytest.raises(DamagedResultError) as raised:
        job_result(document, RATE)
    assert str(raised.value) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ITEM = st.fixed_dictionaries(
    {"alternatives": st.lists(st.fixed_dictionaries({"content": st.text(max_size=4) | JSON}), max_size=2) | JSON},
    optional={
        "type": st.sampled_from(["pronunciation", "punctuation"]) | JSON,
        "start_time": st.floats(0, 30).map(str) | JSON,
        "end_time": st.floats(0, 30).map(str) | JSON,
    },
)


@given(st.lists(ITEM | JSON, max_size=8))
def test_any_items_are_read_in_order_or_refused(items: list[Any]) -> None:
    try:
        turns = job_result(result(items), RATE).turns
    except DamagedResultError:
        return
    ends = 0
    for each in (spoken for turn in turns for spoken in turn.words):
        assert ends <= each.start <= each.end
        ends = each.end
