"""Amazon Transcribe's jobs on loopback: they read a WAV in S3, and write the result that the service documents.

For tests. Transcription jobs with channel identification and Call Analytics jobs. A request is held against the
service's model (`api_model.py`). A job runs when the test says so. Its end is the event that EventBridge would hand on.
"""

from __future__ import annotations

import io
import json
import threading
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.pcm import channel
from connect_audio_local.loopback_server import loopback_server, url_of
from connect_audio_local.recognition.word_recognizer import RecognizedWord, WordRecognizer
from connect_audio_local.transcribe.api_model import broken_rules
from connect_audio_local.transcribe.job_results import RecognizedCall, analytics_result_of, transcription_result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_S: Final = 14_400
"""Length of audio up to which a job takes it, seconds: a quota of the service, 4 h. A job over more fails."""
_KINDS: Final = ("TranscriptionJob", "CallAnalyticsJob")
"""Names of a job in requests and answers."""


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Job:
    kind: str
    request: dict[str, Any]
    answer: dict[str, Any]


@dataclass(slots=True)
class TranscribeJobsFront:
    """The service.

    Args:
        s3: client of the bucket of recordings and results.
        recognizer: recognizes the words of each channel.
        personal: words that redaction replaces.
        url: its address.
        requests: requests for a job, as they came.
        operations: names of the operations that were asked for.
        refusals: codes that the next requests are refused with, in order.
    """

    s3: S3Client
    recognizer: WordRecognizer
    personal: frozenset[str]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def jobs(self) -> list[str]:
        """Names of the jobs."""
        return list(self._jobs)

    def complete(self, name: str) -> dict[str, Any]:
        """Run a job; return the event of its end."""
        job = self._jobs[name]
        media_bucket, _, media_key = job.request["Media"]["MediaFileUri"].removeprefix("s3://").partition("/")
        channels = self._recognized(self.s3.get_object(Bucket=media_bucket, Key=media_key)["Body"].read())
        if channels is None:
            return self.fail(name)
        is_redacted = "ContentRedaction" in (job.request if job.kind == _KINDS[0] else job.request.get("Settings", {}))
        bucket, key = _target(job)
        if is_redacted:
            key = key.with_name(f"redacted-{key.name}")
        body = json.dumps(self._result(name, job, channels, self.personal if is_redacted else None)).encode()
        self.s3.put_object(Bucket=bucket, Key=str(key), Body=body)
        field_name = "RedactedTranscriptFileUri" if is_redacted else "TranscriptFileUri"
        uri = f"https://s3.eu-west-2.amazonaws.com/{bucket}/{key}"
        job.answer |= {f"{job.kind}Status": "COMPLETED", "Transcript": {field_name: uri}}
        return _event(name, job.kind, "COMPLETED")

    def fail(self, name: str) -> dict[str, Any]:
        """Let a job fail; return the event of its end."""
        job = self._jobs[name]
        job.answer |= {f"{job.kind}Status": "FAILED", "FailureReason": "Invalid file size"}
        return _event(name, job.kind, "FAILED")

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Serve one request."""
        with self._lock:
            self.operations.add(operation)
            if self.refusals:
                raise _RefusedError(self.refusals.pop(0), "refused by the test")
            if broken := broken_rules(operation, request):
                raise _RefusedError("BadRequestException", broken[0])
            kind = operation.removeprefix("Start").removeprefix("Get")
            name = request[f"{kind}Name"]
            if operation.startswith("Start"):
                self.requests.append(request)
                return {kind: self._start(kind, name, request)}
            found = self._jobs.get(name)
            if found is None or found.kind != kind:
                code = "BadRequestException" if kind == _KINDS[0] else "NotFoundException"
                raise _RefusedError(code, "The requested job couldn't be found.")
            return {kind: found.answer}

    def _start(self, kind: str, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if kind == _KINDS[0] and ("LanguageCode" in request) == ("IdentifyLanguage" in request):
            raise _RefusedError("BadRequestException", "one of LanguageCode and IdentifyLanguage")
        for each in ("ChannelId", "ParticipantRole") if kind == _KINDS[1] else ():
            if len({channel[each] for channel in request["ChannelDefinitions"]}) != 2:
                raise _RefusedError("BadRequestException", f"two channels have one {each}")
        if name in self._jobs:
            raise _RefusedError("ConflictException", "The requested job name already exists.")
        answer = {f"{kind}Name": name, f"{kind}Status": "IN_PROGRESS"}
        self._jobs[name] = _Job(kind, request, answer)
        return answer

    def _recognized(self, wav: bytes) -> list[Sequence[RecognizedWord]] | None:
        """The words of each channel; None if the audio is too long for a job."""
        with wave.open(io.BytesIO(wav)) as opened:
            if opened.getnchannels() != 2:
                raise ValueError("a job needs two channels")
            rate, samples = opened.getframerate(), opened.readframes(opened.getnframes())
            if opened.getnframes() > LONGEST_S * rate:
                return None
        return [self.recognizer.words_of(channel(samples, index), rate) for index in range(2)]

    def _result(
        self, name: str, job: _Job, channels: list[Sequence[RecognizedWord]], personal: frozenset[str] | None
    ) -> dict[str, Any]:
        if job.kind == _KINDS[0]:
            language = "en-GB" if "IdentifyLanguage" in job.request else None
            return transcription_result(
                RecognizedCall(job=name, channels=channels, personal=personal, language=language)
            )
        options = job.request.get("Settings", {}).get("LanguageOptions", ["en-GB"])
        by_channel = sorted(job.request["ChannelDefinitions"], key=lambda each: int(each["ChannelId"]))
        call = RecognizedCall(job=name, channels=channels, personal=personal, language=options[0])
        return analytics_result_of(call, [each["ParticipantRole"] for each in by_channel])


@contextmanager
def transcribe_jobs(
    s3: S3Client, recognizer: WordRecognizer, personal: frozenset[str] = frozenset()
) -> Iterator[TranscribeJobsFront]:
    """Run the service for the length of a `with` block.

    Args:
        s3: client of the bucket of recordings and results.
        recognizer: recognizes the words of each channel.
        personal: words that redaction replaces.

    Yields:
        The service.
    """
    front = TranscribeJobsFront(s3, recognizer, personal)

    def serve(http: BaseHTTPRequestHandler) -> None:
        body = json.loads(http.rfile.read(int(http.headers["Content-Length"])))
        try:
            status, answer = 200, front.answer(http.headers["X-Amz-Target"].rpartition(".")[2], body)
        except _RefusedError as error:
            status, answer = 400, {"__type": error.code, "Message": str(error)}
        data = json.dumps(answer).encode()
        http.send_response(status)
        http.send_header("Content-Type", "application/x-amz-json-1.1")
        http.send_header("Content-Length", str(len(data)))
        http.end_headers()
        http.wfile.write(data)

    server = loopback_server(serve, "transcribe-jobs")
    front.url = url_of(server)
    try:
        yield front
    finally:
        server.close()


def _target(job: _Job) -> tuple[str, PurePosixPath]:
    """Bucket and key of a job's result."""
    if job.kind == _KINDS[0]:
        return job.request["OutputBucketName"], PurePosixPath(job.request["OutputKey"])
    bucket, _, key = job.request["OutputLocation"].removeprefix("s3://").partition("/")
    return bucket, PurePosixPath(key)


def _event(name: str, kind: str, status: str) -> dict[str, Any]:
    detail_type, prefix = "Transcribe Job State Change", "TranscriptionJob"
    if kind == _KINDS[1]:
        detail_type, prefix = "Call Analytics Job State Change", "Job"
    return {
        "version": "0",
        "source": "aws.transcribe",
        "detail-type": detail_type,
        "detail": {f"{prefix}Name": name, f"{prefix}Status": status},
    }
