"""Speech-like mono PCM, made on the spot with the standard library: the two voices of the demo and of the tests.

Voiced syllables (a pulse train through three formant resonators) with pauses, in turns: while one party speaks the
other is digital silence. The parties differ in pitch and level, so ears and figures separate them.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

# Formants in Hz of five vowels, an adult male average (Peterson and Barney 1952).
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
_BANDWIDTHS_HZ = (80, 110, 160)
_SYLLABLE_S = (0.16, 0.22, 0.30)
_TURN_S = (1.6, 4.2)
_WORD_PAUSE_S = (0.04, 0.12)
_TURN_PAUSE_S = (0.25, 0.6)


@dataclass(frozen=True, slots=True)
class Voice:
    """How a party sounds.

    Args:
        pitch_hz: fundamental frequency.
        formant_scale: formants relative to the table's; a shorter vocal tract lies above 1.
        peak: the loudest sample of each syllable.
    """

    pitch_hz: float
    formant_scale: float
    peak: int


class Party(Enum):
    """Who speaks."""

    CUSTOMER = Voice(pitch_hz=115.0, formant_scale=1.0, peak=9_000)
    AGENT = Voice(pitch_hz=210.0, formant_scale=1.17, peak=16_000)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Two parties on one time axis.

    Args:
        customer: s16le mono.
        agent: s16le mono, as long as `customer`.
        rate: samples a second.
    """

    customer: bytes
    agent: bytes
    rate: int


def two_party_conversation(seconds: float, rate: int = 8000, seed: int = 0) -> Conversation:
    """Make a conversation, the same one for the same arguments.

    Args:
        seconds: length of both sides.
        rate: samples a second, at least 8000.
        seed: another seed has other turns and other words.
    """
    length = round(seconds * rate) * 2
    customer, agent = (_take(endless_speech(party, rate, seed), length) for party in (Party.CUSTOMER, Party.AGENT))
    return Conversation(customer, agent, rate)


def endless_speech(party: Party, rate: int = 8000, seed: int = 0) -> Iterator[bytes]:
    """Yield one side of a conversation that never ends, in pieces of any length and in constant memory.

    The two parties of one seed and rate fit together: they take turns.
    """
    if rate < 8000:
        raise ValueError(f"a rate of {rate} samples a second cannot carry these voices, it must be at least 8000")
    syllables = _syllables(party.value, rate)
    # Both parties draw the same turns; each draws its own words.
    turns = random.Random(f"turns {seed}")
    words = random.Random(f"words {party.name} {seed}")
    speaker = Party.AGENT  # who answers the call
    while True:
        samples = round(turns.uniform(*_TURN_S) * rate)
        yield from _speak(samples, syllables, words, rate) if speaker is party else [bytes(2 * samples)]
        yield bytes(2 * round(turns.uniform(*_TURN_PAUSE_S) * rate))
        speaker = Party.CUSTOMER if speaker is Party.AGENT else Party.AGENT


def pitch_hz(pcm: bytes, rate: int = 8000) -> float:
    """Return the fundamental frequency of the loudest voiced stretch, Hz; 0.0 for silence.

    By autocorrelation over 60 to 400 Hz: good to a few per cent, enough to separate the parties.

    Args:
        pcm: s16le mono.
        rate: samples a second.
    """
    samples: tuple[int, ...] = struct.unpack(f"<{len(pcm) // 2}h", pcm[: len(pcm) // 2 * 2])
    window = rate // 10
    starts = range(0, max(1, len(samples) - window), window)
    energy, start = max((sum(sample * sample for sample in samples[at : at + window]), at) for at in starts)
    if energy == 0:
        return 0.0
    loud = samples[start : start + window]

    def correlation(lag: int) -> float:
        overlap = len(loud) - lag
        return sum(loud[index] * loud[index + lag] for index in range(overlap)) / overlap

    lags = range(rate // 400, min(rate // 60, len(loud) // 2) + 1)
    scores = [correlation(lag) for lag in lags]
    # Multiples of the period score as high as the period itself: the first peak near the maximum is it.
    threshold = 0.85 * max(scores)
    for at in range(1, len(lags) - 1):
        if scores[at] >= threshold and scores[at - 1] <= scores[at] >= scores[at + 1]:
            return rate / lags[at]
    return rate / lags[scores.index(max(scores))]


def _take(pieces: Iterator[bytes], length: int) -> bytes:
    taken = bytearray()
    while len(taken) < length:
        taken += next(pieces)
    return bytes(taken[:length])


def _speak(samples: int, syllables: Sequence[bytes], words: random.Random, rate: int) -> Iterator[bytes]:
    """One turn of exactly `samples` samples: syllables in words of one to four, pauses between the words."""
    left = 2 * samples
    in_word = words.randint(1, 4)
    while left:
        piece = words.choice(syllables)
        if in_word == 0:
            piece = bytes(2 * round(words.uniform(*_WORD_PAUSE_S) * rate))
            in_word = words.randint(1, 4) + 1
        if len(piece) > left:
            piece = bytes(left)
        in_word -= 1
        left -= len(piece)
        yield piece


@cache
def _syllables(voice: Voice, rate: int) -> tuple[bytes, ...]:
    """Every vowel in every length: few enough to make once, so that speech is only joined from then on."""
    return tuple(_syllable(voice, formants, seconds, rate) for formants in _VOWELS for seconds in _SYLLABLE_S)


def _syllable(voice: Voice, formants: tuple[int, ...], seconds: float, rate: int) -> bytes:
    count = round(seconds * rate)
    signal = _pulses(voice.pitch_hz, count, rate)
    for frequency, bandwidth in zip(formants, _BANDWIDTHS_HZ, strict=True):
        signal = _resonate(signal, frequency * voice.formant_scale, bandwidth, rate)
    attack, release = round(0.02 * rate), round(0.05 * rate)
    shaped = [value * min(1.0, index / attack, (count - index) / release) for index, value in enumerate(signal)]
    gain = voice.peak / max(abs(value) for value in shaped)
    return struct.pack(f"<{count}h", *(round(value * gain) for value in shaped))


def _pulses(pitch_hz: float, count: int, rate: int) -> list[float]:
    """A glottal pulse train whose pitch falls by a few per cent, softened towards a voice's spectrum."""
    signal, phase, level = [], 0.0, 0.0
    for index in range(count):
        phase += pitch_hz * (1.03 - 0.06 * index / count) / rate
        pulse = 1.0 if phase >= 1.0 else 0.0
        phase -= pulse
        level = 0.9 * level + pulse
        signal.append(level - 0.5)
    return signal


def _resonate(signal: list[float], frequency: float, bandwidth: float, rate: int) -> list[float]:
    """A two-pole resonator (Klatt 1980)."""
    c = -math.exp(-2 * math.pi * bandwidth / rate)
    b = 2 * math.exp(-math.pi * bandwidth / rate) * math.cos(2 * math.pi * frequency / rate)
    a = 1 - b - c
    resonated, before, last = [], 0.0, 0.0
    for value in signal:
        before, last = last, a * value + b * last + c * before
        resonated.append(last)
    return resonated
