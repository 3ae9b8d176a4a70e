"""Recordings in a versioned bucket under Object Lock, staging and claims in a bucket of their own."""

from __future__ import annotations

import uuid
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import boto3
import pytest

from connect_audio_local.cloud import REGION, local_cloud
from connect_audio_local.kvs.model import Live
from connect_audio_local.s3.faults import S3FaultProxy
from infrastructure.evaluation import evaluated
from infrastructure.loading import load
from support.whole_path import QUICK, a_call, event_for, is_whole, recorded, serve

ROOT: Final = Path(__file__).parents[2]
KEY: Final = "recordings/2026/07/01/00000000-0000-4000-8000-000000000001_20260701T120000.000Z.wav"
LEFT_ALONE: Final = (
    KEY,
    KEY.replace(".wav", ".json"),
    KEY.replace(".wav", ".segments/000001.wav"),
    KEY.replace(".wav", ".words/000001.json"),
    KEY.replace(".wav", ".transcript.json"),
)


def statements(**parameters: str) -> list[dict[str, Any]]:
    """The consumer's statements, in a stack with these parameters."""
    stack = evaluated(load(ROOT / "template.yaml"), {"StreamNamePrefix": "live", **parameters})["Resources"]
    (policy,) = stack["ConsumerRole"]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def allows(policy: list[dict[str, Any]], action: str, arn: str) -> bool:
    """IAM's decision on one request, as far as the template's policies go: Allow, by action and resource."""
    return any(
        action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
        and any(
            fnmatchcase(arn, each)
            for each in ([one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"])
        )
        for one in policy
    )


def test_a_call_of_several_invocations_deletes_nothing_in_a_bucket_under_object_lock(moto_server: str) -> None:
    recordings, staging = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("recordings", "staging"))
    place: Any = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    with closing(boto3.client("s3", endpoint_url=moto_server, region_name=REGION)) as s3:
        s3.create_bucket(Bucket=recordings, ObjectLockEnabledForBucket=True, **place)
        retention: Any = {"Mode": "COMPLIANCE", "Days": 2000}
        s3.put_object_lock_configuration(
            Bucket=recordings,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
        )
        s3.create_bucket(Bucket=staging, **place)
        settings = {**QUICK, "STAGING_BUCKET": staging}
        with (
            S3FaultProxy(moto_server) as proxy,
            local_cloud(settings, s3_url=proxy.url, bucket=recordings, invocation_s=5.8) as cloud,
        ):
            stream = serve(cloud, a_call(60), pace=Live(speed=20))
            found = recorded(cloud, cloud.trigger(event_for(stream.arn))["executionName"])
            assert is_whole(found)
            assert found.manifest is not None
            assert found.manifest["handOvers"] >= 2
            operations = proxy.operations
        # Each object has the one version that it was written with, and no delete marker.
        versions = s3.list_object_versions(Bucket=recordings)
        assert sorted(each["Key"] for each in versions["Versions"]) == sorted(found.objects)
        assert not versions.get("DeleteMarkers")
        assert s3.list_objects_v2(Bucket=staging).get("Contents", []) == []
    assert {each.bucket for each in operations if each.name == "DeleteObjects"} == {staging}
    assert {each.key.split(".wav")[1].split("/")[0] for each in operations if each.bucket == staging and each.key} == {
        ".claim",
        ".staging",
    }
    # The role allows each of these requests; a DeleteObjects names its keys in the body.
    policy = statements(RecordingsBucketName=recordings, StagingBucketName=staging)
    for each in operations:
        arn = f"arn:aws:s3:::{each.bucket}" + (f"/{each.key}" if each.key else "")
        for action in each.iam_actions - {"s3:DeleteObject"}:
            # The stand-in's own look for its bucket is none of the consumer's.
            assert each.name in {"ListBuckets", "CreateBucket"} or allows(policy, action, arn), (action, arn)


@pytest.mark.parametrize("staging", ["", "staging"])
def test_the_consumer_may_delete_staging_and_claims_and_nothing_else(staging: str) -> None:
    policy = statements(RecordingsBucketName="calls", StagingBucketName=staging, ContactEvents="on")
    temporary = (f"{KEY}.claim", f"{KEY}.staging/part-00001-00001-a.pcm", "recordings/contacts/c/waiting/e.json")
    for key in temporary:
        assert allows(policy, "s3:DeleteObject", f"arn:aws:s3:::{staging or 'calls'}/{key}")
    for bucket in ("calls", "staging"):
        for key in LEFT_ALONE:
            assert not allows(policy, "s3:DeleteObject", f"arn:aws:s3:::{bucket}/{key}"), (bucket, key)
    if staging:
        for key in temporary:
            assert not allows(policy, "s3:DeleteObject", f"arn:aws:s3:::calls/{key}")
        # Of the bucket of staging the role reaches no other objects at all.
        assert not allows(policy, "s3:PutObject", f"arn:aws:s3:::{staging}/{KEY}")
