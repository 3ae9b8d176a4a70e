"""A bucket in memory that enforces what S3 enforces."""

from __future__ import annotations

import base64
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from connect_audio.core.errors import StorageError
from connect_audio.ports import Lifetime, ObjectBody, ObjectHead, ObjectKind, UploadedPart, WriteOutcome
from connect_audio.recorder.policy import MIN_PART_BYTES


class MemoryStore:
    """A bucket that enforces what S3 enforces."""

    def __init__(self, least_part_bytes: int = MIN_PART_BYTES) -> None:
        self.least_part_bytes = least_part_bytes
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = {}
        self.written: list[tuple[str, int]] = []
        self.temporary: set[str] = set()
        self.failures: deque[StorageError | None] = deque()
        self.before_call: Callable[[str], None] = lambda _name: None
        # With a KMS key an ETag says nothing about the content: each upload of a part has another one.
        self.own_etags = False
        self._etags: dict[tuple[str, int], str] = {}
        self._ids = 0

    def _enter(self, name: str) -> None:
        self.before_call(name)
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            raise failure

    def _write(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        assert kind.content_type
        self.written.append((key, len(body)))
        self.objects[key] = (bytes(body), dict(kind.metadata))
        if kind.lifetime is Lifetime.TEMPORARY:
            self.temporary.add(key)

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        self._enter("put")
        self._write(key, body, kind)

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        self._enter("put_new")
        if key in self.objects:
            return WriteOutcome.EXISTS
        self._write(key, body, kind)
        return WriteOutcome.WRITTEN

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        self._enter("replace")
        if key not in self.objects or _etag(self.objects[key][0]) != etag:
            return WriteOutcome.CHANGED
        self._write(key, body, kind)
        return WriteOutcome.WRITTEN

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        self._enter("get")
        if key not in self.objects:
            raise StorageError("NoSuchKey", key, retryable=False)
        return bytearray(headroom) + self.objects[key][0]

    def head(self, key: str) -> ObjectHead | None:
        self._enter("head")
        found = self.objects.get(key)
        return None if found is None else ObjectHead(len(found[0]), found[1], _etag(found[0]))

    def delete(self, keys: Iterable[str]) -> None:
        self._enter("delete")
        for key in keys:
            # The consumer's role may delete nothing else (template.yaml).
            assert ".wav.staging/" in key or key.endswith(".wav.claim") or "/waiting/" in key, key
            self.objects.pop(key, None)

    def delete_version(self, key: str, etag: str) -> None:
        self._enter("delete_version")
        assert key.endswith(".wav.claim"), key
        if key in self.objects and _etag(self.objects[key][0]) == etag:
            del self.objects[key]

    def list_keys(self, prefix: str) -> Sequence[str]:
        self._enter("list_keys")
        return sorted(key for key in self.objects if key.startswith(prefix))

    def list_level(self, prefix: str) -> Sequence[str]:
        self._enter("list_level")
        return sorted({_to_next_slash(key, len(prefix)) for key in self.objects if key.startswith(prefix)})

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        assert kind.content_type
        self._enter("create_upload")
        self._ids += 1
        upload_id = f"upload-{self._ids}"
        self.uploads[upload_id] = (key, dict(kind.metadata), {})
        return upload_id

    def find_uploads(self, key: str) -> Sequence[str]:
        self._enter("find_uploads")
        return [upload for upload, (target, _, _) in self.uploads.items() if target == key]

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        self._enter("upload_part")
        _, _, parts = self._upload(key, upload_id)
        assert 1 <= number <= 10_000
        if crc32 not in {None, zlib.crc32(body)}:
            raise StorageError("BadDigest", str(number), retryable=True)
        parts[number] = bytes(body)
        etag = _etag(body)
        if self.own_etags:
            self._ids += 1
            etag = f'"{self._ids}"'
        self._etags[upload_id, number] = etag
        return UploadedPart(number=number, etag=etag, size=len(body), checksum_crc32=_crc(body))

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        self._enter("complete_upload")
        _, metadata, stored = self._upload(key, upload_id)
        numbers = [part.number for part in parts]
        assert numbers == sorted(set(numbers)), "S3 wants the parts in ascending order"
        for part in parts:
            if part.number not in stored or self._etags[upload_id, part.number] != part.etag:
                raise StorageError("InvalidPart", str(part.number), retryable=False)
        for part in parts[:-1]:
            if len(stored[part.number]) < self.least_part_bytes:
                raise StorageError("EntityTooSmall", str(part.number), retryable=False)
        if replaces is not None:
            if key not in self.objects or _etag(self.objects[key][0]) != replaces:
                return WriteOutcome.CHANGED
        elif key in self.objects:
            return WriteOutcome.EXISTS
        self.objects[key] = (b"".join(stored[number] for number in numbers), metadata)
        del self.uploads[upload_id]
        return WriteOutcome.WRITTEN

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._enter("abort_upload")
        assert self.uploads.get(upload_id, (key,))[0] == key
        self.uploads.pop(upload_id, None)

    def _upload(self, key: str, upload_id: str) -> tuple[str, dict[str, str], dict[int, bytes]]:
        upload = self.uploads.get(upload_id)
        if upload is None or upload[0] != key:
            raise StorageError("NoSuchUpload", upload_id, retryable=False)
        return upload


def _to_next_slash(key: str, at: int) -> str:
    return key[: key.index("/", at) + 1] if "/" in key[at:] else key


def _etag(body: ObjectBody) -> str:
    return f'"{zlib.adler32(body):08x}-{len(body)}"'


def _crc(body: ObjectBody) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
