"""Spoken digits in two voices at telephone quality, to recognize for real: `spoken_digits`.

`make speech` made the files with flite (scripts/make_speech.py). They are 8 kHz mu-law in AU, which most players know.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import audioop

FOLDER: Final = Path(__file__).parent / "speech"
RATE: Final = 8_000
VOICES: Final = ("rms", "awb")
"""Flite's names of the voices."""
PHRASES: Final = (
    "four eight one five nine",
    "two three nine zero seven",
    "six one eight zero three nine",
    "seven five two four zero one",
)
_MAGIC: Final = b".snd"
_HEADER_BYTES: Final = 24
_MULAW: Final = 1


@dataclass(frozen=True, slots=True)
class Phrase:
    """A spoken phrase.

    Args:
        text: its words, one blank between two.
        samples: mono 16-bit little-endian samples at `RATE`.
        start: begin of its sound, seconds.
        end: end of its sound, seconds.
    """

    text: str
    samples: bytes
    start: float
    end: float


@cache
def spoken_digits(voice: str, number: int) -> Phrase:
    """Return a phrase.

    Args:
        voice: one of `VOICES`.
        number: index of the phrase in `PHRASES`.
    """
    data = (FOLDER / name_of(voice, number)).read_bytes()
    (begin,) = struct.unpack(">I", data[4:8])
    samples = audioop.ulaw2lin(data[begin:], 2)
    loud = [at for at in range(0, len(samples) - 160, 160) if audioop.rms(samples[at : at + 160], 2) > 200]
    return Phrase(PHRASES[number], samples, loud[0] / 2 / RATE, (loud[-1] + 160) / 2 / RATE)


def name_of(voice: str, number: int) -> str:
    """Return the name of a phrase's file."""
    return f"{voice}-{number}.au"


def au_file(mulaw: bytes) -> bytes:
    """Return an AU file of 8 kHz mu-law."""
    return struct.pack(">4s5I", _MAGIC, _HEADER_BYTES, len(mulaw), _MULAW, RATE, 1) + mulaw
