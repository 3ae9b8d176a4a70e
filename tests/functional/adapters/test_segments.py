"""The sink `segments` against a real S3 API (moto), one that refuses, and one that answers nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Literal

import boto3
import pytest
from botocore.config import Config

from connect_audio.adapters.sinks.segment_bucket import SEGMENT_S3_CONFIG, SegmentBucket, segment_client
from connect_audio.core.errors import SinkError
from connect_audio_local.s3.faults import S3Fault, S3FaultPlan, S3FaultProxy, S3Trouble
from support.segment_calls import MemorySegmentStore, deliver_all, heard, noisy_call, sink_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

    from support.wire_server import Exchange, Handler, WireServer

type Layout = Literal["stereo", "tracks"]

PREFIX: Final = "calls/2026/01/02/contact-1_20260102T030405.678Z.segments/"


@pytest.fixture
def client_of() -> Iterator[Callable[..., S3Client]]:
    """Make clients as the consumer makes the segments' own."""
    clients: list[S3Client] = []

    def make(url: str, config: Config = SEGMENT_S3_CONFIG) -> S3Client:
        # The address of a server on loopback has no room for a bucket's name.
        path_style = config.merge(Config(s3={"addressing_style": "path"}))
        clients.append(boto3.client("s3", endpoint_url=url, config=path_style))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def front_of(moto_server: str) -> Iterator[Callable[..., S3FaultProxy]]:
    """Make fronts of the S3 API that misbehave."""
    fronts: list[S3FaultProxy] = []

    def make(*faults: S3Fault) -> S3FaultProxy:
        fronts.append(S3FaultProxy(moto_server, S3FaultPlan(faults)))
        return fronts[-1]

    yield make
    for front in fronts:
        front.close()


type ClientOf = Callable[..., S3Client]
type FrontOf = Callable[..., S3FaultProxy]


def stored(client: S3Client, bucket: str) -> MemorySegmentStore:
    """Everything below the prefix."""
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix=PREFIX).get("Contents", [])]
    return MemorySegmentStore(
        {key.removeprefix(PREFIX): client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    )


@pytest.mark.parametrize("layout", ["stereo", "tracks"])
def test_the_segments_in_the_bucket_are_the_call_over_a_hand_over(
    moto_server: str, bucket: str, client_of: ClientOf, s3_client: S3Client, layout: Layout
) -> None:
    call = noisy_call(5.25)
    first = sink_of(SegmentBucket(bucket, PREFIX, client=client_of(moto_server)), layout=layout)
    deliver_all(first, call.segments()[:3])
    first.close()
    later = sink_of(SegmentBucket(bucket, PREFIX, client=client_of(moto_server)), layout=layout)
    deliver_all(later, call.segments()[2:])
    later.end(call.end)
    later.close()
    store = stored(s3_client, bucket)
    assert heard(store) == call.samples
    head = store.json("index.json")
    assert (head["state"], head["segments"], head["missing"]) == ("ended", 6, [])


def test_objects_carry_tag_type_and_checksum(
    moto_server: str, bucket: str, client_of: ClientOf, s3_client: S3Client
) -> None:
    sink = sink_of(SegmentBucket(bucket, PREFIX, client=client_of(moto_server)))
    sink.deliver_segment(noisy_call(1).segment(0))
    found: dict[str, Any] = {}
    for name in ("000000.wav", "index-00000.json", "index.json"):
        head = s3_client.head_object(Bucket=bucket, Key=PREFIX + name, ChecksumMode="ENABLED")
        tags = s3_client.get_object_tagging(Bucket=bucket, Key=PREFIX + name)["TagSet"]
        found[name] = (head["ContentType"], tags, bool(head["ChecksumCRC32"]))
    live = [{"Key": "connect-audio", "Value": "live"}]
    assert found == {
        "000000.wav": ("audio/wav", live, True),
        "index-00000.json": ("application/json", live, True),
        "index.json": ("application/json", live, True),
    }


def test_an_s3_that_is_busy_is_asked_once_and_may_be_asked_again(
    bucket: str, client_of: ClientOf, front_of: FrontOf, s3_client: S3Client
) -> None:
    front, call = front_of(S3Fault("PutObject", 2, S3Trouble.SLOW_DOWN)), noisy_call(2)
    sink = sink_of(SegmentBucket(bucket, PREFIX, client=client_of(front.url)))
    with pytest.raises(SinkError) as caught:
        sink.deliver_segment(call.segment(0))
    assert (caught.value.code, caught.value.retryable) == ("SlowDown", True)
    assert str(caught.value).startswith(
        f"SlowDown: PutObject of {PREFIX}index-00000.json in {bucket}: Please reduce your request rate. (HTTP 503, "
    )
    assert [operation.name for operation in front.operations].count("PutObject") == 2
    deliver_all(sink, call.segments())
    assert heard(stored(s3_client, bucket)) == call.samples


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_an_s3_that_denies_access_is_for_a_human_to_mend(
    bucket: str, client_of: ClientOf, front_of: FrontOf, operation: str
) -> None:
    front = front_of(S3Fault(operation, 1, S3Trouble.ACCESS_DENIED))
    sink = sink_of(SegmentBucket(bucket, PREFIX, client=client_of(front.url)))
    with pytest.raises(SinkError) as caught:
        sink.deliver_segment(noisy_call(1).segment(0))
    assert (caught.value.code, caught.value.retryable) == ("AccessDenied", False)


def test_a_lost_answer_costs_one_more_write_of_the_same(
    bucket: str, client_of: ClientOf, front_of: FrontOf, s3_client: S3Client
) -> None:
    front, call = front_of(S3Fault("PutObject", 1, S3Trouble.LOST_ANSWER)), noisy_call(1)
    sink = sink_of(SegmentBucket(bucket, PREFIX, client=client_of(front.url)))
    with pytest.raises(SinkError) as caught:
        sink.deliver_segment(call.segment(0))
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)
    sink.deliver_segment(call.segment(0))
    assert heard(stored(s3_client, bucket)) == call.samples


def test_an_s3_that_answers_nothing_is_given_up_after_the_read_timeout(
    wire_server: Callable[[Handler], WireServer], client_of: ClientOf
) -> None:
    def hang(exchange: Exchange) -> None:
        assert exchange.peer_has_closed()

    server = wire_server(hang)
    # The test does not wait for the five seconds of the real configuration.
    client = client_of(server.url, SEGMENT_S3_CONFIG.merge(Config(read_timeout=0.2)))
    with pytest.raises(SinkError, match=r"ReadTimeoutError") as caught:
        sink_of(SegmentBucket("recordings", PREFIX, client=client)).deliver_segment(noisy_call(1).segment(0))
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)
    assert len(server.requests) == 1


def test_a_bucket_that_is_not_there_is_for_a_human_to_mend(moto_server: str, client_of: ClientOf) -> None:
    store = SegmentBucket("no-such-bucket-here", PREFIX, client=client_of(moto_server))
    with pytest.raises(SinkError) as caught:
        sink_of(store).deliver_segment(noisy_call(1).segment(0))
    assert (caught.value.code, caught.value.retryable) == ("NoSuchBucket", False)


def test_an_object_s_body_is_sent_without_asking_s3_first(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = wire_server(lambda exchange: exchange.respond(200, etag='"an-etag"'))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    with closing(SegmentBucket("recordings", PREFIX, client=segment_client(boto3.Session()))) as store:
        store.put("000000.wav", b"123456789", "audio/wav")
    (request,) = server.requests
    assert request.body.endswith(b"123456789")
    assert "expect" not in {name.lower() for name in request.headers}
