"""A stored stream's log as the generator has it: each fragment with what the judge must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connect_audio_local.synthesis.fragment_writer import FragmentContents


@dataclass(frozen=True)
class LogEntry:
    """A fragment in the stream's log.

    Args:
        contents: what was written.
        data: its bytes.
        at_ms: when it becomes available, ms since the epoch.
        end_ms: when its audio ends by its own times.
        ours: whether it is our contact's, and of the streaming that is recorded.
        streaming: which streaming of our contact it belongs to, 1 or 2.
        counter: what the producer counted.
        spoken_ms: when its audio ended in truth.
        never_stored: the producer counted it, and the stream lacks it.
        shift_ms: by how much its times leap, and no other fragment's.
        true_ns: when blocks that leap alone were spoken, ns since the epoch, by their payload.
        too_late: it comes so long after its successors that its place is settled silence.
        stepped_ms: by how much the producer's clock has stepped before it.
    """

    contents: FragmentContents
    data: bytes
    at_ms: int
    end_ms: int
    ours: bool
    streaming: int = 1
    counter: int = 0
    spoken_ms: int = 0
    never_stored: bool = False
    shift_ms: int = 0
    true_ns: Mapping[bytes, int] = field(default_factory=dict)
    too_late: bool = False
    stepped_ms: int = 0

    @property
    def number(self) -> str:
        return self.contents.number

    @property
    def leaps(self) -> bool:
        """True if times of it leap."""
        return bool(self.shift_ms or self.true_ns)
