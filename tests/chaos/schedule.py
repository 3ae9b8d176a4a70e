"""One schedule of chaos: all of it from one seed, run, and judged against what the generator says must be recorded.

    judged = run_schedule(seed)     raises ScheduleFailedError, whose text says how to replay it

`python -m chaos` runs many. The promise under test: every WAV equals the undisturbed one, or is marked partial for a
cause that the schedule truly made unrecoverable; nothing is left in the bucket; one GetMedia at most; state bounded.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from chaos.calls import Companion, RandomCall, random_call
from chaos.execution import MARGIN_S, Execution
from chaos.judge import SKIPPED, Circumstances, Doubt, Judge
from chaos.kinds import HELD, Kind
from chaos.live import Heard, LiveProbe
from chaos.log import LogEntry
from chaos.world import BUFFER_S, ChaosSource, ChaosStatus, ChaosStore, Hooks, Kill, SleepingClock, Spell, StoreFault
from connect_audio.core.manifest import Status
from connect_audio.recorder import HandOver, Outcome, OutcomeStatus, Policy, Refused, Wait
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.clock import FakeClock
from support.store import MemoryStore
from support.world import EXECUTION, REQUEST

COMPANION = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live/durable-execution/companion/3"
RIVAL = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live/durable-execution/second/2"
FOREIGN = b"somebody else's recording"
_PORTS = (
    "put",
    "put_new",
    "get",
    "head",
    "delete",
    "list_keys",
    "list_level",
    "create_upload",
    "find_uploads",
    "upload_part",
    "complete_upload",
    "abort_upload",
    "delete_version",
    "open",
    "read",
    "close",
    "state",
    "sleep",
    "retention_hours",
    "checkpoint",
    "deliver",
    "sink end",
)
_STORE_PORTS = _PORTS[:13]
_STORE_FAULTS = (
    StoreFault.SLOW_DOWN,
    StoreFault.INTERNAL,
    StoreFault.UNREACHABLE,
    StoreFault.CONFLICT,
    StoreFault.LOST_ANSWER,
    StoreFault.LOST_500,
    StoreFault.OWN_412,
    StoreFault.GONE_AFTER_SUCCESS,
)


class ScheduleFailedError(AssertionError):
    """A schedule that broke the promise."""


@dataclass
class Judged:
    """What a schedule came to.

    Args:
        seed: of the schedule.
        status: of the recording.
        causes: why it is not whole, as the schedule knows.
        faults: what went wrong, by kind.
        kills: by port.
        numbers: of steps, retries and so on.
    """

    seed: int
    status: str
    causes: list[str]
    faults: Counter[str]
    kills: Counter[str]
    numbers: Counter[str] = field(default_factory=Counter)


@dataclass
class World:
    """An execution and what is around it."""

    call: RandomCall
    clock: FakeClock
    bucket: MemoryStore
    hooks: Hooks
    execution: Execution
    companion: Execution | None = None
    claimed_after_ms: int = 0
    companion_outcome: Outcome | None = None

    @property
    def names(self) -> RecordingNames:
        return self.execution.names

    def run(self) -> Outcome:
        """Run the execution under test, and the one of the contact's other streaming: the earlier one first.

        The claim of the later one comes while its audio does, a few seconds late, whatever happens to the earlier one.
        """
        shared, companion = self.call.companion, self.companion
        if shared is None or companion is None:
            return self.execution.run()
        earlier, later = (self.execution, companion) if shared.is_later else (companion, self.execution)
        earlier.claim()
        earlier.hooks.appointment = (shared.begins_ms + self.claimed_after_ms, lambda: self._claim(later))
        if shared.is_later:
            outcome = self.execution.run()
            self.companion_outcome = companion.run()
            return outcome
        self.companion_outcome = companion.run()
        return self.execution.run()

    @staticmethod
    def _claim(execution: Execution) -> None:
        """Claim without trouble: a claim that comes too late moves the border."""
        hooks, store = execution.hooks, execution.store
        kills, plan, hooks.kills, store.plan = hooks.kills, store.plan, {}, {}
        execution.claim()
        hooks.kills, store.plan = kills, plan

    @property
    def source(self) -> ChaosSource:
        return self.execution.source

    @property
    def wav(self) -> bytes:
        return self.bucket.objects[self.names.key][0]

    @property
    def manifest(self) -> dict[str, Any]:
        return self.manifest_of(self.execution)

    def manifest_of(self, execution: Execution) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.bucket.objects[execution.names.manifest][0])
        return manifest


@dataclass
class Schedule:
    """Everything that is drawn before anything runs."""

    seed: int
    call: RandomCall
    policy: Policy
    retention: int
    late_ms: int
    disconnected_ms: int
    unknown: float
    invocation_s: tuple[float, float]
    source_faults: int
    damaged: frozenset[str]
    vanished: frozenset[str]
    retention_fails: bool
    live: dict[str, int]
    live_trouble: float
    kinds: frozenset[Kind]
    spells: tuple[Spell, ...]

    def chance(self, what: str) -> random.Random:
        return random.Random(f"{self.seed}/{what}")

    def world(
        self,
        *,
        source_faults: int = 0,
        kills: Sequence[Kill] = (),
        store_plan: dict[tuple[str, int], str] | None = None,
        invocation_s: tuple[float, float] = (900.0, 900.0),
    ) -> World:
        clock = FakeClock(DEFAULT_START_MS + self.late_ms)
        hooks = Hooks(clock, {(kill.port, kill.nth): kill for kill in kills})
        bucket = MemoryStore(self.policy.part_bytes or 0)
        source = ChaosSource(
            self.call.log,
            clock,
            hooks,
            self.chance("source"),
            source_faults,
            self.retention,
            self.damaged,
            self.vanished,
            self.retention_fails,
            self.spells,
        )
        shared = self.call.companion
        execution = Execution(
            EXECUTION,
            source,
            ChaosStore(bucket, hooks, clock, store_plan),
            ChaosStatus(
                clock,
                hooks,
                self.disconnected_ms,
                self.unknown if source_faults or kills else 0.0,
                self.chance("status"),
            ),
            clock,
            hooks,
            self.policy,
            self.chance("engine"),
            invocation_s,
            request=self.request(later=not shared.is_later) if shared is not None else REQUEST,
        )
        if self.live:
            execution.live = LiveProbe(
                hooks,
                SleepingClock(clock, hooks),
                self.chance("live"),
                self.live_trouble if source_faults or kills else 0.0,
                {name: Heard(seconds) for name, seconds in self.live.items()},
            )
        world = World(self.call, clock, bucket, hooks, execution)
        if shared is not None:
            world.companion = self._companion(shared, world)
            world.claimed_after_ms = self.chance("claimed").choice((0, 500, 3000, 8000))
        return world

    def request(self, *, later: bool) -> RecordingRequest:
        """The request of one of two streamings."""
        shared = self.call.companion
        return replace(REQUEST, start_timestamp_ms=shared.start_ms) if later and shared is not None else REQUEST

    def _companion(self, shared: Companion, world: World) -> Execution:
        """The execution of the contact's other streaming: nothing goes wrong with it."""
        hooks = Hooks(world.clock)
        return Execution(
            COMPANION,
            ChaosSource(shared.log, world.clock, hooks, self.chance("companion"), 0, self.retention),
            ChaosStore(world.bucket, hooks, world.clock),
            ChaosStatus(world.clock, hooks, self.disconnected_ms, 0.0, self.chance("companion status")),
            world.clock,
            hooks,
            self.policy,
            self.chance("companion engine"),
            request=self.request(later=shared.is_later),
        )

    def __str__(self) -> str:
        return (
            f"{self.call.words}; retention {self.retention} h, late {self.late_ms / 1000:.1f} s, parts "
            f"{self.policy.part_bytes}, invocations {self.invocation_s[0]:.0f}-{self.invocation_s[1]:.0f} s, "
            f"faults {self.source_faults}, damaged {len(self.damaged)}, vanished {len(self.vanished)}, "
            f"sinks {self.live} ({self.live_trouble}), spells {[str(spell) for spell in self.spells]}"
        )


def draw(seed: int, allowed: Collection[Kind] = HELD) -> Schedule:
    """Draw a schedule.

    Args:
        seed: decides all.
        allowed: kinds of trouble that may come.
    """
    chance = random.Random(f"{seed}/schedule")
    delay_ms = chance.choice((50, 300, 1500))
    kinds = _draw_kinds(random.Random(f"{seed}/kinds"), allowed)
    call = random_call(
        random.Random(f"{seed}/call"),
        live_delay_ms=delay_ms,
        kinds=kinds,
        disorder=random.Random(f"{seed}/disorder"),
    )
    retention = chance.choice((24, 24, 0))
    # The later recording runs behind the earlier one.
    retention = retention if call.companion is None else 24
    length_ms = call.end_ms - DEFAULT_START_MS
    late_ms = chance.choice((0, 0, 0, 2000, chance.randrange(length_ms), length_ms + chance.randrange(3_600_000)))
    if not retention and chance.random() < 0.8:
        late_ms = min(late_ms, 120_000)
    shortest = chance.choice((60.0, 90.0, 200.0, 900.0)) + MARGIN_S
    return Schedule(
        seed=seed,
        call=call,
        policy=Policy(part_bytes=chance.choice((60_000, 200_000, 1_000_000)) // 4 * 4),
        retention=retention,
        late_ms=late_ms,
        disconnected_ms=call.contact_end_ms + chance.randrange(0, 5000),
        unknown=chance.choice((0.0, 0.0, 0.3, 1.0)),
        invocation_s=(shortest, shortest * chance.choice((1.0, 2.0))),
        source_faults=chance.choice((0, 3, 8, 20)),
        damaged=frozenset(
            entry.number
            for entry in chance.sample(call.ours, k=chance.choice((0,) * 12 + (1, 2)))
            if len(call.ours) > 4
        )
        if len(call.ours) > 4
        else frozenset(),
        # Behind a pause nobody can tell where the next fragment but one begins: more than the one may be passed over.
        vanished=frozenset(
            entry.number
            for entry in chance.sample(call.ours[1:], k=min(len(call.ours) - 1, chance.choice((0,) * 12 + (1, 2))))
        )
        if not call.gaps and not kinds & _MOVE_TIMES
        else frozenset(),
        retention_fails=chance.random() < 0.05,
        # Drawn last and apart, so that a schedule is otherwise the same with and without.
        live=random.Random(f"{seed}/sinks").choice(
            ({}, {"blocks": 0}, {"segments": 1}, {"blocks": 0, "long": 3, "s": 1})
        ),
        live_trouble=random.Random(f"{seed}/trouble").choice((0.0, 0.0, 0.1)),
        kinds=kinds,
        spells=_draw_spells(random.Random(f"{seed}/spells"), call, kinds),
    )


_MOVE_TIMES = frozenset(
    {
        Kind.TIMES_SWAPPED,
        Kind.NUMBERS_SWAPPED,
        Kind.SKEW,
        Kind.NEVER_STORED,
        Kind.LEAP,
        Kind.CLUSTER_LEAP,
        Kind.BLOCK_LEAP,
        Kind.COMES_TOO_LATE,
        Kind.STEP_BACK,
        Kind.STEP_AHEAD,
    }
)
"""With these a reader that jumps by producer time may pass over more than the one fragment that it cannot get."""
_CODES = (5000, 3002, 4503, 3000, 9999)


def _draw_kinds(chance: random.Random, allowed: Collection[Kind]) -> frozenset[Kind]:
    drawn = frozenset(chance.sample(sorted(allowed), min(len(allowed), chance.choice((0, 1, 1, 1, 2, 3)))))
    # A leap or a step beside the border of two streamings may be taken for it: each sample is in one of them still.
    return drawn - _MOVE_TIMES if Kind.SECOND_STREAMING in drawn else drawn


def _draw_spells(chance: random.Random, call: RandomCall, kinds: frozenset[Kind]) -> tuple[Spell, ...]:
    """Times in which the stream cannot be read."""
    spells = []
    mine = [at for at, entry in enumerate(call.log) if entry.ours]
    inner = [] if call.gaps or kinds & _MOVE_TIMES else mine[1:-1]
    if Kind.ERRORS_PASSING in kinds and inner:
        spells.append(Spell(chance.choice(inner), chance.choice(_CODES), chance.uniform(1, 300)))
    if Kind.ERRORS_FOR_EVER in kinds and inner:
        spells.append(Spell(chance.choice(inner), chance.choice(_CODES), math.inf))
    if Kind.ERRORS_AT_THE_END in kinds:
        nameless = (
            at
            for at in range(mine[-1] + 1, len(call.log))
            if call.log[at].contents.contact_id is not None or chance.random() < 0.3
        )
        spells.append(Spell(next(nameless, len(call.log)), chance.choice(_CODES), math.inf))
    if Kind.UNLABELLED_STRANGER in kinds and not spells and chance.random() < 0.6:
        # Behind the strangers that name nobody; what would tell whose they are cannot be read.
        named = (at for at in range(mine[-1] + 1, len(call.log)) if call.log[at].contents.contact_id is not None)
        spells.append(Spell(next(named, len(call.log)), chance.choice(_CODES), chance.choice((60.0, 300.0, math.inf))))
    if Kind.BROKEN_HEAD in kinds:
        spells.append(Spell(None, 0, chance.uniform(10, 200), call.end_ms + chance.randrange(-20_000, 10_000)))
    return tuple(spells)


def run_schedule(seed: int, allowed: Collection[Kind] = HELD) -> Judged:
    """Draw, run, judge.

    Args:
        seed: decides all.
        allowed: kinds of trouble that may come.

    Raises:
        ScheduleFailedError: the promise was broken, or something unforeseen was raised.
    """
    schedule = draw(seed, allowed)
    trace: list[str] = []
    try:
        return _run(schedule, trace)
    except Exception as error:
        lines = "\n  ".join(trace)
        raise ScheduleFailedError(
            f"{type(error).__name__}: {error}\n  {schedule}\n  {lines}\n"
            f"  replay: make chaos SEED={seed}{_kinds_option(allowed)}"
        ) from error


def _kinds_option(allowed: Collection[Kind]) -> str:
    return "" if frozenset(allowed) == HELD else f" KINDS={','.join(sorted(allowed))}"


def _run(schedule: Schedule, trace: list[str]) -> Judged:
    whole = _undisturbed(schedule)
    counts = whole.hooks.calls
    chance = schedule.chance("disturb")
    kills = tuple(_draw_kill(chance, counts) for _ in range(chance.choice((0, 1, 2, 4, 8))))
    plan = {
        (port, chance.randint(1, counts[port] + 2)): chance.choice(_STORE_FAULTS)
        for port in chance.choices(
            [port for port in _STORE_PORTS if counts[port]] or ["put"], k=chance.choice((0, 1, 3, 6))
        )
    }
    world = schedule.world(
        source_faults=schedule.source_faults, kills=kills, store_plan=plan, invocation_s=schedule.invocation_s
    )
    execution, bucket = world.execution, world.bucket
    ending = chance.choice(("",) * 12 + ("outage", "foreign", "upload lost"))
    if ending == "outage":
        port = chance.choice(("put", "upload_part", "create_upload", "get"))
        execution.store.outage = (port, chance.randint(1, max(1, counts[port])))
    elif ending == "upload lost":
        port = chance.choice(("upload_part", "complete_upload", "put"))
        execution.store.plan[(port, chance.randint(1, max(1, counts[port])))] = StoreFault.UPLOAD_LOST
    total = sum(counts.values())
    if ending == "foreign":

        def intrude() -> None:
            bucket.objects.setdefault(world.names.key, (FOREIGN, {}))

        world.hooks.intrusions[chance.randint(1, total)] = intrude
    rivals = [_rival(schedule, world, number) for number in range(chance.choice((0, 0, 1, 2)))]
    for rival in rivals:
        world.hooks.intrusions[chance.randint(1, chance.choice((3, total)))] = _claiming(rival)
    trace += [f"kills {kills}", f"S3 {plan}", f"ending {ending!r}", f"rivals {len(rivals)}"]
    outcomes: list[Outcome] = []
    ran: list[Execution] = []
    for each in (execution, *rivals):
        outcomes.append(world.run() if each is execution else each.run())
        ran.append(each)
        trace.append(
            f"{each.name[-8:]}: {outcomes[-1].status} {outcomes[-1].reasons} {outcomes[-1].end_reason}, "
            f"{each.kills} kills, {each.retries} retries, steps {[str(r.next) for r in each.results][-12:]}"
        )
    trace.append(f"faults met {dict(world.source.met)} {dict(execution.store.met)}; kills {dict(world.hooks.killed)}")
    granted = [
        (each, outcome) for each, outcome in zip(ran, outcomes, strict=True) if not isinstance(each.claim(), Refused)
    ]
    faults = Counter(world.source.met)
    faults.update({f"S3 {kind}": count for kind, count in execution.store.met.items()})
    judged = Judged(schedule.seed, "", [], faults, Counter(world.hooks.killed))
    judged.numbers.update(
        steps=sum(len(each.results) for each in ran),
        retries=sum(each.retries for each in ran),
        hand_overs=sum(isinstance(r.next, HandOver | Wait) for each in ran for r in each.results),
        parts=sum(r.part is not None for each in ran for r in each.results),
        connections=world.source.opened,
        rivals=len(rivals),
        media_seconds=round(len(whole.wav) / 4 / schedule.call.rate),
    )
    _judge_connections(world, rivals)
    _judge_bucket(world)
    _judge_companion(schedule, world)
    names = world.names
    if bucket.objects.get(names.key, (b"",))[0] == FOREIGN:
        assert {outcome.status for outcome in outcomes} <= {OutcomeStatus.KEY_TAKEN, OutcomeStatus.REFUSED}
        # An empty recording's manifest may have been written the moment before the foreign object came.
        empty = not any(each.results and each.results[-1].checkpoint.cursor.frames for each in ran)
        allowed = {names.key, names.manifest} if empty else {names.key}
        assert set(bucket.objects) - _keys(world.companion) <= allowed, "something lies beside the foreign object"
        judged.status, judged.causes = "key_taken", ["a foreign object at the key"]
        return judged
    ours = [(each, outcome) for each, outcome in granted if outcome.status is not OutcomeStatus.REFUSED]
    # Where nothing came there is no WAV to keep a later starter out.
    recorded = [each for each in ours if each[1].status is not OutcomeStatus.EMPTY] or ours[-1:]
    assert len(recorded) == 1, f"{len(recorded)} executions recorded"
    _judge_recording(schedule, world, whole, recorded[0][0], recorded[0][1], judged, ending)
    return judged


def _draw_kill(chance: random.Random, counts: Counter[str]) -> Kill:
    port = chance.choice([port for port in _PORTS if counts[port]])
    return Kill(port, chance.randint(1, counts[port] + 1), after=chance.random() < 0.5)


def _undisturbed(schedule: Schedule) -> World:
    """The same call with nothing going wrong, held against the generator's own values."""
    world = schedule.world()
    world.source.damaged = world.source.vanished = frozenset()
    world.source.retention_fails = False
    world.source.spells = ()
    outcome = world.run()
    lost = _gone(schedule, world, [world.execution])
    if outcome.status is OutcomeStatus.EMPTY:
        assert lost >= {entry.number for entry in schedule.call.ours}, "the undisturbed run lacks the call"
        world.bucket.objects[world.names.key] = (b"", {})
        return world
    try:
        doubts = () if schedule.retention else (Doubt.NOT_KEPT,)
        _judge(schedule, world, dict.fromkeys(lost, "forgotten by the stream"), (), doubts=doubts)
    except AssertionError as error:
        raise AssertionError(f"undisturbed: {error}; {outcome.status} {outcome.reasons}") from error
    _judge_companion(schedule, world)
    if world.execution.live is not None:
        world.execution.live.judge(world.wav, world.manifest, s3_failed=False)
    return world


def _judge(
    schedule: Schedule,
    world: World,
    excused: Mapping[str, str],
    garbled: Collection[str],
    *,
    doubts: Collection[Doubt] = (),
    cut_short: bool = False,
) -> list[str]:
    """Hold a recording against what was sent."""
    call, met = schedule.call, world.source.met
    known = Circumstances(
        ours=call.ours,
        never_stored=call.never_stored,
        rate=call.rate,
        excused=excused,
        garbled=garbled,
        doubts=doubts_of(call) | set(doubts),
        read_once=not met["duplicate"] and not met["rewind"],
        cut_short=cut_short,
    )
    return Judge(world.wav, world.manifest, known).judge()


def doubts_of(call: RandomCall) -> frozenset[Doubt]:
    """What a call's own disorder makes undecidable."""
    doubts = {_DOUBTS[kind] for kind in call.kinds if kind in _DOUBTS}
    return frozenset(doubts | ({Doubt.OLD_COPY} if _has_old_copy(call) else set()))


def _has_old_copy(call: RandomCall) -> bool:
    """True if a producer sent audio again that lies more than 5 s before the newest."""
    newest_ms = 0
    times: set[int] = set()
    for entry in call.ours:
        start_ms = entry.contents.producer_ms
        if start_ms in times and newest_ms - start_ms > _COMPARED_MS:
            return True
        times.add(start_ms)
        newest_ms = max(newest_ms, entry.end_ms)
    return False


def _has_copy(call: RandomCall) -> bool:
    """True if a producer sent audio again."""
    times = Counter(entry.contents.producer_ms for entry in call.ours)
    return max(times.values()) > 1


_COMPARED_MS = 4900
"""The recorder compares the newest 5 s; a fragment's edge may lie a little before."""
_DOUBTS = {
    Kind.LEAP: Doubt.TIMES,
    Kind.CLUSTER_LEAP: Doubt.TIMES,
    Kind.BLOCK_LEAP: Doubt.TIMES,
    Kind.STEP_BACK: Doubt.CLOCK,
    Kind.STEP_AHEAD: Doubt.CLOCK,
    Kind.UNLABELLED_STRANGER: Doubt.NAMELESS,
}


def _rival(schedule: Schedule, world: World, number: int) -> Execution:
    hooks = Hooks(world.clock)
    source = ChaosSource(
        schedule.call.log, world.clock, hooks, schedule.chance(f"rival {number}"), 0, schedule.retention
    )
    store = ChaosStore(world.bucket, hooks, world.clock)
    status = ChaosStatus(world.clock, hooks, schedule.disconnected_ms, 0.0, schedule.chance("rival status"))
    return Execution(
        f"{RIVAL}{number}",
        source,
        store,
        status,
        world.clock,
        hooks,
        schedule.policy,
        schedule.chance(f"rival engine {number}"),
        request=world.execution.request,
    )


def _claiming(rival: Execution) -> Callable[[], None]:
    def claim() -> None:
        rival.claim()

    return claim


# --- judging ---------------------------------------------------------------------------------------------------------


def _judge_connections(world: World, rivals: Sequence[Execution]) -> None:
    for source in (world.source, *(rival.source for rival in rivals)):
        assert source.most_open <= 1, f"{source.most_open} connections at once"
        assert source.open_now == 0, "a connection remains open"


def _keys(execution: Execution | None) -> set[str]:
    return set() if execution is None else {execution.names.key, execution.names.manifest}


def _judge_companion(schedule: Schedule, world: World) -> None:
    """Hold the recording of the contact's other streaming against what was sent: nothing went wrong with it."""
    shared, companion, outcome = schedule.call.companion, world.companion, world.companion_outcome
    if shared is None or companion is None:
        return
    assert outcome is not None
    assert companion.source.most_open <= 1
    kinds = {_DOUBTS[kind] for kind in schedule.call.kinds if kind in _DOUBTS}
    known = Circumstances(
        ours=shared.ours, never_stored=(), rate=schedule.call.rate, doubts=frozenset(kinds), read_once=True
    )
    try:
        Judge(world.bucket.objects[companion.names.key][0], world.manifest_of(companion), known).judge()
    except AssertionError as error:
        raise AssertionError(f"the other streaming: {error}; {outcome.status} {outcome.reasons}") from error


def _judge_bucket(world: World) -> None:
    left = set(world.bucket.objects) - _keys(world.execution) - _keys(world.companion)
    assert not left, f"left in the bucket: {sorted(left)}"
    assert not world.bucket.uploads, f"uploads left open: {list(world.bucket.uploads)}"


def _gone(schedule: Schedule, world: World, executions: Sequence[Execution]) -> frozenset[str]:
    """Fragments that a stream without retention had forgotten before they were durable: nothing could save them."""
    if schedule.retention:
        return frozenset()
    gone = set()
    commits = sorted(commit for execution in executions for commit in execution.commits)
    for at, entry in enumerate(schedule.call.log):
        gone_ms = entry.at_ms + BUFFER_S * 1000
        durable = any(when <= gone_ms and index >= at for when, index in commits)
        if entry.ours and not durable and gone_ms < world.clock.now_ms():
            gone.add(entry.number)
    return frozenset(gone)


def _judge_recording(
    schedule: Schedule,
    world: World,
    whole: World,
    execution: Execution,
    outcome: Outcome,
    judged: Judged,
    ending: str,
) -> None:
    source = execution.source
    excused: dict[str, str] = dict.fromkeys(_gone(schedule, world, [execution]), "forgotten by the stream")
    excused |= dict.fromkeys(source.damaged, "damaged in the stream")
    excused |= dict.fromkeys(source.vanished, "not found by the stream")
    excused |= _skipped(schedule, source, outcome)
    excused |= {number: "garbled twice" for number, count in source.garbled.items() if count > 1}
    # Garbage may also stand behind the one before: met twice between two fragments, it counts as damage in the log.
    excused |= {
        entry.number: "garbled twice"
        for before, entry in pairwise(schedule.call.log)
        if source.garbled[before.number] and source.garbled[entry.number]
    }
    if excused and "UNDECIDABLE_FRAGMENTS" in outcome.reasons:
        nameless = (entry.number for entry in schedule.call.ours if entry.contents.contact_id is None)
        excused |= dict.fromkeys(nameless, "nameless, and the neighbour that would tell is missing")
    judged.status = outcome.status.value
    ours = schedule.call.ours
    numbers = [entry.number for entry in ours]
    if outcome.status is OutcomeStatus.EMPTY:
        if execution.salvaged:
            judged.causes = ["a step failed for good"]
            return
        assert set(numbers) <= set(excused), "nothing was recorded"
        judged.causes = sorted(set(excused.values()))
        return
    manifest = world.manifest
    assert manifest["status"] == outcome.status.value
    cut_short = execution.salvaged or (ending == "upload lost" and "UPLOAD_LOST" in outcome.reasons)
    doubts = set()
    if schedule.retention_fails or not schedule.retention:
        doubts.add(Doubt.NOT_KEPT)
    if (source.vanished or any(spell.code for spell in source.spells)) and _has_copy(schedule.call):
        # A reader that went on behind a place it cannot read has newer audio when it reads the copy.
        doubts.add(Doubt.OLD_COPY)
    for spell in source.spells:
        if spell.at is not None and spell.at > max(source.index(number) for number in numbers):
            doubts.add(Doubt.END_UNREAD)
    garbled = source.damaged | set(source.garbled)
    judged.causes = _judge(schedule, world, excused, garbled & set(excused), doubts=doubts, cut_short=cut_short)
    if cut_short:
        assert outcome.status is OutcomeStatus.PARTIAL, "salvaged, and yet called whole"
        judged.causes = ["a step failed for good" if execution.salvaged else "the upload was lost"]
        return
    # From a stream that keeps nothing the fragment with the error is gone some time, and the end can be read. So it can
    # where a producer sends that fragment again.
    ends = {schedule.call.log[at].number for at in _ends_of(source, schedule.call.log) if at < len(schedule.call.log)}
    if Doubt.END_UNREAD in doubts and schedule.retention and not ends & source.rewound:
        assert outcome.status is OutcomeStatus.PARTIAL, "the end could not be read, and yet called whole"
    if execution.live is not None:
        judged.numbers.update(execution.live.judge(world.wav, manifest, s3_failed=bool(execution.store.met)))
    if world.wav == whole.wav and not excused and not doubts:
        assert outcome.reasons == whole_reasons(whole), f"{outcome.reasons} instead of {whole_reasons(whole)}"
        _same_manifest(manifest, whole.manifest)


def _skipped(schedule: Schedule, source: ChaosSource, outcome: Outcome) -> dict[str, str]:
    """Fragments of ours that a reader may pass over, since KVS reports an error at them or beside them."""
    log = schedule.call.log
    at_errors = [spell.at for spell in source.spells if spell.at is not None and spell.at < len(log)]
    vanished = [at for at, entry in enumerate(log) if entry.number in source.vanished]
    excused: dict[str, str] = {}
    if not _ends_of(source, log) and not vanished:
        return excused
    cause = "not found by the stream" if vanished else SKIPPED
    excused |= {entry.number: cause for entry in schedule.call.ours if entry.end_ms - entry.contents.producer_ms <= 200}
    # Reading goes on by a producer time beyond the error, where KVS finds no fragment of before it.
    if {"MEDIA_EXPIRED", "IN_BAND_ERROR"} & set(outcome.reasons):
        ends = [(at, log[at].end_ms) for at in (*vanished, *at_errors)]
        excused |= {
            entry.number: cause
            for at, entry in enumerate(log)
            if any(before < at and entry.contents.producer_ms < end_ms for before, end_ms in ends)
        }
    times = Counter(entry.contents.producer_ms for entry in log)
    excused |= {
        log[at].number: SKIPPED if times[log[at].contents.producer_ms] == 1 else "not readable, and sent twice"
        for at in at_errors
        if log[at].ours
    }
    if any(at > max(source.index(entry.number) for entry in schedule.call.ours) for at in _ends_of(source, log)):
        # Behind the last label, and what follows could not be read: left out to protect the next caller.
        labelled = max(at for at, entry in enumerate(log) if entry.ours and entry.contents.contact_id)
        excused |= {entry.number: SKIPPED for at, entry in enumerate(log) if entry.ours and at > labelled}
    return excused


def _ends_of(source: ChaosSource, log: Sequence[LogEntry]) -> list[int]:
    """Where in the log KVS reports errors; behind it for the stream's end."""
    return [len(log) if spell.at is None else spell.at for spell in source.spells if spell.code]


def whole_reasons(whole: World) -> tuple[str, ...]:
    return tuple(reason["code"] for reason in whole.manifest["reasons"])


_OF_READING = frozenset({"receivedBytes", "repeatedBytes", "repeatedSamples"})
"""What a body that repeats itself adds to."""


def _same_manifest(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """What a recording says of itself does not depend on how it was read, but for what counts the reading."""

    def essence(manifest: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in manifest.items() if name in {"status", "recording"}}
        # How many blocks came on a track that is not recorded depends on what a body repeats.
        kept["reasons"] = [
            (reason["code"], "" if reason["code"] == "UNKNOWN_TRACK" else reason["detail"])
            for reason in manifest["reasons"]
        ]
        kept["tracks"] = {
            name: {key: value for key, value in track.items() if key not in _OF_READING}
            for name, track in manifest["tracks"].items()
        }
        kept["fragments"] = {name: manifest["fragments"][name]["number"] for name in ("first",)}
        kept["gaps"] = {name: manifest["gaps"][name] for name in ("count", "streamHoles", "producerPauses")}
        return kept

    assert essence(found) == essence(expected), f"{essence(found)} instead of {essence(expected)}"
    assert found["status"] in set(Status)
