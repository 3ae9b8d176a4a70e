"""One answer of GetMedia or GetMediaForFragmentList as the service gives it: the body, and the facts of the call.

The recorder's sources hide the answer's request id and headers, and know two selectors. A capture needs them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from botocore.config import Config

from connect_audio.adapters.kvs_endpoint import CONNECT_TIMEOUT_S, CONTROL_CONFIG, DataEndpoint, name_of, region_of
from connect_audio.adapters.kvs_media import KvsMediaStream
from connect_audio.adapters.system_clock import SystemClock

if TYPE_CHECKING:
    from types import TracebackType

    from boto3 import Session
    from mypy_boto3_kinesis_video_archived_media import KinesisVideoArchivedMediaClient
    from mypy_boto3_kinesis_video_media import KinesisVideoMediaClient
    from mypy_boto3_kinesis_video_media.type_defs import StartSelectorTypeDef

SILENCE_S: Final = 30.0
"""The longest wait for the next byte, s. GetMedia says nothing at a call's end: it keeps the body open."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEADERS: Final = frozenset({"content-type", "content-length", "transfer-encoding", "connection", "date", "server"})
"""Headers of an answer that are kept, beside each whose name begins with x-amz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer whose body is open.

    Args:
        api: the operation.
        selector: the part of the request that chose the fragments, for JSON.
        body: the body.
        request_id: the service's id of the request; None where it gave none.
        status: the HTTP status.
        headers: names in small letters, and values.
        endpoint: the URL that was asked.
    """

    api: str
    selector: Mapping[str, Any]
    body: KvsMediaStream
    request_id: str | None
    status: int | None
    headers: Mapping[str, str]
    endpoint: str


class StreamAsker:
    """Asks one stream; a context manager, which closes connections and bodies.

    One answer is open at a time: the next question closes the one before. `record` asks for hours, until a contact
    speaks, so what a question leaves would add up.

    Args:
        stream_arn: the stream's ARN; the region is taken from it.
        session: gives credentials.
        silence_s: the longest wait for the next byte, s; None for `SILENCE_S`.
    """

    def __init__(self, stream_arn: str, session: Session, *, silence_s: float | None = None) -> None:
        self._stream_arn, self._silence_s = stream_arn, SILENCE_S if silence_s is None else silence_s
        self._open = ExitStack()
        self._control = session.client("kinesisvideo", region_name=region_of(stream_arn), config=CONTROL_CONFIG)
        self._open.callback(self._control.close)
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=self._silence_s,
            tcp_keepalive=True,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        region, clock = region_of(stream_arn), SystemClock()

        def media_client(url: str) -> KinesisVideoMediaClient:
            return session.client("kinesis-video-media", region_name=region, endpoint_url=url, config=config)

        def archive_client(url: str) -> KinesisVideoArchivedMediaClient:
            return session.client("kinesis-video-archived-media", region_name=region, endpoint_url=url, config=config)

        self._media = DataEndpoint(self._control, stream_arn, "GET_MEDIA", media_client, clock)
        self._archive = DataEndpoint(self._control, stream_arn, "GET_MEDIA_FOR_FRAGMENT_LIST", archive_client, clock)
        self._open.callback(self._media.drop)
        self._open.callback(self._archive.drop)
        self._body: KvsMediaStream | None = None
        self._open.callback(self._close_body)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _close_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def media(self, start: int | str) -> Answer:
        """Call GetMedia.

        Args:
            start: ms since the epoch by the producer's clock, or EARLIEST or NOW.

        Raises:
            MediaSourceError: GetDataEndpoint or GetMedia failed.
        """
        self._close_body()
        selector: StartSelectorTypeDef
        if isinstance(start, int):
            time = _EPOCH + timedelta(milliseconds=start)
            selector = {"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": time}
            shown = {"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": time.isoformat()}
        else:
            selector = {"StartSelectorType": "EARLIEST" if start == "EARLIEST" else "NOW"}
            shown = {"StartSelectorType": selector["StartSelectorType"]}
        with self._media.asked("GetMedia") as media:
            answer = media.get_media(StreamARN=self._stream_arn, StartSelector=selector)
            return self._answer("GetMedia", shown, answer, media.meta.endpoint_url)

    def fragments(self, numbers: Sequence[str]) -> Answer:
        """Call GetMediaForFragmentList.

        Args:
            numbers: 1 to 1000 fragment numbers.

        Raises:
            MediaSourceError: GetDataEndpoint or GetMediaForFragmentList failed.
        """
        self._close_body()
        with self._archive.asked("GetMediaForFragmentList") as archive:
            answer = archive.get_media_for_fragment_list(StreamARN=self._stream_arn, Fragments=list(numbers))
            shown = {"Fragments": list(numbers)}
            return self._answer("GetMediaForFragmentList", shown, answer, archive.meta.endpoint_url)

    def _answer(self, api: str, selector: Mapping[str, Any], answer: Any, endpoint: str) -> Answer:
        body = KvsMediaStream(
            answer["Payload"],
            stream_name=name_of(self._stream_arn),
            read_timeout_s=self._silence_s,
            operation=api,
        )
        self._body = body
        facts = answer.get("ResponseMetadata", {})
        headers = {name.lower(): value for name, value in facts.get("HTTPHeaders", {}).items()}
        return Answer(
            api=api,
            selector=selector,
            body=body,
            request_id=facts.get("RequestId"),
            status=facts.get("HTTPStatusCode"),
            headers={name: value for name, value in headers.items() if name in _HEADERS or name.startswith("x-amz")},
            endpoint=endpoint,
        )
