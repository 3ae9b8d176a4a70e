"""Connect event -> trigger -> start -> durable engine -> consumer -> GetMedia over HTTP -> S3, all real but for AWS."""

from __future__ import annotations

import copy
import gc
import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connect_audio.handlers import consumer, trigger
from connect_audio.request import RecordingRequest
from connect_audio_cli.replay.replay import replay
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.model import EmulatedStream, Live
from support.wav import same_wav, wav_of_call
from support.whole_path import (
    Recorded,
    a_call,
    cloud_of,
    contact_id,
    decode,
    event_for,
    is_whole,
    record,
    recorded,
    serve,
)

CAPTURE = Path(__file__).parents[3] / "shared" / "captures" / "connect-call-61s.mkv"
EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture
def cloud(moto_server: str) -> Iterator[LocalCloud]:
    with cloud_of(moto_server) as running:
        yield running


# --- whole calls -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CAPTURE.exists(), reason="the shared captures are not here")
def test_a_real_conversation_gives_the_wav_of_an_independent_decode_and_of_replay(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    stream = cloud.emulator.serve_capture(CAPTURE)
    start_ms = stream.retained(0)[0].producer_ms
    found = record(cloud, event_for(stream.arn, start_ms=start_ms))
    assert found.wav is not None
    assert is_whole(found)
    independent = decode(CAPTURE.read_bytes())
    assert same_wav(found.wav, independent)
    replayed = replay([CAPTURE.read_bytes()], tmp_path, name="capture")
    assert same_wav(found.wav, replayed.wav.read_bytes())
    assert found.manifest is not None
    assert found.manifest["recording"]["dataCrc32"] == replayed.manifest["recording"]["dataCrc32"]
    assert cloud.emulator.max_open_connections(stream.name) == 1


def test_a_two_sided_call_is_recorded_sample_exact_with_the_customer_left_and_the_agent_right(
    cloud: LocalCloud,
) -> None:
    call = a_call(20)
    found = record(cloud, event_for(serve(cloud, call).arn))
    assert found.wav is not None
    assert is_whole(found)
    assert same_wav(found.wav, wav_of_call(call))
    assert isinstance(call.customer, bytes)
    assert found.wav[44::4][:1000] == call.customer[0::2][:1000]


def test_the_contacts_before_and_after_in_the_same_stream_are_nowhere_in_the_recording(cloud: LocalCloud) -> None:
    ours = a_call(12, seed=2, pause_ms=800)
    stream = serve(cloud, a_call(8, contact=8, seed=1), ours, a_call(40, contact=9, seed=3, pause_ms=800))
    start_ms = next(each.producer_ms for each in stream.retained(0) if each.contact_id == ours.contact_id)
    found = record(cloud, event_for(stream.arn, start_ms=start_ms))
    assert found.wav is not None
    assert is_whole(found)
    assert same_wav(found.wav, wav_of_call(ours))
    assert found.manifest is not None
    assert found.manifest["fragments"]["otherContact"] > 5


def test_a_live_call_longer_than_an_invocation_is_recorded_whole_as_if_in_one_go(moto_server: str) -> None:
    call = a_call(60)
    with cloud_of(moto_server, invocation_s=5.8) as cloud:
        stream = serve(cloud, call, pace=Live(speed=20))
        answer = cloud.trigger(event_for(stream.arn))
        found = recorded(cloud, answer["executionName"])
        steps = cloud.executions[answer["executionName"]].steps
    assert found.wav is not None
    assert is_whole(found)
    assert same_wav(found.wav, wav_of_call(call))
    assert found.manifest is not None
    assert found.manifest["handOvers"] >= 2
    assert [step for step in steps if step.startswith("pause-")]


def test_a_call_of_several_parts_is_recorded_whole_on_a_stream_that_keeps_nothing(moto_server: str) -> None:
    # Three parts in as many invocations as it takes; what was read once is not there again 5 minutes later.
    # Of now, since of another day nothing would be there at all.
    start_ms = int(time.time() * 1000)
    call = a_call(400, start_ms=start_ms)
    with cloud_of(moto_server, invocation_s=5.6) as cloud:
        stream = serve(cloud, call, pace=Live(speed=40), retention_hours=0)
        found = record(cloud, event_for(stream.arn, start_ms=start_ms))
    assert found.wav is not None
    assert is_whole(found)
    assert same_wav(found.wav, wav_of_call(call))
    assert found.manifest is not None
    assert found.manifest["handOvers"] >= 2
    assert [warning["code"] for warning in found.manifest["warnings"]] == ["NO_RETENTION"]


# --- duplicates ------------------------------------------------------------------------------------------------------


def test_a_duplicate_trigger_makes_one_recording(cloud: LocalCloud) -> None:
    call = a_call(10)
    event = event_for(serve(cloud, call).arn)
    answers = [cloud.trigger(event) for _ in range(3)]
    assert answers == [answers[0]] * 3
    found = recorded(cloud, answers[0]["executionName"])
    assert found.wav is not None
    assert is_whole(found)
    assert list(cloud.executions) == [answers[0]["executionName"]]


def test_a_second_execution_of_the_same_streaming_is_refused_and_changes_nothing(cloud: LocalCloud) -> None:
    call = a_call(10)
    stream = serve(cloud, call)
    first = record(cloud, event_for(stream.arn))
    payload = json.loads(cloud.front.invocations[0].payload)
    again = cloud.consume("another-name", payload)
    assert again.status == "SUCCEEDED"
    assert (again.result["status"], again.result["reasons"]) == ("refused", ["ALREADY_RECORDED"])
    assert recorded(cloud, next(iter(cloud.executions))) == first


# --- bad input -------------------------------------------------------------------------------------------------------


def bad_events() -> Iterator[tuple[str, Any, str]]:
    good = json.loads((EVENTS / "connect_voice.json").read_text("utf-8"))

    def changed(path: str, value: Any) -> Any:
        event = copy.deepcopy(good)
        at = event
        *parents, last = path.split(".")
        for name in parents:
            at = at[name]
        at[last] = value
        return event

    data = "Details.ContactData"
    audio = f"{data}.MediaStreams.Customer.Audio"
    yield "no object", [], "MALFORMED_EVENT"
    yield "empty", {}, "MALFORMED_EVENT"
    yield "MediaStreams missing", changed(f"{data}.MediaStreams", None), "MEDIA_STREAMING_NOT_STARTED"
    yield "Audio null", changed(audio, None), "MEDIA_STREAMING_NOT_STARTED"
    yield "MediaStreams of the wrong type", changed(f"{data}.MediaStreams", 7), "MALFORMED_EVENT"
    yield "ARN of the wrong type", changed(f"{audio}.StreamARN", 7), "MALFORMED_EVENT"
    yield "no timestamp", changed(f"{audio}.StartTimestamp", "yesterday"), "MALFORMED_EVENT"
    yield "chat", changed(f"{data}.Channel", "CHAT"), "NOT_VOICE"
    yield "unknown channel", changed(f"{data}.Channel", "TELEPATHY"), "NOT_VOICE"
    yield "path trick", changed(f"{data}.ContactId", "../../other/key"), "MALFORMED_EVENT"
    yield "oversize contact id", changed(f"{data}.ContactId", "a" * 100_000), "MALFORMED_EVENT"


@pytest.mark.parametrize(("event", "reason"), [pytest.param(each[1], each[2], id=each[0]) for each in bad_events()])
def test_an_event_that_cannot_be_recorded_starts_nothing(cloud: LocalCloud, event: Any, reason: str) -> None:
    answer = cloud.trigger(event)
    assert (answer["status"], answer["reason"]) == ("REJECTED", reason)
    assert len(answer["detail"]) < 500
    assert cloud.executions == {}
    assert cloud.front.invocations == []


@pytest.mark.parametrize("payload", [None, [], {}, {"contactId": "../x"}, {"contactId": 7, "startTimestamp": True}])
def test_a_payload_that_is_none_of_ours_is_an_outcome_and_touches_nothing(cloud: LocalCloud, payload: Any) -> None:
    execution = cloud.consume("bad", payload)
    assert execution.status == "SUCCEEDED"
    assert (execution.result["status"], execution.result["reason"]) == ("rejected", "MALFORMED_EVENT")
    assert [step for step in execution.steps if step] == []


def test_what_the_consumer_cannot_continue_fails_so_that_its_input_is_kept(cloud: LocalCloud) -> None:
    payload = json.loads((EVENTS / "consumer_payload.json").read_text("utf-8"))
    execution = cloud.consume("bad", {**payload, "continues": {"execution": "x", "of another release": True}})
    assert execution.status == "FAILED"
    assert "continues is not what the redrive command writes" in str(execution.error)
    assert [step for step in execution.steps if step] == []


def test_a_missing_bucket_fails_the_execution_with_the_setting_s_name(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECORDINGS_BUCKET")
    execution = cloud.consume("unset", {})
    assert execution.status == "FAILED"
    assert execution.error is not None
    assert execution.error.startswith("RECORDINGS_BUCKET is not set")


# --- streams that give nothing ---------------------------------------------------------------------------------------


def is_empty(found: Recorded) -> dict[str, Any]:
    assert found.wav is None
    assert found.manifest is not None
    assert found.manifest["status"] == found.result["status"] == "empty"
    assert found.manifest["recording"] is None
    assert [key.rsplit(".", 1)[1] for key in found.objects] == ["json"]
    return found.manifest


# The idle limit and Connect's word on a stream that has nothing: about 10 s each, so all at once.
def test_streams_that_give_nothing_leave_a_manifest_that_says_so_and_no_wav(cloud: LocalCloud) -> None:
    empty = cloud.emulator.add_stream(EmulatedStream("empty", []))
    denied = cloud.emulator.add_stream(EmulatedStream("denied", [], denied_apis=frozenset({"GetMedia"})))
    strangers = serve(cloud, a_call(5, contact=7))
    missing = empty.arn.replace("/empty/", "/missing/")
    arns = {1: empty.arn, 2: denied.arn, 3: missing, 4: strangers.arn}
    names = {number: cloud.trigger(event_for(arn, contact=number))["executionName"] for number, arn in arns.items()}
    manifests = {number: is_empty(recorded(cloud, name)) for number, name in names.items()}
    reasons = {number: [reason["code"] for reason in manifest["reasons"]] for number, manifest in manifests.items()}
    assert reasons == {
        1: ["NO_AUDIO"],
        2: ["SOURCE_FAILED", "NO_AUDIO"],
        3: ["SOURCE_FAILED", "NO_AUDIO"],
        4: ["NO_AUDIO"],
    }
    assert "NotAuthorizedException" in manifests[2]["reasons"][0]["detail"]
    assert "ResourceNotFoundException" in manifests[3]["reasons"][0]["detail"]
    assert manifests[1]["endReason"] == "IDLE"
    assert manifests[2]["endReason"] == manifests[3]["endReason"] == "SOURCE_FAILED"


# --- what must not be seen -------------------------------------------------------------------------------------------


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """Every log record of the process, as its own formatter would write it and as it is."""
    lines = io.StringIO()

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.write(f"{record.getMessage()} {sorted(record.__dict__.items(), key=str)}\n")

    handler = Everything()
    ours = [logging.getLogger(), *(logging.getLogger(each.logger.name) for each in (consumer, trigger))]
    for each in ours:
        each.addHandler(handler)
    yield lines
    for each in ours:
        each.removeHandler(handler)


def test_no_personal_data_is_logged_nor_stored(
    cloud: LocalCloud, log_lines: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = ("+447700900123", "+448000000000", "Ada Lovelace", "GB29NWBK60161331926819")
    event = event_for(serve(cloud, a_call(5)).arn)
    data = event["Details"]["ContactData"]
    data["CustomerEndpoint"] = {"Address": secrets[0], "Type": "TELEPHONE_NUMBER"}
    data["SystemEndpoint"] = {"Address": secrets[1], "Type": "TELEPHONE_NUMBER"}
    data["Attributes"] = {"name": secrets[2]}
    data["Name"] = secrets[2]
    event["Details"]["Parameters"] = {"account": secrets[3]}
    found = record(cloud, event)
    out, err = capfd.readouterr()
    logged = log_lines.getvalue() + out + err
    assert "recording finished" in logged
    assert contact_id(1) in logged
    everything = logged + json.dumps([found.result, found.manifest, found.objects])
    everything += "".join(invocation.payload.decode() for invocation in cloud.front.invocations)
    assert [secret for secret in secrets if secret in everything] == []


def test_after_a_recording_no_thread_no_connection_and_no_socket_is_left(moto_server: str) -> None:
    before = set(threading.enumerate())
    with cloud_of(moto_server) as cloud:
        stream = serve(cloud, a_call(5))
        assert is_whole(record(cloud, event_for(stream.arn)))
        assert cloud.emulator.open_connections(stream.name) == 0
        assert cloud.emulator.max_open_connections(stream.name) == 1
    assert set(threading.enumerate()) <= before
    gc.collect()  # an open socket would be a ResourceWarning here, which fails the test


def test_the_payload_that_the_trigger_sends_is_what_the_consumer_reads(cloud: LocalCloud) -> None:
    record(cloud, event_for(serve(cloud, a_call(2)).arn))
    payload = json.loads(cloud.front.invocations[0].payload)
    request = RecordingRequest.from_payload(payload)
    assert request.to_payload() == payload
    assert replace(request).execution_name == cloud.front.invocations[0].execution_name
