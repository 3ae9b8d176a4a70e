"""The roles of the template grant what the functions do, and nothing else: every request is noted at the socket.

What needs which permission is in `ACTIONS` and `KMS_ACTIONS`; what AWS does in a function's name, where no socket of
ours sees it, is in `BY_AWS`, each with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import boto3
import pytest

from connect_audio.handlers import execution_ended
from connect_audio.request import RecordingMode, RecordingOptions
from connect_audio_local.cloud import LocalContext
from connect_audio_local.kvs import Live
from connect_audio_local.kvs.faults import AtFragment, FaultPlan, Garbage
from connect_audio_local.lambda_.kill_points import Kill, Moment
from connect_audio_local.lambda_.server import LambdaFront
from connect_audio_local.process_cloud import ProcessCloud, process_cloud
from connect_audio_local.s3.faults import S3Fault, S3FaultPlan, S3FaultProxy, S3Operation, S3Trouble
from connect_audio_local.webhook.model import WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver
from connect_audio_local.whisper.server import speech_server
from infrastructure.evaluation import evaluated
from infrastructure.loading import load
from support.engine_chaos import LIVE_MARGIN_S, Run, Schedule, run, scene
from support.event_listener import Listener
from support.heard_segments import judged
from support.spoken_words import spoken
from support.transcribe_sessions import heard_session, transcribe_recognizer, transcribe_service
from support.trigger_process import trigger_output
from support.wav import same_wav
from support.whole_path import cloud_of
from support.wire_record import WireRecord
from support.wire_server import WireServer

ROOT: Final = Path(__file__).parents[2]
KEY: Final = "arn:aws:kms:eu-west-2:111122223333:key/00000000-0000-4000-8000-0000000000ee"
SECRET: Final = b"a secret of a good length, for tests"
SECRET_ARN: Final = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:webhook-AbCdEf"
PARAMETER_ARN: Final = "arn:aws:ssm:eu-west-2:111122223333:parameter/calls/webhook"

# Service Authorization Reference: "Actions, resources, and condition keys for" AWS Lambda, Amazon Kinesis Video
# Streams, Amazon Connect, Amazon EventBridge, AWS Secrets Manager, AWS Systems Manager. S3 has its own in s3/faults.py.
ACTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("connect", "DescribeContact"): "connect:DescribeContact",
    ("events", "PutEvents"): "events:PutEvents",
    ("kinesisvideo", "DescribeStream"): "kinesisvideo:DescribeStream",
    ("kinesisvideo", "GetDataEndpoint"): "kinesisvideo:GetDataEndpoint",
    ("kinesisvideo", "GetMedia"): "kinesisvideo:GetMedia",
    ("kinesisvideo", "GetMediaForFragmentList"): "kinesisvideo:GetMediaForFragmentList",
    ("kinesisvideo", "ListFragments"): "kinesisvideo:ListFragments",
    ("lambda", "CheckpointDurableExecution"): "lambda:CheckpointDurableExecution",
    ("lambda", "GetDurableExecution"): "lambda:GetDurableExecution",
    ("lambda", "GetDurableExecutionState"): "lambda:GetDurableExecutionState",
    ("lambda", "Invoke"): "lambda:InvokeFunction",
    ("lambda", "SendDurableExecutionCallbackSuccess"): "lambda:SendDurableExecutionCallbackSuccess",
    ("secretsmanager", "GetSecretValue"): "secretsmanager:GetSecretValue",
    ("ssm", "GetParameter"): "ssm:GetParameter",
}
# S3 user guide, "Using server-side encryption with AWS KMS keys", Permissions: a write needs a data key, reading needs
# it decrypted, and so does each part but the first request of a multipart upload.
KMS_ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "CompleteMultipartUpload": frozenset({"kms:Decrypt"}),
    "CreateMultipartUpload": frozenset({"kms:GenerateDataKey"}),
    "GetObject": frozenset({"kms:Decrypt"}),
    "PutObject": frozenset({"kms:GenerateDataKey"}),
    "UploadPart": frozenset({"kms:Decrypt", "kms:GenerateDataKey"}),
}
# Done by AWS under the function's role, with the statement that grants it.
BY_AWS: Final[Mapping[str, str]] = {
    "WriteItsLog logs:CreateLogStream": "Lambda writes the function's output to its log group",
    "WriteItsLog logs:PutLogEvents": "the same",
    "SendTraces xray:PutTelemetryRecords": "the X-Ray daemon beside the function sends what the SDK gives it by UDP",
    "SendTraces xray:PutTraceSegments": "the same",
    "LeaveWhatFailed sqs:SendMessage": "Lambda leaves the event of a failed execution in the DeadLetterConfig's queue",
    "DecryptTheWebhooksSecret kms:Decrypt": "Secrets Manager, or Parameter Store, decrypts it in the caller's name",
    "DecryptTheSpeechServersKey kms:Decrypt": "as with the webhook's secret",
    "DecryptTheStreams kms:Decrypt": "Kinesis Video Streams decrypts what GetMedia reads, in the caller's name",
}


@dataclass
class Witness:
    """What was seen of the consumer.

    Args:
        actions: IAM actions that its requests need.
        s3: its requests to S3.
        runs: what came of the scenarios.
        received: for each of those with live audio, how many segments the webhook got, and how many ends.
    """

    actions: set[str] = field(default_factory=set)
    s3: list[S3Operation] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    received: dict[str, tuple[int, int]] = field(default_factory=dict)


def scenarios() -> Iterator[tuple[str, Schedule, dict[str, str]]]:
    yield "a normal end", Schedule(0, "short", ()), {}
    yield "hand-overs and parts", Schedule(0, "long", (), invocation_s=20), {}
    kills = (
        Kill("s3:PutObject wav.claim", 1, Moment.AFTER),
        Kill("s3:CreateMultipartUpload", 1, Moment.AFTER),
        Kill("s3:CompleteMultipartUpload", 1, Moment.AFTER),
        Kill("s3:DeleteObjects", 1, Moment.BEFORE),
    )
    yield "kills", Schedule(0, "long", kills), {}
    taken = S3FaultPlan((S3Fault("CompleteMultipartUpload", 1, S3Trouble.PRECONDITION_FAILED),))
    yield "an aborted upload", Schedule(0, "long", (), s3_faults=taken), {}
    yield "a refused claim", Schedule(0, "short", (), rivals=2), {}
    yield "after the call", Schedule(0, "short", (), options=RecordingOptions(mode=RecordingMode.ARCHIVE)), {}
    # The processes die between the replacement of the WAV and that of its manifest, and before the clean-up.
    spoilt = FaultPlan((AtFragment(10, Garbage(size=64, after=500), times=2),))
    deaths = (Kill("s3:PutObject wav", 2, Moment.AFTER), Kill("s3:PutObject json", 2, Moment.AFTER))
    yield "a repair", Schedule(0, "short", deaths, faults=spoilt, options=RecordingOptions(repair=True)), {}
    yield "a key of one's own", Schedule(0, "long", ()), {"RECORDINGS_KMS_KEY_ARN": KEY}


def scenarios_with_live_audio(
    receiver: WebhookReceiver, secrets: Mapping[str, str]
) -> Iterator[tuple[str, Schedule, dict[str, str]]]:
    """Segments and webhook together: a crash, so that the index is read, and each store of the webhook's secret.

    Args:
        receiver: the webhook's.
        secrets: ARNs, by the name of the store.
    """
    for store, arn in secrets.items():
        live = {
            "LIVE_SINKS": "segments,webhook",
            "LIVE_BUFFER_SECONDS": "300",
            "WEBHOOK_URL": receiver.url,
            "WEBHOOK_SECRET": arn,
            "WEBHOOK_PRIVATE_ADDRESSES": "allowed",
        }
        kill = Kill("s3:PutObject segments/000012.wav", 1, Moment.BEFORE)
        settings = {"SSL_CERT_FILE": str(receiver.ca_file), "RECORDINGS_KMS_KEY_ARN": KEY}
        yield (
            f"live audio, its secret in {store}",
            Schedule(0, "short", (kill,), live=live, margin_s=LIVE_MARGIN_S),
            settings,
        )


def scenario_with_words(url: str, key_arn: str) -> tuple[str, Schedule, dict[str, str]]:
    """Words by a speech server, over a crash.

    Args:
        url: address of the speech server.
        key_arn: its key; the store is read by the webhook's code, so one is enough.
    """
    live = {
        "LIVE_SINKS": "whisper",
        "LIVE_BUFFER_SECONDS": "300",
        "WORDS_LANGUAGE": "en-US",
        "WHISPER_URL": url,
        "WHISPER_MODEL": "small.en",
        "WHISPER_SECRET": key_arn,
        "WHISPER_PRIVATE_ADDRESSES": "allowed",
    }
    kill = Kill("s3:PutObject json", 2, Moment.AFTER)
    schedule = Schedule(0, "spoken", (kill,), pace=Live(speed=10), live=live, margin_s=LIVE_MARGIN_S)
    return "words", schedule, {"RECORDINGS_KMS_KEY_ARN": KEY}


def _secrets(cloud: ProcessCloud) -> dict[str, str]:
    """The secret in both stores: ARNs."""
    region = cloud.s3.meta.region_name
    with closing(boto3.client("secretsmanager", endpoint_url=cloud.s3_url, region_name=region)) as secrets_manager:
        secret: str = secrets_manager.create_secret(Name="webhook", SecretString=SECRET.decode())["ARN"]
    with closing(boto3.client("ssm", endpoint_url=cloud.s3_url, region_name=region)) as parameter_store:
        parameter_store.put_parameter(Name="/calls/webhook", Value=SECRET.decode(), Type="SecureString")
        parameter: str = parameter_store.get_parameter(Name="/calls/webhook")["Parameter"]["ARN"]
    return {"Secrets Manager": secret, "Parameter Store": parameter}


@pytest.fixture(scope="module")
def witness() -> Witness:
    seen = Witness()
    # Of a long history Lambda hands over a part, and the function asks for the rest: here of a short one, too.
    with process_cloud(page_bytes=4000) as cloud, closing(Listener(cloud.s3_url)) as listener, ExitStack() as stack:
        records = _records(cloud, stack)
        receiver = stack.enter_context(webhook_receiver(SECRET))
        server = stack.enter_context(speech_server(key=SECRET.decode()))
        secrets = _secrets(cloud)
        with_live_audio = scenarios_with_live_audio(receiver, secrets)
        with_words = scenario_with_words(server.url, secrets["Parameter Store"])
        for number, (name, schedule, settings) in enumerate(chain(scenarios(), with_live_audio, [with_words]), 1):
            before = dict(cloud.host.environment)
            cloud.host.environment.update({"EVENT_BUS_NAME": listener.bus, **settings})
            found = seen.runs[name] = run(cloud, schedule, number)
            cloud.host.environment.clear()
            cloud.host.environment.update(before)
            seen.s3 += found.s3_operations
            for each in found.s3_operations:
                seen.actions |= each.iam_actions
                if "RECORDINGS_KMS_KEY_ARN" in settings:
                    seen.actions |= KMS_ACTIONS.get(each.name, frozenset())
            # Media and the archive have endpoints of their own, past the records; the emulator sees them.
            crossed = {crossing.name for crossing in cloud.gate.crossings}
            for operation in ("GetMedia", "GetMediaForFragmentList", "ListFragments"):
                if f"kvs:{operation[0].lower()}{operation[1:]}" in crossed:
                    seen.actions.add(ACTIONS["kinesisvideo", operation])
            if name.startswith("live audio"):
                contact_id = found.request.contact_id
                ours = [each for each in receiver.received if each.value("Contact-Id") == contact_id]
                ends = [each for each in ours if each.headers["content-type"] == "application/json"]
                seen.received[name] = len(ours) - len(ends), len(ends)
        assert not receiver.refused
        for record in records:
            # Whatever is not in the table is a KeyError.
            seen.actions |= {ACTIONS[operation] for operation in record.operations}
        assert {event["detail-type"] for event in listener.events()} == {
            "Recording Completed",
            "Recording Failed",
            "Recording Partial",
            "Recording Repaired",
        }
        key = seen.runs["a key of one's own"].request.recording_key("recordings")
        assert cloud.s3.head_object(Bucket="recordings", Key=key)["SSEKMSKeyId"] == KEY
    return seen


def _records(cloud: ProcessCloud, stack: ExitStack) -> list[WireRecord]:
    """Stand before everything but S3, which its own front watches, and media."""
    made = []
    for service in ("LAMBDA", "EVENTBRIDGE", "KINESIS_VIDEO", "CONNECT", "SECRETS_MANAGER", "SSM"):
        name = f"AWS_ENDPOINT_URL_{service}"
        # The stores of secrets are moto's, too, and nobody else asks for them.
        record = stack.enter_context(WireRecord(cloud.host.environment.get(name, cloud.s3_url)))
        cloud.host.environment[name] = record.url
        made.append(record)
    return made


def granted(role: str, **parameters: str) -> dict[str, str]:
    """What a role of the template grants: actions by their statement and their own name."""
    template = load(ROOT / "template.yaml")
    given = {"StreamNamePrefix": "calls-", **parameters}
    resources = evaluated(template, given)["Resources"]
    inline = [each["PolicyDocument"] for each in resources[role]["Properties"].get("Policies", [])]
    attached = [
        each["Properties"]["PolicyDocument"]
        for each in resources.values()
        if each["Type"] == "AWS::IAM::RolePolicy" and each["Properties"]["RoleName"] == f"<{role}>"
    ]
    assert "ManagedPolicyArns" not in resources[role]["Properties"]
    found = {}
    for statement in (statement for document in inline + attached for statement in document["Statement"]):
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            found[f"{statement['Sid']} {action}"] = action
    return found


def by_our_calls(grants: Mapping[str, str]) -> set[str]:
    return {action for name, action in grants.items() if name not in BY_AWS}


def test_the_scenarios_came_to_what_they_are_named_after(witness: Witness) -> None:
    statuses = {
        name: sorted(each.result["status"] for each in found.executions) for name, found in witness.runs.items()
    }
    assert statuses == {
        "a normal end": ["complete"],
        "hand-overs and parts": ["complete"],
        "kills": ["complete"],
        "an aborted upload": ["key_taken"],
        "a refused claim": ["complete", "refused"],
        "after the call": ["complete"],
        "a repair": ["complete"],
        "a key of one's own": ["complete"],
        "live audio, its secret in Secrets Manager": ["complete"],
        "live audio, its secret in Parameter Store": ["complete"],
        "words": ["complete"],
    }
    assert len(witness.runs["kills"].killed) == 4
    repaired = witness.runs["a repair"]
    assert repaired.manifest is not None
    assert repaired.wav is not None
    assert (len(repaired.killed), repaired.manifest["audit"]["result"]) == (2, "REPAIRED")
    assert same_wav(repaired.wav, scene("short").wav)
    assert (repaired.open_uploads, len(repaired.keys)) == ([], 2)
    assert any(each.name == "PutObject" and each.replaces for each in witness.s3)
    manifest = witness.runs["hand-overs and parts"].manifest
    assert manifest is not None
    assert manifest["handOvers"] >= 1
    wav = witness.runs["a key of one's own"].wav
    assert wav is not None
    assert same_wav(wav, scene("long").wav)


def test_the_scenarios_with_live_audio_gave_all_of_it_to_both_sinks(witness: Witness) -> None:
    assert witness.received.keys() == {name for name in witness.runs if name.startswith("live audio")}
    for name, (segments, ends) in witness.received.items():
        found = witness.runs[name]
        assert found.wav is not None
        assert found.manifest is not None
        heard = judged(found.segments, found.wav, found.manifest)
        assert (len(heard.segments), heard.missing, heard.dropped_s) == (24, (), 0)
        assert (segments, ends) == (24, 1)
        assert len(found.killed) == 1


def test_the_scenario_with_words_left_them_and_read_their_pages_after_a_kill(witness: Witness) -> None:
    found = witness.runs["words"]
    assert found.manifest is not None
    assert (found.manifest["words"]["engine"], found.manifest["words"]["turns"] > 0) == ("whisper", True)
    assert len(found.killed) == 1


def test_transcribe_needs_one_right_more_and_that_alone() -> None:
    # The stand-in refuses every operation but StartStreamTranscription.
    with transcribe_service() as service, heard_session(transcribe_recognizer(service)) as heard:
        heard.feed(spoken("seven three"))
        heard.finish()
        assert [stream.outcome for stream in service.model.streams] == ["whole"]
    more = granted("ConsumerRole", TranscribeEnabled="true").keys() - granted("ConsumerRole").keys()
    assert more == {"TranscribeTheCall transcribe:StartStreamTranscription"}


@pytest.mark.parametrize("secret", [SECRET_ARN, PARAMETER_ARN])
def test_the_consumer_may_do_what_it_does_and_nothing_else(witness: Witness, secret: str) -> None:
    grants = granted(
        "ConsumerRole",
        RecordingsKmsKeyArn=KEY,
        StreamKmsKeyArn=KEY,
        WebhookSecretArn=secret,
        WebhookSecretKmsKeyArn=KEY,
        WhisperSecretArn=secret,
        WhisperSecretKmsKeyArn=KEY,
    )
    assert by_our_calls(grants) == witness.actions


def test_without_keys_a_bus_traces_and_a_webhook_it_may_do_less(witness: Witness) -> None:
    grants = granted("ConsumerRole", EventBusName="", Tracing="Disabled")
    less = {each for each in witness.actions if not each.startswith(("kms:", "events:", "secretsmanager:", "ssm:"))}
    assert by_our_calls(grants) == less
    assert {action for name, action in grants.items() if name in BY_AWS} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
    }


def test_the_consumer_s_objects_lie_below_the_prefix_and_in_the_bucket_that_the_role_names(witness: Witness) -> None:
    assert {each.bucket for each in witness.s3} == {"recordings"}
    assert {each.key.split("/")[0] for each in witness.s3 if each.key} == {"recordings"}


def test_the_trigger_may_start_the_consumer_and_nothing_else() -> None:
    event: Any = json.loads((ROOT / "events" / "connect_voice.json").read_text("utf-8"))
    with LambdaFront(lambda _name, _payload: None) as front, WireRecord(front.url) as record:
        trigger_output(record.url, [event, {}, event])
        assert len(front.invocations) == 2
        needed = {ACTIONS[operation] for operation in record.operations}
    assert by_our_calls(granted("TriggerRole")) == needed == {"lambda:InvokeFunction"}


def test_what_aws_does_in_the_functions_names_is_granted_and_listed_with_its_reason() -> None:
    keys = dict.fromkeys(
        ("RecordingsKmsKeyArn", "StreamKmsKeyArn", "WebhookSecretKmsKeyArn", "WhisperSecretKmsKeyArn"), KEY
    )
    secrets = dict.fromkeys(("WebhookSecretArn", "WhisperSecretArn"), SECRET_ARN)
    everything = granted("ConsumerRole", **secrets, **keys) | granted("TriggerRole")
    assert set(BY_AWS) <= set(everything)


def test_the_function_for_contact_events_may_do_what_it_does_and_nothing_else(
    moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: Any = json.loads((ROOT / "events" / "contact_ended.json").read_text("utf-8"))
    with (
        cloud_of(moto_server) as cloud,
        S3FaultProxy(moto_server) as s3,
        LambdaFront(lambda _name, _payload: None, on_callback=lambda _id, _result: True) as front,
        WireRecord(front.url) as record,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", record.url)
        with closing(cloud.s3()) as client:
            entry = json.dumps({"callbackId": "YQ=="}).encode()
            key = f"recordings/contacts/{ended['detail']['contactId']}/waiting/an-execution.json"
            client.put_object(Bucket=cloud.bucket, Key=key, Body=entry)
        assert cloud.contact_event(ended) == {"ignored": False, "woken": 1}
        needed = {ACTIONS[operation] for operation in record.operations} | s3.iam_actions
    assert by_our_calls(granted("ContactEndedRole", ContactEvents="on")) == needed


def test_the_function_for_ended_executions_may_do_what_it_does_and_nothing_else(
    moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: Any = json.loads((ROOT / "events" / "execution_ended.json").read_text("utf-8"))
    payload = (ROOT / "events" / "consumer_payload.json").read_text("utf-8")
    with (
        cloud_of(moto_server) as cloud,
        closing(Listener(moto_server)) as listener,
        S3FaultProxy(moto_server) as s3,
        closing(WireServer(lambda http: http.respond_json({"InputPayload": payload}))) as lambda_,
        WireRecord(lambda_.url) as record,
        WireRecord(moto_server) as events,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", record.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", events.url)
        monkeypatch.setenv("RECORDINGS_BUCKET", cloud.bucket)
        monkeypatch.setenv("EVENT_BUS_NAME", listener.bus)
        execution_ended._settings.cache_clear()
        assert execution_ended.handler(ended, LocalContext(function_name="execution-ended")) == {"result": "lost"}
        needed = {ACTIONS[operation] for operation in record.operations | events.operations} | s3.iam_actions
    execution_ended._settings.cache_clear()
    assert by_our_calls(granted("ExecutionEndedRole")) == needed
