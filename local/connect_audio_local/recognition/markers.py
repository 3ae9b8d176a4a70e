"""Words as tones: speech that takes no time to make nor to recognize, for tests of all but the recognition itself.

Each word is a tone of a frequency of its own. A recognizer that gives it back must have been sent that very audio.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

import audioop

from connect_audio_local.recognition.word_recognizer import RecognizedWord

MARKER_WORDS: Final = ("alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett")
_LOWEST_HZ: Final = 300
_STEP_HZ: Final = 100
_PEAK: Final = 9_000
_WINDOW_MS: Final = 10
_LOUD: Final = 500
"""RMS of a window above which a tone sounds."""
_SHORTEST: Final = 6
"""Windows of the shortest tone, 60 ms."""


def marker_speech(words: Sequence[str], rate: int, *, word_s: float = 0.3, pause_s: float = 0.1) -> bytes:
    """Speak words.

    Args:
        words: members of `MARKER_WORDS`.
        rate: samples a second, at least 4000.
        word_s: length of a word, seconds.
        pause_s: silence between two words, seconds.

    Returns:
        Mono 16-bit little-endian samples.
    """
    pause = bytes(2 * round(pause_s * rate))
    return pause.join(_tone(word, rate, word_s) for word in words)


@cache
def _tone(word: str, rate: int, seconds: float) -> bytes:
    hertz = _LOWEST_HZ + _STEP_HZ * MARKER_WORDS.index(word)
    values = [round(_PEAK * math.sin(2 * math.pi * hertz * at / rate)) for at in range(round(seconds * rate))]
    return struct.pack(f"<{len(values)}h", *values)


class MarkerRecognizer:
    """Recognizes `marker_speech`."""

    def words_of(self, samples: bytes, rate: int) -> list[RecognizedWord]:
        """Return the words."""
        window = rate * _WINDOW_MS // 1000
        found = []
        for first, end in _loud(samples, window):
            crossings = _crossings(samples[2 * first * window : 2 * end * window])
            hertz = crossings / 2 / ((end - first) * window / rate)
            number = round((hertz - _LOWEST_HZ) / _STEP_HZ)
            if 0 <= number < len(MARKER_WORDS):
                found.append(RecognizedWord(MARKER_WORDS[number], first * window / rate, end * window / rate))
        return found


def _loud(samples: bytes, window: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each tone, in windows."""
    count = len(samples) // 2 // window
    loud = [audioop.rms(samples[2 * at * window : 2 * (at + 1) * window], 2) > _LOUD for at in range(count)]
    edges = [at for at, (before, now) in enumerate(pairwise([False, *loud, False])) if before is not now]
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        if end - first >= _SHORTEST:
            yield first, end


def _crossings(samples: bytes) -> int:
    values = struct.unpack(f"<{len(samples) // 2}h", samples)
    return sum((before < 0) is not (now < 0) for before, now in pairwise(values))
