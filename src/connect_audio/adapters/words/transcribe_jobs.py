"""Jobs of Amazon Transcribe by boto3: start one for a recording, and ask for its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError

from connect_audio.words.transcribe_job import JobState, JobStatus

TRANSCRIBE_CONFIG: Final = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
)
"""Time limits of a call, seconds."""
_STATES: Final = {"COMPLETED": JobStatus.COMPLETED, "FAILED": JobStatus.FAILED}
# Transcribe's own name of "there is no such job" is both.
_ABSENT: Final = frozenset({"BadRequestException", "NotFoundException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeService:
    """Amazon Transcribe's API for jobs.

    Args:
        client: boto3's client.
        bucket: bucket of recordings and results.
        language: language code, such as `en-US`; None lets Transcribe find it.
        vocabulary: name of a custom vocabulary; None without.
        is_redacted: True to have personal data replaced.
        kms_key_arn: key that encrypts the results; None for the bucket's own encryption.
    """

    client: Any
    bucket: str
    language: str | None
    vocabulary: str | None
    is_redacted: bool
    kms_key_arn: str | None

    def start(self, job: str, media_uri: str, result_key: str) -> bool:
        """Start a job with channel identification; False if there is one of that name already.

        Raises:
            ClientError: Transcribe refused it.
        """
        settings: dict[str, Any] = {"ChannelIdentification": True}
        if self.vocabulary is not None:
            settings["VocabularyName"] = self.vocabulary
        request: dict[str, Any] = {
            "TranscriptionJobName": job,
            "Media": {"MediaFileUri": media_uri},
            "MediaFormat": "wav",
            "OutputBucketName": self.bucket,
            "OutputKey": result_key,
            "Settings": settings,
        }
        request |= {"IdentifyLanguage": True} if self.language is None else {"LanguageCode": self.language}
        if self.is_redacted:
            request["ContentRedaction"] = {"RedactionType": "PII", "RedactionOutput": "redacted"}
        if self.kms_key_arn is not None:
            request["OutputEncryptionKMSKeyId"] = self.kms_key_arn
        try:
            self.client.start_transcription_job(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise
            return False
        return True

    def state(self, job: str) -> JobState:
        """Return a job's state.

        Raises:
            ClientError: Transcribe did not say.
        """
        try:
            answer = self.client.get_transcription_job(TranscriptionJobName=job)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            return JobState(JobStatus.UNKNOWN)
        found = answer["TranscriptionJob"]
        status = _STATES.get(found["TranscriptionJobStatus"], JobStatus.RUNNING)
        result = found.get("Transcript") or {}
        uri = result.get("RedactedTranscriptFileUri") or result.get("TranscriptFileUri")
        return JobState(status, None if uri is None else self._key(uri))

    def _key(self, uri: str) -> str:
        """The key of an address such as https://s3.eu-west-2.amazonaws.com/bucket/key."""
        return unquote(urlsplit(uri).path).removeprefix(f"/{self.bucket}/").removeprefix("/")
