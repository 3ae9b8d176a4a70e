"""Fragments behind which a recording can be resumed, once all their frames are taken.

    points.mark(end, cursor, notes, written)   a fragment has been decided; its audio ends at `end`
    points.commit(taken)                       so many frames are taken
    points.cursor                              the newest point that holds

A fragment is decided before its audio is settled: the leading track waits for the lagging one. So a point holds only
when the frames taken have reached its end. Fragments may be as short as a sample. Beyond `MAX_POINTS` every second
point is left out, so a recording resumes a few fragments earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.timeline import with_written
from connect_audio.core.written import WrittenAudio

MAX_POINTS: Final = 128
"""Most points that do not hold yet. Connect's fragments of 1 s make five, fragments of 0.1 s fifty."""


class _Point(NamedTuple):
    """A possible cursor: it holds once all frames up to `end` are taken."""

    end: int
    cursor: Cursor
    written: Sequence[WrittenAudio] | None
    notes: list[Note]


class ResumePoints:
    """Points of one recording, in stream order.

    Memory: at most `MAX_POINTS` points, and the notes that are not taken yet.

    Args:
        cursor: the point that holds at the beginning.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._written: Sequence[WrittenAudio] | None = None
        self._ahead: deque[_Point] = deque()
        self._notes: list[Note] = []

    def __len__(self) -> int:
        """Points that do not hold yet."""
        return len(self._ahead)

    @property
    def cursor(self) -> Cursor:
        """The newest point that holds; its frames and CRC-32 are the recording's to fill in."""
        if self._written is not None and self._cursor.timeline is not None:
            # Only now, since it takes longer than the rest of a fragment's work.
            timeline = with_written(self._cursor.timeline, self._written)
            self._cursor, self._written = replace(self._cursor, timeline=timeline), None
        return self._cursor

    def note(self, notes: Sequence[Note]) -> None:
        """Add notes on a fragment that is not part of the recording."""
        self._notes.extend(notes)

    def mark(
        self, end: int, cursor: Cursor, notes: Sequence[Note], written: Sequence[WrittenAudio] | None = None
    ) -> None:
        """Add a point.

        Args:
            end: position after the last sample before it, frames.
            cursor: the recording's cursor there, without the audio that the tracks have written.
            notes: on the fragments since the point before.
            written: audio that the tracks have written, customer first; None before the first audio.
        """
        if self._ahead and self._ahead[-1].end == end:
            # Both hold from the same frame on, and the newer one knows more: hours of another contact take no room.
            known = self._ahead.pop().notes
            known.extend(notes)
            self._ahead.append(_Point(end, cursor, written, known))
            return
        self._ahead.append(_Point(end, cursor, written, list(notes)))
        if len(self._ahead) > MAX_POINTS:
            self._thin_out()

    def _thin_out(self) -> None:
        """Leave out every second point; its notes go to the next one, which holds later."""
        points = list(self._ahead)
        for left_out, kept in zip(points[-2::-2], points[::-2], strict=False):
            kept.notes[:0] = left_out.notes
        self._ahead = deque(reversed(points[::-2]))

    def commit(self, taken: int) -> None:
        """Move the cursor over every point whose frames have all been taken.

        Args:
            taken: frames taken.
        """
        ahead = self._ahead
        while ahead and ahead[0].end <= taken:
            _, self._cursor, self._written, notes = ahead.popleft()
            self._notes.extend(notes)

    def take_notes(self) -> list[Note]:
        """Give out the notes on fragments up to the cursor, once each."""
        notes, self._notes = self._notes, []
        return notes
