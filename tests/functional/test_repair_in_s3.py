"""`connect-audio repair` on recordings of a bucket, with the conditional writes that S3 has and moto lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from connect_audio_local.kvs import UNLIMITED, EmulatedStream, FaultPlan, KvsEmulator, stored
from connect_audio_local.kvs.faults import InLog, Missing
from connect_audio_local.s3.faults import S3FaultProxy
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_START_MS
from support.calls import call, fragments
from support.command import Finished, run_here
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY: Final = f"audio/2026/07/01/{DEFAULT_CONTACT_ID}_20260701T133054.536Z"
OURS: Final = call(8)


@pytest.fixture
def front(
    moto_server: str, bucket: str, s3_client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3FaultProxy]:
    """A recording with a hole in the bucket, and its stream, which has the fragments again."""
    with S3FaultProxy(moto_server) as front, KvsEmulator(limits=UNLIMITED) as emulator:
        for name, value in {**emulator.environment(), "AWS_ENDPOINT_URL_S3": front.url}.items():
            monkeypatch.setenv(name, value)
        then = EmulatedStream("then", stored(fragments(OURS)), faults=FaultPlan((InLog(3, Missing(2)),)))
        now = EmulatedStream("now", stored(fragments(OURS)))
        for stream in (then, now):
            emulator.add_stream(stream)
        target = f"s3://{bucket}/audio"
        assert run_here("export", "--stream", then.arn, "--start", str(DEFAULT_START_MS), "-o", target).code == 3
        manifest = json.loads(s3_client.get_object(Bucket=bucket, Key=f"{KEY}.json")["Body"].read())
        manifest["stream"]["arn"] = now.arn
        s3_client.put_object(Bucket=bucket, Key=f"{KEY}.json", Body=json.dumps(manifest).encode())
        yield front


def repair(bucket: str, key: str = KEY) -> Finished:
    return run_here("repair", "--json", f"s3://{bucket}/{key}.json")


def line(finished: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(finished.out)["recordings"][0]
    return found


def test_a_recording_of_a_bucket_is_replaced_by_its_etag(front: S3FaultProxy, s3_client: S3Client, bucket: str) -> None:
    old = s3_client.head_object(Bucket=bucket, Key=f"{KEY}.wav")["ETag"]

    finished = repair(bucket)

    assert (finished.code, line(finished)["result"]) == (0, "REPAIRED")
    objects = {each["Key"] for each in s3_client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert objects == {f"{KEY}.wav", f"{KEY}.json"}
    assert same_wav(s3_client.get_object(Bucket=bucket, Key=f"{KEY}.wav")["Body"].read(), wav_of_call(OURS))
    manifest = json.loads(s3_client.get_object(Bucket=bucket, Key=f"{KEY}.json")["Body"].read())
    assert manifest["audit"]["replaced"]["etag"] == old
    assert manifest["recording"]["location"] == f"s3://{bucket}/{KEY}.wav"
    # The bucket's policy refuses any other write to the WAV.
    writes = [each for each in front.operations if each.key == f"{KEY}.wav" and each.name == "PutObject"]
    assert [(each.conditional, each.replaces) for each in writes] == [(True, False), (True, True)]


@pytest.mark.usefixtures("front")
def test_the_claim_of_another_machine_is_respected(s3_client: S3Client, bucket: str) -> None:
    name = f"connect-audio-repair:{DEFAULT_CONTACT_ID}_{DEFAULT_START_MS}@another#1"
    s3_client.put_object(Bucket=bucket, Key=f"{KEY}.wav.claim", Body=name.encode())

    finished = repair(bucket)

    assert (finished.code, finished.complaint) == (3, "another program records or repairs this call")
    assert s3_client.get_object(Bucket=bucket, Key=f"{KEY}.wav.claim")["Body"].read() == name.encode()


@pytest.mark.usefixtures("front")
def test_a_manifest_that_is_not_in_the_bucket_is_one_line(bucket: str) -> None:
    finished = repair(bucket, "none")

    assert (finished.code, finished.complaint) == (2, f"s3://{bucket}/none.json: cannot be read: S3 answers NoSuchKey")
