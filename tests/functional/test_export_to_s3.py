"""`connect-audio export` into a bucket: the keys of the functions' own recordings, and nothing twice."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from connect_audio_local.kvs import EmulatedStream, KvsEmulator, stored
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_START_MS
from support.calls import call, fragments
from support.command import Finished, run_here
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY: Final = f"audio/2026/07/01/{DEFAULT_CONTACT_ID}_20260701T133054.536Z"


@pytest.fixture
def stream(moto_server: str, kvs_emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> EmulatedStream:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server)
    return kvs_emulator.add_stream(EmulatedStream("calls", stored(fragments(call(20)))))


def export(bucket: str, *options: str | Path) -> Finished:
    one = () if "--csv" in options else ("--stream", "calls", "--start", str(DEFAULT_START_MS))
    return run_here("export", *one, "-o", f"s3://{bucket}/audio/", *options)


def objects(client: S3Client, bucket: str) -> dict[str, bytes]:
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}


def test_a_call_is_recorded_into_a_bucket_under_the_functions_key_and_only_once(
    stream: EmulatedStream, s3_client: S3Client, bucket: str
) -> None:
    first = export(bucket, "--json")
    written = objects(s3_client, bucket)
    second = export(bucket)

    assert (first.code, json.loads(first.out)["key"]) == (0, f"{KEY}.wav")
    assert set(written) == {f"{KEY}.wav", f"{KEY}.json"}
    assert same_wav(written[f"{KEY}.wav"], wav_of_call(call(20)))
    assert second.code == 0
    assert "exists" in second.out
    assert f"s3://{bucket}/{KEY}.wav" in second.out
    assert objects(s3_client, bucket) == written
    # The stream is read for the labels twice, and for the recording once.
    assert stream.faults.calls("GetMedia") == 3


@pytest.mark.usefixtures("stream")
def test_a_recording_of_the_functions_is_left_alone(s3_client: S3Client, bucket: str) -> None:
    theirs: dict[str, Any] = {"status": "partial", "reasons": [{"code": "STREAM_HOLES", "detail": "2 s"}]}
    s3_client.put_object(Bucket=bucket, Key=f"{KEY}.wav", Body=b"theirs")
    whole = export(bucket)
    s3_client.put_object(Bucket=bucket, Key=f"{KEY}.json", Body=json.dumps(theirs).encode())
    partial = export(bucket)

    assert whole.code == 0
    assert (partial.code, partial.complaint) == (3, "the recording is partial: STREAM_HOLES")
    assert objects(s3_client, bucket)[f"{KEY}.wav"] == b"theirs"
    assert set(objects(s3_client, bucket)) == {f"{KEY}.wav", f"{KEY}.json"}


@pytest.mark.usefixtures("stream")
def test_a_claim_of_a_live_recording_or_of_another_machine_is_respected(s3_client: S3Client, bucket: str) -> None:
    ours = f"connect-audio-export:{DEFAULT_CONTACT_ID}_{DEFAULT_START_MS}@"
    s3_client.put_object(Bucket=bucket, Key=f"{KEY}.wav.claim", Body=f"{ours}another#1\nexport".encode())
    refused = export(bucket)
    s3_client.put_object(Bucket=bucket, Key=f"{KEY}.wav.claim", Body=f"{ours}{socket.gethostname()}#1\nexport".encode())
    resumed = export(bucket)

    assert (refused.code, refused.complaint) == (3, f"{KEY}.wav is being recorded by another program")
    assert resumed.code == 0
    assert set(objects(s3_client, bucket)) == {f"{KEY}.wav", f"{KEY}.json"}


@pytest.mark.usefixtures("stream")
def test_progress_of_many_calls_is_kept_beside_the_user_for_each_target(
    s3_client: S3Client, bucket: str, tmp_path: Path
) -> None:
    rows, progress = tmp_path / "calls.csv", tmp_path / "done.jsonl"
    rows.write_text(f"stream_arn,start_ms\ncalls,{DEFAULT_START_MS}\n")

    def run(target: str) -> Finished:
        return run_here("export", "--csv", rows, "-o", target, "--progress", progress, "--json")

    first, again = run(f"s3://{bucket}/audio"), run(f"s3://{bucket}/audio")
    elsewhere = run(f"s3://{bucket}")

    assert [first.code, again.code, elsewhere.code] == [0, 0, 0]
    assert json.loads(again.out)["statuses"] == {"skipped": 1}
    assert json.loads(elsewhere.out)["statuses"] == {"complete": 1}
    assert set(objects(s3_client, bucket)) == {
        f"{key}.{kind}" for key in (KEY, KEY.removeprefix("audio/")) for kind in ("wav", "json")
    }


@pytest.mark.usefixtures("stream")
@pytest.mark.parametrize("target", ["s3://", "s3://UPPER/x", "s3://bucket/a b"])
def test_a_target_that_is_none_is_one_line(target: str) -> None:
    finished = run_here("export", "--stream", "calls", "--start", str(DEFAULT_START_MS), "-o", target)

    assert (finished.code, finished.complaint) == (2, f"-o {target} is not of the form s3://BUCKET/PREFIX")


@pytest.mark.usefixtures("stream")
def test_a_bucket_that_does_not_exist_is_one_line() -> None:
    finished = export("no-such-bucket-anywhere")

    assert finished.code == 2
    assert finished.complaint.startswith("cannot be written: ")
