"""The real handler against a real HTTP server that speaks Lambda's Invoke."""

from __future__ import annotations

import gc
import io
import json
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from connect_audio.adapters import consumer_start
from connect_audio.core.errors import SettingsError
from connect_audio.handlers import trigger
from connect_audio.settings import LiveSettings, TriggerSettings, variables
from connect_audio_local.lambda_.server import LambdaFront, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_lambda import LambdaClient

EVENTS = Path(__file__).parents[2] / "events"
CONTACT = "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
NAME = f"{CONTACT}_1764000000123_28c26d9b"
STARTED = {
    "status": "STARTED",
    "recordingUri": f"s3://calls.example/audio/2025/11/24/{CONTACT}_20251124T160000.123Z.wav",
    "executionName": NAME,
}


@dataclass
class Context:
    function_name: str = "trigger"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:111122223333:function:trigger"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"


def sample(name: str) -> Any:
    return json.loads((EVENTS / name).read_text("utf-8"))


def answer(event: Any) -> dict[str, str]:
    result: dict[str, str] = trigger.handler(event, Context())
    return result


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaFront]:
    made: list[LambdaClient] = []

    def client(answer_timeout_ms: int) -> LambdaClient:
        made.append(consumer_start.lambda_client(answer_timeout_ms))
        return made[0]

    with LambdaFront(lambda _name, _payload: None, functions={"consumer": {"live"}, "trial": {"live"}}) as running:
        for name, value in {
            "AWS_ENDPOINT_URL_LAMBDA": running.url,
            "AWS_DEFAULT_REGION": "eu-west-2",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "RECORDINGS_BUCKET": "calls.example",
            "RECORDINGS_PREFIX": "audio",
            "CONSUMER_FUNCTION": "arn:aws:lambda:eu-west-2:111122223333:function:consumer:live",
        }.items():
            monkeypatch.setenv(name, value)
        for variable in variables(LiveSettings):
            monkeypatch.delenv(variable.name, raising=False)
        # The handler's own, but remembered, so that its connections can be closed.
        monkeypatch.setattr(trigger, "lambda_client", client)
        forget()
        yield running
        for each in made:
            each.close()
    forget()
    made.clear()
    # A socket left open is a ResourceWarning here, at the test that left it, and not at some later one.
    gc.collect()


def forget() -> None:
    """Undo what a warm function remembers."""
    trigger._settings.cache_clear()
    trigger._consumer.cache_clear()
    trigger._live.cache_clear()


def test_a_voice_contact_starts_one_named_execution_of_the_consumer(front: LambdaFront) -> None:
    assert answer(sample("connect_voice.json")) == STARTED
    (invocation,) = front.invocations
    assert (invocation.function, invocation.qualifier) == ("consumer", "live")
    assert (invocation.invocation_type, invocation.execution_name) == ("Event", NAME)
    assert json.loads(invocation.payload) == sample("consumer_payload.json")


def test_a_duplicate_of_the_event_is_answered_alike_and_starts_nothing_more(front: LambdaFront) -> None:
    answers = [
        answer(sample(name)) for name in ("connect_voice.json", "connect_voice.json", "connect_voice_stopped.json")
    ]
    assert answers == [STARTED] * 3
    assert list(front.executions) == [NAME]
    assert len({invocation.payload for invocation in front.invocations}) == 1


def test_a_warm_trigger_uses_its_connection_again(front: LambdaFront) -> None:
    for name in ("connect_voice.json", "connect_voice_stopped.json"):
        assert answer(sample(name)) == STARTED
    assert (len(front.invocations), front.connections) == (2, 1)


def test_the_tutorials_event_is_recorded_once_completed(front: LambdaFront) -> None:
    assert answer(sample("tutorial_short_form.json")) == {
        "status": "REJECTED",
        "reason": "MALFORMED_EVENT",
        "detail": "ContactId is missing, write it beside MediaStreams",
    }
    assert answer(sample("tutorial_short_form_completed.json")) == STARTED
    assert list(front.executions) == [NAME]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("connect_streaming_never_started.json", "MEDIA_STREAMING_NOT_STARTED"),
        ("connect_streaming_null_fields.json", "MEDIA_STREAMING_NOT_STARTED"),
        ("connect_chat.json", "NOT_VOICE"),
        ("tutorial_short_form.json", "MALFORMED_EVENT"),
    ],
)
def test_an_event_that_cannot_be_recorded_is_rejected_with_its_reason_and_nothing_started(
    front: LambdaFront, name: str, reason: str
) -> None:
    result = answer(sample(name))
    assert (result["status"], result["reason"]) == ("REJECTED", reason)
    assert front.invocations == []


@pytest.mark.parametrize("name", sorted(path.name for path in EVENTS.glob("*.json") if "consumer" not in path.name))
def test_every_answer_is_a_flat_map_of_strings_that_connect_can_take(front: LambdaFront, name: str) -> None:
    result = answer(sample(name))
    assert all(isinstance(value, str) and value for value in result.values())
    assert len(json.dumps(result)) < 32 * 1024
    assert set(result) in ({"status", "recordingUri", "executionName"}, {"status", "reason", "detail"})
    assert len(front.executions) == (result["status"] == "STARTED")


def test_the_same_start_with_another_payload_is_a_taken_name(front: LambdaFront) -> None:
    event = sample("connect_voice.json")
    assert answer(event) == STARTED
    event["Details"]["ContactData"]["MediaStreams"]["Customer"]["Audio"]["StartFragmentNumber"] = "1"
    assert answer(event) == {
        "status": "REJECTED",
        "reason": "NAME_TAKEN",
        "detail": f"execution {NAME} exists and records the same start from another event, in another mode, or with "
        "other settings of live audio",
    }
    assert front.executions == {NAME: sample("consumer_payload.json")}


def test_a_second_stack_on_the_same_flow_starts_a_recording_of_its_own(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = sample("connect_voice.json")
    assert answer(event) == STARTED
    monkeypatch.setenv("CONSUMER_FUNCTION", "arn:aws:lambda:eu-west-2:111122223333:function:trial:live")
    monkeypatch.setenv("RECORDINGS_BUCKET", "trial.example")
    forget()
    second = answer(event)
    assert second["status"] == "STARTED"
    assert list(front.executions) == [NAME, second["executionName"]]
    assert second["executionName"] != NAME


@pytest.mark.parametrize(
    ("refusal", "tries"),
    [
        (Refusal(403, "AccessDeniedException", "not authorized to perform: lambda:InvokeFunction"), 1),
        (Refusal(404, "ResourceNotFoundException", "Function not found"), 1),
        (Refusal(429, "TooManyRequestsException", "Rate Exceeded."), 2),
        (Refusal(500, "ServiceException", "internal error"), 2),
    ],
)
def test_a_refusal_of_lambda_is_an_answer_and_only_what_may_pass_is_tried_again(
    front: LambdaFront, refusal: Refusal, tries: int
) -> None:
    front.refuse_next(refusal, times=2)
    assert answer(sample("connect_voice.json")) == {
        "status": "REJECTED",
        "reason": "CONSUMER_NOT_STARTED",
        "detail": f"Lambda refused to start the consumer: {refusal.code}",
    }
    assert len(front.invocations) == tries
    assert front.executions == {}


def test_a_passing_throttle_is_tried_again(front: LambdaFront) -> None:
    front.refuse_next(Refusal(429, "TooManyRequestsException", "Rate Exceeded."))
    assert answer(sample("connect_voice.json")) == STARTED


def test_a_lost_answer_is_asked_for_again_and_finds_the_execution_running(front: LambdaFront) -> None:
    front.lose_next_answers()
    assert answer(sample("connect_voice.json")) == STARTED
    assert list(front.executions) == [NAME]
    assert len(front.invocations) == 2


def test_when_every_answer_is_lost_the_flow_is_told_that_the_consumer_may_run(front: LambdaFront) -> None:
    front.lose_next_answers(2)
    result = answer(sample("connect_voice.json"))
    assert (result["status"], result["reason"]) == ("REJECTED", "CONSUMER_NOT_STARTED")
    assert result["detail"].endswith("the consumer may have been started")


def test_an_unreachable_lambda_is_an_answer(front: LambdaFront, monkeypatch: pytest.MonkeyPatch) -> None:
    front.close()
    # Port 9, discard: nobody listens on loopback.
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
    assert answer(sample("connect_voice.json")) == {
        "status": "REJECTED",
        "reason": "CONSUMER_NOT_STARTED",
        "detail": "Lambda could not be asked: EndpointConnectionError",
    }


@pytest.mark.usefixtures("front")
def test_a_silent_lambda_is_given_up_well_within_connect_s_8_seconds() -> None:
    default_ms = TriggerSettings(recordings_bucket="b", recordings_prefix="p", consumer_function="c").start_timeout_ms
    with closing(consumer_start.lambda_client(default_ms)) as client:
        config: Any = client.meta.config
    tries = config.retries["total_max_attempts"]
    longest_pause = 1  # standard mode: rand(0, 1) x 2^0 s before the second try
    assert tries * (config.connect_timeout + config.read_timeout) + (tries - 1) * longest_pause <= 6


def test_a_wrong_environment_is_refused_at_the_first_event_with_the_setting_s_name(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECORDINGS_BUCKET")
    with pytest.raises(SettingsError, match=r"^RECORDINGS_BUCKET is not set"):
        answer(sample("connect_voice.json"))
    assert front.invocations == []


def test_log_lines_carry_ids_and_reasons_and_nothing_personal(
    front: LambdaFront, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The logger keeps the stream it found when it was made.
    log = io.StringIO()
    monkeypatch.setattr(trigger.logger.registered_handler, "stream", log)
    for name in ("connect_voice.json", "connect_streaming_never_started.json", "connect_chat.json"):
        answer(sample(name))
    front.refuse_next(Refusal(403, "AccessDeniedException", "+15550100000"))
    answer(sample("connect_voice.json"))
    output = log.getvalue() + capsys.readouterr().out
    assert CONTACT in output
    assert "MEDIA_STREAMING_NOT_STARTED" in output
    for personal in ("+1555", "made up", "TELEPHONE"):
        assert personal not in output


def test_each_outcome_is_counted(front: LambdaFront, capsys: pytest.CaptureFixture[str]) -> None:
    answer(sample("connect_voice.json"))
    answer(sample("connect_chat.json"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    counted = [line for line in lines if "_aws" in line]
    assert [line.get("RecordingsStarted") for line in counted] == [[1.0], None]
    assert [line.get("RecordingsRejected") for line in counted] == [None, [1.0]]
    assert counted[1]["reason"] == "NOT_VOICE"
    assert front.invocations


# Live audio: what the trigger hands over of its settings.


LIVE: dict[str, str] = sample("consumer_payload_live.json")["live"]


def test_with_sinks_the_consumer_is_handed_the_variables_of_live_audio_that_are_set(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**LIVE, "WEBHOOK_URL": "", "LIVE_OF_ANOTHER_PROGRAM": "1"}.items():
        monkeypatch.setenv(name, value)
    assert answer(sample("connect_voice.json")) == STARTED
    (invocation,) = front.invocations
    assert json.loads(invocation.payload) == sample("consumer_payload_live.json")
    # Whether Lambda compares bytes or JSON is not documented.
    in_order = json.dumps(sample("consumer_payload_live.json"), sort_keys=True, separators=(",", ":"))
    assert invocation.payload.decode() == in_order


def test_without_sinks_nothing_of_live_audio_is_handed_over_whatever_else_is_set(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the template leaves it: the bounds have their defaults, the rest is empty.
    for name, value in {"LIVE_SINKS": "", "LIVE_SEGMENT_SECONDS": "1", "WEBHOOK_URL": "https://a.example"}.items():
        monkeypatch.setenv(name, value)
    assert answer(sample("connect_voice.json")) == STARTED
    (invocation,) = front.invocations
    assert json.loads(invocation.payload) == sample("consumer_payload.json")


@pytest.mark.parametrize(("sinks", "mode"), [("", "archive"), ("segments", None)])
def test_the_mode_is_handed_over_and_sinks_of_live_audio_have_the_call_recorded_live(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch, sinks: str, mode: str | None
) -> None:
    for name, value in {"RECORDING_MODE": "archive", "CONTACT_EVENTS": "on", "LIVE_SINKS": sinks}.items():
        monkeypatch.setenv(name, value)
    forget()
    assert answer(sample("connect_voice.json")) == STARTED
    payload = front.executions[NAME]
    assert (payload.get("mode"), payload["contactEvents"]) == (mode, True)


def test_a_duplicate_with_the_same_settings_of_live_audio_starts_nothing_more(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LIVE.items():
        monkeypatch.setenv(name, value)
    assert [answer(sample("connect_voice.json")) for _ in range(2)] == [STARTED] * 2
    assert list(front.executions) == [NAME]
    assert len({invocation.payload for invocation in front.invocations}) == 1


def test_a_duplicate_with_other_settings_of_live_audio_is_a_taken_name_and_the_first_goes_on(
    front: LambdaFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer(sample("connect_voice.json")) == STARTED
    # A deployment in between: another environment, so another process.
    monkeypatch.setenv("LIVE_SINKS", "segments")
    forget()
    answered = answer(sample("connect_voice.json"))
    assert (answered["status"], answered["reason"]) == ("REJECTED", "NAME_TAKEN")
    assert front.executions == {NAME: sample("consumer_payload.json")}


@pytest.mark.parametrize(
    ("variables_of", "message"),
    [
        (
            {"LIVE_SINKS": "segments", "LIVE_SEGMENT_SECONDS": "0"},
            "LIVE_SEGMENT_SECONDS is '0'; it must be a whole number of seconds, 1 to 60. 1 suits most.",
        ),
        (
            {"LIVE_SINKS": "webhook", "WEBHOOK_URL": "http://a.example/?token=5e3dfa10"},
            (
                "WEBHOOK_URL is a text of 32 characters that is not shown here; it must be an address that begins with "
                "https://, without spaces and #. Only HTTPS is supported."
            ),
        ),
        (
            {"LIVE_SINKS": "webhook", "WEBHOOK_URL": "https://a.example"},
            "WEBHOOK_SECRET is not set, and LIVE_SINKS names webhook, which needs it. Set it.",
        ),
    ],
)
def test_bad_settings_of_live_audio_are_told_and_the_call_is_recorded_without_it(
    front: LambdaFront,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables_of: dict[str, str],
    message: str,
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(trigger.logger.registered_handler, "stream", log)
    for name, value in variables_of.items():
        monkeypatch.setenv(name, value)
    # Each event says it again: what is wrong is remembered no longer than an invocation.
    assert [answer(sample("connect_voice.json")) for _ in range(2)] == [STARTED] * 2
    assert front.executions == {NAME: sample("consumer_payload.json")}
    errors = [line for line in map(json.loads, log.getvalue().splitlines()) if line["level"] == "ERROR"]
    assert [(line["message"], line["detail"], line["execution_name"]) for line in errors] == [
        ("live settings refused: the call is recorded without live audio", message, NAME)
    ] * 2
    counted = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert [(line.get("SettingsRefused"), line.get("RecordingsStarted"), line.get("reason")) for line in counted] == [
        ([1.0], None, "LIVE_SETTINGS"),
        (None, [1.0], None),
    ] * 2


# The front end itself, where the trigger would never go.


@pytest.fixture
def client(front: LambdaFront) -> Iterator[LambdaClient]:
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    made = boto3.client("lambda", endpoint_url=front.url, config=config)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"FunctionName": "consumer"}, "InvalidParameterValueException"),
        ({"FunctionName": "other:live"}, "ResourceNotFoundException"),
        ({"FunctionName": "consumer:old"}, "ResourceNotFoundException"),
        ({"InvocationType": "RequestResponse"}, "InvalidParameterValueException"),
        ({"DurableExecutionName": "a.b"}, "InvalidParameterValueException"),
        ({"DurableExecutionName": "x" * 65}, "InvalidParameterValueException"),
        ({"Payload": b"{"}, "InvalidRequestContentException"),
        ({"Payload": b'"' + b"x" * 1024 * 1024 + b'"'}, "RequestTooLargeException"),
    ],
)
def test_the_front_end_refuses_what_lambda_refuses(client: LambdaClient, parameters: Any, code: str) -> None:
    lawful: Any = {
        "FunctionName": "consumer:live",
        "InvocationType": "Event",
        "DurableExecutionName": "a",
        "Payload": b"1",
    }
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.invoke(**{**lawful, **parameters})
    assert caught.value.response["Error"]["Code"] == code


def test_the_front_end_takes_the_alias_in_either_place(client: LambdaClient, front: LambdaFront) -> None:
    for place in ({"FunctionName": "consumer:live"}, {"FunctionName": "consumer", "Qualifier": "live"}):
        client.invoke(**place, InvocationType="Event", DurableExecutionName="a", Payload=b"{}")  # type: ignore[arg-type]
    assert {(each.function, each.qualifier) for each in front.invocations} == {("consumer", "live")}


def test_the_front_end_starts_one_execution_for_many_at_once(client: LambdaClient, front: LambdaFront) -> None:
    arns: list[str] = []

    def start() -> None:
        done = client.invoke(
            FunctionName="consumer:live", InvocationType="Event", DurableExecutionName="a", Payload=b"{}"
        )
        arns.append(done["DurableExecutionArn"])

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(arns) == 8
    assert len(set(arns)) == 1
    assert list(front.executions) == ["a"]
