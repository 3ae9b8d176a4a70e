"""The emulator's contacts: DescribeContact's recordings, SearchContacts with its limits, and contact events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from connect_audio_local.kvs import EmulatedStream, KvsEmulator, Limits, Live, ManualClock, stored
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_INSTANCE_ID, DEFAULT_START_MS
from support.calls import call, fragments
from support.kvs_clients import Clients, clients_of, error_of

START: Final = datetime.fromtimestamp(DEFAULT_START_MS / 1000, UTC)
FRAGMENTS: Final = fragments(call(5))
INSTANCE_ARN: Final = f"arn:aws:connect:eu-west-2:123456789012:instance/{DEFAULT_INSTANCE_ID}"


def contact(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def emulator(clock: ManualClock) -> Iterator[KvsEmulator]:
    with KvsEmulator(clock=clock) as running:
        yield running


@pytest.fixture
def clients(emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with clients_of(emulator, monkeypatch) as found:
        yield found


def serve_calls(emulator: KvsEmulator, count: int) -> None:
    """Serve calls that begin ten seconds apart, two in a stream."""
    for at in range(0, count, 2):
        calls = [
            call(2, contact_id=contact(number), start_ms=DEFAULT_START_MS + 10_000 * number)
            for number in range(at, min(at + 2, count))
        ]
        emulator.add_stream(EmulatedStream(f"calls-{at}", stored(fragments(*calls))))


def search(clients: Clients, *, begin_s: float = 0, end_s: float = 86_400, **fields: Any) -> Any:
    times: Any = {
        "Type": fields.pop("type", "INITIATION_TIMESTAMP"),
        "StartTime": START + timedelta(seconds=begin_s),
        "EndTime": START + timedelta(seconds=end_s),
    }
    return clients.connect.search_contacts(
        InstanceId=fields.pop("instance", DEFAULT_INSTANCE_ID), TimeRange=times, **fields
    )


def ids(answer: Any) -> list[str]:
    return [each["Id"] for each in answer["Contacts"]]


def test_a_contact_names_its_stream_and_from_the_end_on_both_fragments(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    stream = emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS), pace=Live()))

    def recording() -> Any:
        described = clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)
        [entry] = described["Contact"]["Recordings"]
        return entry

    clock.advance(3.0)
    during = recording()
    clock.advance(3.0)
    after = recording()

    whole_second = START.replace(microsecond=0)
    begun = {
        "StorageType": "KINESIS_VIDEO_STREAM",
        "MediaStreamType": "AUDIO",
        "Location": stream.arn,
        "FragmentStartNumber": FRAGMENTS[0].number,
        "StartTimestamp": whole_second,
    }
    assert during == begun
    assert after == begun | {
        "FragmentStopNumber": FRAGMENTS[-1].number,
        "StopTimestamp": (START + timedelta(seconds=5)).replace(microsecond=0),
    }


def test_an_instance_may_name_no_stream(emulator: KvsEmulator, clients: Clients) -> None:
    emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS)))
    emulator.account.names_streams = False

    described = clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)

    assert "Recordings" not in described["Contact"]


def test_a_search_gives_pages_of_the_contacts_of_a_range(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    serve_calls(emulator, 5)
    pages: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = search(clients, begin_s=10, end_s=40, MaxResults=3, **token)
        pages.append(page)
        clock.advance(2.0)
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}

    assert [ids(page) for page in pages] == [[contact(1), contact(2), contact(3)], [contact(4)]]
    assert {page["TotalCount"] for page in pages} == {4}
    first = pages[0]["Contacts"][0]
    assert first["InitiationTimestamp"] == START + timedelta(seconds=10)
    assert first["DisconnectTimestamp"] == START + timedelta(seconds=12)
    assert "Recordings" not in first


def test_a_search_by_the_end_takes_no_call_that_goes_on(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS), pace=Live()))
    clock.advance(3.0)

    during = search(clients, type="DISCONNECT_TIMESTAMP")
    clock.advance(3.0)
    voice = search(clients, type="DISCONNECT_TIMESTAMP", SearchCriteria={"Channels": ["VOICE"]})
    clock.advance(3.0)
    chat = search(clients, type="DISCONNECT_TIMESTAMP", SearchCriteria={"Channels": ["CHAT"]})

    assert [ids(each) for each in (during, voice, chat)] == [[], [DEFAULT_CONTACT_ID], []]


def test_a_search_is_throttled_at_one_in_two_seconds(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    serve_calls(emulator, 1)

    search(clients)
    clock.advance(1.9)
    with pytest.raises(clients.connect.exceptions.ThrottlingException) as error:
        search(clients)
    clock.advance(0.1)
    search(clients)

    assert error_of(error) == ("ThrottlingException", 429)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"instance": "elsewhere"}, "ResourceNotFoundException"),
        ({"begin_s": 1, "end_s": 0}, "InvalidParameterException"),
        ({"NextToken": "bm9uZQ=="}, "InvalidParameterException"),
        ({"SearchCriteria": {"QueueIds": ["any"]}}, "InvalidParameterException"),
        ({"type": "SOME_TIMESTAMP"}, "InvalidParameterException"),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    fields: dict[str, Any], code: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KvsEmulator(clock=clock) as emulator, clients_of(emulator, monkeypatch) as clients:
        serve_calls(emulator, 1)
        with pytest.raises(clients.connect.exceptions.ClientError) as error:
            search(clients, **fields)

    assert error_of(error)[0] == code


def test_a_token_of_another_search_is_refused(emulator: KvsEmulator, clients: Clients, clock: ManualClock) -> None:
    serve_calls(emulator, 3)
    token = search(clients, MaxResults=1)["NextToken"]
    clock.advance(2.0)

    with pytest.raises(clients.connect.exceptions.InvalidParameterException):
        search(clients, MaxResults=1, end_s=3600, NextToken=token)


def test_a_page_has_at_most_a_hundred_contacts(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(search_contacts_per_second=None)
    with KvsEmulator(clock=clock, limits=limits) as emulator, clients_of(emulator, monkeypatch) as clients:
        serve_calls(emulator, 1)
        search(clients, MaxResults=100)
        with pytest.raises(clients.connect.exceptions.InvalidParameterException):
            search(clients, MaxResults=101)


def test_a_contact_event_has_the_shape_of_eventbridge_and_names_no_stream(
    emulator: KvsEmulator, clock: ManualClock
) -> None:
    emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS), pace=Live()))
    clock.advance(3.0)
    with pytest.raises(ValueError, match="has not ended"):
        emulator.contact_event(DEFAULT_CONTACT_ID)
    begun = emulator.contact_event(DEFAULT_CONTACT_ID, "INITIATED")
    clock.advance(3.0)

    event = emulator.contact_event(DEFAULT_CONTACT_ID)

    assert "disconnectTimestamp" not in begun["detail"]
    assert event == {
        "version": "0",
        "id": event["id"],
        "detail-type": "Amazon Connect Contact Event",
        "source": "aws.connect",
        "account": "123456789012",
        "time": "2026-07-01T13:30:59Z",
        "region": "eu-west-2",
        "resources": [f"{INSTANCE_ARN}/contact/{DEFAULT_CONTACT_ID}", INSTANCE_ARN],
        "detail": {
            "eventType": "DISCONNECTED",
            "contactId": DEFAULT_CONTACT_ID,
            "channel": "VOICE",
            "instanceArn": INSTANCE_ARN,
            "initiationMethod": "INBOUND",
            "initiationTimestamp": "2026-07-01T13:30:54.536Z",
            "connectedToSystemTimestamp": "2026-07-01T13:30:54.536Z",
            "disconnectTimestamp": "2026-07-01T13:30:59.536Z",
        },
    }


def test_there_is_no_event_of_a_contact_that_is_nowhere_or_of_another_type(emulator: KvsEmulator) -> None:
    emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS)))

    with pytest.raises(LookupError, match="no stream has seen contact nobody"):
        emulator.contact_event("nobody")
    with pytest.raises(ValueError, match="'ENDED' is none of INITIATED"):
        emulator.contact_event(DEFAULT_CONTACT_ID, "ENDED")
