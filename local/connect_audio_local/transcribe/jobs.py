"""Amazon Transcribe's jobs on loopback: they read a WAV in S3, and write the result that channel identification has.

For tests. A job runs when the test says so, and its end is the event that EventBridge would hand on. The form of the
result: Amazon Transcribe Developer Guide, "Example channel identification output (batch)".
"""

from __future__ import annotations

import io
import json
import re
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.pcm import channel
from connect_audio_local.loopback_server import loopback_server, url_of
from connect_audio_local.recognition.word_recognizer import RecognizedWord, WordRecognizer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The service's model, StartTranscriptionJobRequest.
_NAME: Final = re.compile(r"[0-9a-zA-Z._-]{1,200}", re.ASCII)
_OUTPUT_KEY: Final = re.compile(r"[a-zA-Z0-9\-_.!*'()/]{1,1024}", re.ASCII)


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class TranscribeJobsFront:
    """The service.

    Args:
        s3: client of the bucket of recordings and results.
        recognizer: recognizes the words of each channel.
        personal: words that redaction replaces.
        url: its address.
        requests: requests for a job, as they came.
        refusals: codes that the next requests are refused with, in order.
    """

    s3: S3Client
    recognizer: WordRecognizer
    personal: frozenset[str]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    _jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def jobs(self) -> list[str]:
        """Names of the jobs."""
        return list(self._jobs)

    def complete(self, job: str) -> dict[str, Any]:
        """Run a job; return the event of its end."""
        found = self._jobs[job]
        request = found["request"]
        media_bucket, _, media_key = request["Media"]["MediaFileUri"].removeprefix("s3://").partition("/")
        wav = self.s3.get_object(Bucket=media_bucket, Key=media_key)["Body"].read()
        is_redacted = "ContentRedaction" in request
        key = PurePosixPath(request["OutputKey"])
        if is_redacted:
            key = key.with_name(f"redacted-{key.name}")
        document = {"jobName": job, "accountId": "111122223333", "status": "COMPLETED"}
        results = self._results(wav, self.personal if is_redacted else frozenset())
        if "IdentifyLanguage" in request:
            results["language_code"] = "en-GB"
        body = json.dumps({**document, "isRedacted": is_redacted, "results": results}).encode()
        self.s3.put_object(Bucket=request["OutputBucketName"], Key=str(key), Body=body)
        field_name = "RedactedTranscriptFileUri" if is_redacted else "TranscriptFileUri"
        uri = f"https://s3.eu-west-2.amazonaws.com/{request['OutputBucketName']}/{key}"
        found["answer"] |= {"TranscriptionJobStatus": "COMPLETED", "Transcript": {field_name: uri}}
        return _event(job, "COMPLETED")

    def fail(self, job: str) -> dict[str, Any]:
        """Let a job fail; return the event of its end."""
        self._jobs[job]["answer"] |= {"TranscriptionJobStatus": "FAILED", "FailureReason": "Invalid file size"}
        return _event(job, "FAILED")

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Serve one request."""
        with self._lock:
            if self.refusals:
                raise _RefusedError(self.refusals.pop(0), "refused by the test")
            if operation == "StartTranscriptionJob":
                self.requests.append(request)
                return self._start(request)
            found = self._jobs.get(request["TranscriptionJobName"])
            if found is None:
                raise _RefusedError("BadRequestException", "The requested job couldn't be found.")
            return {"TranscriptionJob": found["answer"]}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TranscriptionJobName"]
        if not _NAME.fullmatch(name) or not _OUTPUT_KEY.fullmatch(request["OutputKey"]):
            raise _RefusedError("BadRequestException", "a name breaks its pattern")
        if ("LanguageCode" in request) == ("IdentifyLanguage" in request):
            raise _RefusedError("BadRequestException", "one of LanguageCode and IdentifyLanguage")
        if name in self._jobs:
            raise _RefusedError("ConflictException", "The requested job name already exists.")
        answer = {"TranscriptionJobName": name, "TranscriptionJobStatus": "IN_PROGRESS"}
        self._jobs[name] = {"request": request, "answer": answer}
        return {"TranscriptionJob": answer}

    def _results(self, wav: bytes, personal: frozenset[str]) -> dict[str, Any]:
        with wave.open(io.BytesIO(wav)) as opened:
            if opened.getnchannels() != 2:
                raise ValueError("channel identification wants two channels")
            rate, samples = opened.getframerate(), opened.readframes(opened.getnframes())
        channels = []
        for index in range(2):
            label = f"ch_{index}"
            words = self.recognizer.words_of(channel(samples, index), rate)
            items = [{"channel_label": label, **_item(word, is_personal=word.text in personal)} for word in words]
            if items:
                alternative = {"confidence": "0.0", "content": "."}
                items.append({"channel_label": label, "type": "punctuation", "alternatives": [alternative]})
            channels.append({"channel_label": label, "items": items})
        return {"transcripts": [], "channel_labels": {"channels": channels, "number_of_channels": 2}}


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


def _item(word: RecognizedWord, *, is_personal: bool) -> dict[str, Any]:
    alternative: dict[str, Any] = {"confidence": "0.99", "content": word.text}
    if is_personal:
        alternative = {"content": "[PII]", "redactions": [{"confidence": "0.99"}]}
    times = {"start_time": f"{word.start:.2f}", "end_time": f"{word.end:.2f}"}
    return {**times, "type": "pronunciation", "alternatives": [alternative]}


def _event(job: str, status: str) -> dict[str, Any]:
    return {
        "version": "0",
        "source": "aws.transcribe",
        "detail-type": "Transcribe Job State Change",
        "detail": {"TranscriptionJobName": job, "TranscriptionJobStatus": status},
    }
