"""A process that ends between two calls of the store."""

from __future__ import annotations

from support.store import MemoryStore


class KilledError(BaseException):
    """The process ends between two calls of S3."""


def kill_before(store: MemoryStore, call_number: int | None) -> None:
    """Kill the process before a call of the store.

    Args:
        store: counts its calls from here on.
        call_number: which one, from 1; None for none.
    """
    calls = 0

    def count(_name: str) -> None:
        nonlocal calls
        calls += 1
        if calls == call_number:
            raise KilledError

    store.before_call = count
