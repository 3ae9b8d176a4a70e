"""The function for executions that Lambda ended: says which recording they leave behind.

Handler string `connect_audio.handlers.execution_ended.handler`. An EventBridge rule invokes it for each execution of
the consumer that failed, timed out or was stopped. Such an execution runs no code any more. The function writes nothing
into the bucket: a redriven execution goes on with the objects that lie there.
"""

from __future__ import annotations

from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

from connect_audio.adapters.aws_session import botocore_session
from connect_audio.adapters.callbacks import CALLBACKS_CONFIG
from connect_audio.adapters.execution_event import ended_execution_of, known_execution
from connect_audio.adapters.recording_events import EVENTS_CONFIG, EventBridgeBus
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.outcome import Outcome, OutcomeStatus
from connect_audio.recorder.recording_event import SOURCE, recording_event
from connect_audio.settings import ConsumerSettings
from connect_audio.telemetry import Metric, Service, emit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from botocore.config import Config

    from connect_audio.request import RecordingRequest

logger = function_logger()


@cache
def _settings() -> ConsumerSettings:
    return ConsumerSettings.from_environment()


@logger.inject_lambda_context(clear_state=True)
@traced
def handler(event: Any, _context: LambdaContext) -> dict[str, Any]:
    """Say which recording an ended execution leaves behind.

    Args:
        event: Lambda's event, as EventBridge hands it on.
        _context: Lambda's context.

    Returns:
        `result`: `lost` if the recording is not published, `published` if it is. `announced` if the execution said so
        itself. `unknown` if Lambda keeps no input of it. `ignored` for an event that ends no execution.

    Raises:
        SettingsError: the function's own environment is wrong.
        StorageError: S3 failed. Lambda invokes the function again, as after the next two.
        ClientError: Lambda did not show the execution.
        AnnouncementError: EventBridge did not take the event.
    """
    ended = ended_execution_of(event)
    if ended is None:
        logger.info("event ends no execution")
        return {"result": "ignored"}
    logger.append_keys(execution_name=ended.name)
    with closing(_client("lambda", CALLBACKS_CONFIG)) as client:
        known = known_execution(client, ended.arn)
    if known is None:
        emit(Service.EXECUTION_ENDED, {Metric.EXECUTIONS_ENDED: 1}, execution_name=ended.name, reason=ended.reason)
        logger.error("execution ended, and Lambda shows no input of it", extra={"reason": ended.reason})
        return {"result": "unknown"}
    request = known.request
    logger.append_keys(contact_id=request.contact_id, execution_name=request.execution_name)
    if known.is_announced:
        logger.info(
            "execution ended after it announced its failure", extra={"execution_arn": ended.arn, "reason": ended.reason}
        )
        return {"result": "announced"}
    names = RecordingNames(_settings().recordings_bucket, request.recording_key(_settings().recordings_prefix))
    if _is_published(names):
        logger.warning(
            "execution ended behind its published recording", extra={"execution_arn": ended.arn, "reason": ended.reason}
        )
        return {"result": "published"}
    ids = {"contact_id": request.contact_id, "execution_name": request.execution_name}
    emit(Service.EXECUTION_ENDED, {Metric.EXECUTIONS_ENDED: 1}, **ids, reason=ended.reason)
    logger.error(
        "execution ended before its recording was published: redrive it",
        extra={"execution_arn": ended.arn, "reason": ended.reason},
    )
    _announce(request, names, ended.reason)
    return {"result": "lost"}


def _client(service: str, config: Config) -> Any:
    return botocore_session().create_client(service, config=config)


def _is_published(names: RecordingNames) -> bool:
    """Return True if the manifest is there, which a recording gets last. Listing it needs no right to read it."""
    with closing(_client("s3", S3_CONFIG)) as s3:
        return names.manifest in S3PartStore(names.bucket, client=s3).list_keys(names.manifest)


def _announce(request: RecordingRequest, names: RecordingNames, reason: str) -> None:
    bus = _settings().event_bus_name
    event = recording_event(request, Outcome(status=OutcomeStatus.FAILED, reasons=(reason,)), names)
    if bus is None or event is None:
        return
    with closing(_client("events", EVENTS_CONFIG)) as client:
        event_id = EventBridgeBus(bus, source=SOURCE, client=client).put(event.detail_type, event.detail)
    logger.info("recording announced", extra={"event_id": event_id})
