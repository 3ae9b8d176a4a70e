"""The request: one streaming of one contact to record. The trigger writes it, the consumer reads it.

The payload is a pure function of contact, start and stack. Lambda answers a second start under the same durable
execution name idempotently only if the payload is the same too.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from connect_audio.core.contact_id import is_contact_id
from connect_audio.core.errors import RequestError, SettingsError
from connect_audio.values import dataclass

_STREAM_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):kinesisvideo:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":stream/(?P<name>[A-Za-z0-9_.-]{1,256})/(?P<created>[0-9A-Za-z]+)",
    re.ASCII,
)
_INSTANCE_ARN = re.compile(
    r"arn:aws[a-z-]*:connect:[a-z0-9-]+:\d{12}:instance/(?P<instance>[0-9A-Za-z-]{1,100})", re.ASCII
)
_DIGITS = re.compile(r"\d{1,128}", re.ASCII)
_STACK_MARK = re.compile(r"(?:[0-9a-f]{8})?", re.ASCII)
# Milliseconds since the epoch that fit the S3 key's four-digit year: 2000-01-01 to 9999-12-31.
_MIN_MS, _MAX_MS = 946_684_800_000, 253_402_300_799_999

_LONGEST_NAME: Final = 59
"""Characters of an execution name. Lambda takes 64: `connect-audio redrive` adds `-r` and a number up to 999."""

MALFORMED = "MALFORMED_EVENT"

WORDS_SINKS: Final = ("transcribe", "whisper")
"""Names of the sinks that leave pages of words; a call has one of them at most."""

LIVE: Final = "live"
"""The field of the consumer's input that holds the variables of `LiveSettings`; absent without live audio.

It stands beside the fields of `RecordingRequest.to_payload` and is no part of the request: sinks do not change what is
recorded (docs/adr/0010-live-settings-travel-in-the-input.md).
"""

MODE: Final = "mode"
"""The field of the consumer's input that holds the recording mode; absent for `live`."""
CONTACT_EVENTS: Final = "contactEvents"
"""The field of the consumer's input that says that the ends of contacts are announced; absent if they are not."""


REPAIR: Final = "repair"
"""The field of the consumer's input that says that a recording that is not whole is repaired; absent if it is not."""


class RecordingMode(StrEnum):
    """When a call is recorded."""

    LIVE = "live"
    """While it lasts."""
    ARCHIVE = "archive"
    """After its end, out of what the stream keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """The manner of a recording, beside the streaming that it records.

    The options travel in the consumer's input, so a call keeps the ones that it began with (ADR 10).

    Args:
        mode: when the call is recorded.
        contact_events: true if Connect's contact events announce the end of contacts to this stack.
        repair: true if a recording that is not whole is repaired from what its stream still holds.
    """

    mode: RecordingMode = RecordingMode.LIVE
    contact_events: bool = False
    repair: bool = False

    def to_payload(self) -> dict[str, Any]:
        """The fields of the consumer's input. Only what differs from the defaults is in them."""
        fields: dict[str, Any] = {}
        if self.mode is not RecordingMode.LIVE:
            fields[MODE] = self.mode.value
        if self.contact_events:
            fields[CONTACT_EVENTS] = True
        if self.repair:
            fields[REPAIR] = True
        return fields

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Read the options out of the consumer's input. A mode of another release counts as `live`.

        Args:
            payload: the input.
        """
        is_archive = payload.get(MODE) == RecordingMode.ARCHIVE
        return cls(
            mode=RecordingMode.ARCHIVE if is_archive else RecordingMode.LIVE,
            contact_events=payload.get(CONTACT_EVENTS) is True,
            repair=payload.get(REPAIR) is True,
        )


def live_variables(payload: Mapping[str, Any]) -> Mapping[str, str]:
    """Read the variables of live audio out of the consumer's input; none where it has none.

    Raises:
        SettingsError: they are no object of texts. A recording does without live audio then, it does not fail.
    """
    live = payload.get(LIVE)
    if live is None:
        return {}
    if not isinstance(live, Mapping) or not all(isinstance(each, str) for pair in live.items() for each in pair):
        raise SettingsError(f"the consumer's input: {LIVE} must be an object of texts, as the trigger writes it")
    return live


def stack_mark(consumer_function: str) -> str:
    """Return the mark of a stack in the names of its executions: 8 hexadecimal digits.

    Args:
        consumer_function: the consumer's qualified ARN or `name:alias`, which no two stacks share.
    """
    return f"{zlib.crc32(consumer_function.encode()):08x}"


class Location(NamedTuple):
    """The place of a resource of AWS.

    Args:
        partition: `aws`, `aws-us-gov` or another.
        region: the region's code.
    """

    partition: str
    region: str

    @classmethod
    def of(cls, arn: str) -> Self:
        """Read the location out of a whole ARN."""
        _, partition, _, region, *_ = arn.split(":")
        return cls(partition, region)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRequest:
    """One streaming of one contact, validated.

    Args:
        contact_id: Connect's contact id.
        instance_arn: the Connect instance's ARN.
        stream_arn: the Kinesis Video stream's ARN.
        start_timestamp_ms: `StartTimestamp` of the event, milliseconds since the epoch.
        start_fragment_number: `StartFragmentNumber` of the event, a decimal number, or None where the event has none.
            Never a start selector: GetMedia would begin *after* it.
        stack: the mark of the stack that records it (`stack_mark`); empty in an input of an earlier release, and for a
            recording that no stack makes.

    Raises:
        RequestError: a field that is not of its form; `reason` is `MALFORMED_EVENT`.
    """

    contact_id: str
    instance_arn: str
    stream_arn: str
    start_timestamp_ms: int
    start_fragment_number: str | None
    stack: str = ""

    def __post_init__(self) -> None:
        if not is_contact_id(self.contact_id):
            raise RequestError(
                MALFORMED,
                f"contact id of {len(self.contact_id)} characters is not 1 to 50 letters, digits and inner hyphens",
            )
        if not _INSTANCE_ARN.fullmatch(self.instance_arn):
            raise RequestError(MALFORMED, "instance ARN is not of the form arn:aws:connect:REGION:ACCOUNT:instance/ID")
        if not _STREAM_ARN.fullmatch(self.stream_arn):
            raise RequestError(
                MALFORMED,
                "stream ARN is not of the form arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CREATED",
            )
        if not _MIN_MS <= self.start_timestamp_ms <= _MAX_MS:
            raise RequestError(
                MALFORMED,
                f"start timestamp is not in epoch milliseconds ({_MIN_MS} to {_MAX_MS})",
            )
        if self.start_fragment_number is not None and not _DIGITS.fullmatch(self.start_fragment_number):
            raise RequestError(MALFORMED, "start fragment number is not a decimal number of 1 to 128 digits")
        if not _STACK_MARK.fullmatch(self.stack):
            raise RequestError(MALFORMED, "stack is not a mark of 8 hexadecimal digits")

    @property
    def instance_id(self) -> str:
        """The instance's id, the last part of its ARN."""
        return self.instance_arn.rsplit("/", 1)[1]

    @property
    def location(self) -> Location:
        """The partition and region of the stream, taken from its ARN."""
        return Location.of(self.stream_arn)

    @property
    def region(self) -> str:
        """The region of the stream, taken from its ARN."""
        return self.location.region

    @property
    def execution_name(self) -> str:
        """The durable execution's name: unique to this streaming and stack, 1 to 64 of `[a-zA-Z0-9-_]`.

        It is `<contact id>_<start in ms>_<stack>`. A contact id that leaves no room ends in its checksum.
        """
        contact, start = self.contact_id, self.start_timestamp_ms
        if not self.stack:
            return f"{contact}_{start}"
        room = _LONGEST_NAME - len(f"_{start}_{self.stack}")
        if len(contact) > room:
            checksum = f"-{zlib.crc32(contact.encode()):08x}"
            contact = contact[: room - len(checksum)] + checksum
        return f"{contact}_{start}_{self.stack}"

    def recording_key(self, prefix: str) -> str:
        """The WAV's S3 key: `<prefix>/<yyyy>/<mm>/<dd>/<contact id>_<yyyymmddThhmmss.mmmZ>.wav`, UTC.

        Args:
            prefix: the key prefix without a slash at either end; empty for none.
        """
        seconds, ms = divmod(self.start_timestamp_ms, 1000)
        start = datetime.fromtimestamp(seconds, UTC)
        name = f"{start:%Y/%m/%d}/{self.contact_id}_{start:%Y%m%dT%H%M%S}.{ms:03d}Z.wav"
        return f"{prefix}/{name}" if prefix else name

    def to_payload(self) -> dict[str, Any]:
        """The consumer's input: plain JSON, the same for every duplicate of the same start."""
        payload: dict[str, Any] = {
            "contactId": self.contact_id,
            "instanceArn": self.instance_arn,
            "streamArn": self.stream_arn,
            "startTimestamp": self.start_timestamp_ms,
            "startFragmentNumber": self.start_fragment_number,
        }
        return {**payload, "stack": self.stack} if self.stack else payload

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Read what `to_payload` wrote.

        Raises:
            RequestError: not an object, a field is missing or of the wrong type or form; the message names the field.
        """
        if not isinstance(payload, Mapping):
            raise RequestError(MALFORMED, f"the consumer's input must be a JSON object, not {type(payload).__name__}")

        def field(name: str, kind: type[Any]) -> Any:
            value = payload.get(name)
            if not isinstance(value, kind) or isinstance(value, bool):
                what = "is missing" if value is None else f"is a {type(value).__name__}"
                raise RequestError(MALFORMED, f"the consumer's input: {name} {what}, it must be a {kind.__name__}")
            return value

        fragment = payload.get("startFragmentNumber")
        return cls(
            contact_id=field("contactId", str),
            instance_arn=field("instanceArn", str),
            stream_arn=field("streamArn", str),
            start_timestamp_ms=field("startTimestamp", int),
            start_fragment_number=None if fragment is None else field("startFragmentNumber", str),
            stack=field("stack", str) if "stack" in payload else "",
        )
