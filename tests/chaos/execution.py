"""Runs the recorder as the durable engine and `handlers.consumer` do: steps, checkpoints, retries, kills, invocations.

Nothing outlives a kill but what a step returned, as JSON text. An invocation's time ends at random, and so does the
process.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from chaos.live import LiveProbe
from chaos.world import ChaosSource, ChaosStatus, ChaosStore, Hooks, KilledError, SleepingClock
from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.recorder import (
    AlreadyPublished,
    Budget,
    Checkpoint,
    Claim,
    EndOfRecording,
    LiveWanted,
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
from connect_audio.request import RecordingRequest
from support.clock import FakeClock
from support.json_text import through_json
from support.world import BUCKET, EXECUTION, REQUEST

MARGIN_S = 45.0
_MIN_STEP_S = 30.0
_MOST_ATTEMPTS = 8
_MOST_RUNS = 3000
_MOST_RESULT_BYTES = 24_000
"""A checkpoint is at most some 18 KB however long the call, most of it digests of the newest audio.

The engine takes 256 KB."""
_LOGGER = Logger(service="chaos", level="CRITICAL")


class StepFailedError(Exception):
    """A step failed for good, as the engine's `StepError`."""


@dataclass
class Execution:
    """One durable execution.

    Args:
        name: its ARN.
        source: the stream.
        store: its view of the bucket.
        status: Connect.
        clock: the world's.
        hooks: counts, kills.
        policy: of the recorder.
        chance: how long invocations last, and pauses after a kill.
        invocation_s: shortest and longest time an invocation has.
        live: sinks of live audio.
        request: what is to be recorded.
    """

    name: str
    source: ChaosSource
    store: ChaosStore
    status: ChaosStatus
    clock: FakeClock
    hooks: Hooks
    policy: Policy
    chance: random.Random
    invocation_s: tuple[float, float] = (900.0, 900.0)
    live: LiveProbe | None = None
    request: RecordingRequest = REQUEST
    results: list[StepResult] = field(default_factory=list)
    commits: list[tuple[int, int]] = field(default_factory=list)
    """When a checkpoint became durable, ms, and the log index of its cursor."""
    kills: int = 0
    retries: int = 0
    salvaged: bool = False
    runs: int = 0
    _recorder: Recorder | None = None
    _ends: float | None = None
    _claim: Claim | None = None

    @property
    def names(self) -> RecordingNames:
        return RecordingNames(BUCKET, self.request.recording_key("audio"))

    def claim(self) -> Claim:
        """The first step."""
        if self._claim is None:
            self._claim = from_plain(
                Claim, self._step("claim", lambda: to_plain(claim_recording(self._ports()), Claim))
            )
        return self._claim

    def run(self) -> Outcome:
        """From claim to outcome.

        Raises:
            StepFailedError: the claim or the last step failed for good.
        """
        claim = self.claim()
        if isinstance(claim, Refused):
            self._end_invocation()
            return Outcome(status=OutcomeStatus.REFUSED, reasons=(claim.reason.value,))
        assert not isinstance(claim, AlreadyPublished), "nothing was recorded before"
        checkpoint = claim.checkpoint()
        results: list[StepResult] = []
        end, last = EndOfRecording(EndReason.RECORDER_FAILED), "finish"
        try:
            while True:
                at = checkpoint
                result = from_plain(StepResult, self._step("record", lambda at=at: self._record(at)))  # type: ignore[misc]
                self._keep(result)
                results.append(result)
                checkpoint = result.checkpoint
                if isinstance(result.next, Over):
                    end = result.next.end
                    break
                if not isinstance(result.next, PartDone):
                    self._end_invocation()
                    self.clock.pass_by(result.next.seconds if isinstance(result.next, Wait) else 1)
        except StepFailedError as error:
            self.salvaged = True
            reason = Reason("STEP_FAILED", f"a record step failed for good: {error}")
            end, last = EndOfRecording(EndReason.RECORDER_FAILED, (reason,)), "salvage"
        done = Continuation(execution=EXECUTION)
        for result in results:
            done = done.after(result)
        recorded = Recorded(
            checkpoint=checkpoint, parts=done.parts, notes_keys=done.notes_keys, end=end, first=done.first
        )
        return self.publish(recorded, last)

    def publish(self, recorded: Recorded, name: str) -> Outcome:
        """The last step.

        Raises:
            StepFailedError: it failed for good.
        """
        outcome = from_plain(Outcome, self._step(name, lambda: to_plain(publish_recording(self._ports(), recorded))))
        self._end_invocation()
        return outcome

    # Steps.

    def _step(self, phase: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run a step until its result is durable.

        Raises:
            StepFailedError: it failed for good.
        """
        attempts = 0
        while True:
            self.runs += 1
            if self.runs > _MOST_RUNS:
                raise AssertionError("the recording never ends")
            self.store.phase = phase
            kept: dict[str, Any] | None = None
            try:
                self._begin_invocation()
                value: dict[str, Any] = through_json(work())
                self._check_state(value)
                nth = self.hooks.enter("checkpoint")
                kept = value
                self.hooks.leave("checkpoint", nth)
            except KilledError:
                self._die()
                if kept is None:
                    continue
            except (StorageError, MediaSourceError) as error:
                attempts += 1
                self.retries += 1
                self._end_invocation()
                if not error.retryable or attempts >= _MOST_ATTEMPTS:
                    raise StepFailedError(type(error).__name__) from error
                self.clock.pass_by(min(60, 2**attempts))
                continue
            return kept

    def _begin_invocation(self) -> None:
        if self._ends is None:
            self._ends = self.clock.monotonic() + self.chance.uniform(*self.invocation_s)
            self.hooks.hard_deadline = self._ends

    def _end_invocation(self) -> None:
        recorder, self._recorder, self._ends = self._recorder, None, None
        self.hooks.hard_deadline = float("inf")
        if recorder is not None:
            try:
                recorder.close()
            except KilledError:
                self._die()
        assert self.source.open_now == 0, "a connection outlives its invocation"

    def _die(self) -> None:
        """Nothing is closed, nothing is said; some time later the engine tries again."""
        self.kills += 1
        self._recorder, self._ends = None, None
        self.hooks.hard_deadline = float("inf")
        self.source.drop_connections()
        self.clock.pass_by(self.chance.choice((1, 2, 5, 20, 60)))

    def _record(self, checkpoint: Checkpoint) -> dict[str, Any]:
        if self._recorder is None:
            self._recorder = Recorder(self._ports())
        assert self._ends is not None
        deadline = self._ends - MARGIN_S
        return to_plain(self._recorder.record(checkpoint, Budget(deadline, deadline - _MIN_STEP_S)))

    def _ports(self) -> RecorderPorts:
        return RecorderPorts(
            request=self.request,
            names=self.names,
            execution=self.name,
            source=self.source,
            store=self.store,
            status=self.status,
            clock=SleepingClock(self.clock, self.hooks),
            policy=self.policy,
            logger=_LOGGER,
            attempt_name=lambda: f"{self.chance.getrandbits(32):08x}",
            jitter=self.chance.random,
            live=None if self.live is None else LiveWanted(self.live.pipeline, self.store),
        )

    def _keep(self, result: StepResult) -> None:
        self.results.append(result)
        self.commits.append((self.clock.now_ms(), self.source.index(result.checkpoint.cursor.fragment)))

    def _check_state(self, value: dict[str, Any]) -> None:
        """What passes between steps and what stays in memory is bounded."""
        assert len(json.dumps(value)) <= _MOST_RESULT_BYTES, f"a step's result grows to {len(json.dumps(value))} bytes"
        if self._recorder is None or self._recorder._session is None:
            return
        session = self._recorder._session
        rate = session.recording.rate or 8000
        assert session.parts.size <= self.policy.most_part_bytes(rate) + 40_000, "the part in the making grows"
        assert len(session.recording._points) <= 200, "the points to resume from grow"
