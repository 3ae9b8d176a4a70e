"""A session of boto3 that threads may share. The making of a client is not safe: one thread at a time does it."""

from __future__ import annotations

import threading
from typing import Any, override

import boto3


class SharedSession(boto3.Session):
    """A session with a lock around the making of clients."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._making = threading.Lock()

    @override
    def client(self, *arguments: Any, **options: Any) -> Any:
        """Make a client, as boto3 does."""
        with self._making:
            return super().client(*arguments, **options)
