"""The extremes of a call's samples in columns, one list a party: enough to draw a waveform of any length.

Memory grows with the columns, not with the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import audioop

from connect_audio.core.pcm import SAMPLE_BYTES
from connect_audio_cli.recordings.encoding import Channels, laid_out_as


class Extremes(NamedTuple):
    """The lowest and the highest sample of a column, from -32768 to 32767."""

    low: int
    high: int


def extremes(chunks: Iterable[bytes], *, frames: int, columns: int, lanes: Sequence[Channels]) -> list[list[Extremes]]:
    """Return the extremes of each lane in each column.

    Args:
        chunks: all stereo frames.
        frames: how many they are.
        columns: columns of the picture; a shorter call has a column a frame.
        lanes: the lanes, each of one channel.
    """
    columns = min(columns, frames)
    found: list[list[Extremes]] = [[] for _ in lanes]
    held = [Extremes(32767, -32768)] * len(lanes)
    for piece, is_last in cut(chunks, frames=frames, columns=columns):
        for index, lane in enumerate(lanes):
            (mono,) = laid_out_as(lane, [piece])
            low, high = audioop.minmax(mono, SAMPLE_BYTES)
            held[index] = Extremes(min(held[index].low, low), max(held[index].high, high))
        if is_last:
            for column, extreme in zip(found, held, strict=True):
                column.append(extreme)
            held = [Extremes(32767, -32768)] * len(lanes)
    return found


def cut(chunks: Iterable[bytes], *, frames: int, columns: int) -> Iterator[tuple[bytes, bool]]:
    """Cut stereo chunks at the borders of columns, which differ by a frame at most.

    Yields:
        A piece of a column, and True if the column ends with it.
    """
    frame_bytes = 2 * SAMPLE_BYTES
    at, column = 0, 0
    border = frames // columns
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            stop = min(len(chunk), start + (border - at) * frame_bytes)
            at += (stop - start) // frame_bytes
            yield chunk[start:stop], at == border
            start = stop
            if at == border:
                column += 1
                border = (column + 1) * frames // columns
