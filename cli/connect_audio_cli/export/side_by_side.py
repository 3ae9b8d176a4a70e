"""Work on many rows at the same time, with at most a few rows of one stream among them.

The threads are daemons: an interrupt does not wait for a call to end, and what a call leaves is resumable.
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
        work: is called in a thread of its own.
        at_once: most rows at the same time.
        of_a_stream: most rows of one stream at the same time.

    Raises:
        Exception: the work's own; the rows that have not begun never do.
    """
    waiting: dict[str, deque[Row]] = defaultdict(deque)
    for row in rows:
        waiting[row.stream_name].append(row)
    ready = deque(waiting)
    running: Counter[str] = Counter()
    results: SimpleQueue[tuple[Row, Result | Exception]] = SimpleQueue()

    def run(row: Row) -> None:
        try:
            results.put((row, work(row)))
        except Exception as error:  # noqa: BLE001 - the consumer's thread raises it
            results.put((row, error))

    while waiting:
        while ready and running.total() < at_once:
            name = ready.popleft()
            running[name] += 1
            threading.Thread(target=run, args=(waiting[name].popleft(),), daemon=True).start()
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
