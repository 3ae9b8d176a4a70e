"""The place of a stack's recordings, for the commands that write recordings beside its functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from botocore.config import Config

from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.recorder.staging_store import StagingStore
from connect_audio_cli.stacks.deployed import Deployed

if TYPE_CHECKING:
    from boto3 import Session

    from connect_audio.ports import PartStore

MOST_AT_ONCE: Final = 32
"""Most calls at the same time: each has a connection to S3."""


@dataclass(frozen=True, slots=True)
class RecordingsPlace:
    """Buckets, prefix and key of the recordings.

    Args:
        bucket: the recordings' bucket.
        prefix: the keys' prefix, without a slash at either end.
        staging: the bucket of staging and claims; None where they lie beside the recordings.
        kms_key_arn: the key that encrypts both; None leaves it to the buckets' defaults.
    """

    bucket: str
    prefix: str
    staging: str | None = None
    kms_key_arn: str | None = None

    @classmethod
    def of_stack(cls, session: Session, name: str, *, otherwise: str) -> Self:
        """Return the place of a stack's recordings, as its functions have it.

        Args:
            session: credentials and the stack's region.
            name: the stack's name.
            otherwise: the options that do without the stack, for a person who may not look at it.

        Raises:
            CommandError: there is no such stack, it does not say the place, or AWS refused.
            BotoCoreError: AWS did not answer.
        """
        stack = Deployed.found(session, name, otherwise=otherwise)
        return cls(
            bucket=stack.output("RecordingsBucketName"),
            prefix=stack.parameter("RecordingsPrefix").strip("/"),
            staging=stack.staging_bucket or None,
            kms_key_arn=stack.parameter("RecordingsKmsKeyArn") or None,
        )

    def __str__(self) -> str:
        """The place as a user would give it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def holds(self, bucket: str, key: str) -> bool:
        """Return True if an object lies below the prefix."""
        return bucket == self.bucket and key.startswith(f"{self.prefix}/".lstrip("/"))

    def store(self, session: Session) -> PartStore:
        """Return the store of recordings, staging and claims.

        Args:
            session: gives credentials.

        Raises:
            BotoCoreError: there can be no client of S3.
        """
        client = session.client("s3", config=S3_CONFIG.merge(Config(max_pool_connections=MOST_AT_ONCE)))
        recordings = S3PartStore(self.bucket, client=client, kms_key_arn=self.kms_key_arn)
        if self.staging is None:
            return recordings
        return StagingStore(recordings, S3PartStore(self.staging, client=client, kms_key_arn=self.kms_key_arn))
