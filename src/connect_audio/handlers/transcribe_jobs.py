"""The function for words after the call: starts a Transcribe job for each recording, and files its result.

Handler string `connect_audio.handlers.transcribe_jobs.handler`, of the stack `examples/transcribe-jobs.yaml`. Three
EventBridge rules invoke it: a recording is published, a job has ended, and a schedule for events that were lost.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from connect_audio.adapters.aws_session import aws_session
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.adapters.words.call_analytics_jobs import CallAnalyticsService
from connect_audio.adapters.words.transcribe_jobs import TRANSCRIBE_CONFIG, TranscribeService
from connect_audio.core.errors import StorageError
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.recorder.batch_words import BatchWords, Filed
from connect_audio.recorder.recording_event import REPAIRED
from connect_audio.settings import TranscribeJobSettings
from connect_audio.words.transcribe_job import JobOptions, TranscribeJobs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = function_logger()


class TranscribeJobError(Exception):
    """Jobs failed, or wrote no result that can be read. Their recordings have no transcript."""


@logger.inject_lambda_context(clear_state=True)
@traced
def handler(event: Any, _context: LambdaContext) -> dict[str, Any]:
    """Start a job, or file results.

    Args:
        event: EventBridge's event of one of the three rules.
        _context: Lambda's context.

    Returns:
        For each announced execution or job its name and `started`, `running`, `filed`, `kept` or `ignored`.

    Raises:
        SettingsError: the function's own environment is wrong.
        StorageError: S3 failed. Lambda invokes the function again, as after the next.
        ClientError: Transcribe refused a request.
        TranscribeJobError: a job failed. It is raised once, so that the alarm rings.
    """
    settings = TranscribeJobSettings.from_environment()
    session = aws_session()
    with (
        closing(session.client("s3", config=S3_CONFIG)) as s3,
        closing(cast("Any", session).client("transcribe", config=TRANSCRIBE_CONFIG)) as client,
    ):
        bucket, key_arn = settings.recordings_bucket, settings.recordings_kms_key_arn
        words = BatchWords(
            bucket=bucket,
            recordings_prefix=settings.recordings_prefix,
            jobs_prefix=settings.jobs_prefix,
            language=settings.language,
            store=S3PartStore(bucket, client=s3, kms_key_arn=key_arn),
            jobs=_service(client, settings),
        )
        found = _handled(event, words)
    for job, filed in found.items():
        logger.info("transcribe job", extra={"job": job, "result": filed.value})
    failed = [job for job, filed in found.items() if filed is Filed.FAILED]
    if failed:
        raise TranscribeJobError(f"no transcript of {', '.join(failed)}")
    return {job: filed.value for job, filed in found.items()}


def _service(client: Any, settings: TranscribeJobSettings) -> TranscribeJobs:
    options = JobOptions(
        bucket=settings.recordings_bucket,
        language=settings.language,
        vocabulary=settings.vocabulary,
        is_redacted=settings.redaction,
        kms_key_arn=settings.recordings_kms_key_arn,
    )
    if settings.analytics_role_arn is None:
        return TranscribeService(client=client, options=options)
    return CallAnalyticsService(client=client, options=options, role_arn=settings.analytics_role_arn)


def _handled(event: Any, words: BatchWords) -> dict[str, Filed]:
    detail = event.get("detail") or {}
    if event.get("source") == "connect-audio":
        start = words.start_again if event.get("detail-type") == REPAIRED else words.start
        return {str(detail.get("executionName")): start(detail)}
    if event.get("source") == "aws.transcribe":
        # Call Analytics has a name of its own for it.
        job = str(detail.get("TranscriptionJobName") or detail.get("JobName"))
        return {job: words.look(job)}
    return {job: _looked_at(job, words) for job in words.due()}


def _looked_at(job: str, words: BatchWords) -> Filed:
    """Look at one job of many: a request that is refused must not keep the rest from their words."""
    try:
        return words.look(job)
    except (ClientError, StorageError):
        logger.exception("transcribe job cannot be looked at", extra={"job": job})
        return Filed.FAILED
