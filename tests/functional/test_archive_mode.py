"""Recording after the call: Connect event -> trigger -> consumer that waits -> WAV, all real but for AWS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from connect_audio.request import RecordingOptions
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.model import EmulatedStream
from connect_audio_local.synthesis.calls import SyntheticCall
from support.wav import same_wav, wav_of_call
from support.whole_path import Recorded, a_call, cloud_of, event_for, is_whole, record, serve


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


def test_calls_are_recorded_live_unless_the_stack_says_otherwise(moto_server: str) -> None:
    call = ended_call(10)
    with cloud_of(moto_server) as cloud:
        found = record(cloud, event_of(call, serve(cloud, call)))
        (payload,) = cloud.front.executions.values()
    assert is_whole(found)
    assert set(payload) == {"contactId", "instanceArn", "streamArn", "startTimestamp", "startFragmentNumber"}
    assert RecordingOptions.from_payload(payload).mode == "live"
