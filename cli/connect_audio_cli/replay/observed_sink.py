"""A sink of a replay, and the code of its last refusal: the pipeline only counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.sinks import AudioSink, BlockSink, LiveBlock, LiveEnd, LiveSegment, SegmentSink

_INTERRUPTED: Final = "INTERRUPTED"
"""A sink's code for a delivery that this side has interrupted: no reason of its own."""


class _Observed:
    """The part that both kinds have in common; each method hands over to the sink.

    Args:
        name: the sink's name.
        sink: the sink.
        where: the folder, the receiver's host, or the class of a sink of the user's own.
    """

    def __init__(self, name: str, sink: AudioSink, where: str) -> None:
        self.name = name
        self.where = where
        self.ended = False
        self.code: str | None = None
        self._common = sink

    @property
    def settled(self) -> int | None:
        """As the sink has it; None for a sink that has done with what it took."""
        frames: int | None = getattr(self._common, "settled", None)
        return frames

    @property
    def end_seconds(self) -> float:
        """As the sink has it."""
        seconds: float = getattr(self._common, "end_seconds", 0.0)
        return seconds

    @property
    def dropped_messages(self) -> int:
        """As the sink has it."""
        messages: int = getattr(self._common, "dropped_messages", 0)
        return messages

    def prepare(self) -> None:
        """Hand it over."""
        self._common.prepare()

    def end(self, end: LiveEnd) -> None:
        """Hand it over."""
        with self._noted():
            self._common.end(end)
        self.ended = True

    def interrupt(self) -> None:
        """Hand it over."""
        self._common.interrupt()

    def close(self) -> None:
        """Hand it over."""
        self._common.close()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except SinkError as error:
            if error.code != _INTERRUPTED:
                self.code = error.code
            raise
        except Exception as error:
            self.code = type(error).__name__
            raise


class ObservedSegments(_Observed):
    """A sink of segments."""

    unit: Final = "segment"

    def __init__(self, name: str, sink: SegmentSink, where: str) -> None:
        super().__init__(name, sink, where)
        self._sink = sink

    @property
    def segment_seconds(self) -> float:
        """As the sink has it."""
        return self._sink.segment_seconds

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Hand it over."""
        with self._noted():
            self._sink.deliver_segment(segment)


class ObservedBlocks(_Observed):
    """A sink of blocks."""

    unit: Final = "block"

    def __init__(self, name: str, sink: BlockSink, where: str) -> None:
        super().__init__(name, sink, where)
        self._sink = sink

    def deliver_block(self, block: LiveBlock) -> None:
        """Hand it over."""
        with self._noted():
            self._sink.deliver_block(block)
