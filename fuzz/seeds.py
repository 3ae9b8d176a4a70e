"""Where fuzzing starts: one small stream for every way in which a fragment is known to be written, and Connect events.

Each stream holds our contact between two foreign ones, whose every sample is `FOREIGN`: should a run of it appear in
our recording, another contact's audio has leaked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    Gap,
    ShortBlock,
    SyntheticCall,
    synthesize_stream,
)
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
    LEGACY_TRACK_NAME,
    AudioTags,
    Codec,
    FragmentContents,
    FragmentLayout,
    InBandError,
    Lacing,
    MimeType,
    Placement,
    Spelling,
    Track,
    write_fragment,
)
from fuzz.mutation import documents

OURS: Final = DEFAULT_CONTACT_ID
_BEFORE: Final = "00000000-0000-4000-8000-00000000000b"
_AFTER: Final = "00000000-0000-4000-8000-00000000000c"
FOREIGN: Final = b"\x5a\x5b"
"""Every sample of a foreign contact; none of ours looks like it."""
_TAGS: Final = bytes.fromhex("1254C367")
_MAX_CAPTURE_BYTES: Final = 48 * 1024

_LAYOUTS: Final = (
    CONNECT_LAYOUT,
    FragmentLayout(segment_size_known=True, cluster_size_known=True),
    FragmentLayout(segment_size_known=True, cluster_size_known=True, crc_32=True, void_bytes=7, seek_head=True),
    FragmentLayout(size_width=1),
    FragmentLayout(size_width=8),
    FragmentLayout(void_bytes=0),
    FragmentLayout(tags_before_info=True),
    *(FragmentLayout(contact_tags=placement) for placement in Placement),
    *(FragmentLayout(producer_tags=placement) for placement in Placement),
    FragmentLayout(blocks_per_cluster=1, cluster_size_known=True),
    FragmentLayout(blocks_per_cluster=2, empty_cluster=True),
    FragmentLayout(block_groups=True),
    *(FragmentLayout(lacing=lacing) for lacing in Lacing),
    *(FragmentLayout(lacing=lacing, block_groups=True, laced_frames=2) for lacing in Lacing),
    FragmentLayout(track_number_width=3),
    FragmentLayout(name_padding=5),
    *(FragmentLayout(codec=Codec.PCM, mime_type=mime_type) for mime_type in MimeType),
    FragmentLayout(mime_type=MimeType.MISSING),
    *(FragmentLayout(audio_tags=audio_tags) for audio_tags in AudioTags),
    *(FragmentLayout(spelling=spelling) for spelling in Spelling),
    FragmentLayout(timecode_scale=100_000),
    FragmentLayout(timecode_scale=1_000),
    FragmentLayout(continuation_token=False),
    FragmentLayout(continuation_token=False, contact_tags=Placement.AFTER),
)


@cache
def stream_seeds() -> Sequence[bytes]:
    """One stream a layout, and some of other shapes."""
    seeds = [_stream(replace(_OUR_CALL, layout=layout)) for layout in _LAYOUTS]
    seeds += [
        _stream(replace(_OUR_CALL, block_ms=200, blocks_per_fragment=2)),
        _stream(replace(_OUR_CALL, rate=48_000, block_ms=2)),
        _stream(replace(_OUR_CALL, agent=None, tracks=(Track(1, LEGACY_TRACK_NAME),))),
        _stream(replace(_OUR_CALL, tracks=(Track(300, "AUDIO_FROM_CUSTOMER"), Track(2, "AUDIO_TO_CUSTOMER")))),
        _stream(replace(_OUR_CALL, unlabelled=frozenset({1}), last_unlabelled=True)),
        _stream(replace(_OUR_CALL, gaps=(Gap(at_ms=48, length_ms=3000),), agent_joins_ms=32)),
        _stream(replace(_OUR_CALL, short_blocks=(ShortBlock("AUDIO_TO_CUSTOMER", 2, 33),))),
        _stream(_OUR_CALL) + _in_band_error(),
        *(
            _merged(_stream(replace(_OUR_CALL, layout=layout)))
            for layout in (CONNECT_LAYOUT, FragmentLayout(continuation_token=False))
        ),
    ]
    return seeds


def event_seeds() -> list[bytes]:
    """The sample events, and what is beside them in the tutorials."""
    events = Path(__file__).parent.parent / "events"
    return [json.dumps(json.loads(path.read_text())).encode() for path in sorted(events.glob("*.json"))]


def capture_seeds(directory: Path) -> Iterator[bytes]:
    """The beginnings of captures that the user has."""
    for path in sorted(directory.glob("*.mkv")):
        yield path.read_bytes()[:_MAX_CAPTURE_BYTES]


def _ramp(low: int, samples: int) -> bytes:
    return b"".join((low + index % 97).to_bytes(2, "little") for index in range(samples))


_OUR_CALL: Final = SyntheticCall(
    customer=_ramp(1000, 160 * 8),
    agent=_ramp(2000, 160 * 8),
    contact_id=OURS,
    block_ms=16,
    blocks_per_fragment=3,
)


def _stream(ours: SyntheticCall) -> bytes:
    samples = ours.rate * ours.block_ms * ours.blocks_per_fragment // 1000
    foreign = FOREIGN * samples
    agent = None if ours.agent is None else foreign
    calls = (
        replace(_foreign(ours), customer=foreign, agent=agent, contact_id=_BEFORE),
        replace(
            ours,
            customer=_ramp(1000, 3 * samples),
            agent=None if ours.agent is None else _ramp(2000, 3 * samples),
        ),
        replace(_foreign(ours), customer=foreign, agent=agent, contact_id=_AFTER),
    )
    return b"".join(fragment.data for fragment in synthesize_stream(calls))


def _merged(stream: bytes) -> bytes:
    """One document of many fragments, as AWS's OutputSegmentMerger makes it: only the first keeps its head."""
    first, *others = documents(stream)
    return first + b"".join(document[document.index(_TAGS) :] for document in others)


def _foreign(ours: SyntheticCall) -> SyntheticCall:
    """A foreign call of the same shape, always whole and named: else it could be told from ours by nobody."""
    layout = replace(ours.layout, contact_tags=Placement.BEFORE_AND_AFTER)
    return replace(
        ours, unlabelled=frozenset(), last_unlabelled=False, gaps=(), short_blocks=(), agent_joins_ms=0, layout=layout
    )


def _in_band_error() -> bytes:
    return write_fragment(
        FragmentContents(
            number="91343852333181432392682062607743920146264094212",
            producer_ms=DEFAULT_START_MS,
            server_ms=DEFAULT_START_MS,
            contact_id=OURS,
            instance_id=None,
            error=InBandError(4000, "FRAGMENT_NOT_FOUND"),
        )
    )
