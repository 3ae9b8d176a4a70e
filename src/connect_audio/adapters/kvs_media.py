"""One Kinesis Video stream, live: DescribeStream, GetDataEndpoint and GetMedia as the `MediaSource` port.

Yields bytes the moment they arrive and knows nothing of Matroska. Used by the recorder. How bytes
are read at once, and the ways that were measured: docs/adr/0004-how-bytes-are-read-at-once.md.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import boto3
from botocore.config import Config
from urllib3.exceptions import ReadTimeoutError

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, CONNECTION_ERROR
from connect_audio.adapters.kvs_endpoint import (
    CONNECT_TIMEOUT_S,
    CONTROL_CONFIG,
    DataEndpoint,
    media_error,
    name_of,
    region_of,
    retention_hours_of,
)
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import READ_TIMEOUT, MediaSourceError
from connect_audio.ports import AfterFragment
from connect_audio.text import counted

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_kinesis_video_media import KinesisVideoMediaClient
    from mypy_boto3_kinesis_video_media.type_defs import StartSelectorTypeDef
    from urllib3.response import HTTPResponse

    from connect_audio.ports import Clock, StartSelector

# Largest read, the port's bound. A fragment of a call is some 34 kB.
READ_BYTES: Final = 65_536
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class KvsMediaSource:
    """One stream.

    The SDK does not retry GetMedia: the recorder retries, and a new endpoint is fetched first. So `open` takes at worst
    2 x (3 + 5) s and a second of backoff for the endpoint, and 3 s + `read_timeout_s` for GetMedia.

    Args:
        stream_arn: the stream's ARN; the region is taken from it.
        session: gives credentials; None for a default session.
        read_timeout_s: the longest wait for GetMedia's answer and for each next byte, in seconds. Below the margin
            that the caller keeps before its deadline.
        clock: for the age of the cached endpoint.
    """

    def __init__(
        self,
        stream_arn: str,
        *,
        session: boto3.Session | None = None,
        read_timeout_s: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self._stream_arn = stream_arn
        self._read_timeout_s = read_timeout_s
        session, region = session or boto3.Session(), region_of(stream_arn)
        self._control = session.client("kinesisvideo", region_name=region, config=CONTROL_CONFIG)
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            tcp_keepalive=True,
            retries={"mode": "standard", "total_max_attempts": 1},
        )

        def media_client(endpoint: str) -> KinesisVideoMediaClient:
            return session.client("kinesis-video-media", region_name=region, endpoint_url=endpoint, config=config)

        self._media = DataEndpoint(self._control, stream_arn, "GET_MEDIA", media_client, clock or SystemClock())

    def retention_hours(self) -> int:
        """DataRetentionInHours of the stream; 0 means that it keeps nothing beyond its buffer.

        Raises:
            MediaSourceError: DescribeStream failed.
        """
        return retention_hours_of(self._control, self._stream_arn)

    def open(self, start: StartSelector) -> KvsMediaStream:
        """Open GetMedia. The caller keeps at most one stream open and closes it.

        Raises:
            MediaSourceError: GetDataEndpoint or GetMedia failed.
        """
        with self._media.asked("GetMedia") as media:
            answer = media.get_media(StreamARN=self._stream_arn, StartSelector=_selector(start))
        stream_name = name_of(self._stream_arn)
        return KvsMediaStream(answer["Payload"], stream_name=stream_name, read_timeout_s=self._read_timeout_s)

    def close(self) -> None:
        """Close the pooled connections. Streams that are open stay so. May be called twice."""
        self._media.drop()
        self._control.close()


class KvsMediaStream:
    """One open body of GetMedia or GetMediaForFragmentList. For one thread.

    Args:
        body: the answer's Payload. Closed here if it cannot be used.
        stream_name: for messages.
        read_timeout_s: the longest wait for the next byte, in seconds.
        operation: the call that opened it, for messages.
    """

    def __init__(
        self, body: StreamingBody, *, stream_name: str, read_timeout_s: float, operation: str = "GetMedia"
    ) -> None:
        self._stream_name = stream_name
        self._operation = operation
        self._read_timeout_s = read_timeout_s
        self._received = 0
        self._closed = False
        self._failure: MediaSourceError | None = None
        self._connection = ExitStack()
        # Entering a StreamingBody is the public way to the urllib3 response below it, whose read1 returns the bytes
        # that are there. Leaving it closes the response and its socket, and drains nothing.
        self._raw = cast("HTTPResponse", self._connection.enter_context(body))
        try:
            body.set_socket_timeout(read_timeout_s)
        except AttributeError:
            # An empty body has no socket left to set it on. In any other case urllib3 has changed, and a stalled call
            # would hang beyond every deadline.
            if not self._raw.closed:
                self._connection.close()
                raise

    def read(self) -> bytes:
        """Return the bytes that have arrived, waiting for at least one.

        Returns:
            1 to 65 536 bytes, or `b""` at the clean end of the body and for ever after.

        Raises:
            MediaSourceError: the connection broke, ended before the body did, or stalled beyond the read timeout; every
                later call raises it again. Always retryable.
            ValueError: the caller has closed the stream.
        """
        if self._closed:
            raise ValueError(f"read of a closed {self._operation} stream")
        if self._failure is not None:
            # urllib3 would answer b"" from now on, as if the body had ended.
            raise self._failure
        try:
            data = self._raw.read1(READ_BYTES)
        except ReadTimeoutError as exc:
            # The connection is sound: it is the stream that is silent.
            message = f"{self._position()}: silent for {self._read_timeout_s:g} s ({type(exc).__name__})"
            raise self._failed(MediaSourceError(READ_TIMEOUT, message, retryable=True)) from exc
        except AWS_EXCEPTIONS as exc:
            raise self._failed(media_error(self._position(), exc)) from exc
        # botocore makes urllib3 ignore a body's Content-Length and compares it only in its own read().
        if not data and self._raw.length_remaining:
            message = (
                f"{self._position()}: ended {counted(self._raw.length_remaining, 'byte')} short of its Content-Length"
            )
            raise self._failed(MediaSourceError(CONNECTION_ERROR, message, retryable=True))
        self._received += len(data)
        return data

    def close(self) -> None:
        """Close the connection, at once and whatever is still to come. May be called twice."""
        self._closed = True
        self._connection.close()

    def _failed(self, failure: MediaSourceError) -> MediaSourceError:
        self._failure = failure
        self._connection.close()
        return failure

    def _position(self) -> str:
        return f"{self._operation} body of stream {self._stream_name} after {counted(self._received, 'byte')}"


def _selector(start: StartSelector) -> StartSelectorTypeDef:
    if isinstance(start, AfterFragment):
        return {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": start.number}
    # By integers: a float's rounding could ask for the millisecond after.
    time = _EPOCH + timedelta(milliseconds=start.ms)
    return {"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": time}
