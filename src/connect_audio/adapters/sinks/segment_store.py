"""The place of a call's segments and their index, as a port; a bucket and a folder implement it."""

from __future__ import annotations

from typing import Protocol


class SegmentStore(Protocol):
    """A place for one call's segments. Names are plain: letters, digits, `-` and `.`, no folders.

    Every call returns or fails within 7 seconds, since nothing can interrupt it.
    """

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Write a file whole, replacing any: a reader sees the old one or the new one.

        Raises:
            SinkError: the file was not written; `retryable` says whether another try may succeed.
        """

    def get(self, name: str) -> bytes | None:
        """Read a file, or None where there is no such file.

        Raises:
            SinkError: as `put`.
        """

    def close(self) -> None:
        """Release what is held; must not raise."""
