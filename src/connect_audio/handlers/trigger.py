"""The trigger: Connect's flow block calls it, it starts the consumer and answers with flat strings within 8 s.

Handler string `connect_audio.handlers.trigger.handler`. To the flow the answer's keys are attributes, for example
`$.External.status`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from connect_audio.adapters.connect_event import contact_id_of, parse_connect_event
from connect_audio.adapters.consumer_start import ConsumerStart, NotStarted, lambda_client
from connect_audio.core.errors import RequestError, SettingsError
from connect_audio.handlers.initialization import at_initialization
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.request import RecordingMode, stack_mark
from connect_audio.settings import LiveSettings, TriggerSettings, variables_set
from connect_audio.telemetry import Metric, Service, emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = function_logger()


@cache
def _settings() -> TriggerSettings:
    return TriggerSettings.from_environment()


@cache
def _consumer() -> ConsumerStart:
    return ConsumerStart(_settings().consumer_function, lambda_client(_settings().start_timeout_ms))


@cache
def _live() -> Mapping[str, str]:
    """The variables of live audio; none where nothing is to get any."""
    return variables_set(LiveSettings) if LiveSettings.from_environment().sinks else {}


@logger.inject_lambda_context(clear_state=True)
@traced
def handler(event: Any, _context: LambdaContext) -> dict[str, str]:
    """Start the recording that a Connect event asks for.

    Args:
        event: the event of the flow block "Invoke AWS Lambda function", or the tutorials' short form.
        _context: Lambda's context.

    Returns:
        `status` STARTED with `recordingUri` and `executionName`, or `status` REJECTED with `reason` (a code to branch
        on) and `detail` (for the human who looks). All values are strings, as Connect's STRING_MAP wants.

    Raises:
        SettingsError: the function's own environment is wrong: an error of the deployment, not of the event.
    """
    try:
        settings = _settings()
    except SettingsError:
        emit(Service.TRIGGER, {Metric.SETTINGS_REFUSED: 1})
        raise
    contact_id = contact_id_of(event)
    logger.append_keys(contact_id=contact_id)
    try:
        request = replace(parse_connect_event(event, settings.location), stack=stack_mark(settings.consumer_function))
    except RequestError as exc:
        emit(Service.TRIGGER, {Metric.RECORDINGS_REJECTED: 1}, reason=exc.reason, contact_id=contact_id)
        return _rejected(exc.reason, str(exc))
    logger.append_keys(execution_name=request.execution_name)
    ids = {"contact_id": request.contact_id, "execution_name": request.execution_name}
    try:
        live = _live()
    except SettingsError as exc:
        # Live audio is not worth a call without a recording.
        emit(Service.TRIGGER, {Metric.SETTINGS_REFUSED: 1}, reason="LIVE_SETTINGS", **ids)
        logger.error("live settings refused: the call is recorded without live audio", detail=str(exc))  # noqa: TRY400 - no bug, and the text says all
        live = {}
    # Sinks want the audio while the call lasts.
    options = replace(settings.options, mode=RecordingMode.LIVE) if live else settings.options
    outcome = _consumer().start(request, options, live)
    if isinstance(outcome, NotStarted):
        emit(Service.TRIGGER, {Metric.STARTS_REFUSED: 1}, reason=outcome.reason, **ids)
        return _rejected(outcome.reason, outcome.detail)
    emit(Service.TRIGGER, {Metric.RECORDINGS_STARTED: 1}, **ids)
    logger.info("recording started", execution_arn=outcome.execution_arn)
    return {
        "status": "STARTED",
        "recordingUri": f"s3://{settings.recordings_bucket}/{request.recording_key(settings.recordings_prefix)}",
        "executionName": request.execution_name,
    }


def _rejected(reason: str, detail: str) -> dict[str, str]:
    logger.warning("recording rejected", reason=reason, detail=detail)
    return {"status": "REJECTED", "reason": reason, "detail": detail}


at_initialization(_consumer)
