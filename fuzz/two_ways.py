"""Reads a stream twice, by shapes and element by element alone, and holds the two together: the second judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, Fragment, FragmentReader, OpenFragment
from connect_audio.core.shapes import NoShapes, ShapedBlocks


@dataclass
class Report:
    """What a reader said of a stream, read by read.

    Args:
        said: after each read how many events there were, whether anything is under way, and if it was asked for, the
            fragment under way.
        shaped: fragments that were read by their shape.
        fragments: all fragments.
        events: the events and errors alone, in order.
    """

    said: list[list[object]] = field(default_factory=list)
    shaped: int = 0
    fragments: int = 0
    events: list[object] = field(default_factory=list)


def both_ways(chunks: Iterable[bytes], *, looks: bool) -> Report:
    """Read a stream both ways, as a file reader does.

    Args:
        chunks: the stream.
        looks: whether live audio looks at the fragment under way after each read.

    Returns:
        What both said.

    Raises:
        AssertionError: they do not say the same.
    """
    chunks = list(chunks)
    by_shapes, elementwise = (_report(FragmentReader(shapes), chunks, looks=looks) for shapes in (None, NoShapes()))
    assert by_shapes.events == elementwise.events, "a fragment's shape gives something else than its elements"
    assert by_shapes.said == elementwise.said, "a fragment comes with another read than by its elements"
    assert elementwise.shaped == 0
    return by_shapes


def _report(reader: FragmentReader, chunks: Iterable[bytes], *, looks: bool) -> Report:
    report = Report()
    for chunk in (*chunks, b""):
        reader.receive_data(chunk)
        said: list[object] = []
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                report.events.append((type(error), str(error), error.offset))
                reader.resynchronise(str(error))
                continue
            if event is NEED_DATA or event is END:
                said.append((event, reader.midway))
                break
            assert isinstance(event, Fragment | BytesLost)
            if isinstance(event, Fragment):
                report.fragments += 1
                report.shaped += isinstance(event.blocks, ShapedBlocks)
            report.events.append(event)
        said.append(len(report.events))
        if looks:
            said.append(_seen(reader.open))
        report.said.append(said)
    return report


def _seen(fragment: OpenFragment | None) -> object:
    if fragment is None:
        return None
    return (
        fragment.offset,
        list(fragment.contact_ids),
        list(fragment.tags),
        fragment.tracks,
        fragment.timecode_scale_ns,
        list(fragment.blocks),
    )
