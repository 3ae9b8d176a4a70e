"""What sinks of live audio got in a schedule: kept over kills, as S3 or a receiver would, the later always counting."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from chaos.world import Hooks
from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveBlock, LiveSegment
from connect_audio.core.pcm import PARTIES, Party, interleave
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.ports import Clock
from connect_audio.sinks import LiveEnd

_LOGGER = Logger(service="chaos", level="CRITICAL")


@dataclass
class Heard:
    """What one sink was told over a whole call.

    Args:
        segment_seconds: length of its segments; 0 for a sink of blocks.
        segments: stereo frames by segment number.
        sides: by party, samples by position, for blocks.
        ends: how often it was told of the end, and how.
        misfit: what broke a promise of the port.
    """

    segment_seconds: int
    segments: dict[int, bytes] = field(default_factory=dict)
    sides: dict[Party, bytearray] = field(default_factory=lambda: {party: bytearray() for party in PARTIES})
    blocks: list[tuple[Party, int, bytes]] = field(default_factory=list)
    ends: list[LiveEnd] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    again: int = 0

    def take_block(self, block: LiveBlock) -> None:
        self._look_for_another_contact(block.samples)
        self.blocks.append((block.party, block.start, block.samples))

    def take_segment(self, segment: LiveSegment) -> None:
        for samples in segment.samples.values():
            self._look_for_another_contact(samples)
        number, length = segment.number, self.segment_seconds * segment.rate
        if segment.position != number * length:
            self.misfits.append(f"segment {number} at {segment.position}")
        if segment.length != length and not segment.last:
            self.misfits.append(f"segment {number} of {segment.length} samples")
        self.again += number in self.segments
        self.segments[number] = interleave(*(segment.samples[party] for party in PARTIES))
        before = self.segments.get(number - 1)
        if before is not None and interleave(*(segment.before[party] for party in PARTIES)) != before[-4:]:
            self.misfits.append(f"segment {number}: the sample before is not that of the segment before")

    def _look_for_another_contact(self, samples: bytes) -> None:
        if b"\x77" in samples:
            self.misfits.append("another contact's audio")

    def stereo(self) -> bytes:
        """All of it, as the recording has it."""
        if self.segment_seconds:
            return b"".join(self.segments[number] for number in sorted(self.segments))
        origin = self.ends[-1].origin
        if origin is None:
            return b""
        sides = {party: bytearray() for party in PARTIES}
        for party, start, samples in self.blocks:
            at = 2 * (start - origin)
            side = sides[party]
            if at < 0:
                # Before the origin: told ahead of a fragment that never came to be recorded.
                continue
            if len(side) < at + len(samples):
                side.extend(bytes(at + len(samples) - len(side)))
            side[at : at + len(samples)] = samples
        length = max(map(len, sides.values()))
        return interleave(*(bytes(side).ljust(length, b"\0") for side in sides.values()))


class ChaosSink:
    """A sink that fails now and then, and in which the process may be killed."""

    def __init__(self, heard: Heard, hooks: Hooks, chance: random.Random, trouble: float) -> None:
        self._heard = heard
        self._hooks = hooks
        self._chance = chance
        self._trouble = trouble
        self._failed = 0

    def prepare(self) -> None:
        pass

    def end(self, end: LiveEnd) -> None:
        nth = self._hooks.enter("sink end")
        self._fail()
        self._heard.ends.append(end)
        self._hooks.leave("sink end", nth)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        # Fewer in a row than make a circuit open: what is given up then is another promise.
        if self._failed < 3 and self._chance.random() < self._trouble:
            self._failed += 1
            raise SinkError("CHAOS", "drawn", retryable=True)
        self._failed = 0


class ChaosBlocks(ChaosSink):
    """One that takes blocks."""

    def deliver_block(self, block: LiveBlock) -> None:
        nth = self._hooks.enter("deliver")
        self._fail()
        self._heard.take_block(block)
        self._hooks.leave("deliver", nth)


class ChaosSegments(ChaosSink):
    """One that takes segments."""

    @property
    def segment_seconds(self) -> int:
        return self._heard.segment_seconds

    def deliver_segment(self, segment: LiveSegment) -> None:
        nth = self._hooks.enter("deliver")
        self._fail()
        self._heard.take_segment(segment)
        self._hooks.leave("deliver", nth)


@dataclass
class LiveProbe:
    """Sinks for an execution, and what they heard."""

    hooks: Hooks
    clock: Clock
    chance: random.Random
    trouble: float
    heard: dict[str, Heard]

    def pipeline(self, state: LiveState | None) -> LivePipeline:
        sinks = []
        for name, heard in self.heard.items():
            kind = ChaosSegments if heard.segment_seconds else ChaosBlocks
            sinks.append(NamedSink.of(name, kind(heard, self.hooks, self.chance, self.trouble)))
        policy = LivePolicy(first_backoff=0.001, longest_backoff=0.001)
        return LivePipeline(sinks, policy, self.clock, _LOGGER, state=state, driver=Inline, jitter=self.chance.random)

    def judge(self, wav: bytes, manifest: dict[str, Any], *, s3_failed: bool) -> Counter[str]:
        """Every sink heard the recording, sample for sample, or the manifest says what it lacks; count which.

        Args:
            wav: the recording.
            manifest: its manifest.
            s3_failed: whether S3 refused anything: with what sinks still need goes the one sample before a segment.
        """
        recorded = wav[44:]
        counts: Counter[str] = Counter()
        for name, heard in self.heard.items():
            told = next(sink for sink in manifest["live"]["sinks"] if sink["name"] == name)
            assert told["failure"] is None
            assert "another contact's audio" not in heard.misfits, name
            counts["segments told again"] += heard.again
            if told["droppedSeconds"]:
                counts["sinks that lack something"] += 1
                continue
            counts["sinks that heard all"] += 1
            misfits = [each for each in heard.misfits if not (s3_failed and "the sample before" in each)]
            assert not misfits, f"{name}: {misfits[:3]}"
            assert heard.ends, f"{name} was not told of the end"
            assert heard.ends[-1].frames == len(recorded) // 4, f"{heard.ends[-1]}, {len(recorded) // 4} frames"
            found = heard.stereo()
            # What a fragment told ahead and the stream then forgot was never recorded: the end says so.
            assert found[: len(recorded)] == recorded, f"{name}: {_difference(found, recorded)}"

        return counts


def _difference(found: bytes, recorded: bytes) -> str:
    first = next(
        (
            at
            for at in range(min(len(found), len(recorded)) // 4)
            if found[4 * at : 4 * at + 4] != recorded[4 * at : 4 * at + 4]
        ),
        None,
    )
    return f"{len(found) // 4} of {len(recorded) // 4} frames, the first difference is at {first}"
