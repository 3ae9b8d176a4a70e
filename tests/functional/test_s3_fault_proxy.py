"""The S3 front over the wire: what it does to requests, what it enforces that moto does not, what it notes."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.ports import Lifetime, ObjectKind, WriteOutcome
from connect_audio_local.s3.faults import (
    ANY,
    NO_S3_FAULTS,
    S3Fault,
    S3FaultPlan,
    S3FaultProxy,
    S3Trouble,
    random_s3_faults,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from support.wire_server import Exchange, Handler, WireServer

MIB = 1 << 20
PART = bytes(range(256)) * (5 * MIB // 256)
ONE_TRY = Config(retries={"total_max_attempts": 1}, read_timeout=10)


@pytest.fixture
def front_of(moto_server: str, bucket: str) -> Iterator[Callable[..., tuple[S3FaultProxy, S3Client]]]:
    """Make a front with faults, and a client of it that tries everything once."""
    del bucket
    closers: list[Callable[[], None]] = []

    def make(*faults: S3Fault, config: Config = ONE_TRY) -> tuple[S3FaultProxy, S3Client]:
        front = S3FaultProxy(moto_server, S3FaultPlan(faults))
        client: S3Client = boto3.client("s3", endpoint_url=front.url, config=config)
        closers.extend((front.close, client.close))
        return front, client

    yield make
    for close in reversed(closers):
        close()


type FrontOf = Callable[..., tuple[S3FaultProxy, S3Client]]


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    with pytest.raises(ClientError) as error:
        yield
    response = error.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)


def upload_of(client: S3Client, bucket: str, key: str = "call.wav") -> tuple[str, str]:
    """An upload of one part: its id and the part's ETag."""
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    etag = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"audio")["ETag"]
    return upload_id, etag


def complete(client: S3Client, bucket: str, upload_id: str, etag: str, key: str = "call.wav") -> None:
    client.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload_id,
        IfNoneMatch="*",
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
    )


# --- passing on ------------------------------------------------------------------------------------------------------


def test_a_recording_of_several_parts_goes_through_as_if_nothing_were_between(front_of: FrontOf, bucket: str) -> None:
    front, client = front_of(config=S3_CONFIG)
    store = S3PartStore(bucket, client=client)

    assert store.put_new("a b/call.claim", b"{}", ObjectKind("application/json")) is WriteOutcome.WRITTEN
    upload_id = store.create_upload("call.wav", ObjectKind("audio/wav", metadata={"execution": "one"}))
    parts = [store.upload_part("call.wav", upload_id, number, PART) for number in (1, 2)]
    parts.append(store.upload_part("call.wav", upload_id, 3, b"tail"))
    assert list(front.open_uploads) == [upload_id]
    assert store.complete_upload("call.wav", upload_id, parts) is WriteOutcome.WRITTEN

    head = store.head("call.wav")
    assert head is not None
    assert (head.size, head.metadata) == (2 * len(PART) + 4, {"execution": "one"})
    assert store.get("call.wav") == PART + PART + b"tail"
    assert store.head("missing") is None
    assert store.list_keys("a b/") == ("a b/call.claim",)
    store.delete(["a b/call.claim"])
    assert store.list_keys("") == ("call.wav",)
    assert front.open_uploads == {}


def test_every_request_is_noted_with_what_it_was_about_and_the_permission_it_needs(
    front_of: FrontOf, bucket: str
) -> None:
    front, client = front_of(config=S3_CONFIG)
    store = S3PartStore(bucket, client=client)
    store.put_new("call.claim", b"{}", ObjectKind("application/json", lifetime=Lifetime.TEMPORARY))
    upload_id = store.create_upload("call.wav", ObjectKind("audio/wav", metadata={}))
    store.upload_part("call.wav", upload_id, 1, b"audio")
    store.abort_upload("call.wav", upload_id)

    noted = [(each.name, each.key, each.upload_id, each.part_number, each.status) for each in front.operations]
    assert noted == [
        ("PutObject", "call.claim", "", None, 200),
        ("CreateMultipartUpload", "call.wav", upload_id, None, 200),
        ("UploadPart", "call.wav", upload_id, 1, 200),
        ("AbortMultipartUpload", "call.wav", upload_id, None, 204),
    ]
    assert {each.bucket for each in front.operations} == {bucket}
    assert [each.conditional for each in front.operations] == [True, False, False, False]
    assert front.iam_actions == {
        "s3:PutObject",
        "s3:PutObjectTagging",
        "s3:AbortMultipartUpload",
    }
    assert front.requests("UploadPart") == 1
    assert front.requests(ANY) == 4


@pytest.mark.parametrize("size", [0, 1, len(PART)])
def test_the_sdk_s_default_checksums_go_through(front_of: FrontOf, bucket: str, size: int) -> None:
    _, client = front_of()

    answer = client.put_object(Bucket=bucket, Key="call.wav", Body=PART[:size])

    crc32 = base64.b64encode(zlib.crc32(PART[:size]).to_bytes(4, "big")).decode()
    assert answer["ChecksumCRC32"] == crc32
    with closing(client.get_object(Bucket=bucket, Key="call.wav")["Body"]) as body:
        assert body.read() == PART[:size]


def test_a_body_in_aws_chunks_with_a_trailer_goes_through(front_of: FrontOf, bucket: str) -> None:
    # What the SDKs send over TLS.
    front, client = front_of()
    crc32 = base64.b64encode(zlib.crc32(b"audio" * 1000).to_bytes(4, "big")).decode()
    encoded = b"1388\r\n" + b"audio" * 1000 + b"\r\n0\r\nx-amz-checksum-crc32:" + crc32.encode() + b"\r\n\r\n"
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "5000",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "Transfer-Encoding": "chunked",
    }
    host = front.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host)) as connection:
        pieces = (encoded[at : at + 999] for at in range(0, len(encoded), 999))
        connection.request("PUT", f"/{bucket}/call.wav", pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == 200

    with closing(client.get_object(Bucket=bucket, Key="call.wav")["Body"]) as body:
        assert body.read() == b"audio" * 1000


def request_with_expectation(front: S3FaultProxy, bucket: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(front.url.rsplit(":", 1)[1])), 10)
    connection.sendall(
        f"PUT /{bucket}/call.wav HTTP/1.1\r\nHost: {front.url[7:]}\r\nContent-Length: 5\r\n"
        "Expect: 100-continue\r\n\r\n".encode()
    )
    return connection


def test_a_client_that_expects_a_continue_gets_it_and_then_its_answer(front_of: FrontOf, bucket: str) -> None:
    front, _ = front_of()
    with closing(request_with_expectation(front, bucket)) as connection, connection.makefile("rb") as answer:
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answer.readline() == b"\r\n"
        connection.sendall(b"audio")
        assert answer.readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_refused_request_is_refused_before_its_body(front_of: FrontOf, bucket: str) -> None:
    front, _ = front_of(S3Fault("PutObject", 1, S3Trouble.SLOW_DOWN))
    with closing(request_with_expectation(front, bucket)) as connection, connection.makefile("rb") as answer:
        assert answer.readline().startswith(b"HTTP/1.1 503 ")


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (S3Trouble.SLOW_DOWN, 503, "SlowDown"),
        (S3Trouble.INTERNAL_ERROR, 500, "InternalError"),
        (S3Trouble.PRECONDITION_FAILED, 412, "PreconditionFailed"),
        (S3Trouble.CONFLICT, 409, "ConditionalRequestConflict"),
    ],
)
def test_a_refusal_comes_at_its_request_alone_and_nothing_is_done(
    front_of: FrontOf, bucket: str, trouble: S3Trouble, status: int, code: str
) -> None:
    fault = S3Fault("PutObject", 2, trouble)
    front, client = front_of(fault)
    client.put_object(Bucket=bucket, Key="first", Body=b"1")

    with refused(status, code):
        client.put_object(Bucket=bucket, Key="second", Body=PART)
    client.put_object(Bucket=bucket, Key="third", Body=b"3")

    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["first", "third"]
    assert [(each.status, each.fault) for each in front.operations[:3]] == [(200, None), (status, fault), (200, None)]


def test_head_is_refused_by_its_status_alone(front_of: FrontOf, bucket: str) -> None:
    _, client = front_of(S3Fault("HeadObject", 1, S3Trouble.SLOW_DOWN))
    with refused(503, "503"):
        client.head_object(Bucket=bucket, Key="call.wav")


def test_a_reset_does_nothing(front_of: FrontOf, bucket: str) -> None:
    front, client = front_of(S3Fault("PutObject", 1, S3Trouble.RESET, times=2))

    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="call.wav", Body=b"audio")
    with closing(request_with_expectation(front, bucket)) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert front.operations[0].status is None


def test_a_lost_answer_leaves_the_work_done(front_of: FrontOf, bucket: str) -> None:
    front, client = front_of(S3Fault("PutObject", 1, S3Trouble.LOST_ANSWER))

    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="call.wav", Body=b"audio")

    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["call.wav"]
    assert front.operations[0].status is None


def test_a_created_upload_whose_answer_was_lost_is_open(front_of: FrontOf, bucket: str) -> None:
    front, client = front_of(S3Fault("CreateMultipartUpload", 1, S3Trouble.LOST_ANSWER))
    with pytest.raises(ConnectionClosedError):
        client.create_multipart_upload(Bucket=bucket, Key="call.wav")
    assert list(front.open_uploads.values()) == [(bucket, "call.wav")]


def test_a_completion_whose_answer_was_lost_is_a_success_that_a_second_try_cannot_see(
    front_of: FrontOf, bucket: str
) -> None:
    front, client = front_of(S3Fault("CompleteMultipartUpload", 1, S3Trouble.LOST_ANSWER), config=S3_CONFIG)
    upload_id, etag = upload_of(client, bucket)

    with refused(404, "NoSuchUpload"):
        complete(client, bucket, upload_id, etag)  # the SDK tries again

    assert client.head_object(Bucket=bucket, Key="call.wav")["ContentLength"] == 5
    assert front.open_uploads == {}
    assert front.requests("CompleteMultipartUpload") == 2


def test_an_upload_can_go_as_by_a_lifecycle_rule(front_of: FrontOf, bucket: str) -> None:
    front, client = front_of(S3Fault("CompleteMultipartUpload", 1, S3Trouble.UPLOAD_GONE))
    upload_id, etag = upload_of(client, bucket)
    for _ in range(2):
        with refused(404, "NoSuchUpload"):
            complete(client, bucket, upload_id, etag)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    assert front.open_uploads == {}


def test_a_fault_may_last_and_may_mean_any_operation(front_of: FrontOf, bucket: str) -> None:
    _, client = front_of(S3Fault(ANY, 2, S3Trouble.SLOW_DOWN, times=3))
    client.put_object(Bucket=bucket, Key="first", Body=b"1")
    for _ in range(3):
        with refused(503, "SlowDown"):
            client.list_objects_v2(Bucket=bucket)
    client.list_objects_v2(Bucket=bucket)


# --- what moto does not enforce --------------------------------------------------------------------------------------


def test_an_upload_that_was_completed_is_gone_for_every_operation(front_of: FrontOf, bucket: str) -> None:
    _, client = front_of()
    upload_id, etag = upload_of(client, bucket)
    complete(client, bucket, upload_id, etag)

    with refused(404, "NoSuchUpload"):
        complete(client, bucket, upload_id, etag)
    with refused(404, "NoSuchUpload"):
        client.upload_part(Bucket=bucket, Key="call.wav", UploadId=upload_id, PartNumber=1, Body=b"late")
    with refused(404, "NoSuchUpload"):
        client.list_parts(Bucket=bucket, Key="call.wav", UploadId=upload_id)
    with refused(404, "NoSuchUpload"):
        client.abort_multipart_upload(Bucket=bucket, Key="call.wav", UploadId=upload_id)


def test_an_upload_that_was_aborted_or_never_was_is_gone(front_of: FrontOf, bucket: str) -> None:
    _, client = front_of()
    upload_id, etag = upload_of(client, bucket)
    client.abort_multipart_upload(Bucket=bucket, Key="call.wav", UploadId=upload_id)
    for each in (upload_id, "never-was"):
        with refused(404, "NoSuchUpload"):
            complete(client, bucket, each, etag)
        with refused(404, "NoSuchUpload"):
            client.upload_part(Bucket=bucket, Key="call.wav", UploadId=each, PartNumber=1, Body=b"late")


def test_an_upload_from_before_the_front_was_there_goes_on(front_of: FrontOf, s3_client: S3Client, bucket: str) -> None:
    upload_id, etag = upload_of(s3_client, bucket)
    _, client = front_of()
    complete(client, bucket, upload_id, etag)
    assert client.head_object(Bucket=bucket, Key="call.wav")["ContentLength"] == 5


def test_a_completion_does_not_replace_an_object_and_leaves_its_upload_open(front_of: FrontOf, bucket: str) -> None:
    front, client = front_of()
    upload_id, etag = upload_of(client, bucket)
    client.put_object(Bucket=bucket, Key="call.wav", Body=b"foreign")

    with refused(412, "PreconditionFailed"):
        complete(client, bucket, upload_id, etag)

    assert client.head_object(Bucket=bucket, Key="call.wav")["ContentLength"] == 7
    assert list(front.open_uploads) == [upload_id]


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
def test_a_write_in_the_place_of_a_version_needs_that_version(front_of: FrontOf, bucket: str, operation: str) -> None:
    front, client = front_of()

    def write(etag: str, body: bytes, key: str = "call.wav") -> None:
        if operation == "PutObject":
            client.put_object(Bucket=bucket, Key=key, Body=body, IfMatch=etag)
            return
        upload: Any = {"Bucket": bucket, "Key": key}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        part = client.upload_part(**upload, PartNumber=1, Body=body)["ETag"]
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part}]}
        client.complete_multipart_upload(**upload, IfMatch=etag, MultipartUpload=parts)

    old = client.put_object(Bucket=bucket, Key="call.wav", Body=b"old")["ETag"]
    write(old, b"new")
    with refused(412, "PreconditionFailed"):
        write(old, b"newer")
    with refused(404, "NoSuchKey"):
        write(old, b"newer", key="none.wav")

    assert client.get_object(Bucket=bucket, Key="call.wav")["Body"].read() == b"new"
    last = [each for each in front.operations if each.name == operation][-1]
    assert (last.conditional, last.replaces) == (True, True)
    assert last.iam_actions == {"s3:PutObject", "s3:GetObject"}


def test_of_two_replacements_at_the_same_moment_one_wins(front_of: FrontOf, bucket: str) -> None:
    _, client = front_of()
    old = client.put_object(Bucket=bucket, Key="call.wav", Body=b"old")["ETag"]
    parts = [(upload_of(client, bucket)) for _ in range(4)]
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def write(upload_id: str, etag: str) -> None:
        upload: Any = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        start.wait()
        try:
            client.complete_multipart_upload(
                Bucket=bucket, Key="call.wav", UploadId=upload_id, IfMatch=old, MultipartUpload=upload
            )
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
        else:
            outcomes.append("written")

    threads = [threading.Thread(target=write, args=each) for each in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PreconditionFailed"] * 3 + ["written"]


def test_of_conditional_writes_at_the_same_moment_one_wins(front_of: FrontOf, bucket: str) -> None:
    _, client = front_of()
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def write() -> None:
        start.wait()
        try:
            client.put_object(Bucket=bucket, Key="call.claim", Body=PART[: 1 << 16], IfNoneMatch="*")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
        else:
            outcomes.append("written")

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PreconditionFailed"] * 7 + ["written"]


def test_conditional_writes_reach_the_server_one_at_a_time(wire_server: Callable[[Handler], WireServer]) -> None:
    # moto, which looks and then writes, loses the race too seldom to show it.
    together = threading.Event()
    arrived: list[str] = []

    def upstream(exchange: Exchange) -> None:
        arrived.append(exchange.request.path)
        if len(arrived) > 1:
            together.set()
        else:
            assert not together.wait(0.3)  # nothing to wait for but the failure
        exchange.respond(200, etag='"1"')

    def write() -> None:
        with closing(http.client.HTTPConnection(front.url.removeprefix("http://"))) as connection:
            connection.request("PUT", "/bucket/call.claim", b"{}", {"If-None-Match": "*"})
            assert connection.getresponse().status == 200

    with S3FaultProxy(wire_server(upstream).url) as front:
        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(arrived) == 2


# --- schedules -------------------------------------------------------------------------------------------------------


def test_a_schedule_is_made_again_by_its_seed_and_by_its_repr() -> None:
    for seed in range(50):
        plan = random_s3_faults(seed, recoverable=False)
        assert plan == random_s3_faults(seed, recoverable=False)
        assert eval(repr(plan)) == plan  # noqa: S307 - our own repr
        assert random_s3_faults(seed).recoverable
    assert len({random_s3_faults(seed) for seed in range(50)}) == 50
    assert repr(S3FaultPlan((S3Fault("UploadPart", 2, S3Trouble.LOST_ANSWER),))) == (
        "S3FaultPlan((S3Fault('UploadPart', 2, S3Trouble.LOST_ANSWER),))"
    )


def test_a_fault_that_lasts_or_takes_the_upload_away_owes_nothing() -> None:
    assert NO_S3_FAULTS.recoverable
    owed = {trouble: S3Fault("UploadPart", 1, trouble).recoverable for trouble in S3Trouble}
    assert [trouble for trouble, whole in owed.items() if not whole] == [
        S3Trouble.PRECONDITION_FAILED,
        S3Trouble.UPLOAD_GONE,
        S3Trouble.ACCESS_DENIED,
    ]
    assert not S3Fault("UploadPart", 1, S3Trouble.SLOW_DOWN, times=None).recoverable


@pytest.mark.parametrize(
    ("operation", "nth", "message"),
    [("Upload", 1, "Upload is none of AbortMultipartUpload, "), ("PutObject", 0, "requests count from 1, not 0")],
)
def test_a_fault_that_can_never_happen_is_refused(operation: str, nth: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S3Fault(operation, nth, S3Trouble.RESET)


# --- the server itself -----------------------------------------------------------------------------------------------


def test_closing_ends_held_connections_and_leaves_no_thread(moto_server: str) -> None:
    before = set(threading.enumerate())
    front = S3FaultProxy(moto_server)
    with closing(boto3.client("s3", endpoint_url=front.url, config=ONE_TRY)) as client:
        client.list_buckets()
        front.close()
        assert set(threading.enumerate()) == before
    front.close()  # a second time changes nothing


def test_a_client_that_hangs_up_within_its_body_leaves_no_object(
    front_of: FrontOf, s3_client: S3Client, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    front, _ = front_of()
    for head in ("Content-Length: 5\r\n\r\nau", "Transfer-Encoding: chunked\r\n\r\n5\r\nau"):
        with socket.create_connection(("127.0.0.1", int(front.url.rsplit(":", 1)[1])), 10) as rude:
            rude.sendall(f"PUT /{bucket}/call.wav HTTP/1.1\r\nHost: {front.url[7:]}\r\n{head}".encode())
    front.close()  # waits for both
    assert "Contents" not in s3_client.list_objects_v2(Bucket=bucket)
    assert capsys.readouterr().err == ""
