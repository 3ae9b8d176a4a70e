"""The consumer: a durable function that records one call, over as many invocations as it lasts.

Handler string `connect_audio.handlers.consumer.handler`. `call_execution` says which step follows which,
`call_assembly` what each step works with.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from connect_audio.adapters.aws_session import aws_session
from connect_audio.core.errors import RequestError, SettingsError
from connect_audio.core.plain import to_plain
from connect_audio.handlers.call_assembly import assembled
from connect_audio.handlers.call_execution import CallExecution
from connect_audio.handlers.durable import durable
from connect_audio.handlers.initialization import at_initialization
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.recorder.continuation import Continuation
from connect_audio.request import RecordingRequest
from connect_audio.settings import ConsumerSettings
from connect_audio.telemetry import Metric, Service, emit

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python import DurableContext

logger = function_logger()


@logger.inject_lambda_context(clear_state=True)
@traced
@durable
def handler(event: Any, context: DurableContext) -> dict[str, Any]:
    """Record one call.

    Args:
        event: the output of `RecordingRequest.to_payload`; with a `Continuation`, the call goes on where an earlier
            execution failed.
        context: the durable execution's.

    Returns:
        An `Outcome` as JSON. If the input is no request: `{"status": "rejected", "reason", "detail"}`.

    Raises:
        SettingsError: the function's environment is wrong.
        RequestError: another release of `connect-audio redrive` wrote the continuation.
        StepError: the claim or the publication failed for good.
    """
    try:
        settings = ConsumerSettings.from_environment()
    except SettingsError:
        emit(Service.CONSUMER, {Metric.SETTINGS_REFUSED: 1})
        raise
    try:
        request = RecordingRequest.from_payload(event)
    except RequestError as error:
        logger.warning("input rejected", extra={"reason": error.reason, "detail": str(error)})
        return {"status": "rejected", "reason": error.reason, "detail": str(error)}
    logger.append_keys(contact_id=request.contact_id, execution_name=request.execution_name)
    # A continuation that cannot be read fails the execution, so that its input returns to the dead-letter queue.
    done = Continuation.from_payload(event)
    if done is None:
        done = Continuation(execution=context.execution_context.durable_execution_arn)
    with assembled(event, request, settings, done.execution, logger) as call:
        return to_plain(CallExecution(context, call, done).run())


def _load_service_models() -> None:
    """Make the clients of a recording once. Each execution makes its own clients, and they find the models loaded."""
    for service in ("s3", "connect", "kinesisvideo", "kinesis-video-media"):
        aws_session().client(service).close()


def _load_sdk_of_words() -> None:
    """Import Transcribe's SDK, if the function has its layer.

    In the call it would take 0.6 s of processor, 4 s at the share of 256 MB. A call's first words would be so late. A
    layer that cannot be imported keeps no call from being recorded: the sink reports it.
    """
    if find_spec("aws_sdk_transcribe_streaming") is not None:
        with suppress(Exception):
            import connect_audio.adapters.words.transcribe_connection  # noqa: F401, PLC0415 - few stacks have the layer


at_initialization(_load_service_models)
at_initialization(_load_sdk_of_words)
