"""Executions that fail for good and are started again: real processes, AWS's durable engine, SQS by moto, the CLI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from connect_audio.request import RecordingRequest
from connect_audio_cli import main as cli
from connect_audio_local.kvs import EmulatedStream
from connect_audio_local.lambda_.durable_engine import EngineExecution
from connect_audio_local.lambda_.server import LambdaFront
from connect_audio_local.process_cloud import ProcessCloud, process_cloud, request_for
from connect_audio_local.s3.faults import ANY, S3Fault, S3FaultPlan, S3FaultProxy, S3Trouble
from support.engine_chaos import INSTANCE, _of, scene
from support.wav import same_wav
from support.wire_server import Handler, WireServer

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FUNCTION = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live"
PLACE = {"RECORDINGS_BUCKET": "recordings"}
NUMBERS = count(1)


@dataclass
class Scene:
    """One contact, and the queue of executions that failed."""

    cloud: ProcessCloud
    front: LambdaFront
    sqs: SQSClient
    queue_url: str
    request: RecordingRequest
    wav: bytes
    started: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, payload: Any) -> None:
        self.started[name] = self.cloud.engine.start(name, payload)

    def fail(self, name: str, faults: S3FaultPlan, payload: Any = None) -> EngineExecution:
        """Run an execution while S3 refuses, and put it into the queue as Lambda does."""
        with S3FaultProxy(self.cloud.s3_url, faults) as front:
            self.cloud.s3_proxy.upstream = front.url
            self.start(name, payload or self.request.to_payload())
            ended = self.cloud.engine.wait(self.started[name])
            self.cloud.gate.settle()
        self.cloud.s3_proxy.upstream = self.cloud.s3_url
        assert ended.status == "FAILED", ended
        self.message(payload or self.request.to_payload())
        return ended

    def message(self, body: Any) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(body))

    def redrive(self, *options: str) -> int:
        return cli.main(["redrive", "--queue-url", self.queue_url, "--function", FUNCTION, *options])

    def left(self) -> int:
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])

    def visible(self) -> int:
        """How many messages anybody may receive."""
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def is_whole(self, name: str) -> bool:
        """The execution ended well, and what is in the bucket is the recording, its manifest and nothing else."""
        ended = self.cloud.engine.wait(self.started[name])
        self.cloud.gate.settle()
        assert (ended.status, ended.result and ended.result["status"]) == ("SUCCEEDED", "complete"), ended
        assert same_wav(self.cloud.body(ended.result["recording"]), self.wav)
        keys = self.cloud.keys(self.request.contact_id)
        assert [key.rsplit(".", 1)[1] for key in keys] == ["json", "wav"]
        assert self.cloud.open_uploads(self.request.contact_id) == []
        return True


@pytest.fixture(scope="module")
def cloud() -> Iterator[ProcessCloud]:
    with process_cloud() as made:
        yield made


@pytest.fixture
def stage(cloud: ProcessCloud, moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    number = next(NUMBERS)
    contact_id = f"20000000-0000-4000-8000-{number:012d}"
    long = scene("long")
    stream = cloud.emulator.add_stream(EmulatedStream(f"redriven-{number}", _of(contact_id, long.fragments)))
    request = request_for(contact_id, INSTANCE, stream.arn, long.start_ms)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", moto_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", cloud.s3_url)
    with closing(boto3.client("sqs", region_name="eu-west-2")) as sqs:
        queue_url = sqs.create_queue(QueueName=f"failed-{number}")["QueueUrl"]

        def start(name: str, payload: Any) -> None:
            made.start(name, payload)

        with LambdaFront(start, durable_url=cloud.engine.url, environment=PLACE) as front:
            monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", front.url)
            made = Scene(cloud, front, sqs, queue_url, request, long.wav)
            yield made


def refused(operation: str, nth: int = 1) -> S3FaultPlan:
    return S3FaultPlan((S3Fault(operation, nth, S3Trouble.ACCESS_DENIED, times=None),))


def test_a_recording_that_could_not_be_published_is_published_from_what_lies_in_s3(
    stage: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    name = stage.request.execution_name
    stage.fail(name, refused("CompleteMultipartUpload"))
    before = len(stage.cloud.gate.crossings)
    assert stage.redrive() == 0
    assert stage.is_whole(f"{name}-r1")
    assert capsys.readouterr().out.startswith(f"started   {name}  {name}-r1 goes on behind its part ")
    assert stage.left() == 0
    # Nothing was left to be read.
    crossings = [crossing.name for crossing in stage.cloud.gate.crossings[before:]]
    assert "s3:CompleteMultipartUpload" in crossings
    assert "kvs:getMedia" not in crossings


@pytest.mark.parametrize("nth", [9, 12])
def test_a_recording_that_s3_cut_off_in_its_midst_goes_on_where_it_stood(stage: Scene, nth: int) -> None:
    name = stage.request.execution_name
    stage.fail(name, refused(ANY, nth))
    assert stage.redrive() == 0
    assert stage.is_whole(f"{name}-r1")


def test_what_was_salvaged_without_its_manifest_is_published_as_it_is(stage: Scene) -> None:
    name = stage.request.execution_name
    # Put are the claim, the first part's staging, and then nothing more: the last part's staging fails for good, what
    # was uploaded becomes the WAV, and the manifest fails.
    stage.fail(name, refused("PutObject", 3))
    (left,) = [key for key in stage.cloud.keys(stage.request.contact_id) if key.endswith(".wav")]
    wav = stage.cloud.body(f"s3://recordings/{left}")
    assert stage.redrive() == 0
    ended = stage.cloud.engine.wait(stage.started[f"{name}-r1"])
    stage.cloud.gate.settle()
    assert (ended.status, ended.result["status"], ended.result["reasons"]) == ("SUCCEEDED", "partial", ["STEP_FAILED"])
    assert same_wav(stage.cloud.body(ended.result["recording"]), wav)
    assert same_wav(wav[44:], stage.wav[44:][: len(wav) - 44])
    keys = stage.cloud.keys(stage.request.contact_id)
    assert [key.rsplit(".", 1)[1] for key in keys] == ["json", "wav"]


def test_what_fails_again_goes_on_from_there(stage: Scene) -> None:
    name = stage.request.execution_name
    stage.fail(name, refused("UploadPart", 2))
    with S3FaultProxy(stage.cloud.s3_url, refused("CompleteMultipartUpload")) as front:
        stage.cloud.s3_proxy.upstream = front.url
        assert stage.redrive() == 0
        again = stage.cloud.engine.wait(stage.started[f"{name}-r1"])
        stage.cloud.gate.settle()
    stage.cloud.s3_proxy.upstream = stage.cloud.s3_url
    assert again.status == "FAILED"
    stage.message(stage.front.executions[f"{name}-r1"])
    assert stage.redrive() == 0
    assert stage.is_whole(f"{name}-r2")
    assert stage.left() == 0


def test_a_message_whose_recording_has_been_finished_meanwhile_only_leaves_the_queue(
    stage: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    name = stage.request.execution_name
    stage.fail(name, refused("CompleteMultipartUpload"))
    stage.message(stage.request.to_payload())  # delivered twice
    assert stage.redrive() == 0
    assert stage.is_whole(f"{name}-r1")
    stage.message(stage.request.to_payload())
    assert stage.redrive() == 0
    assert f"finished  {name}  execution {name}-r1 has finished it" in capsys.readouterr().out
    assert list(stage.started) == [name, f"{name}-r1"]
    assert stage.left() == 0


def test_an_execution_that_lambda_has_forgotten_is_recorded_from_the_beginning(stage: Scene) -> None:
    stage.message(stage.request.to_payload())
    assert stage.redrive() == 0
    assert stage.is_whole(f"{stage.request.execution_name}-r1")


def test_a_redriven_execution_that_lambda_has_forgotten_goes_on_where_its_message_tells(
    stage: Scene,
    wire_server: Callable[[Handler], WireServer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = stage.request.execution_name
    stage.fail(name, refused("CompleteMultipartUpload"))
    with S3FaultProxy(stage.cloud.s3_url, refused("CompleteMultipartUpload")) as s3:
        stage.cloud.s3_proxy.upstream = s3.url
        assert stage.redrive() == 0
        assert stage.cloud.engine.wait(stage.started[f"{name}-r1"]).status == "FAILED"
        stage.cloud.gate.settle()
    stage.cloud.s3_proxy.upstream = stage.cloud.s3_url
    stage.message(stage.front.executions[f"{name}-r1"])
    capsys.readouterr()
    before = len(stage.cloud.gate.crossings)
    forgetful = wire_server(lambda exchange: exchange.respond_json({"DurableExecutions": []}))
    with LambdaFront(stage.start, durable_url=forgetful.url, environment=PLACE) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", front.url)
        assert stage.redrive() == 0
        assert stage.is_whole(f"{name}-r1")
    assert capsys.readouterr().out.startswith(f"started   {name}  {name}-r1 goes on behind its part ")
    assert "kvs:getMedia" not in [crossing.name for crossing in stage.cloud.gate.crossings[before:]]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(stage: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    stage.message(stage.request.to_payload())
    assert stage.redrive("--dry-run") == 0
    assert f"would start {stage.request.execution_name}-r1" in capsys.readouterr().out
    assert stage.started == {}
    # Nor does it hide the message from the run that follows.
    assert stage.redrive() == 0
    assert f"started   {stage.request.execution_name}" in capsys.readouterr().out
    assert stage.is_whole(f"{stage.request.execution_name}-r1")
    assert stage.left() == 0


def test_what_is_no_input_of_the_consumer_is_left_in_the_queue(
    stage: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.message({"contactId": "a"})
    assert stage.redrive() == 3
    told = capsys.readouterr()
    assert "left " in told.out
    assert "instanceArn is missing" in told.out
    assert told.err == "connect-audio: 1 message left in the queue\n"
    assert stage.visible() == 1


def test_a_function_without_its_alias_is_refused_in_one_line(stage: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["redrive", "--queue-url", stage.queue_url, "--function", "consumer"]) == 2
    assert "--function consumer has no alias" in capsys.readouterr().err


def test_a_queue_that_is_not_there_is_said_in_one_line(stage: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["redrive", "--queue-url", f"{stage.queue_url}-not", "--function", FUNCTION]) == 2
    assert "AWS refuses ReceiveMessage: " in capsys.readouterr().err
