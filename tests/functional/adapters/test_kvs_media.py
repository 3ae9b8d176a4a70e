"""GetMedia over a real socket that trickles, stalls, breaks and refuses."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.response import StreamingBody

from connect_audio.adapters.kvs_endpoint import ENDPOINT_LIFE_S
from connect_audio.adapters.kvs_media import KvsMediaSource, KvsMediaStream
from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import AfterFragment, FromProducerTime
from support.wire_server import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.wire_server import Exchange, Handler, WireServer

STREAM_ARN = "arn:aws:kinesisvideo:eu-west-2:123456789012:stream/calls-connect-demo-contact-1/1700000000000"
START = FromProducerTime(1_700_000_000_123)
FRAGMENT = "91343852333181432392682062622220000000000000001"


@dataclass(slots=True)
class StoppedClock:
    """A clock that moves when the test says so."""

    seconds: float = 1000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Kvs:
    """A KVS of one stream on a scripted server; `media` answers GetMedia."""

    def __init__(
        self,
        start: Callable[[Handler], WireServer],
        session: boto3.Session,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.session = session
        self.media: Handler = lambda exchange: exchange.respond(200)
        self.endpoint: Handler = lambda exchange: exchange.respond_json({"DataEndpoint": self.server.url})
        self.stream: dict[str, object] = {"DataRetentionInHours": 24}
        self.server = start(self._answer)
        self.clock = StoppedClock()
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", self.server.url)
        self.source = self._source(read_timeout_s=PATIENCE_S)

    def impatient(self) -> KvsMediaSource:
        self.source.close()
        self.source = self._source(read_timeout_s=0.1)
        return self.source

    def _source(self, *, read_timeout_s: float) -> KvsMediaSource:
        return KvsMediaSource(STREAM_ARN, session=self.session, read_timeout_s=read_timeout_s, clock=self.clock)

    def _answer(self, exchange: Exchange) -> None:
        match exchange.request.path:
            case "/describeStream":
                exchange.respond_json({"StreamInfo": self.stream})
            case "/getDataEndpoint":
                self.endpoint(exchange)
            case "/getMedia":
                self.media(exchange)
            case path:
                raise AssertionError(f"unexpected call of {path}")


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """One for all, since each reads the service models from disk."""
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")


@pytest.fixture
def kvs(
    wire_server: Callable[[Handler], WireServer], session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kvs]:
    service = Kvs(wire_server, session, monkeypatch)
    yield service
    service.source.close()


# -- bytes at once ----------------------------------------------------------------------------------------------------


def test_every_block_is_in_hand_before_the_next_one_is_sent(kvs: Kvs) -> None:
    blocks = [bytes([number]) * 1028 for number in range(5)]
    in_hand = threading.Semaphore(0)

    def trickle(exchange: Exchange) -> None:
        exchange.begin_chunked()
        for block in blocks:
            exchange.chunk(block)
            assert in_hand.acquire(timeout=PATIENCE_S), "the reader waits for more than has been sent"
        exchange.end_chunked()

    kvs.media = trickle
    stream = kvs.source.open(START)
    for block in blocks:
        received = b""
        while len(received) < len(block):
            received += stream.read()
        assert received == block
        in_hand.release()
    assert stream.read() == b""
    stream.close()


def test_half_a_block_is_handed_over_without_the_other_half(kvs: Kvs) -> None:
    half_in_hand = threading.Event()

    def halves(exchange: Exchange) -> None:
        exchange.begin_chunked()
        exchange.send(b"8\r\nleft")
        assert half_in_hand.wait(PATIENCE_S)
        exchange.send(b"over\r\n")
        exchange.end_chunked()

    kvs.media = halves
    stream = kvs.source.open(START)
    assert stream.read() == b"left"
    half_in_hand.set()
    assert stream.read() == b"over"
    assert stream.read() == b""
    stream.close()


def test_a_burst_comes_whole_in_reads_of_at_most_65536_bytes(kvs: Kvs) -> None:
    burst = bytes(range(256)) * 1000

    def send(exchange: Exchange) -> None:
        exchange.begin_chunked()
        exchange.chunk(burst)
        exchange.end_chunked()

    kvs.media = send
    stream = kvs.source.open(START)
    reads = list(iter(stream.read, b""))
    assert b"".join(reads) == burst
    assert max(map(len, reads)) <= 65_536
    stream.close()


@pytest.mark.parametrize("length_known", [False, True], ids=["chunked", "content-length"])
def test_the_clean_end_of_a_body_is_empty_bytes_for_ever_after(kvs: Kvs, *, length_known: bool) -> None:
    def send(exchange: Exchange) -> None:
        if length_known:
            exchange.respond(200, b"media")
        else:
            exchange.begin_chunked()
            exchange.chunk(b"media")
            exchange.end_chunked()

    kvs.media = send
    stream = kvs.source.open(START)
    assert [stream.read() for _ in range(4)] == [b"media", b"", b"", b""]
    stream.close()


def test_an_empty_body_is_a_clean_end(kvs: Kvs) -> None:
    kvs.media = lambda exchange: exchange.respond(200, b"")
    stream = kvs.source.open(START)
    assert stream.read() == b""
    stream.close()


# -- bodies that break ------------------------------------------------------------------------------------------------


def _cut_inside_a_chunk(exchange: Exchange) -> None:
    exchange.begin_chunked()
    exchange.send(b"400\r\narrived")
    exchange.cut()


def _cut_after_a_chunk(exchange: Exchange) -> None:
    exchange.begin_chunked()
    exchange.chunk(b"arrived")
    exchange.cut()


def _cut_before_a_chunks_line_end(exchange: Exchange) -> None:
    exchange.begin_chunked()
    exchange.send(b"7\r\narrived")
    exchange.cut()


def _no_chunk_at_all(exchange: Exchange) -> None:
    exchange.begin_chunked()
    exchange.chunk(b"arrived")
    exchange.send(b"not a chunk size\r\n")
    exchange.cut()


def _shorter_than_its_content_length(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\narrived")
    exchange.cut()


@pytest.mark.parametrize(
    "break_off",
    [
        _cut_inside_a_chunk,
        _cut_after_a_chunk,
        _cut_before_a_chunks_line_end,
        _no_chunk_at_all,
        _shorter_than_its_content_length,
    ],
)
def test_a_body_cut_off_gives_what_arrived_and_is_then_an_error_at_every_read(kvs: Kvs, break_off: Handler) -> None:
    kvs.media = break_off
    stream = kvs.source.open(START)
    assert stream.read() == b"arrived"
    for _ in range(3):
        with pytest.raises(MediaSourceError, match="calls-connect-demo-contact-1 after 7 bytes") as caught:
            stream.read()
        assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)
    stream.close()


def test_a_connection_reset_is_an_error_after_what_arrived(kvs: Kvs) -> None:
    in_hand = threading.Event()

    def reset(exchange: Exchange) -> None:
        exchange.begin_chunked()
        exchange.chunk(b"arrived")
        assert in_hand.wait(PATIENCE_S)
        exchange.reset()

    kvs.media = reset
    stream = kvs.source.open(START)
    assert stream.read() == b"arrived"
    in_hand.set()
    for _ in range(2):
        with pytest.raises(MediaSourceError) as caught:
            stream.read()
        assert caught.value.retryable
        assert caught.value.__cause__ is not None
    stream.close()


def test_a_stall_is_an_error_once_the_read_timeout_is_over_and_closes_the_connection(kvs: Kvs) -> None:
    closed = threading.Event()

    def stall(exchange: Exchange) -> None:
        exchange.begin_chunked()
        exchange.chunk(b"arrived")
        if exchange.peer_has_closed():
            closed.set()

    kvs.media = stall
    stream = kvs.impatient().open(START)
    assert stream.read() == b"arrived"
    for _ in range(2):
        with pytest.raises(MediaSourceError, match="ReadTimeoutError") as caught:
            stream.read()
        assert (caught.value.code, caught.value.retryable) == ("ReadTimeoutError", True)
    assert closed.wait(PATIENCE_S)
    stream.close()


# -- closing ----------------------------------------------------------------------------------------------------------


def test_closing_an_unfinished_body_closes_the_socket_and_drains_nothing(kvs: Kvs) -> None:
    refused = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.begin_chunked()
        try:
            while True:
                exchange.chunk(bytes(1024))
        except OSError:
            refused.set()
            raise

    kvs.media = endless
    stream = kvs.source.open(START)
    assert stream.read()
    stream.close()
    assert refused.wait(PATIENCE_S), "the server could send on"
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_a_body_whose_waits_cannot_be_bounded_is_closed_and_not_read() -> None:
    class NoSocket(io.BytesIO):
        """A raw body as if a new urllib3 had moved its socket."""

    raw = NoSocket(b"media")
    with pytest.raises(AttributeError):
        KvsMediaStream(StreamingBody(raw, content_length=5), stream_name="calls", read_timeout_s=1)
    assert raw.closed


def test_an_answer_that_never_comes_is_an_error_and_closes_the_connection(kvs: Kvs) -> None:
    closed = threading.Event()

    def silent(exchange: Exchange) -> None:
        if exchange.peer_has_closed():
            closed.set()

    kvs.media = silent
    with pytest.raises(MediaSourceError) as caught:
        kvs.impatient().open(START)
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)
    assert closed.wait(PATIENCE_S)


def test_a_source_may_be_closed_twice_and_used_again(kvs: Kvs) -> None:
    kvs.source.close()
    kvs.source.close()
    assert kvs.source.retention_hours() == 24


# -- requests ---------------------------------------------------------------------------------------------------------


def test_the_start_of_a_call_is_asked_for_by_producer_time_to_the_millisecond(kvs: Kvs) -> None:
    kvs.source.open(FromProducerTime(1_700_000_000_123)).close()
    assert kvs.server.requests[-1].json() == {
        "StreamARN": STREAM_ARN,
        "StartSelector": {"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": 1_700_000_000.123},
    }


def test_a_resume_is_asked_for_by_the_number_of_the_last_fragment(kvs: Kvs) -> None:
    kvs.source.open(AfterFragment(FRAGMENT)).close()
    assert kvs.server.requests[-1].json() == {
        "StreamARN": STREAM_ARN,
        "StartSelector": {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": FRAGMENT},
    }


def test_requests_are_signed_for_the_region_in_the_streams_arn(kvs: Kvs) -> None:
    assert kvs.session.region_name != "eu-west-2"
    kvs.source.open(START).close()
    assert len(kvs.server.requests) == 2
    for request in kvs.server.requests:
        assert "/eu-west-2/kinesisvideo/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize(
    ("stream", "hours"), [({"DataRetentionInHours": 48}, 48), ({"DataRetentionInHours": 0}, 0), ({}, 0)]
)
def test_retention_is_the_streams_own_setting(kvs: Kvs, stream: dict[str, object], hours: int) -> None:
    kvs.stream = stream
    assert kvs.source.retention_hours() == hours
    assert kvs.server.requests[-1].json() == {"StreamARN": STREAM_ARN}


# -- the data endpoint ------------------------------------------------------------------------------------------------


def test_the_endpoint_is_asked_for_once_and_with_the_right_api(kvs: Kvs) -> None:
    for _ in range(3):
        kvs.source.open(START).close()
    assert kvs.server.paths == ["/getDataEndpoint", "/getMedia", "/getMedia", "/getMedia"]
    assert kvs.server.requests[0].json() == {"StreamARN": STREAM_ARN, "APIName": "GET_MEDIA"}


def test_the_endpoint_is_asked_for_again_after_45_minutes(kvs: Kvs) -> None:
    kvs.source.open(START).close()
    kvs.clock.seconds += ENDPOINT_LIFE_S - 1
    kvs.source.open(START).close()
    assert kvs.server.paths.count("/getDataEndpoint") == 1
    kvs.clock.seconds += 1
    kvs.source.open(START).close()
    assert kvs.server.paths.count("/getDataEndpoint") == 2


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("InvalidEndpointException", 2),
        ("InternalFailure", 2),
        ("ClientLimitExceededException", 1),
        ("ConnectionLimitExceededException", 1),
    ],
)
def test_a_failure_drops_the_endpoint_unless_it_is_a_throttle(kvs: Kvs, code: str, asked: int) -> None:
    kvs.media = lambda exchange: exchange.respond(400, b"{}", x_amzn_errortype=code)
    for _ in range(2):
        with pytest.raises(MediaSourceError):
            kvs.source.open(START)
    assert kvs.server.paths.count("/getDataEndpoint") == asked


def test_an_endpoint_that_cannot_be_reached_is_dropped(kvs: Kvs, wire_server: Callable[[Handler], WireServer]) -> None:
    gone = wire_server(lambda _: None)
    gone.close()
    kvs.endpoint = lambda exchange: exchange.respond_json({"DataEndpoint": gone.url})
    with pytest.raises(MediaSourceError) as caught:
        kvs.source.open(START)
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)
    kvs.endpoint = lambda exchange: exchange.respond_json({"DataEndpoint": kvs.server.url})
    kvs.source.open(START).close()
    assert kvs.server.paths == ["/getDataEndpoint", "/getDataEndpoint", "/getMedia"]


@pytest.mark.parametrize("answer", [{}, {"DataEndpoint": "nonsense"}])
def test_an_endpoint_that_is_no_url_may_be_asked_for_again(kvs: Kvs, answer: dict[str, object]) -> None:
    kvs.endpoint = lambda exchange: exchange.respond_json(answer)
    with pytest.raises(MediaSourceError) as caught:
        kvs.source.open(START)
    assert (caught.value.code, caught.value.retryable) == ("InvalidEndpointException", True)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "retryable"),
    [
        (
            400,
            {"x_amzn_errortype": "ClientLimitExceededException"},
            b'{"Message":"slow down"}',
            "ClientLimitExceededException",
            True,
        ),
        (
            400,
            {"x_amzn_errortype": "ConnectionLimitExceededException:http://internal/"},
            b"{}",
            "ConnectionLimitExceededException",
            True,
        ),
        (
            400,
            {},
            b'{"__type":"com.amazonaws.kinesisvideo#InvalidEndpointException"}',
            "InvalidEndpointException",
            True,
        ),
        (400, {"x_amz_errortype": "ClientLimitExceededException"}, b"{}", "ClientLimitExceededException", True),
        (403, {"x_amzn_errortype": "ExpiredTokenException"}, b"{}", "ExpiredTokenException", True),
        (429, {}, b"", "429", True),
        (500, {"x_amzn_errortype": "InternalFailure"}, b"{}", "InternalFailure", True),
        (503, {}, b"<html>busy</html>", "503", True),
        (401, {"x_amzn_errortype": "NotAuthorizedException"}, b"{}", "NotAuthorizedException", False),
        (403, {"x_amzn_errortype": "AccessDeniedException"}, b'{"Message":"no"}', "AccessDeniedException", False),
        (404, {"x_amzn_errortype": "ResourceNotFoundException"}, b"{}", "ResourceNotFoundException", False),
        (400, {"x_amzn_errortype": "InvalidArgumentException"}, b"{}", "InvalidArgumentException", False),
        (403, {}, b"", "403", False),
    ],
)
def test_a_refusal_names_its_code_and_whether_another_try_may_help(
    kvs: Kvs, status: int, headers: dict[str, str], body: bytes, code: str, *, retryable: bool
) -> None:
    kvs.media = lambda exchange: exchange.respond(status, body, **headers)
    with pytest.raises(MediaSourceError, match="GetMedia of stream calls-connect-demo-contact-1") as caught:
        kvs.source.open(START)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.__cause__ is not None
    assert kvs.server.paths.count("/getMedia") == 1, "the recorder owns the retries of GetMedia, not the SDK"


def test_a_connection_dropped_before_the_answer_is_retryable_and_not_tried_again_by_the_sdk(kvs: Kvs) -> None:
    kvs.media = lambda exchange: exchange.cut()
    with pytest.raises(MediaSourceError) as caught:
        kvs.source.open(START)
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)
    assert kvs.server.paths.count("/getMedia") == 1


def test_get_data_endpoint_failures_are_translated_too(kvs: Kvs) -> None:
    kvs.endpoint = lambda exchange: exchange.respond(404, b"{}", x_amzn_errortype="ResourceNotFoundException")
    with pytest.raises(MediaSourceError, match="GetDataEndpoint of stream") as caught:
        kvs.source.open(START)
    assert (caught.value.code, caught.value.retryable) == ("ResourceNotFoundException", False)


def test_describe_stream_tries_a_passing_failure_once_more(kvs: Kvs) -> None:
    answers = iter([503])

    def flaky(exchange: Exchange) -> None:
        status = next(answers, 200)
        exchange.respond(status, b'{"DataEndpoint":"%b"}' % kvs.server.url.encode())

    kvs.endpoint = flaky
    kvs.source.open(START).close()
    assert kvs.server.paths == ["/getDataEndpoint", "/getDataEndpoint", "/getMedia"]
