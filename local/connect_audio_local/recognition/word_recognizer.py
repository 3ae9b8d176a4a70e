"""The port between a stand-in of a speech service and whatever recognizes the speech for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A word that was recognized.

    Args:
        text: the word.
        start: its begin, seconds from the samples' begin.
        end: its end, seconds.
    """

    text: str
    start: float
    end: float


class WordRecognizer(Protocol):
    """Recognizes the words of one speaker. Several threads may call it."""

    def words_of(self, samples: bytes, rate: int) -> list[RecognizedWord]:
        """Return the words, in order.

        Args:
            samples: mono 16-bit little-endian samples.
            rate: samples a second.
        """
