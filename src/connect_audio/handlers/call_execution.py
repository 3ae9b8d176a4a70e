"""The durable execution of one call: which step follows which. Used by the consumer.

How it works. The engine replays this code from the top in every invocation. So each branch depends on step results
alone, everything that touches the world is inside a step, and a step's name never changes.

    claim ── granted ──> record-00001 ─(pause-00001)─> record-00002 ... ──> finish ──> announce
      │                       └─ failed for good ──> salvage ──> announce     └─ failed ──> failed ──> announce
      └─ refused ──> announce

A recording that is not whole is audited behind `announce` (`repair_steps`), if the input says so.

Each record step's result holds the checkpoint for the next one, and the results together hold the uploaded parts.
In the mode `archive` the execution waits until the call is over (`end_wait.py`). It waits before the first record step
and after each one that has read to the stream's head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aws_durable_execution_sdk_python import StepError
from aws_durable_execution_sdk_python.config import Duration

from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.handlers import step_retries
from connect_audio.handlers.end_wait import EndWait
from connect_audio.recorder import (
    AlreadyPublished,
    AtHead,
    Budget,
    Checkpoint,
    Claim,
    EndOfRecording,
    Granted,
    Outcome,
    OutcomeStatus,
    Over,
    PartDone,
    Recorded,
    Refused,
    StepResult,
    Wait,
    claim_recording,
    publish_recording,
)
from connect_audio.recorder.call_watch import keeps_long_enough, retention_too_short
from connect_audio.request import RecordingMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python import DurableContext
    from aws_durable_execution_sdk_python.config import StepConfig
    from aws_durable_execution_sdk_python.types import StepContext

    from connect_audio.handlers.call_assembly import CallAssembly
    from connect_audio.recorder.continuation import Continuation

_MIN_STEP_S: Final = 30
"""Least seconds left for another part; with less, the end of a part hands over to the next invocation."""

_NO_CONTEXT_S: Final = 900.0
"""Seconds left without a Lambda context: Lambda's longest Timeout."""

_HAND_OVER_S: Final = 1
"""Seconds of the wait that ends an invocation: the engine's shortest."""


class CallExecution:
    """One execution, for one invocation.

    Args:
        context: the durable execution's.
        call: all that records the call.
        done: the steps of an earlier execution that this one continues; without any for a new call.
    """

    def __init__(self, context: DurableContext, call: CallAssembly, done: Continuation) -> None:
        self._context = context
        self._call = call
        self._done = done
        self._warnings: tuple[Reason, ...] = ()

    def run(self) -> Outcome:
        """Record the call, publish the recording and announce the outcome.

        Raises:
            StepError: the claim or the publication failed for good.
        """
        try:
            outcome = self._record_and_publish()
        except StepError:
            failed = Outcome(
                status=OutcomeStatus.FAILED, reasons=("STEP_FAILED",), end_reason=EndReason.RECORDER_FAILED
            )
            self._step("failed", lambda: self._call.reports.ended(failed, self._call.ports.clock.now_ms()))
            self._announce(failed)
            raise
        self._announce(outcome)
        if not self._call.options.repair:
            return outcome
        # A call without repairs does not pay for their modules.
        from connect_audio.handlers.repair_steps import RepairSteps  # noqa: PLC0415

        last = self._done.last
        steps = RepairSteps(self._context, self._call, self._step, self._budget)
        return steps.run(outcome, None if last is None else last.checkpoint)

    def _record_and_publish(self) -> Outcome:
        claim: Claim = from_plain(Claim, self._step("claim", self._claim))
        if isinstance(claim, Refused):
            return Outcome(status=OutcomeStatus.REFUSED, reasons=(claim.reason.value,))
        last, checkpoint = self._done.last, Checkpoint()
        if last is not None:
            checkpoint = last.checkpoint
        elif not isinstance(claim, AlreadyPublished):
            checkpoint = claim.checkpoint()
        if isinstance(claim, AlreadyPublished) and not self._done.over:
            detail = "an earlier execution published the recording, but failed before it could report it"
            return self._publish("salvage", checkpoint, _cut_short(detail))
        return self._publish(*self._record(checkpoint, self._end_wait(claim)))

    def _end_wait(self, claim: Claim) -> EndWait | None:
        """Return the wait for the call's end; None for a call that is recorded while it lasts."""
        if self._call.options.mode is RecordingMode.LIVE or not isinstance(claim, Granted):
            return None
        if not keeps_long_enough(claim.retention_hours):
            self._warnings = (retention_too_short(claim.retention_hours),)
            return None
        return EndWait(self._context, self._call, self._step)

    def _record(self, checkpoint: Checkpoint, wait: EndWait | None) -> tuple[str, Checkpoint, EndOfRecording]:
        """Record part after part until the recording is over or a step fails for good.

        Args:
            checkpoint: the last step's.
            wait: the wait for the call's end; None for a call that is recorded while it lasts.

        Returns:
            The name of the step that publishes the recording, the last checkpoint, and the end.
        """
        number = 0
        try:
            while True:
                last = self._done.last
                if last is not None and isinstance(last.next, Over):
                    return "finish", checkpoint, last.next.end
                if wait is not None and (last is None or isinstance(last.next, AtHead)):
                    checkpoint = wait.for_end(checkpoint)
                number += 1
                name = f"record-{number:05d}"
                recorded = self._step(name, lambda at=checkpoint: self._record_step(at))  # type: ignore[misc]
                result = from_plain(StepResult, recorded)
                self._done, checkpoint = self._done.after(result), result.checkpoint
                if not isinstance(result.next, PartDone | Over | AtHead):
                    wait_s = result.next.seconds if isinstance(result.next, Wait) else _HAND_OVER_S
                    self._context.wait(Duration.from_seconds(wait_s), name=f"pause-{number:05d}")
        except StepError as error:
            # S3 holds the audio up to the last checkpoint: it is published as partial.
            return "salvage", checkpoint, _cut_short(f"a record step failed for good: {error.error_type}")

    def _claim(self) -> dict[str, Any]:
        call = self._call
        claim = claim_recording(call.ports)
        call.reports.claimed(claim, call.ports.clock.now_ms(), continued=self._done.last is not None)
        return to_plain(claim, Claim)

    def _record_step(self, checkpoint: Checkpoint) -> dict[str, Any]:
        call, clock = self._call, self._call.ports.clock
        began = clock.monotonic()
        recorder = call.recorder if checkpoint.end.listed is None else call.late_recorder(checkpoint)
        result = recorder.record(checkpoint, self._budget())
        call.reports.recorded(checkpoint, result, step_s=clock.monotonic() - began, left_s=self._left_s())
        return to_plain(result)

    def _publish(self, name: str, checkpoint: Checkpoint, end: EndOfRecording) -> Outcome:
        call, done = self._call, self._done
        recorded = Recorded(
            checkpoint=checkpoint,
            parts=done.parts,
            notes_keys=done.notes_keys,
            end=end,
            warnings=self._warnings,
            first=done.first,
        )

        def publish() -> dict[str, Any]:
            return call.reports.ended(publish_recording(call.ports, recorded), call.ports.clock.now_ms())

        return from_plain(Outcome, self._step(name, publish, step_retries.PUBLISHING))

    def _announce(self, outcome: Outcome) -> None:
        """Put the event on the bus. A failure changes nothing about the recording: it is counted and logged."""
        try:
            self._step("announce", lambda: self._call.announcer.announce(outcome), step_retries.ANNOUNCING)
        except StepError as error:
            reason = f"{error.error_type}: {error}"
            self._step("announce-failed", lambda: self._call.reports.not_announced(reason))

    def _step(
        self, name: str, work: Callable[[], dict[str, Any]], config: StepConfig = step_retries.RECORDING
    ) -> dict[str, Any]:
        def run(_: StepContext) -> dict[str, Any]:
            return work()

        return self._context.step(run, name=name, config=config)

    def _budget(self) -> Budget:
        """Return the time that a record step has from now on."""
        deadline = self._call.ports.clock.monotonic() + self._left_s() - self._call.margin_s
        return Budget(deadline, deadline - _MIN_STEP_S)

    def _left_s(self) -> float:
        """Seconds until the invocation's end."""
        lambda_context = self._context.lambda_context
        return _NO_CONTEXT_S if lambda_context is None else lambda_context.get_remaining_time_in_millis() / 1000


def _cut_short(detail: str) -> EndOfRecording:
    return EndOfRecording(EndReason.RECORDER_FAILED, (Reason("STEP_FAILED", detail),))
