"""Tables as plain lines: names with their values, and columns under headings.

On a terminal lines end at its width; a pipe or a file gets them whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TextIO

from connect_audio.values import dataclass
from connect_audio_cli.output.terminal import cells, is_terminal, shows_color, width

_LEAST_VALUE_COLUMNS: Final = 20
"""Values are not wrapped to less than this, however narrow the terminal."""
_COLORS: Final = {"red": "\x1b[31m", "yellow": "\x1b[33m", "bold": "\x1b[1m"}
_PLAIN: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Args:
        cells: one text a column.
        style: `red`, `yellow`, `bold`, or empty.
    """

    cells: Sequence[str]
    style: str = ""


def print_values(rows: Iterable[tuple[str, str]], out: TextIO | None = None) -> None:
    """Print names and values in two columns; a long value goes on under itself.

    Args:
        rows: name and value.
        out: target; standard output by default.
    """
    out = out or sys.stdout
    listed = list(rows)
    indent = 2 + max((cells(name) for name, _ in listed), default=0)
    columns = max(width() - indent, _LEAST_VALUE_COLUMNS) if is_terminal(out) else None
    for name, value in listed:
        head = name
        for line in _wrapped(value, columns):
            out.write(f"{_padded(head, indent)}{line}".rstrip() + "\n")
            head = ""


def print_table(headings: Sequence[str], rows: Iterable[Row], *, right: Iterable[int] = ()) -> None:
    """Print columns, each as wide as its widest text, on standard output. Lines too long for a terminal are cut.

    Args:
        headings: one a column.
        rows: the rows.
        right: indexes of the columns that are aligned to the right.
    """
    out = sys.stdout
    listed = [Row(headings, "bold"), *rows]
    widths = [max(cells(row.cells[column]) for row in listed) for column in range(len(headings))]
    to_right = frozenset(right)
    limit = width() if is_terminal(out) else None
    color = shows_color(out)
    for row in listed:
        line = " ".join(
            _padded(text, widths[column], right=column in to_right) for column, text in enumerate(row.cells)
        ).rstrip()
        if limit is not None:
            line = _cut(line, limit)
        out.write(f"{_COLORS[row.style]}{line}{_PLAIN}\n" if color and row.style else f"{line}\n")


def _padded(text: str, columns: int, *, right: bool = False) -> str:
    space = " " * (columns - cells(text))
    return space + text if right else text + space


def _cut(text: str, columns: int) -> str:
    if cells(text) <= columns:
        return text
    kept = text[: columns - 1]
    while cells(kept) > columns - 1:
        kept = kept[:-1]
    return f"{kept}…"


def _wrapped(text: str, columns: int | None) -> Iterator[str]:
    """Break a text at spaces; a word longer than a line is broken anywhere."""
    if columns is None or cells(text) <= columns:
        yield text
        return
    line = ""
    for word in text.split(" "):
        if line and cells(line) + 1 + cells(word) <= columns:
            line += f" {word}"
            continue
        if line:
            yield line
        line = word
        while cells(line) > columns:
            kept = line[:columns]
            while cells(kept) > columns:
                kept = kept[:-1]
            yield kept
            line = line[len(kept) :]
    yield line
