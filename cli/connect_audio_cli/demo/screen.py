"""The screen of the demos: rich's console, its progress bar, and paths that stay whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from connect_audio_cli.output.terminal import width

_WIDTH_WITHOUT_TERMINAL: Final = 200
"""Columns of a pipe or a file: wide enough that no table has to cut anything short."""


def demo_console(*, shown: bool = True) -> Console:
    """A console on what is standard output now: later the handlers' output goes to a file in its place.

    Args:
        shown: False where nothing is to be shown.
    """
    console = Console(file=sys.stdout, highlight=False, emoji=False, quiet=not shown)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    elif console.is_dumb_terminal:
        console.size = ConsoleDimensions(width(), console.height)  # rich takes any dumb terminal for one of 80 columns
    return console


def call_progress(console: Console) -> Progress:
    """A bar with the time that is left, on a terminal alone; gone when the call is over.

    rich takes standard output for itself by default, away from the file of the handlers' output.
    """
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or console.quiet,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def print_place(console: Console, name: str, place: Path | str) -> None:
    """Print where something lies, on a line of its own that a terminal may wrap and nothing cuts."""
    console.print(name, markup=False)
    console.print(f"  {place}", markup=False, soft_wrap=True)
