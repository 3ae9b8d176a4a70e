"""A contact as Amazon Connect shows it: in DescribeContact, in SearchContacts, and in a contact event of EventBridge.

Shapes come from botocore's model of `connect`, and of the event from Connect's administrator guide, "contact events".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

_METHOD: Final = "INBOUND"
_EVENT_TYPES: Final = (
    "INITIATED",
    "CONNECTED_TO_SYSTEM",
    "QUEUED",
    "CONNECTED_TO_AGENT",
    "CONTACT_DATA_UPDATED",
    "DISCONNECTED",
    "COMPLETED",
)
_EVENTS_OF_THE_END: Final = frozenset({"DISCONNECTED", "COMPLETED"})


@dataclass(slots=True)
class EmulatedContact:
    """A contact, gathered from the labels of the fragments.

    Args:
        contact_id: its id.
        instance_id: the Connect instance's id; empty where no fragment names it.
        stream_arn: the stream that has its audio.
        start_ms: producer time of its first fragment.
        end_ms: producer time at which its newest fragment ends.
        first_number: number of its first fragment; empty where the fragment carries none.
        last_number: number of its newest fragment; empty where the fragment carries none.
        ended: True if nothing of it will follow.
    """

    contact_id: str
    instance_id: str
    stream_arn: str
    start_ms: int
    end_ms: int
    first_number: str = ""
    last_number: str = ""
    ended: bool = False

    @property
    def instance_arn(self) -> str:
        """The instance's ARN, in the stream's region and account; some producers label with the ARN itself."""
        if self.instance_id.startswith("arn:"):
            return self.instance_id
        _, partition, _, region, account, _ = self.stream_arn.split(":", 5)
        return f"arn:{partition}:connect:{region}:{account}:instance/{self.instance_id}"

    @property
    def arn(self) -> str:
        """The contact's ARN."""
        return f"{self.instance_arn}/contact/{self.contact_id}"

    def summary(self) -> dict[str, Any]:
        """The entry of SearchContacts: no stream and no recording."""
        shown: dict[str, Any] = {
            "Arn": self.arn,
            "Id": self.contact_id,
            "InitiationMethod": _METHOD,
            "Channel": "VOICE",
            "InitiationTimestamp": self.start_ms / 1000,
        }
        return shown | ({"DisconnectTimestamp": self.end_ms / 1000} if self.ended else {})

    def description(self, *, names_stream: bool) -> dict[str, Any]:
        """The answer of DescribeContact.

        Args:
            names_stream: True to show the live media streaming among the recordings. The service model has such
                entries; no public sample shows one.
        """
        shown = self.summary() | {"LastUpdateTimestamp": self.end_ms / 1000}
        return shown | ({"Recordings": [self._streaming()]} if names_stream else {})

    def _streaming(self) -> dict[str, Any]:
        """The entry of live media streaming; a contact record has whole seconds, and so has this."""
        entry: dict[str, Any] = {
            "StorageType": "KINESIS_VIDEO_STREAM",
            "MediaStreamType": "AUDIO",
            "Location": self.stream_arn,
            "StartTimestamp": self.start_ms // 1000,
        }
        if self.first_number:
            entry["FragmentStartNumber"] = self.first_number
        if self.ended:
            entry["StopTimestamp"] = self.end_ms // 1000
        if self.ended and self.last_number:
            entry["FragmentStopNumber"] = self.last_number
        return entry


def contact_event(contact: EmulatedContact, event_type: str) -> dict[str, Any]:
    """Return a contact event as EventBridge delivers it. Such an event names no stream.

    Args:
        contact: the contact.
        event_type: `DISCONNECTED`, for example.

    Raises:
        ValueError: there is no such type, or the event of an end is asked for before the end.
    """
    if event_type not in _EVENT_TYPES:
        raise ValueError(f"{event_type!r} is none of {', '.join(_EVENT_TYPES)}")
    if event_type in _EVENTS_OF_THE_END and not contact.ended:
        raise ValueError(f"contact {contact.contact_id} has not ended: there is no {event_type} of it")
    _, _, _, region, account, _ = contact.stream_arn.split(":", 5)
    detail = {
        "eventType": event_type,
        "contactId": contact.contact_id,
        "channel": "VOICE",
        "instanceArn": contact.instance_arn,
        "initiationMethod": _METHOD,
        "initiationTimestamp": _iso(contact.start_ms),
        "connectedToSystemTimestamp": _iso(contact.start_ms),
    }
    at_ms = contact.start_ms
    if event_type in _EVENTS_OF_THE_END:
        at_ms = contact.end_ms
        detail["disconnectTimestamp"] = _iso(contact.end_ms)
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{contact.arn}/{event_type}/{at_ms}")),
        "detail-type": "Amazon Connect Contact Event",
        "source": "aws.connect",
        "account": account,
        "time": datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [contact.arn, contact.instance_arn],
        "detail": detail,
    }


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
