"""One S3 bucket as the `PartStore` port: single puts, conditional writes and multipart uploads. Used by the recorder.

The recorder aborts each upload that it does not complete. Two lifecycle rules of the bucket are the last net: one for
incomplete uploads, one for objects tagged as temporary.

*How it works.* Each method makes one request, or one a page, and turns every exception into a `StorageError`
(`_translated`). Conditional writes go through `_write_once`, which retries a 409 and turns a 412 into EXISTS or
CHANGED.

The role needs s3:GetObject, s3:PutObject, s3:PutObjectTagging, s3:DeleteObject, s3:AbortMultipartUpload,
s3:ListBucketMultipartUploads and s3:ListBucket. Without the last one S3 answers 403 instead of 404 for an object that
is not there. With a KMS key: kms:GenerateDataKey and kms:Decrypt, which a multipart upload needs for writing too.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from itertools import batched
from typing import TYPE_CHECKING, Final, Literal, NotRequired, TypedDict, cast

from botocore.config import Config

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, failure_of, passes
from connect_audio.adapters.s3_checksum import crc32_checksum
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import StorageError
from connect_audio.ports import Lifetime, ObjectHead, ObjectKind, UploadedPart, WriteOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, ObjectIdentifierTypeDef

    from connect_audio.ports import Clock, ObjectBody

# The SDK retries S3's throttles and passing 5xx quickly; a longer outage is for the durable step's retries. A call
# takes at worst 3 x (3 + 10) s and some 2 s of backoff, less than the margin before an invocation's deadline. A lost
# answer is retried too, so a conditional write may have succeeded although it says EXISTS (see `put_new`).
# The body is not signed: TLS protects it, and S3 compares it with its CRC-32. If botocore computes the checksum, it
# leaves the body unsigned too. With a given checksum it would compute a SHA-256, an eighth of the consumer's CPU.
S3_CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=10,
    tcp_keepalive=True,
    retries={"mode": "standard", "total_max_attempts": 3},
    s3={"payload_signing_enabled": False},
)
# DeleteObjects takes no more.
DELETE_BATCH: Final = 1000
# Lifecycle rules filter by prefix or by tag, and temporary objects lie beside the recordings.
TEMPORARY_TAG: Final = "connect-audio=temporary"
# Bytes of one read of an object: two copies of a staged part of 5 MiB would set the consumer's peak memory.
_GET_BYTES: Final = 262_144
# Waits before a conditional write that met a concurrent one is tried again, in seconds.
_CONFLICT_PAUSES_S: Final = (0.2, 0.5, 1.0)
# 409: two conditional writes of one key at the same time, or one beside a delete. Which of them won is not yet known.
_CONFLICTS: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_PRECONDITION_FAILED: Final = frozenset({"PreconditionFailed", "412"})
# The answer to `IfMatch` where no object lies at the key.
_ABSENT: Final = frozenset({"NoSuchKey", "404"})


class _WriteParameters(TypedDict):
    """The parameters that PutObject and CreateMultipartUpload share."""

    Bucket: str
    Key: str
    ContentType: str
    Metadata: dict[str, str]
    Tagging: NotRequired[str]
    ServerSideEncryption: NotRequired[Literal["aws:kms"]]
    SSEKMSKeyId: NotRequired[str]
    BucketKeyEnabled: NotRequired[bool]


class _Condition(TypedDict, total=False):
    """The condition of a write."""

    IfNoneMatch: str
    IfMatch: str


class S3PartStore:
    """One bucket.

    Every body carries its CRC-32, which S3 checks on arrival and keeps. Temporary objects are tagged
    `connect-audio=temporary`, for the bucket's lifecycle rule.

    Args:
        bucket: the bucket's name.
        client: an S3 client, made with `S3_CONFIG`.
        kms_key_arn: encrypt with this key (SSE-KMS with a bucket key); None leaves it to the bucket's default.
        clock: for the pauses between tries of a conditional write.
    """

    def __init__(
        self, bucket: str, *, client: S3Client, kms_key_arn: str | None = None, clock: Clock | None = None
    ) -> None:
        self._bucket = bucket
        self._client = client
        self._kms_key_arn = kms_key_arn
        self._clock = clock or SystemClock()

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        """Write an object, replacing any.

        Raises:
            StorageError: S3 refused or cannot be reached; `InvalidMetadata` where metadata is not printable ASCII.
        """
        parameters = self._write_parameters(key, kind)
        with self._translated("PutObject", key):
            self._client.put_object(Body=_blob(body), **crc32_checksum(body), **parameters)

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        """Write an object only where the key is free.

        EXISTS may mean our own write whose answer was lost: read the object before judging.

        Raises:
            StorageError: as `put`; `ConditionalRequestConflict`, retryable, where concurrent writes of the key go on.
        """
        parameters = self._write_parameters(key, kind)
        return self._write_once(
            "PutObject",
            key,
            lambda: self._client.put_object(Body=_blob(body), IfNoneMatch="*", **crc32_checksum(body), **parameters),
        )

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        """Write an object only in the place of one version.

        CHANGED may mean our own write whose answer was lost: read the object before judging.

        Raises:
            StorageError: as `put_new`.
        """
        parameters = self._write_parameters(key, kind)
        return self._write_once(
            "PutObject",
            key,
            lambda: self._client.put_object(Body=_blob(body), IfMatch=etag, **crc32_checksum(body), **parameters),
            replaces=True,
        )

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        """Read a whole object and compare it with the checksum that S3 keeps.

        Args:
            key: the object's key.
            headroom: zero bytes in front of the object, in which the caller writes a header without a copy.

        Raises:
            StorageError: the code of a missing object is `NoSuchKey`, not retryable.
        """
        with self._translated("GetObject", key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
            # Not `with answer["Body"]`: that enters the urllib3 response, which compares neither length nor checksum.
            # The buffer has its full size from the start: one that grows would leave holes of its size in the heap.
            whole, end = bytearray(headroom + answer["ContentLength"]), headroom
            with closing(answer["Body"]) as body, memoryview(whole) as view:
                # The last read, which returns nothing, makes botocore compare length and checksum.
                while piece := body.read(_GET_BYTES):
                    view[end : end + len(piece)] = piece
                    end += len(piece)
        return whole

    def head(self, key: str) -> ObjectHead | None:
        """Return size and metadata; None if there is no such object.

        Raises:
            StorageError: S3 refused or cannot be reached. HEAD has no body, so the code may be a bare status: `403`.
        """
        try:
            with self._translated("HeadObject", key):
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except StorageError as exc:
            if exc.code in {"404", "NoSuchKey"}:
                return None
            raise
        metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
        return ObjectHead(size=answer["ContentLength"], metadata=metadata, etag=answer["ETag"])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a missing one is no error. If S3 refuses to delete one, the remaining ones are still deleted.

        Raises:
            StorageError: the first object's code, with how many failed; retryable if all of them are.
        """
        failed: list[tuple[str, str]] = []
        for batch in batched(keys, DELETE_BATCH, strict=False):
            objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in batch]
            with self._translated("DeleteObjects", batch[0]):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            failed += [
                (error.get("Code", "Unknown"), error.get("Key", ""))
                for error in answer.get("Errors", [])
                if error.get("Code") != "NoSuchKey"
            ]
        if failed:
            code, key = failed[0]
            raise StorageError(
                code,
                f"DeleteObjects in {self._bucket}: {len(failed)} objects remain, the first is {key}",
                retryable=all(passes(each) for each, _ in failed),
            )

    def delete_version(self, key: str, etag: str) -> None:
        """Delete an object if it is one version; another version stays, and a missing one is no error.

        Raises:
            StorageError: S3 refused or cannot be reached.
        """
        self._write_once(
            "DeleteObject",
            key,
            lambda: self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=etag),
            replaces=True,
        )

    def list_keys(self, prefix: str) -> Sequence[str]:
        """All keys under a prefix, in order.

        Raises:
            StorageError: S3 refused or cannot be reached.
        """
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with self._translated("ListObjectsV2", prefix):
            return tuple(item["Key"] for page in pages for item in page.get("Contents", []))

    def list_level(self, prefix: str) -> Sequence[str]:
        """All keys under a prefix without a further `/`, and the folders there, in order. A folder costs one name.

        Raises:
            StorageError: S3 refused or cannot be reached.
        """
        paginator = self._client.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        with self._translated("ListObjectsV2", prefix):
            names = [
                name
                for page in pages
                for name in (
                    *(item["Key"] for item in page.get("Contents", [])),
                    *(item["Prefix"] for item in page.get("CommonPrefixes", [])),
                )
            ]
        return tuple(sorted(names))

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        """Create a multipart upload to `key` and return its id. If the answer is lost, an upload stays open.

        Raises:
            StorageError: as `put`.
        """
        parameters = self._write_parameters(key, kind)
        with self._translated("CreateMultipartUpload", key):
            return self._client.create_multipart_upload(ChecksumAlgorithm="CRC32", **parameters)["UploadId"]

    def find_uploads(self, key: str) -> Sequence[str]:
        """Ids of the open multipart uploads to exactly `key`, the oldest first.

        Raises:
            StorageError: S3 refused or cannot be reached.
        """
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)
        with self._translated("ListMultipartUploads", key):
            # The filter is a prefix: longer keys match it too.
            return tuple(
                upload["UploadId"] for page in pages for upload in page.get("Uploads", []) if upload["Key"] == key
            )

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        """Upload (or replace) one part.

        Args:
            key: the object's key.
            upload_id: the upload's id.
            number: part number, 1 to 10 000.
            body: the part's bytes.
            crc32: CRC-32 of `body`, with which S3 compares what arrives; None computes it.

        Raises:
            StorageError: the code is `NoSuchUpload` if the upload is gone.
        """
        with self._translated("UploadPart", key):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=_blob(body),
                **crc32_checksum(body, crc32),
            )
        return UploadedPart(
            number=number, etag=answer["ETag"], size=len(body), checksum_crc32=answer.get("ChecksumCRC32") or None
        )

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        """Join the parts into the object, only where the key is free or has the version that is to be replaced.

        Raises:
            StorageError: code `NoSuchUpload` where the upload is gone, which may be our own completion whose answer
                was lost: head the object before judging.
        """
        condition: _Condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        return self._write_once(
            "CompleteMultipartUpload",
            key,
            lambda: self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [_completed(part) for part in parts]},
                **condition,
            ),
            replaces=replaces is not None,
        )

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload; one that is gone is no error.

        Raises:
            StorageError: S3 refused or cannot be reached.
        """
        try:
            with self._translated("AbortMultipartUpload", key):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except StorageError as exc:
            if exc.code != "NoSuchUpload":
                raise

    def _write_once(
        self, operation: str, key: str, write: Callable[[], object], *, replaces: bool = False
    ) -> WriteOutcome:
        pauses = iter(_CONFLICT_PAUSES_S)
        while True:
            try:
                with self._translated(operation, key):
                    write()
            except StorageError as exc:
                if exc.code in _PRECONDITION_FAILED:
                    return WriteOutcome.CHANGED if replaces else WriteOutcome.EXISTS
                if replaces and exc.code in _ABSENT:
                    return WriteOutcome.CHANGED
                pause = next(pauses, None)
                if exc.code not in _CONFLICTS or pause is None:
                    raise
                self._clock.sleep(pause)
            else:
                return WriteOutcome.WRITTEN

    def _write_parameters(self, key: str, kind: ObjectKind) -> _WriteParameters:
        parameters = _WriteParameters(
            Bucket=self._bucket,
            Key=key,
            ContentType=kind.content_type,
            Metadata=_checked_metadata(key, kind.metadata),
        )
        if kind.lifetime is Lifetime.TEMPORARY:
            parameters["Tagging"] = TEMPORARY_TAG
        if self._kms_key_arn is not None:
            parameters["ServerSideEncryption"] = "aws:kms"
            parameters["SSEKMSKeyId"] = self._kms_key_arn
            parameters["BucketKeyEnabled"] = True
        return parameters

    @contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[None]:
        try:
            yield
        except AWS_EXCEPTIONS as exc:
            failure = failure_of(exc)
            raise StorageError(
                failure.code, f"{operation} of {key} in {self._bucket}: {failure.message}", retryable=failure.retryable
            ) from exc


def _blob(body: ObjectBody) -> bytes:
    """The body as the stubs want it: they do not know that botocore takes a bytearray and sends it without a copy."""
    return cast("bytes", body)


def _completed(part: UploadedPart) -> CompletedPartTypeDef:
    completed: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": part.etag}
    if part.checksum_crc32 is not None:
        completed["ChecksumCRC32"] = part.checksum_crc32
    return completed


def _checked_metadata(key: str, metadata: Mapping[str, str]) -> dict[str, str]:
    for name, value in metadata.items():
        if not (name + value).isascii() or not (name + value).isprintable():
            # Names the entry alone: the SDK's own message would quote the value.
            raise StorageError("InvalidMetadata", f"metadata {name!a} of {key} is not printable ASCII", retryable=False)
    return dict(metadata)
