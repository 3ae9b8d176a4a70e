"""What the recorder needs of the world, as Protocols; `adapters/` implements them over AWS, the local tools over files.

Failures cross a port only as `MediaSourceError`, `StorageError`, `AnnouncementError` and `SinkError` (core/errors.py),
raised `from` the vendor's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from connect_audio.core.live_audio import LiveAudio


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
    """One open GetMedia body."""

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
            MediaSourceError: GetDataEndpoint or GetMedia failed. `retryable` tells throttling, endpoint and network
                trouble from what only a human can mend (not authorised, not found).
        """


class ContactState(StrEnum):
    """What Connect says of a contact. A denied or throttled question is UNKNOWN, never DISCONNECTED."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    UNKNOWN = "UNKNOWN"


class ContactStatus(Protocol):
    """Connect's word on a contact."""

    def state(self, instance_id: str, contact_id: str) -> ContactState:
        """Ask once. Never raises for an API failure: that is UNKNOWN, logged by the adapter."""


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
    """What HEAD tells of an object.

    Args:
        size: bytes.
        metadata: user metadata, keys in lower case.
    """

    size: int
    metadata: Mapping[str, str]


class WriteOutcome(StrEnum):
    """What became of a conditional write (`IfNoneMatch: *`)."""

    WRITTEN = "WRITTEN"
    EXISTS = "EXISTS"


type ObjectBody = bytes | bytearray
"""The bytes of an object or of a part. A store sends a bytearray as it is, without a copy, and keeps no reference."""


class PartStore(Protocol):
    """One bucket. Keys are whole; every method raises `StorageError` where S3 refuses or cannot be reached.

    Creating an upload and arranging its abort belong together: the recorder records the id before anything else and
    the bucket's lifecycle rule is the last net.
    """

    def put(self, key: str, body: ObjectBody, *, content_type: str, metadata: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing any."""

    def put_new(
        self, key: str, body: ObjectBody, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> WriteOutcome:
        """Write an object only where the key is free (`IfNoneMatch: *`; 412 is EXISTS, a 409 is tried again)."""

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
        """Tell size and metadata, or None where there is no such object."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a missing one is no error."""

    def list_keys(self, prefix: str) -> Sequence[str]:
        """All keys under a prefix, in order."""

    def open_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str]) -> str:
        """Return the id of an open multipart upload to exactly `key`, re-using one that exists, else creating it."""

    def find_uploads(self, key: str) -> Sequence[str]:
        """Ids of the open multipart uploads to exactly `key`."""

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

    def complete_upload(self, key: str, upload_id: str, parts: Sequence[UploadedPart]) -> WriteOutcome:
        """Join the parts into the object, only where the key is free (`IfNoneMatch: *`; 412 is EXISTS).

        Raises:
            StorageError: code `NoSuchUpload` where the upload is gone: head the object before judging.
        """

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload; one that is gone is no error."""


class EventBus(Protocol):
    """Where others listen for what became of recordings."""

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> str:
        """Hand over one event and return its id. A second call with the same makes a second event.

        Raises:
            AnnouncementError: it was not taken.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEnd:
    """How a call's live audio ended.

    Args:
        frames: length of the recording.
        origin: time of its first sample, samples since the epoch; None where there is none.
        rate: samples a second; None where there is no recording.
    """

    frames: int
    origin: int | None
    rate: int | None


class AudioSink(Protocol):
    """Where live audio goes while the call lasts. One instance serves one invocation and one call.

    `prepare`, `deliver`, `end` and `close` are called one after the other, from one thread of the sink's own; where a
    capture is replayed at once, and nothing is live, by the one that reads it. Nothing that they do touches the
    recording. Audio comes in the order of its positions (of blocks, each party's for itself, silence included, from
    where a party's audio begins), and each position once, or at least once: after a hand-over, a crash, or where the
    stream's bytes differ on second reading, some comes again from an earlier position on, under the same segment
    numbers. Where a position comes twice the later counts.
    """

    @property
    def segment_seconds(self) -> int:
        """How the audio is to be cut: seconds of a segment; 0 for block by block as it comes."""

    def prepare(self) -> None:
        """Make ready what the first delivery would otherwise have to wait for, before there is audio.

        It need not be called, and may be called twice.

        Raises:
            SinkError: it could not be; the first delivery will meet that again, so it is no more than noted.
        """

    def deliver(self, audio: LiveAudio) -> None:
        """Take a stretch of audio; return once it is safe.

        It must return within some ten seconds, if need be by failing: what takes longer is interrupted.

        Raises:
            SinkError: it was not taken. Where `retryable`, it is tried again; else it is given up and counted.
        """

    def end(self, end: LiveEnd) -> None:
        """The call is over and nothing more will come. Not called where an invocation hands over to the next.

        Raises:
            SinkError: what is to be told of the end could not be told; tried again as `deliver`.
        """

    def interrupt(self) -> None:
        """Called from another thread: make a `deliver` or `end` that is under way fail soon. Others may follow it."""

    def close(self) -> None:
        """Release what is held. The last call; must not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSetup:
    """What the maker of a sink is told; the entry points of the group `connect_audio.sinks` are such makers.

    Args:
        contact_id: whose call it is.
        recording: URI of the recording that is being made.
        start_ms: when the call's streaming began, ms since the epoch; tells two streamings of one contact apart.
        segment_seconds: LIVE_SEGMENT_SECONDS; a sink may cut the audio otherwise.
        options: LIVE_SINK_OPTIONS, the same for all sinks.
    """

    contact_id: str
    recording: str
    start_ms: int
    segment_seconds: int
    options: Mapping[str, str]


class MakeSink(Protocol):
    """Makes a sink for one call and one invocation."""

    def __call__(self, setup: SinkSetup) -> AudioSink:
        """Make it. The recorder waits meanwhile: what takes its time, connections and secrets, belongs in `prepare`.

        Raises:
            SinkError: it cannot be made; the call is recorded without it. So does whatever else is raised.
        """
