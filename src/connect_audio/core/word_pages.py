"""The durable words of a call while it lasts: pages of turns, as JSON in S3 (`<key>.words/00000.json`).

*How it works.* A page holds up to 50 turns. The newest page also holds the state of the call's words (`WordState`), and
only its state counts. A turn counts if it ends before its party's settled position. A later one is a leftover of audio
that was taken back (`valid_turns`). The words' sink writes the pages, the next invocation's sink and the publication of
the recording read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn, Word

PAGE_TURNS: Final = 50
"""Turns of a page, about 35 kB. It is written again with each new turn, so a longer page would cost more."""
PAGES_VERSION: Final = "1.0"
MOST_SPANS: Final = 1000
"""Spans without words that are listed; beyond, the last one grows over what lies between."""


class MissingReason(StrEnum):
    """Why a span has no words."""

    DROPPED = "DROPPED"
    """The audio did not reach the recognizer: it was too slow or failed too often, or the audio came no second time."""
    LIMIT = "LIMIT"
    """The call is longer than the recognizer was allowed to listen."""
    TAKEN_BACK = "TAKEN_BACK"
    """Words lay across the recording's end and had no times of their own."""
    UNFINISHED = "UNFINISHED"
    """The recognizer had not given all its words when the call ended."""
    DAMAGED = "DAMAGED"
    """The page that held the words cannot be read."""


class DamagedPageError(ValueError):
    """The text is no page of words."""


class ForeignPageError(ValueError):
    """The page belongs to another call, or to another version of the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSpan:
    """A span of one party without words.

    Args:
        party: the speaker.
        start: position of its begin, frames since the recording's first.
        end: position of its end, frames.
        reason: why it has no words.
    """

    party: Party
    start: int
    end: int
    reason: MissingReason


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedTurn:
    """A turn with its number in the call.

    Args:
        number: counts from 0 in the order in which turns became final; a number is never used twice.
        turn: the turn.
    """

    number: int
    turn: Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsCall:
    """The constant facts about a call's words, which every page repeats.

    Args:
        contact_id: the call's contact.
        recording: URI or file name of the recording.
        engine: name of the recognizer.
        language: the language that was asked for; None if the recognizer finds it.
        rate: samples a second; positions count frames of this rate.
    """

    contact_id: str
    recording: str
    engine: str
    language: str | None
    rate: int


@dataclass(slots=True, kw_only=True)
class WordState:
    """The state of a call's words.

    Args:
        settled: position before which all words of a party are stored, frames.
        missing: spans without words, each party's in order.
        checks: CRC-32 of the newest segments by number, so that other audio in their place is seen.
        recognized: audio that the recognizer was given, frames; what is billed.
        next_number: number of the next turn.
        announced: number before which all turns were handed to readers of live words.
        ended: True once the call is over and all its words are stored.
    """

    settled: dict[Party, int] = field(default_factory=lambda: dict.fromkeys(PARTIES, 0))
    missing: list[MissingSpan] = field(default_factory=list)
    checks: dict[int, int] = field(default_factory=dict)
    recognized: int = 0
    next_number: int = 0
    announced: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPage:
    """A page.

    Args:
        number: its number, from 0.
        call: the call.
        state: the state of the call's words when the page was written.
        turns: its turns.
    """

    number: int
    call: WordsCall
    state: WordState
    turns: tuple[NumberedTurn, ...]


def page_name(number: int) -> str:
    """File name of a page."""
    return f"{number:05d}.json"


def pages_prefix(recording_key: str) -> str:
    """The prefix of a recording's pages: its key with `.words/` instead of `.wav`.

    Args:
        recording_key: the WAV's key.
    """
    return f"{recording_key.removesuffix('.wav')}.words/"


def encode_page(page: WordPage) -> bytes:
    """Write a page: a turn a line."""
    call, state = page.call, page.state
    first = min(state.checks, default=0)
    head = {
        "schemaVersion": PAGES_VERSION,
        "contactId": call.contact_id,
        "recording": call.recording,
        "engine": call.engine,
        "language": call.language,
        "sampleRate": call.rate,
        "page": page.number,
        "state": "ended" if state.ended else "live",
        "settled": {party.value: state.settled[party] for party in PARTIES},
        "missing": [
            {"participant": span.party.value, "start": span.start, "end": span.end, "reason": span.reason.value}
            for span in state.missing
        ],
        "checks": {
            "first": first,
            "crc32": [state.checks.get(number) for number in range(first, max(state.checks, default=-1) + 1)],
        },
        "recognizedFrames": state.recognized,
        "nextTurn": state.next_number,
        "announcedTurns": state.announced,
    }
    lines = ",\n".join(_dumps(_turn_json(each)) for each in page.turns)
    return f'{_dumps(head)[:-1]},"turns":[\n{lines}\n]}}\n'.encode("ascii")


def decode_page(number: int, text: bytes | bytearray) -> WordPage:
    """Read a page that `encode_page` wrote.

    Args:
        number: the page's number.
        text: the file.

    Raises:
        DamagedPageError: it is no such page.
        ForeignPageError: it is of another version of the schema.
    """
    try:
        found = json.loads(text)
        major, _, _ = str(found["schemaVersion"]).partition(".")
        if major != PAGES_VERSION.partition(".")[0]:
            raise ForeignPageError(f"schemaVersion {str(found['schemaVersion'])[:20]} instead of {PAGES_VERSION}")
        if found["page"] != number:
            raise DamagedPageError(f"it is not page {number}")
        return WordPage(
            number=number,
            call=WordsCall(
                contact_id=found["contactId"],
                recording=found["recording"],
                engine=found["engine"],
                language=found["language"],
                rate=found["sampleRate"],
            ),
            state=_state(found),
            turns=tuple(NumberedTurn(number=each["number"], turn=_turn(each)) for each in found["turns"]),
        )
    except (ForeignPageError, DamagedPageError):
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise DamagedPageError("it is no page of words") from exc


def valid_turns(pages: Sequence[WordPage]) -> list[NumberedTurn]:
    """The turns that count, by number.

    Args:
        pages: all pages of a call, in order.
    """
    if not pages:
        return []
    settled = pages[-1].state.settled
    return [each for page in pages for each in page.turns if each.turn.end <= settled[each.turn.party]]


def turn_before(turn: Turn, frames: int) -> Turn | None:
    """The part of a turn before a position: its words that end there at the latest; None if it has none with times.

    Args:
        turn: the turn.
        frames: the position.
    """
    if turn.end <= frames:
        return turn
    words = tuple(word for word in turn.words if word.end <= frames)
    if not words:
        return None
    return replace(turn, end=words[-1].end, text=" ".join(word.text for word in words), words=words)


def with_span(spans: Iterable[MissingSpan], new: MissingSpan) -> list[MissingSpan]:
    """Add a span; it grows the party's last one if it follows it directly for the same reason."""
    listed = list(spans)
    if new.end <= new.start:
        return listed
    for at in range(len(listed) - 1, -1, -1):
        last = listed[at]
        if last.party is not new.party:
            continue
        if (last.end == new.start and last.reason is new.reason) or len(listed) >= MOST_SPANS:
            listed[at] = MissingSpan(party=last.party, start=last.start, end=new.end, reason=last.reason)
            return listed
        break
    return [*listed, new]


def cut_spans(spans: Iterable[MissingSpan], settled: Mapping[Party, int]) -> list[MissingSpan]:
    """Take back the spans behind a position of each party."""
    cut = [
        MissingSpan(party=span.party, start=span.start, end=min(span.end, settled[span.party]), reason=span.reason)
        for span in spans
    ]
    return [span for span in cut if span.start < span.end]


def _state(found: Any) -> WordState:
    checks = found["checks"]
    return WordState(
        settled={party: _frames(found["settled"][party.value]) for party in PARTIES},
        missing=[
            MissingSpan(
                party=Party(each["participant"]),
                start=_frames(each["start"]),
                end=_frames(each["end"]),
                reason=MissingReason(each["reason"]),
            )
            for each in found["missing"]
        ],
        checks={checks["first"] + at: crc for at, crc in enumerate(checks["crc32"]) if crc is not None},
        recognized=_frames(found["recognizedFrames"]),
        next_number=_frames(found["nextTurn"]),
        announced=_frames(found["announcedTurns"]),
        ended=found["state"] == "ended",
    )


def _turn(found: Any) -> Turn:
    return Turn(
        party=Party(found["participant"]),
        start=_frames(found["start"]),
        end=_frames(found["end"]),
        text=str(found["text"]),
        words=tuple(
            Word(text=str(text), start=_frames(start), end=_frames(end), confidence=confidence)
            for text, start, end, confidence in found["words"]
        ),
        confidence=found["confidence"],
    )


def _turn_json(numbered: NumberedTurn) -> dict[str, Any]:
    turn = numbered.turn
    return {
        "number": numbered.number,
        "participant": turn.party.value,
        "start": turn.start,
        "end": turn.end,
        "text": turn.text,
        "confidence": turn.confidence,
        "words": [[word.text, word.start, word.end, word.confidence] for word in turn.words],
    }


def _frames(value: object) -> int:
    if type(value) is not int or value < 0:
        raise DamagedPageError("a position is no number of frames")
    return value


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
