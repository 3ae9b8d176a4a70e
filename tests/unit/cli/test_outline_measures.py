"""The two ways to measure a WAV for its outline give the same numbers."""

from __future__ import annotations

import math
from array import array

from hypothesis import given
from hypothesis import strategies as st

from connect_audio_cli.page.outline import ByAudioop, ByNumpy

SAMPLES = st.lists(st.integers(-32768, 32767) | st.sampled_from([-32768, 32767, 0]), min_size=1, max_size=50)


@given(samples=SAMPLES, frames=st.integers(1, 20))
def test_numpy_and_audioop_measure_the_same(samples: list[int], frames: int) -> None:
    mono = array("h", samples).tobytes()
    pieces = [samples[at : at + frames] for at in range(0, len(samples), frames)]
    peaks = bytes(min(255, max(map(abs, piece)) // 128) for piece in pieces)
    levels = [math.isqrt(sum(value * value for value in piece) // len(piece)) for piece in pieces]

    for measures in (ByAudioop(), ByNumpy()):
        assert measures.peaks(mono, frames) == peaks
        assert list(measures.levels(mono, frames)) == levels


@given(samples=SAMPLES)
def test_numpy_and_audioop_take_the_same_channel(samples: list[int]) -> None:
    stereo = array("h", [value for sample in samples for value in (sample, -1 - sample)]).tobytes()

    for measures in (ByAudioop(), ByNumpy()):
        assert measures.channel(stereo, 0) == array("h", samples).tobytes()
        assert measures.channel(stereo, 1) == array("h", [-1 - sample for sample in samples]).tobytes()
