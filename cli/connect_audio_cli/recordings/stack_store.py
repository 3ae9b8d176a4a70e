"""The store of a stack's bucket, for the commands that write recordings beside its functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.config import Config

from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.recorder.staging_store import StagingStore

if TYPE_CHECKING:
    from boto3 import Session

    from connect_audio.ports import PartStore

MOST_AT_ONCE: Final = 32
"""Most calls at the same time: each has a connection to S3."""


def stack_store(session: Session, bucket: str, staging: str | None) -> PartStore:
    """Return the store of recordings, staging and claims.

    Args:
        session: gives credentials.
        bucket: the recordings' bucket.
        staging: the bucket of staging and claims; None where they lie beside the recordings.

    Raises:
        BotoCoreError: there can be no client of S3.
    """
    client = session.client("s3", config=S3_CONFIG.merge(Config(max_pool_connections=MOST_AT_ONCE)))
    recordings = S3PartStore(bucket, client=client)
    return recordings if staging is None else StagingStore(recordings, S3PartStore(staging, client=client))
