"""A call as two rows of characters, one a party: audio, gaps by cause, and the level where the WAV is at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connect_audio.core.pcm import PARTIES, Party
from connect_audio_cli.output.terminal import can_show
from connect_audio_cli.pictures.layout import clock
from connect_audio_cli.pictures.waveform import Extremes
from connect_audio_cli.recordings.gaps import WORDS, CallGap, GapCause

_LABEL: Final = 10
_LEAST_COLUMNS: Final = 20
_QUIET_DB: Final = -50.0
"""Peak level below which a cell has the lowest character, dBFS: no speech is so quiet."""
_STEP_DB: Final = 6.0
"""Peak level from one character to the next."""
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
_TICK_COLUMNS: Final = 12
_RANK: Final = (
    GapCause.MISSING,
    GapCause.PERHAPS_MISSING,
    GapCause.BLOCK_HOLE,
    GapCause.PAUSE,
    GapCause.ONE_SIDED,
)


_LEVELS: Final = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS: Final = "_-:=+*%#"
"""The same for a terminal without these characters."""
_GAPS: Final[Mapping[GapCause, str]] = {
    GapCause.MISSING: "x",
    GapCause.PERHAPS_MISSING: "?",
    GapCause.BLOCK_HOLE: "|",
    GapCause.PAUSE: ".",
    GapCause.ONE_SIDED: " ",
}


def cells_of(columns: int, frames: int) -> int:
    """Cells of the picture.

    Args:
        columns: width of the terminal.
        frames: length of the call; a shorter call has fewer cells.
    """
    return max(1, min(max(_LEAST_COLUMNS, columns - _LABEL), frames))


def timeline(
    manifest: Mapping[str, Any],
    gaps: Sequence[CallGap],
    *,
    columns: int,
    levels: Sequence[Sequence[Extremes]] | None = None,
) -> list[str]:
    """Draw a call.

    Args:
        manifest: the manifest of a call that has audio.
        gaps: its gaps.
        columns: width of the terminal.
        levels: for each party the extremes of each cell; None where they are not known.

    Returns:
        The time axis, a row a party, and a legend of the characters that stand for a gap.
    """
    frames, rate = manifest["recording"]["frames"], manifest["recording"]["sampleRate"]
    cells = cells_of(columns, frames)
    characters = _LEVELS if can_show(_LEVELS) else _ASCII_LEVELS
    rows = [" " * _LABEL + _axis(frames / rate, cells)]
    used: set[GapCause] = set()
    for index, party in enumerate(PARTIES):
        row, causes = _row(party, gaps, frames, cells, characters, levels[index] if levels else None)
        used |= causes
        rows.append(f"{party.value.capitalize():<{_LABEL}}{row}".rstrip())
    legend = [f"{_GAPS[cause].strip() or 'blank'}: {WORDS[cause]}" for cause in _RANK if cause in used]
    return rows + ([" " * _LABEL + ", ".join(legend)] if legend else [])


def _row(
    party: Party,
    gaps: Sequence[CallGap],
    frames: int,
    cells: int,
    characters: str,
    levels: Sequence[Extremes] | None,
) -> tuple[str, set[GapCause]]:
    causes = [_causes(party, gaps, cell * frames // cells, (cell + 1) * frames // cells) for cell in range(cells)]
    row = ""
    for cell, cause in enumerate(causes):
        if cause is not None:
            row += _GAPS[cause]
        elif levels is None:
            row += characters[len(characters) // 2]
        else:
            row += characters[_step(levels[cell], len(characters))]
    return row, {cause for cause in causes if cause is not None}


def _causes(party: Party, gaps: Sequence[CallGap], start: int, stop: int) -> GapCause | None:
    """Return the cause that a cell shows: a loss however short it is, any other silence if it fills half the cell."""
    silent: dict[GapCause, int] = {}
    for gap in gaps:
        covered = min(stop, gap.start_frame + gap.frames) - max(start, gap.start_frame)
        if covered > 0 and party in gap.parties:
            silent[gap.cause] = silent.get(gap.cause, 0) + covered
    for cause in _RANK:
        is_loss = cause in (GapCause.MISSING, GapCause.PERHAPS_MISSING)
        if silent.get(cause, 0) * 2 >= (1 if is_loss else stop - start):
            return cause
    return None


def _step(extremes: Extremes, steps: int) -> int:
    peak = max(extremes.high, -extremes.low)
    level = 20 * math.log10(peak / 32768) if peak else -math.inf
    return 0 if level < _QUIET_DB else min(steps - 1, 1 + int((level - _QUIET_DB) / _STEP_DB))


def _axis(seconds: float, cells: int) -> str:
    """Clock times over the cells in which they are."""
    step = next((each for each in _STEPS_S if cells * each / seconds >= _TICK_COLUMNS), _STEPS_S[-1])
    line = ""
    for tick in range(int(seconds / step) + 1):
        at = int(tick * step / seconds * cells)
        text = clock(tick * step)
        if at + len(text) <= cells and (not line or at > len(line)):
            line = line.ljust(at) + text
    return line
