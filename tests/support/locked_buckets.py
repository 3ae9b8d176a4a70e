"""A stack's bucket under Object Lock, its bucket of staging, and a stream with a call: for tests of the commands."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from connect_audio_local.kvs import UNLIMITED, EmulatedStream, FaultPlan, KvsEmulator, stored
from connect_audio_local.kvs.faults import InLog, Missing
from connect_audio_local.s3.faults import S3FaultProxy
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_START_MS
from support.calls import call, fragments
from support.command import Finished, run_here

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from connect_audio_local.s3.faults import S3Operation

REGION: Final = "eu-west-2"
KEY: Final = f"audio/2026/07/01/{DEFAULT_CONTACT_ID}_20260701T133054.536Z"
"""The recording's key without its ending."""
CALL: Final = call(8)
CONSUMER: Final = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live/durable-execution/a/b"


@dataclass(frozen=True)
class Buckets:
    """A bucket under Object Lock, one of staging, and a stream with a call whose body had a hole when it was new."""

    s3: S3Client
    recordings: str
    staging: str
    then: EmulatedStream
    now: EmulatedStream
    front: S3FaultProxy

    def versions(self) -> dict[str, int]:
        """How many versions each key of the recordings' bucket has; there is no delete marker."""
        answer = self.s3.list_object_versions(Bucket=self.recordings)
        assert not answer.get("DeleteMarkers")
        keys = [each["Key"] for each in answer.get("Versions", [])]
        return {key: keys.count(key) for key in keys}

    def staged(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.staging).get("Contents", [])]

    def body(self, key: str, **version: Any) -> bytes:
        return self.s3.get_object(Bucket=self.recordings, Key=key, **version)["Body"].read()

    def claim(self, holder: str = CONSUMER) -> None:
        self.s3.put_object(Bucket=self.staging, Key=f"{KEY}.wav.claim", Body=holder.encode())

    def requests(self) -> list[S3Operation]:
        """The requests of the programs; the stand-in's own look for its bucket is none of them."""
        return [each for each in self.front.operations if each.name not in {"ListBuckets", "CreateBucket"}]

    @property
    def by_hand(self) -> tuple[str, ...]:
        """The options of a command that name the buckets one by one."""
        return ("-o", f"s3://{self.recordings}/audio", "--staging-bucket", self.staging)

    def export(self, stream: EmulatedStream, *target: str) -> Finished:
        return run_here("export", "--stream", stream.arn, "--start", str(DEFAULT_START_MS), *target)


@contextmanager
def locked_buckets(moto_server: str, s3_client: S3Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    """Make both buckets and the streams, and lead the programs of this process to them."""
    recordings, staging = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("recordings", "staging"))
    place: Any = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    s3_client.create_bucket(Bucket=recordings, ObjectLockEnabledForBucket=True, **place)
    s3_client.put_object_lock_configuration(
        Bucket=recordings,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 2000}},
        },
    )
    s3_client.create_bucket(Bucket=staging, **place)
    with S3FaultProxy(moto_server) as front, KvsEmulator(limits=UNLIMITED) as emulator:
        then = EmulatedStream("calls-then", stored(fragments(CALL)), faults=FaultPlan((InLog(3, Missing(2)),)))
        now = EmulatedStream("calls-now", stored(fragments(CALL)))
        for stream in (then, now):
            emulator.add_stream(stream)
        for name, value in {
            **emulator.environment(),
            "AWS_ENDPOINT_URL_S3": front.url,
            "RECORDINGS_BUCKET": recordings,
            "RECORDINGS_PREFIX": "audio",
            "RECORDINGS_KMS_KEY_ARN": "",
            "STAGING_BUCKET": staging,
        }.items():
            monkeypatch.setenv(name, value)
        yield Buckets(s3_client, recordings, staging, then, now, front)
