"""Cuts segments for a `SegmentSink`: both parties' audio, in pieces of equal length counted from the origin.

A segment is a slice of the buffer, cut once both parties have reached its end. Used by `live/sink_progress.py`.
"""

from __future__ import annotations

from functools import partial

from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES
from connect_audio.live.piece import Piece
from connect_audio.sinks import SegmentSink


class SegmentReader:
    """Reads the buffer segment by segment, as `SinkReader`.

    Args:
        sink: the sink that the segments are for.
        seconds: length of a segment, seconds.
    """

    def __init__(self, sink: SegmentSink, seconds: float) -> None:
        self.sink = sink
        self.lead_s = seconds
        self.position: int | None = None
        """Position of the next segment, samples since the epoch; None before the recording's origin is known."""

    def begin(self, buffer: LiveBuffer) -> None:
        """Begin at the recording's origin."""
        self.position = buffer.origin

    def learn_origin(self, buffer: LiveBuffer) -> None:
        """Begin at the recording's origin, unless a segment has been cut before."""
        if self.position is None:
            self.position = buffer.origin

    def resume(self, wanted: int, earliest: int, buffer: LiveBuffer) -> int:
        """As `SinkReader.resume`: at the first border of segments that the buffer holds."""
        self.position = self._border_from(max(wanted, earliest), buffer)
        return self.position - wanted

    def has_next(self, buffer: LiveBuffer) -> bool:
        """True if a segment of full length is in the buffer."""
        return self.position is not None and self.position + self._length(buffer) <= buffer.whole_to

    def complete_at(self, buffer: LiveBuffer) -> int | None:
        """As `SinkReader.complete_at`: the first border of segments that the audio has not reached."""
        return None if buffer.origin is None else self._border_from(buffer.whole_to + 1, buffer)

    def next(self, buffer: LiveBuffer) -> Piece | None:
        """Cut the next segment; a shorter one only at the end of the call."""
        origin, start, whole_to = buffer.origin, self.position, buffer.whole_to
        if origin is None or start is None:
            return None
        stop = start + self._length(buffer)
        if stop > whole_to:
            if not buffer.complete or start >= whole_to:
                return None
            stop = whole_to
        segment = LiveSegment(
            number=(start - origin) // self._length(buffer),
            position=start - origin,
            start=start,
            rate=buffer.rate,
            samples={party: buffer.read(party, start, stop) for party in PARTIES},
            before={
                party: buffer.read(party, start - 1, start) if start > origin else bytes(SAMPLE_BYTES)
                for party in PARTIES
            },
            last=buffer.complete and stop == whole_to,
        )
        return Piece(PARTIES, start, stop, buffer.arrived(stop), partial(self.sink.deliver_segment, segment))

    def advance(self, piece: Piece) -> None:
        """Go on behind a segment."""
        self.position = piece.stop

    def frames_passed(self, piece: Piece) -> int:
        """Frames of a segment that lie before the reader's place."""
        place = piece.start if self.position is None else self.position
        return max(0, min(piece.stop, place) - piece.start)

    def rewind(self, position: int, buffer: LiveBuffer) -> None:
        """Go back to the segment that holds a position, if the buffer has all of it."""
        if self.position is not None and self.position > position:
            self.position = self._border_before(position, buffer)

    def drop(self, position: int, buffer: LiveBuffer) -> int:
        """As `SinkReader.drop`, in whole segments."""
        if self.position is None or self.position >= position:
            return 0
        before, self.position = self.position, self._border_from(position, buffer)
        return self.position - before

    def drop_all(self, buffer: LiveBuffer) -> int:
        """As `SinkReader.drop_all`: the longer party counts half of what it has beyond the shorter one."""
        self.learn_origin(buffer)
        if self.position is None:
            return 0
        dropped = sum(max(0, buffer.end(party) - self.position) for party in PARTIES) // len(PARTIES)
        self.position = max(self.position, buffer.whole_to)
        return dropped

    def needed_from(self, limit: int, buffer: LiveBuffer) -> int | None:
        """As `SinkReader.needed_from`: where the segment begins that holds the limit, or behind what was lost of it."""
        return None if self.position is None else self._border_before(min(self.position, limit), buffer)

    def _length(self, buffer: LiveBuffer) -> int:
        return round(self.lead_s * buffer.rate)

    def _border_before(self, position: int, buffer: LiveBuffer) -> int:
        """The border at which the segment of a position begins, or the first one behind it that the buffer holds."""
        origin, length = buffer.origin or 0, self._length(buffer)
        return max(origin + (position - origin) // length * length, self._border_from(buffer.begins, buffer))

    def _border_from(self, position: int, buffer: LiveBuffer) -> int:
        origin, length = buffer.origin or 0, self._length(buffer)
        return origin + -(-(position - origin) // length) * length
