"""What the part store asks of S3, parameter by parameter, where no local S3 API shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.stub import Stubber
from urllib3 import HTTPResponse

from connect_audio.adapters.s3_recording import DELETE_BATCH, S3_CONFIG, S3PartStore
from connect_audio.core.errors import StorageError
from connect_audio.ports import ObjectKind, UploadedPart, WriteOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

BUCKET = "recordings"
KEY = "calls/contact-1.wav"
KMS_KEY = "arn:aws:kms:eu-west-2:123456789012:key/00000000-0000-0000-0000-000000000000"
ENCRYPTED = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY, "BucketKeyEnabled": True}
DIGITS = b"123456789"
# CBF43926, the CRC-32 of these digits in every catalogue of checksums.
DIGITS_CRC32 = "y/Q5Jg=="
CHECKSUM = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": DIGITS_CRC32}


@dataclass(slots=True)
class RecordingClock:
    """Sleeps at once and remembers for how long."""

    slept: list[float] = field(default_factory=list)

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(scope="module")
def client() -> Iterator[S3Client]:
    client = boto3.client(
        "s3",
        region_name="eu-west-2",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=S3_CONFIG,
    )
    yield client
    client.close()


@pytest.fixture
def s3(client: S3Client) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def clock() -> RecordingClock:
    return RecordingClock()


@pytest.fixture
def store(client: S3Client, clock: RecordingClock) -> S3PartStore:
    return S3PartStore(BUCKET, client=client, clock=clock)


@pytest.fixture
def encrypted_store(client: S3Client, clock: RecordingClock) -> S3PartStore:
    return S3PartStore(BUCKET, client=client, kms_key_arn=KMS_KEY, clock=clock)


def test_with_a_key_an_object_is_encrypted_with_it_and_a_bucket_key(s3: Stubber, encrypted_store: S3PartStore) -> None:
    expected = {
        "Bucket": BUCKET,
        "Key": KEY,
        "Body": DIGITS,
        "ContentType": "audio/wav",
        "Metadata": {"execution": "e"},
        **CHECKSUM,
        **ENCRYPTED,
    }
    s3.add_response("put_object", {}, expected)
    encrypted_store.put(KEY, DIGITS, ObjectKind("audio/wav", metadata={"execution": "e"}))
    s3.add_response("put_object", {}, {**expected, "IfNoneMatch": "*"})
    outcome = encrypted_store.put_new(KEY, DIGITS, ObjectKind("audio/wav", metadata={"execution": "e"}))
    assert outcome is WriteOutcome.WRITTEN


def test_with_a_key_an_upload_is_encrypted_at_its_creation_and_summed_throughout(
    s3: Stubber, encrypted_store: S3PartStore
) -> None:
    upload: dict[str, Any] = {"Bucket": BUCKET, "Key": KEY, "UploadId": "u"}
    s3.add_response(
        "create_multipart_upload",
        {"UploadId": "u"},
        {
            "Bucket": BUCKET,
            "Key": KEY,
            "ContentType": "audio/wav",
            "Metadata": {"execution": "e"},
            "ChecksumAlgorithm": "CRC32",
            **ENCRYPTED,
        },
    )
    s3.add_response(
        "upload_part",
        {"ETag": '"tag"', "ChecksumCRC32": DIGITS_CRC32},
        {**upload, "PartNumber": 2, "Body": DIGITS, **CHECKSUM},
    )
    s3.add_response(
        "complete_multipart_upload",
        {},
        {
            **upload,
            "IfNoneMatch": "*",
            "MultipartUpload": {"Parts": [{"PartNumber": 2, "ETag": '"tag"', "ChecksumCRC32": DIGITS_CRC32}]},
        },
    )
    assert encrypted_store.create_upload(KEY, ObjectKind("audio/wav", metadata={"execution": "e"})) == "u"
    part = encrypted_store.upload_part(KEY, "u", 2, DIGITS)
    assert part == UploadedPart(number=2, etag='"tag"', size=9, checksum_crc32=DIGITS_CRC32)
    assert encrypted_store.complete_upload(KEY, "u", [part]) is WriteOutcome.WRITTEN


def test_a_part_whose_crc_is_known_is_sent_with_that_one(s3: Stubber, store: S3PartStore) -> None:
    upload: dict[str, Any] = {"Bucket": BUCKET, "Key": KEY, "UploadId": "u", "PartNumber": 2}
    s3.add_response("upload_part", {"ETag": '"tag"'}, {**upload, "Body": b"spoilt", **CHECKSUM})
    store.upload_part(KEY, "u", 2, b"spoilt", crc32=0xCBF43926)


def test_a_body_goes_with_its_crc_and_without_a_sha256(client: S3Client, store: S3PartStore) -> None:
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> Any:
        sent.append(request.headers)
        headers = HTTPHeaders()
        headers["ETag"] = '"tag"'
        return AWSResponse(request.url, 200, headers, HTTPResponse(BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3.UploadPart", answer, unique_id="answer")
    try:
        assert store.upload_part(KEY, "u", 2, DIGITS).etag == '"tag"'
    finally:
        client.meta.events.unregister("before-send.s3.UploadPart", unique_id="answer")
    assert sent[0]["x-amz-checksum-crc32"] == DIGITS_CRC32.encode()
    assert sent[0]["X-Amz-Content-SHA256"] == b"UNSIGNED-PAYLOAD"


def test_a_part_without_a_checksum_is_completed_without_one(s3: Stubber, store: S3PartStore) -> None:
    expected = {"Parts": [{"PartNumber": 1, "ETag": '"tag"'}]}
    s3.add_response(
        "complete_multipart_upload",
        {},
        {"Bucket": BUCKET, "Key": KEY, "UploadId": "u", "IfNoneMatch": "*", "MultipartUpload": expected},
    )
    store.complete_upload(KEY, "u", [UploadedPart(number=1, etag='"tag"', size=1)])


def test_an_upload_is_completed_in_the_place_of_one_version(s3: Stubber, store: S3PartStore) -> None:
    parts = {"Parts": [{"PartNumber": 1, "ETag": '"tag"'}]}
    expected = {"Bucket": BUCKET, "Key": KEY, "UploadId": "u", "IfMatch": '"old"', "MultipartUpload": parts}
    part = UploadedPart(number=1, etag='"tag"', size=1)
    s3.add_response("complete_multipart_upload", {}, expected)
    assert store.complete_upload(KEY, "u", [part], replaces='"old"') is WriteOutcome.WRITTEN
    for code in ("PreconditionFailed", "NoSuchKey"):
        s3.add_client_error("complete_multipart_upload", code, expected_params=expected)
        assert store.complete_upload(KEY, "u", [part], replaces='"old"') is WriteOutcome.CHANGED
    s3.add_client_error("complete_multipart_upload", "NoSuchUpload", expected_params=expected)
    with pytest.raises(StorageError, match="CompleteMultipartUpload"):
        store.complete_upload(KEY, "u", [part], replaces='"old"')


def _put_new(store: S3PartStore) -> WriteOutcome:
    return store.put_new(KEY, b"", ObjectKind("audio/wav"))


def _complete(store: S3PartStore) -> WriteOutcome:
    return store.complete_upload(KEY, "u", [UploadedPart(number=1, etag='"tag"', size=1)])


CONDITIONAL_WRITES = pytest.mark.parametrize(
    ("method", "write"), [("put_object", _put_new), ("complete_multipart_upload", _complete)]
)


@CONDITIONAL_WRITES
def test_a_concurrent_write_of_the_same_key_is_tried_again_until_it_is_decided(
    s3: Stubber,
    store: S3PartStore,
    clock: RecordingClock,
    method: str,
    write: Callable[[S3PartStore], WriteOutcome],
) -> None:
    s3.add_client_error(method, "ConditionalRequestConflict", http_status_code=409)
    s3.add_client_error(method, "OperationAborted", http_status_code=409)
    s3.add_client_error(method, "PreconditionFailed", http_status_code=412)
    assert write(store) is WriteOutcome.EXISTS
    assert clock.slept == [0.2, 0.5]


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
@CONDITIONAL_WRITES
def test_a_conflict_that_goes_on_is_given_up_and_may_be_tried_later(
    s3: Stubber,
    store: S3PartStore,
    clock: RecordingClock,
    method: str,
    write: Callable[[S3PartStore], WriteOutcome],
    code: str,
) -> None:
    for _ in range(4):
        s3.add_client_error(method, code, http_status_code=409)
    with pytest.raises(StorageError) as caught:
        write(store)
    assert (caught.value.code, caught.value.retryable) == (code, True)
    assert clock.slept == [0.2, 0.5, 1.0]


def test_listings_are_read_to_their_last_page(s3: Stubber, store: S3PartStore) -> None:
    s3.add_response(
        "list_objects_v2",
        {"Contents": [{"Key": "p/1"}], "IsTruncated": True, "NextContinuationToken": "more"},
        {"Bucket": BUCKET, "Prefix": "p/"},
    )
    s3.add_response(
        "list_objects_v2",
        {"Contents": [{"Key": "p/2"}], "IsTruncated": False},
        {"Bucket": BUCKET, "Prefix": "p/", "ContinuationToken": "more"},
    )
    assert store.list_keys("p/") == ("p/1", "p/2")


def test_a_level_is_listed_with_a_delimiter_to_its_last_page(s3: Stubber, store: S3PartStore) -> None:
    expected = {"Bucket": BUCKET, "Prefix": "p/", "Delimiter": "/"}
    s3.add_response(
        "list_objects_v2",
        {"CommonPrefixes": [{"Prefix": "p/b/"}], "IsTruncated": True, "NextContinuationToken": "more"},
        expected,
    )
    s3.add_response(
        "list_objects_v2",
        {"Contents": [{"Key": "p/a"}, {"Key": "p/c"}], "IsTruncated": False},
        {**expected, "ContinuationToken": "more"},
    )
    assert store.list_level("p/") == ("p/a", "p/b/", "p/c")


def test_uploads_are_searched_to_the_last_page(s3: Stubber, store: S3PartStore) -> None:
    s3.add_response(
        "list_multipart_uploads",
        {
            "Uploads": [{"Key": KEY, "UploadId": "oldest"}, {"Key": f"{KEY}.copy", "UploadId": "foreign"}],
            "IsTruncated": True,
            "NextKeyMarker": KEY,
            "NextUploadIdMarker": "m",
        },
        {"Bucket": BUCKET, "Prefix": KEY},
    )
    s3.add_response(
        "list_multipart_uploads",
        {"Uploads": [{"Key": KEY, "UploadId": "newer"}], "IsTruncated": False},
        {"Bucket": BUCKET, "Prefix": KEY, "KeyMarker": KEY, "UploadIdMarker": "m"},
    )
    assert store.find_uploads(KEY) == ("oldest", "newer")


def _deletion(keys: list[str]) -> dict[str, Any]:
    return {"Bucket": BUCKET, "Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}}


def test_deletions_go_out_a_thousand_at_a_time(s3: Stubber, store: S3PartStore) -> None:
    keys = [f"k{number:04}" for number in range(DELETE_BATCH + 1)]
    s3.add_response("delete_objects", {}, _deletion(keys[:DELETE_BATCH]))
    s3.add_response("delete_objects", {}, _deletion(keys[DELETE_BATCH:]))
    store.delete(keys)


@pytest.mark.parametrize(
    ("codes", "first", "retryable"),
    [
        (["InternalError"], "InternalError", True),
        (["SlowDown", "AccessDenied"], "SlowDown", False),
        (["NoSuchKey", "AccessDenied"], "AccessDenied", False),
    ],
)
def test_objects_that_s3_will_not_delete_are_an_error_after_all_were_tried(
    s3: Stubber, store: S3PartStore, codes: list[str], first: str, *, retryable: bool
) -> None:
    errors = [{"Key": f"k/{code}", "Code": code, "Message": "m"} for code in codes]
    keys = [f"k{number}" for number in range(DELETE_BATCH + 1)]
    s3.add_response("delete_objects", {"Errors": errors}, _deletion(keys[:DELETE_BATCH]))
    s3.add_response("delete_objects", {}, _deletion(keys[DELETE_BATCH:]))
    remaining = len([code for code in codes if code != "NoSuchKey"])
    with pytest.raises(StorageError, match=f"{remaining} objects remain, the first is k/{first}") as caught:
        store.delete(keys)
    assert (caught.value.code, caught.value.retryable) == (first, retryable)


def test_objects_that_were_already_gone_are_no_error(s3: Stubber, store: S3PartStore) -> None:
    s3.add_response("delete_objects", {"Errors": [{"Key": KEY, "Code": "NoSuchKey"}]}, _deletion([KEY]))
    store.delete([KEY])


@pytest.mark.parametrize("value", ["Zoë", "a\r\nx-amz-acl: public-read"], ids=["not ASCII", "a header of its own"])
def test_metadata_that_no_header_can_hold_is_refused_without_quoting_it(
    s3: Stubber, store: S3PartStore, value: str
) -> None:
    for write in (
        lambda: store.put(KEY, b"", ObjectKind("audio/wav", metadata={"agent": value})),
        lambda: store.put_new(KEY, b"", ObjectKind("audio/wav", metadata={"agent": value})),
        lambda: store.create_upload(KEY, ObjectKind("audio/wav", metadata={"agent": value})),
    ):
        with pytest.raises(StorageError, match="metadata 'agent'") as caught:
            write()
        assert (caught.value.code, caught.value.retryable) == ("InvalidMetadata", False)
        assert value not in str(caught.value)
    s3.assert_no_pending_responses()
