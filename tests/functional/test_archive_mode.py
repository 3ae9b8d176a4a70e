"""Recording after the call: Connect event -> trigger -> consumer that waits -> WAV, all real but for AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import boto3
import pytest

from connect_audio.adapters.connect_event import parse_connect_event
from connect_audio.recorder.continuation import Continuation
from connect_audio.request import RecordingOptions, RecordingRequest
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.faults import AtFragment, FaultPlan, InBand, OnCall, Refuse
from connect_audio_local.kvs.model import EmulatedStream, Live
from connect_audio_local.sample_call import sample_stream
from connect_audio_local.synthesis.calls import SyntheticCall
from support.wav import same_wav, wav_of_call
from support.whole_path import (
    Recorded,
    a_call,
    cloud_of,
    cloud_that_waits,
    event_for,
    is_whole,
    record,
    recorded,
    serve,
)

EVENTS: Final = Path(__file__).parents[2] / "events"


@pytest.fixture
def cloud(moto_server: str) -> Iterator[LocalCloud]:
    with cloud_of(moto_server, RECORDING_MODE="archive") as running:
        yield running


def ended_call(seconds: int, *, ago_s: int = 600, **options: int) -> SyntheticCall:
    """A call that ended a while ago. The looks go by the wall clock."""
    return a_call(seconds, start_ms=int(time.time() * 1000) - (ago_s + seconds) * 1000, **options)


def event_of(call: SyntheticCall, stream: EmulatedStream) -> dict[str, Any]:
    assert call.start_ms is not None
    return event_for(stream.arn, start_ms=call.start_ms)


def of_archive(found: Recorded, call: SyntheticCall) -> bool:
    """The recording is whole, exact, and made by the listing."""
    assert found.wav is not None
    assert found.manifest is not None
    assert is_whole(found)
    assert same_wav(found.wav, wav_of_call(call))
    assert found.manifest["endReason"] == "ARCHIVE_END"
    return True


def test_a_call_is_recorded_after_its_end_with_the_key_and_the_statuses_of_a_live_one(cloud: LocalCloud) -> None:
    call = ended_call(20)
    stream = serve(cloud, call)
    found = record(cloud, event_of(call, stream))
    assert of_archive(found, call)
    (execution,) = cloud.executions.values()
    assert execution.steps == ("claim", "pause-look-00001", "look-00001", "record-00001", "finish", "announce")
    assert cloud.front.executions[execution.name]["mode"] == "archive"
    assert cloud.emulator.max_open_connections(stream.name) == 1


def test_of_a_re_used_stream_only_the_call_is_recorded(cloud: LocalCloud) -> None:
    ours = ended_call(12, seed=2)
    theirs = a_call(40, contact=9, seed=3, pause_ms=4000)
    found = record(cloud, event_of(ours, serve(cloud, ours, theirs)))
    assert of_archive(found, ours)
    assert found.manifest is not None
    assert found.manifest["fragments"]["otherContact"] == 0


@pytest.mark.parametrize(
    ("hours", "codes"), [(1, ["RETENTION_TOO_SHORT"]), (0, ["NO_RETENTION", "RETENTION_TOO_SHORT"])]
)
def test_a_stream_that_keeps_too_little_is_recorded_live_and_the_manifest_warns(
    cloud: LocalCloud, hours: int, codes: list[str]
) -> None:
    call = ended_call(10, ago_s=5)
    found = record(cloud, event_of(call, serve(cloud, call, retention_hours=hours)))
    assert is_whole(found)
    assert found.manifest is not None
    assert found.manifest["endReason"] == "DISCONNECTED"
    assert [each["code"] for each in found.manifest["warnings"]] == codes


def test_a_listing_that_is_denied_leaves_the_call_to_the_live_rules(cloud: LocalCloud) -> None:
    call = ended_call(10)
    denied = FaultPlan((OnCall(1, Refuse("NotAuthorizedException"), api="ListFragments", times=None),))
    found = record(cloud, event_of(call, serve(cloud, call, faults=denied)))
    assert is_whole(found)
    assert found.wav is not None
    assert found.manifest is not None
    assert same_wav(found.wav, wav_of_call(call))
    assert found.manifest["endReason"] == "DISCONNECTED"


def test_a_place_that_get_media_cannot_give_is_read_from_the_archive(cloud: LocalCloud) -> None:
    call = ended_call(20)
    stream = serve(cloud, call, faults=FaultPlan((AtFragment(9, InBand(4000), times=None),)))
    assert of_archive(record(cloud, event_of(call, stream)), call)
    assert stream.faults.calls("GetMediaForFragmentList") == 1


def test_a_denied_get_media_leaves_the_call_to_the_archive(cloud: LocalCloud) -> None:
    call = ended_call(20)
    stream = serve(cloud, call)
    stream.denied_apis = frozenset({"GetMedia"})
    assert of_archive(record(cloud, event_of(call, stream)), call)


def test_a_call_that_is_recorded_live_after_all_is_read_by_get_media_alone(cloud: LocalCloud) -> None:
    call = ended_call(10, ago_s=5)
    faults = FaultPlan((AtFragment(5, InBand(4000), times=None),))
    stream = serve(cloud, call, retention_hours=1, faults=faults)
    found = record(cloud, event_of(call, stream))
    assert found.result["status"] == "partial"
    assert stream.faults.calls("GetMediaForFragmentList") == 0


def test_an_execution_that_continues_a_failed_one_waits_for_the_end_again(cloud: LocalCloud) -> None:
    call = ended_call(10)
    stream = serve(cloud, call)
    request = parse_connect_event(event_of(call, stream))
    failed = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:1/durable-execution/failed/1"
    payload = {**request.to_payload(), "mode": "archive", "continues": Continuation(execution=failed).to_json()}
    assert cloud.consume(f"{request.execution_name}-r1", payload).status == "SUCCEEDED"
    found = recorded(cloud, f"{request.execution_name}-r1")
    assert of_archive(found, call)


def test_calls_are_recorded_live_unless_the_stack_says_otherwise(moto_server: str) -> None:
    call = ended_call(10)
    with cloud_of(moto_server) as cloud:
        found = record(cloud, event_of(call, serve(cloud, call)))
        (payload,) = cloud.front.executions.values()
    assert is_whole(found)
    # Nothing beside the request itself.
    assert payload == RecordingRequest.from_payload(payload).to_payload()
    assert RecordingOptions.from_payload(payload).mode == "live"


# --- contact events ---------------------------------------------------------------------------------------------------


def ended_event(cloud: LocalCloud, call: SyntheticCall) -> dict[str, Any]:
    """Connect's contact event at the end of a call that a stream of the cloud has served."""
    return cloud.emulator.contact_event(call.contact_id)


@pytest.fixture
def told(moto_server: str) -> Iterator[LocalCloud]:
    """A cloud with contact events, in which Connect itself must not be asked; waits take their time."""
    settings = {"RECORDING_MODE": "archive", "CONTACT_EVENTS": "on"}
    with cloud_that_waits(moto_server, settings) as running:
        yield running


def waits_for_event(cloud: LocalCloud, name: str) -> bool:
    """Wait until the execution waits for the contact's end: its entry is there."""
    deadline = time.monotonic() + 30
    with closing(cloud.s3()) as s3:
        while time.monotonic() < deadline:
            found = s3.list_objects_v2(Bucket=cloud.bucket, Prefix="recordings/contacts/")
            if any(each["Key"].endswith(f"waiting/{name}.json") for each in found.get("Contents", [])):
                return True
            time.sleep(0.02)
    return False


def without_notes(found: Recorded) -> Recorded:
    """What a recording left, but for the announced end, which the bucket's lifecycle deletes."""
    return replace(found, objects=[each for each in found.objects if not each.endswith("/ended.json")])


def test_the_contact_s_end_wakes_the_execution_which_asks_connect_nothing(told: LocalCloud) -> None:
    call = ended_call(12, ago_s=60)
    stream = serve(told, call)
    answer = told.trigger(event_of(call, stream))
    assert waits_for_event(told, answer["executionName"])
    assert told.contact_event(ended_event(told, call)) == {"ignored": False, "woken": 1}
    found = recorded(told, answer["executionName"])
    assert of_archive(without_notes(found), call)
    assert told.executions[answer["executionName"]].steps == (
        "claim",
        "await-00001",
        "enter-00001",
        "settle-00001",
        "look-00001",
        "record-00001",
        "finish",
        "announce",
    )
    assert stream.faults.calls("DescribeContact") == 0


def test_an_end_that_was_announced_before_the_claim_is_found(told: LocalCloud) -> None:
    call = ended_call(12, ago_s=60)
    stream = serve(told, call)
    assert told.contact_event(ended_event(told, call)) == {"ignored": False, "woken": 0}
    found = record(told, event_of(call, stream))
    assert of_archive(without_notes(found), call)
    assert stream.faults.calls("DescribeContact") == 0


def test_the_sample_of_a_contact_s_end_is_of_the_sample_call_and_ends_it(moto_server: str) -> None:
    ended, begun = (
        json.loads((EVENTS / name).read_text("utf-8")) for name in ("contact_ended.json", "connect_voice.json")
    )
    with cloud_of(moto_server, RECORDING_MODE="archive", CONTACT_EVENTS="on") as cloud:
        stream = cloud.emulator.add_stream(sample_stream())
        assert cloud.emulator.contact_event(ended["detail"]["contactId"]) == ended
        assert cloud.contact_event(ended) == {"ignored": False, "woken": 0}
        found = without_notes(record(cloud, begun))
    assert is_whole(found)
    assert found.manifest is not None
    assert found.manifest["endReason"] == "ARCHIVE_END"
    assert stream.faults.calls("DescribeContact") == 0


def test_an_event_that_comes_twice_wakes_nobody_the_second_time(told: LocalCloud) -> None:
    call = ended_call(12, ago_s=60)
    answer = told.trigger(event_of(call, serve(told, call)))
    assert waits_for_event(told, answer["executionName"])
    event = ended_event(told, call)
    assert told.contact_event(event)["woken"] == 1
    assert told.contact_event(event)["woken"] == 0
    assert of_archive(without_notes(recorded(told, answer["executionName"])), call)


def test_a_cloud_that_announces_ends_does_so_for_each_call_that_it_starts_to_record(moto_server: str) -> None:
    call = ended_call(12, ago_s=60)
    settings = {"RECORDING_MODE": "archive", "CONTACT_EVENTS": "on"}
    with cloud_that_waits(moto_server, settings, announces_ends=True) as cloud:
        stream = serve(cloud, call)
        found = record(cloud, event_of(call, stream))
    assert of_archive(without_notes(found), call)
    assert stream.faults.calls("DescribeContact") == 0


def test_no_end_is_announced_of_a_contact_that_no_stream_has_seen(moto_server: str) -> None:
    with cloud_that_waits(moto_server, {}, announces_ends=True) as cloud:
        with closing(boto3.client("lambda", endpoint_url=cloud.front.url)) as client:
            client.invoke(
                FunctionName="consumer:live",
                InvocationType="Event",
                DurableExecutionName="nobody",
                Payload=json.dumps({"contactId": "nobody"}),
            )
        # It refuses the input. The cloud's end waits for the announcing thread, whose error would fail the test.
        assert cloud.wait("nobody", 30).result["reason"] == "MALFORMED_EVENT"


def test_an_event_that_is_lost_leaves_the_question_to_connect(moto_server: str) -> None:
    call = ended_call(12)
    settings = {"RECORDING_MODE": "archive", "CONTACT_EVENTS": "on", "ARCHIVE_LOOK_SECONDS": "1"}
    with cloud_that_waits(moto_server, settings) as cloud:
        stream = serve(cloud, call)
        found = record(cloud, event_of(call, stream))
        (execution,) = cloud.executions.values()
    assert of_archive(found, call)
    assert execution.steps[:5] == ("claim", "await-00001", "enter-00001", "look-00001", "record-00001")
    assert stream.faults.calls("DescribeContact") == 1


def test_a_call_that_outlasts_the_looks_is_read_piece_by_piece_and_recorded_whole(moto_server: str) -> None:
    """Connect's answer is denied, so each look reads to the head; the next caller's audio shows the end."""
    ours = a_call(6, start_ms=int(time.time() * 1000))
    theirs = a_call(40, contact=9, seed=3, pause_ms=3000)
    denied = FaultPlan((OnCall(1, Refuse("AccessDeniedException"), api="DescribeContact", times=None),))
    settings = {"RECORDING_MODE": "archive", "ARCHIVE_LOOK_SECONDS": "1"}
    with cloud_that_waits(moto_server, settings) as cloud:
        stream = serve(cloud, ours, theirs, pace=Live(), faults=denied)
        found = record(cloud, event_of(ours, stream))
        (execution,) = cloud.executions.values()
    assert is_whole(found)
    assert found.wav is not None
    assert same_wav(found.wav, wav_of_call(ours))
    assert found.manifest is not None
    assert found.manifest["endReason"] == "OTHER_CONTACT"
    assert found.manifest["handOvers"] >= 3
    assert len([each for each in execution.steps if each.startswith("look-")]) >= 4


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"detail": {"eventType": "CONNECTED_TO_AGENT", "contactId": "00000000-0000-4000-8000-000000000001"}},
        {"detail": {"eventType": "DISCONNECTED", "contactId": "../x", "disconnectTimestamp": "2026-01-01T00:00:00Z"}},
        {"detail": {"eventType": "DISCONNECTED", "contactId": "00000000-0000-4000-8000-000000000001"}},
    ],
)
def test_an_event_that_ends_no_contact_is_ignored(told: LocalCloud, event: object) -> None:
    assert told.contact_event(event) == {"ignored": True, "woken": 0}
    with closing(told.s3()) as s3:
        assert s3.list_objects_v2(Bucket=told.bucket).get("KeyCount") == 0


def test_a_live_call_s_end_is_learnt_by_the_event_and_connect_is_not_asked(moto_server: str) -> None:
    call = ended_call(12, ago_s=60)
    with cloud_of(moto_server, CONTACT_EVENTS="on") as cloud:
        stream = serve(cloud, call)
        cloud.contact_event(ended_event(cloud, call))
        found = record(cloud, event_of(call, stream))
        assert stream.faults.calls("DescribeContact") == 0
    assert is_whole(without_notes(found))
    assert found.wav is not None
    assert same_wav(found.wav, wav_of_call(call))
    assert found.manifest is not None
    assert found.manifest["endReason"] == "DISCONNECTED"
