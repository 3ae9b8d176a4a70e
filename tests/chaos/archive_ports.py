"""The ports of the archive's chaos: one stream and one bucket, as one actor sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaos.stage import Actor
from connect_audio.core.errors import OUTSIDE_RETENTION, READ_TIMEOUT, MediaSourceError, StorageError
from connect_audio.ports import (
    AfterFragment,
    ListedFragment,
    ObjectBody,
    ObjectHead,
    ObjectKind,
    PartStore,
    StartSelector,
    UploadedPart,
    WriteOutcome,
)

_AT_HEAD_S = 10.0
"""Longest wait of a read at the stream's head, s."""


@dataclass(frozen=True)
class Held:
    """A fragment of the stream.

    Args:
        number: its fragment number.
        producer_ms: when it begins, ms since the epoch.
        at_ms: when it is over, and can be read.
        data: its document.
        listed_ms: when it enters the listing.
        gone_ms: when the stream loses it.
        is_left_out: GetMedia leaves it out without an error.
        is_broken: GetMedia breaks off within it, in every reading.
    """

    number: str
    producer_ms: int
    at_ms: int
    data: bytes
    listed_ms: int
    gone_ms: int
    is_left_out: bool = False
    is_broken: bool = False


@dataclass
class Kept:
    """The stream.

    Args:
        fragments: in the order of their numbers.
        now_ms: the clock.
        retention_hours: what DescribeStream answers.
        outside_ms: age at which the listing refuses a time, ms; None for never.
    """

    fragments: Sequence[Held]
    now_ms: Callable[[], int]
    retention_hours: int
    outside_ms: int | None

    def there(self) -> list[Held]:
        """What the stream has now."""
        now_ms = self.now_ms()
        return [each for each in self.fragments if each.at_ms <= now_ms < each.gone_ms]


def _source_error(can_pass: bool) -> MediaSourceError:  # noqa: FBT001 - as `Actor.cross` calls it
    return MediaSourceError("InternalFailure", "drawn", retryable=can_pass)


def _storage_error(can_pass: bool) -> StorageError:  # noqa: FBT001 - as `Actor.cross` calls it
    return StorageError("SlowDown" if can_pass else "AccessDenied", "drawn", retryable=can_pass)


class ActorIndex:
    """The listing."""

    def __init__(self, kept: Kept, actor: Actor) -> None:
        self._kept, self._actor = kept, actor

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        return self._actor.cross(lambda: self._listed(from_ms, to_ms), _source_error)

    def _listed(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        now_ms, outside_ms = self._kept.now_ms(), self._kept.outside_ms
        if outside_ms is not None and to_ms < now_ms - outside_ms:
            raise MediaSourceError(OUTSIDE_RETENTION, "drawn", retryable=False)
        return [
            ListedFragment(each.number, each.producer_ms, 0, each.at_ms - each.producer_ms - 64, len(each.data))
            for each in self._kept.there()
            if from_ms <= each.producer_ms <= to_ms and each.listed_ms <= now_ms
        ]


class ActorSource:
    """GetMedia, or the archive with `is_archive`."""

    def __init__(self, kept: Kept, actor: Actor, *, is_archive: bool = False) -> None:
        self._kept, self._actor, self._is_archive = kept, actor, is_archive

    def retention_hours(self) -> int:
        return self._actor.cross(lambda: self._kept.retention_hours, _source_error)

    def open(self, start: StartSelector) -> ActorStream:
        pieces = self._archive(start) if self._is_archive else self._media(start)
        return self._actor.cross(lambda: ActorStream(pieces, self._actor), _source_error)

    def _selected(self, start: StartSelector, of: Iterable[Held]) -> list[Held]:
        if isinstance(start, AfterFragment):
            return [each for each in of if int(each.number) > int(start.number)]
        return [each for each in of if each.at_ms > start.ms]

    def _archive(self, start: StartSelector) -> Iterator[bytes]:
        listed = [each for each in self._kept.there() if each.listed_ms <= self._kept.now_ms()]
        for each in self._selected(start, listed):
            if self._kept.now_ms() >= each.gone_ms:
                raise MediaSourceError("IncompleteAnswer", "drawn", retryable=True)
            yield each.data

    def _media(self, start: StartSelector) -> Iterator[bytes]:
        waited_s = 0.0
        for each in self._selected(start, self._kept.fragments):
            while self._kept.now_ms() < each.at_ms:
                left_s = min((each.at_ms - self._kept.now_ms()) / 1000, _AT_HEAD_S - waited_s)
                if left_s <= 0:
                    raise MediaSourceError(READ_TIMEOUT, "silent", retryable=True)
                self._actor.sleep(left_s)
                waited_s += left_s
            if each.is_left_out or self._kept.now_ms() >= each.gone_ms:
                continue
            waited_s = 0.0
            if each.is_broken:
                yield each.data[: len(each.data) // 2]
                raise MediaSourceError("ConnectionError", "drawn", retryable=True)
            yield each.data
        self._actor.sleep(_AT_HEAD_S)
        raise MediaSourceError(READ_TIMEOUT, "silent", retryable=True)


class ActorStream:
    """A body."""

    def __init__(self, pieces: Iterator[bytes], actor: Actor) -> None:
        self._pieces, self._actor = pieces, actor

    def read(self) -> bytes:
        return self._actor.cross(lambda: next(self._pieces, b""), _source_error)

    def close(self) -> None:
        pass


class ActorStore:
    """The bucket."""

    def __init__(self, store: PartStore, actor: Actor) -> None:
        self._store, self._actor = store, actor

    def _cross[T](self, effect: Callable[[], T]) -> T:
        return self._actor.cross(effect, _storage_error)

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        self._cross(lambda: self._store.put(key, body, kind))

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        return self._cross(lambda: self._store.put_new(key, body, kind))

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        return self._cross(lambda: self._store.replace(key, body, kind, etag))

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        return self._cross(lambda: self._store.get(key, headroom=headroom))

    def head(self, key: str) -> ObjectHead | None:
        return self._cross(lambda: self._store.head(key))

    def delete(self, keys: Iterable[str]) -> None:
        self._cross(lambda: self._store.delete(keys))

    def delete_version(self, key: str, etag: str) -> None:
        self._cross(lambda: self._store.delete_version(key, etag))

    def list_keys(self, prefix: str) -> Sequence[str]:
        return self._cross(lambda: self._store.list_keys(prefix))

    def list_level(self, prefix: str) -> Sequence[str]:
        return self._cross(lambda: self._store.list_level(prefix))

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        return self._cross(lambda: self._store.create_upload(key, kind))

    def find_uploads(self, key: str) -> Sequence[str]:
        return self._cross(lambda: self._store.find_uploads(key))

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        return self._cross(lambda: self._store.upload_part(key, upload_id, number, body, crc32=crc32))

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        return self._cross(lambda: self._store.complete_upload(key, upload_id, parts, replaces=replaces))

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._cross(lambda: self._store.abort_upload(key, upload_id))
