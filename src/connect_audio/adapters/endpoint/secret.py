"""The secret of an endpoint: the port of its senders, and a secret that the caller knows.

`stored_secret` reads one from AWS. This module imports no client of AWS, so that `replay` can sign without.
"""

from __future__ import annotations

from typing import Final, Protocol

SHORTEST_SECRET: Final = 16
"""Characters. HMAC takes any; fewer can be guessed."""


class SecretSource(Protocol):
    """Gives the secret."""

    def __call__(self, *, fresh: bool = False) -> bytes:
        """Return the secret.

        Args:
            fresh: True to fetch the secret now, since the kept one was refused.

        Raises:
            SinkError: it cannot be had.
        """

    def close(self) -> None:
        """Release what is held. May be called twice."""


class KnownSecret:
    """A secret that the caller has, for senders on a developer's machine.

    Args:
        secret: the key.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __call__(self, *, fresh: bool = False) -> bytes:  # noqa: ARG002 - there is no other
        """Return it."""
        return self._secret

    def close(self) -> None:
        """Nothing is held."""
