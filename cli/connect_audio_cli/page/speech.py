"""Who speaks when, by loudness alone: stretches above a threshold between the noise of the line and its loud part.

The stretches are for the eye and for *Skip silence*: they join words and have soft edges. The figures come from the
active windows, as the manifest's do. Music and prompts are as loud as speech and count, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connect_audio.core.levels import WINDOWS_A_SECOND
from connect_audio_cli.page.outline import WINDOWS_PER_SECOND, Outline

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


def figures_of(outline: Outline) -> Figures:
    """Sum up who speaks how long, who speaks at once, and how long none does: by active windows.

    Args:
        outline: outline of the call.
    """
    window = outline.rate // WINDOWS_A_SECOND
    talk, overlap, silence = [0] * outline.channels, 0, 0
    for at, flags in enumerate(zip(*outline.active, strict=True)):
        frames = min(window, outline.frames - at * window)
        talk = [spoken + frames * flag for spoken, flag in zip(talk, flags, strict=True)]
        overlap += frames if sum(flags) > 1 else 0
        silence += 0 if any(flags) else frames
    return Figures(tuple(each / outline.rate for each in talk), overlap / outline.rate, silence / outline.rate)
