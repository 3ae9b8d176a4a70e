"""The state of the emulated service: streams, their fragments, retention, start selectors, contacts and limits.

Pure: no HTTP and no clock; the seconds of a monotonic clock come in as `now_s`. `server.py` serves it. The archive
APIs (`archive.py`) read the same `EmulatedStream`.
"""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from connect_audio_local.kvs.archive import Archive, ArchiveView
from connect_audio_local.kvs.archive_behaviour import USUAL_ARCHIVE, ArchiveBehaviour
from connect_audio_local.kvs.capture import StoredFragment, block_ends
from connect_audio_local.kvs.contact_search import search
from connect_audio_local.kvs.contacts import EmulatedContact
from connect_audio_local.kvs.fault_run import FaultRun
from connect_audio_local.kvs.faults import NO_FAULTS, FaultPlan
from connect_audio_local.kvs.service_error import FragmentNotFoundError, ServiceError, invalid_argument

# A stream with DataRetentionInHours 0 keeps a host's buffer : 5 minutes or 200 MB (AWS developer guide).
_BUFFER_MS, _BUFFER_BYTES = 5 * 60 * 1000, 200 * 1000 * 1000
_HOUR_MS = 60 * 60 * 1000
# A time of today in ms leaves a float 0.0002 ms: a waiter that wakes at a due time must find it past.
_ROUNDING_MS = 0.01

_STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,256}", re.ASCII)
_STREAM_ARN = re.compile(r"arn:[a-z\d-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+", re.ASCII)
_FRAGMENT_NUMBER = re.compile(r"[0-9]{1,128}", re.ASCII)
_ARCHIVE_API_NAMES = frozenset({"LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST"})
_TOKEN = re.compile(r"[a-zA-Z0-9_.-]{1,128}", re.ASCII)


def _limit_exceeded(message: str) -> ServiceError:
    return ServiceError("ClientLimitExceededException", 400, message)


# --- policies --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Live:
    """Fragments come as their media time passes, from the moment the stream is added to an emulator.

    Args:
        speed: media seconds a second; 1 is the pace of a real call.
    """

    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class AllAtOnce:
    """Everything is there from the start, as in a stream read long after the call."""


@dataclass(frozen=True, slots=True)
class AsRead:
    """The stream's time runs as fast as the fastest reader: a call of any length in constant memory."""


type Pace = Live | AllAtOnce | AsRead
ALL_AT_ONCE = AllAtOnce()


class Delivery(Enum):
    """In which pieces a live fragment becomes available."""

    FRAGMENT = "whole, at its end"
    BLOCK = "block by block, each at its end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The service's limits; None for no such limit.

    Args:
        calls_per_second: calls of each operation, a stream.
        connections: open GetMedia connections a stream.
        archive_connections: open GetMediaForFragmentList connections a stream.
        describe_contact_per_second: Connect's DescribeContact, an account.
        search_contacts_per_second: Connect's SearchContacts, an account; one at a time.
        session_s: after so many seconds a GetMedia body ends silently.
    """

    calls_per_second: int | None = 5
    connections: int | None = 3
    archive_connections: int | None = 5
    describe_contact_per_second: int | None = 2
    search_contacts_per_second: float | None = 0.5
    session_s: float | None = 45 * 60.0


UNLIMITED = Limits(
    calls_per_second=None,
    connections=None,
    archive_connections=None,
    describe_contact_per_second=None,
    search_contacts_per_second=None,
    session_s=None,
)


class CallMeter:
    """Counts calls in the last second, or where one a second is too many, in a longer time. Its owner locks."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[float]] = {}

    def allow(self, what: str, per_second: float | None, now_s: float) -> bool:
        """Count a call of `what`, unless it would exceed the limit."""
        if per_second is None:
            return True
        calls = self._calls.setdefault(what, deque())
        while calls and calls[0] <= now_s - max(1.0, 1 / per_second):
            calls.popleft()
        if len(calls) >= max(1, per_second):
            return False
        calls.append(now_s)
        return True


# --- streams ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotBefore:
    """The next fragment comes at a time.

    Args:
        due_s: seconds of the emulator's clock.
    """

    due_s: float


@dataclass(frozen=True, slots=True)
class NoMore:
    """The stream has no further fragment and never will."""


class EmulatedStream:
    """One Kinesis Video stream. Thread-safe.

    Args:
        name: StreamName.
        fragments: its fragments in order, pulled lazily and once.
        pace: when they become available.
        delivery: in which pieces a live fragment becomes available.
        retention_hours: DataRetentionInHours, counted in media time. With 0, Connect's default, only the last 5
            minutes and 200 MB are there.
        hold_open_s: how long a GetMedia connection stays open once the stream has no more fragments; 0 ends the body
            at once, the real service waits.
        region: region in its ARN.
        account: account in its ARN.
        created_ms: CreationTime in ms since the epoch, also the last part of its ARN.
        denied_apis: names of the operations that answer NotAuthorizedException; may be set later.
        faults: how it misbehaves; `faults` of the stream is the run through them.
        archive: how the archive APIs answer.
    """

    def __init__(
        self,
        name: str,
        fragments: Iterable[StoredFragment],
        *,
        pace: Pace = ALL_AT_ONCE,
        delivery: Delivery = Delivery.FRAGMENT,
        retention_hours: int = 24,
        hold_open_s: float = 0.0,
        region: str = "eu-west-2",
        account: str = "123456789012",
        created_ms: int = 1_782_900_000_000,
        denied_apis: frozenset[str] = frozenset(),
        faults: FaultPlan = NO_FAULTS,
        archive: ArchiveBehaviour = USUAL_ARCHIVE,
    ) -> None:
        if not _STREAM_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no stream name: 1 to 256 of a-z A-Z 0-9 _ . -")
        self.name = name
        self.arn = f"arn:aws:kinesisvideo:{region}:{account}:stream/{name}/{created_ms}"
        self.created_ms = created_ms
        self.retention_hours = retention_hours
        self.delivery = delivery
        self.hold_open_s = hold_open_s
        self.denied_apis = denied_apis
        self.faults = FaultRun(faults)
        self.archive = Archive(archive)
        self._pace = pace
        self._source: Iterator[StoredFragment] = self.faults.stored(fragments)
        self._lock = threading.RLock()
        self._meter = CallMeter()
        self._endpoint_generation = 0
        # The retained fragments: `_kept[0]` has the index `_first`. `_coming` is the next one, looked at already.
        self._kept: deque[StoredFragment] = deque()
        self._kept_bytes = 0
        self._first = 0
        # A producer that begins again may number its fragments lower, so the newest one is not the highest.
        self._highest_expired = 0
        self._coming: StoredFragment | None = None
        self._contacts: dict[str, EmulatedContact] = {}
        self._contact: EmulatedContact | None = None
        self._origin_s: float | None = None
        self._origin_ms = 0
        self._newest_ms = 0

    def start(self, now_s: float) -> None:
        """Let the live pace begin; a second start changes nothing."""
        with self._lock:
            if self._origin_s is None:
                self._origin_s = now_s
                self._look_ahead()
                self._origin_ms = self._newest_ms = self._coming.producer_ms if self._coming else 0

    def description(self) -> dict[str, Any]:
        """StreamInfo of DescribeStream."""
        return {
            "StreamName": self.name,
            "StreamARN": self.arn,
            "MediaType": "audio/L16",
            "KmsKeyId": f"{self.arn.split(':stream/')[0].replace(':kinesisvideo:', ':kms:')}:alias/aws/kinesisvideo",
            "Version": "1",
            "Status": "ACTIVE",
            "CreationTime": self.created_ms / 1000,
            "DataRetentionInHours": self.retention_hours,
        }

    def admit_call(self, api: str, limits: Limits, now_s: float) -> None:
        """Check what every operation on a stream checks.

        Raises:
            ServiceError: NotAuthorizedException or ClientLimitExceededException.
        """
        if api in self.denied_apis:
            raise ServiceError("NotAuthorizedException", 401, f"not authorized to perform {api} on {self.arn}")
        with self._lock:
            if not self._meter.allow(api, limits.calls_per_second, now_s):
                raise _limit_exceeded(f"more than {limits.calls_per_second} {api} calls a second on stream {self.name}")

    # --- endpoints ---

    def move_endpoint(self) -> None:
        """Retire the data endpoint: GetMedia answers InvalidEndpointException until GetDataEndpoint is asked anew."""
        with self._lock:
            self._endpoint_generation += 1

    @property
    def endpoint_path(self) -> str:
        """Path of the data endpoint that is valid now; empty until the endpoint moved for the first time."""
        with self._lock:
            return f"/moved/{self._endpoint_generation}" if self._endpoint_generation else ""

    def endpoint_path_of(self, api_name: str) -> str:
        """Path of the data endpoint of an APIName. The archive's operations have hosts of their own in AWS."""
        return f"{self.endpoint_path}/archive/{api_name}" if api_name in _ARCHIVE_API_NAMES else self.endpoint_path

    # --- reading ---

    def open(self, selector: Mapping[str, Any], now_s: float) -> FragmentReader:
        """Position a reader.

        Args:
            selector: StartSelector of GetMedia.
            now_s: seconds of the emulator's clock.

        Raises:
            ServiceError: InvalidArgumentException; so is a token that this stream never issued.
            FragmentNotFoundError: a fragment number that this stream never issued.
        """
        kind = selector.get("StartSelectorType")
        with self._lock:
            self._advance(now_s)
            match kind:
                case "NOW":
                    return FragmentReader(self, max(self._first, self._end - 1), _any_fragment)
                case "EARLIEST":
                    return FragmentReader(self, self._first, _any_fragment)
                case "FRAGMENT_NUMBER":
                    number = _text_field(selector, "AfterFragmentNumber", _FRAGMENT_NUMBER, kind)
                    if self._never_had(number):
                        raise FragmentNotFoundError(number)
                    return FragmentReader(self, self._first, _after(number))
                case "CONTINUATION_TOKEN":
                    # A token is the fragment number of the fragment it ends.
                    token = _text_field(selector, "ContinuationToken", _TOKEN, kind)
                    if not _FRAGMENT_NUMBER.fullmatch(token) or self._never_had(token):
                        raise invalid_argument("ContinuationToken was not issued by this service")
                    return FragmentReader(self, self._first, _after(token))
                case "PRODUCER_TIMESTAMP":
                    ms = _timestamp_ms(selector, kind)
                    return FragmentReader(
                        self, self._first, lambda fragment: _reaches(fragment, fragment.producer_ms, ms)
                    )
                case "SERVER_TIMESTAMP":
                    ms = _timestamp_ms(selector, kind)
                    return FragmentReader(
                        self, self._first, lambda fragment: _reaches(fragment, fragment.server_ms, ms)
                    )
                case _:
                    raise invalid_argument(f"StartSelectorType {kind!r} is none of the six start selectors")

    def _never_had(self, number: str) -> bool:
        """Return True for a number that was never issued, as far as the stream remembers: an expired one was."""
        kept = {each.number for each in self._kept if each.number}
        oldest = min(map(int, kept), default=None)
        return oldest is not None and int(number) >= max(oldest, self._highest_expired + 1) and number not in kept

    def at(self, index: int, now_s: float) -> tuple[int, StoredFragment] | NotBefore | NoMore:
        """Give the fragment of an index, or the oldest one there is where retention has taken it.

        Args:
            index: counts the stream's fragments from its first, 0.
            now_s: seconds of the emulator's clock.
        """
        with self._lock:
            self._advance(now_s)
            index = max(index, self._first)
            if index == self._end and isinstance(self._pace, AsRead) and self._coming:
                self._pull()
                self._expire(self._newest_ms)
                index = max(index, self._first)
            if index < self._end:
                return index, self._kept[index - self._first]
            if self._coming is None:
                return NoMore()
            return NotBefore(self._due_s(self._available_ms(self._coming)))

    def pieces(self, fragment: StoredFragment) -> list[tuple[bytes, float]]:
        """Cut a fragment as its delivery wants it: the pieces, and when each is due on the emulator's clock."""
        data = fragment.load()
        cuts = block_ends(data) if self.delivery is Delivery.BLOCK and isinstance(self._pace, Live) else []
        if not cuts:
            return [(data, -math.inf)]
        with self._lock:
            pieces, at = [], 0
            for end, whole_ms in cuts:
                pieces.append((data[at:end], self._due_s(min(fragment.producer_ms + whole_ms, fragment.end_ms))))
                at = end
            # The bytes after the last block come with the end of the fragment.
            pieces.append((data[at:], self._due_s(fragment.end_ms)))
        return pieces

    def retained(self, now_s: float) -> list[StoredFragment]:
        """Everything a reader can still get, oldest first."""
        with self._lock:
            self._advance(now_s)
            return list(self._kept)

    def archived(self, now_s: float) -> ArchiveView:
        """Everything that the archive APIs see."""
        with self._lock:
            self._advance(now_s)
            return ArchiveView(tuple(self._kept), self.retention_hours, self._newest_ms)

    def contacts(self, now_s: float) -> list[EmulatedContact]:
        """Return the state of every contact that the stream has seen."""
        with self._lock:
            self._advance(now_s)
            return [contact for each in list(self._contacts) if (contact := self.contact(each, now_s))]

    def contact(self, contact_id: str, now_s: float) -> EmulatedContact | None:
        """Return the state of a contact, or None for one that the stream has not seen."""
        with self._lock:
            media_ms = self._advance(now_s)
            contact = self._contacts.get(contact_id)
            if contact is None:
                return None
            coming = self._coming.contact_id if self._coming else None
            nothing_follows = self._coming is None or coming not in (None, contact_id) or contact is not self._contact
            contact.ended = nothing_follows and media_ms >= contact.end_ms
            return contact

    # --- the stream's time ---

    @property
    def _end(self) -> int:
        """Index of the fragment that comes next."""
        return self._first + len(self._kept)

    def _advance(self, now_s: float) -> float:
        """Take in the new fragments, drop the expired ones, and return the media time."""
        if self._origin_s is None:
            self.start(now_s)
        if isinstance(self._pace, AllAtOnce):
            while self._coming:
                self._pull()
            media_ms: float = self._newest_ms
        elif isinstance(self._pace, AsRead):
            media_ms = self._newest_ms
        else:
            elapsed_ms = (now_s - (self._origin_s or 0.0)) * 1000 * self._pace.speed
            media_ms = self._origin_ms + elapsed_ms + _ROUNDING_MS
            while self._coming and self._available_ms(self._coming) <= media_ms:
                self._pull()
        self._expire(media_ms)
        return media_ms

    def _available_ms(self, fragment: StoredFragment) -> int:
        """Media time from which a reader may have (the beginning of) a fragment."""
        return fragment.end_ms if self.delivery is Delivery.FRAGMENT else fragment.producer_ms

    def _due_s(self, media_ms: float) -> float:
        if not isinstance(self._pace, Live):
            return -math.inf
        return (self._origin_s or 0.0) + (media_ms - self._origin_ms) / 1000 / self._pace.speed

    def _look_ahead(self) -> None:
        self._coming = next(self._source, None)

    def _pull(self) -> None:
        fragment = self._coming
        if fragment is None:
            return
        self._kept.append(fragment)
        self._kept_bytes += fragment.size
        self._newest_ms = max(self._newest_ms, fragment.end_ms)
        self._note_contact(fragment)
        self._look_ahead()

    def _note_contact(self, fragment: StoredFragment) -> None:
        if fragment.contact_id is None:
            return
        contact = self._contacts.get(fragment.contact_id)
        if contact is None:
            contact = EmulatedContact(
                fragment.contact_id, "", self.arn, fragment.producer_ms, fragment.end_ms, fragment.number
            )
            self._contacts[fragment.contact_id] = contact
        contact.last_number = fragment.number
        contact.instance_id = fragment.instance_id or contact.instance_id
        contact.end_ms = max(contact.end_ms, fragment.end_ms)
        self._contact = contact

    def _expire(self, media_ms: float) -> None:
        window_ms = self.retention_hours * _HOUR_MS or _BUFFER_MS
        while self._kept and (
            media_ms - self._kept[0].end_ms >= window_ms
            or (self.retention_hours == 0 and self._kept_bytes > _BUFFER_BYTES)
        ):
            expired = self._kept.popleft()
            self._kept_bytes -= expired.size
            self._highest_expired = max(self._highest_expired, int(expired.number or 0))
            self._first += 1


class FragmentReader:
    """One reader's place in a stream; made by `EmulatedStream.open`."""

    def __init__(self, stream: EmulatedStream, index: int, accepts: Callable[[StoredFragment], bool]) -> None:
        self._stream = stream
        self._index = index
        self._accepts = accepts

    @property
    def index(self) -> int:
        """Place in the stored stream, from 0, of the fragment that was given last."""
        return self._index - 1

    def next(self, now_s: float) -> StoredFragment | NotBefore | NoMore:
        """Give the next fragment: the first one that the selector means, then every one."""
        while True:
            found = self._stream.at(self._index, now_s)
            if isinstance(found, NotBefore | NoMore):
                return found
            index, fragment = found
            self._index = index + 1
            if self._accepts(fragment):
                self._accepts = _any_fragment
                return fragment


# --- selectors -------------------------------------------------------------------------------------------------------


def _any_fragment(fragment: StoredFragment) -> bool:
    del fragment
    return True


def _after(number: str) -> Callable[[StoredFragment], bool]:
    """The chunk after a fragment; where that is stored no more, the next higher number."""
    wanted = int(number)
    return lambda fragment: bool(fragment.number) and int(fragment.number) > wanted


def _reaches(fragment: StoredFragment, start_ms: int, ms: int) -> bool:
    """Return True if a fragment contains a time or begins after it."""
    return start_ms >= ms or start_ms + fragment.duration_ms > ms


def _text_field(selector: Mapping[str, Any], name: str, form: re.Pattern[str], kind: str) -> str:
    value = selector.get(name)
    if not isinstance(value, str):
        raise invalid_argument(f"StartSelectorType {kind} needs {name}")
    if not form.fullmatch(value):
        raise invalid_argument(f"{name} does not match {form.pattern}")
    return value


def _timestamp_ms(selector: Mapping[str, Any], kind: str) -> int:
    value = selector.get("StartTimestamp")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid_argument(f"StartSelectorType {kind} needs StartTimestamp, seconds since the epoch")
    return round(value * 1000)


# --- the account -----------------------------------------------------------------------------------------------------


class Account:
    """All streams of the emulated account. Thread-safe.

    Attributes:
        names_streams: DescribeContact shows the streams among a contact's recordings; may be changed later.
    """

    def __init__(self) -> None:
        self.names_streams = True
        self._lock = threading.Lock()
        self._streams: dict[str, EmulatedStream] = {}
        self._meter = CallMeter()

    def add(self, stream: EmulatedStream) -> None:
        """Add a stream.

        Raises:
            ValueError: there is one of that name.
        """
        with self._lock:
            if stream.name in self._streams:
                raise ValueError(f"there is a stream {stream.name} already")
            self._streams[stream.name] = stream

    @property
    def streams(self) -> list[EmulatedStream]:
        """The streams in the order in which they were added."""
        with self._lock:
            return list(self._streams.values())

    def find(self, request: Mapping[str, Any]) -> EmulatedStream:
        """Find the stream that a request names by StreamName or StreamARN.

        Raises:
            ServiceError: InvalidArgumentException or ResourceNotFoundException.
        """
        name, arn = request.get("StreamName"), request.get("StreamARN")
        if (name is None) == (arn is None):
            raise invalid_argument("give either StreamName or StreamARN")
        wanted, form = (name, _STREAM_NAME) if arn is None else (arn, _STREAM_ARN)
        if not isinstance(wanted, str) or not form.fullmatch(wanted):
            raise invalid_argument(f"{'StreamName' if arn is None else 'StreamARN'} does not match {form.pattern}")
        for stream in self.streams:
            if wanted in (stream.name, stream.arn):
                return stream
        raise ServiceError(
            "ResourceNotFoundException", 404, f"The requested stream is not found or not active: {wanted}"
        )

    def stream_of(self, contact_id: str, now_s: float) -> EmulatedStream | None:
        """Find the stream that has seen a contact."""
        return next((stream for stream in self.streams if stream.contact(contact_id, now_s) is not None), None)

    def describe_contact(self, instance_id: str, contact_id: str, limits: Limits, now_s: float) -> EmulatedContact:
        """Return the state of a contact in Connect.

        Raises:
            ServiceError: ThrottlingException or ResourceNotFoundException, as Connect has them.
        """
        with self._lock:
            if not self._meter.allow("DescribeContact", limits.describe_contact_per_second, now_s):
                raise ServiceError("ThrottlingException", 429, "Too Many Requests")
        for stream in self.streams:
            contact = stream.contact(contact_id, now_s)
            if contact is not None and contact.instance_id in ("", instance_id):
                return contact
        raise ServiceError("ResourceNotFoundException", 404, f"no contact {contact_id} in instance {instance_id}")

    def search_contacts(self, request: Mapping[str, Any], limits: Limits, now_s: float) -> dict[str, Any]:
        """Answer a SearchContacts.

        Raises:
            ServiceError: ThrottlingException, or as `contact_search.search`.
        """
        with self._lock:
            if not self._meter.allow("SearchContacts", limits.search_contacts_per_second, now_s):
                raise ServiceError("ThrottlingException", 429, "Too Many Requests")
        # A contact may have been streamed twice, and is one contact still.
        contacts = {each.contact_id: each for stream in self.streams for each in stream.contacts(now_s)}
        return search(request, contacts.values())
