"""The consumer's metrics and log lines of each step. `call_execution` calls it inside the steps alone.

The engine replays everything outside of steps in each invocation. A step that is killed between these lines and its
checkpoint runs again and is counted twice. Nothing here can fail a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from connect_audio.core.audit import Audit, AuditResult
from connect_audio.core.live_state import LiveState, SinkState
from connect_audio.core.manifest import EndReason
from connect_audio.core.plain import to_plain
from connect_audio.core.status import ACCOUNTS_DISAGREE
from connect_audio.ports import Log
from connect_audio.recorder import Checkpoint, Claim, Granted, HandOver, Outcome, OutcomeStatus, Refused, StepResult
from connect_audio.recorder.call_watch import Look, ReadOn, Sleep
from connect_audio.recorder.claim import Refusal
from connect_audio.request import RecordingRequest
from connect_audio.telemetry import Metric, Service, emit

_ENDS: Final = {
    OutcomeStatus.COMPLETE: Metric.RECORDINGS_COMPLETED,
    OutcomeStatus.PARTIAL: Metric.RECORDINGS_PARTIAL,
    OutcomeStatus.EMPTY: Metric.RECORDINGS_EMPTY,
    OutcomeStatus.REFUSED: Metric.RECORDINGS_REFUSED,
    OutcomeStatus.KEY_TAKEN: Metric.RECORDINGS_FAILED,
    OutcomeStatus.FAILED: Metric.RECORDINGS_FAILED,
}

_FAILURES: Final = frozenset({EndReason.SOURCE_FAILED, EndReason.RECORDER_FAILED})


@dataclass(frozen=True, slots=True)
class ConsumerReports:
    """The reports of one execution.

    Args:
        request: the streaming that is recorded.
        logger: carries the execution's keys.
    """

    request: RecordingRequest
    logger: Log

    def claimed(self, claim: Claim, now_ms: int, *, continued: bool) -> None:
        """Report the answer of the claim step.

        Args:
            claim: the answer.
            now_ms: wall clock, ms since the epoch.
            continued: true if this execution redrives a failed one; then the start's delay means nothing.
        """
        values: dict[Metric, float] = {}
        if isinstance(claim, Refused):
            values[Metric.RECORDINGS_REFUSED] = 1
            if claim.reason is Refusal.CLAIMED:
                values[Metric.CLAIMS_REFUSED] = 1
            self.logger.warning("recording refused", extra={"reason": claim.reason.value})
        else:
            if not continued:
                values[Metric.START_DELAY_SECONDS] = max(0, now_ms - self.request.start_timestamp_ms) / 1000
            values[Metric.INTERRUPTED_ATTEMPTS] = claim.repairs
            hours = claim.retention_hours if isinstance(claim, Granted) else None
            self.logger.info("recording claimed", extra={"retention_hours": hours})
        self._emit(values)

    def looked(self, look: Look) -> None:
        """Report a look at a call that is recorded after its end.

        Args:
            look: its result.
        """
        found, watched = look.found, look.watched
        self.logger.info(
            "call looked at",
            extra={"found": type(found).__name__, "looks": watched.looks, "is_announced": look.is_announced},
        )
        if watched.is_disconnected and not isinstance(found, Sleep | ReadOn):
            self._emit({Metric.ENDS_ANNOUNCED if look.is_announced else Metric.ENDS_FOUND: 1})

    def recorded(self, before: Checkpoint, result: StepResult, *, step_s: float, left_s: float) -> None:
        """Report a record step.

        Args:
            before: the checkpoint before the step.
            result: the step's result.
            step_s: duration of the step, seconds.
            left_s: time left of the invocation, seconds.
        """
        after = result.checkpoint
        values: dict[Metric, float] = {
            Metric.STEP_SECONDS: step_s,
            Metric.PARTS: after.parts.number - before.parts.number,
            Metric.RECONNECTS: after.read.reconnects - before.read.reconnects,
            Metric.HAND_OVERS: after.counts.hand_overs - before.counts.hand_overs,
            Metric.DAMAGED_RUNS: result.repairs,
        }
        # A call that is recorded after its end lies behind the stream's head as a matter of course.
        if result.behind_ms is not None and after.end.listed is None:
            values[Metric.BEHIND_LIVE_SECONDS] = result.behind_ms / 1000
        if isinstance(result.next, HandOver):
            values[Metric.DEADLINE_MARGIN_SECONDS] = left_s
        if after.live is not None:
            values |= _of_live(before.live or LiveState(), result, after.live)
        self._emit(values)

    def ended(self, outcome: Outcome, now_ms: int) -> dict[str, Any]:
        """Report the end of the recording.

        Args:
            outcome: its outcome.
            now_ms: wall clock, ms since the epoch.

        Returns:
            The outcome as JSON: the step's result.
        """
        metric = _ENDS[outcome.status]
        if outcome.status is OutcomeStatus.EMPTY and outcome.end_reason in _FAILURES:
            # The stream may hold audio that could not be read.
            metric = Metric.RECORDINGS_FAILED
        values: dict[Metric, float] = {
            metric: 1,
            Metric.AUDIO_SECONDS: outcome.duration_s,
            Metric.GAP_SECONDS: outcome.gap_s,
            Metric.SILENCE_SECONDS: outcome.silence_s,
            Metric.INTERRUPTED_ATTEMPTS: outcome.repairs,
            Metric.ACCOUNTS_DISAGREE: int(ACCOUNTS_DISAGREE in outcome.reasons),
        }
        if outcome.audio_end_ms is not None:
            values[Metric.FINISH_DELAY_SECONDS] = max(0, now_ms - outcome.audio_end_ms) / 1000
        self._emit(values, status=outcome.status.value, end_reason=outcome.end_reason and outcome.end_reason.value)
        result = to_plain(outcome)
        self.logger.info("recording finished", extra=result)
        return result

    def audited(self, result: AuditResult | None, audit: Audit | None, outcome: Outcome) -> None:
        """Report the end of an audit.

        Args:
            result: its outcome; None for a recording that another program has repaired.
            audit: the audit; None where the stream was not listed.
            outcome: the recording that is there now.
        """
        if result is AuditResult.REPAIRED:
            self._emit({Metric.RECORDINGS_REPAIRED: 1}, status=outcome.status.value)
        self.logger.info(
            "recording audited",
            extra={
                "result": result and result.value,
                "status": outcome.status.value,
                "listed": audit and audit.listed,
                "recoverable": audit and audit.recoverable,
            },
        )

    def not_audited(self, error: str) -> None:
        """Report that an audit or a repair failed for good.

        Args:
            error: the last error; no personal data.
        """
        self._emit({Metric.REPAIRS_FAILED: 1}, error=error)
        self.logger.error("recording not repaired: it stays as it is", extra={"error": error})

    def not_announced(self, error: str) -> dict[str, Any]:
        """Report that EventBridge did not take the event.

        Args:
            error: the last error; no personal data.

        Returns:
            The step's result.
        """
        self._emit({Metric.ANNOUNCEMENTS_FAILED: 1}, error=error)
        self.logger.error("recording not announced", extra={"error": error})
        return {"error": error}

    def _emit(self, values: dict[Metric, float], **metadata: str | None) -> None:
        emit(
            Service.CONSUMER,
            values,
            contact_id=self.request.contact_id,
            execution_name=self.request.execution_name,
            **metadata,
        )


def _of_live(before: LiveState, result: StepResult, after: LiveState) -> dict[Metric, float]:
    """Return the metrics of live audio in a record step."""
    deliveries = failures = opened = failed = 0
    dropped = recognized = messages = 0
    for name, sink in after.sinks.items():
        known = before.sinks.get(name, SinkState())
        counts, earlier = sink.counts, known.counts
        deliveries += counts.delivered - earlier.delivered
        failures += counts.failures - earlier.failures
        dropped += counts.dropped_frames - earlier.dropped_frames
        recognized += counts.recognized_frames - earlier.recognized_frames
        messages += counts.dropped_messages - earlier.dropped_messages
        opened += counts.circuit_opened - earlier.circuit_opened
        failed += sink.failure is not None and known.failure is None
    timeline = result.checkpoint.cursor.timeline
    rate = timeline.rate if timeline else 8000
    # A metric costs money once it occurs, so calls without a recognizer have no such line.
    of_words: dict[Metric, float] = {Metric.RECOGNIZED_SECONDS: recognized / rate} if recognized else {}
    if messages:
        of_words[Metric.LIVE_DROPPED_MESSAGES] = messages
    return {
        Metric.LIVE_DELIVERIES: deliveries,
        Metric.LIVE_FAILURES: failures,
        Metric.LIVE_DROPPED_SECONDS: dropped / rate,
        Metric.LIVE_LAG_SECONDS: result.live_lag_s,
        Metric.LIVE_CIRCUITS_OPENED: opened,
        Metric.LIVE_SINKS_FAILED: failed,
        **of_words,
    }
