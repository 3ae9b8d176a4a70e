"""The listing of a stream's retained fragments: ListFragments as the `FragmentIndex` port.

Pages come in no order, and a page may repeat a fragment of another one. So the whole range is read, and then sorted by
the fragment numbers as integers, which exceed 64 bits.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from connect_audio.adapters.kvs_endpoint import CONNECT_TIMEOUT_S, CONTROL_CONFIG, DataEndpoint, name_of, region_of
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError
from connect_audio.ports import ListedFragment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_kinesis_video_archived_media import KinesisVideoArchivedMediaClient
    from mypy_boto3_kinesis_video_archived_media.literals import FragmentSelectorTypeType
    from mypy_boto3_kinesis_video_archived_media.type_defs import FragmentTypeDef

    from connect_audio.ports import Clock

MOST_RESULTS: Final = 1000
"""Most fragments of a page; the service model's bound, which botocore does not check. ListFragments refuses more."""
_MOST_TRIES: Final = 6
"""Tries of one page while ListFragments is throttled; then the throttle is raised. It allows 5 calls a second a
stream."""
_PAUSE_S: Final = 1.0
"""Pause before a throttled page is asked for again, s: the limit counts the calls of one second."""
_THROTTLED: Final = "ClientLimitExceededException"
_INVALID: Final = "InvalidArgumentException"
_NOT_FOUND: Final = "ResourceNotFoundException"
# The service has no code of its own for it: "End timestamp N is outside of the stream retention period."
_OUTSIDE: Final = "outside of the stream retention"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONFIG: Final = Config(
    connect_timeout=CONNECT_TIMEOUT_S, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)


class KvsFragmentIndex:
    """One stream's listing.

    Args:
        stream_arn: the stream's ARN; the region is taken from it.
        session: gives credentials; None for a default session.
        clock: for the age of the cached endpoint, and for pauses.
        page_size: fragments that one call asks for, 1 to 1000.

    Raises:
        ValueError: the page's size is out of bounds.
    """

    def __init__(
        self,
        stream_arn: str,
        *,
        session: boto3.Session | None = None,
        clock: Clock | None = None,
        page_size: int = MOST_RESULTS,
    ) -> None:
        if not 1 <= page_size <= MOST_RESULTS:
            raise ValueError(f"a page of {page_size} fragments: ListFragments gives 1 to {MOST_RESULTS}")
        self._stream_arn = stream_arn
        self._clock = clock or SystemClock()
        self._page_size = page_size
        session, region = session or boto3.Session(), region_of(stream_arn)

        def archive_client(endpoint: str) -> KinesisVideoArchivedMediaClient:
            return session.client(
                "kinesis-video-archived-media", region_name=region, endpoint_url=endpoint, config=_CONFIG
            )

        self._control = session.client("kinesisvideo", region_name=region, config=CONTROL_CONFIG)
        self._archive = DataEndpoint(self._control, stream_arn, "LIST_FRAGMENTS", archive_client, self._clock)

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        """Return the fragments that begin in a range of producer time, each once, in order of their numbers.

        A range of producer time that is not kept has an empty answer, or one that the stream is not found. So an empty
        range is asked for once more by the server's time, for which the service names the cause.

        Args:
            from_ms: least begin, ms since the epoch, inclusive.
            to_ms: greatest begin, ms since the epoch, inclusive.

        Raises:
            MediaSourceError: ListFragments failed; the code is `OUTSIDE_RETENTION` if the stream does not keep that
                time.
            ValueError: the range ends before it begins.
        """
        if from_ms > to_ms:
            raise ValueError(f"a range from {from_ms} to {to_ms} ms ends before it begins")
        not_found: MediaSourceError | None = None
        found: list[ListedFragment] = []
        try:
            found = self._listed("PRODUCER_TIMESTAMP", from_ms, to_ms)
        except MediaSourceError as error:
            if error.code != _NOT_FOUND:
                raise
            not_found = error
        if not found:
            self._check_kept(from_ms, to_ms, not_found)
        # The service may compare with a coarser precision than milliseconds.
        kept = {each.number: each for each in found if from_ms <= each.producer_ms <= to_ms}
        return sorted(kept.values(), key=lambda each: int(each.number))

    def close(self) -> None:
        """Close the pooled connections. May be called twice."""
        self._archive.drop()
        self._control.close()

    def _check_kept(self, from_ms: int, to_ms: int, not_found: MediaSourceError | None) -> None:
        """Ask by the server's time whether the stream keeps a range in which nothing was found."""
        try:
            self._listed("SERVER_TIMESTAMP", from_ms, to_ms)
        except MediaSourceError as error:
            if error.code == _INVALID and _OUTSIDE in str(error):
                raise MediaSourceError(OUTSIDE_RETENTION, str(error), retryable=False) from error
            raise (not_found or error) from error

    def _listed(self, kind: FragmentSelectorTypeType, from_ms: int, to_ms: int) -> list[ListedFragment]:
        span = {"StartTimestamp": _time(from_ms), "EndTimestamp": _time(to_ms)}
        question: dict[str, Any] = {"FragmentSelector": {"FragmentSelectorType": kind, "TimestampRange": span}}
        found: list[ListedFragment] = []
        tokens: set[str] = set()
        while True:
            page, token = self._page(question)
            found += [listed for each in page if (listed := _listed(each)) is not None]
            if not token:
                return found
            if token in tokens:
                message = f"ListFragments of stream {name_of(self._stream_arn)} gave one NextToken twice"
                raise MediaSourceError("RepeatedNextToken", message, retryable=True)
            tokens.add(token)
            question = {"NextToken": token}

    def _page(self, question: dict[str, Any]) -> tuple[Sequence[FragmentTypeDef], str | None]:
        """Ask for one page; again after a throttle, and once at a fresh endpoint after an answer without a list."""
        tries, has_moved = 0, False
        while True:
            tries += 1
            try:
                with self._archive.asked("ListFragments") as client:
                    answer: Any = client.list_fragments(
                        StreamARN=self._stream_arn, MaxResults=self._page_size, **question
                    )
            except MediaSourceError as error:
                if error.code != _THROTTLED or tries >= _MOST_TRIES:
                    raise
                self._clock.sleep(_PAUSE_S)
                continue
            if "Fragments" not in answer and not has_moved:
                # An endpoint of another operation answers an empty object. If the next one does too, the page is empty.
                self._archive.drop()
                has_moved = True
                continue
            return answer.get("Fragments", []), answer.get("NextToken")


def _listed(fragment: FragmentTypeDef) -> ListedFragment | None:
    number, producer, server = (
        fragment.get("FragmentNumber", ""),
        fragment.get("ProducerTimestamp"),
        fragment.get("ServerTimestamp"),
    )
    if not (number.isascii() and number.isdecimal()) or producer is None:
        return None
    producer_ms = _ms(producer)
    return ListedFragment(
        number=number,
        producer_ms=producer_ms,
        server_ms=producer_ms if server is None else _ms(server),
        length_ms=fragment.get("FragmentLengthInMilliseconds", 0),
        size=fragment.get("FragmentSizeInBytes", 0),
    )


def _time(ms: int) -> datetime:
    # By integers: a float's rounding could ask for the millisecond after.
    return _EPOCH + timedelta(milliseconds=ms)


def _ms(time: datetime) -> int:
    return (time - _EPOCH + timedelta(microseconds=500)) // timedelta(milliseconds=1)
