"""Words after the call: a job of Amazon Transcribe for each published recording, and its result beside the recording.

*How it works.* A note in S3 is written before the job starts, and deleted once the words are filed. So a start that
failed, and an end whose event was lost, are found among the notes. Readers find the
transcript by its name beside the WAV, as for words that came with the call. Nothing that lies there is overwritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from connect_audio.core.errors import StorageError
from connect_audio.core.transcribe_result import DamagedResultError, job_result
from connect_audio.core.transcript_document import TranscriptFacts, transcript_document
from connect_audio.core.webvtt import webvtt
from connect_audio.ports import ObjectKind, PartStore
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.words.transcribe_job import JobState, JobStatus, TranscribeJobs

_RATE: Final = 1000
"""Positions a second: the result's times have milliseconds at most."""
_JOB: Final = re.compile(r"[0-9a-zA-Z._-]{1,200}", re.ASCII)
_JSON: Final = ObjectKind("application/json")
_NO_KEY: Final = "NoSuchKey"


class Filed(StrEnum):
    """The end of a look at a job."""

    STARTED = "started"
    RUNNING = "running"
    FILED = "filed"
    KEPT = "kept"
    """A transcript was there already, and stays."""
    FAILED = "failed"
    IGNORED = "ignored"
    """No recording of the bucket, or no job that is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWords:
    """Starts jobs and files their results.

    Args:
        bucket: bucket of the recordings.
        recordings_prefix: prefix of the recordings.
        jobs_prefix: prefix of notes and results in the same bucket, without a slash at either end.
        language: language that the jobs ask for; None if they find it.
        store: the bucket.
        jobs: Transcribe.
    """

    bucket: str
    recordings_prefix: str
    jobs_prefix: str
    language: str | None
    store: PartStore
    jobs: TranscribeJobs

    def start(self, detail: Mapping[str, Any]) -> Filed:
        """Start the job of a recording.

        Args:
            detail: the announcing event's.

        Raises:
            StorageError: S3 failed.
            Exception: Transcribe's own, which refused the job.
        """
        job, key, duration = detail.get("executionName"), detail.get("key"), detail.get("durationSeconds")
        if not isinstance(job, str) or not _JOB.fullmatch(job) or not isinstance(key, str):
            return Filed.IGNORED
        is_ours = detail.get("bucket") == self.bucket and key.startswith(f"{self.recordings_prefix}/")
        if not is_ours or not key.endswith(".wav"):
            return Filed.IGNORED
        if self.store.head(RecordingNames(self.bucket, key).transcript) is not None:
            return Filed.KEPT
        note = {"key": key, "contactId": detail.get("contactId"), "durationSeconds": duration}
        self.store.put(self._note(job), json.dumps(note).encode(), _JSON)
        self._start(job, key)
        return Filed.STARTED

    def look(self, job: str) -> Filed:
        """Look at a job, and file its result if it is there.

        Args:
            job: its name.

        Raises:
            StorageError: S3 failed.
            Exception: Transcribe's own, which did not answer.
        """
        note = self._noted(job)
        if note is None:
            return Filed.IGNORED
        state = self.jobs.state(job)
        if state.status is JobStatus.RUNNING:
            return Filed.RUNNING
        if state.status is JobStatus.UNKNOWN:
            self._start(job, note["key"])
            return Filed.STARTED
        filed = self._file(state, note)
        self.store.delete([self._note(job)])
        return filed

    def due(self) -> list[str]:
        """Return the names of the jobs whose results are not filed yet."""
        prefix = f"{self.jobs_prefix}/due/"
        return [key.removeprefix(prefix).removesuffix(".json") for key in self.store.list_keys(prefix)]

    def _start(self, job: str, key: str) -> None:
        self.jobs.start(job, f"s3://{self.bucket}/{key}", f"{self.jobs_prefix}/{job}.json")

    def _file(self, state: JobState, note: Mapping[str, Any]) -> Filed:
        if state.status is JobStatus.FAILED or state.result_key is None:
            return Filed.FAILED
        names = RecordingNames(self.bucket, note["key"])
        if self.store.head(names.transcript) is not None:
            return Filed.KEPT
        try:
            result = job_result(json.loads(self.store.get(state.result_key)), _RATE)
        except (DamagedResultError, json.JSONDecodeError, UnicodeDecodeError):
            return Filed.FAILED
        seconds, contact_id = note.get("durationSeconds"), note.get("contactId")
        last = max((turn.end for turn in result.turns), default=0)
        document = transcript_document(
            TranscriptFacts(
                turns=result.turns,
                missing=[],
                rate=_RATE,
                frames=round(seconds * _RATE) if isinstance(seconds, int | float) else last,
                contact_id=contact_id if isinstance(contact_id, str) else None,
                engine="transcribe",
                language=result.language or self.language,
                source="batch",
            )
        )
        # The transcript comes last: without it the next look files both again.
        captions = webvtt(result.turns, _RATE).encode()
        self.store.put_new(names.captions, captions, ObjectKind("text/vtt; charset=utf-8"))
        self.store.put_new(names.transcript, json.dumps(document, indent=1, ensure_ascii=False).encode(), _JSON)
        return Filed.FILED

    def _noted(self, job: str) -> Mapping[str, Any] | None:
        if not _JOB.fullmatch(job):
            return None
        try:
            note: Mapping[str, Any] = json.loads(self.store.get(self._note(job)))
        except StorageError as error:
            if error.code != _NO_KEY:
                raise
            return None
        return note

    def _note(self, job: str) -> str:
        return f"{self.jobs_prefix}/due/{job}.json"
