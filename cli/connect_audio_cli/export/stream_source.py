"""A stream after the call, in its pace: by GetMedia, by the archive, or by both, as `--api` says."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from connect_audio.adapters.kvs_archive import KvsArchiveSource
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.recorder.either_source import EitherSource
from connect_audio_cli.export.pace import PacedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from boto3 import Session

    from connect_audio.ports import ListedFragment, MediaSource
    from connect_audio_cli.export.pace import StreamPace


class Api(StrEnum):
    """The operation by which a stream is read."""

    AUTO = "auto"
    """GetMedia, and the archive where GetMedia is denied or a place of it fails."""
    MEDIA = "media"
    """GetMedia."""
    ARCHIVE = "archive"
    """GetMediaForFragmentList."""


@contextmanager
def stream_source(
    stream_arn: str,
    api: Api,
    listing: Callable[[], Sequence[ListedFragment]],
    *,
    session: Session,
    pace: StreamPace,
    archive_first: bool = False,
) -> Iterator[MediaSource]:
    """Give a stream to read; leaving the context closes its connections.

    Args:
        stream_arn: the stream's ARN.
        api: the operation.
        listing: lists the fragments that the archive is asked for; called when the archive is first needed.
        session: gives credentials.
        pace: the stream's pace.
        archive_first: True if `Api.AUTO` reads the archive first, and GetMedia where that fails.
    """
    with ExitStack() as stack:

        def media() -> MediaSource:
            source = stack.enter_context(closing(KvsMediaSource(stream_arn, session=session)))
            return PacedSource(source, pace.media)

        def archive() -> MediaSource:
            source = stack.enter_context(closing(KvsArchiveSource(stream_arn, listing=listing, session=session)))
            return PacedSource(source, pace.media)

        match api:
            case Api.AUTO:
                yield EitherSource(media(), archive, archive_first=archive_first)
            case Api.MEDIA:
                yield media()
            case Api.ARCHIVE:
                yield archive()
