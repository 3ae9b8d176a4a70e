"""A stored stream's log as the generator has it: each fragment with what the judge must know of it."""

from __future__ import annotations

from dataclasses import dataclass

from connect_audio_local.synthesis.fragment_writer import FragmentContents


@dataclass(frozen=True)
class LogEntry:
    """A fragment in the stream's log.

    Args:
        contents: what was written.
        data: its bytes.
        at_ms: when it becomes available, ms since the epoch.
        end_ms: when its audio ends by its own times.
        ours: whether it is our contact's.
        counter: what the producer counted.
        spoken_ms: when its audio ended in truth.
        never_stored: the producer counted it, and the stream lacks it.
        shift_ms: by how much its times leap, and no other fragment's.
        stepped_ms: by how much the producer's clock has stepped before it.
    """

    contents: FragmentContents
    data: bytes
    at_ms: int
    end_ms: int
    ours: bool
    counter: int = 0
    spoken_ms: int = 0
    never_stored: bool = False
    shift_ms: int = 0
    stepped_ms: int = 0

    @property
    def number(self) -> str:
        return self.contents.number
