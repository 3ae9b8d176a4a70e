"""The data endpoint of one KVS operation on one stream, and the failures of KVS as `MediaSourceError`.

GetMedia and each archive operation have endpoints of their own. Used by the adapters of Kinesis Video Streams.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from botocore.config import Config

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, failure_of
from connect_audio.core.errors import MediaSourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mypy_boto3_kinesisvideo import KinesisVideoClient
    from mypy_boto3_kinesisvideo.literals import APINameType

    from connect_audio.ports import Clock

ENDPOINT_LIFE_S: Final = 45 * 60.0
"""Age at which a cached endpoint is asked for again, s. It may move; AWS asks to cache it and gives it for about an
hour."""
CONNECT_TIMEOUT_S: Final = 3.0
"""Longest wait for a connection, s; a longer one counts as a network failure."""
CONTROL_CONFIG: Final = Config(
    connect_timeout=CONNECT_TIMEOUT_S, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
)
"""DescribeStream and GetDataEndpoint: quick calls, one retry by the SDK for a stale connection or a passing 5xx."""

THROTTLES: Final = frozenset({"ClientLimitExceededException", "ConnectionLimitExceededException"})
"""Codes that say nothing against the endpoint: asking for it again would only use up GetDataEndpoint's 5 TPS."""


class _Closeable(Protocol):
    def close(self) -> None: ...


class DataEndpoint[Client: _Closeable]:
    """A client of one operation's data endpoint, made when it is first needed and cached.

    Args:
        control: the client that is asked for the endpoint; its owner closes it.
        stream_arn: the stream's ARN.
        api_name: the operation, as GetDataEndpoint names it.
        make: makes a client of an endpoint's URL; ValueError for what is no URL.
        clock: for the age of the cached endpoint.
    """

    def __init__(
        self,
        control: KinesisVideoClient,
        stream_arn: str,
        api_name: APINameType,
        make: Callable[[str], Client],
        clock: Clock,
    ) -> None:
        self._control = control
        self._stream_arn = stream_arn
        self._api_name = api_name
        self._make = make
        self._clock = clock
        self._client: Client | None = None
        self._since_s = 0.0

    def client(self) -> Client:
        """Return the client.

        Raises:
            MediaSourceError: GetDataEndpoint failed.
        """
        if self._client is not None and self._clock.monotonic() - self._since_s < ENDPOINT_LIFE_S:
            return self._client
        self.drop()
        with translated("GetDataEndpoint", self._stream_arn):
            answer = self._control.get_data_endpoint(StreamARN=self._stream_arn, APIName=self._api_name)
        endpoint = answer.get("DataEndpoint", "")
        try:
            self._client = self._make(endpoint)
        except ValueError as exc:
            raise MediaSourceError(
                "InvalidEndpointException",
                f"GetDataEndpoint of stream {name_of(self._stream_arn)} answered {endpoint!r}, which is no URL",
                retryable=True,
            ) from exc
        self._since_s = self._clock.monotonic()
        return self._client

    @contextmanager
    def asked(self, operation: str) -> Iterator[Client]:
        """Give the client for one call, and drop the endpoint if the call fails for another cause than a throttle.

        Args:
            operation: the call's name, for messages.

        Raises:
            MediaSourceError: GetDataEndpoint or the call failed.
        """
        client = self.client()
        try:
            with translated(operation, self._stream_arn):
                yield client
        except MediaSourceError as exc:
            if exc.code not in THROTTLES:
                self.drop()
            raise

    def drop(self) -> None:
        """Drop the endpoint and close its pooled connections. Bodies that are open stay so."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def retention_hours_of(control: KinesisVideoClient, stream_arn: str) -> int:
    """Return DataRetentionInHours of the stream; 0 means that it keeps nothing beyond its buffer.

    Raises:
        MediaSourceError: DescribeStream failed.
    """
    with translated("DescribeStream", stream_arn):
        answer = control.describe_stream(StreamARN=stream_arn)
    return int(answer.get("StreamInfo", {}).get("DataRetentionInHours") or 0)


def name_of(stream_arn: str) -> str:
    """Return the stream's name, for messages."""
    return stream_arn.split("/")[1]


def region_of(stream_arn: str) -> str:
    """Return the stream's region."""
    return stream_arn.split(":")[3]


def translated(operation: str, stream_arn: str) -> AbstractContextManager[None]:
    """Turn a failed call into a `MediaSourceError`.

    Args:
        operation: the call's name, for the message.
        stream_arn: the stream's ARN.
    """
    return _translated(f"{operation} of stream {name_of(stream_arn)}")


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    try:
        yield
    except AWS_EXCEPTIONS as exc:
        raise media_error(subject, exc) from exc


def media_error(subject: str, exc: Exception) -> MediaSourceError:
    """Make a `MediaSourceError` of one of `AWS_EXCEPTIONS`.

    Args:
        subject: the call and the stream, for the message.
        exc: the failure.
    """
    failure = failure_of(exc)
    return MediaSourceError(failure.code, f"{subject}: {failure.message}", retryable=failure.retryable)
