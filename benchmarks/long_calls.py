"""Synthetic calls of any length in Connect's layout, cheap to make: the audio is noise, as loud as speech."""

from __future__ import annotations

import random
from itertools import repeat
from typing import TYPE_CHECKING, Final

import audioop

from connect_audio_local.synthesis.calls import SyntheticCall, SyntheticFragment, synthesize_call

if TYPE_CHECKING:
    from collections.abc import Iterator

# Longer than a fragment and of no common length with it, so that no two fragments carry the same bytes.
_PIECE_BYTES = 20_011 * 2


_SPEECH: Final = 0.125
"""Noise of this part of full scale has an RMS level of -23 dBFS, and no sample of it is clipped."""


def long_call(seconds: float, volume: float = _SPEECH) -> SyntheticCall:
    """A two-sided call: two tracks of 64 ms blocks, 32 blocks in a fragment of 1.024 s.

    Args:
        seconds: its length.
        volume: largest sample, as a part of full scale. At 1 some samples lie at the ends of the scale.
    """
    noise = random.Random(7)
    customer, agent = (audioop.mul(noise.randbytes(_PIECE_BYTES), 2, volume) for _ in range(2))
    return SyntheticCall(customer=lambda: repeat(customer), agent=lambda: repeat(agent), seconds=seconds)


def long_call_fragments(seconds: float) -> Iterator[SyntheticFragment]:
    """Its fragments, one by one."""
    return synthesize_call(long_call(seconds))
