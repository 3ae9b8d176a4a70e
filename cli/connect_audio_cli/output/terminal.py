"""The terminal of the command: its presence, its width, its colors."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import Final, TextIO

_DEFAULT_COLUMNS: Final = 80
"""Columns of a terminal without a known width, and of help that goes to a file."""


def is_terminal(stream: TextIO) -> bool:
    """Return True if a person may be looking at it."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal: the variable COLUMNS, the terminal's own width, or 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            columns = os.get_terminal_size(stream.fileno()).columns if stream else 0
        except (OSError, ValueError):
            continue
        if columns:
            return columns
    return _DEFAULT_COLUMNS


def shows_color(stream: TextIO) -> bool:
    """Return True if colors are shown: on a terminal, unless the variable NO_COLOR is set (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def cells(text: str) -> int:
    """Columns that a text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def can_show(text: str) -> bool:
    """Return True if the encoding of standard output has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
