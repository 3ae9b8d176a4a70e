"""Documents that hold many fragments: merged as AWS's OutputSegmentMerger does, or remuxed without AWS's tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core_support.elements import (
    CLUSTER,
    DOCUMENT,
    SIMPLE_BLOCK,
    TIMECODE,
    TRACKS,
    UNKNOWN_CLUSTER,
    element,
    track_entry,
)

_TAGS_ID = bytes.fromhex("1254C367")


def merged(fragments: Iterable[bytes]) -> bytes:
    """Join documents in which the tags follow Info and Tracks: only the first keeps what stands before its tags."""
    first, *others = fragments
    return first + b"".join(data[data.index(_TAGS_ID) :] for data in others)


def remuxed(
    clusters: Sequence[Sequence[bytes]], *, names: Sequence[str], block_ticks: int, sized: bool, head: bytes = b""
) -> bytes:
    """One document of many Clusters and no tags.

    Args:
        clusters: the payloads of each Cluster's blocks, of which the tracks take turns.
        names: names of the tracks, numbered from 1.
        block_ticks: length of a block, ticks of 1 ms.
        sized: True for Clusters of known size.
        head: elements before the first Cluster.
    """
    name_id, codec_id = 0x536E, 0x86
    entries = b"".join(
        track_entry(number, element(name_id, name.encode()), element(codec_id, b"A_PCM/INT/LIT"), _AUDIO)
        for number, name in enumerate(names, 1)
    )
    data = DOCUMENT + element(TRACKS, entries) + head
    at = 0
    for payloads in clusters:
        content = element(TIMECODE, at.to_bytes(8))
        for index, payload in enumerate(payloads):
            tick = index // len(names) * block_ticks
            content += element(
                SIMPLE_BLOCK, bytes([0x81 + index % len(names)]) + tick.to_bytes(2) + b"\x80" + payload, width=2
            )
        at += -(-len(payloads) // len(names)) * block_ticks
        data += element(CLUSTER, content) if sized else UNKNOWN_CLUSTER + content
    return data


_AUDIO = element(0xE1, element(0xB5, bytes.fromhex("45FA0000")) + element(0x9F, b"\1") + element(0x6264, b"\x10"))
"""8000 Hz, mono, 16 bit."""
