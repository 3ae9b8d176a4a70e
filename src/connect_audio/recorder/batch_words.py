"""Words after the call: a job of Amazon Transcribe for each published recording, and its result beside the recording.

*How it works.* A note in S3 is written before the job starts, and deleted once the words are filed. So a start that
failed, and an end whose event was lost, are found among the notes. Readers find the
transcript by its name beside the WAV, as for words that came with the call. Nothing that lies there is overwritten.
After a repair a job that is named by the WAV's ETag replaces the words of the old recording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from connect_audio.core.call_analytics_result import analytics_result, is_analytics_result
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
_EXECUTION: Final = re.compile(r"[0-9a-zA-Z._-]{1,180}", re.ASCII)
"""An execution's name that leaves room in a job's name for what a repair adds."""
_QUOTE: Final = '"'
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
        if not self._is_ours(detail):
            return Filed.IGNORED
        names = RecordingNames(self.bucket, detail["key"])
        if self.store.head(names.transcript) is not None:
            return Filed.KEPT
        return self._begin(detail["executionName"], _note_of(detail))

    def start_again(self, detail: Mapping[str, Any]) -> Filed:
        """Start the job of a recording that a repair has replaced. Its words replace the old recording's.

        Words that the manifest still names stay: they came with the call, and the manifest counts them.

        Args:
            detail: the announcing event's.

        Raises:
            StorageError: S3 failed.
            Exception: Transcribe's own, which refused the job.
        """
        if not self._is_ours(detail):
            return Filed.IGNORED
        names = RecordingNames(self.bucket, detail["key"])
        head = self.store.head(names.key)
        if head is None:
            return Filed.IGNORED
        if self._names_words(names):
            return Filed.KEPT
        # An event that comes twice finds the same object, and so the same job.
        job = f"{detail['executionName']}_{head.etag.strip(_QUOTE)[:12]}"
        return self._begin(job, {**_note_of(detail), "etag": head.etag})

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

    def _is_ours(self, detail: Mapping[str, Any]) -> bool:
        """Return True if an event is of a recording below the prefix, by an execution whose name can be a job's."""
        job, key = detail.get("executionName"), detail.get("key")
        if not isinstance(job, str) or not _EXECUTION.fullmatch(job) or not isinstance(key, str):
            return False
        is_ours = detail.get("bucket") == self.bucket and key.startswith(f"{self.recordings_prefix}/")
        return is_ours and key.endswith(".wav")

    def _names_words(self, names: RecordingNames) -> bool:
        """Return True if the recording's manifest names a transcript."""
        try:
            manifest = json.loads(self.store.get(names.manifest))
        except StorageError as error:
            if error.code != _NO_KEY:
                raise
            return False
        return bool(manifest.get("words"))

    def _begin(self, job: str, note: Mapping[str, Any]) -> Filed:
        self.store.put(self._note(job), json.dumps(note).encode(), _JSON)
        self._start(job, note["key"])
        return Filed.STARTED

    def _start(self, job: str, key: str) -> None:
        self.jobs.start(job, f"s3://{self.bucket}/{key}", f"{self.jobs_prefix}/{job}.json")

    def _file(self, state: JobState, note: Mapping[str, Any]) -> Filed:
        if state.status is JobStatus.FAILED or state.result_key is None:
            return Filed.FAILED
        names = RecordingNames(self.bucket, note["key"])
        replaces = self._replaces(names, note)
        if not replaces and self.store.head(names.transcript) is not None:
            return Filed.KEPT
        try:
            written = json.loads(self.store.get(state.result_key))
            read = analytics_result if is_analytics_result(written) else job_result
            result = read(written, _RATE)
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
        write = self.store.put if replaces else self.store.put_new
        write(names.captions, captions, ObjectKind("text/vtt; charset=utf-8"))
        write(names.transcript, json.dumps(document, indent=1, ensure_ascii=False).encode(), _JSON)
        return Filed.FILED

    def _replaces(self, names: RecordingNames, note: Mapping[str, Any]) -> bool:
        """Return True if a job is of a repaired recording that still is the object which the job was started for."""
        if "etag" not in note:
            return False
        head = self.store.head(names.key)
        return head is not None and head.etag == note["etag"]

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


def _note_of(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: detail.get(name) for name in ("key", "contactId", "durationSeconds")}
