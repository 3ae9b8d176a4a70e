"""Reads the end of a contact out of a contact event, as an EventBridge rule hands it on.

The event is Amazon Connect's "Amazon Connect Contact Event" (Administrator Guide, "Contact events"). New fields and new
event types are ignored, as the guide asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connect_audio.core.contact_id import is_contact_id

_ENDED: Final = "DISCONNECTED"


@dataclass(frozen=True, slots=True)
class ContactEnd:
    """The end of a contact.

    Args:
        contact_id: the contact.
        ended_ms: when it was disconnected, ms since the epoch; the event's own time where it gives no other.
    """

    contact_id: str
    ended_ms: int


def contact_end_of(event: object) -> ContactEnd | None:
    """Return the end that an event announces; None for every other event.

    Args:
        event: the decoded JSON, any value.
    """
    detail = event.get("detail") if isinstance(event, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(detail, Mapping) or detail.get("eventType") != _ENDED:
        return None
    contact_id = detail.get("contactId")
    ended_ms = _ms(detail.get("disconnectTimestamp"))
    if ended_ms is None:
        ended_ms = _ms(event.get("time"))
    if not isinstance(contact_id, str) or not is_contact_id(contact_id) or ended_ms is None:
        return None
    return ContactEnd(contact_id, ended_ms)


def _ms(text: Any) -> int | None:
    """Return a time of RFC 3339 in ms since the epoch; None for any other value."""
    try:
        time = datetime.fromisoformat(text)
        return round(time.timestamp() * 1000) if time.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None
