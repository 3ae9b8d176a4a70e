"""Numbers as people read them, the same in every command."""

from __future__ import annotations

import math
from typing import Final

from connect_audio.text import counted as count

__all__ = ["DIGITAL_SILENCE", "NO_SPEECH", "count", "data_size", "duration", "percent", "speech"]

DIGITAL_SILENCE: Final = "digital silence"
"""The one name of audio whose every sample is zero (glossary, zero)."""
NO_SPEECH: Final = "no speech"
"""The one name of audio without an active window, whatever noise is in it."""


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as many as it takes: `9.440 s`, `1 min 01.440 s`, `2 h 00 min 03.000 s`."""
    ms = round(seconds * 1000)
    hours, minutes, remainder = ms // 3_600_000, ms // 60_000 % 60, ms % 60_000 / 1000
    if hours:
        return f"{hours} h {minutes:02} min {remainder:06.3f} s"
    return f"{minutes} min {remainder:06.3f} s" if minutes else f"{remainder:.3f} s"


def speech(active_dbfs: float | None, share: float, peak_dbfs: float | None) -> str:
    """The level of a party's speech and how much of the time it speaks: `speech -17.2 dBFS, 19 % of the time`.

    Args:
        active_dbfs: RMS level of the active time, dBFS; None for none.
        share: active part of the time, 0 to 1.
        peak_dbfs: level of the loudest sample, dBFS; None for digital silence.
    """
    if active_dbfs is None:
        return DIGITAL_SILENCE if peak_dbfs is None else f"{NO_SPEECH}, peak {peak_dbfs:.1f} dBFS"
    return f"speech {active_dbfs:.1f} dBFS, {percent(share)} % of the time"


def percent(share: float) -> int:
    """A share as a whole percentage; a half goes up, as on the call's page."""
    return math.floor(100 * share + 0.5)


def data_size(size: int) -> str:
    """Bytes in the decimal unit that suits them: `999 bytes`, `1.2 kB`, `3.4 MB`."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
