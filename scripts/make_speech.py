"""Speak digits with Debian's flite into the files that the stand-ins and tests of speech recognition are tried with.

`make speech` runs it as root of a Debian machine. The files are in the repository, so nothing else needs flite.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import audioop
import numpy as np
from scipy.signal import resample_poly

sys.path.insert(0, str(Path(__file__).parents[1] / "local"))

from connect_audio_local.recognition.speech import FOLDER, PHRASES, RATE, VOICES, au_file, name_of


def spoken(voice: str, text: str) -> bytes:
    """Return 8 kHz mu-law of a text in one of flite's voices."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)  # noqa: S603, S607
        with wave.open(str(path)) as wav:
            given, samples = wav.getframerate(), np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
    # With a filter: what a telephone cannot carry must not come back as another sound.
    low = resample_poly(samples.astype(float), RATE, given)
    return audioop.lin2ulaw(np.clip(np.rint(low), -32768, 32767).astype("<i2").tobytes(), 2)


def main() -> None:
    """Write every phrase in every voice."""
    for voice in VOICES:
        for number, phrase in enumerate(PHRASES):
            (FOLDER / name_of(voice, number)).write_bytes(au_file(spoken(voice, phrase)))


if __name__ == "__main__":
    main()
