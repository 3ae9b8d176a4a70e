"""The EventBridge adapter against a real EventBridge API, through a rule into a queue, and against one that refuses."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.config import Config

from connect_audio.adapters.recording_events import EventBridgeBus
from connect_audio.core.errors import AnnouncementError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from support.wire_server import Exchange, Handler, WireServer

REGION: Final = "eu-west-2"
# Once, so that what a refusal means is not hidden by the SDK's own tries.
ONCE: Final = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})
DETAIL: Final = {"schemaVersion": "1.0", "executionName": "a_1", "reasons": ["LOST_BYTES"], "durationSeconds": 1.5}


@pytest.fixture
def events(moto_server: str) -> Iterator[EventBridgeClient]:
    client = boto3.client("events", endpoint_url=moto_server, region_name=REGION)
    yield client
    client.close()


def test_an_event_arrives_at_a_rule_s_target_as_it_was_given(events: EventBridgeClient, moto_server: str) -> None:
    name = f"bus-{uuid.uuid4().hex[:8]}"
    bus_arn = events.create_event_bus(Name=name)["EventBusArn"]
    with closing(boto3.client("sqs", endpoint_url=moto_server, region_name=REGION)) as sqs:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["connect-audio"], "detail-type": ["Recording Partial"]}
        events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
        for bus in (name, bus_arn):
            event_id = EventBridgeBus(bus, source="connect-audio", client=events).put("Recording Partial", DETAIL)
            (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
            event = json.loads(message["Body"])
            assert (event["source"], event["detail-type"], event["detail"]) == (
                "connect-audio",
                "Recording Partial",
                DETAIL,
            )
            assert event["id"] == event_id
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def refusal(wire_server: Callable[[Handler], WireServer], answer: Callable[[Exchange], None]) -> AnnouncementError:
    server = wire_server(answer)
    with (
        closing(boto3.client("events", endpoint_url=server.url, region_name=REGION, config=ONCE)) as client,
        pytest.raises(AnnouncementError) as caught,
    ):
        EventBridgeBus("calls", source="connect-audio", client=client).put("Recording Failed", DETAIL)
    return caught.value


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("ThrottlingException", True),
        ("InternalFailure", True),
        ("NotAuthorizedForSourceException", False),
        ("InvalidArgument", False),
    ],
)
def test_an_entry_that_is_refused_with_a_status_of_200_is_an_error(
    wire_server: Callable[[Handler], WireServer], code: str, *, retryable: bool
) -> None:
    entries: list[dict[str, Any]] = [{"ErrorCode": code, "ErrorMessage": "no"}]
    error = refusal(wire_server, lambda http: http.respond_json({"FailedEntryCount": 1, "Entries": entries}))
    assert (error.code, error.retryable) == (code, retryable)
    assert str(error) == f"{code}: PutEvents to calls did not take the event"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(400, "AccessDeniedException", False), (400, "ThrottlingException", True), (500, "InternalException", True)],
)
def test_a_refused_call_is_an_error_that_knows_whether_another_try_may_help(
    wire_server: Callable[[Handler], WireServer], status: int, code: str, *, retryable: bool
) -> None:
    body = json.dumps({"__type": code, "message": "no"}).encode()
    error = refusal(wire_server, lambda http: http.respond(status, body, content_type="application/x-amz-json-1.1"))
    assert (error.code, error.retryable) == (code, retryable)


@pytest.mark.parametrize("body", [b"{}", b"", b"<html>", b'{"FailedEntryCount": 0, "Entries": [{}]}'])
def test_an_answer_that_is_none_is_an_error(wire_server: Callable[[Handler], WireServer], body: bytes) -> None:
    error = refusal(wire_server, lambda http: http.respond(200, body, content_type="application/x-amz-json-1.1"))
    assert error.code in {"NoEventId", "ResponseParserError"}


def test_a_bus_that_cannot_be_reached_is_worth_another_try(wire_server: Callable[[Handler], WireServer]) -> None:
    error = refusal(wire_server, lambda http: http.reset())
    assert (error.code, error.retryable) == ("ConnectionError", True)
