"""Sinks, a clock and a pipeline for the tests of `connect_audio.live`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aws_lambda_powertools import Logger

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveBlock, LiveSamples, LiveSegment
from connect_audio.core.pcm import PARTIES, Party, interleave
from connect_audio.core.timeline import Placed, Timeline, TimelineState
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.live.drivers import Driver
from connect_audio.ports import Log
from connect_audio.sinks import AudioSink, LiveEnd
from support.clock import FakeClock

RATE = 8000
ORIGIN = 1_000_000
LOGGER = Logger(service="live", level="CRITICAL")


@dataclass
class FakeSink:
    """What both kinds of sink do: refuse, raise or block as told.

    Args:
        troubles: what becomes of the next deliveries; None lets one through.
    """

    troubles: list[Exception | None] = field(default_factory=list)
    ends: list[LiveEnd] = field(default_factory=list)
    tries: int = 0
    interrupted: threading.Event = field(default_factory=threading.Event)
    closed: int = 0
    prepared: int = 0

    def prepare(self) -> None:
        self.prepared += 1

    def end(self, end: LiveEnd) -> None:
        self._trouble()
        self.ends.append(end)

    def _trouble(self) -> None:
        self.tries += 1
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.closed += 1


@dataclass
class Blocks(FakeSink):
    """Keeps the blocks that it takes."""

    took: list[LiveBlock] = field(default_factory=list)

    def deliver_block(self, block: LiveBlock) -> None:
        self._trouble()
        self.took.append(block)


@dataclass
class Segments(FakeSink):
    """Keeps the segments that it takes.

    Args:
        segment_seconds: length of a segment.
    """

    segment_seconds: int = 1
    took: list[LiveSegment] = field(default_factory=list)

    def deliver_segment(self, segment: LiveSegment) -> None:
        self._trouble()
        self.took.append(segment)

    @property
    def numbers(self) -> list[int]:
        return [segment.number for segment in self.took]


def stereo(sink: Segments) -> bytes:
    """A sink's segments joined, the later counting."""
    newest = {each.number: interleave(*(each.samples[party] for party in PARTIES)) for each in sink.took}
    assert sorted(newest) == list(range(len(newest)))
    return b"".join(newest[number] for number in range(len(newest)))


def refusal(*, retryable: bool = True) -> SinkError:
    return SinkError("HTTP_503" if retryable else "HTTP_400", "no", retryable=retryable)


@dataclass
class Call:
    """A call into a pipeline, second by second, as the recorder would write it."""

    pipeline: LivePipeline
    timeline: Timeline

    def speak(self, seconds: float, *, party: Party | None = None) -> None:
        """Both parties, or one, go on from where they are; the fragment is decided at once."""
        placed: list[Placed] = []
        for each in PARTIES if party is None else (party,):
            length = round(seconds * RATE)
            start = self.timeline.complete_up_to(each)
            pcm = b"".join((1 + (start + at) % 30_000).to_bytes(2, "little") for at in range(length))
            placed += self.timeline.place(each, ORIGIN + start, pcm, tick_ns=1_000_000)
        self.confirm(*placed)

    def confirm(self, *placed: Placed) -> None:
        """The recording decides on a fragment, of which this was placed."""
        self.timeline.settle()
        origin = self.timeline.origin or 0
        self.pipeline.confirm(
            self.timeline, [LiveSamples(each.party, origin + each.start, each.samples) for each in placed]
        )

    def speak_ahead(self, seconds: float, *, value: int | None = None) -> None:
        """Blocks come of a fragment that is not over: what `speak` would bring next, or something else."""
        for party in PARTIES:
            start = self.timeline.complete_up_to(party)
            pcm = b"".join(
                (value or 1 + (start + at) % 30_000).to_bytes(2, "little") for at in range(round(seconds * RATE))
            )
            self.pipeline.write([LiveSamples(party, ORIGIN + start, pcm)], RATE)

    def take(self) -> int:
        """The recorder takes what is settled; where the cursor stands then."""
        for _ in self.timeline.take():
            pass
        return self.timeline.taken

    def end(self) -> None:
        self.timeline.close()
        self.take()
        self.pipeline.end(self.timeline)


def call_into(
    *sinks: AudioSink,
    clock: FakeClock | None = None,
    policy: LivePolicy | None = None,
    state: LiveState | None = None,
    driver: Callable[..., Driver] = Inline,
    taken: int = 0,
    logger: Log = LOGGER,
) -> Call:
    """A pipeline over sinks named a, b, c…, and a call that nobody has spoken in."""
    named: Sequence[NamedSink] = [NamedSink.of("abcdefgh"[index], sink) for index, sink in enumerate(sinks)]
    pipeline = LivePipeline(
        named,
        policy or LivePolicy(),
        clock or FakeClock(0),
        logger,
        state=state,
        driver=driver,
        jitter=lambda: 1.0,
    )
    timeline = Timeline(TimelineState(rate=RATE, origin=ORIGIN, settled=taken), taken=taken)
    return Call(pipeline, timeline)
