"""What Connect's answers and refusals mean for the end of a call."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from connect_audio.adapters.contact_status import CONNECT_CONFIG, ConnectContactStatus
from connect_audio.ports import ContactAnswer, ContactState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_connect import ConnectClient

INSTANCE = "11111111-2222-3333-4444-555555555555"
CONTACT = "contact-1"
LOGGER = logging.getLogger("status")
ASKED = {"InstanceId": INSTANCE, "ContactId": CONTACT}
STREAM = "arn:aws:kinesisvideo:eu-west-2:123456789012:stream/call/1782900000000"
STREAMED = {"StorageType": "KINESIS_VIDEO_STREAM", "Location": STREAM, "MediaStreamType": "AUDIO"}


def described(client: ConnectClient, start_fragment: str | None = "5") -> ContactAnswer:
    return ConnectContactStatus(client, LOGGER).describe(
        INSTANCE, CONTACT, stream_arn=STREAM, start_fragment=start_fragment
    )


@pytest.fixture(scope="module")
def client() -> Iterator[ConnectClient]:
    client = boto3.client(
        "connect",
        region_name="eu-west-2",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=CONNECT_CONFIG,
    )
    yield client
    client.close()


@pytest.fixture
def connect(client: ConnectClient) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("contact", "answer"),
    [
        ({"Id": CONTACT}, ContactAnswer(ContactState.CONNECTED)),
        (
            {"Id": CONTACT, "DisconnectTimestamp": datetime(2026, 1, 2, tzinfo=UTC)},
            ContactAnswer(ContactState.DISCONNECTED, ended_ms=1_767_312_000_000),
        ),
    ],
)
def test_a_contact_is_over_once_it_has_a_disconnect_timestamp(
    client: ConnectClient, connect: Stubber, contact: dict[str, Any], answer: ContactAnswer
) -> None:
    connect.add_response("describe_contact", {"Contact": contact}, ASKED)
    assert described(client) == answer


@pytest.mark.parametrize(
    ("recordings", "start", "stop"),
    [
        pytest.param([STREAMED | {"FragmentStartNumber": "5", "FragmentStopNumber": "9"}], "5", "9", id="ours"),
        pytest.param([STREAMED | {"FragmentStopNumber": "9"}], "5", "9", id="without its start"),
        pytest.param([STREAMED | {"FragmentStartNumber": "5", "FragmentStopNumber": "9"}], None, "9", id="no event"),
        pytest.param([STREAMED | {"FragmentStartNumber": "5"}], "5", None, id="not stopped yet"),
        pytest.param([STREAMED | {"FragmentStartNumber": "5", "FragmentStopNumber": ""}], "5", None, id="empty"),
        pytest.param([STREAMED | {"FragmentStartNumber": "5", "FragmentStopNumber": "x"}], "5", None, id="no number"),
        pytest.param([STREAMED | {"FragmentStopNumber": "4"}], "5", None, id="before its start"),
        pytest.param([], "5", None, id="no recording"),
        pytest.param(
            [{"StorageType": "S3", "Location": STREAM, "FragmentStopNumber": "9"}], "5", None, id="a recording in S3"
        ),
        pytest.param(
            [STREAMED | {"Location": STREAM + "1", "FragmentStopNumber": "9"}], "5", None, id="another stream"
        ),
        pytest.param(
            [STREAMED | {"MediaStreamType": "VIDEO", "FragmentStopNumber": "9"}], "5", None, id="a video of the contact"
        ),
        pytest.param(
            [
                STREAMED | {"FragmentStartNumber": "5", "FragmentStopNumber": "9"},
                STREAMED | {"FragmentStartNumber": "15", "FragmentStopNumber": "19"},
            ],
            "15",
            "19",
            id="the second of two streamings",
        ),
        pytest.param(
            [STREAMED | {"FragmentStopNumber": "9"}, STREAMED | {"FragmentStopNumber": "19"}],
            "5",
            None,
            id="two that nothing tells apart",
        ),
    ],
)
def test_the_last_fragment_is_that_of_the_streaming_or_none(
    client: ConnectClient, connect: Stubber, recordings: list[dict[str, Any]], start: str | None, stop: str | None
) -> None:
    connect.add_response("describe_contact", {"Contact": {"Id": CONTACT, "Recordings": recordings}}, ASKED)
    assert described(client, start) == ContactAnswer(ContactState.CONNECTED, stop)


def test_an_answer_without_a_contact_is_unknown(
    client: ConnectClient, connect: Stubber, caplog: pytest.LogCaptureFixture
) -> None:
    connect.add_response("describe_contact", {}, ASKED)
    assert described(client) == ContactAnswer(ContactState.UNKNOWN)
    assert _error_codes(caplog) == ["EmptyAnswer"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("AccessDeniedException", 403),
        ("ResourceNotFoundException", 404),
        ("InternalServiceException", 500),
    ],
)
def test_a_refused_or_throttled_question_is_unknown_and_logged_once_by_its_code_alone(
    client: ConnectClient, connect: Stubber, caplog: pytest.LogCaptureFixture, code: str, status: int
) -> None:
    for _ in range(3):
        connect.add_client_error("describe_contact", code, "call from +441632960000", status, expected_params=ASKED)
    contact = ConnectContactStatus(client, LOGGER)
    answers = [contact.describe(INSTANCE, CONTACT, stream_arn=STREAM, start_fragment="5") for _ in range(3)]
    assert answers == [ContactAnswer(ContactState.UNKNOWN)] * 3
    assert _error_codes(caplog) == [code]
    assert "+441632960000" not in str(caplog.records[0].__dict__)


def test_a_question_that_the_sdk_will_not_send_is_unknown(
    client: ConnectClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ConnectContactStatus(client, LOGGER).describe(INSTANCE, "", stream_arn=STREAM, start_fragment=None)
    assert answer.state is ContactState.UNKNOWN
    assert _error_codes(caplog) == ["ParamValidationError"]


def test_the_question_holds_a_live_call_up_for_five_seconds_at_most() -> None:
    options: Any = CONNECT_CONFIG
    assert options.connect_timeout + options.read_timeout == 5
    assert options.retries["total_max_attempts"] == 1


def _error_codes(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.__dict__["error_code"] for record in caplog.records]
