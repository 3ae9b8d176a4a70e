"""Executions that Lambda ended: what is told of them, and what is left alone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.exceptions import ClientError

from connect_audio.handlers import execution_ended
from connect_audio.request import RecordingRequest
from connect_audio_local.cloud import LocalContext
from support.emitted import by_metric, emitted
from support.event_listener import Listener
from support.wire_server import Exchange, WireServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVENTS: Final = Path(__file__).parents[2] / "events"
EVENT: Final[dict[str, Any]] = json.loads((EVENTS / "execution_ended.json").read_text("utf-8"))
PAYLOAD: Final[dict[str, Any]] = json.loads((EVENTS / "consumer_payload.json").read_text("utf-8"))
REQUEST: Final = RecordingRequest.from_payload(PAYLOAD)
KEY: Final = REQUEST.recording_key("recordings")
STEP_ERROR: Final = "aws_durable_execution_sdk_python.exceptions.StepError"


class KnownExecutions:
    """Lambda's GetDurableExecution, for one execution."""

    def __init__(self) -> None:
        self.known: dict[str, Any] | None = {"InputPayload": json.dumps(PAYLOAD)}
        self.code = "ResourceNotFoundException"

    def __call__(self, http: Exchange) -> None:
        if self.known is None:
            http.respond(404, b"{}", x_amzn_errortype=self.code)
        else:
            http.respond_json(self.known)


@dataclass(frozen=True)
class Place:
    lambda_: KnownExecutions
    s3: S3Client
    bucket: str
    listener: Listener

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture
def place(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    known, bucket = KnownExecutions(), f"recordings-{uuid.uuid4().hex[:12]}"
    with (
        closing(WireServer(known)) as server,
        closing(Listener(moto_server)) as listener,
        closing(boto3.client("s3", endpoint_url=moto_server, region_name="eu-west-2")) as s3,
    ):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        for name, value in {
            "AWS_DEFAULT_REGION": "eu-west-2",
            "AWS_ENDPOINT_URL_LAMBDA": server.url,
            "AWS_ENDPOINT_URL_S3": moto_server,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": moto_server,
            "RECORDINGS_BUCKET": bucket,
            "RECORDINGS_PREFIX": "recordings",
            "EVENT_BUS_NAME": listener.bus,
        }.items():
            monkeypatch.setenv(name, value)
        execution_ended._settings.cache_clear()
        yield Place(known, s3, bucket, listener)
        assert server.failures == []
    execution_ended._settings.cache_clear()


def handled(event: object) -> str:
    result: str = execution_ended.handler(event, LocalContext(function_name="execution-ended"))["result"]
    return result


def of_status(status: str) -> dict[str, Any]:
    return {**EVENT, "detail": {**EVENT["detail"], "status": status}}


@pytest.mark.parametrize(
    ("status", "reason"),
    [("TIMED_OUT", "EXECUTION_TIMED_OUT"), ("FAILED", "EXECUTION_FAILED"), ("STOPPED", "EXECUTION_STOPPED")],
)
def test_a_recording_that_its_execution_leaves_behind_is_announced_counted_and_logged(
    place: Place, capfd: pytest.CaptureFixture[str], status: str, reason: str
) -> None:
    place.s3.put_object(Bucket=place.bucket, Key=f"{KEY}.claim", Body=b"of the execution that ended")
    assert handled(of_status(status)) == "lost"
    (event,) = place.listener.events()
    assert event["detail-type"] == "Recording Failed"
    detail = event["detail"]
    assert (detail["executionName"], detail["contactId"]) == (REQUEST.execution_name, REQUEST.contact_id)
    assert (detail["status"], detail["reasons"], detail["recordingUri"]) == ("failed", [reason], None)
    (value,) = emitted(capfd.readouterr().out)
    assert (value.name, value.value, value.service) == ("ExecutionsEnded", 1, "execution-ended")
    assert (value.line["contact_id"], value.line["reason"]) == (REQUEST.contact_id, reason)
    # A redriven execution goes on with what is there.
    assert place.keys() == [f"{KEY}.claim"]


def test_an_execution_that_ends_behind_its_published_recording_loses_nothing(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.s3.put_object(Bucket=place.bucket, Key=KEY.replace(".wav", ".json"), Body=b"{}")
    assert handled(EVENT) == "published"
    assert place.listener.events() == []
    assert by_metric(emitted(capfd.readouterr().out)) == {}


def test_a_failure_that_the_execution_announced_itself_is_not_announced_again(place: Place) -> None:
    place.lambda_.known = {"InputPayload": json.dumps(PAYLOAD), "Error": {"ErrorType": STEP_ERROR}}
    assert handled(of_status("FAILED")) == "announced"
    assert place.listener.events() == []


def test_a_failure_of_settings_is_announced_since_the_execution_could_not(place: Place) -> None:
    place.lambda_.known = {
        "InputPayload": json.dumps(PAYLOAD),
        "Error": {"ErrorType": "connect_audio.core.errors.SettingsError"},
    }
    assert handled(of_status("FAILED")) == "lost"
    assert len(place.listener.events()) == 1


@pytest.mark.parametrize("known", [None, {}, {"InputPayload": "no JSON"}, {"InputPayload": '{"contactId": "../.."}'}])
def test_an_execution_without_an_input_of_the_consumer_is_counted_by_its_name_alone(
    place: Place, capfd: pytest.CaptureFixture[str], known: dict[str, Any] | None
) -> None:
    place.lambda_.known = known
    assert handled(EVENT) == "unknown"
    assert place.listener.events() == []
    (value,) = emitted(capfd.readouterr().out)
    assert value.line["execution_name"] == EVENT["detail"]["durableExecutionName"]
    assert "contact_id" not in value.line


def test_a_refusal_of_lambda_is_an_error_so_that_the_event_comes_again(place: Place) -> None:
    place.lambda_.known, place.lambda_.code = None, "AccessDeniedException"
    with pytest.raises(ClientError, match="AccessDeniedException"):
        handled(EVENT)
    assert place.listener.events() == []


def test_without_a_bus_nothing_is_announced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENT_BUS_NAME", "")
    execution_ended._settings.cache_clear()
    assert handled(EVENT) == "lost"
    assert place.listener.events() == []


@pytest.mark.parametrize("event", [None, {}, [], {"detail": []}, of_status("SUCCEEDED"), of_status("RUNNING")])
def test_any_other_event_is_ignored(place: Place, event: object) -> None:
    place.lambda_.known = {}
    assert handled(event) == "ignored"
