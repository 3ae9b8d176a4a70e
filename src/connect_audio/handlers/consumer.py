"""The consumer: a durable function that records one call, over as many invocations as it lasts.

Handler string `connect_audio.handlers.consumer.handler`. The engine replays this code from the top in every
invocation, so each branch depends on step results alone; everything that touches the world is inside a step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from aws_durable_execution_sdk_python import DurableContext, StepError, durable_execution
from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.serdes import JsonSerDes

from connect_audio.adapters.aws_session import aws_session
from connect_audio.adapters.contact_status import CONNECT_CONFIG, ConnectContactStatus
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.recording_events import EVENTS_CONFIG, EventBridgeBus
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import AnnouncementError, MediaSourceError, RequestError, SettingsError, StorageError
from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.handlers.live_sinks import live_audio
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.reporting import ConsumerReports
from connect_audio.handlers.tracing import traced
from connect_audio.recorder import (
    AlreadyPublished,
    Budget,
    Checkpoint,
    Claim,
    EndOfRecording,
    Outcome,
    OutcomeStatus,
    Over,
    PartDone,
    Policy,
    Recorded,
    Recorder,
    RecorderPorts,
    Refused,
    StepResult,
    Wait,
    claim_recording,
    publish_recording,
)
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.recording_event import SOURCE, recording_event
from connect_audio.request import RecordingRequest
from connect_audio.settings import ConsumerSettings
from connect_audio.telemetry import Metric, Service, emit

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

logger = function_logger()

_MIN_STEP_S: Final = 30
"""With less time than this left, a part's end hands over instead of beginning another."""


def _retry(most_attempts: int, longest_delay_s: int) -> Callable[[Exception, int], RetryDecision]:
    """Run a step again only where AWS may do better; a bug never does, and would cost an invocation each time."""

    def decide(error: Exception, attempts: int) -> RetryDecision:
        passing = isinstance(error, StorageError | MediaSourceError | AnnouncementError) and error.retryable
        if passing and attempts < most_attempts:
            return RetryDecision.retry(Duration.from_seconds(min(longest_delay_s, 2 ** min(attempts, 16))))
        return RetryDecision.no_retry()

    return decide


# Half an hour: a stream with retention gives what was missed meanwhile, and each attempt is one of 3000 operations.
_STEP: Final = StepConfig(retry_strategy=_retry(36, 60), serdes=JsonSerDes())
# Three hours: everything is in S3 and nothing else can publish it, while waiting costs nothing.
_LAST_STEP: Final = StepConfig(retry_strategy=_retry(44, 300), serdes=JsonSerDes())
# Eight minutes: the recording is there already, and the execution has an end of its own to keep to.
_ANNOUNCEMENT: Final = StepConfig(retry_strategy=_retry(10, 120), serdes=JsonSerDes())


@logger.inject_lambda_context(clear_state=True)
@traced
@durable_execution
def handler(event: Any, context: DurableContext) -> dict[str, Any]:
    """Record one call.

    Args:
        event: what `RecordingRequest.to_payload` wrote; with a `Continuation`, goes on where a dead execution stood.
        context: the durable execution's.

    Returns:
        An `Outcome` as JSON; for an input that is none, `{"status": "rejected", "reason", "detail"}`.

    Raises:
        SettingsError: the function's environment is wrong.
        RequestError: what the input continues was written by another release of `connect-audio redrive`.
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
    # An unreadable continuation fails the execution, so that its input goes back into the dead-letter queue.
    continued = Continuation.from_payload(event)
    clock = SystemClock()
    session = aws_session()
    s3 = session.client("s3", config=S3_CONFIG)
    connect = session.client("connect", config=CONNECT_CONFIG)
    source = KvsMediaSource(
        request.stream_arn, session=session, read_timeout_s=settings.read_timeout_seconds, clock=clock
    )
    store = S3PartStore(settings.recordings_bucket, client=s3, kms_key_arn=settings.recordings_kms_key_arn)
    names = RecordingNames(settings.recordings_bucket, request.recording_key(settings.recordings_prefix))
    execution = continued.execution if continued else context.execution_context.durable_execution_arn
    ports = RecorderPorts(
        request=request,
        names=names,
        execution=execution,
        source=source,
        store=store,
        status=ConnectContactStatus(connect),
        clock=clock,
        policy=Policy(
            drain=settings.drain_seconds,
            idle_limit=settings.idle_limit_seconds,
            status_interval=settings.status_interval_seconds,
            limit_s=settings.recording_limit_hours * 3600,
        ),
        logger=logger,
    )
    reports = ConsumerReports(request, logger)

    def announce(outcome: Outcome) -> dict[str, Any]:
        event = recording_event(request, outcome, names)
        if event is None or settings.event_bus_name is None:
            return {}
        with closing(session.client("events", config=EVENTS_CONFIG)) as client:
            bus = EventBridgeBus(settings.event_bus_name, source=SOURCE, client=client)
            event_id = bus.put(event.detail_type, event.detail)
        logger.info("recording announced", extra={"event_id": event_id})
        return {"event": event_id}

    live_of_call = live_audio(event, request, settings, session=session, clock=clock, logger=logger)
    with (
        closing(s3),
        closing(connect),
        closing(source),
        live_of_call as live,
        Recorder(replace(ports, live=live)) as recorder,
    ):
        try:
            outcome = _record_call(
                context,
                ports,
                recorder,
                settings.deadline_margin_seconds,
                continued or Continuation(execution=execution),
                reports,
            )
        except StepError:
            failed = Outcome(
                status=OutcomeStatus.FAILED, reasons=("STEP_FAILED",), end_reason=EndReason.RECORDER_FAILED
            )
            _step(context, "failed", lambda: reports.ended(failed, clock.now_ms()))
            _announce(context, reports, lambda: announce(failed))
            raise
        _announce(context, reports, lambda: announce(outcome))
        return to_plain(outcome)


def _step(
    context: DurableContext, name: str, work: Callable[[], dict[str, Any]], config: StepConfig = _STEP
) -> dict[str, Any]:
    def run(_: StepContext) -> dict[str, Any]:
        return work()

    return context.step(run, name=name, config=config)


def _announce(context: DurableContext, reports: ConsumerReports, announce: Callable[[], dict[str, Any]]) -> None:
    """Announce the result. A failure changes nothing about the recording."""
    try:
        _step(context, "announce", announce, _ANNOUNCEMENT)
    except StepError as error:
        reason = f"{error.error_type}: {error}"
        _step(context, "announce-failed", lambda: reports.not_announced(reason))


def _record_call(
    context: DurableContext,
    ports: RecorderPorts,
    recorder: Recorder,
    margin_s: int,
    done: Continuation,
    reports: ConsumerReports,
) -> Outcome:
    clock = ports.clock

    def left_s() -> float:
        lambda_context = context.lambda_context
        return 900.0 if lambda_context is None else lambda_context.get_remaining_time_in_millis() / 1000

    def claim_key() -> dict[str, Any]:
        claim = claim_recording(ports)
        reports.claimed(claim, clock.now_ms(), continued=done.last is not None)
        return to_plain(claim, Claim)

    def record(checkpoint: Checkpoint) -> dict[str, Any]:
        began = clock.monotonic()
        deadline = began + left_s() - margin_s
        result = recorder.record(checkpoint, Budget(deadline, deadline - _MIN_STEP_S))
        reports.recorded(checkpoint, result, step_s=clock.monotonic() - began, left_s=left_s())
        return to_plain(result)

    claim: Claim = from_plain(Claim, _step(context, "claim", claim_key))
    if isinstance(claim, Refused):
        return Outcome(status=OutcomeStatus.REFUSED, reasons=(claim.reason.value,))
    checkpoint, last, end = Checkpoint(), "finish", EndOfRecording(EndReason.RECORDER_FAILED)
    if done.last is not None:
        checkpoint = done.last.checkpoint
    elif not isinstance(claim, AlreadyPublished):
        checkpoint = claim.checkpoint()
    try:
        for number in count(1):
            if done.over or isinstance(claim, AlreadyPublished):
                break
            recorded = _step(context, f"record-{number:05d}", lambda at=checkpoint: record(at))  # type: ignore[misc]
            result = from_plain(StepResult, recorded)
            done, checkpoint = done.after(result), result.checkpoint
            if not isinstance(result.next, PartDone | Over):
                wait_s = result.next.seconds if isinstance(result.next, Wait) else 1
                context.wait(Duration.from_seconds(wait_s), name=f"pause-{number:05d}")
    except StepError as error:
        # The audio up to the last checkpoint is in S3: publish it as partial.
        end, last = _cut_short(f"a record step failed for good: {error.error_type}"), "salvage"
    if done.last is not None and isinstance(done.last.next, Over):
        end = done.last.next.end
    elif isinstance(claim, AlreadyPublished):
        end, last = _cut_short("an earlier execution published what it had, and died before it could say so"), "salvage"
    left = Recorded(checkpoint=checkpoint, parts=done.parts, notes_keys=done.notes_keys, end=end)

    def publish() -> dict[str, Any]:
        return reports.ended(publish_recording(ports, left), clock.now_ms())

    return from_plain(Outcome, _step(context, last, publish, _LAST_STEP))


def _cut_short(detail: str) -> EndOfRecording:
    return EndOfRecording(EndReason.RECORDER_FAILED, (Reason("STEP_FAILED", detail),))
