"""Recognizes spoken digits for real: PocketSphinx with a grammar of ten words, no network and no model to fetch.

It makes no error in the phrases of `speech.py`, which a test recognizes. A minute takes 1 to 2 s of processor.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import audioop

from connect_audio_local.recognition.word_recognizer import RecognizedWord

DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_RATE: Final = 16_000
"""The rate of PocketSphinx's own model: it cannot be opened at another."""
_FRAME_S: Final = 0.01
_GRAMMAR: Final = f"#JSGF V1.0; grammar digits; public <digits> = ( {' | '.join(DIGITS)} )* ;"


class DigitRecognizer:
    """PocketSphinx with a grammar of digits; one request at a time.

    Raises:
        ModuleNotFoundError: the package `pocketsphinx` is not installed.
    """

    def __init__(self) -> None:
        import pocketsphinx  # noqa: PLC0415 - an extra of developers alone

        with tempfile.TemporaryDirectory(prefix="connect-audio-grammar-") as folder:
            grammar = Path(folder) / "digits.gram"
            grammar.write_text(_GRAMMAR, encoding="ascii")
            config = pocketsphinx.Config(samprate=_RATE, lm=None, jsgf=str(grammar), loglevel="FATAL")
            self._decoder: Any = pocketsphinx.Decoder(config)
        self._lock = threading.Lock()

    def words_of(self, samples: bytes, rate: int) -> list[RecognizedWord]:
        """Return the digits, in order."""
        if rate != _RATE:
            samples, _ = audioop.ratecv(samples, 2, 1, rate, _RATE, None)
        with self._lock:
            self._decoder.start_utt()
            self._decoder.process_raw(samples, full_utt=True)
            self._decoder.end_utt()
            return [
                RecognizedWord(segment.word, segment.start_frame * _FRAME_S, (segment.end_frame + 1) * _FRAME_S)
                for segment in self._decoder.seg() or ()
                if segment.word in DIGITS
            ]
