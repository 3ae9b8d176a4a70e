"""One S3 bucket as a `SegmentStore`: a call's segments and their index beside its recording. Used by the consumer.

The role needs s3:PutObject, s3:PutObjectTagging and s3:GetObject, and s3:ListBucket, without which S3 answers 403
instead of 404 for an index that is not there yet. With a KMS key: kms:GenerateDataKey and kms:Decrypt.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, NotRequired, TypedDict

from botocore.config import Config

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, failure_of
from connect_audio.adapters.s3_checksum import crc32_checksum
from connect_audio.core.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import boto3
    from mypy_boto3_s3 import S3Client

SEGMENT_S3_CONFIG: Final = Config(
    connect_timeout=2,
    read_timeout=5,
    tcp_keepalive=True,
    retries={"mode": "standard", "total_max_attempts": 1},
    parameter_validation=False,
)
"""One try of at most 7 s, since the sink's driver tries again and nothing can interrupt boto3. The 2 s to connect count
for each address of the host name. So a call takes longer only if all of S3 is out of reach. The parameters are this
module's own, so botocore need not validate them, which takes a tenth of a call's processor time."""

LIVE_TAG: Final = "connect-audio=live"
"""Lifecycle rules filter by prefix or by tag, and segments lie beside the recordings."""


class _Encryption(TypedDict):
    ServerSideEncryption: NotRequired[Literal["aws:kms"]]
    SSEKMSKeyId: NotRequired[str]
    BucketKeyEnabled: NotRequired[bool]


def segments_prefix(recording_key: str) -> str:
    """The prefix of a recording's segments: its key with `.segments/` instead of `.wav`.

    Args:
        recording_key: the WAV's key.
    """
    return f"{recording_key.removesuffix('.wav')}.segments/"


def segment_client(session: boto3.Session) -> S3Client:
    """Make an S3 client for segments.

    The client sends an object's body at once. botocore's own way asks S3 first (`Expect: 100-continue`), waits for the
    answer, and sends the body then. For a body of 30 KB that costs a round trip and a third of the processor time.

    Args:
        session: has the credentials.
    """
    client: S3Client = session.client("s3", config=SEGMENT_S3_CONFIG)
    client.meta.events.register_last("before-call.s3", _send_body_at_once)
    return client


def _send_body_at_once(params: dict[str, Any], **_: object) -> None:
    params["headers"].pop("Expect", None)


class SegmentBucket:
    """A prefix of one bucket.

    Every object carries its CRC-32, which S3 checks on arrival and keeps, and the tag `connect-audio=live`.

    Args:
        bucket: the bucket's name.
        prefix: beginning of every key, its slash included (`segments_prefix`).
        client: an S3 client of its own, from `segment_client`; closed by `close`.
        kms_key_arn: encrypt with this key (SSE-KMS with a bucket key); None leaves it to the bucket's default.
    """

    def __init__(self, bucket: str, prefix: str, *, client: S3Client, kms_key_arn: str | None = None) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._client = client
        self._encryption = _Encryption()
        if kms_key_arn is not None:
            self._encryption = _Encryption(
                ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key_arn, BucketKeyEnabled=True
            )

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Write an object, replacing any.

        Raises:
            SinkError: S3 refused or cannot be reached; the code is S3's, or `ConnectionError`.
        """
        with self._translated("PutObject", name):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=body,
                ContentType=content_type,
                Tagging=LIVE_TAG,
                **crc32_checksum(body),
                **self._encryption,
            )

    def get(self, name: str) -> bytes | None:
        """Read an object, or None where there is no such object.

        Raises:
            SinkError: as `put`.
        """
        try:
            with self._translated("GetObject", name):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, ChecksumMode="ENABLED")
                # Not `with answer["Body"]`: that enters urllib3's response, which compares neither length nor checksum.
                with closing(answer["Body"]) as body:
                    return body.read()
        except SinkError as exc:
            if exc.code == "NoSuchKey":
                return None
            raise

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    @contextmanager
    def _translated(self, operation: str, name: str) -> Iterator[None]:
        try:
            yield
        except AWS_EXCEPTIONS as exc:
            failure = failure_of(exc)
            raise SinkError(
                failure.code,
                f"{operation} of {self._prefix}{name} in {self._bucket}: {failure.message}",
                retryable=failure.retryable,
            ) from exc
