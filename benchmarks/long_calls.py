"""Synthetic calls of any length in Connect's layout, cheap to make: the audio is noise, since no code looks at it."""

from __future__ import annotations

import random
from itertools import repeat
from typing import TYPE_CHECKING

from connect_audio_local.synthesis.calls import SyntheticCall, SyntheticFragment, synthesize_call

if TYPE_CHECKING:
    from collections.abc import Iterator

# Longer than a fragment and of no common length with it, so that no two fragments carry the same bytes.
_PIECE_BYTES = 20_011 * 2


def long_call(seconds: float) -> SyntheticCall:
    """A two-sided call: two tracks of 64 ms blocks, 32 blocks in a fragment of 1.024 s.

    Args:
        seconds: its length.
    """
    noise = random.Random(7)
    customer, agent = noise.randbytes(_PIECE_BYTES), noise.randbytes(_PIECE_BYTES)
    return SyntheticCall(customer=lambda: repeat(customer), agent=lambda: repeat(agent), seconds=seconds)


def long_call_fragments(seconds: float) -> Iterator[SyntheticFragment]:
    """Its fragments, one by one."""
    return synthesize_call(long_call(seconds))
