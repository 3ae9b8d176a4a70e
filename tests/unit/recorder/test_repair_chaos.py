"""Seeded repairs: what the recorder missed, what the stream lost since, and kills are drawn; one rule judges the end.

`CONNECT_AUDIO_REPAIR_SEEDS=2000:4000 pytest tests/unit/recorder/test_repair_chaos.py` draws others.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from connect_audio.core.audit import is_suspect, next_audit_number
from connect_audio.ports import ListedFragment
from connect_audio.recorder import Policy
from connect_audio.recorder.late_recording import recorded_to_its_end
from connect_audio.recorder.repair import Again, begin_repair, manifest_of, publish_repair, replacing
from support.calls import call
from support.killed import KilledError, kill_before
from support.store import MemoryStore
from support.stream import Stored
from support.wav import same_wav, wav_of_call
from support.world import NAMES, World, world

OURS: Final = call(8)
_HEADER: Final = 44
_FRAME: Final = 4
_FIRST, _, _LAST = os.environ.get("CONNECT_AUDIO_REPAIR_SEEDS", "0:24").partition(":")
SEEDS: Final = range(int(_FIRST), int(_LAST))


@dataclass
class Stream:
    """The listing of a world's stream."""

    world: World

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        return [
            ListedFragment(each.number, each.producer_ms, 0, each.at_ms - each.producer_ms, len(each.data))
            for each in self.world.source.fragments
            if from_ms <= each.producer_ms <= to_ms
        ]


def repair(at: World) -> None:
    claim = at.store.objects.get(NAMES.claim)
    manifest = json.loads(at.store.objects[NAMES.manifest][0])
    if claim is None and not is_suspect(manifest):
        return
    number = next_audit_number(manifest)
    name = f"repair#{number}" if claim is None else claim[0].decode()
    ports = replace(at.ports(), execution=name)
    begin = begin_repair(ports, Stream(at))
    if isinstance(begin, Again):
        hidden = replacing(ports, begin.etag)
        publish_repair(hidden, recorded_to_its_end(hidden, begin.checkpoint), manifest_of(ports), begin.found)


def audio(wav: bytes, manifest: dict[str, Any]) -> dict[int, bytes]:
    """The frames of a recording that have audio, by their time in samples. Noise is never zero for a millisecond."""
    recording = manifest["recording"]
    if recording is None:
        return {}
    begin_ms = int(recording["startTime"][17:19]) * 1000 + int(recording["startTime"][20:23])
    found = {}
    for at in range(0, recording["frames"], 8):
        piece = wav[_HEADER + at * _FRAME : _HEADER + (at + 8) * _FRAME]
        if any(piece):
            found[begin_ms * 8 + at] = piece
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_repair_loses_nothing_gains_what_there_is_and_leaves_one_recording(seed: int) -> None:
    dice = random.Random(seed)
    at = world(OURS)
    if dice.random() < 0.3:
        at = replace(at, policy=Policy(part_bytes=96_000), store=MemoryStore(least_part_bytes=1))
    whole = list(at.source.fragments)

    def lacking() -> list[Stored]:
        gone = {*dice.sample(range(len(whole)), dice.choice((0, 1, 1, 2, 3, 8)))}
        return [each for place, each in enumerate(whole) if place not in gone]

    at.source.fragments = lacking()
    at.run()
    at.clock.pass_by(700)
    old_wav = at.store.objects.get(NAMES.key, (b"", {}))[0]
    old = json.loads(at.store.objects[NAMES.manifest][0])
    at.source.fragments = whole if dice.random() < 0.4 else lacking()
    has_all = at.source.fragments == whole
    kills = [dice.randint(1, 25) for _ in range(dice.choice((0, 1, 2)))]
    for last in [*kills, None]:
        kill_before(at.store, last)
        try:
            repair(at)
        except KilledError:
            continue
    at.store.before_call = lambda _name: None

    wav = at.store.objects.get(NAMES.key, (b"", {}))[0]
    manifest = json.loads(at.store.objects[NAMES.manifest][0])
    before, after = audio(old_wav, old), audio(wav, manifest)
    assert before.items() <= after.items(), "audio is lost"
    ranks = ["empty", "partial", "complete"]
    assert ranks.index(manifest["status"]) >= ranks.index(old["status"])
    assert set(at.store.objects) <= {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}
    # A manifest that proves the end may lack fragments that came long behind it. No audit looks for them.
    if has_all and old["status"] != "complete":
        assert manifest["status"] == "complete"
        assert same_wav(wav, wav_of_call(OURS))
    elif old["status"] == "complete":
        assert (wav, manifest) == (old_wav, old)
    if wav != old_wav:
        assert len(after) > len(before)
    # A second one finds nothing to gain.
    repair(at)
    assert at.store.objects.get(NAMES.key, (b"", {}))[0] == wav
