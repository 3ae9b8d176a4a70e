"""A call's stream after its end, for the functions: GetMedia and the archive as one source.

Used by the consumer's repair and its mode `archive`, and by the backfill's worker.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from connect_audio.recorder.either_source import EitherSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from boto3 import Session

    from connect_audio.ports import Clock, ListedFragment, Log, MediaSource


@contextmanager
def late_source(
    media: MediaSource,
    stream_arn: str,
    listing: Callable[[], Sequence[ListedFragment]],
    *,
    session: Session,
    clock: Clock,
    logger: Log,
    archive_first: bool = False,
) -> Iterator[MediaSource]:
    """Give one call's stream to read; leaving the context closes the archive's connections.

    Args:
        media: the stream by GetMedia.
        stream_arn: the stream's ARN.
        listing: lists the fragments that the archive is asked for; called when the archive is first needed.
        session: gives credentials.
        clock: for pauses.
        logger: takes ids and numbers.
        archive_first: True to read the archive first.
    """
    with ExitStack() as stack:

        def archive() -> MediaSource:
            # Most calls are read by GetMedia alone, and do not pay for the archive's modules.
            from connect_audio.adapters.kvs_archive import KvsArchiveSource  # noqa: PLC0415

            source = KvsArchiveSource(stream_arn, listing=listing, session=session, clock=clock)
            return stack.enter_context(closing(source))

        yield EitherSource(media, archive, archive_first=archive_first, logger=logger)
