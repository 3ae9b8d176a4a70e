"""Reads the answers of servers that speak OpenAI's `/v1/audio/transcriptions`, and places their words in the call.

Every server writes them in a way of its own. Words stand at the top level (OpenAI, speaches), inside the segments
(whisper.cpp), or nowhere (vLLM, LocalAI, json alone). Times are numbers or texts, and words may begin with a blank. A
model invents words for silence, and may give times that lie outside the audio. This module takes what it can use.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.words.utterances import Utterance

_SILENT: Final = 0.8
"""Segments whose `no_speech_prob` is above it hold no speech; Whisper's own limit is 0.6, with a second condition."""
_MOST_REPEATS: Final = 5
"""A text of one word more often than this is an invention: a decoder that has lost its way repeats itself."""
_OUTSIDE_S: Final = 1.0
"""Seconds that a time may lie outside the audio and is moved to its edge. Beyond: none of the times are used."""
_LEAST_SURE: Final = -10.0
"""Least average log probability that is taken for one; smaller numbers stand for "unknown"."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word of an answer.

    Args:
        text: the word.
        start: its begin, seconds from the audio's.
        end: its end, seconds.
        confidence: from 0 to 1; None if not given.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """The content of an answer.

    Args:
        text: all words.
        words: the words with their times; empty if the server gives none.
        span: begin and end of the segments, seconds from the audio's begin; None if the server gives none.
        confidence: from 0 to 1; None if not given.
    """

    text: str
    words: tuple[SpokenWord, ...] = ()
    span: tuple[float, float] | None = None
    confidence: float | None = None


def read_answer(body: bytes) -> Spoken | None:
    """Read an answer of status 200.

    Args:
        body: JSON of the format `json` or `verbose_json`.

    Returns:
        Its content; None if nothing was said, or if the model invented it.

    Raises:
        SinkError: `ANSWER_UNREADABLE`: it is no such JSON. The message repeats nothing of it.
    """
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("text"), str):
        raise SinkError("ANSWER_UNREADABLE", "the speech server's answer is no JSON object with a text", retryable=True)
    segments = [each for each in _list(document.get("segments")) if isinstance(each, dict)]
    text = " ".join(document["text"].split())
    if not text or _is_silence(segments) or _repeats(text):
        return None
    return Spoken(text=text, words=_words(document, segments), span=_span(segments), confidence=_confidence(segments))


def turn_of(spoken: Spoken, utterance: Utterance, party: Party, rate: int) -> Turn:
    """Place the words of an utterance in the call.

    Args:
        spoken: its words.
        utterance: the audio that was sent.
        party: the speaker.
        rate: frames a second.

    Returns:
        The turn, which lies within the utterance.
    """
    length_s = (utterance.end - utterance.start) / rate

    def position(seconds: float) -> int:
        return min(max(utterance.start + round(seconds * rate), utterance.start), utterance.end)

    times = [time for word in spoken.words for time in (word.start, word.end)]
    words = spoken.words if _is_plausible(times, length_s) else ()
    placed = tuple(
        Word(
            text=word.text,
            start=position(word.start),
            end=max(position(word.start), position(word.end)),
            confidence=word.confidence,
        )
        for word in words
    )
    if placed:
        start, end = placed[0].start, max(word.end for word in placed)
    elif spoken.span is not None and _is_plausible(spoken.span, length_s) and not spoken.words:
        start, end = position(spoken.span[0]), position(spoken.span[1])
    else:
        start, end = utterance.speech_start, utterance.speech_end
    return Turn(party=party, start=start, end=end, text=spoken.text, words=placed, confidence=spoken.confidence)


def _words(document: Mapping[str, Any], segments: Sequence[Mapping[str, Any]]) -> tuple[SpokenWord, ...]:
    entries = _list(document.get("words")) or [each for segment in segments for each in _list(segment.get("words"))]
    words = []
    for entry in entries:
        if not isinstance(entry, dict):
            return ()
        text = entry.get("word", entry.get("text"))
        start, end = _number(entry.get("start")), _number(entry.get("end"))
        if not isinstance(text, str) or start is None or end is None:
            return ()
        if text.strip():
            words.append(SpokenWord(text.strip(), start, end, _share(_first(entry, "probability", "confidence"))))
    return tuple(words)


def _span(segments: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    starts = [_number(segment.get("start")) for segment in segments]
    ends = [_number(segment.get("end")) for segment in segments]
    known = [(start, end) for start, end in zip(starts, ends, strict=True) if start is not None and end is not None]
    # Some servers write zeros where they know nothing.
    if not known or len(known) < len(segments) or known[-1][1] <= known[0][0]:
        return None
    return known[0][0], known[-1][1]


def _confidence(segments: Sequence[Mapping[str, Any]]) -> float | None:
    sure = [_number(segment.get("avg_logprob")) for segment in segments]
    known = [each for each in sure if each is not None and _LEAST_SURE <= each <= 0]
    # vLLM writes -1.0 for "unknown".
    if not known or len(known) < len(sure) or set(known) == {-1.0}:
        return None
    return round(math.exp(sum(known) / len(known)), 3)


def _is_silence(segments: Sequence[Mapping[str, Any]]) -> bool:
    shares = [_number(segment.get("no_speech_prob")) for segment in segments]
    return bool(shares) and all(share is not None and share > _SILENT for share in shares)


def _repeats(text: str) -> bool:
    tokens = re.findall(r"\w+", text.casefold())
    return len(tokens) > _MOST_REPEATS and len(set(tokens)) == 1


def _is_plausible(times: Sequence[float], length_s: float) -> bool:
    """True if times rise, and lie within the audio or nearly so."""
    return list(times[::2]) == sorted(times[::2]) and all(
        -_OUTSIDE_S <= time <= length_s + _OUTSIDE_S for time in times
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(entry: Mapping[str, Any], *names: str) -> object:
    return next((entry[name] for name in names if name in entry), None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _share(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 1 else None


def advice_of(status: int) -> Iterator[str]:
    """Yield the advice for a status that a server refused with; nothing if there is none."""
    if status in {401, 403}:
        yield "give the key that this server issued"
    if status == 404:
        yield "look at the path of its URL and at the name of the model"
    if status == 413:
        yield "the server takes no utterance of 15 s"
    if status in {400, 422}:
        yield "look at the model and the language"
    if 300 <= status < 400:
        yield "redirects are not followed"
