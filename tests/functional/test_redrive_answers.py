"""What redriving makes of answers that a well-behaved engine does not give: gaps, refusals, damage.

Lambda and SQS are scripted servers; that the command works with an SQS of others shows test_redrive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest

from connect_audio.core.plain import to_plain
from connect_audio.ports import UploadedPart
from connect_audio.recorder import Checkpoint, PartDone, StepResult
from connect_audio.recorder.continuation import CONTINUES, Continuation
from connect_audio.recorder.parts import PartState
from connect_audio.request import LIVE, RecordingRequest
from connect_audio_cli import main as cli
from connect_audio_cli.redrive.decision import Outcome
from connect_audio_cli.redrive.redrive import Redrive, Redriven
from support.aws_answers import AwsAnswers
from support.clock import FakeClock
from support.deployed_stack import described
from support.wire_server import Exchange, Handler, WireServer

FUNCTION = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live"
QUEUE_URL = "https://sqs.eu-west-2.amazonaws.com/123456789012/failed"
NOW_MS = 1_782_912_665_536
DAY_S = 86_400
NUMBERS = count(1)
REQUEST = RecordingRequest(
    contact_id="30000000-0000-4000-8000-000000000001",
    instance_arn="arn:aws:connect:eu-west-2:123456789012:instance/aaaa",
    stream_arn="arn:aws:kinesisvideo:eu-west-2:123456789012:stream/call/1",
    start_timestamp_ms=NOW_MS,
    start_fragment_number=None,
)
OTHER = replace(REQUEST, contact_id="30000000-0000-4000-8000-000000000002")
NAME, OTHER_NAME = REQUEST.execution_name, OTHER.execution_name

type Servers = Callable[[Handler], WireServer]


def part(number: int) -> StepResult:
    """The result of a record step that uploaded a part."""
    return StepResult(
        next=PartDone(),
        checkpoint=Checkpoint(parts=PartState(number=number + 1, upload_id="upload")),
        part=UploadedPart(number=number, etag=f"etag-{number}", size=5_242_880, checksum_crc32="AAAAAA=="),
    )


def recorded(number: int, result: StepResult) -> dict[str, Any]:
    return {
        "EventType": "StepSucceeded",
        "EventId": number,
        "Name": f"record-{number:05d}",
        "StepSucceededDetails": {"Result": {"Payload": json.dumps(to_plain(result))}},
    }


@dataclass
class Execution:
    """What Lambda knows of one execution."""

    name: str
    status: str = "FAILED"
    started_s: float = NOW_MS / 1000 - DAY_S
    ended_s: float | None = NOW_MS / 1000 - DAY_S
    payload: dict[str, Any] = field(default_factory=REQUEST.to_payload)
    result: str | None = None
    events: Sequence[dict[str, Any]] = ()
    number: int = field(default_factory=lambda: next(NUMBERS))

    @property
    def arn(self) -> str:
        return f"{FUNCTION.removesuffix(':live')}:1/durable-execution/{self.name}/{self.number}"

    def to_json(self) -> dict[str, Any]:
        known = {
            "DurableExecutionArn": self.arn,
            "DurableExecutionName": self.name,
            "FunctionArn": FUNCTION,
            "Status": self.status,
            "StartTimestamp": self.started_s,
            "EndTimestamp": self.ended_s,
        }
        return {name: value for name, value in known.items() if value is not None}


class ScriptedBucket:
    """S3: objects of the bucket `calls` by key, of others by `/bucket/key`; `refusal` is the code of every answer."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.refusal: str | None = None

    def __call__(self, exchange: Exchange) -> None:
        key = unquote(urlsplit(exchange.request.path).path).removeprefix("/calls/")
        if self.refusal is not None:
            exchange.respond(
                403, f"<Error><Code>{self.refusal}</Code></Error>".encode(), content_type="application/xml"
            )
        elif key in self.objects:
            exchange.respond(200, self.objects[key].encode(), content_type="text/plain")
        else:
            exchange.respond(404, b"<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")


class ScriptedLambda:
    """Lambda, as a script says: `refusals` are error codes by operation and execution name.

    A started execution claims its recording at once, unless `claims` is false.
    """

    def __init__(self, *known: Execution) -> None:
        self.known = list(known)
        self.bucket = ScriptedBucket()
        self.claims = True
        self.lists_nothing = False
        self.environment: dict[str, str] = {"RECORDINGS_BUCKET": "calls", "RECORDINGS_PREFIX": "audio"}
        self.refusals: dict[tuple[str, str], str] = {}
        self.invoked: dict[str, bytes] = {}
        self.lists_by_alias_alone = False
        self.shows_inputs = True

    def payload(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.invoked[name])
        return found

    def __call__(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.request.path)
        steps = unquote(parts.path)
        if steps.endswith("/configuration"):
            exchange.respond_json({"Environment": {"Variables": self.environment}})
            return
        if steps.endswith("/invocations"):
            operation, name = "Invoke", exchange.request.headers["x-amz-durable-execution-name"]
        elif steps.endswith("/durable-executions"):
            operation, name = "List", parse_qs(parts.query)["DurableExecutionName"][0]
        else:
            operation = "History" if steps.endswith("/history") else "Get"
            name = steps.split("/durable-execution/")[1].split("/")[0]
        if refusal := self.refusals.get((operation, name)):
            exchange.respond(400, b'{"Message": "so it is"}', x_amzn_errortype=refusal, content_type="application/json")
        elif operation == "Invoke":
            self.invoked[name] = exchange.request.body
            self._start(name)
            exchange.respond(202)
        elif operation == "List":
            shown = not self.lists_by_alias_alone or parse_qs(parts.query).get("Qualifier") == ["live"]
            shown = shown and not self.lists_nothing
            found = [each.to_json() for each in self.known if shown and each.name == name]
            exchange.respond_json({"DurableExecutions": found})
        else:
            execution = next((each for each in self.known if each.arn in steps), None)
            if execution is None:
                exchange.respond(
                    404, b"{}", x_amzn_errortype="ResourceNotFoundException", content_type="application/json"
                )
            elif operation == "History":
                exchange.respond_json({"Events": list(execution.events)})
            else:
                result = {} if execution.result is None else {"Result": execution.result}
                payload = {"InputPayload": json.dumps(execution.payload)} if self.shows_inputs else {}
                exchange.respond_json(execution.to_json() | {"Version": "1"} | payload | result)

    def _start(self, name: str) -> None:
        payload = self.payload(name)
        request = RecordingRequest.from_payload(payload)
        execution = Execution(name, status="RUNNING", ended_s=None, payload=payload)
        self.known.append(execution)
        if self.claims:
            continued = Continuation.from_payload(payload)
            self.claim(execution.arn if continued is None else continued.execution, request)

    def claim(self, arn: str, request: RecordingRequest = REQUEST) -> None:
        """Let an execution hold the claim of a recording."""
        self.bucket.objects[f"{request.recording_key('audio')}.claim"] = arn


class ScriptedQueue:
    """SQS, with one queue: a receipt handle is good for as long as its message is hidden."""

    def __init__(self) -> None:
        self.visible: dict[str, str] = {}
        self.hidden: dict[str, tuple[str, str]] = {}

    def add(self, body: str) -> None:
        self.visible[f"message-{next(NUMBERS)}"] = body

    def __call__(self, exchange: Exchange) -> None:
        operation = exchange.request.headers["x-amz-target"].removeprefix("AmazonSQS.")
        operations = {
            "ReceiveMessage": self.receive,
            "DeleteMessage": self.delete,
            "ChangeMessageVisibilityBatch": self.show,
        }
        asked = exchange.request.json()
        if len(asked.get("Entries", [])) > 10:
            said = b'{"__type": "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "message": "at most 10"}'
            exchange.respond(400, said, content_type="application/x-amz-json-1.0")
        else:
            exchange.respond_json(operations[operation](asked))

    def receive(self, asked: dict[str, Any]) -> dict[str, Any]:
        messages = []
        for name in list(self.visible)[: asked["MaxNumberOfMessages"]]:
            handle = f"handle-{next(NUMBERS)}"
            self.hidden[handle] = (name, self.visible.pop(name))
            messages.append({"MessageId": name, "ReceiptHandle": handle, "Body": self.hidden[handle][1]})
        return {"Messages": messages} if messages else {}

    def delete(self, asked: dict[str, Any]) -> dict[str, Any]:
        del self.hidden[asked["ReceiptHandle"]]
        return {}

    def show(self, asked: dict[str, Any]) -> dict[str, Any]:
        for entry in asked["Entries"]:
            assert entry["VisibilityTimeout"] == 0
            name, body = self.hidden.pop(entry["ReceiptHandle"])
            self.visible[name] = body
        return {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]], "Failed": []}


@dataclass
class Scene:
    """A queue, and the command."""

    queue: ScriptedQueue
    monkeypatch: pytest.MonkeyPatch
    servers: Servers
    capsys: pytest.CaptureFixture[str]

    def message(self, *bodies: object) -> None:
        for body in bodies:
            self.queue.add(json.dumps(body))

    def lambda_is(self, script: ScriptedLambda) -> ScriptedLambda:
        self.monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", self.servers(script).url)
        self.monkeypatch.setenv("AWS_ENDPOINT_URL_S3", self.servers(script.bucket).url)
        return script

    def redrive(self, *options: str) -> tuple[int, str]:
        """The exit code, and all that was said."""
        code = cli.main(["redrive", "--queue-url", QUEUE_URL, "--function", FUNCTION, *options])
        told = self.capsys.readouterr()
        return code, told.out + told.err

    @contextmanager
    def stopped(self, script: ScriptedLambda) -> Iterator[Redrive]:
        """The work behind the command, at a time that stands still."""
        self.lambda_is(script)
        with (
            closing(boto3.client("sqs", region_name="eu-west-2")) as sqs,
            closing(boto3.client("lambda", region_name="eu-west-2")) as lambda_,
            closing(boto3.client("s3", region_name="eu-west-2")) as s3,
        ):
            yield Redrive(QUEUE_URL, FUNCTION, sqs=sqs, lambda_=lambda_, s3=s3, clock=FakeClock(NOW_MS))

    def numbers(self) -> tuple[int, int]:
        """How many messages anybody may receive, and how many are hidden."""
        return len(self.queue.visible), len(self.queue.hidden)


@pytest.fixture
def stage(wire_server: Servers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scene:
    queue = ScriptedQueue()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", wire_server(queue).url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return Scene(queue, monkeypatch, wire_server, capsys)


def carried(*results: StepResult) -> Continuation:
    """What a redriven execution's message carries."""
    stood = Continuation(execution=Execution(NAME).arn)
    for result in results:
        stood = stood.after(result)
    return stood


@pytest.mark.parametrize("status", ["complete", "partial", "empty"])
def test_a_message_leaves_the_queue_where_its_execution_returned_a_recording_or_that_there_is_none(
    stage: Scene, status: str
) -> None:
    stage.lambda_is(ScriptedLambda(Execution(NAME, "SUCCEEDED", result=json.dumps({"status": status}))))
    stage.message(REQUEST.to_payload())
    assert stage.redrive() == (0, f"finished  {NAME}  execution {NAME} has finished it: {status}\n")
    assert stage.numbers() == (0, 0)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ('{"status": "rejected", "reason": "MALFORMED_EVENT"}', "recorded nothing of it: it returned rejected"),
        ('{"status": "refused"}', "it returned refused"),
        ('{"status": "key_taken"}', "it returned key_taken"),
        ('"complete"', "shows no result of it"),
        ('{"status": "comp', "shows no result of it"),
        (None, "shows no result of it"),
    ],
)
def test_a_message_stays_where_its_execution_succeeded_with_anything_else(
    stage: Scene, result: str | None, said: str
) -> None:
    lambda_ = stage.lambda_is(
        ScriptedLambda(Execution(NAME), Execution(f"{NAME}-r1", "SUCCEEDED", result=result)),
    )
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert code == 3
    assert f"left      {NAME}  execution {NAME}-r1 " in told
    assert said in told
    assert lambda_.invoked == {}
    assert stage.numbers() == (1, 0)


def test_where_lambda_has_forgotten_all_the_message_tells_where_it_stood(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    stood = carried(part(1), part(2))
    stage.message({**REQUEST.to_payload(), CONTINUES: stood.to_json()})
    code, told = stage.redrive()
    assert (code, f"started   {NAME}  {NAME}-r1 goes on behind its part 3" in told) == (0, True)
    assert Continuation.from_payload(lambda_.payload(f"{NAME}-r1")) == stood


def test_live_audio_goes_on_with_the_settings_that_the_call_began_with(stage: Scene) -> None:
    payload = {**REQUEST.to_payload(), LIVE: {"LIVE_SINKS": "segments", "LIVE_SEGMENT_SECONDS": "5"}}
    died = Execution(NAME, payload=payload, events=[recorded(1, part(1))])
    lambda_ = stage.lambda_is(ScriptedLambda(died))
    stage.message(payload)
    assert stage.redrive()[0] == 0
    again = lambda_.payload(f"{NAME}-r1")
    assert {name: value for name, value in again.items() if name != CONTINUES} == payload
    assert Continuation.from_payload(again) == Continuation(execution=died.arn).after(part(1))


def test_a_history_wins_over_the_message(stage: Scene) -> None:
    before = carried(part(1))
    payload = {**REQUEST.to_payload(), CONTINUES: before.to_json()}
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(f"{NAME}-r1", payload=payload, events=[recorded(1, part(2))])))
    stage.message(payload)
    assert stage.redrive()[0] == 0
    assert Continuation.from_payload(lambda_.payload(f"{NAME}-r2")) == before.after(part(2))


def test_a_continuation_in_a_message_that_nobody_can_read_is_left(stage: Scene) -> None:
    stage.lambda_is(ScriptedLambda())
    stage.message({**REQUEST.to_payload(), CONTINUES: {"execution": "x"}})
    code, told = stage.redrive()
    assert (code, "continues is not what the redrive command writes" in told) == (3, True)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_executions_are_found_behind_those_that_lambda_has_forgotten(stage: Scene, number: int) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(f"{NAME}-r{number}", events=[recorded(1, part(1))])))
    stage.message(REQUEST.to_payload())
    assert stage.redrive()[0] == 0
    assert list(lambda_.invoked) == [f"{NAME}-r{number + 1}"]
    assert CONTINUES in lambda_.payload(f"{NAME}-r{number + 1}")


def test_a_name_that_was_started_with_another_input_meanwhile_is_said(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    lambda_.refusals["Invoke", f"{NAME}-r1"] = "DurableExecutionAlreadyStartedException"
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    code, told = stage.redrive()
    assert code == 3
    assert f"left      {NAME}  {NAME}-r1 was started already, with another input" in told
    assert list(lambda_.invoked) == [f"{OTHER_NAME}-r1"]


def test_an_execution_that_lambda_lists_by_its_alias_alone_is_found(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME, events=[recorded(1, part(1))])))
    lambda_.lists_by_alias_alone = True
    stage.message(REQUEST.to_payload())
    assert stage.redrive()[0] == 0
    assert CONTINUES in lambda_.payload(f"{NAME}-r1")


def test_nothing_is_started_beside_an_execution_that_runs_whichever_it_is(stage: Scene) -> None:
    running = Execution(NAME, "RUNNING", ended_s=None)
    lambda_ = stage.lambda_is(ScriptedLambda(running, Execution(f"{NAME}-r1")))
    lambda_.claim(running.arn)
    stage.message(REQUEST.to_payload())
    assert stage.redrive() == (0, f"running   {NAME}  execution {NAME} is at it\n")
    assert lambda_.invoked == {}


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (None, "an execution of it runs and does not hold the claim yet"),
        (Execution(f"{NAME}-r7").arn, "another execution holds the claim"),
    ],
)
def test_a_message_stays_while_its_running_execution_does_not_hold_the_claim(
    stage: Scene, holder: str | None, said: str
) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME, "RUNNING", ended_s=None)))
    if holder is not None:
        lambda_.claim(holder)
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert (code, said in told, lambda_.invoked, stage.numbers()) == (3, True, {}, (1, 0))


# The claim


def test_an_execution_that_lambda_does_not_list_is_found_by_its_claim_and_continued(stage: Scene) -> None:
    died = Execution(NAME, events=[recorded(1, part(1)), recorded(2, part(2))])
    lambda_ = stage.lambda_is(ScriptedLambda(died))
    lambda_.lists_nothing = True
    lambda_.claim(died.arn)
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert (code, f"started   {NAME}  {NAME}-r1 goes on behind its part 3" in told) == (0, True)
    expected = Continuation(execution=died.arn).after(part(1)).after(part(2))
    assert Continuation.from_payload(lambda_.payload(f"{NAME}-r1")) == expected
    assert stage.numbers() == (0, 0)


def test_nothing_is_started_over_the_claim_of_an_execution_that_lambda_no_longer_knows(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    lambda_.claim(Execution(NAME).arn)
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    code, told = stage.redrive()
    assert code == 3
    assert f"left      {NAME}  an execution that Lambda no longer knows holds the claim" in told
    assert list(lambda_.invoked) == [f"{OTHER_NAME}-r1"]
    assert stage.numbers() == (1, 0)


@pytest.mark.parametrize("rest", ["export", '{"version": 1}'])
def test_the_claim_of_an_export_bars_no_start(stage: Scene, rest: str) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    lambda_.claim(f"connect-audio-export:{NAME}@laptop\n{rest}")
    stage.message(REQUEST.to_payload())
    code, _ = stage.redrive()
    assert (code, list(lambda_.invoked), stage.numbers()) == (0, [f"{NAME}-r1"], (0, 0))


def test_a_claim_of_a_stack_with_a_bucket_of_staging_is_found_there(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    lambda_.environment["STAGING_BUCKET"] = "staging"
    lambda_.bucket.objects[f"/staging/{REQUEST.recording_key('audio')}.claim"] = Execution(NAME).arn
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert code == 3
    assert f"left      {NAME}  an execution that Lambda no longer knows holds the claim" in told
    assert lambda_.invoked == {}


def test_nothing_is_started_over_the_claim_of_another_recording_s_execution(stage: Scene) -> None:
    stranger = Execution(OTHER_NAME)
    lambda_ = stage.lambda_is(ScriptedLambda(stranger))
    lambda_.claim(stranger.arn)
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert (code, f"execution {OTHER_NAME} of another recording or stack holds the claim" in told) == (3, True)
    assert lambda_.invoked == {}


def test_nothing_is_started_where_another_execution_holds_the_claim_than_the_one_to_continue(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME, events=[recorded(1, part(1))])))
    lambda_.claim(Execution(f"{NAME}-r1").arn)
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert (code, "another execution holds the claim than the one to continue from" in told) == (3, True)
    assert (lambda_.invoked, stage.numbers()) == ({}, (1, 0))


def test_a_message_stays_until_its_successor_holds_the_claim(stage: Scene) -> None:
    lambda_ = ScriptedLambda()
    lambda_.claims = False
    stage.message(REQUEST.to_payload())
    with stage.stopped(lambda_) as redrive, closing(redrive.run()) as run:
        (found,) = run
    assert found.outcome is Outcome.LEFT
    assert found.detail == f"{NAME}-r1 was started and does not hold the claim yet: try again in a minute"
    assert (list(lambda_.invoked), stage.numbers()) == ([f"{NAME}-r1"], (1, 0))
    # By now it does, so the next run lets the message go.
    lambda_.claim(lambda_.known[-1].arn)
    assert stage.redrive() == (0, f"running   {NAME}  execution {NAME}-r1 is at it\n")
    assert stage.numbers() == (0, 0)


def test_a_recording_that_is_in_the_bucket_without_a_claim_is_finished(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    lambda_.bucket.objects[REQUEST.recording_key("audio")] = "RIFF"
    stage.message(REQUEST.to_payload())
    assert stage.redrive() == (0, f"finished  {NAME}  its recording is in the bucket, and nothing claims it\n")
    assert (lambda_.invoked, stage.numbers()) == ({}, (0, 0))


def test_without_a_look_at_the_claims_nothing_is_started(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    lambda_.bucket.refusal = "AccessDenied"
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    code, told = stage.redrive()
    assert (code, "AWS refuses GetObject: AccessDenied" in told) == (2, True)
    assert (lambda_.invoked, stage.numbers()) == ({}, (2, 0))


def test_a_function_that_does_not_show_its_bucket_leaves_every_message(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    lambda_.environment = {}
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert (code, "does not show the consumer's bucket (RECORDINGS_BUCKET)" in told) == (3, True)
    assert lambda_.invoked == {}


# The selection


def test_only_the_given_contacts_are_taken_and_no_other_message_is_hidden(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    stage.message(REQUEST.to_payload(), OTHER.to_payload(), "no input")
    code, told = stage.redrive("--contact-id", OTHER.contact_id)
    assert (code, NAME in told, list(lambda_.invoked)) == (0, False, [f"{OTHER_NAME}-r1"])
    assert stage.numbers() == (2, 0)
    nobody = "30000000-0000-4000-8000-00000000000f"
    assert stage.redrive("--contact-id", nobody) == (0, "the queue has no message of these contacts\n")


def test_no_more_messages_are_taken_than_asked_for(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda())
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    code, _ = stage.redrive("--max", "1")
    assert (code, len(lambda_.invoked), stage.numbers()) == (0, 1, (1, 0))


def test_a_stack_s_outputs_name_queue_and_function(stage: Scene, wire_server: Servers) -> None:
    outputs = {"FailedRecordingsQueueUrl": QUEUE_URL, "ConsumerAliasArn": FUNCTION}
    aws = AwsAnswers({"cloudformation:DescribeStacks": described(outputs=outputs)})
    stage.monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", wire_server(aws).url)
    lambda_ = stage.lambda_is(ScriptedLambda())
    stage.message(REQUEST.to_payload())
    code = cli.main(["redrive", "--stack", "calls", "--region", "eu-west-2"])
    assert (code, list(lambda_.invoked)) == (0, [f"{NAME}-r1"])


def test_a_profile_that_is_not_there_is_said_in_one_line(stage: Scene) -> None:
    assert stage.redrive("--profile", "nobody-s") == (
        2,
        "connect-audio: AWS cannot be asked: The config profile (nobody-s) could not be found\n",
    )


def test_without_a_stack_or_both_addresses_the_command_says_what_to_give(stage: Scene) -> None:
    assert cli.main(["redrive", "--queue-url", QUEUE_URL]) == 2
    assert "give --stack NAME, or --queue-url and --function" in stage.capsys.readouterr().err


def test_an_execution_whose_input_lambda_does_not_show_is_left_since_it_may_have_continued_another(
    stage: Scene,
) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    lambda_.shows_inputs = False
    stage.message(REQUEST.to_payload())
    code, told = stage.redrive()
    assert (code, f"Lambda does not show the input of execution {NAME}\n" in told) == (3, True)


BEGINNING_ONLY = recorded(1, part(1))
BEGINNING_ONLY["StepSucceededDetails"]["Result"] = {"Payload": '{"next": {"type": "Pa', "Truncated": True}
OF_A_NEWER_VERSION = recorded(1, part(1))
OF_A_NEWER_VERSION["StepSucceededDetails"]["Result"]["Payload"] = json.dumps(to_plain(part(1)) | {"newField": 1})
WITHOUT_DATA = {**recorded(1, part(1)), "StepSucceededDetails": {}}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (BEGINNING_ONLY, f"Lambda shows only the beginning of {NAME}'s step record-00001"),
        (OF_A_NEWER_VERSION, "what Lambda keeps of it cannot be read (TypeError)"),
        (WITHOUT_DATA, "what Lambda keeps of it cannot be read (KeyError)"),
    ],
)
def test_a_history_that_cannot_be_read_leaves_its_message_alone(stage: Scene, event: dict[str, Any], said: str) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME, events=[event])))
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    code, told = stage.redrive()
    assert code == 3
    assert f"left      {NAME}  {said}\n" in told
    assert list(lambda_.invoked) == [f"{OTHER_NAME}-r1"]
    assert stage.numbers() == (1, 0)


@pytest.mark.parametrize(
    ("operation", "of", "code"),
    [
        ("List", NAME, "InvalidParameterValueException"),
        ("Get", NAME, "ResourceNotFoundException"),
        ("History", NAME, "KMSNotFoundException"),
        ("Invoke", f"{NAME}-r1", "RequestTooLargeException"),
    ],
)
def test_what_lambda_refuses_of_one_message_leaves_that_one_alone(
    stage: Scene, operation: str, of: str, code: str
) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    lambda_.refusals[operation, of] = code
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    exit_code, told = stage.redrive()
    assert exit_code == 3
    assert re.search(rf"^left      {NAME}  AWS refuses [A-Za-z]+: {code}: so it is$", told, re.MULTILINE)
    assert list(lambda_.invoked) == [f"{OTHER_NAME}-r1"]


@pytest.mark.parametrize(
    ("operation", "of", "code"),
    [
        ("List", NAME, "AccessDeniedException"),
        ("List", NAME, "ExpiredTokenException"),
        ("List", NAME, "ResourceNotFoundException"),
        ("Get", NAME, "AccessDeniedException"),
        ("Invoke", f"{NAME}-r1", "UnrecognizedClientException"),
        ("Invoke", f"{NAME}-r1", "ResourceNotFoundException"),
    ],
)
def test_what_lambda_would_refuse_of_every_message_ends_the_command_and_hides_none(
    stage: Scene, operation: str, of: str, code: str
) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    lambda_.refusals[operation, of] = code
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    exit_code, told = stage.redrive()
    assert exit_code == 2
    assert re.fullmatch(rf"connect-audio: AWS refuses [A-Za-z]+: {code}: so it is\n", told)
    assert stage.numbers() == (2, 0)


def test_of_several_executions_of_one_name_the_newest_counts_wherever_it_is_listed(stage: Scene) -> None:
    old = Execution(NAME, "SUCCEEDED", started_s=1_782_000_000, result='{"status": "complete"}')
    new = Execution(NAME, events=[recorded(1, part(1))])
    lambda_ = stage.lambda_is(ScriptedLambda(new, old))
    stage.message(REQUEST.to_payload())
    assert stage.redrive()[0] == 0
    assert lambda_.payload(f"{NAME}-r1")[CONTINUES]["execution"] == new.arn


def test_a_dry_run_hides_nothing_from_the_run_that_follows(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME)))
    requests = [replace(REQUEST, contact_id=f"c{number}") for number in range(12)]
    stage.message(*(request.to_payload() for request in requests))
    code, told = stage.redrive("--dry-run")
    assert (code, told.count("would start")) == (0, 12)
    assert stage.numbers() == (12, 0)
    code, told = stage.redrive()
    assert (code, told.count("started ")) == (0, 12)
    assert sorted(lambda_.invoked) == sorted(f"{request.execution_name}-r1" for request in requests)


def test_a_run_that_is_given_up_hides_nothing(stage: Scene) -> None:
    stage.message(REQUEST.to_payload(), OTHER.to_payload())
    with stage.stopped(ScriptedLambda()) as redrive:
        redriven = redrive.run()
        assert next(redriven).outcome is Outcome.STARTED
        assert stage.numbers() == (0, 1)
        redriven.close()
    assert stage.numbers() == (1, 0)


def test_messages_that_come_again_hide_no_others_and_are_taken_once(stage: Scene, wire_server: Servers) -> None:
    answers = iter(["a1", "a2", "a3", "b1", "", "x"])
    shown: list[str] = []

    def sqs(exchange: Exchange) -> None:
        asked = exchange.request.json()
        if exchange.request.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage":
            handle = next(answers)
            message = {"MessageId": handle[:1], "ReceiptHandle": handle, "Body": "{}"}
            exchange.respond_json({"Messages": [message]} if handle else {})
        else:
            shown.extend(entry["ReceiptHandle"] for entry in asked["Entries"])
            exchange.respond_json({"Successful": [], "Failed": []})

    stage.monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", wire_server(sqs).url)
    stage.lambda_is(ScriptedLambda())
    code, told = stage.redrive()
    assert (code, [line.split()[1] for line in told.splitlines() if line.startswith("left ")]) == (3, ["a", "b"])
    # The newest handle is the one that counts.
    assert shown == ["a3", "b1"]


def test_a_queue_that_shows_the_same_for_ever_is_left_in_the_end(stage: Scene, wire_server: Servers) -> None:
    def sqs(exchange: Exchange) -> None:
        exchange.respond_json({"Messages": [{"MessageId": "a", "ReceiptHandle": "a", "Body": "{}"}]})

    stage.monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", wire_server(sqs).url)
    stage.lambda_is(ScriptedLambda())
    code, told = stage.redrive()
    assert (code, told.count("left  ")) == (3, 1)


def test_the_new_input_has_no_byte_too_many(stage: Scene) -> None:
    lambda_ = stage.lambda_is(ScriptedLambda(Execution(NAME, events=[recorded(1, part(1))])))
    stage.message(REQUEST.to_payload())
    assert stage.redrive()[0] == 0
    body = lambda_.invoked[f"{NAME}-r1"]
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(("spare", "outcome"), [(0, "started "), (-1, "left ")])
def test_an_input_that_lambda_would_not_take_is_left_with_its_size(stage: Scene, spare: int, outcome: str) -> None:
    # Made once: the length of an ARN depends on how many there have been.
    stood = carried(part(1))

    def payload(key: str) -> dict[str, Any]:
        return {**REQUEST.to_payload(), CONTINUES: replace(stood, notes_keys=(key,)).to_json()}

    empty = len(json.dumps(payload(""), separators=(",", ":")))
    lambda_ = stage.lambda_is(
        ScriptedLambda(Execution(f"{NAME}-r1", payload=payload("k" * (1_048_576 - empty - spare))))
    )
    stage.message(REQUEST.to_payload())
    _, told = stage.redrive()
    assert told.startswith(outcome)
    if spare:
        assert "where it stood takes an input of 1048577 bytes, and Lambda takes 1048576 at most" in told
        assert lambda_.invoked == {}


@pytest.mark.parametrize("status", ["STOPPED", "TIMED_OUT"])
@pytest.mark.parametrize(
    ("ago_s", "said"),
    [
        (0, f"execution {NAME} is STATUS, its last invocation may still run: try again in 30 minutes"),
        (61, f"execution {NAME} is STATUS, its last invocation may still run: try again in 29 minutes"),
        (1799, f"execution {NAME} is STATUS, its last invocation may still run: try again in 1 minute"),
        (1800, None),
    ],
)
def test_an_execution_cut_off_just_now_is_left_until_its_last_invocation_must_have_ended(
    stage: Scene, status: str, ago_s: int, said: str | None
) -> None:
    script = ScriptedLambda(Execution(NAME, status, ended_s=NOW_MS / 1000 - ago_s))
    stage.message(REQUEST.to_payload())
    with stage.stopped(script) as redrive:
        redriven = list(redrive.run())
    if said is None:
        assert [each.outcome for each in redriven] == [Outcome.STARTED]
    else:
        assert redriven == [Redriven(Outcome.LEFT, NAME, said.replace("STATUS", status))]
        assert script.invoked == {}


def test_an_execution_that_failed_just_now_is_started_again_at_once(stage: Scene) -> None:
    stage.message(REQUEST.to_payload())
    with stage.stopped(ScriptedLambda(Execution(NAME, "FAILED", ended_s=NOW_MS / 1000))) as redrive:
        assert [each.outcome for each in redrive.run()] == [Outcome.STARTED]
