"""A bucket in which one object seems not to be there, so that a recording replaces it as if its key were free.

The recorder publishes on a free key alone. For a repair it gets this store: the old WAV is hidden as long as it is the
version that is to be replaced. A write to its key is conditional on this version (`IfMatch`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connect_audio.ports import ObjectBody, ObjectHead, ObjectKind, PartStore, UploadedPart, WriteOutcome
from connect_audio.recorder.parts import EXECUTION_KEY


class ReplacingStore:
    """A `PartStore` over another one.

    Args:
        store: the bucket.
        key: key of the object that is to be replaced.
        etag: ETag of its version.
        execution: name of the execution that replaces it. Its own object is never hidden: equal bytes have equal ETags.
    """

    def __init__(self, store: PartStore, key: str, etag: str, execution: str) -> None:
        self._store, self._key, self._etag, self._execution = store, key, etag, execution

    @property
    def etag(self) -> str:
        """ETag of the version that is to be replaced."""
        return self._etag

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        """Write an object, replacing any."""
        self._store.put(key, body, kind)

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        """Write an object only where the key is free; the key of the old version counts as free."""
        if key != self._key:
            return self._store.put_new(key, body, kind)
        return _as_new(self._store.replace(key, body, kind, self._etag))

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        """Write an object only in the place of one version."""
        return self._store.replace(key, body, kind, etag)

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        """Read a whole object behind so many zero bytes."""
        return self._store.get(key, headroom=headroom)

    def head(self, key: str) -> ObjectHead | None:
        """Return size and metadata; None if there is no such object but the old version."""
        found = self._store.head(key)
        if found is None or key != self._key or found.metadata.get(EXECUTION_KEY) == self._execution:
            return found
        return None if found.etag == self._etag else found

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a missing one is no error."""
        self._store.delete(keys)

    def delete_version(self, key: str, etag: str) -> None:
        """Delete an object if it is one version."""
        self._store.delete_version(key, etag)

    def list_keys(self, prefix: str) -> Sequence[str]:
        """Return all keys under a prefix, in order."""
        return self._store.list_keys(prefix)

    def list_level(self, prefix: str) -> Sequence[str]:
        """Return the keys under a prefix that have no further `/`, and the folders there, ending in `/`, in order."""
        return self._store.list_level(prefix)

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        """Create an upload to `key` and return its id."""
        return self._store.create_upload(key, kind)

    def find_uploads(self, key: str) -> Sequence[str]:
        """Return the ids of the open uploads to exactly `key`."""
        return self._store.find_uploads(key)

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        """Upload (or replace) one part."""
        return self._store.upload_part(key, upload_id, number, body, crc32=crc32)

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        """Join the parts into the object, only where the key is free; the key of the old version counts as free."""
        replaces = self._etag if key == self._key else replaces
        return _as_new(self._store.complete_upload(key, upload_id, parts, replaces=replaces))

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload; one that is gone is no error."""
        self._store.abort_upload(key, upload_id)


def _as_new(outcome: WriteOutcome) -> WriteOutcome:
    """Return the outcome as that of a write to a free key."""
    return WriteOutcome.EXISTS if outcome is WriteOutcome.CHANGED else outcome
