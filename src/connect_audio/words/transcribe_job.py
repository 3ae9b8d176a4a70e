"""The jobs of Amazon Transcribe as a port: started for a recording, asked for their state.

`connect_audio.recorder.batch_words` uses it. The services are `connect_audio.adapters.words.transcribe_jobs` and
`connect_audio.adapters.words.call_analytics_jobs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class JobStatus(StrEnum):
    """The place of a job in its life."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """There is no such job."""


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a job.

    Args:
        status: its place in its life.
        result_key: S3 key of its result, the redacted one if there is one; None before its end.
    """

    status: JobStatus
    result_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of each job.

    Args:
        bucket: bucket of recordings and results.
        language: language code, such as `en-US`; None lets Transcribe find it.
        vocabulary: name of a custom vocabulary; None without.
        is_redacted: True to have personal data replaced.
        kms_key_arn: key that encrypts the results; None for the bucket's own encryption.
    """

    bucket: str
    language: str | None = None
    vocabulary: str | None = None
    is_redacted: bool = False
    kms_key_arn: str | None = None


class TranscribeJobs(Protocol):
    """Amazon Transcribe's jobs. Each method raises the service's own error if it refuses."""

    def start(self, job: str, media_uri: str, result_key: str) -> bool:
        """Start a job; False if there is one of that name already."""

    def state(self, job: str) -> JobState:
        """Return a job's state."""
