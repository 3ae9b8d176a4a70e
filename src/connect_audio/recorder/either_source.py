"""A stream after the call, by one source first and by the other where the first is denied or a place of it fails.

How it works. The first source is GetMedia, or the archive for a repair: GetMedia has left something out before. Each
`open` chooses one of the two:

    the other one   if AWS has denied the first, or if its newest body failed at the place that is asked for
    the first       otherwise, so also behind each body of the other one

A body failed at a place if the next reading begins where it began. It failed there, too, if the recorder left it
before its end and begins behind a fragment. It does so at damaged bytes, and at an error that KVS reports inside a
body. If the archive cannot be read, the place is GetMedia's. Both give the same fragments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import AfterFragment

if TYPE_CHECKING:
    from collections.abc import Callable

    from connect_audio.ports import Log, MediaSource, MediaStream, StartSelector

DENIALS: Final = frozenset({"AccessDeniedException", "NotAuthorizedException"})
"""Codes of a call that the caller has no right to. Kinesis Video Streams has the second one beside IAM's."""


class EitherSource:
    """One stream, by GetMedia or by its archive. For one thread, and one call.

    Args:
        media: the stream by GetMedia.
        archive: makes the stream by GetMediaForFragmentList; called once, when it is first needed.
        archive_first: True to read the archive first.
        logger: logs an operation that AWS denies; None to log nothing.
    """

    def __init__(
        self,
        media: MediaSource,
        archive: Callable[[], MediaSource],
        *,
        archive_first: bool = False,
        logger: Log | None = None,
    ) -> None:
        self._media, self._make_archive, self._logger = media, archive, logger
        self._archive: MediaSource | None = None
        self._first, self._other = (_ARCHIVE, _MEDIA) if archive_first else (_MEDIA, _ARCHIVE)
        self._denied: dict[str, MediaSourceError] = {}
        self._newest: _Body | None = None

    def retention_hours(self) -> int:
        """DataRetentionInHours of the stream.

        Raises:
            MediaSourceError: DescribeStream failed.
        """
        return self._media.retention_hours()

    def open(self, start: StartSelector) -> MediaStream:
        """Open the stream by the source that can give the place.

        Raises:
            MediaSourceError: the source failed. The message names both rights if both are denied.
        """
        newest, self._newest = self._newest, None
        has_failed = newest is not None and newest.failed_at(start)
        for operation in (self._other, self._first) if has_failed else (self._first, self._other):
            if operation in self._denied:
                continue
            try:
                return self._opened(operation, start)
            except MediaSourceError as error:
                if error.code in DENIALS:
                    self._deny(operation, error)
                elif operation == _MEDIA or _MEDIA in self._denied:
                    raise
        raise self._refusal()

    def _opened(self, operation: str, start: StartSelector) -> MediaStream:
        stream = self._media.open(start) if operation == _MEDIA else self._by_archive(start)
        if operation != self._first:
            return stream
        self._newest = _Body(stream, start)
        return self._newest

    def _by_archive(self, start: StartSelector) -> MediaStream:
        if self._archive is None:
            self._archive = self._make_archive()
        return self._archive.open(start)

    def _deny(self, operation: str, error: MediaSourceError) -> None:
        self._denied[operation] = error
        if self._logger is not None:
            self._logger.warning(
                "operation denied: the stream is read by the other one, if it may be",
                extra={"operation": operation, "code": error.code},
            )

    def _refusal(self) -> MediaSourceError:
        """The one error for two denied operations."""
        denied = [self._denied[operation] for operation in (_MEDIA, _ARCHIVE)]
        said = "; ".join(str(each).removeprefix(f"{each.code}: ") for each in denied)
        message = f"one of the rights kinesisvideo:{_MEDIA} and kinesisvideo:{_ARCHIVE} is needed: {said}"
        return MediaSourceError(denied[0].code, message, retryable=False)


_MEDIA: Final = "GetMedia"
_ARCHIVE: Final = "GetMediaForFragmentList"


class _Body:
    """A body of the first source, and how its reading ended."""

    def __init__(self, stream: MediaStream, start: StartSelector) -> None:
        self._stream, self._start = stream, start
        self._is_over = False

    def failed_at(self, start: StartSelector) -> bool:
        """Return True if a reading that begins now begins at a place that this body could not give."""
        return start == self._start or (isinstance(start, AfterFragment) and not self._is_over)

    def read(self) -> bytes:
        """Return the next bytes.

        Raises:
            MediaSourceError: the connection broke or stalled.
        """
        try:
            data = self._stream.read()
        except MediaSourceError:
            self._is_over = True
            raise
        self._is_over = not data
        return data

    def close(self) -> None:
        """Close the connection. May be called twice."""
        self._stream.close()
