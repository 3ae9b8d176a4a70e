"""Calls of noise, in which no two places are alike, and captures of calls."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    SyntheticCall,
    SyntheticFragment,
    synthesize_stream,
)


# Tests of one file begin with the same call as a rule. Writing it takes as long as recording it.
@lru_cache(maxsize=8)
def noise(seconds: float, *, rate: int = 8000, seed: int = 1) -> bytes:
    """PCM in which no two places are alike."""
    return random.Random(seed).randbytes(2 * round(seconds * rate))


def call(
    seconds: float,
    *,
    rate: int = 8000,
    contact_id: str = DEFAULT_CONTACT_ID,
    seed: int = 1,
    **options: Any,
) -> SyntheticCall:
    """A two-sided call of noise; both sides are equally long."""
    audio = {"customer": noise(seconds, rate=rate, seed=seed), "agent": noise(seconds, rate=rate, seed=seed + 1000)}
    return SyntheticCall(**{**audio, "rate": rate, "contact_id": contact_id, **options})


def fragments(*calls: SyntheticCall) -> list[SyntheticFragment]:
    return list(_written(calls))


def capture_of(*calls: SyntheticCall) -> bytes:
    return joined(_written(calls))


@lru_cache(maxsize=8)
def _written(calls: tuple[SyntheticCall, ...]) -> tuple[SyntheticFragment, ...]:
    return tuple(synthesize_stream(calls))


def joined(fragments: Iterable[SyntheticFragment]) -> bytes:
    return b"".join(fragment.data for fragment in fragments)
