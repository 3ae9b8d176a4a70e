"""The programs that work on one recording after its call: the consumer's execution, its redrive, exports, repairs.

The execution is the real one (`handlers/call_execution.py`) over an engine in memory: steps have their results in a
history, waits and retries end an invocation, and a kill ends it without a word.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from aws_durable_execution_sdk_python import StepError
from aws_durable_execution_sdk_python.config import Duration, StepConfig

from chaos.archive_ports import ActorIndex, ActorSource, ActorStore, Kept
from chaos.stage import Actor
from connect_audio.core.audit import is_suspect, next_audit_number
from connect_audio.core.errors import LateRecordingError, MediaSourceError, StorageError
from connect_audio.core.plain import from_plain
from connect_audio.handlers.call_assembly import CallAssembly
from connect_audio.handlers.call_execution import CallExecution
from connect_audio.handlers.reporting import ConsumerReports
from connect_audio.ports import ContactAnswer, ContactState, PartStore
from connect_audio.recorder import Checkpoint, Outcome, Policy, Recorder, RecorderPorts, StepResult
from connect_audio.recorder.archived_call import QUIET_MS
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.either_source import EitherSource
from connect_audio.recorder.late_recording import (
    MAY_BE_LATER,
    LateCall,
    LateRecording,
    NotAsked,
    fragments_to_read,
    recorded_to_its_end,
)
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.repair import (
    Again,
    ClaimHeld,
    NotOver,
    begin_repair,
    manifest_of,
    publish_repair,
    replacing,
)
from connect_audio.request import RecordingOptions, RecordingRequest
from connect_audio.telemetry import Metric
from support.calls import call, fragments
from support.world import NAMES, REQUEST

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python import DurableContext

    from connect_audio.handlers.announcement import Announcer
    from connect_audio.ports import FragmentIndex, ListedFragment, MediaSource

SECONDS: Final = 8
"""Length of the call, s."""
_EVENT: Final = replace(REQUEST, start_fragment_number=fragments(call(SECONDS))[0].number)
"""The request by Connect's event, which names the first fragment."""
LOG: Final = logging.getLogger("chaos.archive")
LOG.setLevel(logging.CRITICAL)
_MOST_TRIES: Final = 60
"""Tries of a command that its user makes again."""


class Told(logging.Logger):
    """A logger that keeps what is said about the claims of exports."""

    def __init__(self) -> None:
        super().__init__("chaos.archive", logging.INFO)
        self.told: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        if "export" in record.msg:
            self.told.append(record.msg)


@dataclass(frozen=True)
class Scene:
    """What the actors share.

    Args:
        kept: the stream.
        store: the bucket.
        policy: the recorder's limits.
        ended_ms: when Connect says that the contact is over; None if it never says a word.
        log: what the recorder says.
    """

    kept: Kept
    store: PartStore
    policy: Policy
    ended_ms: int | None
    log: Told = field(default_factory=Told)

    def media(self, actor: Actor) -> MediaSource:
        return ActorSource(self.kept, actor)

    def archive(self, actor: Actor) -> MediaSource:
        return ActorSource(self.kept, actor, is_archive=True)

    def ports(self, actor: Actor, execution: str, source: MediaSource, *, has_event: bool = False) -> RecorderPorts:
        """What a recorder of an actor works with."""
        names = Counter[str]()

        def attempt_name() -> str:
            names["attempt"] += 1
            return f"{actor.name}{actor.kills}x{actor.crossings}x{names['attempt']}"

        return RecorderPorts(
            request=_EVENT if has_event else REQUEST,
            names=NAMES,
            execution=execution,
            source=source,
            store=ActorStore(self.store, actor),
            status=NotAsked(),
            clock=actor.stage,
            policy=self.policy,
            logger=self.log,
            attempt_name=attempt_name,
            jitter=lambda: 1.0,
        )


# --- the consumer -----------------------------------------------------------------------------------------------------


class SuspendedError(BaseException):
    """The invocation ends, and another one begins later."""

    def __init__(self, until_s: float) -> None:
        super().__init__()
        self.until_s = until_s


@dataclass
class History:
    """The history of one execution.

    Args:
        arn: its ARN.
        results: the steps' results, as JSON text.
        failures: the steps that failed for good.
        waits: when each wait is over, s.
        attempts: how often each step was tried.
        outcome: the execution's; None while it runs or if it failed.
        has_failed: it failed.
    """

    arn: str
    results: dict[str, str] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    outcome: Outcome | None = None
    has_failed: bool = False

    def continuation(self, done: Continuation) -> Continuation:
        """Return what the execution leaves to its successor."""
        for name in sorted(each for each in self.results if each.startswith("record-")):
            done = done.after(from_plain(StepResult, json.loads(self.results[name])))
        return done


class Context:
    """The durable context of one invocation."""

    lambda_context = None

    def __init__(self, history: History, actor: Actor) -> None:
        self._history, self._actor = history, actor

    def step(self, work: Callable[[Any], Any], *, name: str, config: StepConfig) -> Any:
        history = self._history
        if name in history.results:
            return json.loads(history.results[name])
        if name in history.failures:
            message, error_type = history.failures[name]
            raise StepError(message, error_type)
        history.attempts[name] += 1
        try:
            result = json.dumps(work(None))
        except Exception as error:
            assert config.retry_strategy is not None
            decision = config.retry_strategy(error, history.attempts[name])
            if decision.should_retry:
                raise SuspendedError(self._actor.stage.now_s + decision.delay.to_seconds()) from error
            history.failures[name] = str(error), type(error).__name__
            raise StepError(str(error), type(error).__name__) from error

        def checkpoint() -> None:
            history.results[name] = result

        self._actor.cross(checkpoint, lambda _: SuspendedError(self._actor.stage.now_s + 1))  # type: ignore[arg-type,return-value]
        return json.loads(result)

    def wait(self, duration: Duration, *, name: str) -> None:
        until_s = self._history.waits.setdefault(name, self._actor.stage.now_s + duration.to_seconds())
        if self._actor.stage.now_s < until_s:
            raise SuspendedError(until_s)


class _Reports(ConsumerReports):
    """Without metrics on standard output."""

    def _emit(self, values: dict[Metric, float], **metadata: str | None) -> None:
        pass


class _Announcer:
    def announce(self, _: Outcome) -> dict[str, Any]:
        return {}

    announce_repair = announce


@dataclass(frozen=True)
class _Connect:
    scene: Scene

    def describe(self, *_: object, **__: object) -> ContactAnswer:
        ended_ms = self.scene.ended_ms
        if ended_ms is None:
            return ContactAnswer(ContactState.UNKNOWN)
        is_over = self.scene.kept.now_ms() >= ended_ms
        return ContactAnswer(ContactState.DISCONNECTED, ended_ms=ended_ms) if is_over else _CONNECTED


_CONNECTED: Final = ContactAnswer(ContactState.CONNECTED)


class Execution:
    """An execution of the consumer, which ends whatever happens.

    Args:
        scene: what it works with.
        options: the manner of the recording.
        done: what an earlier execution left.
    """

    def __init__(self, scene: Scene, options: RecordingOptions, done: Continuation) -> None:
        self._scene, self._options, self._done = scene, options, done
        self.history = History(done.execution)

    def life(self, actor: Actor) -> None:
        """Run invocation after invocation."""
        while True:
            try:
                with self._assembled(actor) as call:
                    context = cast("DurableContext", Context(self.history, actor))
                    self.history.outcome = CallExecution(context, call, self._done).run()
                    return
            except SuspendedError as suspended:
                actor.sleep(max(0.0, suspended.until_s - actor.stage.now_s))
            except StepError:
                self.history.has_failed = True
                return

    @contextmanager
    def _assembled(self, actor: Actor) -> Iterator[CallAssembly]:
        scene, clock = self._scene, actor.stage
        media = scene.media(actor)
        ports = replace(scene.ports(actor, self._done.execution, media, has_event=True), status=_Connect(scene))
        index = ActorIndex(scene.kept, actor)

        @contextmanager
        def opened() -> Iterator[FragmentIndex]:
            yield index

        @contextmanager
        def archive_first(_: Callable[[FragmentIndex], Sequence[ListedFragment]]) -> Iterator[MediaSource]:
            yield EitherSource(media, lambda: scene.archive(actor), archive_first=True)

        late = EitherSource(media, lambda: scene.archive(actor))
        with Recorder(ports) as recorder, Recorder(replace(ports, source=late)) as late_recorder:

            def of_checkpoint(_: Checkpoint) -> Recorder:
                fragments_to_read(REQUEST.start_timestamp_ms, index, clock)
                return late_recorder

            yield CallAssembly(
                ports=ports,
                recorder=recorder,
                reports=_Reports(REQUEST, LOG),
                announcer=cast("Announcer", _Announcer()),
                margin_s=20,
                options=self._options,
                index=opened,
                archive_first=archive_first,
                late_recorder=of_checkpoint,
            )


def redrive(failed: Execution, scene: Scene, options: RecordingOptions) -> Callable[[Actor], None]:
    """Make the life of an execution that goes on once another one has failed."""
    made: list[Execution] = []

    def life(actor: Actor) -> None:
        while not made:
            if failed.history.outcome is not None:
                return
            if failed.history.has_failed:
                done = failed.history.continuation(Continuation(execution=failed.history.arn))
                made.append(Execution(scene, options, done))
            actor.sleep(60)
        made[0].life(actor)

    return life


# --- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    store: PartStore
    owner: str

    def names(self, request: RecordingRequest) -> RecordingNames:
        return RecordingNames(NAMES.bucket, request.recording_key("audio"))

    def claimant(self, request: RecordingRequest) -> str:
        return f"{self.owner}:{request.execution_name}"


def export(scene: Scene, owner: str, *, is_named: bool) -> Callable[[Actor], None]:
    """Make the life of an export, which its user starts again as long as it may succeed later."""

    def life(actor: Actor) -> None:
        for _ in range(_MOST_TRIES):
            index = ActorIndex(scene.kept, actor)
            recording = LateRecording(
                call=LateCall(
                    stream_arn=REQUEST.stream_arn,
                    start_ms=REQUEST.start_timestamp_ms,
                    contact_id=REQUEST.contact_id if is_named else None,
                    instance_arn=REQUEST.instance_arn if is_named else None,
                ),
                place=_Place(ActorStore(scene.store, actor), owner),
                source=EitherSource(scene.media(actor), lambda: scene.archive(actor)),
                index=index,
                clock=actor.stage,
                logger=scene.log,
                policy=scene.policy,
            )
            try:
                recording.run()
            except LateRecordingError as error:
                if error.why not in MAY_BE_LATER:
                    return
            except StorageError:
                pass
            else:
                return
            actor.sleep(120)

    return life


def repair(scene: Scene, owner: str) -> Callable[[Actor], None]:
    """Make the life of a repair, which its user starts again as long as it may succeed later."""

    def life(actor: Actor) -> None:
        for _ in range(_MOST_TRIES):
            try:
                if _repaired(scene, owner, actor):
                    return
            except (StorageError, MediaSourceError):
                pass
            actor.sleep(120)

    return life


def _repaired(scene: Scene, owner: str, actor: Actor) -> bool:
    """Run the repair once. False if it is to run again later."""
    source = EitherSource(scene.media(actor), lambda: scene.archive(actor), archive_first=True)
    ports = scene.ports(actor, "", source)
    prefix = f"{owner}:{REQUEST.execution_name}#"
    try:
        claim = bytes(ports.store.get(NAMES.claim)).decode()
    except StorageError as error:
        if error.code != "NoSuchKey":
            raise
        claim = ""
    try:
        manifest = manifest_of(ports)
    except StorageError as error:
        if error.code != "NoSuchKey":
            raise
        return False
    left = claim if claim.startswith(prefix) else None
    if left is None and not is_suspect(manifest):
        return True
    request = replace(REQUEST, start_fragment_number=manifest["startFragmentNumber"])
    ports = replace(ports, request=request, execution=left or f"{prefix}{next_audit_number(manifest)}")
    match begin_repair(ports, ActorIndex(scene.kept, actor), QUIET_MS):
        case ClaimHeld() | NotOver():
            return False
        case Again(found, etag, checkpoint):
            hidden = replacing(ports, etag)
            try:
                recorded = recorded_to_its_end(hidden, checkpoint)
            except MediaSourceError:
                clean_up(ports)
                raise
            publish_repair(hidden, recorded, manifest_of(ports), found)
    return True
