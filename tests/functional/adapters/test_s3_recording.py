"""The part store against a real S3 API (moto), and against answers that get lost or break off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.core.errors import StorageError
from connect_audio.ports import Lifetime, ObjectKind, UploadedPart, WriteOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

    from support.wire_server import Exchange, Handler, WireServer

KEY = "calls/2026/01/02/contact-1_20260102T030405.678Z.wav"
OTHER_KEY = "calls/other.wav"
WAV = "audio/wav"
PART = 5 * 1024 * 1024


@pytest.fixture
def store(s3_client: S3Client, bucket: str) -> S3PartStore:
    return S3PartStore(bucket, client=s3_client)


def _head(store: S3PartStore) -> tuple[int, Mapping[str, str]]:
    head = store.head(KEY)
    assert head is not None
    return head.size, head.metadata


def _etag(store: S3PartStore) -> str:
    head = store.head(KEY)
    assert head is not None
    return head.etag


def _tags(client: S3Client, bucket: str, key: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


# -- objects ----------------------------------------------------------------------------------------------------------


def test_an_object_comes_back_as_it_was_written_and_put_replaces_it(store: S3PartStore) -> None:
    store.put(KEY, b"first", ObjectKind(WAV))
    store.put(KEY, b"second", ObjectKind(WAV, metadata={"Execution": "contact-1_1700000000000"}))
    assert store.get(KEY) == b"second"
    assert _head(store) == (6, {"execution": "contact-1_1700000000000"})


def test_an_object_is_replaced_only_if_it_is_the_version_that_is_meant(store: S3PartStore) -> None:
    store.put(KEY, b"first", ObjectKind(WAV))
    first = _etag(store)
    assert store.replace(KEY, b"second", ObjectKind(WAV, metadata={"execution": "e"}), first) is WriteOutcome.WRITTEN
    assert store.replace(KEY, b"third", ObjectKind(WAV), first) is WriteOutcome.CHANGED
    assert store.replace(OTHER_KEY, b"third", ObjectKind(WAV), first) is WriteOutcome.CHANGED
    assert store.get(KEY) == b"second"
    assert _head(store) == (6, {"execution": "e"})
    assert store.head(OTHER_KEY) is None


def test_an_object_is_read_behind_the_room_that_its_reader_asks_for(store: S3PartStore) -> None:
    pcm = bytes(range(256)) * 4096  # more than one read of the body
    store.put(KEY, pcm, ObjectKind("audio/wav"))
    wav = store.get(KEY, headroom=44)
    assert wav[:44] == bytes(44)
    assert wav[44:] == pcm


def test_a_body_in_a_bytearray_is_sent_as_it_is_and_belongs_to_the_caller_again(store: S3PartStore) -> None:
    body = bytearray(b"first")
    store.put(KEY, body, ObjectKind("audio/wav"))
    upload_id = store.create_upload(OTHER_KEY, ObjectKind("audio/wav", metadata={}))
    part = store.upload_part(OTHER_KEY, upload_id, 1, body)
    body.clear()  # raises BufferError while anything still holds the bytes
    store.complete_upload(OTHER_KEY, upload_id, [part])
    assert store.get(KEY) == b"first"
    assert store.get(OTHER_KEY) == b"first"


def test_put_new_writes_once_and_then_says_that_it_exists(store: S3PartStore) -> None:
    assert store.put_new(KEY, b"mine", ObjectKind(WAV)) is WriteOutcome.WRITTEN
    assert store.put_new(KEY, b"theirs", ObjectKind(WAV)) is WriteOutcome.EXISTS
    assert store.get(KEY) == b"mine"


def test_s3_keeps_content_type_and_checksum(store: S3PartStore, s3_client: S3Client, bucket: str) -> None:
    store.put(KEY, b"123456789", ObjectKind(WAV))
    head = s3_client.head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert head["ContentType"] == WAV
    # CBF43926, the CRC-32 of these digits in every catalogue of checksums.
    assert head["ChecksumCRC32"] == "y/Q5Jg=="


@pytest.mark.parametrize("key", [KEY, f"calls.staging/{KEY}", f"{KEY}.claim"])
@pytest.mark.parametrize(
    ("lifetime", "tags"), [(Lifetime.KEPT, {}), (Lifetime.TEMPORARY, {"connect-audio": "temporary"})]
)
def test_an_object_is_tagged_for_the_lifecycle_rule_if_its_writer_says_so_whatever_its_key(
    store: S3PartStore, s3_client: S3Client, bucket: str, key: str, lifetime: Lifetime, tags: dict[str, str]
) -> None:
    store.put_new(key, b"", ObjectKind(WAV, lifetime=lifetime))
    assert _tags(s3_client, bucket, key) == tags
    store.put(key, b"", ObjectKind(WAV, lifetime=lifetime))
    assert _tags(s3_client, bucket, key) == tags


def test_an_upload_is_kept_whatever_its_key(store: S3PartStore, s3_client: S3Client, bucket: str) -> None:
    key = f"calls.staging/{KEY}"
    upload_id = store.create_upload(key, ObjectKind(WAV, metadata={}))
    part = store.upload_part(key, upload_id, 1, b"RIFF")
    assert store.complete_upload(key, upload_id, [part]) is WriteOutcome.WRITTEN
    assert _tags(s3_client, bucket, key) == {}


def test_a_missing_object_has_no_head_and_cannot_be_read(store: S3PartStore) -> None:
    assert store.head(KEY) is None
    with pytest.raises(StorageError, match=KEY) as caught:
        store.get(KEY)
    assert (caught.value.code, caught.value.retryable) == ("NoSuchKey", False)


def test_keys_are_listed_in_order_below_their_prefix_alone(store: S3PartStore) -> None:
    for key in ("staging/2", "staging/10", "staging/1", "stagingx", "other"):
        store.put(key, b"", ObjectKind(WAV))
    assert store.list_keys("staging/") == ("staging/1", "staging/10", "staging/2")
    assert store.list_keys("nothing/") == ()


def test_a_level_is_listed_with_one_name_for_each_folder(store: S3PartStore) -> None:
    for key in ("day/a.wav", "day/a.json", "day/a.segments/1.wav", "day/a.segments/2.wav", "day/b.wav", "dayx", "day/"):
        store.put(key, b"", ObjectKind(WAV))
    assert store.list_level("day/a") == ("day/a.json", "day/a.segments/", "day/a.wav")
    assert store.list_level("day") == ("day/", "dayx")
    assert store.list_level("nothing/") == ()


def test_a_recording_s_many_segments_are_listed_as_one_name_in_one_request(
    store: S3PartStore, s3_client: S3Client
) -> None:
    asked: list[int] = []

    def ask_for_ten(params: dict[str, object], **_: object) -> None:
        params["MaxKeys"] = 10  # a page of S3 has 1000 names, unless fewer are asked for
        asked.append(1)

    for number in range(25):
        store.put(f"day/a.segments/{number}", b"", ObjectKind(WAV))
    store.put("day/a.wav", b"", ObjectKind(WAV))
    s3_client.meta.events.register("before-parameter-build.s3.ListObjectsV2", ask_for_ten)
    assert store.list_level("day/a") == ("day/a.segments/", "day/a.wav")
    assert len(asked) == 1
    assert len(store.list_keys("day/a")) == 26
    assert len(asked) == 4


def test_objects_are_deleted_and_missing_ones_are_no_error(store: S3PartStore) -> None:
    store.put("one", b"", ObjectKind(WAV))
    store.put("two", b"", ObjectKind(WAV))
    store.delete(iter(["one", "missing"]))
    store.delete([])
    assert store.list_keys("") == ("two",)


def test_a_missing_bucket_is_for_a_human_to_mend(s3_client: S3Client) -> None:
    store = S3PartStore("no-such-bucket-here", client=s3_client)
    with pytest.raises(StorageError) as caught:
        store.put(KEY, b"", ObjectKind(WAV))
    assert (caught.value.code, caught.value.retryable) == ("NoSuchBucket", False)


# -- multipart uploads ------------------------------------------------------------------------------------------------


def test_parts_join_in_number_order_with_part_one_uploaded_last(store: S3PartStore) -> None:
    upload = store.create_upload(KEY, ObjectKind(WAV, metadata={"execution": "e"}))
    third = store.upload_part(KEY, upload, 3, b"tail")
    second = store.upload_part(KEY, upload, 2, b"\x02" * PART)
    first = store.upload_part(KEY, upload, 1, b"\x01" * PART)
    assert [(part.number, part.size) for part in (first, second, third)] == [(1, PART), (2, PART), (3, 4)]
    assert store.head(KEY) is None
    assert store.complete_upload(KEY, upload, [first, second, third]) is WriteOutcome.WRITTEN
    assert store.get(KEY) == b"\x01" * PART + b"\x02" * PART + b"tail"
    assert _head(store) == (2 * PART + 4, {"execution": "e"})
    assert store.find_uploads(KEY) == ()


def test_a_part_uploaded_again_replaces_the_earlier_one(store: S3PartStore) -> None:
    upload = store.create_upload(KEY, ObjectKind(WAV, metadata={}))
    store.upload_part(KEY, upload, 1, b"earlier")
    again = store.upload_part(KEY, upload, 1, b"later")
    store.complete_upload(KEY, upload, [again])
    assert store.get(KEY) == b"later"


def test_completing_does_not_replace_an_object_that_is_there(store: S3PartStore) -> None:
    upload = store.create_upload(KEY, ObjectKind(WAV, metadata={}))
    part = store.upload_part(KEY, upload, 1, b"mine")
    store.put(KEY, b"theirs", ObjectKind(WAV))
    assert store.complete_upload(KEY, upload, [part]) is WriteOutcome.EXISTS
    assert store.get(KEY) == b"theirs"


def test_each_creation_opens_an_upload_of_its_own_and_one_to_a_longer_key_is_not_found(store: S3PartStore) -> None:
    longer = store.create_upload(f"{KEY}.copy", ObjectKind(WAV, metadata={}))
    upload = store.create_upload(KEY, ObjectKind(WAV, metadata={}))
    another = store.create_upload(KEY, ObjectKind(WAV, metadata={}))
    assert len({upload, another, longer}) == 3
    assert set(store.find_uploads(KEY)) == {upload, another}
    store.abort_upload(KEY, upload)
    store.abort_upload(KEY, another)
    assert store.find_uploads(KEY) == ()
    assert store.find_uploads(f"{KEY}.copy") == (longer,)


def test_an_object_is_deleted_only_if_it_is_the_version_that_is_meant(store: S3PartStore) -> None:
    store.put(KEY, b"old", ObjectKind(WAV))
    old = _etag(store)
    store.put(KEY, b"new", ObjectKind(WAV))
    store.delete_version(KEY, old)
    assert store.get(KEY) == b"new"
    store.delete_version(KEY, _etag(store))
    assert store.head(KEY) is None
    store.delete_version(KEY, old)


def test_an_upload_that_is_gone_may_be_aborted_again(store: S3PartStore) -> None:
    upload = store.create_upload(KEY, ObjectKind(WAV, metadata={}))
    store.abort_upload(KEY, upload)
    store.abort_upload(KEY, upload)
    assert store.find_uploads(KEY) == ()


def test_a_part_that_is_not_the_uploaded_one_is_refused(store: S3PartStore) -> None:
    upload = store.create_upload(KEY, ObjectKind(WAV, metadata={}))
    store.upload_part(KEY, upload, 1, b"part")
    with pytest.raises(StorageError) as caught:
        store.complete_upload(KEY, upload, [UploadedPart(number=1, etag='"0123"', size=4)])
    assert (caught.value.code, caught.value.retryable) == ("InvalidPart", False)


# -- answers that moto does not give ----------------------------------------------------------------------------------


@pytest.fixture
def scripted(
    wire_server: Callable[[Handler], WireServer],
) -> Iterator[Callable[[Handler], tuple[S3PartStore, WireServer]]]:
    clients: list[S3Client] = []

    def start(handler: Handler) -> tuple[S3PartStore, WireServer]:
        server = wire_server(handler)
        config = S3_CONFIG.merge(Config(s3={"addressing_style": "path"}))
        client = boto3.client("s3", endpoint_url=server.url, config=config)
        clients.append(client)
        return S3PartStore("recordings", client=client), server

    yield start
    for client in clients:
        client.close()


type Scripted = Callable[[Handler], tuple[S3PartStore, WireServer]]


def test_a_claim_whose_answer_was_lost_shows_as_existing(scripted: Scripted) -> None:
    lost = iter([True])

    def answer(exchange: Exchange) -> None:
        if next(lost, False):
            exchange.cut()
        else:
            exchange.respond(412, b"<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>")

    store, server = scripted(answer)
    assert store.put_new(f"{KEY}.claim", b"me", ObjectKind("text/plain")) is WriteOutcome.EXISTS
    assert len(server.requests) == 2
    assert all(request.headers["if-none-match"] == "*" for request in server.requests)


def test_a_completion_that_fails_inside_a_200_answer_is_tried_again(scripted: Scripted) -> None:
    bodies = iter(
        [
            b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>",
            b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>",
        ]
    )
    store, server = scripted(lambda exchange: exchange.respond(200, next(bodies), content_type="application/xml"))
    part = UploadedPart(number=1, etag='"e"', size=4, checksum_crc32="AAAAAA==")
    assert store.complete_upload(KEY, "upload-1", [part]) is WriteOutcome.WRITTEN
    assert len(server.requests) == 2
    assert b"<ChecksumCRC32>AAAAAA==</ChecksumCRC32>" in server.requests[0].body


def test_a_service_that_stays_busy_is_given_up_after_three_tries_and_may_be_asked_later(scripted: Scripted) -> None:
    store, server = scripted(
        lambda exchange: exchange.respond(503, b"<Error><Code>SlowDown</Code><Message>Reduce</Message></Error>")
    )
    with pytest.raises(StorageError, match=f"PutObject of {KEY} in recordings") as caught:
        store.put(KEY, b"", ObjectKind(WAV))
    assert (caught.value.code, caught.value.retryable) == ("SlowDown", True)
    assert len(server.requests) == 3


def test_an_upload_that_is_gone_takes_no_part_and_no_completion(scripted: Scripted) -> None:
    # moto answers 500 to both.
    store, _ = scripted(lambda exchange: exchange.respond(404, b"<Error><Code>NoSuchUpload</Code></Error>"))
    part = UploadedPart(number=1, etag='"e"', size=4)
    for call in (
        lambda: store.upload_part(KEY, "gone", 1, b"part"),
        lambda: store.complete_upload(KEY, "gone", [part]),
    ):
        with pytest.raises(StorageError) as caught:
            call()
        assert (caught.value.code, caught.value.retryable) == ("NoSuchUpload", False)


def test_an_object_cut_off_on_its_way_is_an_error_and_no_short_object(scripted: Scripted) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        exchange.cut()

    store, _ = scripted(cut)
    with pytest.raises(StorageError) as caught:
        store.get(KEY)
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)


def test_an_object_cut_off_after_some_reads_is_an_error_and_no_short_object(scripted: Scripted) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(600_000))
        exchange.cut()

    store, _ = scripted(cut)
    with pytest.raises(StorageError) as caught:
        store.get(KEY)
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)


def test_an_object_spoilt_on_its_way_is_an_error(scripted: Scripted) -> None:
    store, _ = scripted(lambda exchange: exchange.respond(200, b"spoilt", x_amz_checksum_crc32="y/Q5Jg=="))
    with pytest.raises(StorageError) as caught:
        store.get(KEY)
    assert (caught.value.code, caught.value.retryable) == ("FlexibleChecksumError", True)


def test_a_forbidden_head_is_an_error_and_not_a_missing_object(scripted: Scripted) -> None:
    store, _ = scripted(lambda exchange: exchange.respond(403))
    with pytest.raises(StorageError) as caught:
        store.head(KEY)
    assert (caught.value.code, caught.value.retryable) == ("403", False)


def test_a_bucket_out_of_reach_may_be_tried_later(scripted: Scripted) -> None:
    store, server = scripted(lambda _: None)
    server.close()
    with pytest.raises(StorageError) as caught:
        store.list_keys("")
    assert (caught.value.code, caught.value.retryable) == ("ConnectionError", True)


def test_a_delete_marker_is_no_object(store: S3PartStore, s3_client: S3Client, bucket: str) -> None:
    """A versioned bucket keeps the versions of claims that were deleted."""
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store.put(KEY, b"old", ObjectKind(WAV))
    old = _etag(store)
    store.delete_version(KEY, old)
    assert store.head(KEY) is None
    assert store.list_keys(KEY) == ()
    with pytest.raises(StorageError) as missing:
        store.get(KEY)
    assert missing.value.code == "NoSuchKey"
    assert store.replace(KEY, b"new", ObjectKind(WAV), old) is WriteOutcome.CHANGED
    store.delete_version(KEY, old)
    upload = store.create_upload(KEY, ObjectKind(WAV))
    part = store.upload_part(KEY, upload, 1, b"new")
    assert store.complete_upload(KEY, upload, [part]) is WriteOutcome.WRITTEN
    assert store.put_new(KEY, b"newer", ObjectKind(WAV)) is WriteOutcome.EXISTS
