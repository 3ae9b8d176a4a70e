"""State of a recording between two steps: the sum of the states of the objects that make it.

Each object owns its frozen state, and no field is copied by hand. The JSON is bounded however long the call. Lists that
grow with the call (parts, notes) are not in it: each step's result carries its own entry, and the handler joins them.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Self

from connect_audio.core.cursor import Cursor
from connect_audio.core.live_state import LiveState
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.end_of_call import EndState
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.parts import PartState
from connect_audio.recorder.streaming_border import BorderState
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCounts:
    """Counts of steps.

    Args:
        steps: record steps done.
        hand_overs: how often a fresh invocation took over.
        waits: waits in a row without a new fragment; the next wait is twice as long.
        stalls: hand-overs in a row without a new fragment, though the stream had more.
    """

    steps: int = 0
    hand_overs: int = 0
    waits: int = 0
    stalls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State of a recording.

    Args:
        cursor: the core's, up to the settled audio.
        read: how far the stream is read.
        end: observations about the end of the call.
        border: the contact's other streamings.
        parts: audio in S3.
        counts: steps, hand-overs, waits, stalls.
        live: progress of the sinks of live audio; None without sinks.
    """

    cursor: Cursor = field(default_factory=Cursor)
    read: ReadState = field(default_factory=ReadState)
    end: EndState = field(default_factory=EndState)
    border: BorderState = field(default_factory=BorderState)
    parts: PartState = field(default_factory=PartState)
    counts: StepCounts = field(default_factory=StepCounts)
    live: LiveState | None = None

    def ending_on(self, listed: ListedEnd | None) -> Self:
        """Return the state of a recording that ends on a fragment.

        Args:
            listed: the last fragment of the call's time by the stream's listing; None for a call that may go on.
        """
        return replace(self, end=replace(self.end, listed=listed))
