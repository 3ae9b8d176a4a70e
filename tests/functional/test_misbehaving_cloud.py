"""The local cloud with everything misbehaving at once: faulty stream, faulty S3, quotas enforced, the real consumer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import StepConfig
from aws_durable_execution_sdk_python.serdes import JsonSerDes

from connect_audio.handlers import consumer
from connect_audio_local.cloud import LocalCloud, local_cloud
from connect_audio_local.kvs import EmulatedStream, FaultPlan, random_faults, stored
from connect_audio_local.kvs.fault_run import OTHER_CONTACT_PCM
from connect_audio_local.kvs.faults import (
    LAST,
    AtFragment,
    Cut,
    Drop,
    InBand,
    InLog,
    OnCall,
    OtherContacts,
    Refuse,
    Reset,
    Rewind,
    Twice,
)
from connect_audio_local.s3.faults import S3Fault, S3FaultPlan, S3FaultProxy, S3Trouble, random_s3_faults
from connect_audio_local.synthesis.calls import synthesize_call
from support.wav import same_wav, wav_of_call
from support.whole_path import QUICK, a_call, event_for, is_whole, recorded

# What `template.yaml` lets the consumer do; the infrastructure tests hold it against the template.
CONSUMER_ACTIONS = {
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:PutObject",
    "s3:PutObjectTagging",
}


# With no drain at all, the first cut body of a call that is over is its end.
PATIENT = {**QUICK, "DRAIN_SECONDS": "2"}


@contextmanager
def misbehaving(moto_server: str, plan: S3FaultPlan) -> Iterator[tuple[LocalCloud, S3FaultProxy]]:
    bucket = f"recordings-{uuid.uuid4().hex[:12]}"
    with (
        local_cloud(PATIENT, s3_url=moto_server, bucket=bucket) as cloud,
        S3FaultProxy(moto_server, plan) as front,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL_S3", front.url)
        yield cloud, front


def is_recorded_whole(moto_server: str, faults: FaultPlan, s3_faults: S3FaultPlan) -> None:
    assert faults.recoverable
    assert s3_faults.recoverable
    call = a_call(20)
    with misbehaving(moto_server, s3_faults) as (cloud, front):
        fragments = stored(synthesize_call(call))
        stream = cloud.emulator.add_stream(EmulatedStream("a-pooled-stream", fragments, faults=faults))
        found = recorded(cloud, cloud.trigger(event_for(stream.arn))["executionName"])
        assert found.wav is not None
        assert is_whole(found)
        assert same_wav(found.wav, wav_of_call(call))
        assert OTHER_CONTACT_PCM * 4 not in found.wav
        assert front.open_uploads == {}
        assert cloud.emulator.max_open_connections("a-pooled-stream") == 1
        assert front.iam_actions <= CONSUMER_ACTIONS
        (execution,) = cloud.executions.values()
        assert execution.usage is not None
        assert execution.usage.operations < 10
        # Digests of the last 5 s of each party take most of it (ADR 22).
        assert execution.usage.largest_result_bytes < 24_576


def test_a_recording_is_whole_after_a_little_of_everything(moto_server: str) -> None:
    faults = FaultPlan(
        (
            InLog(0, OtherContacts(2)),
            InLog(9, Rewind(3)),
            InLog(LAST, OtherContacts(2)),
            OnCall(1, Refuse("ClientLimitExceededException")),
            OnCall(2, Drop()),
            OnCall(3, Cut(150_000)),
            OnCall(4, Refuse("ExpiredTokenException")),
            AtFragment(7, Reset(40)),
            AtFragment(8, Twice()),
            AtFragment(11, InBand(5000, 9000)),
            AtFragment(14, InBand(4503)),
        )
    )
    s3_faults = S3FaultPlan(
        (
            S3Fault("PutObject", 1, S3Trouble.LOST_ANSWER),
            S3Fault("PutObject", 3, S3Trouble.SLOW_DOWN, times=2),
            S3Fault("PutObject", 6, S3Trouble.RESET),
            S3Fault("DeleteObjects", 1, S3Trouble.INTERNAL_ERROR),
        )
    )
    is_recorded_whole(moto_server, faults, s3_faults)


def test_an_error_that_kvs_repeats_at_one_fragment_costs_that_fragment_and_is_told(moto_server: str) -> None:
    call = a_call(20)
    faults = FaultPlan((AtFragment(8, InBand(5000), times=None),))
    with misbehaving(moto_server, S3FaultPlan()) as (cloud, _):
        fragments = stored(synthesize_call(call))
        stream = cloud.emulator.add_stream(EmulatedStream("a-pooled-stream", fragments, faults=faults))
        found = recorded(cloud, cloud.trigger(event_for(stream.arn))["executionName"])
    assert found.wav is not None
    assert found.manifest is not None
    expected = wav_of_call(call)
    start, end = 44 + 8 * 32_768, 44 + 9 * 32_768
    assert len(found.wav) == len(expected)
    assert same_wav(found.wav[:start], expected[:start])
    assert same_wav(found.wav[end:], expected[end:])
    assert found.manifest["status"] == "partial"
    assert [reason["code"] for reason in found.manifest["reasons"]] == ["IN_BAND_ERROR", "STREAM_HOLES"]


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_recording_is_whole_after_any_schedule_that_owes_one(moto_server: str, seed: int) -> None:
    is_recorded_whole(moto_server, random_faults(seed, fragments=20, longest_stall_s=0.5), random_s3_faults(seed))


def test_an_execution_that_breaks_a_quota_has_failed(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @durable_execution
    def wasteful(_event: Any, context: DurableContext) -> None:
        context.step(lambda _: "a" * (256 * 1024), name="large", config=StepConfig(serdes=JsonSerDes()))

    monkeypatch.setattr(consumer, "handler", wasteful)
    with misbehaving(moto_server, S3FaultPlan()) as (cloud, _):
        execution = cloud.consume("wasteful", {})
    assert execution.status == "FAILED"
    assert execution.error is not None
    assert "a result of 262146 bytes in step 'large'" in execution.error
