"""Words as bursts of one loudness each, and the recogniser that knows them: what is cut off is no word."""

from __future__ import annotations

import struct

from connect_audio_local.recognition.word_recognizer import RecognizedWord

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORD_S = 0.3
GAP_S = 0.1

_QUIETEST = 2000
_APART = 1000
_STEP_S = 0.01
_LEAST_S = 0.25


def spoken(words: str, rate: int = 8000) -> bytes:
    """Samples of words, each 0.3 s with 0.1 s of quiet behind it."""
    samples = bytearray()
    for word in words.split():
        peak = _QUIETEST + _APART * DIGITS.index(word)
        samples += struct.pack("<2h", peak, -peak) * round(WORD_S * rate / 2)
        samples += quiet(GAP_S, rate)
    return bytes(samples)


def quiet(seconds: float, rate: int = 8000) -> bytes:
    """Samples of silence."""
    return bytes(2 * round(seconds * rate))


class SpokenWords:
    """Recognizes `spoken`; a word that lacks more than 50 ms comes as its name and `-cut`."""

    def words_of(self, samples: bytes, rate: int) -> list[RecognizedWord]:
        step = round(_STEP_S * rate)
        words: list[RecognizedWord] = []
        begin, digit = 0, -1
        for at in range(0, len(samples) // 2 + step, step):
            part = struct.unpack(f"<{len(samples[2 * at : 2 * (at + step)]) // 2}h", samples[2 * at : 2 * (at + step)])
            peak = max(part, default=0)
            heard = round((peak - _QUIETEST) / _APART) if peak > _QUIETEST // 2 else -1
            if heard == digit:
                continue
            if digit >= 0:
                is_whole = (at - begin) / rate >= _LEAST_S
                words.append(RecognizedWord(DIGITS[digit] + ("" if is_whole else "-cut"), begin / rate, at / rate))
            begin, digit = at, heard
        return words
