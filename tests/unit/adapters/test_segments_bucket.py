"""What the segments' bucket asks of S3, parameter by parameter, where no local S3 API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from connect_audio.adapters.sinks.segment_bucket import SEGMENT_S3_CONFIG, SegmentBucket, segments_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

PREFIX = "calls/2026/01/02/contact-1_20260102T030405.678Z.segments/"
KMS_KEY = "arn:aws:kms:eu-west-2:123456789012:key/00000000-0000-0000-0000-000000000000"
# CBF43926, the CRC-32 of the nine digits in every catalogue of checksums.
WRITTEN: dict[str, Any] = {
    "Bucket": "recordings",
    "Key": f"{PREFIX}000012.wav",
    "Body": b"123456789",
    "ContentType": "audio/wav",
    "Tagging": "connect-audio=live",
    "ChecksumAlgorithm": "CRC32",
    "ChecksumCRC32": "y/Q5Jg==",
}


@pytest.fixture
def client() -> Iterator[S3Client]:
    client = boto3.client(
        "s3",
        region_name="eu-west-2",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=SEGMENT_S3_CONFIG,
    )
    yield client
    client.close()


@pytest.fixture
def s3(client: S3Client) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_an_object_is_tagged_and_summed(client: S3Client, s3: Stubber) -> None:
    s3.add_response("put_object", {}, WRITTEN)
    SegmentBucket("recordings", PREFIX, client=client).put("000012.wav", b"123456789", "audio/wav")


def test_with_a_key_an_object_is_encrypted_with_it_and_a_bucket_key(client: S3Client, s3: Stubber) -> None:
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY, "BucketKeyEnabled": True}
    s3.add_response("put_object", {}, {**WRITTEN, **encrypted})
    store = SegmentBucket("recordings", PREFIX, client=client, kms_key_arn=KMS_KEY)
    store.put("000012.wav", b"123456789", "audio/wav")


def test_segments_lie_beside_their_recording() -> None:
    assert segments_prefix("calls/2026/01/02/contact-1_20260102T030405.678Z.wav") == PREFIX


def test_a_call_of_s3_is_tried_once_and_bounded_in_time() -> None:
    config: Any = SEGMENT_S3_CONFIG
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert config.connect_timeout + config.read_timeout == 7
