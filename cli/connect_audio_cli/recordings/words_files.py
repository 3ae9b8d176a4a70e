"""The files of words beside a recording: transcript and captions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

WORDS_ENDINGS: Final = (".transcript.json", ".vtt")
"""Endings of the two files; the WAV's name without its ending comes before."""


def words_beside(wav: Path) -> list[Path]:
    """Return the files of words that lie beside a WAV, which need not be there.

    Args:
        wav: path of the WAV.
    """
    return [path for ending in WORDS_ENDINGS if (path := wav.with_name(wav.stem + ending)).exists()]
