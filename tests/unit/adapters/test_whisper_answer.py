"""What is taken of a speech server's answer, and where its words are placed."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from connect_audio.adapters.words.whisper_answer import Spoken, SpokenWord, read_answer, turn_of
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.words.utterances import Utterance

RATE: Final = 8_000
UTTERANCE: Final = Utterance(start=80_000, samples=bytes(2 * 16_000), speech_start=83_600, speech_end=95_000)
"""Two seconds, from the tenth on."""


def read(**document: Any) -> Spoken | None:
    return read_answer(json.dumps(document).encode())


def word(text: object, start: object, end: object, **more: object) -> dict[str, object]:
    return {"word": text, "start": start, "end": end, **more}


@pytest.mark.parametrize(
    "document",
    [
        {"words": [word(" two ", 0.5, 0.9), word("one", 1, "1.5")]},
        {"words": None, "segments": [{"words": [word("two", "0.5", 0.9)]}, {"words": [word(" one", 1.0, 1.5)]}]},
    ],
)
def test_words_are_found_at_the_top_and_in_the_segments_with_times_of_any_type(document: dict[str, Any]) -> None:
    spoken = read(text=" two\n one ", **document)

    assert spoken == Spoken(text="two one", words=(SpokenWord("two", 0.5, 0.9), SpokenWord("one", 1.0, 1.5)))


@pytest.mark.parametrize(
    "words",
    [
        [word("two", None, 0.9)],
        [word("two", "soon", 0.9)],
        [word("two", start=True, end=0.9)],
        [{"start": 1, "end": 2}],
        ["two"],
        "two",
        [word("two", float("nan"), 0.9)],
        [word("two", 10**400, 0.9)],
    ],
)
def test_words_without_usable_times_leave_the_text(words: object) -> None:
    assert read(text="two", words=words) == Spoken(text="two")


@pytest.mark.parametrize(("given", "taken"), [(0.25, 0.25), ("0.5", 0.5), (1.5, None), (-1, None), (None, None)])
def test_a_word_s_confidence_is_a_share_or_unknown(given: object, taken: float | None) -> None:
    spoken = read(text="two", words=[word("two", 0, 1, probability=given)])

    assert spoken is not None
    assert spoken.words[0].confidence == taken


@pytest.mark.parametrize(
    ("probabilities", "taken"), [([-0.1], 0.905), ([-0.1, -0.3], 0.819), ([-1.0, -1.0], None), ([-0.1, "x"], None)]
)
def test_a_turn_s_confidence_comes_of_the_segments_unless_they_say_minus_one(
    probabilities: list[object], taken: float | None
) -> None:
    spoken = read(text="two", segments=[{"avg_logprob": each} for each in probabilities])

    assert spoken is not None
    assert spoken.confidence == taken


@pytest.mark.parametrize(
    "document",
    [
        {"text": "  "},
        {"text": "Thank you.", "segments": [{"no_speech_prob": 0.81}, {"no_speech_prob": "0.95"}]},
        {"text": "you you, You you. you YOU"},
    ],
)
def test_what_a_model_invents_for_silence_is_nothing(document: dict[str, Any]) -> None:
    assert read(**document) is None


@pytest.mark.parametrize(
    "document",
    [
        {"text": "Thank you.", "segments": [{"no_speech_prob": 0.81}, {"no_speech_prob": 0.2}]},
        {"text": "Thank you.", "segments": [{"no_speech_prob": 0.81}, {}]},
        {"text": "no no no no no"},
        {"text": "one one one one one one two"},
    ],
)
def test_what_may_have_been_said_stays(document: dict[str, Any]) -> None:
    assert read(**document) is not None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"text": 1}', b'{"txt": "secret words"}', b"\xff"])
def test_what_is_no_answer_is_refused_without_being_repeated(body: bytes) -> None:
    with pytest.raises(SinkError) as caught:
        read_answer(body)

    assert (caught.value.code, caught.value.retryable) == ("ANSWER_UNREADABLE", True)
    assert "secret" not in str(caught.value)


def placed(spoken: Spoken) -> Turn:
    return turn_of(spoken, UTTERANCE, Party.AGENT, RATE)


def test_words_are_placed_from_the_utterance_s_first_sample_on() -> None:
    turn = placed(Spoken(text="two one", words=(SpokenWord("two", 0.5, 0.9, 0.7), SpokenWord("one", 1, 1.5))))

    assert turn == Turn(
        party=Party.AGENT,
        start=84_000,
        end=92_000,
        text="two one",
        words=(Word(text="two", start=84_000, end=87_200, confidence=0.7), Word(text="one", start=88_000, end=92_000)),
    )


def test_times_a_little_outside_the_audio_are_moved_to_its_edge() -> None:
    turn = placed(Spoken(text="two one", words=(SpokenWord("two", -0.5, 0.9), SpokenWord("one", 1.9, 2.9))))

    assert [(each.start, each.end) for each in turn.words] == [(80_000, 87_200), (95_200, 96_000)]
    assert (turn.start, turn.end) == (80_000, 96_000)


@pytest.mark.parametrize(
    "words",
    [
        (SpokenWord("two", 0.5, 0.9), SpokenWord("one", 3.5, 3.9)),
        (SpokenWord("two", -2.0, 0.9),),
        (SpokenWord("two", 1.5, 1.9), SpokenWord("one", 0.5, 0.9)),
        (SpokenWord("two", 5e8, 9e8),),
    ],
)
def test_times_that_cannot_be_true_give_way_to_the_speech_s_own_bounds(words: tuple[SpokenWord, ...]) -> None:
    turn = placed(Spoken(text="two one", words=words, span=(0.5, 1.0)))

    assert turn == Turn(party=Party.AGENT, start=83_600, end=95_000, text="two one")


def test_segments_bound_a_turn_without_words_and_else_the_speech_does() -> None:
    bounded = read(text="two", segments=[{"start": "0.5", "end": 0.9}, {"start": 1, "end": 1.5}])
    unknown = read(text="two", segments=[{"start": 0, "end": 0}])
    nanoseconds = read(text="two", segments=[{"start": 5e8, "end": 9e8}])
    assert bounded
    assert unknown
    assert nanoseconds

    assert (placed(bounded).start, placed(bounded).end) == (84_000, 92_000)
    assert (placed(unknown).start, placed(unknown).end) == (83_600, 95_000)
    assert (placed(nanoseconds).start, placed(nanoseconds).end) == (83_600, 95_000)
