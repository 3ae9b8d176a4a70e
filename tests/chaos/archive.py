# ruff: noqa: T201 - a command prints
"""Many programs at once over one recording, seeded: `make archive-chaos N=2000`, or one seed again by SEED=17.

How it works. The dice draw the stream's trouble, the execution's manner, and which programs run beside it from when on:
a redrive, exports, repairs. They draw which calls of a port fail or kill a program, and the order in which programs go
on. At the end the judge looks at the bucket, and once more behind a last undisturbed repair:

    one recording        WAV and manifest and nothing else: no staged object, no upload, no claim
    of the call          each block of audio is the one that was sent, at its place
    nothing lost         each block that any published recording had is in the last one
    the best             the stream has not more: no block beside all that the recording has
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chaos.archive_actors import SECONDS, Execution, Scene, export, redrive, repair
from chaos.archive_ports import Held, Kept
from chaos.stage import Stage, Trouble
from connect_audio.recorder import Policy
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.policy import MIN_PART_BYTES
from connect_audio.request import RecordingMode, RecordingOptions
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.store import MemoryStore
from support.wav import pcm, wav_of_call
from support.world import EXECUTION, NAMES

BLOCK_MS: Final = 64
"""Length of a block of Connect's audio, ms."""
_BLOCK_BYTES: Final = BLOCK_MS * 32
_HEADER: Final = 44
_TWINS: Final = 0.3
"""Probability of two exports of one owner."""
_FOR_EVER_MS: Final = DEFAULT_START_MS * 2


@dataclass(frozen=True)
class Judged:
    """The end of a run.

    Args:
        status: of the last recording.
        kinds: what was drawn, and what came of it.
        kills: how many.
    """

    status: str
    kinds: tuple[str, ...]
    kills: int


class Bucket(MemoryStore):
    """A bucket that remembers each recording that was published."""

    def __init__(self, least_part_bytes: int) -> None:
        super().__init__(least_part_bytes)
        self.published: list[dict[int, bytes]] = []

    def _write(self, key: str, *rest: Any) -> None:
        super()._write(key, *rest)
        if key == NAMES.manifest:
            self.published.append(audio_of(self))


def audio_of(store: MemoryStore) -> dict[int, bytes]:
    """The blocks of the recording that have audio, by their time, ms after the call's start."""
    manifest, wav = manifest_at(store), store.objects.get(NAMES.key, (b"",))[0]
    recording = manifest and manifest["recording"]
    if not recording or _crc(wav) != recording["dataCrc32"]:
        # A repair has replaced the WAV, and not yet the manifest.
        return {}
    start_ms = round(datetime.fromisoformat(recording["startTime"]).timestamp() * 1000) - DEFAULT_START_MS
    data = wav[_HEADER:]
    assert recording["frames"] * 4 == len(data)
    first = -start_ms % BLOCK_MS
    found = {}
    for at in range(first * 32, len(data), _BLOCK_BYTES):
        block = data[at : at + _BLOCK_BYTES]
        if block.strip(b"\0"):
            found[start_ms + at // 32] = block
    return found


def _crc(wav: bytes) -> str:
    return f"{zlib.crc32(wav[_HEADER:]):08x}"


def manifest_at(store: MemoryStore) -> dict[str, Any] | None:
    found = store.objects.get(NAMES.manifest)
    manifest: dict[str, Any] | None = None if found is None else json.loads(found[0])
    return manifest


def _sent() -> dict[int, bytes]:
    data = pcm(wav_of_call(call(SECONDS)))
    return {at // 32: data[at : at + _BLOCK_BYTES] for at in range(0, len(data), _BLOCK_BYTES)}


SENT: Final = _sent()


def run(seed: int) -> Judged:
    """Draw a run, let it go, and judge it.

    Args:
        seed: of everything.

    Raises:
        AssertionError: the recording is not what it must be.
    """
    dice = random.Random(seed)
    stage = Stage(dice, DEFAULT_START_MS)
    kinds: list[str] = []
    has_parts = dice.random() < 0.3
    store = Bucket(1 if has_parts else MIN_PART_BYTES)
    kept = _stream(dice, stage, kinds)
    scene = Scene(
        kept,
        store,
        Policy(part_bytes=96_000) if has_parts else Policy(),
        DEFAULT_START_MS + SECONDS * 1000 if dice.random() < 0.7 else None,
    )
    mode = RecordingMode.ARCHIVE if dice.random() < 0.5 else RecordingMode.LIVE
    options = RecordingOptions(mode=mode, repair=dice.random() < 0.7)
    kinds.append(mode.value)
    execution = Execution(scene, options, Continuation(execution=EXECUTION))
    stage.actor("consumer", execution.life, _troubles(dice, 120, for_good=True), at_s=dice.choice((0, 2, 30, 700, 900)))
    stage.actor("redrive", redrive(execution, scene, options), _troubles(dice, 60), at_s=5)
    for number in range(dice.choice((0, 1, 1, 2))):
        begin_s = dice.choice((1, 20, 500, 620, 700, 1000, 2000))
        made = export(scene, f"export{number}", is_named=dice.random() < 0.5)
        stage.actor(f"export{number}", made, _troubles(dice, 80), at_s=begin_s)
        kinds.append("export")
    for number in range(dice.choice((0, 1, 1, 2))):
        begin_s = dice.choice((40, 50, 70, 650, 700, 1000, 2000))
        stage.actor(f"repair{number}", repair(scene, f"repair{number}"), _troubles(dice, 60), at_s=begin_s)
        kinds.append("repair")
    _twins(random.Random(f"{seed} twins"), stage, scene, kinds)
    stage.run()
    kinds += scene.log.told
    kills = sum(each.kills for each in stage.actors)
    _judge(store)
    return _judge_last(store, kept, stage, scene, kinds, kills)


def _twins(dice: random.Random, stage: Stage, scene: Scene, kinds: list[str]) -> None:
    """Draw two exports of one owner, as of two terminals, by dice of their own: what else is drawn stays as it was."""
    if dice.random() >= _TWINS:
        return
    begin_s = dice.choice((620, 700, 1000, 2000))
    for number in (1, 2):
        made = export(scene, "twin", is_named=dice.random() < 0.7)
        stage.actor(f"twin{number}", made, _troubles(dice, 80), at_s=begin_s + dice.choice((0, 0, 1, 60)))
    kinds.append("twins")


def _stream(dice: random.Random, stage: Stage, kinds: list[str]) -> Kept:
    """Draw the stream: late in the listing, lost, left out by GetMedia, broken, expiring."""
    window_ms = dice.choice((None, None, 600_000, 900_000, 2_400_000))
    spoilt = dice.choice((0, 0, 1, 2, 4))
    drawn = fragments(call(SECONDS))
    places = range(len(drawn))
    left_out, broken, lost, late = ({*dice.sample(places, min(spoilt, dice.choice((0, 1, 2))))} for _ in range(4))
    held = []
    for place, each in enumerate(drawn):
        at_ms = each.producer_ms + each.duration_ms
        gone_ms = _FOR_EVER_MS if window_ms is None else at_ms + window_ms
        if place in lost:
            gone_ms = min(gone_ms, at_ms + dice.choice((0, 5000, 60_000, 700_000)))
        listed_ms = at_ms + (dice.choice((1000, 4000, 8000)) if place in late else 0)
        is_left_out, is_broken = place in left_out, place in broken
        held.append(Held(each.number, each.producer_ms, at_ms, each.data, listed_ms, gone_ms, is_left_out, is_broken))
    named = {"left out": left_out, "broken": broken, "lost": lost, "late": late, "expires": window_ms}
    kinds += [name for name, value in named.items() if value]
    return Kept(held, stage.now_ms, dice.choice((24, 24, 1, 0)), window_ms)


def _troubles(dice: random.Random, most: int, *, for_good: bool = False) -> Mapping[int, Trouble]:
    kinds = [Trouble.KILL_BEFORE, Trouble.KILL_AFTER, Trouble.FAIL_BEFORE, Trouble.FAIL_AFTER]
    kinds += [Trouble.FAIL_FOR_GOOD] * for_good
    return {dice.randint(1, most): dice.choice(kinds) for _ in range(dice.choice((0, 1, 2, 4)))}


def _judge(store: Bucket) -> None:
    left = set(store.objects) - {NAMES.key, NAMES.manifest}
    assert not left, f"left behind: {sorted(left)}"
    assert not store.uploads, f"open uploads: {store.uploads.keys()}"
    manifest = manifest_at(store)
    assert manifest is not None, "no recording"
    recording = manifest["recording"]
    if recording is None:
        assert NAMES.key not in store.objects, "a WAV beside an empty recording"
        return
    wav = store.objects[NAMES.key][0]
    assert _crc(wav) == recording["dataCrc32"], "the manifest is of another WAV"
    last = audio_of(store)
    wrong = [at for at, block in last.items() if SENT.get(at, b"")[: len(block)] != block and not _is_part(at, block)]
    assert not wrong, f"audio that was not sent: {wrong}"
    for at_publication in store.published:
        assert at_publication.keys() <= last.keys(), f"lost: {sorted(at_publication.keys() - last.keys())}"


def _is_part(at: int, block: bytes) -> bool:
    """Return True if each sample of a block is the one that was sent, or silence."""
    sent = memoryview(SENT.get(at, b"").ljust(len(block), b"\0")[: len(block)]).cast("h")
    return all(sample in (0, sent[place]) for place, sample in enumerate(memoryview(block).cast("h")))


def _judge_last(store: Bucket, kept: Kept, stage: Stage, scene: Scene, kinds: Sequence[str], kills: int) -> Judged:
    """Repair once more, undisturbed, and compare the recording with what the stream still has."""
    calm = Stage(random.Random(0), stage.now_ms() + 700_000)
    kept.now_ms = calm.now_ms
    calm.actor("last", repair(scene, "last"), {}, at_s=0)
    calm.run()
    _judge(store)
    manifest, last = manifest_at(store), audio_of(store)
    assert manifest is not None
    there = {
        each.producer_ms - DEFAULT_START_MS + at
        for each in kept.there()
        for at in range(0, each.at_ms - each.producer_ms, BLOCK_MS)
        if each.producer_ms - DEFAULT_START_MS + at in SENT
    }
    if there > set(last):
        missed = sorted(there - set(last))
        _doubts(manifest, missed, last)
        behind = [at for at in missed if at > max(last)]
        # An audit looks for what the producer counted directly on.
        is_audited = manifest["status"] != "complete"
        assert not is_audited or not behind or behind[0] > max(last) + BLOCK_MS, f"the stream has more: {missed}"
    doubts = _doubts(manifest, SENT.keys() - last.keys(), last) if manifest["status"] == "complete" else ()
    return Judged(manifest["status"], (*kinds, *doubts, str(manifest["audit"] and manifest["audit"]["result"])), kills)


def _doubts(manifest: Mapping[str, Any], lacking: Collection[int], last: Mapping[int, bytes]) -> tuple[str, ...]:
    """Return the named doubts that a whole recording leaves, by what it lacks; there is no other."""
    before = [at for at in lacking if at < min(last)]
    behind = [at for at in lacking if at > max(last)]
    within = sorted(set(lacking) - {*before, *behind})
    assert not within, f"{manifest['status']} without {within}"
    # No event named the first fragment, and audio came soon enough. Nothing names the last fragment.
    proof = manifest["evidence"]["opening"]
    assert not before or proof["code"] == "START_TIMESTAMP", f"without {before}: {proof}"
    proof = manifest["evidence"]["end"]
    assert not behind or proof["state"] == "proven", f"without {behind}: {proof}"
    return (*(["doubt: opening"] if before else []), *(["doubt: end"] if behind else []))


def _guarded(seed: int) -> Judged | str:
    try:
        return run(seed)
    except AssertionError as error:
        return str(error).partition("\n")[0] or "assertion"


def main() -> int:
    """Run many seeds in all processors, or one."""
    parser = argparse.ArgumentParser(prog="python -m chaos.archive", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="how many runs")
    parser.add_argument("--first", type=int, default=None, help="seed of the first; by default taken from the clock")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.seed is not None:
        print(run(arguments.seed))
        return 0
    first = time.time_ns() // 1_000_000 % 1_000_000_000 if arguments.first is None else arguments.first
    seeds = range(first, first + arguments.count)
    judged: list[Judged] = []
    failed = 0
    began = os.times()
    with ProcessPoolExecutor(arguments.processes) as pool:
        for seed, result in zip(seeds, pool.map(_guarded, seeds, chunksize=8), strict=True):
            if isinstance(result, Judged):
                judged.append(result)
            else:
                failed += 1
                print(f"FAILED {seed}: {result}", flush=True)
    spent = os.times()
    cpu_s = spent.children_user + spent.children_system - began.children_user - began.children_system
    print(f"archive-chaos: {len(seeds)} runs, seeds {seeds.start} to {seeds.stop - 1}, {failed} failed")
    print(f"statuses: {dict(Counter(each.status for each in judged))}")
    print(f"drawn and come of it: {dict(Counter(kind for each in judged for kind in set(each.kinds)))}")
    print(f"kills: {sum(each.kills for each in judged)}; {cpu_s:.0f} s of processor")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
