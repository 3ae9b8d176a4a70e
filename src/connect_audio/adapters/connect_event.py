"""From a Connect event to a `RecordingRequest`: every named reason for which an event is not recorded comes from here.

Used by the trigger. Two forms are accepted. One is the documented event of the flow block "Invoke AWS Lambda function"
(https://docs.aws.amazon.com/connect/latest/adminguide/connect-lambda-functions.html). The second is the tutorials'
short form: `MediaStreams` at the top with `ContactId`, `InstanceARN` and, optionally, `Channel` beside it.

Powertools has a class for the documented event, but its package imports 70 modules of other events at each cold start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from connect_audio.adapters.event_kinds import FLOW_EVENT, kind_of
from connect_audio.core.errors import RequestError
from connect_audio.request import MALFORMED, Location, RecordingRequest

NOT_VOICE = "NOT_VOICE"
MEDIA_STREAMING_NOT_STARTED = "MEDIA_STREAMING_NOT_STARTED"

_NOT_STARTED_CAUSES: Final = (
    "the usual causes: live media streaming is not enabled for the instance (Connect console, Data storage). "
    'Or the flow has no "Start media streaming" before this function. Or that block took its error branch. '
    "Or the stream was stopped before"
)
"""The causes of a contact without a stream, the likeliest first."""

# Connect keeps at most 32 768 bytes of attributes on a contact (UpdateContactAttributes). A flow's parameters are such
# text too, and everything else is ids. Eight times that is Lambda's old limit of an asynchronous event.
MAX_EVENT_BYTES = 256 * 1024

# Connect's contact ids are UUIDs; nothing else of an event goes into a log line.
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)

# 1 to 15 digits reach the year 33 658; RecordingRequest knows the real bounds. Not `str.isdigit`, which takes "²".
_TIMESTAMP = re.compile(r"\d{1,15}", re.ASCII)

# The tutorials' spelling has an empty slot before the region; region and account are both there, one colon on.
_ODD_ARN = re.compile(r"(arn:aws[a-z-]*:kinesisvideo)::([a-z]{2}[a-z0-9-]*-\d:\d{12}:stream/.*)", re.ASCII)


def parse_connect_event(event: object, location: Location | None = None) -> RecordingRequest:
    """Read the streaming and the contact that an event asks to record.

    An event that says `StopTimestamp` is accepted: what the stream retains can still be recorded.

    Args:
        event: the decoded JSON, any value.
        location: the stack's own; None does not compare it with the stream's.

    Raises:
        RequestError: `MALFORMED_EVENT` naming the path at fault, `NOT_VOICE` or `MEDIA_STREAMING_NOT_STARTED`.
            The message holds paths, types and sizes, never a value of the event.
    """
    if not isinstance(event, Mapping) or ("Details" not in event and kind_of(event) is not None):
        raise RequestError(MALFORMED, _not_a_flow_s(event))
    _check_size(event)
    at = ""
    if event.get("Details") is None and "MediaStreams" in event:
        contact: Mapping[str, Any] = event
    else:
        at = "Details.ContactData."
        if "Details" not in event:
            raise RequestError(MALFORMED, f"Details is missing: the event must be {FLOW_EVENT}; events/ has samples")
        contact = _object(_object(event, "Details", "Details"), "ContactData", "Details.ContactData")

    _check_channel(contact, at)
    audio = _audio(contact, at, details=event.get("Details"))
    at_audio = f"{at}MediaStreams.Customer.Audio."
    request = RecordingRequest(
        contact_id=_text(contact, "ContactId", at),
        instance_arn=_text(contact, "InstanceARN", at),
        stream_arn=_stream_arn(_text(audio, "StreamARN", at_audio), at_audio),
        start_timestamp_ms=_timestamp(audio, "StartTimestamp", at_audio),
        start_fragment_number=_optional_number(audio, "StartFragmentNumber", at_audio),
    )
    if location is not None and request.location != location:
        what = "partition" if request.location.partition != location.partition else "region"
        raise RequestError(
            MALFORMED,
            f"{at_audio}StreamARN names another {what} than the one of this stack: deploy the stack where the Connect "
            "instance is",
        )
    return request


def _not_a_flow_s(event: object) -> str:
    """Say what an event looks like that is none of a flow's, and what to send instead."""
    kind = kind_of(event)
    if kind is not None:
        return f"the event looks like {kind.looks_like}, not like {FLOW_EVENT}: {kind.instead}"
    return f"the event is {_type(event)}, it must be an object: {FLOW_EVENT}"


def contact_id_of(event: object) -> str | None:
    """The contact id of any event, also one that will be rejected, or None where it has none that is a UUID.

    Args:
        event: the decoded JSON, whatever it is.
    """
    value = event
    if isinstance(value, Mapping) and value.get("Details") is not None:
        value = value["Details"]
        value = value.get("ContactData") if isinstance(value, Mapping) else None
    contact_id = value.get("ContactId") if isinstance(value, Mapping) else None
    return contact_id if isinstance(contact_id, str) and _UUID.fullmatch(contact_id) else None


def _check_size(event: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except (RecursionError, TypeError, ValueError) as exc:
        raise RequestError(MALFORMED, f"the event cannot be written as JSON ({type(exc).__name__})") from exc
    if size > MAX_EVENT_BYTES:
        raise RequestError(MALFORMED, f"the event has {size} bytes, Connect sends at most {MAX_EVENT_BYTES}")


def _check_channel(contact: Mapping[str, Any], at: str) -> None:
    # The short form has no channel, and media streaming carries voice alone.
    if not at and contact.get("Channel") is None:
        return
    if _text(contact, "Channel", at) != "VOICE":
        raise RequestError(NOT_VOICE, f"{at}Channel is not VOICE, only voice contacts have audio")


def _audio(contact: Mapping[str, Any], at: str, *, details: object) -> Mapping[str, Any]:
    """Walk to `MediaStreams.Customer.Audio`; Connect writes null at any step if streaming was never started.

    Args:
        contact: the object that holds `MediaStreams`.
        at: its path, with a dot at its end; empty for the event itself.
        details: the object that may hold `Parameters`, for the message alone.
    """
    causes = _NOT_STARTED_CAUSES + _parameters_hint(details)
    value = contact
    path = at.rstrip(".")
    for name in ("MediaStreams", "Customer", "Audio"):
        path = f"{path}.{name}" if path else name
        if value.get(name) is None:
            raise RequestError(
                MEDIA_STREAMING_NOT_STARTED,
                f"{path} is {_absence(value, name)}: {causes}",
            )
        value = _object(value, name, path)
    if not any(value.get(name) for name in ("StreamARN", "StartTimestamp")):
        raise RequestError(
            MEDIA_STREAMING_NOT_STARTED,
            f"{path} has no StreamARN: {causes}",
        )
    return value


def _parameters_hint(details: object) -> str:
    """The hint for a flow that passes the stream as parameters of its block, as some samples do."""
    parameters = details.get("Parameters") if isinstance(details, Mapping) else None
    if isinstance(parameters, Mapping) and any(name.lower() == "streamarn" for name in map(str, parameters)):
        return ". The stream in Details.Parameters is not read: the block needs no parameters"
    return ""


def _stream_arn(arn: str, at: str) -> str:
    odd = _ODD_ARN.fullmatch(arn)
    if odd:
        return f"{odd[1]}:{odd[2]}"
    if arn.startswith("arn:") and not re.match(r"arn:[^:]*:[^:]*:[^:]+:\d{12}:", arn, re.ASCII):
        raise RequestError(
            MALFORMED,
            f"{at}StreamARN has no region and 12-digit account, "
            "write arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CREATED",
        )
    return arn


def _object(parent: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if value is None:
        raise RequestError(MALFORMED, f"{path} is {_absence(parent, name)}")
    if not isinstance(value, Mapping):
        raise RequestError(MALFORMED, f"{path} is {_type(value)}, it must be an object")
    return value


def _text(parent: Mapping[str, Any], name: str, at: str) -> str:
    value = parent.get(name)
    if value is None or value == "":
        beside = "" if at else ", write it beside MediaStreams"
        raise RequestError(MALFORMED, f"{at}{name} is {_absence(parent, name)}{beside}")
    if not isinstance(value, str):
        raise RequestError(MALFORMED, f"{at}{name} is {_type(value)}, it must be a string")
    return value


def _timestamp(parent: Mapping[str, Any], name: str, at: str) -> int:
    # Connect writes strings; hand-made events hold numbers.
    value = parent.get(name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(parent, name, at)
    if not _TIMESTAMP.fullmatch(text):
        raise RequestError(MALFORMED, f"{at}{name} is not a number of milliseconds since the epoch")
    return int(text)


def _optional_number(parent: Mapping[str, Any], name: str, at: str) -> str | None:
    value = parent.get(name)
    if value is None or value == "":
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(parent, name, at)


def _absence(parent: Mapping[str, Any], name: str) -> str:
    if name not in parent:
        return "missing"
    return "null" if parent[name] is None else "empty"


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names: dict[type, str] = {str: "a string", list: "a list"}
    return names.get(type(value), "an object")
