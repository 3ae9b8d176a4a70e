"""Fragments behind which a recording can be resumed, once all their frames are taken.

    points.mark(end, noted, admission, notes)   a fragment has been decided; its audio ends at `end`
    points.commit(taken)                        so many frames are taken
    points.cursor                               the newest point that holds

A fragment is decided before its audio is settled: the leading track waits for the lagging one. So a point holds only
when the frames taken have reached its end. Fragments may be as short as a sample. Beyond `MAX_POINTS` every second
point is left out, so a recording resumes a few fragments earlier.

A recording of a file is never resumed. `NoResumePoints` spares it noting a cursor behind each fragment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol
from weakref import WeakMethod

from connect_audio.core.admission import AdmissionState
from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.ebml import new_tuple

MAX_POINTS: Final = 128
"""Most points that do not hold yet. Connect's fragments of 1 s make five, fragments of 0.1 s fifty."""


class Noted(Protocol):
    """The values of a cursor."""

    def cursor(self) -> Cursor:
        """Make the cursor."""


class _Point(NamedTuple):
    """A possible cursor: it holds once all frames up to `end` are taken."""

    end: int
    make_cursor: Callable[[], Cursor]
    notes: list[Note]


class ResumePoints:
    """Points of one recording, in stream order.

    Memory: at most `MAX_POINTS` points, and the notes that are not taken yet.

    Args:
        cursor: the point that holds at the beginning.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._make_cursor: Callable[[], Cursor] | None = None  # None once `_cursor` is made
        self._ahead: deque[_Point] = deque()
        self._notes: list[Note] = []

    def __len__(self) -> int:
        """Points that do not hold yet."""
        return len(self._ahead)

    @property
    def cursor(self) -> Cursor:
        """The newest point that holds; its frames and CRC-32 are the recording's to fill in."""
        if self._make_cursor is not None:
            # Only now, since it takes longer than the rest of a fragment's work.
            self._cursor, self._make_cursor = self._make_cursor(), None
        return self._cursor

    def note(self, notes: Sequence[Note]) -> None:
        """Add notes on a fragment that is not part of the recording."""
        self._notes.extend(notes)

    def mark(
        self, end: int, noted: Callable[[AdmissionState], Noted], admission: AdmissionState, notes: Sequence[Note]
    ) -> None:
        """Add a point.

        Args:
            end: position after the last sample before it, frames.
            noted: notes the values of the recording's cursor, which change with the next fragment.
            admission: state of admission there.
            notes: on the fragments since the point before.
        """
        ahead, make_cursor = self._ahead, noted(admission).cursor
        if ahead and ahead[-1].end == end:
            # Both hold from the same frame on, and the newer one knows more: hours of another contact take no room.
            known = ahead.pop().notes
            known.extend(notes)
            ahead.append(_Point(end, make_cursor, known))
            return
        ahead.append(new_tuple(_Point, (end, make_cursor, list(notes))))
        if len(ahead) > MAX_POINTS:
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
            _, self._make_cursor, notes = ahead.popleft()
            if notes:
                self._notes.extend(notes)

    def take_notes(self) -> list[Note]:
        """Give out the notes on fragments up to the cursor, once each."""
        notes, self._notes = self._notes, []
        return notes


class NoResumePoints:
    """In place of `ResumePoints`: the point behind the last decided fragment alone.

    It does not look at the frames taken. So the cursor is right before the first audio, and once the recording is over.

    Args:
        cursor: the point at the beginning.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        # Weakly, since the recording owns its points: in a cycle its audio would wait for the garbage collector.
        self._noted: WeakMethod[Callable[[AdmissionState], Noted]] | None = None
        self._admission: AdmissionState | None = None
        self._notes: list[Note] = []

    def __len__(self) -> int:
        """Points that do not hold yet: none."""
        return 0

    @property
    def cursor(self) -> Cursor:
        """The point; its frames and CRC-32 are the recording's to fill in."""
        noted = None if self._noted is None else self._noted()
        if noted is None or self._admission is None:
            return self._cursor
        return noted(self._admission).cursor()

    def note(self, notes: Sequence[Note]) -> None:
        """Add notes on a fragment that is not part of the recording."""
        self._notes.extend(notes)

    def mark(
        self, end: int, noted: Callable[[AdmissionState], Noted], admission: AdmissionState, notes: Sequence[Note]
    ) -> None:
        """Move the point; the arguments are as for `ResumePoints`, `noted` always the same method of the recording."""
        del end
        self._admission = admission
        if self._noted is None:
            self._noted = WeakMethod(noted)
        if notes:
            self._notes.extend(notes)

    def commit(self, taken: int) -> None:
        """Ignore the frames taken."""

    def take_notes(self) -> list[Note]:
        """Give out the notes on fragments up to the point, once each."""
        notes, self._notes = self._notes, []
        return notes
