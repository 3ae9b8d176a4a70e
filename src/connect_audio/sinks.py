"""Everything that the author of a sink imports; the rest of this package is private and may change at any time.

A sink gets the audio of one call while the call lasts. There are two kinds, and the type says what each may rely on:

- a `BlockSink` gets each party's audio as it arrives, as `LiveBlock`s of some milliseconds;
- a `SegmentSink` gets both parties together, as numbered `LiveSegment`s of whole seconds.

An entry point of the group `connect_audio.sinks` names a `MakeSink`, which makes the sink out of a `SinkSetup`. A sink
reports a failure by raising `SinkError`. docs/live.md has a whole example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveBlock, LiveSegment
from connect_audio.core.pcm import Party

__all__ = [
    "ENTRY_POINTS",
    "LONGEST_SEGMENT_S",
    "SHORTEST_SEGMENT_S",
    "AudioSink",
    "BlockSink",
    "LiveBlock",
    "LiveEnd",
    "LiveSegment",
    "MakeSink",
    "Party",
    "SegmentSink",
    "Sink",
    "SinkError",
    "SinkSetup",
]

ENTRY_POINTS: Final = "connect_audio.sinks"
"""Group of the entry points whose names LIVE_SINKS may hold; each entry point is a `MakeSink`."""
SHORTEST_SEGMENT_S: Final = 0.1
"""Shortest segment that a sink may ask for, seconds. Each delivery wakes the reader and the sink's thread."""
LONGEST_SEGMENT_S: Final = 60
"""Longest segment that a sink may ask for, seconds, as for LIVE_SEGMENT_SECONDS; the buffer holds at least as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEnd:
    """The end of a call's live audio.

    Args:
        frames: length of the recording, frames.
        origin: time of the recording's first frame, samples since the epoch; None if the recording is empty.
        rate: samples a second; None if the recording is empty.
    """

    frames: int
    origin: int | None
    rate: int | None


class Sink(Protocol):
    """The part that both kinds of sink have in common. One instance serves one call in one invocation.

    Four attributes are optional; a sink that is done with its audio when `deliver_…` returns needs none of them:

    - `settled`: position before which the sink needs nothing any more, frames since the recording's first; None if it
      does not know. A sink whose work goes on behind `deliver_…` has it. The audio from there on is delivered again
      in the next invocation, and at once after a `SinkError` with `resend_from`. The buffer bounds it. Until
      `settled` moves on, failures count as failures in a row. Other threads read it at any time, and once more behind
      `close`, so it must not block.
    - `end_seconds`: time that `end` may take, 10 s at most; without it 2.5 s.
    - `recognized`: audio of the call that a recognizer of words was given, frames, in all invocations so far. It is
      read as `settled` is, and becomes the metric `RecognizedSeconds`.
    - `dropped_messages`: messages of the sink beside the audio that a receiver did not get, in this invocation. It is
      read as `settled` is, and becomes the metric `LiveDroppedMessages`.

    One thread of the sink's own calls all methods but `interrupt`, one after the other. If a capture is replayed as
    fast as possible, the reading thread calls them and waits. No failure in a sink touches the recording.

    Audio may be delivered more than once: after a crash or a hand-over, or if the stream's bytes differ on a second
    reading. The delivery then goes back to an earlier position and continues from there. The later delivery of a
    position counts.
    """

    def prepare(self) -> None:
        """Do in advance the slow work that the first delivery would wait for: open connections, fetch secrets.

        The call is optional and may come twice.

        Raises:
            SinkError: preparation failed. The error is logged, and the first delivery is tried.
        """

    def end(self, end: LiveEnd) -> None:
        """Note that the call is over and no audio follows. A hand-over to the next invocation does not call it.

        Args:
            end: length and origin of the recording. Audio beyond that length was never recorded.

        Raises:
            SinkError: the end was not noted. If `retryable`, the call is repeated.
        """

    def interrupt(self) -> None:
        """Make the delivery or `end` under way fail soon. Comes from another thread; deliveries may follow."""

    def close(self) -> None:
        """Release all resources. The last call, also at a hand-over; must not raise.

        A sink may finish its work here for up to 5 s; longer than 12 s, and it is not used again in this call.
        """


@runtime_checkable
class BlockSink(Sink, Protocol):
    """A sink that gets each party's audio the moment it arrives.

    Blocks of one party come in the order of their time, without a gap: silence is delivered as zeros.
    """

    def deliver_block(self, block: LiveBlock) -> None:
        """Take a block; return once it is safe.

        Args:
            block: audio of one party.

        Raises:
            SinkError: the block was not taken. If `retryable`, it is delivered again; otherwise it counts as dropped.
                A call that lasts longer than 10 s is interrupted and shall fail.
        """


@runtime_checkable
class SegmentSink(Sink, Protocol):
    """A sink that gets both parties' audio in numbered pieces of whole seconds.

    Segments come in the order of their numbers. Joined up to the length in `LiveEnd`, they are the recording.
    """

    @property
    def segment_seconds(self) -> float:
        """Length of a segment, 1 to 60 s. Read once, directly after the sink is made."""

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Take a segment; return once it is safe.

        Args:
            segment: audio of both parties.

        Raises:
            SinkError: the segment was not taken. If `retryable`, it is delivered again; otherwise it counts as
                dropped. A call that lasts longer than 10 s is interrupted and shall fail.
        """


type AudioSink = BlockSink | SegmentSink


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSetup:
    """The facts that a sink is made with.

    Args:
        contact_id: the call's contact.
        recording: URI of the recording.
        start_ms: start of the call's streaming, ms since the epoch; two streamings of one contact differ in it.
        segment_seconds: LIVE_SEGMENT_SECONDS; a sink may choose another length.
        options: LIVE_SINK_OPTIONS, the same for all sinks.
    """

    contact_id: str
    recording: str
    start_ms: int
    segment_seconds: int
    options: Mapping[str, str]


class MakeSink(Protocol):
    """Makes a sink for one call and one invocation."""

    def __call__(self, setup: SinkSetup) -> AudioSink:
        """Make the sink, in the thread that calls its methods later.

        The recorder waits 5 s at most, so slow work belongs in `prepare`. A sink that is late is not used.

        Args:
            setup: the facts about the call.

        Raises:
            SinkError: the sink cannot be made; the call is recorded without it. Any other exception does the same.
        """
