"""Call Analytics jobs of Amazon Transcribe by boto3: words with sentiment, loudness and interruptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from connect_audio.adapters.words.transcribe_jobs import PII_REDACTION, started, state_of
from connect_audio.core.pcm import PARTIES
from connect_audio.words.transcribe_job import JobOptions, JobState

_CHANNELS: Final = [{"ChannelId": at, "ParticipantRole": party.upper()} for at, party in enumerate(PARTIES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnalyticsService:
    """Amazon Transcribe's API for Call Analytics jobs.

    Args:
        client: boto3's client.
        options: the options of each job.
        role_arn: role with which Transcribe reads the recording and writes the result.
    """

    client: Any
    options: JobOptions
    role_arn: str

    def start(self, job: str, media_uri: str, result_key: str) -> bool:
        """Start a job with a party on each channel; False if there is one of that name already.

        Raises:
            ClientError: Transcribe refused it.
        """
        options = self.options
        settings: dict[str, Any] = {}
        if options.language is not None:
            settings["LanguageOptions"] = [options.language]
        if options.vocabulary is not None:
            settings["VocabularyName"] = options.vocabulary
        if options.is_redacted:
            settings["ContentRedaction"] = PII_REDACTION
        request: dict[str, Any] = {
            "CallAnalyticsJobName": job,
            "Media": {"MediaFileUri": media_uri},
            "OutputLocation": f"s3://{options.bucket}/{result_key}",
            "DataAccessRoleArn": self.role_arn,
            "ChannelDefinitions": _CHANNELS,
        }
        if settings:
            request["Settings"] = settings
        if options.kms_key_arn is not None:
            request["OutputEncryptionKMSKeyId"] = options.kms_key_arn
        return started(lambda: self.client.start_call_analytics_job(**request))

    def state(self, job: str) -> JobState:
        """Return a job's state.

        Raises:
            ClientError: Transcribe did not say.
        """
        bucket = self.options.bucket
        return state_of(
            lambda: self.client.get_call_analytics_job(CallAnalyticsJobName=job), "CallAnalyticsJob", bucket
        )
