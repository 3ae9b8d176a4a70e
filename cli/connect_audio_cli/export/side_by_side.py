"""Work on many rows at the same time, with at most a few rows of one stream among them.

The threads are daemons: an interrupt does not wait for a call to end, and what a call leaves is resumable. Each thread
works on one row after the other. With a thread for each row, the allocator kept memory for more and more of them.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from connect_audio_cli.export.rows import Row


def side_by_side[Result](
    rows: Iterable[Row], work: Callable[[Row], Result], *, at_once: int, of_a_stream: int
) -> Iterator[tuple[Row, Result]]:
    """Do some work for each row, and give the results as they come.

    The streams take turns. Rows of one stream begin in their order.

    Args:
        rows: the rows.
        work: is called in one of the threads.
        at_once: most rows at the same time.
        of_a_stream: most rows of one stream at the same time.

    Raises:
        Exception: the work's own; the rows that have not begun never do.
    """
    waiting: dict[str, deque[Row]] = defaultdict(deque)
    for row in rows:
        waiting[row.stream_name].append(row)
    begun: SimpleQueue[Row | None] = SimpleQueue()
    results: SimpleQueue[tuple[Row, Result | Exception]] = SimpleQueue()

    def run() -> None:
        while (row := begun.get()) is not None:
            try:
                results.put((row, work(row)))
            except Exception as error:  # noqa: BLE001 - the consumer's thread raises it
                results.put((row, error))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(at_once, sum(map(len, waiting.values()))))]
    for thread in threads:
        thread.start()
    try:
        yield from _results(waiting, begun, results, at_once, of_a_stream)
    finally:
        for _ in threads:
            begun.put(None)


def _results[Result](
    waiting: dict[str, deque[Row]],
    begun: SimpleQueue[Row | None],
    results: SimpleQueue[tuple[Row, Result | Exception]],
    at_once: int,
    of_a_stream: int,
) -> Iterator[tuple[Row, Result]]:
    """Hand out the rows in turns, and give the results as they come."""
    ready = deque(waiting)
    running: Counter[str] = Counter()
    while waiting:
        while ready and running.total() < at_once:
            name = ready.popleft()
            running[name] += 1
            begun.put(waiting[name].popleft())
            if waiting[name] and running[name] < of_a_stream:
                ready.append(name)
        row, result = results.get()
        name = row.stream_name
        running[name] -= 1
        if waiting[name] and name not in ready:
            ready.append(name)
        elif not waiting[name] and not running[name]:
            del waiting[name]
        if isinstance(result, Exception):
            raise result
        yield row, result
