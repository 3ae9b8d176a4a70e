"""The example rule takes the events that it says it takes, as the consumer makes them, and may deliver them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.events.models import EventPattern

from connect_audio.recorder import Outcome, OutcomeStatus
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.recording_event import DETAIL_TYPES, SOURCE, recording_event
from connect_audio.request import RecordingRequest
from infrastructure.evaluation import evaluated

type Json = dict[str, Any]
type Example = Callable[[str], Json]

REQUEST = RecordingRequest(
    contact_id="0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80",
    instance_arn="arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001",
    stream_arn="arn:aws:kinesisvideo:eu-west-2:111122223333:stream/live-connect-contact/1",
    start_timestamp_ms=1_764_000_000_123,
    start_fragment_number="9134385233318142358",
)


@pytest.fixture
def rule(example: Example) -> Json:
    resources: Json = evaluated(example("recording-completed-rule"))["Resources"]
    return resources


def takes(rule: Json, event: Any) -> bool:
    return EventPattern.load(json.dumps(rule["RecordingCompleted"]["Properties"]["EventPattern"])).matches_event(event)


def event(status: OutcomeStatus, **changed: object) -> Json:
    made = recording_event(REQUEST, Outcome(status=status), RecordingNames("calls.example", "recordings/1.wav"))
    assert made is not None
    return {"source": SOURCE, "detail-type": made.detail_type, "detail": {**made.detail, **changed}}


@pytest.mark.parametrize("status", DETAIL_TYPES)
def test_the_rule_takes_recordings_that_are_there_and_leaves_the_failed(rule: Json, status: OutcomeStatus) -> None:
    assert takes(rule, event(status)) == (status in {OutcomeStatus.COMPLETE, OutcomeStatus.PARTIAL})


@pytest.mark.parametrize(("version", "taken"), [("1.0", True), ("1.7", True), ("2.0", False)])
def test_the_rule_takes_new_fields_and_not_a_new_meaning(rule: Json, version: str, *, taken: bool) -> None:
    assert takes(rule, event(OutcomeStatus.COMPLETE, schemaVersion=version)) == taken


def test_the_rule_delivers_into_one_queue_and_what_it_cannot_into_the_other(rule: Json) -> None:
    target = rule["RecordingCompleted"]["Properties"]["Targets"][0]
    assert (target["Arn"], target["DeadLetterConfig"]["Arn"]) == ("<Recordings.Arn>", "<Undelivered.Arn>")


@pytest.mark.parametrize("queue", ["Recordings", "Undelivered"])
def test_eventbridge_may_put_into_a_queue_whose_policy_speaks_of_it_alone_for_this_rule_alone(
    rule: Json, queue: str
) -> None:
    (policy,) = [
        one["Properties"]
        for one in rule.values()
        if one["Type"] == "AWS::SQS::QueuePolicy" and f"<{queue}>" in one["Properties"]["Queues"]
    ]
    assert policy["Queues"] == [f"<{queue}>"]
    allow, deny = policy["PolicyDocument"]["Statement"]
    assert allow["Resource"] == deny["Resource"] == f"<{queue}.Arn>"
    assert (allow["Effect"], allow["Principal"], allow["Action"]) == (
        "Allow",
        {"Service": "events.amazonaws.com"},
        "sqs:SendMessage",
    )
    assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": "<RecordingCompleted.Arn>"}}
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_rule_listens_on_the_bus_of_the_stack_that_records(rule: Json, template: Json, example: Example) -> None:
    assert rule["RecordingCompleted"]["Properties"]["EventBusName"] == template["Parameters"]["EventBusName"]["Default"]
    calls = evaluated(example("recording-completed-rule"), {"EventBusName": "calls"})["Resources"]
    assert calls["RecordingCompleted"]["Properties"]["EventBusName"] == "calls"
