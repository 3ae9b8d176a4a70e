"""The transcript beside a recording, `<key>.transcript.json`: turns with times in seconds, and the spans without words.

Made by the publication of a recording out of its pages of words, and by the commands that transcribe recordings.
Schema: `docs/transcript.schema.json`; explained in `docs/transcript.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.core.word_pages import MissingSpan

SCHEMA_VERSION: Final = "1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptFacts:
    """Everything that a transcript says.

    Args:
        turns: the turns; the document puts them in the order of their time.
        missing: the spans without words.
        rate: samples a second of the positions.
        frames: length of the recording, frames.
        contact_id: the call's contact; None if it is unknown.
        engine: name of the recognizer.
        language: language of the words, such as `en-US`; None if it is unknown.
        source: `live` for words that came with the call, `batch` for a job after the call, `recording` for the words of
            a finished file.
        numbers: number of each turn, which names it in live words, too; None counts them in their order.
    """

    turns: Sequence[Turn]
    missing: Sequence[MissingSpan]
    rate: int
    frames: int
    contact_id: str | None
    engine: str
    language: str | None
    source: Literal["live", "batch", "recording"]
    numbers: Sequence[int] | None = None


def transcript_document(facts: TranscriptFacts) -> dict[str, Any]:
    """Make the transcript.

    Args:
        facts: its content.

    Returns:
        The JSON document of `docs/transcript.md`.
    """
    rate = facts.rate
    numbers = range(len(facts.turns)) if facts.numbers is None else facts.numbers
    ordered = sorted(zip(facts.turns, numbers, strict=True), key=lambda each: (each[0].start, each[1]))
    if facts.numbers is None:
        ordered = [(turn, at) for at, (turn, _) in enumerate(ordered)]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "contactId": facts.contact_id,
        "engine": facts.engine,
        "language": facts.language,
        "source": facts.source,
        "durationSeconds": _seconds(facts.frames, rate),
        "turns": [turn_json(turn, number, rate) for turn, number in ordered],
        "missing": _missing(facts.missing, rate),
    }


def turns_of(document: Any, rate: int) -> list[Turn]:
    """Read the turns of a transcript back.

    Args:
        document: a transcript as `transcript_document` makes it; further fields do no harm.
        rate: samples a second of the positions that are wanted.

    Raises:
        ValueError: it is no transcript.
    """
    try:
        return [
            Turn(
                party=Party(str(turn["participant"]).lower()),
                start=round(turn["start"] * rate),
                end=round(turn["end"] * rate),
                text=str(turn["text"]),
                words=tuple(
                    Word(
                        text=str(word["text"]),
                        start=round(word["start"] * rate),
                        end=round(word["end"] * rate),
                        confidence=word.get("confidence"),
                    )
                    for word in turn.get("words") or ()
                ),
                confidence=turn.get("confidence"),
            )
            for turn in document["turns"]
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("it is no transcript") from exc


def turn_json(turn: Turn, number: int, rate: int) -> dict[str, Any]:
    """A turn as transcripts and events have it.

    Args:
        turn: the turn.
        number: its number in the call.
        rate: samples a second of its positions.
    """
    return {
        "id": str(number),
        "participant": turn.party.value.upper(),
        "start": _seconds(turn.start, rate),
        "end": _seconds(turn.end, rate),
        "text": turn.text,
        "confidence": turn.confidence,
        "words": [
            {
                "text": word.text,
                "start": _seconds(word.start, rate),
                "end": _seconds(word.end, rate),
                "confidence": word.confidence,
            }
            for word in turn.words
        ],
    }


def _missing(spans: Sequence[MissingSpan], rate: int) -> list[dict[str, Any]]:
    """The spans by time; a span that both parties lack is listed once, without a participant."""
    listed: list[dict[str, Any]] = []
    found = {(span.start, span.end, span.reason): set[Party]() for span in sorted(spans, key=lambda each: each.start)}
    for span in spans:
        found[span.start, span.end, span.reason].add(span.party)
    for (start, end, reason), parties in found.items():
        times = {"start": _seconds(start, rate), "end": _seconds(end, rate), "reason": reason.value}
        if len(parties) == len(PARTIES):
            listed.append({"participant": None, **times})
        else:
            listed += [{"participant": party.value.upper(), **times} for party in parties]
    return listed


def _seconds(frames: int, rate: int) -> float:
    return round(frames / rate, 3)
