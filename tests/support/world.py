"""In-memory implementations of the recorder's ports, and a driver that strings steps together as the handler does.

No engine, no network, no waiting: the clock advances when it sleeps and with every read. Everything that passes between
steps goes through JSON text, as in the execution's history.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.live import LivePipeline, LiveState
from connect_audio.ports import (
    AfterFragment,
    ContactState,
    StartSelector,
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
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    SyntheticCall,
    SyntheticFragment,
)
from support.calls import fragments
from support.clock import FakeClock
from support.json_text import through_json
from support.store import MemoryStore

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
        self.asked_at_ms: list[int] = []

    def state(self, instance_id: str, contact_id: str) -> ContactState:
        assert (instance_id, contact_id) == (REQUEST.instance_id, REQUEST.contact_id)
        self.asked_at_ms.append(self._clock.now_ms())
        if self.disconnected_at_ms is not None and self._clock.now_ms() >= self.disconnected_at_ms:
            return ContactState.DISCONNECTED
        return self.answer


type Body = Callable[[StartSelector, list["Stored"]], Iterator[bytes]]
"""Makes one GetMedia body of the selector and the fragments that it selects; may raise MediaSourceError."""


@dataclass(frozen=True)
class Stored:
    """A fragment as the stream has it. `at_ms`: when it becomes available; it ends then."""

    number: str
    producer_ms: int
    at_ms: int
    data: bytes


class FakeSource:
    """A stream of fragments. Counts connections and what they served.

    Args:
        fragments: in order.
        clock: the recorder's.
        live: fragments come when they end; otherwise all are there.
        chunk: bytes that one read returns at most.
        read_s: time that a read takes.
        keeps: fragments that can be had again once newer ones were served; None for all.
        window_s: fragments older than that are gone; None for never.
        retention: DataRetentionInHours, or the error that DescribeStream answers.
    """

    def __init__(
        self,
        fragments: Iterable[SyntheticFragment],
        clock: FakeClock,
        *,
        live: bool = False,
        chunk: int = 65_536,
        read_s: float = 0.0,
        keeps: int | None = None,
        window_s: float | None = None,
        retention: int | MediaSourceError = 24,
    ) -> None:
        self.clock = clock
        self.fragments = [
            Stored(each.number, each.producer_ms, each.producer_ms + each.duration_ms, each.data) for each in fragments
        ]
        self.live = live
        self.chunk = chunk
        self.read_s = read_s
        self.keeps = keeps
        self.window_s = window_s
        self.retention = retention
        self.holds_open = live
        self.read_timeout_s = 10.0
        self.selectors: list[StartSelector] = []
        self.bodies: deque[Body | MediaSourceError | None] = deque()
        self.refusal: MediaSourceError | None = None
        self.served: list[str] = []
        self.reads = 0
        self.open_now = 0
        self.most_open = 0

    def retention_hours(self) -> int:
        if isinstance(self.retention, MediaSourceError):
            raise self.retention
        return self.retention

    def open(self, start: StartSelector) -> FakeStream:
        self.selectors.append(start)
        script = self.bodies.popleft() if self.bodies else None
        if isinstance(script, MediaSourceError):
            raise script
        if script is None and self.refusal is not None:
            raise self.refusal
        body = self._serve(start) if script is None else script(start, self.selected(start))
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        return FakeStream(self, body)

    def selected(self, start: StartSelector) -> list[Stored]:
        """What a start selector means, oldest first."""
        if isinstance(start, AfterFragment):
            return [each for each in self.fragments if int(each.number) > int(start.number)]
        return [each for each in self.fragments if each.at_ms > start.ms]

    def _serve(self, start: StartSelector) -> Iterator[bytes]:
        for each in self.selected(start):
            if self.live:
                waited = 0.0
                while each.at_ms > self.clock.now_ms():
                    left_s = (each.at_ms - self.clock.now_ms()) / 1000
                    waited += min(left_s, self.read_timeout_s)
                    self.clock.pass_by(min(left_s, self.read_timeout_s))
                    if waited >= self.read_timeout_s and each.at_ms > self.clock.now_ms():
                        raise MediaSourceError("ReadTimeoutError", "silent", retryable=True)
            if self._is_gone(each):
                continue
            self.served.append(each.number)
            yield from cut(each.data, self.chunk)
        if self.holds_open:
            self.clock.pass_by(self.read_timeout_s)
            raise MediaSourceError("ReadTimeoutError", "silent", retryable=True)

    def _is_gone(self, each: Stored) -> bool:
        if self.window_s is not None and each.at_ms < self.clock.now_ms() - self.window_s * 1000:
            return True
        if self.keeps is None or not self.served:
            return False
        newest = max(self.served, key=int)
        behind = sum(int(each.number) < int(other.number) <= int(newest) for other in self.fragments)
        return behind >= self.keeps


class FakeStream:
    def __init__(self, source: FakeSource, body: Iterator[bytes]) -> None:
        self._source = source
        self._body = body
        self._closed = False

    def read(self) -> bytes:
        assert not self._closed, "read after close"
        self._source.reads += 1
        self._source.clock.pass_by(self._source.read_s)
        return next(self._body, b"")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._source.open_now -= 1


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


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
            logger=Logger(service="tests", level="CRITICAL"),
            attempt_name=self._attempt_name,
            jitter=lambda: 1.0,
            live=None if self.live is None else LiveWanted(self.live, self.store),
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
    ) -> Run:
        """Record a whole call as the handler does."""
        checkpoint = self.granted().checkpoint()
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
    recorded = Recorded(
        checkpoint=results[-1].checkpoint,
        parts=[result.part for result in results if result.part],
        notes_keys=[result.notes_key for result in results if result.notes_key],
        end=end if reasons is None else EndOfRecording(end.reason, tuple(reasons)),
    )
    return publish_recording(world.ports(), recorded)


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
    """A world whose stream holds some calls; by default Connect says that ours is over."""
    clock = FakeClock()
    return World(
        FakeSource(fragments(*calls), clock, **options), clock, FakeStatus(clock, status), policy=policy or Policy()
    )
