"""What the emulator refuses as the service does, and the line that says why a request got nothing."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, get_args

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from connect_audio_local.kvs import EmulatedStream, KvsEmulator, Live, stored
from connect_audio_local.kvs.fault_run import in_band_document
from connect_audio_local.kvs.faults import Api
from connect_audio_local.kvs.request_types import REQUESTS
from connect_audio_local.kvs.unanswered import Unanswered
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call

SECOND = bytes(16000)
FRAGMENTS = list(synthesize_call(SyntheticCall(customer=SECOND * 3, agent=SECOND * 3)))
START_S = FRAGMENTS[0].producer_ms / 1000
NEVER = str(int(FRAGMENTS[1].number) + 1)
STREAM = {"StreamName": "calls"}
IN_SECONDS = f"is in milliseconds, and seconds since the epoch are wanted: {START_S:.3f}"
NO_STREAM = "ResourceNotFoundException: The requested stream is not found or not active"
NO_CONTACT = (
    f"DescribeContact of contact {DEFAULT_CONTACT_ID}: ResourceNotFoundException: no contact {DEFAULT_CONTACT_ID}"
)


class Told(list[str]):
    def __call__(self, unanswered: Unanswered) -> None:
        self.append(str(unanswered))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def emulator(told: Told) -> Iterator[KvsEmulator]:
    with KvsEmulator(on_unanswered=told) as made:
        made.add_stream(EmulatedStream("calls", stored(FRAGMENTS)))
        yield made


def post(emulator: KvsEmulator, path: str, body: object, method: str = "POST") -> tuple[int, str | None, bytes]:
    """Status, error type and body of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", emulator.port)) as client:
        client.request(method, path, body if isinstance(body, bytes) else json.dumps(body))
        response = client.getresponse()
        return response.status, response.getheader("x-amzn-ErrorType"), response.read()


def get_media(emulator: KvsEmulator, kind: str, **fields: Any) -> tuple[int, str | None, bytes]:
    return post(emulator, "/getMedia", {**STREAM, "StartSelector": {"StartSelectorType": kind, **fields}})


# --- numbers and tokens ----------------------------------------------------------------------------------------------


def test_a_fragment_number_that_was_never_issued_is_an_error_inside_the_body(emulator: KvsEmulator, told: Told) -> None:
    status, error, body = get_media(emulator, "FRAGMENT_NUMBER", AfterFragmentNumber=NEVER)

    assert (status, error) == (200, None)
    assert body == in_band_document(4000)
    assert told == [f"GetMedia of stream calls: the stream never had a fragment {NEVER}"]


@pytest.mark.parametrize("token", [NEVER, str(int(FRAGMENTS[-1].number) + 1), "abc"])
def test_a_token_that_was_never_issued_is_an_invalid_argument(emulator: KvsEmulator, told: Told, token: str) -> None:
    status, error, body = get_media(emulator, "CONTINUATION_TOKEN", ContinuationToken=token)

    assert (status, error) == (400, "InvalidArgumentException")
    assert json.loads(body) == {"Message": "ContinuationToken was not issued by this service"}
    assert told == [
        "GetMedia of stream calls: InvalidArgumentException: ContinuationToken was not issued by this service"
    ]


def test_a_number_that_has_expired_is_followed_by_the_oldest_fragment() -> None:
    late = EmulatedStream("calls", stored(FRAGMENTS[1:]))

    reader = late.open({"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": FRAGMENTS[0].number}, 0.0)

    found = reader.next(0.0)
    assert getattr(found, "number", None) == FRAGMENTS[1].number


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/describeStream", b"{", "the request is no JSON"),
        ("/describeStream", b"[]", "the request is no JSON object"),
        ("/describeStream", {"StreamName": 5}, "NUMBER_VALUE can not be converted to a String"),
        ("/describeStream", {"StreamName": True}, "TRUE_VALUE can not be converted to a String"),
        ("/describeStream", {"StreamName": {}}, "Start of structure or map found where not expected."),
        ("/describeStream", {"StreamName": []}, "Start of list found where not expected"),
        ("/getMedia", {"StartSelector": "NOW"}, "Unexpected field type: a structure is expected"),
        (
            "/getMedia",
            {"StartSelector": {"StartTimestamp": "2026-07-01"}},
            "STRING_VALUE can not be converted to milliseconds since epoch",
        ),
        ("/listFragments", {"MaxResults": 1.5}, "DECIMAL_VALUE can not be converted to a Long"),
        ("/getMediaForFragmentList", {"Fragments": "1"}, "Unexpected field type: a list is expected"),
        ("/getMediaForFragmentList", {"Fragments": ["1", None]}, "NULL_VALUE can not be converted to a String"),
    ],
)
def test_a_body_of_other_types_is_a_serialization_exception_before_anything_else(
    emulator: KvsEmulator, path: str, body: object, message: str
) -> None:
    status, error, answer = post(emulator, path, body)

    assert (status, error, json.loads(answer)) == (400, "SerializationException", {"Message": message})


def test_null_members_and_unknown_ones_count_as_absent(emulator: KvsEmulator) -> None:
    status, _, answer = post(emulator, "/describeStream", {**STREAM, "StreamARN": None, "Other": 5})

    assert (status, json.loads(answer)["StreamInfo"]["StreamName"]) == (200, "calls")


def test_the_members_are_those_of_the_service_models() -> None:
    session = botocore.session.get_session()
    services = ("kinesisvideo", "kinesis-video-media", "kinesis-video-archived-media")
    models = [session.get_service_model(name) for name in services]

    def plain(shape: Shape | None) -> object:
        assert shape is not None
        if isinstance(shape, StructureShape):
            return {name: plain(member) for name, member in shape.members.items()}
        return [plain(shape.member)] if isinstance(shape, ListShape) else shape.type_name

    found = {
        name: plain(model.operation_model(name).input_shape)
        for model in models
        for name in REQUESTS
        if name in model.operation_names
    }
    assert {name: dict(members) for name, members in REQUESTS.items()} == found
    assert set(REQUESTS) | {"DescribeContact", "SearchContacts"} == set(get_args(Api.__value__))


# --- the line on the terminal ----------------------------------------------------------------------------------------


SERVER_END_S = (FRAGMENTS[-1].server_ms + FRAGMENTS[-1].duration_ms) / 1000
LAST_S = FRAGMENTS[-1].producer_ms / 1000


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


THERE = f"; the stream's fragments begin from {iso(START_S)} to {iso(LAST_S)}"


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        (
            "PRODUCER_TIMESTAMP",
            {"StartTimestamp": FRAGMENTS[0].producer_ms},
            f"StartTimestamp {FRAGMENTS[0].producer_ms} {IN_SECONDS}",
        ),
        (
            "PRODUCER_TIMESTAMP",
            {"StartTimestamp": START_S + 60},
            f"StartTimestamp {START_S + 60} ({iso(START_S + 60)}) is not before the stream's end at {iso(START_S + 3)}",
        ),
        (
            "SERVER_TIMESTAMP",
            {"StartTimestamp": START_S + 4},
            f"StartTimestamp {START_S + 4} ({iso(START_S + 4)}) is not before the stream's end at {iso(SERVER_END_S)}",
        ),
        (
            "FRAGMENT_NUMBER",
            {"AfterFragmentNumber": FRAGMENTS[-1].number},
            f"no fragment follows {FRAGMENTS[-1].number}",
        ),
    ],
    ids=["milliseconds", "beyond the end", "beyond the server's end", "caught up"],
)
def test_a_start_that_gives_nothing_is_explained(
    emulator: KvsEmulator, told: Told, kind: str, fields: dict[str, Any], why: str
) -> None:
    status, _, body = get_media(emulator, kind, **fields)

    assert (status, body) == (200, b"")
    assert told == [f"GetMedia of stream calls: {why}"]


def test_an_unknown_stream_is_told_with_those_that_are_there(emulator: KvsEmulator, told: Told) -> None:
    emulator.add_stream(EmulatedStream("other", []))

    status, error, _ = post(emulator, "/describeStream", {"StreamName": "call"})

    assert (status, error) == (404, "ResourceNotFoundException")
    assert told == [f"DescribeStream of stream call: {NO_STREAM}: call; the streams are calls, other"]


def test_a_stream_without_fragments_is_told(emulator: KvsEmulator, told: Told) -> None:
    emulator.add_stream(EmulatedStream("live", stored(FRAGMENTS), pace=Live(0.0001)))
    with closing(http.client.HTTPConnection("127.0.0.1", emulator.port)) as client:
        client.request(
            "POST", "/getMedia", json.dumps({"StreamName": "live", "StartSelector": {"StartSelectorType": "NOW"}})
        )
        client.getresponse()

        assert told == ["GetMedia of stream live: the stream has no fragment yet, or retains none"]


def test_a_contact_of_another_instance_is_told_with_its_own(emulator: KvsEmulator, told: Told) -> None:
    other = "11111111-1111-4111-8111-111111111111"

    status, error, _ = post(emulator, f"/contacts/{other}/{DEFAULT_CONTACT_ID}", b"", "GET")

    assert (status, error) == (404, "ResourceNotFoundException")
    own = FRAGMENTS[0].contents.instance_id
    assert told == [f"{NO_CONTACT} in instance {other}; the contact's instance is {own}"]


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (
            START_S + 60,
            START_S + 61,
            f"no fragment begins from {iso(START_S + 60)} to {iso(START_S + 61)}{THERE}",
        ),
        (
            START_S * 1000,
            START_S * 1000 + 3000,
            f"StartTimestamp {START_S * 1000:.0f} {IN_SECONDS}",
        ),
    ],
    ids=["elsewhere", "milliseconds"],
)
def test_an_empty_listing_is_explained(emulator: KvsEmulator, told: Told, start: float, end: float, why: str) -> None:
    span = {"StartTimestamp": start, "EndTimestamp": end}
    selector = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": span}

    status, _, body = post(emulator, "/archive/LIST_FRAGMENTS/listFragments", {**STREAM, "FragmentSelector": selector})

    assert (status, json.loads(body)) == (200, {"Fragments": []})
    assert told == [f"ListFragments of stream calls: {why}"]


def test_a_listing_at_the_wrong_endpoint_is_explained(emulator: KvsEmulator, told: Told) -> None:
    assert post(emulator, "/listFragments", STREAM)[2] == b"{}"
    why = "asked at another operation's endpoint: call GetDataEndpoint with APIName LIST_FRAGMENTS"
    assert told == [f"ListFragments of stream calls: {why}"]
