"""What ebmlite's DOM and thirty lines of hand-reading say of a capture: for tests that hold the core to it.

ebmlite ends a Cluster of unknown size at the first element that it does not expect there, which is what comes next in
every capture so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ebmlite import loadSchema

SCHEMA: Final = loadSchema("matroska.xml")
_LACING: Final = 0b0110


@dataclass
class Structure:
    """One fragment as ebmlite sees it.

    Args:
        tags: every SimpleTag, in order.
        tracks: number, type and name of each TrackEntry.
        timecode_scale: ns a tick.
        first_timecode: the first Cluster's Timecode, ticks; None where there is no Cluster.
        blocks: track number, time in ns, number of frames and payload of each block.
    """

    tags: list[tuple[str, str]] = field(default_factory=list)
    tracks: list[tuple[int, int, str]] = field(default_factory=list)
    timecode_scale: int = 1_000_000
    first_timecode: int | None = None
    blocks: list[tuple[int, int, int, bytes]] = field(default_factory=list)


def structures(data: bytes) -> list[Structure]:
    """Read the fragments of a capture."""
    found = [Structure()]  # ebmlite keeps the first EBML header to itself
    timecode = 0
    for element in _flat(SCHEMA.loads(data)):
        if element.name == "EBML":
            found.append(Structure())
        elif element.name == "Tags":
            found[-1].tags += _tags(element)
        elif element.name == "TimecodeScale":
            found[-1].timecode_scale = element.value
        elif element.name == "TrackEntry":
            found[-1].tracks.append(_track(element))
        elif element.name == "Timecode":
            timecode = element.value
            if found[-1].first_timecode is None:
                found[-1].first_timecode = timecode
        elif element.id in {0xA3, 0xA1}:
            found[-1].blocks.append(_block(bytes(element.value), timecode, found[-1].timecode_scale))
    return found


def _flat(document: Any) -> Iterator[Any]:
    """Elements in stream order, the masters that merely hold others dissolved."""
    for element in document:
        if element.name in {"Segment", "Cluster", "Info", "Tracks", "BlockGroup"} or element.id == 0xA0:
            yield from _flat(element)
        else:
            yield element


def _tags(element: Any) -> Iterator[tuple[str, str]]:
    for tag in element:
        if tag.name == "Tag":
            for simple_tag in tag:
                if simple_tag.name == "SimpleTag":
                    children = {child.name: child.value for child in simple_tag}
                    yield str(children["TagName"]), str(children.get("TagString", ""))


def _track(element: Any) -> tuple[int, int, str]:
    children = {child.name: child.value for child in element}
    return int(children["TrackNumber"]), int(children["TrackType"]), str(children.get("Name", "")).rstrip("\0")


def _vint(data: bytes, at: int) -> tuple[int, int]:
    width = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + width]) & (1 << 7 * width) - 1, at + width


def _block(payload: bytes, timecode: int, scale: int) -> tuple[int, int, int, bytes]:
    """Read a block's head; of a lace only how many frames there are and where they begin."""
    track, at = _vint(payload, 0)
    relative = int.from_bytes(payload[at : at + 2], signed=True)
    flags, at = payload[at + 2], at + 3
    frames = 1
    lacing = flags & _LACING
    if lacing:
        frames, at = payload[at] + 1, at + 1
        if lacing == 0b0010:
            for _ in range(frames - 1):
                while payload[at] == 255:
                    at += 1
                at += 1
        elif lacing == 0b0110:
            for _ in range(frames - 1):
                _, at = _vint(payload, at)
    return track, (timecode + relative) * scale, frames, payload[at:]


def pcm_of(data: bytes, names: Sequence[str]) -> list[bytes]:
    """Each named track's payloads joined: what an unbroken call says, without any timeline."""
    pcm = [bytearray() for _ in names]
    for structure in structures(data):
        by_number = {number: name for number, _, name in structure.tracks}
        for track, _, _, payload in structure.blocks:
            pcm[names.index(by_number[track])] += payload
    return [bytes(each) for each in pcm]
