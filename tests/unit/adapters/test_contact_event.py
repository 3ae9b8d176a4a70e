"""The end of a contact out of Connect's contact event."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from connect_audio.adapters.contact_event import ContactEnd, contact_end_of

CONTACT = "11111111-1111-4111-8111-111111111111"
# After the sample of the Administrator Guide, "Contact events".
EVENT: dict[str, Any] = {
    "version": "0",
    "detail-type": "Amazon Connect Contact Event",
    "source": "aws.connect",
    "time": "2021-08-04T17:43:48Z",
    "detail": {
        "eventType": "DISCONNECTED",
        "contactId": CONTACT,
        "channel": "VOICE",
        "initiationMethod": "INBOUND",
        "initiationTimestamp": "2021-08-04T17:17:53.000Z",
        "disconnectTimestamp": "2021-08-04T17:17:59.500Z",
        "of a later release": {},
    },
}
ENDED_MS = 1_628_097_479_500


def changed(**detail: Any) -> dict[str, Any]:
    event = copy.deepcopy(EVENT)
    event["detail"] |= detail
    return event


def test_the_end_is_the_contact_s_own_time() -> None:
    assert contact_end_of(EVENT) == ContactEnd(CONTACT, ENDED_MS)


@pytest.mark.parametrize("time", [None, "", "yesterday", "2021-08-04T17:17:59", 7])
def test_an_end_without_a_time_of_its_own_has_the_event_s(time: object) -> None:
    assert contact_end_of(changed(disconnectTimestamp=time)) == ContactEnd(CONTACT, 1_628_099_028_000)


@pytest.mark.parametrize("kind", ["INITIATED", "CONNECTED_TO_AGENT", "COMPLETED", None, 7])
def test_no_other_event_ends_a_contact(kind: object) -> None:
    assert contact_end_of(changed(eventType=kind)) is None


@pytest.mark.parametrize("contact_id", [None, "", "../../x", "a" * 51, 7])
def test_what_is_no_contact_id_becomes_no_key(contact_id: object) -> None:
    assert contact_end_of(changed(contactId=contact_id)) is None


@pytest.mark.parametrize("event", [None, [], "x", {}, {"detail": None}, {"detail": []}])
def test_any_other_value_ends_nothing(event: object) -> None:
    assert contact_end_of(event) is None


def test_an_end_without_any_time_is_ignored() -> None:
    event = changed(disconnectTimestamp=None)
    del event["time"]
    assert contact_end_of(event) is None
