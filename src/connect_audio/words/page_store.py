"""The place of a call's pages of words, as a port; the places of segments have the same methods."""

from __future__ import annotations

from typing import Protocol


class PageStore(Protocol):
    """A place for one call's pages. Every call returns or fails within 7 seconds, since nothing can interrupt it."""

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Write a page whole, replacing any.

        Raises:
            SinkError: the page was not written; `retryable` says whether another try may succeed.
        """

    def get(self, name: str) -> bytes | None:
        """Read a page; None if there is none.

        Raises:
            SinkError: as `put`.
        """

    def close(self) -> None:
        """Release all resources; must not raise."""
