"""How the command speaks: results on stdout, progress on stderr. Every sub-command uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

# The width for a pipe or a file: enough for every table.
_WIDTH_WITHOUT_TERMINAL = 200


def stdout_console() -> Console:
    """For results. No markup and no highlighting: the text may come from a capture."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


@contextmanager
def progress_of(
    chunks: Iterable[bytes], *, what: str, total: int | None, shown: bool = True
) -> Iterator[Iterator[bytes]]:
    """Show how far the reading of a capture is, on stderr and only on a terminal.

    Args:
        chunks: the capture.
        what: the verb before the bar.
        total: bytes in all, None where unknown.
        shown: False where results are printed meanwhile, on the same terminal.

    Yields:
        The same chunks.
    """
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield iter(chunks)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)

        def counted() -> Iterator[bytes]:
            for chunk in chunks:
                yield chunk
                progress.advance(task, len(chunk))

        yield counted()
