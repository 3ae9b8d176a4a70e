"""Calls cut into segments as the buffer cuts them, and a store in memory, for the tests of the sink `segments`."""

from __future__ import annotations

import io
import json
import random
import wave
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from connect_audio.adapters.sinks.segment_store import SegmentStore
from connect_audio.adapters.sinks.segments import SegmentFileSink
from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import PARTIES, Party, channel
from connect_audio.core.segment_wav import WavShape
from connect_audio.sinks import LiveEnd

CUSTOMER, AGENT = PARTIES
CONTACT: Final = "5a6f5c1e-0000-4000-8000-000000000001"
RECORDING: Final = f"s3://recordings/calls/2026/01/02/{CONTACT}_20260102T030405.678Z.wav"
START_MS: Final = 1_767_323_045_678
"""2026-01-02T03:04:05.678Z."""


@dataclass(frozen=True, slots=True)
class Call:
    """A whole call's samples."""

    samples: dict[Party, bytes]
    rate: int = 8_000

    @property
    def frames(self) -> int:
        return len(self.samples[CUSTOMER]) // 2

    @property
    def end(self) -> LiveEnd:
        return LiveEnd(frames=self.frames, origin=START_MS * self.rate // 1000, rate=self.rate)

    def segment(self, number: int, seconds: int = 1) -> LiveSegment:
        begin = number * seconds * self.rate
        end = min(begin + seconds * self.rate, self.frames)
        assert begin < end, "the call is over before"
        return LiveSegment(
            start=START_MS * self.rate // 1000 + begin,
            rate=self.rate,
            samples={party: self.samples[party][2 * begin : 2 * end] for party in PARTIES},
            position=begin,
            number=number,
            last=end == self.frames,
            before={party: self.samples[party][2 * begin - 2 : 2 * begin] if begin else b"\0\0" for party in PARTIES},
        )

    def segments(self, seconds: int = 1) -> list[LiveSegment]:
        return [self.segment(number, seconds) for number in range(-(-self.frames // (seconds * self.rate)))]


def noisy_call(seconds: float, rate: int = 8_000, seed: int = 0) -> Call:
    rng = random.Random(seed)
    return Call({party: rng.randbytes(2 * round(seconds * rate)) for party in PARTIES}, rate)


def short_segments(count: int) -> Call:
    """A call of so many seconds at one sample a second: for what depends on numbers alone."""
    return noisy_call(count, rate=1)


@dataclass(slots=True)
class SetClock:
    """Stands still until it is set."""

    seconds: float = 0.0

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"the sink waits for nothing, and not {seconds} s")


@dataclass(slots=True)
class MemorySegmentStore:
    """Keeps files, notes what was asked, and fails where told."""

    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    closed: bool = False

    def put(self, name: str, body: bytes, content_type: str) -> None:
        self._ask("put", name)
        self.files[name] = body
        self.types[name] = content_type

    def get(self, name: str) -> bytes | None:
        self._ask("get", name)
        return self.files.get(name)

    def close(self) -> None:
        self.closed = True

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def _ask(self, what: str, name: str) -> None:
        self.asked.append(f"{what} {name}")
        if f"{what} {name}" in self.failing:
            raise SinkError("SlowDown", f"{what} {name}", retryable=True)


def sink_of(
    store: SegmentStore,
    *,
    layout: Literal["stereo", "tracks"] = "stereo",
    rate: int | None = None,
    seconds: int = 1,
    clock: SetClock | None = None,
    contact_id: str = CONTACT,
    recording: str = RECORDING,
) -> SegmentFileSink:
    return SegmentFileSink(
        store,
        contact_id=contact_id,
        recording=recording,
        shape=WavShape(layout, rate),
        segment_seconds=seconds,
        clock=clock or SetClock(),
    )


def deliver_all(sink: SegmentFileSink, segments: Iterable[LiveSegment]) -> None:
    for segment in segments:
        sink.deliver_segment(segment)


def listed(store: MemorySegmentStore) -> list[dict[str, Any]]:
    """All entries of all pages, found through the head."""
    return [entry for page in store.json("index.json")["pages"] for entry in store.json(page["name"])["segments"]]


def heard(store: MemorySegmentStore) -> dict[Party, bytes]:
    """What the listed segments sound like, joined, each channel for itself."""
    sound = dict.fromkeys(PARTIES, b"")
    for entry in listed(store):
        files = [_pcm(store.files[name]) for name in entry["files"]]
        channels = [channel(files[0], 0), channel(files[0], 1)] if len(files) == 1 else files
        for party, samples in zip(PARTIES, channels, strict=True):
            sound[party] += samples
    return sound


def _pcm(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as file:
        return bytes(file.readframes(file.getnframes()))


def numbers(store: MemorySegmentStore) -> list[int]:
    """Numbers of the listed segments."""
    return [entry["number"] for entry in listed(store)]


def missing(store: MemorySegmentStore) -> list[tuple[int, int]]:
    """Ranges that the head calls missing."""
    return [(each["first"], each["last"]) for each in store.json("index.json")["missing"]]


def state(store: MemorySegmentStore) -> tuple[str, int, int, list[tuple[int, int]]]:
    """State, listed segments, missing segments, missing ranges."""
    head = store.json("index.json")
    return head["state"], head["segments"], head["missingSegments"], missing(store)
