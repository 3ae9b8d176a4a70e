"""The console of the demos."""

from __future__ import annotations

from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 200
"""Columns of a pipe or a file: wide enough that no table has to cut anything short."""


def demo_console() -> Console:
    """For results on standard output. No markup and no highlighting: file names are in it."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
