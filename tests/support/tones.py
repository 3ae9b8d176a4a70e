"""A call of two tones, whose parties another program can tell apart: the customer's is low, the agent's high."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOW_HZ = 400
HIGH_HZ = 1500


def tone(frequency: float, seconds: float, rate: int, *, peak: int = 8000) -> NDArray[np.int16]:
    return np.rint(peak * np.sin(2 * np.pi * frequency / rate * np.arange(round(seconds * rate)))).astype(np.int16)


def stereo(seconds: float = 2.0, rate: int = 8000) -> NDArray[np.int16]:
    """Frames of both parties, customer first: an array of frames and two."""
    return np.stack([tone(LOW_HZ, seconds, rate), tone(HIGH_HZ, seconds, rate)], axis=1)


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = 8000) -> Path:
    """Write a WAV by the standard library."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def loudest_hz(samples: NDArray[Any], rate: int) -> float:
    """The frequency of the strongest tone."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))
