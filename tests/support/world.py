"""In-memory implementations of the recorder's ports, and a driver that strings steps together as the handler does.

No engine, no network, no waiting: the clock advances when it sleeps and with every read. Everything that passes between
steps goes through JSON text, as in the execution's history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aws_lambda_powertools import Logger

from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.live import LivePipeline, LiveState
from connect_audio.ports import (
    ContactAnswer,
    ContactEnds,
    ContactState,
    Log,
)
from connect_audio.recorder import (
    Budget,
    Checkpoint,
    Claim,
    EndOfRecording,
    Granted,
    HandOver,
    LiveWanted,
    Outcome,
    Over,
    PartDone,
    Policy,
    Recorded,
    Recorder,
    RecorderPorts,
    StepResult,
    Wait,
    claim_recording,
    publish_recording,
)
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    SyntheticCall,
)
from support.calls import fragments
from support.clock import FakeClock
from support.json_text import through_json
from support.store import MemoryStore
from support.stream import FakeSource

EXECUTION = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live/durable-execution/first/1"
BUCKET = "calls"
REQUEST = RecordingRequest(
    contact_id=DEFAULT_CONTACT_ID,
    instance_arn="arn:aws:connect:eu-west-2:123456789012:instance/00000000-0000-4000-8000-0000000000aa",
    stream_arn="arn:aws:kinesisvideo:eu-west-2:123456789012:stream/call/1782900000000",
    start_timestamp_ms=DEFAULT_START_MS,
    start_fragment_number=None,
)
NAMES = RecordingNames(BUCKET, REQUEST.recording_key("audio"))
KEPT = Checkpoint(read=ReadState(retention_hours=24))
"""Where the recording of a stream with retention begins."""


class FakeStatus:
    """Connect's word: CONNECTED, unless a state is set or the clock has passed `disconnected_at_ms`."""

    def __init__(self, clock: FakeClock, state: ContactState = ContactState.CONNECTED) -> None:
        self._clock = clock
        self.answer = state
        self.disconnected_at_ms: int | None = None
        self.stop_fragment: str | None = None
        self.asked_at_ms: list[int] = []

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        assert (instance_id, contact_id) == (REQUEST.instance_id, REQUEST.contact_id)
        assert stream_arn == REQUEST.stream_arn
        assert start_fragment is None or start_fragment.isdecimal()
        self.asked_at_ms.append(self._clock.now_ms())
        if self.disconnected_at_ms is not None and self._clock.now_ms() >= self.disconnected_at_ms:
            return ContactAnswer(ContactState.DISCONNECTED, self.stop_fragment)
        return ContactAnswer(self.answer, self.stop_fragment)


# --- a call and its recording ----------------------------------------------------------------------------------------


@dataclass
class Run:
    """A recording from claim to finish.

    Args:
        outcome: what the execution would return.
        results: of the record steps.
        world: where it happened.
    """

    outcome: Outcome
    results: list[StepResult]
    world: World

    @property
    def wav(self) -> bytes:
        return self.world.store.objects[self.world.names.key][0]

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.world.store.objects[self.world.names.manifest][0])
        return manifest

    @property
    def reasons(self) -> list[str]:
        return [reason["code"] for reason in self.manifest["reasons"]]

    @property
    def kinds(self) -> list[type]:
        """How the steps ended."""
        return [type(result.next) for result in self.results]

    @property
    def waits(self) -> list[int]:
        """Lengths of the suspensions, seconds."""
        return [result.next.seconds for result in self.results if isinstance(result.next, Wait)]


@dataclass
class World:
    """Everything around a recorder."""

    source: FakeSource
    clock: FakeClock
    status: FakeStatus
    store: MemoryStore = field(default_factory=MemoryStore)
    policy: Policy = field(default_factory=Policy)
    execution: str = EXECUTION
    request: RecordingRequest = REQUEST
    live: Callable[[LiveState | None], LivePipeline] | None = None
    ends: ContactEnds | None = None
    logger: Log = field(default_factory=lambda: Logger(service="tests", level="CRITICAL"))
    has_event: bool = True
    _attempts: int = 0

    @property
    def names(self) -> RecordingNames:
        return RecordingNames(BUCKET, self.request.recording_key("audio"))

    def ports(self) -> RecorderPorts:
        return RecorderPorts(
            request=self.request,
            names=self.names,
            execution=self.execution,
            source=self.source,
            store=self.store,
            status=self.status,
            clock=self.clock,
            policy=self.policy,
            logger=self.logger,
            attempt_name=self._attempt_name,
            jitter=lambda: 1.0,
            live=None if self.live is None else LiveWanted(self.live, self.store),
            ends=self.ends,
            has_event=self.has_event,
        )

    def _attempt_name(self) -> str:
        self._attempts += 1
        return f"attempt{self._attempts}"

    def claim(self) -> Claim:
        claim: Claim = from_plain(Claim, through_json(to_plain(claim_recording(self.ports()), Claim)))
        return claim

    def granted(self) -> Granted:
        """Claim the recording, as the only execution."""
        claim = self.claim()
        assert isinstance(claim, Granted)
        return claim

    def step(self, checkpoint: Checkpoint, recorder: Recorder | None = None, budget_s: float = 840.0) -> StepResult:
        """Run one step, in an invocation of its own where no recorder is given."""
        deadline = self.clock.monotonic() + budget_s
        budget = Budget(deadline, deadline - min(30.0, budget_s / 2))
        if recorder is not None:
            return from_plain(StepResult, through_json(to_plain(recorder.record(checkpoint, budget))))
        with Recorder(self.ports()) as fresh:
            return self.step(checkpoint, fresh, budget_s)

    def run(
        self,
        *,
        budget_s: float = 840.0,
        fresh_each_step: bool = False,
        most_steps: int = 3000,
        on_result: Callable[[StepResult], None] = lambda _result: None,
        listed: ListedEnd | None = None,
    ) -> Run:
        """Record a whole call as the handler does; with `listed`, one that was over before."""
        checkpoint = self.granted().checkpoint()
        if listed is not None:
            checkpoint = checkpoint.ending_on(listed)
        results: list[StepResult] = []
        recorder = Recorder(self.ports())
        try:
            while not results or not isinstance(results[-1].next, Over):
                assert len(results) < most_steps, "the recording never ends"
                result = self.step(checkpoint, recorder, budget_s)
                results.append(result)
                on_result(result)
                checkpoint = result.checkpoint
                if isinstance(result.next, Wait):
                    assert result.next.seconds >= 1
                    self.clock.pass_by(result.next.seconds)
                elif isinstance(result.next, HandOver):
                    self.clock.pass_by(1)
                if fresh_each_step or not isinstance(result.next, PartDone | Over):
                    recorder.close()
                    assert self.source.open_now == 0
                    recorder = Recorder(self.ports())
        finally:
            recorder.close()
        outcome = finish(self, results)
        assert self.source.open_now == 0
        assert self.source.most_open <= 1
        return Run(outcome, results, self)


def finish(world: World, results: Sequence[StepResult], *, reasons: Sequence[Reason] | None = None) -> Outcome:
    """The handler's last step, from what the record steps returned."""
    end = results[-1].next.end if isinstance(results[-1].next, Over) else EndOfRecording(EndReason.RECORDER_FAILED)
    done = Continuation(execution=world.execution)
    for result in results:
        done = done.after(result)
    recorded = Recorded(
        checkpoint=results[-1].checkpoint,
        parts=done.parts,
        notes_keys=done.notes_keys,
        end=end if reasons is None else EndOfRecording(end.reason, tuple(reasons)),
        first=done.first,
    )
    return publish_recording(world.ports(), recorded)


def without_upload(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint without the id of its upload, which each attempt creates anew."""
    return replace(checkpoint, parts=replace(checkpoint.parts, upload_id=None))


def reasons_of(result: StepResult) -> list[str]:
    """Codes of why a recording that is over is not whole, as its last step says."""
    assert isinstance(result.next, Over)
    return [reason.code for reason in result.next.end.shortcomings]


def world(
    *calls: SyntheticCall,
    policy: Policy | None = None,
    status: ContactState = ContactState.DISCONNECTED,
    **options: Any,
) -> World:
    """A world whose stream holds some calls; by default Connect says that ours is over.

    A source whose reads take time makes every read look like one at the stream's head, so naps are off with it.
    """
    clock = FakeClock()
    usual = Policy(nap=0) if "read_s" in options else Policy()
    source = FakeSource(fragments(*calls), clock, **options)
    return World(source, clock, FakeStatus(clock, status), policy=policy or usual)
