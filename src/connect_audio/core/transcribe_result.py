"""From the result of an Amazon Transcribe job to turns: words of two channels, with times in strings.

A job with channel identification over a recording writes a JSON document. Its `ch_0` is the customer's channel, `ch_1`
the agent's. `connect-audio convert` makes a transcript of it. Call Analytics' is read by
`core/call_analytics_result.py`.

*How it works.* Each word takes the punctuation behind it, which has no times of its own. A party's turn ends before a
pause of 0.8 s, and after 15 s at the next sentence mark. Words in scripts without blanks are joined without one.
Form: Amazon Transcribe Developer Guide, "Example channel identification output (batch)".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn, Word

PAUSE_S: Final = 0.8
"""Silence between two words that ends a turn, seconds."""
LONG_TURN_S: Final = 15.0
"""Length from which on a turn ends at the next sentence mark, seconds."""
_LONGEST_S: Final = 1_000_000.0
"""Beyond any recording: a time that is no time of a call."""
_SENTENCE_END: Final = re.compile(r"[.?!\u3002\uff1f\uff01\u0964\u061f][\x22')\u00bb\u2019\u201d]*$")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""A letter of Thai, Japanese or Chinese: no blank stands between two of them."""
_BEFORE_UNSPACED: Final = re.compile(_UNSPACED.pattern + r"$|[\u3001\u3002\uff01\uff0c\uff1f]$")
"""The same at the end of a text, or a mark of these scripts."""
_OPENING: Final = frozenset("\u00bf\u00a1(\u00ab\u201c")
"""Marks that belong to the word behind them, as in Spanish."""
_CONTACT_ID: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:[_.-].*)?", re.ASCII)
"""A contact id at the begin of a job's name."""
_LABELS: Final = {f"ch_{index}": party for index, party in enumerate(PARTIES)}


class DamagedResultError(ValueError):
    """The document is no result of a job over a recording with two channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeResult:
    """The words that a job has recognized.

    Args:
        turns: the turns of both parties; none without speech.
        contact_id: the contact id that the job's name begins with; None if it begins otherwise.
        language: language that the job found, such as `en-US`; None if it did not look for it.
    """

    turns: Sequence[Turn]
    contact_id: str | None
    language: str | None


def is_job_result(document: Any) -> bool:
    """Return whether a JSON document looks like the result of a job, well formed or not."""
    return isinstance(document, Mapping) and isinstance(document.get("results"), Mapping)


def job_result(document: Any, rate: int) -> TranscribeResult:
    """Read the result of a job.

    Args:
        document: the JSON document that the job wrote, redacted or not.
        rate: samples a second of the positions that are wanted.

    Raises:
        DamagedResultError: it is no such document, or its job ran without channel identification.
    """
    if not is_job_result(document):
        raise DamagedResultError("it is no result of a Transcribe job")
    results = document["results"]
    turns: list[Turn] = []
    for label, items in _channels(results):
        if label not in _LABELS:
            raise DamagedResultError(f"its channel {label[:20]} is neither ch_0 nor ch_1; a recording has two")
        turns += _turns(_LABELS[label], _words(label, items, rate), rate)
    turns.sort(key=lambda turn: turn.start)
    language = results.get("language_code")
    return TranscribeResult(
        turns=turns,
        contact_id=contact_of(document.get("jobName")),
        language=language if isinstance(language, str) and language else None,
    )


def contact_of(job: Any) -> str | None:
    """Return the contact id that a job's name begins with; None if it begins otherwise."""
    named = _CONTACT_ID.fullmatch(str(job))
    return None if named is None else named[1]


def frames_of(value: Any, what: str, rate: int) -> int:
    """Return a time of a result as a position.

    Args:
        value: the time, seconds, as a text or a number.
        what: its name in the error.
        rate: samples a second of the position.

    Raises:
        DamagedResultError: it is no time of a call.
    """
    seconds = number_of(value, what)
    if not 0 <= seconds <= _LONGEST_S:
        raise DamagedResultError(f"{what} is no time of a call")
    return round(seconds * rate)


def number_of(value: Any, what: str) -> float:
    """Return a number of a result, which may be a text.

    Args:
        value: the number.
        what: its name in the error.

    Raises:
        DamagedResultError: it is none, or not finite.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DamagedResultError(f"{what} is no number")
    return number


def confidence_of(value: Any, where: str) -> float | None:
    """Return the confidence of a word, 0 to 1; None if the result has none, as for redacted words.

    Args:
        value: the confidence as a text or a number, or None.
        where: the word's name in the error.

    Raises:
        DamagedResultError: it is no number.
    """
    return None if value is None else min(max(number_of(value, f"confidence of {where}"), 0.0), 1.0)


def _channels(results: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    labels = results.get("channel_labels")
    if labels is None:
        if results.get("items"):
            raise DamagedResultError("its job ran without channel identification, so its speakers are unknown")
        return
    channels = labels.get("channels") if isinstance(labels, Mapping) else None
    if not isinstance(channels, list):
        raise DamagedResultError("it has channel_labels without a list of channels")
    seen: set[str] = set()
    for channel in channels:
        label = channel.get("channel_label") if isinstance(channel, Mapping) else None
        items = channel.get("items", []) if isinstance(channel, Mapping) else None
        if not isinstance(label, str) or not isinstance(items, list):
            raise DamagedResultError("it has a channel without label or items")
        if label in seen:
            raise DamagedResultError(f"its channel {label[:20]} is there twice")
        seen.add(label)
        yield label, items


def _words(label: str, items: Sequence[Any], rate: int) -> list[Word]:
    """The words by time, each with its punctuation; marks before the first word go to that."""
    words: list[Word] = []
    opening = ""
    for at, item in enumerate(items):
        where = f"item {at} of {label}"
        content, confidence = _best(item, where)
        if item.get("type") == "punctuation":
            if words and content not in _OPENING:
                words[-1] = replace(words[-1], text=words[-1].text + content)
            else:
                opening += content
        elif content:
            start, end = (frames_of(item.get(name), f"{name} of {where}", rate) for name in ("start_time", "end_time"))
            words.append(Word(text=opening + content, start=start, end=max(start, end), confidence=confidence))
            opening = ""
    words.sort(key=lambda word: word.start)
    return words


def _best(item: Any, where: str) -> tuple[str, float | None]:
    """The text of an item, and its confidence; redacted text has none."""
    alternatives = item.get("alternatives") if isinstance(item, Mapping) else None
    best = alternatives[0] if isinstance(alternatives, list) and alternatives else None
    content = best.get("content") if isinstance(best, Mapping) else None
    if not isinstance(content, str):
        raise DamagedResultError(f"{where} has no content")
    confidence = best.get("confidence") if isinstance(best, Mapping) else None
    return content.strip(), confidence_of(confidence, where)


def _turns(party: Party, words: Sequence[Word], rate: int) -> Iterator[Turn]:
    of_turn: list[Word] = []
    last_end = 0
    for given in words:
        # Words of one party never overlap; times are rounded to hundredths.
        word = replace(given, start=max(given.start, last_end), end=max(given.end, last_end))
        if of_turn and _is_over(of_turn, word, rate):
            yield _turn(party, of_turn)
            of_turn = []
        of_turn.append(word)
        last_end = word.end
    if of_turn:
        yield _turn(party, of_turn)


def _is_over(of_turn: Sequence[Word], following: Word, rate: int) -> bool:
    last = of_turn[-1]
    if following.start - last.end >= PAUSE_S * rate:
        return True
    is_long = last.end - of_turn[0].start >= LONG_TURN_S * rate
    return is_long and _SENTENCE_END.search(last.text) is not None


def _turn(party: Party, words: Sequence[Word]) -> Turn:
    text = words[0].text
    for word in words[1:]:
        is_joined = _UNSPACED.match(word.text) and _BEFORE_UNSPACED.search(text)
        text += word.text if is_joined else f" {word.text}"
    return Turn(party=party, start=words[0].start, end=words[-1].end, text=text, words=tuple(words))
