"""A sink with its name and its reader, or the reason for which there is none."""

from __future__ import annotations

from typing import Final, Self

from connect_audio.live.block_reader import BlockReader
from connect_audio.live.piece import SinkReader
from connect_audio.live.segment_reader import SegmentReader
from connect_audio.live.sink_thread import SinkThread
from connect_audio.sinks import LONGEST_SEGMENT_S, SHORTEST_SEGMENT_S, AudioSink, BlockSink, SegmentSink
from connect_audio.values import dataclass

BAD_SINK: Final = "BAD_SINK"
"""Code of a sink that is of neither kind or of both, or whose `segment_seconds` is no number from 0.1 to 60."""


@dataclass(frozen=True, slots=True)
class NamedSink:
    """A sink, or the reason for which there is none.

    Args:
        name: name of the sink in LIVE_SINKS.
        sink: the sink; None if it could not be made.
        failure: code of the failure to make it; None if it was made.
        reader: reads the buffer for the sink; None if the sink cannot be used.
        thread: the thread that made the sink and runs its code; None if the caller's thread made it.
    """

    name: str
    sink: AudioSink | None
    failure: str | None = None
    reader: SinkReader | None = None
    thread: SinkThread | None = None

    @classmethod
    def of(cls, name: str, sink: AudioSink, thread: SinkThread | None = None) -> Self:
        """Name a sink. Its `segment_seconds` is read here.

        Args:
            name: name of the sink.
            sink: the sink.
            thread: the thread that made it; None for the caller's.
        """
        reader = _reader_for(sink)
        return cls(name, sink, None if reader is not None else BAD_SINK, reader, thread)


def _reader_for(sink: AudioSink) -> SinkReader | None:
    """The reader for a sink's kind; None for a sink that is not made as its kind demands."""
    if isinstance(sink, SegmentSink) == isinstance(sink, BlockSink):
        return None
    if isinstance(sink, BlockSink):
        return BlockReader(sink)
    try:
        seconds = sink.segment_seconds
    except BaseException:  # noqa: BLE001 - no exception of a sink may end the recording
        return None
    if type(seconds) not in {int, float} or not SHORTEST_SEGMENT_S <= seconds <= LONGEST_SEGMENT_S:
        return None
    return SegmentReader(sink, seconds)
