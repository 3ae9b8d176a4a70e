"""Two buckets as one: recordings in one, staging and claims in the other.

Staging and claims are deleted once a recording is published. A bucket under Object Lock keeps them, so a stack may have
a bucket of their own. The recordings' bucket then sees no delete at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connect_audio.ports import ObjectBody, ObjectHead, ObjectKind, PartStore, UploadedPart, WriteOutcome

_CLAIM, _STAGING = ".wav.claim", ".wav.staging/"


class StagingStore:
    """A `PartStore` over two others.

    Args:
        recordings: holds recordings, manifests and whatever else stays.
        staging: holds what is deleted again: the keys of `RecordingNames.claim` and below `RecordingNames.staging`.
    """

    def __init__(self, recordings: PartStore, staging: PartStore) -> None:
        self._recordings, self._staging = recordings, staging

    def _of(self, key: str) -> PartStore:
        return self._staging if key.endswith(_CLAIM) or _STAGING in key else self._recordings

    def _deletable(self, key: str) -> PartStore:
        if self._of(key) is self._recordings:
            raise ValueError(f"{key} is of the recordings' bucket, where nothing is deleted")
        return self._staging

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        """Write an object, replacing any."""
        self._of(key).put(key, body, kind)

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        """Write an object only where the key is free."""
        return self._of(key).put_new(key, body, kind)

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        """Write an object only in the place of one version."""
        return self._of(key).replace(key, body, kind, etag)

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        """Read a whole object behind so many zero bytes."""
        return self._of(key).get(key, headroom=headroom)

    def head(self, key: str) -> ObjectHead | None:
        """Return size and metadata; None if there is no such object."""
        return self._of(key).head(key)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects of the staging bucket; a missing one is no error.

        Raises:
            ValueError: a key is of the recordings' bucket, where nothing is ever deleted.
        """
        wanted = tuple(keys)
        for key in wanted:
            self._deletable(key)
        self._staging.delete(wanted)

    def delete_version(self, key: str, etag: str) -> None:
        """Delete an object of the staging bucket if it is one version.

        Raises:
            ValueError: the key is of the recordings' bucket, where nothing is ever deleted.
        """
        self._deletable(key).delete_version(key, etag)

    def list_keys(self, prefix: str) -> Sequence[str]:
        """Return all keys under a prefix, of both buckets, in order."""
        if self._of(prefix) is self._staging:
            return self._staging.list_keys(prefix)
        return sorted({*self._recordings.list_keys(prefix), *self._staging.list_keys(prefix)})

    def list_level(self, prefix: str) -> Sequence[str]:
        """Return the keys and folders of one level, of both buckets, in order."""
        if self._of(prefix) is self._staging:
            return self._staging.list_level(prefix)
        return sorted({*self._recordings.list_level(prefix), *self._staging.list_level(prefix)})

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        """Create a multipart upload to `key` and return its id."""
        return self._of(key).create_upload(key, kind)

    def find_uploads(self, key: str) -> Sequence[str]:
        """Return the ids of the open multipart uploads to exactly `key`."""
        return self._of(key).find_uploads(key)

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        """Upload (or replace) one part."""
        return self._of(key).upload_part(key, upload_id, number, body, crc32=crc32)

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        """Join the parts into the object."""
        return self._of(key).complete_upload(key, upload_id, parts, replaces=replaces)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload; one that is gone is no error."""
        self._of(key).abort_upload(key, upload_id)
