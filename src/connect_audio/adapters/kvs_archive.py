"""The archive of a Kinesis Video stream as the `MediaSource` port: GetMediaForFragmentList over a listing.

For streams whose GetMedia is denied, and for places that GetMedia cannot give (`recorder/either_source.py`). The
recorder reads it as it reads GetMedia.

How it works. A body of the service holds the asked fragments, one document each, without continuation tokens. AWS
documents no order for them, and reports a fragment that it does not find with error 3000 in its place, which often
passes. So `ArchiveStream` asks for a batch of listed numbers and takes the body apart into documents. It gives them out
in the order of their numbers, whatever the order of their arrival. It asks again for exactly the missing fragments.
Batches follow each other as one body. Each whole fragment gets the continuation token that GetMedia would give it. So a
recorder may read a part of a call by GetMedia and the rest here.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from connect_audio.adapters.kvs_endpoint import (
    CONNECT_TIMEOUT_S,
    CONTROL_CONFIG,
    THROTTLES,
    DataEndpoint,
    name_of,
    region_of,
    retention_hours_of,
)
from connect_audio.adapters.kvs_media import READ_BYTES, KvsMediaStream
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import MediaSourceError, StreamError
from connect_audio.core.fragments import Completion, Fragment, FragmentReader
from connect_audio.ports import AfterFragment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from mypy_boto3_kinesis_video_archived_media import KinesisVideoArchivedMediaClient

    from connect_audio.ports import Clock, ListedFragment, MediaStream, StartSelector

MOST_FRAGMENTS: Final = 1000
"""Most fragments of one call; the service model's bound, which botocore does not check."""
_PAUSES_S: Final = (1.0, 3.0, 6.0)
"""Pauses before missing fragments are asked for again, s. Error 3000 often passes at the second or third try."""
_MOST_THROTTLES: Final = 6
"""Tries of one call while it is throttled; then the throttle is raised. The service allows 5 calls a second."""
_THROTTLE_PAUSE_S: Final = 1.0
"""Pause before a throttled call is made again, s: the limit counts the calls of one second."""
_SEGMENT: Final = bytes.fromhex("18538067")
_TAGS, _TAG, _SIMPLE_TAG = bytes.fromhex("1254c367"), bytes.fromhex("7373"), bytes.fromhex("67c8")
_TAG_NAME, _TAG_STRING = bytes.fromhex("45a3"), bytes.fromhex("4487")
_TOKEN: Final = b"AWS_KINESISVIDEO_CONTINUATION_TOKEN"


class KvsArchiveSource:
    """Listed fragments of one stream.

    Args:
        stream_arn: the stream's ARN; the region is taken from it.
        listing: lists the fragments that are read, in the order of their numbers; called at the first `open`, and
            at one behind all that was listed.
        session: gives credentials; None for a default session.
        read_timeout_s: the longest wait for an answer and for each next byte, s.
        clock: for the age of the cached endpoint, and for pauses.
        batch: fragments that one call asks for, 1 to 1000.

    Raises:
        ValueError: the batch's size is out of bounds.
    """

    def __init__(
        self,
        stream_arn: str,
        *,
        listing: Callable[[], Sequence[ListedFragment]],
        session: boto3.Session | None = None,
        read_timeout_s: float = 10.0,
        clock: Clock | None = None,
        batch: int = MOST_FRAGMENTS,
    ) -> None:
        if not 1 <= batch <= MOST_FRAGMENTS:
            raise ValueError(f"a batch of {batch} fragments: GetMediaForFragmentList takes 1 to {MOST_FRAGMENTS}")
        self._stream_arn = stream_arn
        self._listing, self._batch = listing, batch
        self._clock = clock or SystemClock()
        self._listed: Sequence[ListedFragment] | None = None
        self._gone: set[str] = set()
        session, region = session or boto3.Session(), region_of(stream_arn)
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": 1},
        )

        def archive_client(endpoint: str) -> KinesisVideoArchivedMediaClient:
            return session.client(
                "kinesis-video-archived-media", region_name=region, endpoint_url=endpoint, config=config
            )

        self._control = session.client("kinesisvideo", region_name=region, config=CONTROL_CONFIG)
        self._archive = DataEndpoint(
            self._control, stream_arn, "GET_MEDIA_FOR_FRAGMENT_LIST", archive_client, self._clock
        )
        self._read_timeout_s = read_timeout_s

    def retention_hours(self) -> int:
        """DataRetentionInHours of the stream; 0 means that it keeps nothing beyond its buffer.

        Raises:
            MediaSourceError: DescribeStream failed.
        """
        return retention_hours_of(self._control, self._stream_arn)

    def open(self, start: StartSelector) -> MediaStream:
        """Open the listed fragments from a start on. The caller keeps at most one stream open and closes it.

        Raises:
            MediaSourceError: ListFragments failed, or AWS refuses GetMediaForFragmentList for good.
        """
        listed = () if self._listed is None else _from(self._listed, start)
        if not listed:
            # Nothing was listed behind the start: by now something may be.
            self._listed = self._listing()
            listed = _from(self._listed, start)
        numbers = [each.number for each in listed if each.number not in self._gone]
        stream = ArchiveStream(numbers, self._batch, self._body, self._clock, self._gone.add, name_of(self._stream_arn))
        stream.begin()
        return stream

    def close(self) -> None:
        """Close the pooled connections. May be called twice."""
        self._archive.drop()
        self._control.close()

    def _body(self, numbers: Sequence[str]) -> MediaStream:
        """Ask for fragments; again after a throttle."""
        tries = 0
        while True:
            tries += 1
            try:
                with self._archive.asked("GetMediaForFragmentList") as client:
                    answer = client.get_media_for_fragment_list(StreamARN=self._stream_arn, Fragments=list(numbers))
                return KvsMediaStream(
                    answer["Payload"],
                    stream_name=name_of(self._stream_arn),
                    read_timeout_s=self._read_timeout_s,
                    operation="GetMediaForFragmentList",
                )
            except MediaSourceError as error:
                if error.code not in THROTTLES or tries >= _MOST_THROTTLES:
                    raise
                self._clock.sleep(_THROTTLE_PAUSE_S)


class ArchiveStream:
    """Listed fragments as one body, in the order of their numbers. For one thread.

    Args:
        numbers: the fragments' numbers, in order.
        batch: fragments that one call asks for.
        ask: opens one body of the service.
        clock: for the pauses before a fragment is asked for again.
        gone: is called with the number of a fragment that KVS does not find in any try.
        stream_name: for messages.
    """

    def __init__(
        self,
        numbers: Iterable[str],
        batch: int,
        ask: Callable[[Sequence[str]], MediaStream],
        clock: Clock,
        gone: Callable[[str], None],
        stream_name: str,
    ) -> None:
        self._waiting = deque(numbers)
        self._batch = batch
        self._ask = ask
        self._clock = clock
        self._gone = gone
        self._stream_name = stream_name
        self._open = ExitStack()
        self._pieces = self._read_all()
        self._first: bytes | MediaSourceError | None = None

    def begin(self) -> None:
        """Make the first call, and keep what comes first for `read`. A denied call shows here, as GetMedia's does.

        Raises:
            MediaSourceError: AWS refuses, and would again. A failure that may pass is the first `read`'s.
        """
        try:
            self._first = next(self._pieces, b"")
        except MediaSourceError as error:
            if not error.retryable:
                self.close()
                raise
            self._first = error

    def read(self) -> bytes:
        """Return the next bytes; waits for whole fragments.

        Returns:
            1 to 65 536 bytes, or `b""` at the end of the last fragment and for ever after.

        Raises:
            MediaSourceError: a call failed, or an answer is none. Every whole fragment before it was returned.
        """
        first, self._first = self._first, None
        if isinstance(first, MediaSourceError):
            raise first
        return next(self._pieces, b"") if first is None else first

    def close(self) -> None:
        """Close the connection. May be called twice."""
        self._pieces.close()
        self._open.close()

    def _read_all(self) -> Generator[bytes]:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            for document in self._documents(batch):
                for at in range(0, len(document), READ_BYTES):
                    yield document[at : at + READ_BYTES]

    def _documents(self, batch: Sequence[str]) -> Iterator[bytes]:
        """Yield the documents of a batch, in order, each as soon as all before it have come."""
        left = deque(batch)
        arrived: dict[str, bytes] = {}
        errors: dict[str, bytes] = {}
        for pause_s in (0.0, *_PAUSES_S):
            if pause_s:
                self._clock.sleep(pause_s)
            missing = [number for number in left if number not in arrived]
            for fragment, document in self._fragments(missing):
                number = fragment.number or ""
                if fragment.errors and not fragment.blocks:
                    errors[number] = document
                    continue
                arrived[number] = _with_token(document, number)
                while left and left[0] in arrived:
                    yield arrived.pop(left.popleft())
            if not left:
                return
        for number in left:
            if number in arrived:
                yield arrived[number]
            elif number in errors:
                # The reader counts the error, ends the connection and opens the next one behind this place.
                self._gone(number)
                yield errors[number]
            else:
                message = f"GetMediaForFragmentList of stream {self._stream_name} left out fragment {number}"
                raise MediaSourceError("IncompleteAnswer", message, retryable=True)

    def _fragments(self, numbers: Sequence[str]) -> Iterator[tuple[Fragment, bytes]]:
        """Ask for fragments and yield each whole one that comes, with its bytes.

        Raises:
            MediaSourceError: also for a fragment that was not asked for, or that came before.
        """
        asked = set(numbers)
        reader, gathered, base = FragmentReader(), bytearray(), 0
        with ExitStack() as closing_body:
            body = self._ask(numbers)
            self._open.callback(body.close)
            closing_body.callback(body.close)
            is_over = False
            while not is_over:
                data = body.read()
                is_over = not data
                reader.receive_data(data)
                gathered += data
                for fragment in self._complete(reader):
                    if fragment.completion is Completion.TRUNCATED:
                        continue
                    begin = fragment.offset - base
                    document = bytes(gathered[begin : begin + fragment.size])
                    del gathered[: begin + fragment.size]
                    base = fragment.offset + fragment.size
                    if fragment.number not in asked:
                        message = f"{self._stream_name}: fragment {fragment.number} was not asked for, or came twice"
                        raise MediaSourceError("UnexpectedFragment", message, retryable=True)
                    asked.discard(fragment.number)
                    yield fragment, document

    def _complete(self, reader: FragmentReader) -> Iterator[Fragment]:
        try:
            while isinstance(event := reader.next_event(), Fragment):
                yield event
        except StreamError as error:
            message = f"GetMediaForFragmentList of stream {self._stream_name}: {error}"
            raise MediaSourceError(type(error).__name__, message, retryable=True) from error


def _with_token(document: bytes, number: str) -> bytes:
    """Return a fragment's document with its continuation token behind it, in a Segment of unknown size."""
    at, size_at = 0, 4
    while document[at:size_at] != _SEGMENT:
        length = 9 - document[size_at].bit_length()
        size = int.from_bytes(document[size_at : size_at + length]) & ((1 << 7 * length) - 1)
        at = size_at + length + size
        size_at = at + 4
    length = 9 - document[size_at].bit_length()
    unknown = ((1 << 7 * length + 1) - 1).to_bytes(length)
    tag = _element(_SIMPLE_TAG, _element(_TAG_NAME, _TOKEN) + _element(_TAG_STRING, number.encode()))
    tags = _element(_TAGS, _element(_TAG, tag))
    return document[:size_at] + unknown + document[size_at + length :] + tags


def _element(element_id: bytes, content: bytes) -> bytes:
    """Return a Matroska element, its size in four bytes."""
    return element_id + (len(content) | 1 << 28).to_bytes(4) + content


def _from(listed: Sequence[ListedFragment], start: StartSelector) -> Sequence[ListedFragment]:
    """Return the fragments that a start selector means, as GetMedia would begin with them."""
    if isinstance(start, AfterFragment):
        return [each for each in listed if int(each.number) > int(start.number)]
    for at, each in enumerate(listed):
        if each.producer_ms + each.length_ms > start.ms or each.producer_ms >= start.ms:
            return listed[at:]
    return ()
