"""The jobs of Amazon Transcribe as a port: started for a recording, asked for their state.

`connect_audio.recorder.batch_words` uses it, `connect_audio.adapters.words.transcribe_jobs` is the service.
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


class TranscribeJobs(Protocol):
    """Amazon Transcribe's jobs. Each method raises the service's own error if it refuses."""

    def start(self, job: str, media_uri: str, result_key: str) -> bool:
        """Start a job; False if there is one of that name already."""

    def state(self, job: str) -> JobState:
        """Return a job's state."""
