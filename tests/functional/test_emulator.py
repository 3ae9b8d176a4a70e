from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from connect_audio_local.kvs import (
    UNLIMITED,
    AsRead,
    CaptureError,
    Delivery,
    EmulatedStream,
    KvsEmulator,
    Limits,
    Live,
    ManualClock,
    Pace,
    stored,
)
from connect_audio_local.kvs.capture import block_ends
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    DEFAULT_START_MS,
    SyntheticCall,
    synthesize_call,
)
from connect_audio_local.synthesis.speech import Party, endless_speech, two_party_conversation
from support.calls import joined
from support.kvs_clients import SESSION, Clients, clients_of, error_of

CAPTURE = Path(__file__).parents[3] / "shared" / "captures" / "connect-call-61s.mkv"
SPEECH = two_party_conversation(5)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
FRAGMENTS = list(synthesize_call(CALL))
START = datetime.fromtimestamp(DEFAULT_START_MS / 1000, UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def emulator(clock: ManualClock) -> Iterator[KvsEmulator]:
    with KvsEmulator(clock=clock, limits=replace(UNLIMITED, connections=3)) as running:
        yield running


@pytest.fixture
def clients(emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with clients_of(emulator, monkeypatch) as made:
        yield made


def serve(emulator: KvsEmulator, **options: Any) -> EmulatedStream:
    return emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS), **options))


# --- the control plane -----------------------------------------------------------------------------------------------


def test_describe_stream_tells_arn_and_retention(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator, retention_hours=0)

    info = clients.control.describe_stream(StreamARN=stream.arn)["StreamInfo"]

    assert (info["StreamName"], info["StreamARN"], info["Status"]) == ("calls", stream.arn, "ACTIVE")
    assert info["DataRetentionInHours"] == 0
    assert isinstance(info["CreationTime"], datetime)


def test_get_data_endpoint_names_the_address_by_which_it_was_asked(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator)
    client = http.client.HTTPConnection("127.0.0.1", emulator.port)

    endpoint = clients.control.get_data_endpoint(StreamName="calls", APIName="GET_MEDIA")["DataEndpoint"]
    with closing(client):
        body = json.dumps({"StreamName": "calls", "APIName": "GET_MEDIA"})
        client.request("POST", "/getDataEndpoint", body, {"Host": "host.docker.internal:9015"})
        from_a_container = json.loads(client.getresponse().read())["DataEndpoint"]

    assert endpoint == emulator.url
    assert from_a_container == "http://host.docker.internal:9015"


# --- GetMedia: where it starts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "first"),
    [
        ("EARLIEST", {}, 0),
        ("NOW", {}, 4),
        ("FRAGMENT_NUMBER", {"AfterFragmentNumber": FRAGMENTS[1].number}, 2),
        ("CONTINUATION_TOKEN", {"ContinuationToken": FRAGMENTS[1].number}, 2),
        ("PRODUCER_TIMESTAMP", {"StartTimestamp": START + timedelta(seconds=3)}, 2),
        ("PRODUCER_TIMESTAMP", {"StartTimestamp": START - timedelta(seconds=5)}, 0),
        ("SERVER_TIMESTAMP", {"StartTimestamp": START + timedelta(seconds=3, milliseconds=300)}, 3),
    ],
)
def test_every_start_selector_starts_where_the_real_one_does(
    emulator: KvsEmulator, clients: Clients, kind: str, fields: dict[str, Any], first: int
) -> None:
    serve(emulator)

    assert clients.read(kind, **fields) == joined(FRAGMENTS[first:])


def test_resuming_after_the_last_fragment_gives_an_empty_body(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator)

    assert clients.read("FRAGMENT_NUMBER", AfterFragmentNumber=FRAGMENTS[-1].number) == b""


@pytest.mark.skipif(not CAPTURE.exists(), reason="the shared captures are not here")
def test_a_capture_is_served_byte_for_byte(emulator: KvsEmulator, clients: Clients) -> None:
    stream = emulator.serve_capture(CAPTURE)

    response = clients.media.get_media(StreamARN=stream.arn, StartSelector={"StartSelectorType": "EARLIEST"})

    assert response["ContentType"] == "video/webm"
    with closing(response["Payload"]) as body:
        assert body.read() == CAPTURE.read_bytes()


def test_a_capture_that_is_none_is_refused(emulator: KvsEmulator, tmp_path: Path) -> None:
    (tmp_path / "my call.mkv").write_bytes(b"no capture")

    with pytest.raises(CaptureError, match=r"my call\.mkv"):
        emulator.serve_capture(tmp_path / "my call.mkv")


def test_a_capture_whose_file_name_is_no_stream_name_gets_one(emulator: KvsEmulator, tmp_path: Path) -> None:
    (tmp_path / "my call.mkv").write_bytes(FRAGMENTS[0].data)

    assert emulator.serve_capture(tmp_path / "my call.mkv").name == "my-call"


def test_a_call_longer_than_memory_is_read_at_the_readers_pace(emulator: KvsEmulator, clients: Clients) -> None:
    call = replace(CALL, customer=endless_speech(Party.CUSTOMER), agent=endless_speech(Party.AGENT), seconds=600)
    stream = serve_call(emulator, call, AsRead())

    read = clients.read()

    assert len(read) > 586 * 34000
    assert len(stream.retained(0.0)) == 294  # five minutes: the last one of 0.96 s, the others of 1.024 s


def serve_call(emulator: KvsEmulator, call: SyntheticCall, pace: Pace) -> EmulatedStream:
    return emulator.add_stream(EmulatedStream("calls", stored(synthesize_call(call)), pace=pace, retention_hours=0))


# --- GetMedia: when bytes come ---------------------------------------------------------------------------------------


def test_a_live_fragment_comes_when_it_is_whole(emulator: KvsEmulator, clients: Clients, clock: ManualClock) -> None:
    serve(emulator, pace=Live())
    with closing(clients.open()) as body:
        for fragment in FRAGMENTS:
            clock.advance(fragment.duration_ms / 1000)
            assert body.read(len(fragment.data)) == fragment.data
        assert body.read() == b""


def test_a_live_fragment_comes_block_by_block(emulator: KvsEmulator, clients: Clients, clock: ManualClock) -> None:
    serve(emulator, pace=Live(), delivery=Delivery.BLOCK)
    data = FRAGMENTS[0].data
    ends = [end for end, _ in block_ends(data)][1::2]  # both tracks have a block of each 64 ms
    with closing(clients.open()) as body:
        at = 0
        for end in ends[:-1]:
            clock.advance(0.064)
            assert raw_read(body) == data[at:end]
            at = end
        clock.advance(0.064)
        assert raw_read(body) == data[at:]  # the last blocks bring the tags behind them


def raw_read(body: StreamingBody) -> bytes:
    """One HTTP chunk, as it arrived."""
    chunk: bytes = body._raw_stream.read1(1 << 20)  # type: ignore[attr-defined]
    return chunk


def test_a_reader_that_comes_late_gets_at_once_what_is_there(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    serve(emulator, pace=Live(speed=60), delivery=Delivery.BLOCK)
    clock.advance(1.0)

    assert clients.read() == joined(FRAGMENTS)


def test_real_time_passes_at_the_speed_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with KvsEmulator(limits=UNLIMITED) as emulator, clients_of(emulator, monkeypatch) as clients:
        started = time.monotonic()
        serve(emulator, pace=Live(speed=50), delivery=Delivery.BLOCK)

        assert clients.read() == joined(FRAGMENTS)
        assert time.monotonic() - started >= 0.1


def test_the_body_stays_open_behind_the_last_fragment_as_long_as_the_stream_says(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    serve(emulator, hold_open_s=30.0)
    with closing(clients.open()) as body:
        assert body.read(len(joined(FRAGMENTS))) == joined(FRAGMENTS)
        assert emulator.open_connections("calls") == 1
        clock.advance(29.0)
        assert emulator.open_connections("calls") == 1
        clock.advance(1.5)
        assert body.read() == b""
        assert emulator.open_connections("calls") == 0


def test_the_body_ends_silently_when_the_session_is_over(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(UNLIMITED, session_s=2.5)
    with KvsEmulator(clock=clock, limits=limits) as emulator, clients_of(emulator, monkeypatch) as clients:
        serve(emulator, pace=Live())
        with closing(clients.open()) as body:
            clock.advance(2.2)
            assert body.read(len(joined(FRAGMENTS[:2]))) == joined(FRAGMENTS[:2])
            clock.advance(0.4)
            assert body.read() == b""


# --- errors and limits -----------------------------------------------------------------------------------------------


def test_an_unknown_stream_is_not_found(clients: Clients) -> None:
    with pytest.raises(clients.control.exceptions.ResourceNotFoundException) as described:
        clients.control.describe_stream(StreamName="none")
    with pytest.raises(clients.control.exceptions.ResourceNotFoundException):
        clients.control.get_data_endpoint(StreamName="none", APIName="GET_MEDIA")
    with pytest.raises(clients.media.exceptions.ResourceNotFoundException) as read:
        clients.open(name="none")

    assert error_of(described) == error_of(read) == ("ResourceNotFoundException", 404)
    assert read.value.response["Error"]["Message"] == "The requested stream is not found or not active: none"
    assert read.value.response["ResponseMetadata"]["RequestId"]


def test_a_denied_operation_is_not_authorized(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator, denied_apis=frozenset({"GetMedia", "GetDataEndpoint", "DescribeStream"}))

    for call in (
        clients.open,
        lambda: clients.control.get_data_endpoint(StreamARN=stream.arn, APIName="GET_MEDIA"),
        lambda: clients.control.describe_stream(StreamARN=stream.arn),
    ):
        with pytest.raises(ClientError) as denied:
            call()
        assert error_of(denied) == ("NotAuthorizedException", 401)
    stream.denied_apis = frozenset()
    assert clients.read() == joined(FRAGMENTS)


def test_an_incomplete_selector_is_an_invalid_argument(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator)

    with pytest.raises(clients.media.exceptions.InvalidArgumentException) as error:
        clients.open("FRAGMENT_NUMBER")
    assert error_of(error) == ("InvalidArgumentException", 400)


def test_a_stream_named_twice_or_not_at_all_is_an_invalid_argument(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator)

    with pytest.raises(clients.control.exceptions.InvalidArgumentException):
        clients.control.describe_stream()
    with pytest.raises(clients.control.exceptions.InvalidArgumentException):
        clients.control.describe_stream(StreamName="calls", StreamARN=stream.arn)


def test_an_unknown_api_name_is_an_invalid_argument(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator)
    wrong: Any = "GET_AUDIO"

    with pytest.raises(clients.control.exceptions.InvalidArgumentException):
        clients.control.get_data_endpoint(StreamName="calls", APIName=wrong)


def test_a_moved_endpoint_is_invalid_until_it_is_asked_for_again(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator)
    stream.move_endpoint()

    with pytest.raises(clients.media.exceptions.InvalidEndpointException) as error:
        clients.open()
    endpoint = clients.control.get_data_endpoint(StreamName="calls", APIName="GET_MEDIA")["DataEndpoint"]
    with closing(SESSION.client("kinesis-video-media", endpoint_url=endpoint)) as moved:
        payload = moved.get_media(StreamName="calls", StartSelector={"StartSelectorType": "NOW"})["Payload"]
        with closing(payload):
            assert payload.read() == FRAGMENTS[-1].data

    assert error_of(error) == ("InvalidEndpointException", 400)


def test_the_sixth_call_in_a_second_exceeds_the_clients_limit(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KvsEmulator(clock=clock) as emulator, clients_of(emulator, monkeypatch) as clients:
        serve(emulator)
        for _ in range(5):
            clients.read()
            clients.control.get_data_endpoint(StreamName="calls", APIName="GET_MEDIA")

        with pytest.raises(clients.media.exceptions.ClientLimitExceededException) as media:
            clients.open()
        with pytest.raises(clients.control.exceptions.ClientLimitExceededException) as endpoint:
            clients.control.get_data_endpoint(StreamName="calls", APIName="GET_MEDIA")
        clock.advance(1.0)
        assert clients.read() == joined(FRAGMENTS)

    assert error_of(media) == error_of(endpoint) == ("ClientLimitExceededException", 400)


def test_a_fourth_connection_to_a_stream_exceeds_the_connection_limit(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator, pace=Live())
    bodies = [clients.open() for _ in range(3)]

    with pytest.raises(clients.media.exceptions.ConnectionLimitExceededException) as error:
        clients.open()
    assert error_of(error) == ("ConnectionLimitExceededException", 400)
    assert emulator.open_connections("calls") == 3

    bodies[0].close()
    bodies.append(clients.open())  # a connection that its client has closed counts no more
    for body in bodies:
        body.close()
    assert emulator.open_connections("calls") == 0
    assert emulator.max_open_connections("calls") == 3


def test_reconnecting_over_and_over_never_counts_as_two_connections(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator, hold_open_s=60.0)

    for _ in range(20):
        with closing(clients.open()) as body:
            body.read(1000)

    assert emulator.max_open_connections("calls") == 1


def test_the_other_streams_connections_do_not_count(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator, pace=Live())
    emulator.add_stream(EmulatedStream("other", stored(FRAGMENTS), pace=Live()))

    with closing(clients.open()), closing(clients.open(name="other")):
        assert emulator.open_connections("calls") == emulator.open_connections("other") == 1


# --- Connect ---------------------------------------------------------------------------------------------------------


def test_a_contact_has_a_disconnect_timestamp_once_its_last_fragment_was_produced(
    emulator: KvsEmulator, clients: Clients, clock: ManualClock
) -> None:
    serve(emulator, pace=Live())

    clock.advance(3.0)
    during = clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)["Contact"]
    clock.advance(2.0)
    after = clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)["Contact"]

    assert (during["Id"], during["Channel"], during["InitiationTimestamp"]) == (DEFAULT_CONTACT_ID, "VOICE", START)
    assert "DisconnectTimestamp" not in during
    assert after["DisconnectTimestamp"] == START + timedelta(seconds=5)


def test_an_unknown_contact_is_not_found(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator)

    for instance_id, contact_id in ((DEFAULT_INSTANCE_ID, "nobody"), ("elsewhere", DEFAULT_CONTACT_ID)):
        with pytest.raises(clients.connect.exceptions.ResourceNotFoundException) as error:
            clients.connect.describe_contact(InstanceId=instance_id, ContactId=contact_id)
        assert error_of(error) == ("ResourceNotFoundException", 404)


def test_describe_contact_is_throttled_at_two_calls_a_second(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KvsEmulator(clock=clock) as emulator, clients_of(emulator, monkeypatch) as clients:
        serve(emulator)
        for _ in range(2):
            clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)
        with pytest.raises(clients.connect.exceptions.ThrottlingException) as error:
            clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)

    assert error_of(error) == ("ThrottlingException", 429)


# --- the server itself -----------------------------------------------------------------------------------------------


def test_closing_ends_open_bodies_and_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    emulator = KvsEmulator(clock=ManualClock())
    with clients_of(emulator, monkeypatch) as clients:
        serve(emulator, pace=Live())
        body = clients.open()
        unread = socket.create_connection(("127.0.0.1", emulator.port))

        emulator.close()

        assert set(threading.enumerate()) == before
        unread.close()
        body.close()
    emulator.close()  # a second time changes nothing


def test_what_is_not_emulated_says_so(emulator: KvsEmulator) -> None:
    client = http.client.HTTPConnection("127.0.0.1", emulator.port)
    with closing(client):
        client.request("POST", "/putMedia", b"")
        response = client.getresponse()
        answer = json.loads(response.read())

    assert (response.status, response.getheader("x-amzn-ErrorType")) == (404, "UnknownOperationException")
    assert answer == {"Message": "POST /putMedia is not emulated"}


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe"])
def test_a_request_that_is_no_json_object_is_refused(emulator: KvsEmulator, body: bytes) -> None:
    client = http.client.HTTPConnection("127.0.0.1", emulator.port)
    with closing(client):
        client.request("POST", "/getMedia", body)
        response = client.getresponse()
        response.read()

    assert (response.status, response.getheader("x-amzn-ErrorType")) == (400, "SerializationException")


def test_a_client_that_hangs_up_midway_disturbs_nobody(
    emulator: KvsEmulator, clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(emulator)
    for _ in range(3):
        body = clients.open()
        body.read(10)
        body.close()
    with socket.create_connection(("127.0.0.1", emulator.port)) as rude, suppress(OSError):
        rude.sendall(b"POST /getMedia HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")

    assert clients.read() == joined(FRAGMENTS)
    emulator.close()
    assert capsys.readouterr().err == ""


def test_the_default_limits_are_the_real_ones() -> None:
    assert Limits() == Limits(
        calls_per_second=5,
        connections=3,
        describe_contact_per_second=2,
        search_contacts_per_second=0.5,
        session_s=2700.0,
    )
