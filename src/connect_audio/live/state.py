"""What is known of the sinks between two invocations: plain JSON in the checkpoint, and what the manifest tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """One sink, since the beginning of the call.

    Args:
        frames: it needs nothing from before this position, frames since the recording's first.
        delivered: pieces that it took, some of them more than once.
        delivered_frames: their length, frames; of blocks, of each party for itself.
        dropped_frames: audio that it did not get, frames; the same.
        failures: tries that failed.
        circuit_opened: how often it was left alone for a while, since it failed again and again.
        failed: why it is not used any more; None while it is.
    """

    frames: int = 0
    delivered: int = 0
    delivered_frames: int = 0
    dropped_frames: int = 0
    failures: int = 0
    circuit_opened: int = 0
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """All sinks.

    Args:
        sinks: by name.
        tail: S3 key of the audio that they may still need from before the cursor; None where they need none.
    """

    sinks: Mapping[str, SinkState] = field(default_factory=dict)
    tail: str | None = None

    def with_failed(self, failed: Mapping[str, str]) -> Self:
        """The same, but for sinks that are not used any more.

        Args:
            failed: why, by name.
        """
        lost = {name: replace(self.sinks.get(name, SinkState()), failed=why) for name, why in failed.items()}
        return replace(self, sinks={**self.sinks, **lost})

    def without_tail(self, frames: int) -> Self:
        """The same where what they may still need could not be kept: they go on at the cursor.

        Args:
            frames: where the cursor stands.
        """
        sinks = {
            name: replace(
                sink,
                frames=max(frames, sink.frames),
                dropped_frames=sink.dropped_frames + (0 if sink.failed else max(0, frames - sink.frames)),
            )
            for name, sink in self.sinks.items()
        }
        return type(self)(sinks=sinks)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "sinks": {name: asdict(sink) for name, sink in self.sinks.items()},
            "tail": self.tail,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            sinks={name: SinkState(**sink) for name, sink in data["sinks"].items()},
            tail=data["tail"],
        )
