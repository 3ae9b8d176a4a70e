"""The recorder's dependencies as Protocols; `adapters/` implements them over AWS, the local tools over files.

Failures cross a port only as `MediaSourceError`, `StorageError` and `AnnouncementError` (core/errors.py), raised `from`
the vendor's own. The ports of live audio are in `connect_audio.sinks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class FromProducerTime:
    """Start with the fragment that contains a producer time (`PRODUCER_TIMESTAMP`).

    Args:
        ms: milliseconds since the epoch.
    """

    ms: int


@dataclass(frozen=True, slots=True)
class AfterFragment:
    """Start with the fragment after one (`FRAGMENT_NUMBER`): the way to resume.

    Args:
        number: the fragment number, a decimal number.
    """

    number: str


type StartSelector = FromProducerTime | AfterFragment


class MediaStream(Protocol):
    """One open GetMedia body, or one that the archive gives in its form."""

    def read(self) -> bytes:
        """Return the bytes that have arrived, waiting for at least one; never waits to fill a buffer.

        Returns:
            1 to 65 536 bytes, or `b""` at the clean end of the body and for ever after.

        Raises:
            MediaSourceError: the connection broke or stalled beyond the read timeout. Every byte that had arrived
                was returned by earlier calls.
        """

    def close(self) -> None:
        """Close the connection. May be called twice."""


class MediaSource(Protocol):
    """One Kinesis Video stream."""

    def retention_hours(self) -> int:
        """DataRetentionInHours of the stream; 0 means that it keeps nothing beyond its buffer.

        Raises:
            MediaSourceError: DescribeStream failed.
        """

    def open(self, start: StartSelector) -> MediaStream:
        """Open GetMedia. The caller keeps at most one stream open and closes it.

        Raises:
            MediaSourceError: GetDataEndpoint or GetMedia failed. `retryable` is true for throttling, endpoint and
                network trouble, false for errors that need an operator (not authorised, not found).
        """


@dataclass(frozen=True, slots=True)
class ListedFragment:
    """One fragment of a stream, as a listing shows it. It names no contact: only the media does.

    Args:
        number: the fragment number, a decimal number.
        producer_ms: when it begins by the producer's clock, ms since the epoch.
        server_ms: when KVS took it, ms since the epoch.
        length_ms: its length without the last frame, ms; KVS has been seen to give 0.
        size: bytes of media.
    """

    number: str
    producer_ms: int
    server_ms: int
    length_ms: int
    size: int


class FragmentIndex(Protocol):
    """The listing of one Kinesis Video stream's retained fragments."""

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        """Return the fragments that begin in a range of producer time, each once, in order of their numbers.

        The listing is eventually consistent: a fragment may stand in it a second after it can be read. A caller that
        finds a hole asks again before believing in it.

        Args:
            from_ms: least begin, ms since the epoch, inclusive. A fragment that only contains this time is not listed.
            to_ms: greatest begin, ms since the epoch, inclusive.

        Raises:
            MediaSourceError: ListFragments failed; the code is `OUTSIDE_RETENTION` if the stream does not keep that
                time.
        """


class ContactState(StrEnum):
    """State of a contact, as Connect gives it. A denied or throttled question is UNKNOWN, never DISCONNECTED."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class ContactAnswer:
    """Connect's description of a contact, as far as the end of a recording depends on it.

    Args:
        state: the contact's state.
        stop_fragment: FragmentStopNumber of the streaming, a decimal number; None where Connect gives none.
        ended_ms: when the contact was disconnected, ms since the epoch; None while it is not, or if unknown.
    """

    state: ContactState
    stop_fragment: str | None = None
    ended_ms: int | None = None


class ContactStatus(Protocol):
    """Connect's answers about a contact."""

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        """Ask once. Never raises for an API failure: that is UNKNOWN, logged by the adapter.

        Args:
            instance_id: the Connect instance.
            contact_id: the contact.
            stream_arn: the streaming's stream: another stream's end says nothing about it.
            start_fragment: the streaming's first fragment, by which two streamings in one stream differ; None if
                unknown.
        """


class ContactEnds(Protocol):
    """The ends of contacts that Connect's contact events announced, and the executions that wait for one.

    The end is noted first and the waiting executions are looked up then. An execution is entered first and looks for
    the end then. So one of the two finds the other.
    """

    def ended_ms(self, contact_id: str) -> int | None:
        """Return when the contact was disconnected, ms since the epoch; None while no end is announced.

        Raises:
            StorageError: the answer cannot be read.
        """

    def wait(self, contact_id: str, execution_name: str, callback_id: str) -> None:
        """Enter an execution that the contact's end is to wake, in place of its earlier entry.

        Args:
            contact_id: the contact.
            execution_name: the durable execution's name.
            callback_id: the engine's id of the callback that wakes it.

        Raises:
            StorageError: the entry cannot be written.
        """

    def leave(self, contact_id: str, execution_name: str) -> None:
        """Delete an execution's entry; one that is gone is no error.

        Raises:
            StorageError: the entry cannot be deleted.
        """


class Clock(Protocol):
    """Wall time, injected."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Log(Protocol):
    """A logger: the standard library's or Powertools', which are of no common class. `extra` takes ids and numbers."""

    def debug(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Log at level DEBUG."""

    def info(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Log at level INFO."""

    def warning(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Log at level WARNING."""

    def error(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Log at level ERROR."""

    def exception(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Log at level ERROR, with the traceback of the exception that is being handled."""


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """One part of a multipart upload, as S3 wants it back at completion.

    Args:
        number: part number, 1 to 10 000.
        etag: the ETag S3 answered, with its quotes.
        size: bytes.
        checksum_crc32: S3's base64 CRC-32 of the part, or None where the server gives none.
    """

    number: int
    etag: str
    size: int
    checksum_crc32: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """The answer of HEAD about an object.

    Args:
        size: bytes.
        metadata: user metadata, keys in lower case.
        etag: name of the object's version, with its quotes: another content has another one.
    """

    size: int
    metadata: Mapping[str, str]
    etag: str = ""


class WriteOutcome(StrEnum):
    """Result of a conditional write."""

    WRITTEN = "WRITTEN"
    EXISTS = "EXISTS"
    """The key was to be free (`IfNoneMatch: *`), and an object lies there."""
    CHANGED = "CHANGED"
    """An object was to be replaced (`IfMatch`), and another one lies there, or none."""


type ObjectBody = bytes | bytearray
"""The bytes of an object or of a part. A store sends a bytearray as it is, without a copy, and keeps no reference."""


class Lifetime(StrEnum):
    """How long an object is needed. Its writer says so; no key is guessed from."""

    KEPT = "KEPT"
    """It is a result: nothing but the bucket's expiry deletes it."""
    TEMPORARY = "TEMPORARY"
    """It serves until its recording is published. The bucket's lifecycle deletes a leftover."""


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """The properties of an object beside its bytes.

    Args:
        content_type: its media type.
        metadata: user metadata, printable ASCII.
        lifetime: how long it is needed.
    """

    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    lifetime: Lifetime = Lifetime.KEPT


class PartStore(Protocol):
    """One bucket. Keys are whole; every method raises `StorageError` if S3 refuses or cannot be reached.

    Creating an upload and aborting it belong together. Publishing aborts each other upload to the recording's key. The
    bucket's lifecycle rule is the last net.
    """

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        """Write an object, replacing any."""

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        """Write an object only where the key is free (`IfNoneMatch: *`; 412 is EXISTS, a 409 is tried again)."""

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        """Write an object only in the place of one version (`IfMatch`; 412 and a missing object are CHANGED).

        Args:
            key: the object's key.
            body: the new object.
            kind: its properties.
            etag: ETag of the version that it replaces, as `head` gives it.
        """

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        """Read a whole object.

        Args:
            key: the object's key.
            headroom: zero bytes in front of the object, in which the caller writes a header without a copy.

        Returns:
            `headroom` zero bytes, then the object. The caller owns it.

        Raises:
            StorageError: as every method; the code of a missing object is `NoSuchKey`, not retryable.
        """

    def head(self, key: str) -> ObjectHead | None:
        """Return size and metadata; None if there is no such object."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a missing one is no error."""

    def delete_version(self, key: str, etag: str) -> None:
        """Delete an object if it is one version (`IfMatch`); another version stays, and a missing one is no error.

        Args:
            key: the object's key.
            etag: ETag of the version, as `head` gives it.
        """

    def list_keys(self, prefix: str) -> Sequence[str]:
        """Return all keys under a prefix, in order."""

    def list_level(self, prefix: str) -> Sequence[str]:
        """Return the keys under a prefix that have no further `/`, and the folders there, ending in `/`, in order.

        A folder counts once, however many objects it holds.
        """

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        """Create a multipart upload to `key` and return its id. If the answer is lost, an upload stays open."""

    def find_uploads(self, key: str) -> Sequence[str]:
        """Return the ids of the open multipart uploads to exactly `key`."""

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        """Upload (or replace) one part.

        Args:
            key: the object's key.
            upload_id: the upload's id.
            number: part number, 1 to 10 000.
            body: the part's bytes.
            crc32: CRC-32 of `body`, with which S3 compares what arrives; None lets the store compute it.
        """

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        """Join the parts into the object, only where the key is free (`IfNoneMatch: *`; 412 is EXISTS).

        Args:
            key: the object's key.
            upload_id: the upload's id.
            parts: all parts, in order.
            replaces: ETag of the version that the object replaces, on the terms of `replace`; None for a free key.

        Raises:
            StorageError: the code is `NoSuchUpload` if the upload is gone: head the object before judging.
        """

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload; one that is gone is no error."""


class EventBus(Protocol):
    """A bus for the events of recordings."""

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> str:
        """Put one event on the bus and return its id. A second call with the same event makes a second one.

        Raises:
            AnnouncementError: the bus did not take the event.
        """
