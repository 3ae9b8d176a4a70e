"""Seeded schedules of kills for the engine-level chaos: which call, in which invocations, what dies where.

A schedule is a function of its seed. What of it is up to the kernel, as how much a process has read of the fragments
on their way, or where it is after half a second, must not matter to the recording either.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from chaos.kinds import Kind
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.request import RecordingOptions, RecordingRequest
from connect_audio_local.kvs import EmulatedStream, Live, Pace, StoredFragment, stored
from connect_audio_local.kvs.faults import NO_FAULTS, AtFragment, Cut, End, FaultPlan, InBand, Reset
from connect_audio_local.kvs.model import ALL_AT_ONCE, Delivery
from connect_audio_local.lambda_.durable_engine import EngineExecution
from connect_audio_local.lambda_.function_host import InvocationRecord
from connect_audio_local.lambda_.kill_points import Kill, Moment
from connect_audio_local.process_cloud import BUCKET, ProcessCloud, request_for
from connect_audio_local.recognition.markers import MARKER_WORDS
from connect_audio_local.s3.faults import NO_S3_FAULTS, S3FaultPlan, S3FaultProxy, S3Operation, random_s3_faults
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, Gap, SyntheticCall, synthesize_stream
from support.disordered_scenes import DISORDER, disordered_call
from support.speech_sessions import call, said
from support.wav import interleaved, stereo_wav

INSTANCE: Final = "00000000-0000-4000-8000-0000000000aa"
CONTACT: Final = "00000000-0000-4000-8000-000000000001"
_NEIGHBOURS: Final = ("00000000-0000-4000-8000-000000000008", "00000000-0000-4000-8000-000000000009")
_RATE: Final = 8000
# With it sinks have 5 s to catch up at an invocation's end, so that nothing need be dropped where a call is read fast.
LIVE_MARGIN_S: Final = 40
# More than any call with live audio has, as fast as it is read here: so nothing need be dropped for slowness.
_LIVE_BUFFER: Final = {"LIVE_SINKS": "segments", "LIVE_BUFFER_SECONDS": "300"}
EVERY_SECOND: Final[Mapping[str, str]] = _LIVE_BUFFER
EACH_PARTY: Final[Mapping[str, str]] = {
    **_LIVE_BUFFER,
    "LIVE_SEGMENT_SECONDS": "3",
    "LIVE_SEGMENT_LAYOUT": "tracks",
    "LIVE_SEGMENT_RATE": "16000",
}
# What of a manifest no kill may change; how many strangers were seen depends on when reading stopped, and how many
# errors in band on how often a fragment was asked for.
_LASTING: Final = ("status", "reasons", "tracks", "unknownTracks", "timesDisagree", "gaps", "lostBytes", "lostByteRuns")
_LONGER: Final = 2
"""Times that a starved run is made again, with three times as long to read."""
LIVE_MODE: Final = RecordingOptions()
SPOKEN: Final = tuple(
    said((Party.AGENT, Party.CUSTOMER)[number % 2], 1.0 + 1.7 * number, " ".join(MARKER_WORDS[(3 * number) % 8 :][:3]))
    for number in range(16)
)
"""The words of the scene `spoken`: three words each, from one party and then the other, for 28 s."""
_SPOKEN_S: Final = 30.0
_PASSING: Final = (3002, 4503, 5000)


@dataclass(frozen=True)
class Scene:
    """A stream and what must come of our contact in it.

    Args:
        fragments: the stream's.
        start_ms: StartTimestamp of our contact.
        wav: the undisturbed recording, made of the parties' samples; empty where `judge` says what it must be.
        judge: holds an undisturbed recording and its manifest against a call in disorder; None for a call in order.
    """

    fragments: tuple[StoredFragment, ...]
    start_ms: int
    wav: bytes
    judge: Callable[[bytes, dict[str, Any]], bool] | None = None


@dataclass(frozen=True)
class Schedule:
    """One run.

    Args:
        seed: what it was made of.
        scene: name of the scene.
        pace: of the stream.
        invocation_s: the function's timeout: 900 for one invocation, 36 for about a second each, 20 for a part each.
        kills: what dies.
        lifetimes: seconds after which the first processes die at whatever instruction.
        faults: how the stream misbehaves.
        s3_faults: how S3 does.
        rivals: executions that start at the same moment.
        live: the settings of live audio in the consumer's input; none for no live audio.
        options: the manner of the recording.
        margin_s: how long before its timeout an invocation stops recording; an eighth of it, 5 s at most, is the live
            sinks' to catch up.
    """

    seed: int
    scene: str
    kills: tuple[Kill, ...]
    pace: Pace = ALL_AT_ONCE
    lifetimes: tuple[float, ...] = ()
    faults: FaultPlan = NO_FAULTS
    s3_faults: S3FaultPlan = NO_S3_FAULTS
    invocation_s: float = 900
    rivals: int = 1
    live: Mapping[str, str] = field(default_factory=dict)
    margin_s: int = 5
    options: RecordingOptions = LIVE_MODE


@dataclass(frozen=True)
class Run:
    """What a schedule left.

    Args:
        request: what was to be recorded.
        executions: how they ended, in the order of their start.
        invocations: the processes.
        killed: kills that happened.
        wav: the recording; None where there is none.
        manifest: its manifest; None where there is none.
        keys: every object of the recording but its live segments.
        open_uploads: multipart uploads left open.
        most_connections: the most GetMedia connections open at once.
        s3_operations: what was asked of S3.
        segments: its live segments and their index, by name.
    """

    request: RecordingRequest
    executions: list[EngineExecution]
    invocations: list[InvocationRecord]
    killed: list[str]
    wav: bytes | None
    manifest: dict[str, Any] | None
    keys: list[str]
    open_uploads: list[str]
    most_connections: int
    s3_operations: tuple[S3Operation, ...]
    segments: Mapping[str, bytes]


def _noise(seed: int, seconds: float) -> bytes:
    """Audio in which every shift shows."""
    return random.Random(seed).randbytes(round(seconds * _RATE) * 2)


@cache
def scene(name: str) -> Scene:
    """Make a scene.

    Args:
        name: `short` fits one PutObject, `long` is three parts, `busy` is as long and has neighbours, a pause and a
            tail; `heard` is a busy one of 40 s, for live audio; `spoken` has words. The name of a kind in
            `DISORDER` is a call with it.
    """
    if name in DISORDER:
        disordered = disordered_call(Kind(name))
        return Scene(disordered.fragments, DEFAULT_START_MS, b"", disordered.judge)
    seconds = {"short": 24.0, "heard": 40.0}.get(name, 396.0)
    if name == "spoken":
        customer, agent = (call(SPOKEN, _SPOKEN_S)[party] for party in PARTIES)
    else:
        customer, agent = _noise(1, seconds), _noise(2, seconds)
    made = SyntheticCall(customer=customer, agent=agent, contact_id=CONTACT, instance_id=INSTANCE)
    if name in {"short", "long", "spoken"}:
        fragments = tuple(stored(synthesize_stream([made])))
        return Scene(fragments, fragments[0].producer_ms, stereo_wav(interleaved(customer, agent)))
    # At the 1.024 s of a fragment, so that the pause falls between two of them.
    gap = Gap(at_ms=(150 if name == "busy" else 15) * 1024, length_ms=7000)
    before, after = (
        SyntheticCall(customer=_noise(at, 9), agent=_noise(at + 1, 9), contact_id=contact, instance_id=INSTANCE)
        for at, contact in zip((5, 7), _NEIGHBOURS, strict=True)
    )
    ours = SyntheticCall(
        customer=customer,
        agent=agent,
        contact_id=CONTACT,
        instance_id=INSTANCE,
        pause_ms=500,
        gaps=(gap,),
        unlabelled=frozenset({20, 160} if name == "busy" else {20, 30}),
    )
    fragments = tuple(stored(synthesize_stream([before, ours, after])))
    start_ms = next(each.producer_ms for each in fragments if each.contact_id == CONTACT)
    cut, silence = gap.at_ms * _RATE // 1000 * 2, b"\0" * (gap.length_ms * _RATE // 1000 * 2)
    sides = (side[:cut] + silence + side[cut:] for side in (customer, agent))
    return Scene(fragments, start_ms, stereo_wav(interleaved(*sides)))


def random_schedule(seed: int, trace_of: Callable[[str], Sequence[str]]) -> Schedule:
    """Make a schedule.

    Args:
        seed: the same seed makes the same schedule.
        trace_of: gives the names of the crossings of a scene's undisturbed run.
    """
    dice = random.Random(seed)
    if seed % 3 == 0:
        return _heard_schedule(seed, dice, trace_of("heard"))
    # Every third one has a call in disorder.
    in_order = seed % 3 == 1
    name = dice.choices(("long", "busy", "short"), (4, 5, 1))[0] if in_order else dice.choice(DISORDER).value
    trace = trace_of(name)
    rivals = dice.choices((1, 2), (4, 1))[0]
    kills = []
    for _ in range(dice.choices((1, 2, 3, 4), (3, 3, 2, 1))[0]):
        service = dice.choices(("s3:", "engine:", "kvs:", "media:"), (5, 3, 1, 2))[0]
        seen = max(1, sum(each.startswith(service) for each in trace))
        kills.append(Kill(f"{service}*", dice.randint(1, seen), dice.choice(list(Moment))))
    cuts = _cuts(name, dice)
    s3_faults = random_s3_faults(seed, count=1) if dice.random() < 0.3 else NO_S3_FAULTS
    pace = dice.choices((ALL_AT_ONCE, Live(speed=200)), (3, 1))[0]
    return Schedule(
        seed=seed,
        scene=name,
        kills=tuple(kills),
        lifetimes=tuple(round(dice.uniform(0.02, 0.8), 3) for _ in range(dice.choice((0, 0, 0, 1, 2)))),
        faults=cuts,
        s3_faults=s3_faults,
        pace=pace,
        invocation_s=dice.choices((900, 36.2, 20), (2, 2, 1))[0],
        rivals=rivals,
    )


def _cuts(name: str, dice: random.Random) -> FaultPlan:
    """Bodies that break off or end with an error in band, in up to two places."""
    length = len(scene(name).fragments)
    places = dice.sample(range(2, length - 2), min(length - 4, dice.choice((0, 0, 1, 2))))
    return FaultPlan(
        tuple(
            AtFragment(place, InBand(dice.choice(_PASSING)), times=dice.choice((1, 2)))
            if dice.random() < 0.3
            else AtFragment(place, dice.choice((Cut, End, Reset))(dice.randrange(34_000)))
            for place in places
            # Two bodies in a row that give no fragment make a second of silence, which is all the drain there is.
            if all(abs(place - other) > 5 for other in places if other != place)
        )
    )


def _heard_schedule(seed: int, dice: random.Random, trace: Sequence[str]) -> Schedule:
    """A schedule with live audio: kills at its writes, too, and invocations that end in the midst of it."""
    kills = []
    for _ in range(dice.choice((1, 2, 3))):
        service = dice.choices(("s3:PutObject segments/", "s3:", "engine:", "kvs:", "media:"), (5, 3, 2, 1, 2))[0]
        seen = sum(each.startswith(service) for each in trace)
        kills.append(Kill(f"{service}*", dice.randint(1, seen), dice.choice(list(Moment))))
    return Schedule(
        seed=seed,
        scene="heard",
        kills=tuple(kills),
        lifetimes=tuple(round(dice.uniform(0.1, 1.5), 3) for _ in range(dice.choice((0, 0, 1, 2)))),
        faults=_cuts("heard", dice),
        s3_faults=random_s3_faults(seed, count=1) if dice.random() < 0.3 else NO_S3_FAULTS,
        pace=dice.choice((ALL_AT_ONCE, Live(speed=20), Live(speed=20))),
        # All of it, or a second of reading each.
        invocation_s=dice.choice((900, LIVE_MARGIN_S + 1)),
        rivals=dice.choices((1, 2), (5, 1))[0],
        live=dice.choices((EVERY_SECOND, EACH_PARTY), (3, 2))[0],
        margin_s=LIVE_MARGIN_S,
    )


def run(cloud: ProcessCloud, schedule: Schedule, number: int) -> Run:
    """Run a schedule to its end.

    Args:
        cloud: where.
        schedule: what.
        number: makes stream and contact unique in the cloud.
    """
    stage, contact_id = scene(schedule.scene), f"10000000-0000-4000-8000-{number:012d}"
    stream = cloud.emulator.add_stream(
        EmulatedStream(
            f"stream-{number}",
            _of(contact_id, stage.fragments),
            pace=schedule.pace,
            # Live audio is told block by block, ahead of the recording's word.
            delivery=Delivery.BLOCK if schedule.live else Delivery.FRAGMENT,
            faults=schedule.faults,
        )
    )
    request = request_for(contact_id, INSTANCE, stream.arn, stage.start_ms)
    live = {"live": dict(schedule.live)} if schedule.live else {}
    payload = request.to_payload() | schedule.options.to_payload() | live
    cloud.host.seconds = schedule.invocation_s
    margin = cloud.host.environment["DEADLINE_MARGIN_SECONDS"]
    cloud.host.environment["DEADLINE_MARGIN_SECONDS"] = str(schedule.margin_s)
    first = len(cloud.host.invocations)
    cloud.host.lifetimes.extend(schedule.lifetimes)
    cloud.gate.arm(*schedule.kills)
    with S3FaultProxy(cloud.s3_url, schedule.s3_faults) as front:
        cloud.s3_proxy.upstream = front.url
        arns = [cloud.engine.start(f"{number}-{each}", payload) for each in range(schedule.rivals)]
        executions = [cloud.engine.wait(arn) for arn in arns]
        cloud.gate.settle()
    cloud.s3_proxy.upstream = cloud.s3_url
    cloud.host.lifetimes.clear()
    cloud.host.environment["DEADLINE_MARGIN_SECONDS"] = margin
    key = request.recording_key("recordings")
    prefix = key.removesuffix("wav") + "segments/"
    everything = cloud.keys(contact_id)
    segments = [each for each in everything if each.startswith(prefix)]
    keys = [each for each in everything if not each.startswith(prefix)]
    found = {each: cloud.body(f"s3://{BUCKET}/{each}") for each in (key, key.replace(".wav", ".json")) if each in keys}
    manifest = found.get(key.replace(".wav", ".json"))
    return Run(
        request=request,
        executions=executions,
        invocations=cloud.host.invocations[first:],
        killed=[f"{crossing.name} ({kill.moment})" for kill, crossing in cloud.gate.killed],
        wav=found.get(key),
        manifest=None if manifest is None else json.loads(manifest),
        keys=keys,
        open_uploads=cloud.open_uploads(contact_id),
        most_connections=cloud.emulator.max_open_connections(stream.name),
        s3_operations=front.operations,
        segments={each.removeprefix(prefix): cloud.body(f"s3://{BUCKET}/{each}") for each in segments},
    )


def run_in_time(cloud: ProcessCloud, schedule: Schedule, numbers: Iterator[int]) -> Run:
    """Run a schedule, with longer invocations if the machine is too busy for one to read a fragment in its second.

    Args:
        cloud: where.
        schedule: what.
        numbers: makes streams and contacts unique in the cloud.
    """
    for _ in range(_LONGER):
        found = run(cloud, schedule, next(numbers))
        if not _is_starved(found):
            return found
        reading_s = schedule.invocation_s - schedule.margin_s
        schedule = replace(schedule, invocation_s=schedule.margin_s + 3 * reading_s)
    return run(cloud, schedule, next(numbers))


def _is_starved(found: Run) -> bool:
    """Return True if three invocations in a row read nothing: an execution with more time must not end so."""
    reasons = () if found.manifest is None else found.manifest["reasons"]
    return any(each["code"] == "NO_PROGRESS" for each in reasons)


def lasting(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest no kill may change."""
    fragments = {name: value for name, value in manifest["fragments"].items() if name != "otherContact"}
    audio = {name: value for name, value in manifest["recording"].items() if name != "location"}
    return {name: manifest[name] for name in _LASTING} | fragments | audio


def _of(contact_id: str, fragments: tuple[StoredFragment, ...]) -> list[StoredFragment]:
    """The scene's fragments with our contact renamed: a second recording of one contact would be a sibling."""
    old, new = CONTACT.encode(), contact_id.encode()

    def renamed(fragment: StoredFragment) -> StoredFragment:
        if fragment.contact_id != CONTACT:
            return fragment
        return replace(fragment, contact_id=contact_id, load=lambda: fragment.load().replace(old, new))

    return [renamed(fragment) for fragment in fragments]
