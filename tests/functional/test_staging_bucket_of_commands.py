"""Export, repair and the backfill's worker beside a stack whose staging and claims have a bucket of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError

from connect_audio.handlers import backfill_worker
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from infrastructure.evaluation import evaluated
from infrastructure.loading import load
from support.command import run_here
from support.locked_buckets import CALL, KEY, Buckets, locked_buckets
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "backfill.yaml"
RUN: Final = "backfill/calls.jsonl.runs/one/"


@dataclass
class _Context:
    function_name: str = "backfill"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:123456789012:function:backfill"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def buckets(moto_server: str, s3_client: S3Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    with locked_buckets(moto_server, s3_client, monkeypatch) as made:
        yield made


def test_an_export_stages_and_claims_in_the_stacks_bucket_of_staging(buckets: Buckets) -> None:
    finished = buckets.export(buckets.now, *buckets.by_hand)

    assert finished.code == 0
    assert same_wav(buckets.body(f"{KEY}.wav"), wav_of_call(CALL))
    assert (buckets.versions(), buckets.staged()) == ({f"{KEY}.wav": 1, f"{KEY}.json": 1}, [])
    deleted = {each.bucket for each in buckets.requests() if each.name == "DeleteObjects"}
    claims = {each.bucket for each in buckets.requests() if each.key.endswith(".claim")}
    assert deleted == claims == {buckets.staging}


def test_a_call_that_the_consumer_records_is_left_to_it(buckets: Buckets) -> None:
    buckets.claim()

    exported, worked = buckets.export(buckets.now, *buckets.by_hand), _work(buckets)

    assert (exported.code, exported.complaint) == (3, f"{KEY}.wav is being recorded by another program")
    assert worked == {"done": 0, "left": 1}
    assert [key for key in buckets.versions() if key.startswith("audio/")] == []
    assert buckets.staged() == [f"{KEY}.wav.claim"]


def test_the_worker_deletes_in_the_bucket_of_staging_alone_and_its_role_has_the_rights_for_it(
    buckets: Buckets,
) -> None:
    assert _work(buckets) == {"done": 1, "left": 0}

    made = {key: number for key, number in buckets.versions().items() if key.startswith("audio/")}
    assert (made, buckets.staged()) == ({f"{KEY}.wav": 1, f"{KEY}.json": 1}, [])
    assert {each.bucket for each in buckets.requests() if each.name == "DeleteObjects"} == {buckets.staging}
    policy = _worker_rights(RecordingsBucketName=buckets.recordings, StagingBucketName=buckets.staging)
    for each in buckets.requests():
        arn = f"arn:aws:s3:::{each.bucket}" + (f"/{each.key}" if each.key else "")
        # A DeleteObjects names its keys in the body.
        for action in each.iam_actions - {"s3:DeleteObject"}:
            assert _allows(policy, action, arn), (action, arn)


@pytest.mark.parametrize("staging", ["", "staging"])
def test_the_worker_may_delete_staging_and_claims_and_nothing_else(staging: str) -> None:
    policy = _worker_rights(RecordingsBucketName="calls", StagingBucketName=staging)
    temporary = (f"{KEY}.wav.claim", f"{KEY}.wav.staging/part-00001-00001-a.pcm")
    for bucket in ("calls", "staging"):
        for key in temporary:
            assert _allows(policy, "s3:DeleteObject", f"arn:aws:s3:::{bucket}/{key}") == (
                bucket == (staging or "calls")
            )
        for key in (f"{KEY}.wav", f"{KEY}.json", f"{KEY}.segments/000001.wav"):
            assert not _allows(policy, "s3:DeleteObject", f"arn:aws:s3:::{bucket}/{key}")
            assert _allows(policy, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}") == (bucket == "calls")


def test_a_repair_under_object_lock_is_a_new_version_and_the_old_one_stays_locked(buckets: Buckets) -> None:
    assert buckets.export(buckets.then, *buckets.by_hand).code == 3
    manifest = json.loads(buckets.body(f"{KEY}.json"))
    manifest["stream"]["arn"] = buckets.now.arn
    buckets.s3.put_object(Bucket=buckets.recordings, Key=f"{KEY}.json", Body=json.dumps(manifest).encode())
    head = buckets.s3.head_object(Bucket=buckets.recordings, Key=f"{KEY}.wav")
    old = head["VersionId"]
    bytes_of_old = buckets.body(f"{KEY}.wav")
    before = len(buckets.requests())
    place = f"s3://{buckets.recordings}/{KEY}.json"
    buckets.claim()
    refused = run_here("repair", place, "--staging-bucket", buckets.staging)
    buckets.s3.delete_object(Bucket=buckets.staging, Key=f"{KEY}.wav.claim")

    finished = run_here("repair", "--json", place, "--staging-bucket", buckets.staging)

    assert (refused.code, refused.complaint) == (3, "another program records or repairs this call")
    assert (finished.code, json.loads(finished.out)["recordings"][0]["result"]) == (0, "REPAIRED")
    assert same_wav(buckets.body(f"{KEY}.wav"), wav_of_call(CALL))
    # The manifest's versions: the export's, the one of this test's hand, and the repair's.
    assert (buckets.versions(), buckets.staged()) == ({f"{KEY}.wav": 2, f"{KEY}.json": 3}, [])
    assert buckets.body(f"{KEY}.wav", VersionId=old) == bytes_of_old
    with pytest.raises(ClientError, match="AccessDenied"):
        buckets.s3.delete_object(Bucket=buckets.recordings, Key=f"{KEY}.wav", VersionId=old)
    new = buckets.s3.head_object(Bucket=buckets.recordings, Key=f"{KEY}.wav")
    assert new["ObjectLockMode"] == head["ObjectLockMode"] == "COMPLIANCE"
    assert new["ObjectLockRetainUntilDate"] > head["ObjectLockRetainUntilDate"]
    made = buckets.requests()[before:]
    assert {each.bucket for each in made if each.name == "DeleteObjects"} == {buckets.staging}
    assert [each.replaces for each in made if each.name == "PutObject" and each.key == f"{KEY}.wav"] == [True]


def test_a_folder_has_no_bucket_of_staging(tmp_path: Path) -> None:
    source = ("--stream", "calls", "--start", str(DEFAULT_START_MS), "--staging-bucket", "staging")
    manifest = tmp_path / "call.json"
    manifest.write_text("{}")

    exported, repaired = run_here("export", *source, "-o", tmp_path), run_here("repair", manifest, *source[-2:])
    unusable = run_here("repair", manifest, "--staging-bucket", "s3://staging")

    assert (exported.code, exported.complaint) == (2, "--staging-bucket goes with -o s3://BUCKET/PREFIX")
    assert repaired.code == 2
    assert repaired.complaint.endswith("call.json: lies in no bucket: --staging-bucket goes with s3://BUCKET/KEY")
    assert "'s3://staging' is no name of a bucket" in unusable.complaint


def _work(buckets: Buckets) -> Any:
    item = {"stream": buckets.now.arn, "calls": [{"startMs": DEFAULT_START_MS}]}
    return backfill_worker.handler({"item": item, "run": RUN}, _Context())


def _worker_rights(**parameters: str) -> list[dict[str, Any]]:
    stack = evaluated(load(EXAMPLE), {"StreamNamePrefix": "calls", "RecordingsPrefix": "audio", **parameters})
    (policy,) = stack["Resources"]["WorkerRole"]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def _allows(policy: list[dict[str, Any]], action: str, arn: str) -> bool:
    return any(
        action in _several(one["Action"]) and any(fnmatchcase(arn, each) for each in _several(one["Resource"]))
        for one in policy
    )


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
