"""Audits a recording that may lack something, and repairs it, behind its announcement. Used by `call_execution`.

How it works. The engine replays this code too, so its branches depend on results of steps alone.

    pause-audit-00001 ─> audit-00001 ─┬─ the call may go on ──> pause-audit-00002 ─> audit-00002 ...
                                      ├─ nothing to record again, or another execution's turn ──> end
                                      └─ again ─> repair-00001 ─> repair-00002 ... ─> replace ─> announce-repair

The first pause lets the last fragments arrive in the stream's listing. The archive is read first, since GetMedia gave
what lacks in no reading. The recording is published before, so no failure in here fails the execution. The step
`give-up` deletes what a repair had staged, and the recording stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, assert_never

from aws_durable_execution_sdk_python import StepError
from aws_durable_execution_sdk_python.config import Duration

from connect_audio.core.audit import Audit, AuditResult, missing_between
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.handlers import step_retries
from connect_audio.recorder import Outcome, OutcomeStatus, Over, PartDone, Recorded, Recorder, StepResult, Wait
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.repair import (
    Again,
    ClaimHeld,
    Done,
    NotOver,
    begin_repair,
    fragments_of_recording,
    give_up_repair,
    manifest_of,
    outcome_of,
    publish_repair,
    replacing,
)

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python import DurableContext

    from connect_audio.handlers.call_assembly import CallAssembly
    from connect_audio.ports import FragmentIndex, ListedFragment
    from connect_audio.recorder import Budget, Checkpoint, RecorderPorts
    from connect_audio.recorder.repair import Repaired

_AUDITED: Final = frozenset({OutcomeStatus.PARTIAL, OutcomeStatus.EMPTY})
_MOST_AUDITS: Final = 12
"""Audits of a call that may go on; then its recording stays as it is. The pause between two is the idle limit."""
_MOST_OPERATIONS: Final = 2600
"""Operations of the execution's 3000 that a repair may end with. A call beyond it is repaired by the command."""
_OPERATIONS_A_STEP: Final = 2
"""Most operations of one record step: the step, and a pause."""
_HAND_OVER_S: Final = 1
"""Seconds of the wait that ends an invocation: the engine's shortest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDone:
    """The end of an audit, as a step's result: no manifest is in it.

    Args:
        outcome: the recording that is there now.
        result: outcome of the audit; None where another execution was faster.
        audit: the audit; None where the stream was not listed.
    """

    outcome: Outcome
    result: AuditResult | None = None
    audit: Audit | None = None


type Step = Callable[..., dict[str, Any]]
type AuditStep = ClaimHeld | NotOver | AuditDone | Again


class RepairSteps:
    """The audit and the repair of one execution, in one invocation.

    Args:
        context: the durable execution's.
        call: all that records the call.
        step: runs a step of the execution; its arguments are name, work and the engine's settings.
        budget: returns the time that a record step has.
    """

    def __init__(self, context: DurableContext, call: CallAssembly, step: Step, budget: Callable[[], Budget]) -> None:
        self._context, self._call, self._step, self._budget = context, call, step, budget
        ports = call.ports
        # A name of its own: the WAV at the key bears the execution's.
        self._ports = replace(ports, execution=f"{ports.execution}#repair", live=None, ends=None)

    def run(self, outcome: Outcome, last: Checkpoint | None) -> Outcome:
        """Audit a recording that may lack something, and replace it if a better one can be had.

        Args:
            outcome: the recording that was published.
            last: the last checkpoint of its record steps; None without any.

        Returns:
            The outcome of the recording that is there at the end.
        """
        if not _is_suspect(outcome, last) or not _has_room(last):
            return outcome
        try:
            done = self._audit()
        except StepError as error:
            self._give_up(f"{error.error_type}: {error}")
            return outcome
        return outcome if done is None else done.outcome

    def _audit(self) -> AuditDone | None:
        policy = self._call.ports.policy
        pause_s = max(1, round(policy.drain))
        for number in range(1, _MOST_AUDITS + 1):
            self._context.wait(Duration.from_seconds(pause_s), name=f"pause-audit-{number:05d}")
            found: AuditStep = from_plain(AuditStep, self._step(f"audit-{number:05d}", self._begin))
            match found:
                case ClaimHeld():
                    return None
                case NotOver():
                    pause_s = max(1, round(policy.idle_limit))
                case AuditDone():
                    return found
                case Again():
                    return self._repair(found)
                case _:
                    assert_never(found)
        return None

    def _begin(self) -> dict[str, Any]:
        with self._call.index() as index:
            begun = begin_repair(self._ports, index, round(self._call.ports.policy.idle_limit * 1000))
        return to_plain(self._reported(begun.repaired) if isinstance(begun, Done) else begun, AuditStep)

    def _repair(self, again: Again) -> AuditDone:
        with self._call.archive_first(self._listed) as source:
            return self._repaired(again, replacing(replace(self._ports, source=source), again.etag))

    def _listed(self, index: FragmentIndex) -> Sequence[ListedFragment]:
        start_ms = self._ports.request.start_timestamp_ms
        return fragments_of_recording(manifest_of(self._ports), index, start_ms, self._ports.clock)

    def _repaired(self, again: Again, hidden: RecorderPorts) -> AuditDone:
        checkpoint, done = again.checkpoint, Continuation(execution=hidden.execution)
        with Recorder(hidden) as recorder:
            number = 0
            while True:
                number += 1
                recorded = self._step(
                    f"repair-{number:05d}",
                    lambda at=checkpoint: to_plain(recorder.record(at, self._budget())),
                )
                result = from_plain(StepResult, recorded)
                done, checkpoint = done.after(result), result.checkpoint
                if isinstance(result.next, Over):
                    end = result.next.end
                    break
                if not isinstance(result.next, PartDone):
                    wait_s = result.next.seconds if isinstance(result.next, Wait) else _HAND_OVER_S
                    self._context.wait(Duration.from_seconds(wait_s), name=f"pause-repair-{number:05d}")
        whole = Recorded(checkpoint=checkpoint, parts=done.parts, notes_keys=done.notes_keys, end=end)
        replaced = self._step("replace", lambda: self._replace(hidden, whole, again), step_retries.PUBLISHING)
        repaired = from_plain(AuditDone, replaced)
        if repaired.result is AuditResult.REPAIRED:
            self._announce(repaired.outcome)
        return repaired

    def _replace(self, hidden: RecorderPorts, recorded: Recorded, again: Again) -> dict[str, Any]:
        return to_plain(self._reported(publish_repair(hidden, recorded, manifest_of(hidden), again.found)))

    def _reported(self, repaired: Repaired) -> AuditDone:
        outcome = outcome_of(self._ports, repaired.manifest)
        self._call.reports.audited(repaired.result, repaired.audit, outcome)
        return AuditDone(outcome=outcome, result=repaired.result, audit=repaired.audit)

    def _announce(self, outcome: Outcome) -> None:
        """Put the event on the bus. A failure changes nothing about the recording: it is counted and logged."""
        try:
            self._step(
                "announce-repair", lambda: self._call.announcer.announce_repair(outcome), step_retries.ANNOUNCING
            )
        except StepError as error:
            reason = f"{error.error_type}: {error}"
            self._step("announce-repair-failed", lambda: self._call.reports.not_announced(reason))

    def _give_up(self, error: str) -> None:
        """Delete what a repair that failed for good had staged. A bucket's lifecycle deletes what is left after it."""
        self._step("not-audited", lambda: self._not_audited(error))
        try:
            self._step("give-up", self._cleaned_up, step_retries.CLEANING_UP)
        except StepError:
            return

    def _cleaned_up(self) -> dict[str, Any]:
        give_up_repair(self._ports)
        return {}

    def _not_audited(self, error: str) -> dict[str, Any]:
        self._call.reports.not_audited(error)
        return {"error": error}


def _is_suspect(outcome: Outcome, last: Checkpoint | None) -> bool:
    """Return True if the recording is not whole, or if the counters of its fragments name more than it has.

    The same question about its manifest is asked again once the claim is held (`core/audit.py`).
    """
    if outcome.status is not OutcomeStatus.COMPLETE or last is None:
        return outcome.status in _AUDITED
    cursor = last.cursor
    first, newest = cursor.neighbours.first_admitted, cursor.neighbours.last_admitted
    return missing_between(first, newest, cursor.fragments.admitted) > 0


def _has_room(last: Checkpoint | None) -> bool:
    """Return True if the engine's quota has room for recording the call again."""
    if last is None:
        return True
    return _OPERATIONS_A_STEP * last.counts.steps + last.parts.number <= _MOST_OPERATIONS
