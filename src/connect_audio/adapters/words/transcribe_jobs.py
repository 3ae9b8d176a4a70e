"""Jobs of Amazon Transcribe by boto3: start one for a recording, and ask for its state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError

from connect_audio.words.transcribe_job import JobOptions, JobState, JobStatus

TRANSCRIBE_CONFIG: Final = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
)
"""Time limits of a call, seconds."""
PII_REDACTION: Final = {"RedactionType": "PII", "RedactionOutput": "redacted"}
"""The redacted result alone is written."""
_STATES: Final = {"COMPLETED": JobStatus.COMPLETED, "FAILED": JobStatus.FAILED}
# Transcribe's own name of "there is no such job" is both.
_ABSENT: Final = frozenset({"BadRequestException", "NotFoundException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeService:
    """Amazon Transcribe's API for jobs.

    Args:
        client: boto3's client.
        options: the options of each job.
    """

    client: Any
    options: JobOptions

    def start(self, job: str, media_uri: str, result_key: str) -> bool:
        """Start a job with channel identification; False if there is one of that name already.

        Raises:
            ClientError: Transcribe refused it.
        """
        options = self.options
        settings: dict[str, Any] = {"ChannelIdentification": True}
        if options.vocabulary is not None:
            settings["VocabularyName"] = options.vocabulary
        request: dict[str, Any] = {
            "TranscriptionJobName": job,
            "Media": {"MediaFileUri": media_uri},
            "MediaFormat": "wav",
            "OutputBucketName": options.bucket,
            "OutputKey": result_key,
            "Settings": settings,
        }
        request |= {"IdentifyLanguage": True} if options.language is None else {"LanguageCode": options.language}
        if options.is_redacted:
            request["ContentRedaction"] = PII_REDACTION
        if options.kms_key_arn is not None:
            request["OutputEncryptionKMSKeyId"] = options.kms_key_arn
        return started(lambda: self.client.start_transcription_job(**request))

    def state(self, job: str) -> JobState:
        """Return a job's state.

        Raises:
            ClientError: Transcribe did not say.
        """
        return state_of(
            lambda: self.client.get_transcription_job(TranscriptionJobName=job), "TranscriptionJob", self.options.bucket
        )


def started(start: Callable[[], Any]) -> bool:
    """Make a request that starts a job; False if there is one of that name already.

    Raises:
        ClientError: Transcribe refused it.
    """
    try:
        start()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConflictException":
            raise
        return False
    return True


def state_of(get: Callable[[], Any], name: str, bucket: str) -> JobState:
    """Make a request for a job's state.

    Args:
        get: the request.
        name: the job's name in the answer, with which its status begins, too.
        bucket: bucket of the results.

    Raises:
        ClientError: Transcribe did not say.
    """
    try:
        found = get()[name]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
        return JobState(JobStatus.UNKNOWN)
    status = _STATES.get(found[f"{name}Status"], JobStatus.RUNNING)
    result = found.get("Transcript") or {}
    uri = result.get("RedactedTranscriptFileUri") or result.get("TranscriptFileUri")
    return JobState(status, None if uri is None else _key(uri, bucket))


def _key(uri: str, bucket: str) -> str:
    """The key of an address such as https://s3.eu-west-2.amazonaws.com/bucket/key."""
    return unquote(urlsplit(uri).path).removeprefix(f"/{bucket}/").removeprefix("/")
