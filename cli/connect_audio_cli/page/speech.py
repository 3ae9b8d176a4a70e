"""Who speaks when, by loudness alone: stretches above a threshold between the noise of the line and its loud part.

Music and prompts are as loud as speech and count, too. The page says so beside the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connect_audio_cli.page.outline import WINDOWS_PER_SECOND

type Stretch = tuple[float, float]
"""Beginning and end, seconds."""

_LEAST_LEVEL: Final = 120
"""RMS of the quietest speech, about -49 dBFS: below it lies the noise of a telephone line."""
_LEAST_WINDOWS: Final = 5
"""Windows of the shortest speech, 100 ms: a click is shorter."""
_JOIN_WINDOWS: Final = 25
"""Windows between two words of one stretch, half a second at most."""
_BEFORE_WINDOWS: Final = 2
_BEHIND_WINDOWS: Final = 8
"""A stretch is that much longer on either side: the soft beginnings and ends of words."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How the call's time is spent, seconds.

    Args:
        talk: for each channel, the time in which it speaks.
        overlap: time in which both speak.
        silence: time in which none speaks.
    """

    talk: tuple[float, ...]
    overlap: float
    silence: float


def noise_of(levels: Sequence[int]) -> int:
    """Level of the noise behind the speech: a fifth of the windows are no louder."""
    return _noise(sorted(levels)) if levels else 0


def _noise(ordered: Sequence[int]) -> int:
    return ordered[len(ordered) // 5]


def speech_of(levels: Sequence[int], seconds: float) -> list[Stretch]:
    """Find the stretches in which a channel speaks.

    Args:
        levels: its RMS level of each window of 20 ms.
        seconds: length of the call, which no stretch exceeds.
    """
    if not levels:
        return []
    ordered = sorted(levels)
    noise, loud = _noise(ordered), ordered[int(len(levels) * 0.97)]
    threshold = max(_LEAST_LEVEL, min(3 * noise, loud // 6) if noise else loud // 12)
    runs: list[list[int]] = []
    start = None
    for at, level in enumerate([*levels, 0]):
        if level > threshold:
            start = at if start is None else start
        elif start is not None:
            if runs and start - runs[-1][1] <= _JOIN_WINDOWS:
                runs[-1][1] = at
            elif at - start >= _LEAST_WINDOWS:
                runs.append([start, at])
            start = None
    return [
        (
            round(max(0, first - _BEFORE_WINDOWS) / WINDOWS_PER_SECOND, 2),
            round(min(seconds, (stop + _BEHIND_WINDOWS) / WINDOWS_PER_SECOND), 2),
        )
        for first, stop in runs
    ]


def figures_of(talk: Sequence[Sequence[Stretch]], seconds: float) -> Figures:
    """Sum up who speaks how long, who speaks at once, and how long none does.

    Args:
        talk: for each channel its stretches, in order and apart.
        seconds: length of the call.
    """
    edges = sorted(
        (at, step) for stretches in talk for start, stop in stretches for at, step in ((start, 1), (stop, -1))
    )
    speaking, last, some, overlap = 0, 0.0, 0.0, 0.0
    for at, step in edges:
        some += at - last if speaking else 0
        overlap += at - last if speaking > 1 else 0
        speaking, last = speaking + step, at
    return Figures(
        tuple(sum(stop - start for start, stop in stretches) for stretches in talk), overlap, max(0.0, seconds - some)
    )
