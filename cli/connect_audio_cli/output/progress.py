"""How far a command is: one line on standard error, on a terminal alone, gone when the work is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from connect_audio_cli.output.formatting import data_size
from connect_audio_cli.output.terminal import is_terminal, width

_BAR_COLUMNS: Final = 40
_INTERVAL_S: Final = 0.1
"""Between two pictures; more often would cost time and flicker."""
_CLEAR_LINE: Final = "\r\x1b[2K"


class Progress:
    """A line that shows the progress of the work.

    Args:
        what: the verb before the bar.
        total: units in all; None where unknown.
        in_bytes: True if units are bytes, which are shown in numbers, too.
    """

    def __init__(self, what: str, total: float | None, *, in_bytes: bool = False) -> None:
        self._what = what
        self._total = total
        self._in_bytes = in_bytes
        self._done = 0
        self._began_s = time.monotonic()
        self._shown_s = -_INTERVAL_S
        self._out = sys.stderr  # it stays the terminal when an interrupt mutes what threads say

    def advance(self, units: int = 1) -> None:
        """Count units, and show the line again if it is time."""
        self._done += units
        now_s = time.monotonic()
        if now_s - self._shown_s >= _INTERVAL_S:
            self._shown_s = now_s
            self._out.write(_CLEAR_LINE + self._line(now_s - self._began_s, max(width() - 1, 1)))
            self._out.flush()

    def clear(self) -> None:
        """Take the line away; the next units show it again at once."""
        self._shown_s = -_INTERVAL_S
        self._out.write(_CLEAR_LINE)
        self._out.flush()

    def _line(self, elapsed_s: float, columns: int) -> str:
        """The verb, a bar, the units, the elapsed time, and the time that is left if the rest takes as long."""
        share = min(1.0, self._done / self._total) if self._total else None
        texts = []
        if self._in_bytes:
            texts.append(data_size(self._done) + (f"/{data_size(round(self._total))}" if self._total else ""))
        texts.append(_clock(elapsed_s))
        if share:
            texts.append(f"{_clock(elapsed_s / share - elapsed_s)} left")
        room = min(_BAR_COLUMNS, columns - len(" ".join([self._what, "", *texts])))
        bar = [] if share is None or room < 1 else [("━" * round(room * share)).ljust(room)]
        return " ".join([self._what, *bar, *texts])[:columns]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


@contextmanager
def progress_of(
    chunks: Iterable[bytes], *, what: str, total: int | None, shown: bool = True
) -> Iterator[Iterator[bytes]]:
    """Show how far the reading of a capture is.

    Args:
        chunks: the capture.
        what: the verb before the bar.
        total: bytes in all, None where unknown.
        shown: False where results are printed meanwhile, on the same terminal.

    Yields:
        The same chunks.
    """
    if not shown or not is_terminal(sys.stderr):
        yield iter(chunks)
        return
    progress = Progress(what, total, in_bytes=True)
    try:
        yield _counted(chunks, progress)
    finally:
        progress.clear()


def _counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        progress.advance(len(chunk))


def tracked[Item](
    items: Iterable[Item], *, what: str, total: float | None, shown: bool = True, with_lines: bool = False
) -> Iterator[Item]:
    """Show how far some work is that gives its results one by one.

    Args:
        items: the results.
        what: the verb before the bar.
        total: how many there will be, None where unknown.
        shown: False where nothing is to be shown.
        with_lines: True where the caller writes lines on the same terminal. The bar makes way for each.
    """
    if not shown or not is_terminal(sys.stderr):
        yield from items
        return
    progress = Progress(what, total)
    try:
        for item in items:
            if with_lines:
                progress.clear()
            yield item
            progress.advance()
    finally:
        progress.clear()
