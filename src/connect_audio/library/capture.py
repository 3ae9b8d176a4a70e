"""The fragments of a capture, damaged or not. The library and every command that reads captures use it.

A live reader reconnects behind damage. A reader of captures cannot, so it goes on with the next sound fragment and says
what was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from connect_audio.core.errors import CaptureError, StreamError
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, Completion, Fragment, FragmentReader, OpenFragment
from connect_audio.text import printable

_SEARCH_BYTES: Final = 64 * 1024 * 1024
"""Bytes that are searched for the first fragment. KVS takes fragments of at most 50 MB, so one begins within that.
A source without one is refused then, and the rest is not read."""

_HEAD_BYTES: Final = 12
"""Bytes at the beginning that show another kind of file."""

type CaptureEvent = OpenFragment | Fragment | BytesLost


def capture_events(chunks: Iterable[bytes], name: str) -> Iterator[Fragment | BytesLost]:
    """Yield a capture's fragments and lost bytes in order.

    Args:
        chunks: the capture's bytes, none of them empty.
        name: the capture's name in messages.

    Yields:
        Each fragment when it is over. Each run of bytes that are in no fragment.

    Raises:
        CaptureError: there is no fragment in it.
    """
    # Without a look at the fragment under way, none comes out.
    return cast("Iterator[Fragment | BytesLost]", _events(chunks, name, FragmentReader(), lambda: None))


def growing_events(chunks: Iterable[bytes], name: str) -> Iterator[CaptureEvent]:
    """Yield what `capture_events` yields, and between it the fragment under way.

    Args:
        chunks: the capture's bytes, none of them empty.
        name: the capture's name in messages.

    Yields:
        After each chunk that leaves a fragment under way with blocks in it, that fragment: an `OpenFragment`, which
        goes on growing. Fragments and lost bytes as `capture_events`.

    Raises:
        CaptureError: there is no fragment in it.
    """
    reader = FragmentReader()
    return _events(chunks, name, reader, lambda: reader.open)


def _events(
    chunks: Iterable[bytes], name: str, reader: FragmentReader, look: Callable[[], OpenFragment | None]
) -> Iterator[CaptureEvent]:
    """Read a capture.

    Args:
        chunks: the capture's bytes, none of them empty.
        name: the capture's name in messages.
        reader: for its fragments.
        look: called after each chunk for the fragment under way.
    """
    received = 0
    head = b""
    found = False
    # Bytes before the first fragment are one run of lost bytes, yielded once this is known to be a capture.
    lost: BytesLost | None = None
    cause: str | None = None
    for chunk in _with_end(chunks):
        reader.receive_data(chunk)
        received += len(chunk)
        if len(head) < _HEAD_BYTES:
            head += bytes(chunk[: _HEAD_BYTES - len(head)])
            _refuse_other_files(head, name)
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                cause = cause or str(error)
                reader.resynchronise(str(error))
                continue
            if event is NEED_DATA or event is END:
                under_way = look()
                if under_way is not None and under_way.blocks:
                    found = True
                    yield under_way
                break
            if found or _shows_a_capture(event):
                found = True
                if lost is not None:
                    yield lost
                    lost = None
                yield event
            elif isinstance(event, BytesLost):
                lost = _joined(lost, event)
            elif event.completion is Completion.TRUNCATED:
                lost = _joined(lost, BytesLost(event.offset, event.size, event.truncation or ""))
        if not found and received > _SEARCH_BYTES:
            break
    if not received:
        raise CaptureError(f"{name}: is empty")
    if not found:
        cause = cause or (lost.cause if lost else "there is no Matroska document in it")
        raise CaptureError(f"{name}: is no GetMedia capture: {printable(cause)}")


def _refuse_other_files(head: bytes, name: str) -> None:
    """Refuse the files beside a capture that users mistake for one.

    Raises:
        CaptureError: the first bytes belong to a WAV or to a manifest.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        raise CaptureError(f"{name}: is a WAV, no GetMedia capture: page, explain and convert take a WAV")
    if head.lstrip()[:1] == b"{":
        raise CaptureError(f"{name}: is JSON, no GetMedia capture: explain takes the manifest of a recording")


def _joined(lost: BytesLost | None, more: BytesLost) -> BytesLost:
    return more if lost is None else BytesLost(lost.offset, lost.count + more.count, lost.cause)


def _shows_a_capture(event: Fragment | BytesLost) -> bool:
    """Return whether an event shows that this is a capture: an EBML header alone does not."""
    return isinstance(event, Fragment) and bool(event.tracks or event.tags or event.contact_ids or event.blocks)


def _with_end(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""
