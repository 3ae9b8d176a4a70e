"""Captures of synthetic calls for `replay`, written once and kept in `build/benchmarks`.

`SHAPES` names each form of stream. Audio is noise, and everything random has a fixed seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Final

from benchmarks.long_calls import long_call
from benchmarks.side_by_side.trees import BUILD
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import AudioTags, FragmentLayout, Lacing, MimeType, Placement

_VERSION: Final = 2
"""Part of each file's name. Raise it with a change of what is written, so that no old file is used."""
_LAYOUTS: Final = (
    FragmentLayout(),
    FragmentLayout(segment_size_known=True, cluster_size_known=True),
    FragmentLayout(size_width=4),
    FragmentLayout(void_bytes=40),
    FragmentLayout(crc_32=True, segment_size_known=True, cluster_size_known=True),
    FragmentLayout(tags_before_info=True),
    FragmentLayout(contact_tags=Placement.AFTER),
    FragmentLayout(blocks_per_cluster=8),
    FragmentLayout(block_groups=True),
    FragmentLayout(lacing=Lacing.FIXED),
    FragmentLayout(mime_type=MimeType.SPACED, audio_tags=AudioTags.TRACK_NUMBER),
    FragmentLayout(name_padding=3, seek_head=True),
)
_DAMAGES_PER_MIB: Final = 3


def _of_call(shape: Callable[[SyntheticCall], SyntheticCall], seconds: float) -> Iterator[bytes]:
    for fragment in synthesize_call(shape(long_call(seconds))):
        yield fragment.data


def _full_scale(seconds: float) -> Iterator[bytes]:
    """Noise up to the ends of the scale: a dozen samples a minute are clipped."""
    for fragment in synthesize_call(long_call(seconds, volume=1)):
        yield fragment.data


def _every_second_missing(seconds: float) -> Iterator[bytes]:
    for index, data in enumerate(_of_call(replace, seconds)):
        if index % 2 == 0:
            yield data


def _mixed_layouts(seconds: float) -> Iterator[bytes]:
    """Each fragment in another of twelve layouts than the one before it."""
    writers = [_of_call(partial(replace, layout=layout), seconds) for layout in _LAYOUTS]
    for turn, versions in zip(cycle(range(len(writers))), zip(*writers, strict=True), strict=False):
        yield versions[turn]


def _damaged(seconds: float) -> Iterator[bytes]:
    """Bytes that are changed, missing or one too many, about one in twelve fragments."""
    random_ = random.Random(9)
    for data in _of_call(replace, seconds):
        if random_.random() * 1024 * 1024 >= _DAMAGES_PER_MIB * len(data):
            yield data
            continue
        at = random_.randrange(len(data) - 16)
        match random_.randrange(3):
            case 0:
                yield data[:at] + random_.randbytes(8) + data[at + 8 :]
            case 1:
                yield data[:at] + data[at + random_.randrange(1, 16) :]
            case _:
                yield data[:at] + random_.randbytes(1) + data[at:]


SHAPES: Final[dict[str, Callable[[float], Iterator[bytes]]]] = {
    "connect": partial(_of_call, replace),
    "20-ms": partial(_of_call, partial(replace, block_ms=20, blocks_per_fragment=10)),
    "10-s": partial(_of_call, partial(replace, block_ms=64, blocks_per_fragment=156)),
    "full-scale": _full_scale,
    "dropped": _every_second_missing,
    "mixed": _mixed_layouts,
    "damaged": _damaged,
}
"""Name, and what yields the fragments' bytes for a number of seconds."""


def capture(shape: str, seconds: float) -> Path:
    """Return the file of a capture, made if it is not there.

    Args:
        shape: one of `SHAPES`.
        seconds: length of the call.
    """
    path = BUILD / f"{shape}-{seconds:g}-s-v{_VERSION}.mkv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            file.writelines(SHAPES[shape](seconds))
        unfinished.replace(path)
    return path
