"""A stream after the call, by GetMedia first and by the archive where GetMedia is denied or a place of it fails.

How it works. Each `open` chooses one of the two sources:

    the archive   if AWS has denied GetMedia, or if the newest GetMedia failed at the place that is asked for
    GetMedia      otherwise, so also behind each body of the archive

GetMedia failed at a place if the next reading begins where it began. It failed there, too, if the recorder left it
before its end and begins behind a fragment. It does so at damaged bytes, and at an error that KVS reports inside a
body. If the archive cannot be read either, the place is GetMedia's again. Both give the same fragments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import AfterFragment

if TYPE_CHECKING:
    from collections.abc import Callable

    from connect_audio.ports import MediaSource, MediaStream, StartSelector

DENIALS: Final = frozenset({"AccessDeniedException", "NotAuthorizedException"})
"""Codes of a call that the caller has no right to. Kinesis Video Streams has the second one beside IAM's."""


class EitherSource:
    """One stream, by GetMedia or by its archive. For one thread, and one call.

    Args:
        media: the stream by GetMedia.
        archive: makes the stream by GetMediaForFragmentList; called once, when it is first needed.
    """

    def __init__(self, media: MediaSource, archive: Callable[[], MediaSource]) -> None:
        self._media, self._make_archive = media, archive
        self._archive: MediaSource | None = None
        self._denied: dict[str, MediaSourceError] = {}
        self._newest: _GetMedia | None = None

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
        if _MEDIA not in self._denied:
            if newest is not None and newest.failed_at(start) and _ARCHIVE not in self._denied:
                try:
                    return self._by_archive(start)
                except MediaSourceError as error:
                    self._note(_ARCHIVE, error)
            try:
                self._newest = _GetMedia(self._media.open(start), start)
            except MediaSourceError as error:
                if not self._note(_MEDIA, error):
                    raise
            else:
                return self._newest
        denied = self._denied[_MEDIA]
        try:
            return self._by_archive(start)
        except MediaSourceError as error:
            if not self._note(_ARCHIVE, error):
                raise
            said = "; ".join(str(each).removeprefix(f"{each.code}: ") for each in (denied, error))
            message = f"one of the rights kinesisvideo:{_MEDIA} and kinesisvideo:{_ARCHIVE} is needed: {said}"
            raise MediaSourceError(denied.code, message, retryable=False) from error

    def _by_archive(self, start: StartSelector) -> MediaStream:
        if self._archive is None:
            self._archive = self._make_archive()
        return self._archive.open(start)

    def _note(self, operation: str, error: MediaSourceError) -> bool:
        """Note a denied operation. Return False for another failure."""
        if error.code in DENIALS:
            self._denied[operation] = error
        return error.code in DENIALS


_MEDIA: Final = "GetMedia"
_ARCHIVE: Final = "GetMediaForFragmentList"


class _GetMedia:
    """A body of GetMedia, and how its reading ended."""

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
