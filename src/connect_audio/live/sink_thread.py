"""A thread of one sink: it makes the sink, and then runs all its code.

Sinks may keep things that belong to a thread, such as a database connection. So one thread does all work of a sink.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class SinkThread(threading.Thread):
    """Runs works one after the other. A work handles its own exceptions.

    Args:
        name: name of the sink.

    Raises:
        RuntimeError: `start`, if the machine has no more threads.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=f"live-{name}", daemon=True)
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, work: Callable[[], None]) -> None:
        """Run a work after all earlier ones."""
        self._works.put(work)

    def finish(self) -> None:
        """End the thread once it has run all works submitted before."""
        self._works.put(None)

    def run(self) -> None:
        """Run the works until `finish`."""
        while (work := self._works.get()) is not None:
            work()
