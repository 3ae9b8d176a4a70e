"""The sinks between two invocations: plain JSON in the checkpoint, and the counts that the manifest shows.

Each count of a sink exists once, in its `SinkCounts`. A running pipeline counts in it; checkpoint, manifest and metrics
read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Self

from connect_audio.values import dataclass


@dataclass(slots=True, kw_only=True)
class SinkCounts:
    """Counts of one sink since the beginning of the call. Blocks count for each party.

    Args:
        delivered: blocks or segments that the sink took, some of them more than once.
        delivered_frames: length of the delivered audio, frames.
        dropped_frames: length of the audio that the sink did not get, frames.
        failures: tries that failed.
        circuit_opened: times that the circuit opened after many failures in a row.
        recognized_frames: length of the audio that a recognizer of words was given, frames; what was sent twice counts
            twice. 0 for a sink without one.
        dropped_messages: messages beside the audio, such as live words to a webhook, that a receiver did not get.
    """

    delivered: int = 0
    delivered_frames: int = 0
    dropped_frames: int = 0
    failures: int = 0
    circuit_opened: int = 0
    recognized_frames: int = 0
    dropped_messages: int = 0

    def copy(self) -> SinkCounts:
        """The counts as they are now."""
        return replace(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """One sink between two invocations.

    Args:
        frames: position before which the sink needs nothing, frames since the recording's first.
        failure: code of the failure that disabled the sink; None while the sink is in use.
        counts: the sink's counts.
    """

    frames: int = 0
    failure: str | None = None
    counts: SinkCounts = field(default_factory=SinkCounts)

    def without(self, frames: int) -> Self:
        """The same sink after the audio up to a position was lost.

        Args:
            frames: the position, frames since the recording's first.
        """
        counts = replace(self.counts, dropped_frames=self.counts.dropped_frames + max(0, frames - self.frames))
        return replace(self, frames=max(frames, self.frames), counts=counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """All sinks of a call between two invocations.

    Args:
        sinks: state of each sink, by name.
        tail: S3 key of the audio before the cursor that sinks still need; None if they need none.
    """

    sinks: Mapping[str, SinkState] = field(default_factory=dict)
    tail: str | None = None

    def with_failures(self, failures: Mapping[str, str]) -> Self:
        """The same state with some sinks disabled.

        Args:
            failures: code of each failure, by name of the sink.
        """
        lost = {name: replace(self.sinks.get(name, SinkState()), failure=why) for name, why in failures.items()}
        return replace(self, sinks={**self.sinks, **lost})

    def without_tail(self, frames: int) -> Self:
        """The same state after the tail could not be saved: every sink goes on at the cursor.

        Args:
            frames: position of the cursor, frames since the recording's first.
        """
        # A disabled sink's losses are counted at the end of the call.
        sinks = {
            name: replace(sink, frames=max(frames, sink.frames)) if sink.failure else sink.without(frames)
            for name, sink in self.sinks.items()
        }
        return type(self)(sinks=sinks)
