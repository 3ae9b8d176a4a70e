"""The function for contact events: notes the end of a contact, and wakes the executions that wait for it.

Handler string `connect_audio.handlers.contact_ended.handler`. An EventBridge rule invokes it for each voice contact
that Connect disconnects, recorded or not. Its failure delays a recording and loses
none: the consumer also asks Connect.
"""

from __future__ import annotations

from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from connect_audio.adapters.aws_session import botocore_session
from connect_audio.adapters.callbacks import CALLBACKS_CONFIG, wake
from connect_audio.adapters.contact_ends import StoredContactEnds
from connect_audio.adapters.contact_event import contact_end_of
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.settings import ConsumerSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

logger = function_logger()


@cache
def _settings() -> ConsumerSettings:
    return ConsumerSettings.from_environment()


@logger.inject_lambda_context(clear_state=True)
@traced
def handler(event: Any, _context: LambdaContext) -> dict[str, Any]:
    """Note the end that an event announces.

    Args:
        event: Connect's contact event, as EventBridge hands it on.
        _context: Lambda's context.

    Returns:
        `woken`: how many executions were woken; `ignored`: true for an event that ends no contact.

    Raises:
        SettingsError: the function's own environment is wrong.
        StorageError: S3 failed. Lambda invokes the function again.
        ClientError: an execution could not be woken. Lambda invokes the function again.
    """
    ended = contact_end_of(event)
    if ended is None:
        logger.info("event ends no contact")
        return {"ignored": True, "woken": 0}
    logger.append_keys(contact_id=ended.contact_id)
    settings, session = _settings(), botocore_session()
    with (
        closing(cast("S3Client", session.create_client("s3", config=S3_CONFIG))) as s3,
        closing(cast("LambdaClient", session.create_client("lambda", config=CALLBACKS_CONFIG))) as client,
    ):
        bucket = settings.staging_bucket or settings.recordings_bucket
        store = S3PartStore(bucket, client=s3, kms_key_arn=settings.recordings_kms_key_arn)
        ends = StoredContactEnds(store, settings.recordings_prefix)
        # Before the look at who waits: an execution that enters later finds it.
        ends.end(ended.contact_id, ended.ended_ms)
        woken = sum(wake(client, callback_id) for callback_id in ends.waiting(ended.contact_id))
    logger.info("contact ended", extra={"woken": woken})
    return {"ignored": False, "woken": woken}
