"""A piece of audio, cut by a reader for its sink, and the methods of a reader. Used by `live/sink_progress.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.pcm import Party
from connect_audio.sinks import Sink
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """One block or one segment, ready for its sink.

    Args:
        parties: the speakers in it.
        start: position of the first sample, samples since the epoch.
        stop: position after the last sample.
        arrived: when the last sample arrived, monotonic seconds; None if unknown.
        deliver: hands the block or segment to the sink.
    """

    parties: tuple[Party, ...]
    start: int
    stop: int
    arrived: float | None
    deliver: Callable[[], None]

    @property
    def frames(self) -> int:
        """Length, frames."""
        return self.stop - self.start


class SinkReader(Protocol):
    """One sink's place on the buffer, and how the audio is cut for it. Positions are samples since the epoch.

    A count of frames is the length of audio for a `SegmentReader`, and the sum over both parties for a `BlockReader`.
    """

    @property
    def sink(self) -> Sink:
        """The sink that the pieces are for."""

    @property
    def lead_s(self) -> float:
        """Seconds before the recorder's cursor that the next piece may begin at."""

    @property
    def position(self) -> int | None:
        """Position before which no audio is needed; None before the first audio."""

    def begin(self, buffer: LiveBuffer) -> None:
        """Go to the beginning of a new buffer."""

    def learn_origin(self, buffer: LiveBuffer) -> None:
        """Note that the recording's first frame is known now."""

    def resume(self, wanted: int, earliest: int, buffer: LiveBuffer) -> int:
        """Go on where an earlier invocation stood.

        Args:
            wanted: position at which the earlier invocation stood.
            earliest: position before which the buffer holds nothing.
            buffer: holds the audio.

        Returns:
            Frames lost between the two.
        """

    def has_next(self, buffer: LiveBuffer) -> bool:
        """True if a whole piece is in the buffer."""

    def complete_at(self, buffer: LiveBuffer) -> int | None:
        """Position that both parties' audio must reach for another piece; None if any audio makes one."""

    def next(self, buffer: LiveBuffer) -> Piece | None:
        """Cut the next piece, without going on; None if there is none yet."""

    def advance(self, piece: Piece) -> None:
        """Go on behind a piece."""

    def frames_passed(self, piece: Piece) -> int:
        """Frames of a piece that lie before the reader's place."""

    def rewind(self, position: int, buffer: LiveBuffer) -> None:
        """Go back so far that everything from a position on is read again."""

    def drop(self, position: int, buffer: LiveBuffer) -> int:
        """Go forward to a position, or to the first place after it where a piece may begin.

        Returns:
            Frames dropped; 0 if the reader had passed the position before.
        """

    def drop_all(self, buffer: LiveBuffer) -> int:
        """Go to the buffer's end.

        Returns:
            Frames dropped.
        """

    def needed_from(self, limit: int, buffer: LiveBuffer) -> int | None:
        """Position at which the next invocation has to begin; None before the first audio.

        Args:
            limit: position from which on all audio is read again.
            buffer: holds the audio. The position is beyond the limit if the piece's audio was lost before.
        """
