"""The words beside a recording: `<key>.transcript.json` or `<key>.vtt`, as paragraphs of one party each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connect_audio_cli.output.command_error import CommandError, printable

PARTIES: Final = ("customer", "agent")
"""In channel order."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest transcript that is read: an hour has about 1 MB, and a longer one would freeze the page."""
_PAUSE_S: Final = 3.0
"""Longest pause within a paragraph: a party that is silent for longer begins a new one."""
_LONGEST_S: Final = 60.0
"""A paragraph that lasts longer ends with the next turn, so that its time stays of use."""
_SAME_LENGTH_S: Final = 0.02
"""A transcript is another recording's if the lengths differ by more: it gives milliseconds."""
_CUE: Final = re.compile(r"(?:(\d+):)?(\d\d):(\d\d)[.,](\d{3})")
_VOICE: Final = re.compile(r"<v(?:\.[^ >]*)?\s+([^>]+)>")
_TAG: Final = re.compile(r"<[^>]*>")
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&lrm;": "", "&rlm;": "", "&amp;": "&"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word, or a whole turn if its words have no times.

    Args:
        start: its beginning, seconds from the recording's.
        seconds: its length.
        text: the word.
    """

    start: float
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The words of one party in one go.

    Args:
        party: index of its channel.
        words: in order; at least one.
    """

    party: int
    words: tuple[Word, ...]


def parse_transcript(data: bytes, name: str, seconds: float | None = None) -> list[Paragraph]:
    """Read a transcript from bytes.

    Args:
        data: JSON or WebVTT in UTF-8.
        name: name of the file, which shows the format and stands in messages.
        seconds: length of the recording; None if it is not known, and any transcript will do.

    Raises:
        CommandError: it is no transcript, or that of another recording: its words would stand where they are not.
    """
    if len(data) > MOST_BYTES:
        raise CommandError(f"{name} is no transcript that can be shown: it has more than {MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
        document = None if name.endswith(".vtt") else json.loads(text)
        turns = list(_vtt(text) if document is None else _turns(document))
        length = None if document is None else document.get("durationSeconds")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{name} is no transcript that can be shown: {_reason(error)}") from error
    if isinstance(length, int | float) and seconds is not None and abs(length - seconds) > _SAME_LENGTH_S:
        raise CommandError(
            f"{name} is the transcript of another recording: it says {length:g} s, and the WAV has {seconds:g} s. "
            "Remove it, or name the right one with --transcript"
        )
    return paragraphs(turns)


def _reason(error: Exception) -> str:
    # A KeyError's own text is a name alone.
    return f"{error} is missing" if isinstance(error, KeyError) else printable(str(error), 120)


def paragraphs(turns: Iterable[Paragraph]) -> list[Paragraph]:
    """Join the turns of one party that follow each other closely."""
    joined: list[Paragraph] = []
    for turn in sorted((turn for turn in turns if turn.words), key=lambda turn: turn.words[0].start):
        last = joined[-1] if joined else None
        first = turn.words[0]
        if (
            last is not None
            and last.party == turn.party
            and first.start - (last.words[-1].start + last.words[-1].seconds) <= _PAUSE_S
            and first.start - last.words[0].start <= _LONGEST_S
        ):
            joined[-1] = Paragraph(last.party, last.words + turn.words)
        else:
            joined.append(turn)
    return joined


def _turns(document: Any) -> Iterator[Paragraph]:
    """Read the turns of a transcript in JSON."""
    for turn in document["turns"]:
        party = PARTIES.index(turn["participant"].lower())
        # Without the words' times a turn is one piece: a click plays it from its beginning.
        yield Paragraph(party, tuple(_word(word) for word in turn.get("words") or [turn]))


def _word(word: Any) -> Word:
    start, end = float(word["start"]), float(word["end"])
    return Word(start, max(0.0, end - start), str(word["text"]).strip())


def _vtt(text: str) -> Iterator[Paragraph]:
    """Read the cues of WebVTT; a cue without a known voice is the customer's."""
    if not text.startswith("WEBVTT"):
        raise ValueError("it does not begin with WEBVTT")
    for block in re.split(r"\r?\n[ \t]*\r?\n", text):
        lines = block.splitlines()
        at = next((number for number, line in enumerate(lines) if "-->" in line), None)
        if at is None:
            continue
        start, end = (_seconds(part) for part in lines[at].split("-->"))
        party = 0
        pieces: list[tuple[float, str]] = []
        for line in lines[at + 1 :]:
            if voice := _VOICE.search(line):
                party = _party(voice[1])
            pieces += _timed(line, pieces[-1][0] if pieces else start)
        ends = [begin for begin, _ in pieces[1:]] + [end]
        words = tuple(
            Word(begin, max(0.0, stop - begin), piece)
            for (begin, piece), stop in zip(pieces, ends, strict=True)
            if piece
        )
        yield Paragraph(party, words)


def _timed(line: str, start: float) -> Iterator[tuple[float, str]]:
    """Cut a cue's line at the times inside it."""
    at = start
    for number, piece in enumerate(re.split(r"<((?:\d+:)?\d\d:\d\d\.\d{3})>", line)):
        if number % 2:
            at = _seconds(piece)
        elif shown := _plain(piece):
            yield at, shown


def _plain(text: str) -> str:
    text = _TAG.sub("", text)
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text.strip()


def _party(voice: str) -> int:
    return int(voice.strip().lower() in {"agent", "right", "ch_1"})


def _seconds(text: str) -> float:
    found = _CUE.search(text)
    if found is None:
        raise ValueError(f"{text.strip()!r} is no time")
    hours, minutes, seconds, ms = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + ms / 1000


def as_json(turns: Sequence[Paragraph]) -> list[dict[str, Any]]:
    """Paragraphs as the page carries them: short, since an hour has thousands of words."""
    return [
        {
            "party": turn.party,
            "start": round(turn.words[0].start, 2),
            "words": [[round(word.start, 2), round(word.seconds, 2), word.text] for word in turn.words],
        }
        for turn in turns
    ]
