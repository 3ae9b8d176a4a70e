"""The words of a call as values: `Word` and `Turn`, placed on the recording's own positions.

A recognizer makes turns (`connect_audio.words`), pages in S3 keep them, and the transcript beside the recording is made
of the pages. Every position counts frames since the recording's first, so a turn needs no clock to find its audio.
"""

from __future__ import annotations

from dataclasses import dataclass

from connect_audio.core.pcm import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a turn.

    Args:
        text: the word, without blanks around it; punctuation that follows it belongs to it.
        start: position of its begin, frames since the recording's first.
        end: position of its end, frames; not before `start`.
        confidence: the recognizer's own estimate from 0 to 1; None if it gives none.
    """

    text: str
    start: int
    end: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Words of one party in one go, as the recognizer gave them for good.

    Turns of one party never overlap; turns of both may.

    Args:
        party: the speaker.
        start: position of its begin, frames since the recording's first.
        end: position of its end, frames; not before `start`.
        text: the words as they are to be read.
        words: the same, one by one; empty if the recognizer knows no times of words.
        confidence: the recognizer's own estimate from 0 to 1; None if it gives none.
    """

    party: Party
    start: int
    end: int
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
