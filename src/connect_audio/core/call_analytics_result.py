"""From the result of a Call Analytics job of Amazon Transcribe to turns, which the job has cut already.

`ParticipantRole` names the party of a turn. Sentiment, loudness, interruptions and categories are not read:
they stay in the result. `core/transcribe_result.py` reads the other kind of job.
Form: Amazon Transcribe Developer Guide, "Post-call analytics output".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from connect_audio.core.pcm import Party
from connect_audio.core.transcribe_result import (
    DamagedResultError,
    TranscribeResult,
    confidence_of,
    contact_of,
    frames_of,
    number_of,
)
from connect_audio.core.transcript import Turn, Word

_ROLES: Final = {"AGENT": Party.AGENT, "CUSTOMER": Party.CUSTOMER}
_PER_SECOND: Final = 1000
"""The result's offsets are milliseconds."""


def is_analytics_result(document: Any) -> bool:
    """Return True if a JSON document looks like the result of a Call Analytics job, well formed or not.

    Contact Lens' call file has the same list of turns, but is of no job.
    """
    return isinstance(document, Mapping) and "Transcript" in document and bool({"JobName", "JobStatus"} & set(document))


def analytics_result(document: Any, rate: int) -> TranscribeResult:
    """Read the result of a Call Analytics job.

    Args:
        document: the JSON document that the job wrote, redacted or not.
        rate: samples a second of the positions that are wanted.

    Raises:
        DamagedResultError: it is no such document.
    """
    if not is_analytics_result(document):
        raise DamagedResultError("it is no result of a Call Analytics job")
    given = document["Transcript"]
    if not isinstance(given, list):
        raise DamagedResultError("its Transcript is no list of turns")
    turns = [turn for at, each in enumerate(given) if (turn := _turn(each, f"turn {at}", rate)) is not None]
    turns.sort(key=lambda turn: turn.start)
    language = document.get("LanguageCode")
    return TranscribeResult(
        turns=turns,
        contact_id=contact_of(document.get("JobName")),
        language=language if isinstance(language, str) and language else None,
    )


def _turn(given: Any, where: str, rate: int) -> Turn | None:
    """One turn; None for one without text."""
    if not isinstance(given, Mapping):
        raise DamagedResultError(f"{where} is no object")
    role = given.get("ParticipantRole")
    party = _ROLES.get(role) if isinstance(role, str) else None
    if party is None:
        raise DamagedResultError(f"{where} is neither AGENT's nor CUSTOMER's")
    text = given.get("Content")
    if not isinstance(text, str):
        raise DamagedResultError(f"{where} has no Content")
    if not text.strip():
        return None
    items = given.get("Items", [])
    if not isinstance(items, list):
        raise DamagedResultError(f"{where} has Items that are no list")
    start, end = _span(given, where, rate)
    words = _words(items, where, rate)
    return Turn(
        party=party,
        start=min([start, *(word.start for word in words)]),
        end=max([start, end, *(word.end for word in words)]),
        text=text.strip(),
        words=tuple(words),
    )


def _words(items: Sequence[Any], of_turn: str, rate: int) -> list[Word]:
    """The words in their order, each with the marks behind it; marks before the first word go to that."""
    words: list[Word] = []
    opening = ""
    for at, item in enumerate(items):
        where = f"item {at} of {of_turn}"
        content = item.get("Content") if isinstance(item, Mapping) else None
        if not isinstance(content, str):
            raise DamagedResultError(f"{where} has no Content")
        if item.get("Type") == "punctuation":
            if words:
                words[-1] = replace(words[-1], text=words[-1].text + content.strip())
            else:
                opening += content.strip()
        elif content.strip():
            start, end = _span(item, where, rate)
            # Words of one party never overlap.
            start = max([start, *(word.end for word in words[-1:])])
            confidence = confidence_of(item.get("Confidence"), where)
            words.append(Word(text=opening + content.strip(), start=start, end=max(start, end), confidence=confidence))
            opening = ""
    return words


def _span(given: Mapping[str, Any], where: str, rate: int) -> tuple[int, int]:
    start, end = (
        frames_of(number_of(given.get(name), f"{name} of {where}") / _PER_SECOND, f"{name} of {where}", rate)
        for name in ("BeginOffsetMillis", "EndOffsetMillis")
    )
    return start, end
