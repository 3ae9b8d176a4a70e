"""A session of boto3 whose clients the threads share, and which makes each of them once.

A client costs processor and memory that comes back late, and a call needs four. A run of a thousand calls spent most of
its time on them. Clients are safe to share between threads; only their making is not.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final, override

import boto3
from botocore.config import Config

_MOST: Final = 64
"""Clients that are kept. An account has few data endpoints in a region; beyond, the one that is longest unused goes."""
_CONNECTIONS: Final = Config(max_pool_connections=64)
"""Twice the calls at the same time: a call may have two requests of one kind open."""


class SharedSession(boto3.Session):
    """A session that makes each client once. Closing such a client does nothing; it ends with the process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._making = threading.Lock()
        self._made: OrderedDict[tuple[str, ...], _SharedClient] = OrderedDict()

    @override
    def client(self, *arguments: Any, **options: Any) -> Any:
        """Return the client of a service, with the same options the same one.

        Args:
            arguments: the service's name.
            options: as boto3 has them.
        """
        config: Config = options.get("config") or Config()
        named = {name: str(value) for name, value in options.items() if name != "config"}
        settings = {name: repr(value) for name, value in vars(config).items()}
        key = (*arguments, repr(sorted(named.items())), repr(sorted(settings.items())))
        with self._making:
            if key not in self._made:
                options["config"] = config.merge(_CONNECTIONS)
                self._made[key] = _SharedClient(super().client(*arguments, **options))
                if len(self._made) > _MOST:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]


class _SharedClient:
    """A client that no user of it can close under another one."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def close(self) -> None:
        """Do nothing."""
