"""Runs of blocks, their sums and their times: by a fragment's shape as by its blocks one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from connect_audio.core.fragment import Block, Fragment
from connect_audio.core.other_tracks import BlockCount
from connect_audio.core.runs import Run, end_ns, media_bytes, received_bytes, runs_of, start_ns, tracks_of
from connect_audio.core.shapes import ShapedBlocks
from connect_audio.core.tracks import TrackNames
from connect_audio_local.synthesis.calls import ShortBlock, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, Track, write_fragment
from core_support.fragments_by_hand import START_MS
from core_support.fragments_by_hand import fragment as by_hand
from core_support.reading import events_of, fragments_of

MS: Final = 1_000_000
NAMES: Final = TrackNames()
AUDIO: Final = tracks_of(by_hand(1), NAMES).audio
PCM: Final = bytes(range(1, 251)) * 132
CALLS: Final[dict[str, dict[str, Any]]] = {
    "8 kHz": {},
    "11.025 kHz, with a block between two samples": {"rate": 11_025, "block_ms": 80},
    "a short block with half a sample": {"short_blocks": (ShortBlock(FROM_CUSTOMER, 5, 701),)},
    "one party": {"agent": None},
    "20 ms": {"block_ms": 20, "blocks_per_fragment": 10},
}


def shaped(call: str, *, strange: bool) -> list[Fragment]:
    """A call's fragments; with a track that is no party's if wanted."""
    made = []
    for each in synthesize_call(
        replace(SyntheticCall(customer=PCM, agent=PCM[::-1], blocks_per_fragment=4), **CALLS[call])
    ):
        contents = each.contents
        if "between" in call:
            *most, last = contents.blocks
            contents = replace(contents, blocks=[*most, replace(last, time_ns=last.time_ns + MS)])
        if strange:
            first = contents.blocks[0]
            blocks = [*contents.blocks, replace(first, track_number=9, pcm=b"\1\2\3\4\5\6")]
            contents = replace(contents, tracks=[*contents.tracks, Track(9, "else")], blocks=blocks)
        made.append(write_fragment(contents))
    return fragments_of(events_of([b"".join(made)]))


@pytest.mark.parametrize("strange", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_by_shape_and_by_blocks_fragments_say_the_same(call: str, strange: bool) -> None:  # noqa: FBT001
    log = shaped(call, strange=strange)
    for each in log:
        plain = tuple(each.blocks)
        tracks = tracks_of(each, NAMES)
        assert tracks == tracks_of(replace(each, blocks=plain), NAMES)
        runs, others = runs_of(each.blocks, tracks.audio)
        assert (runs, list(others)) == _listed(runs_of(plain, tracks.audio))
        assert list(others) == ([BlockCount(9, 1, 6)] if strange else [])
        assert dict(received_bytes(each.blocks)) == dict(received_bytes(plain))
        assert media_bytes(each.blocks) == media_bytes(plain) == sum(received_bytes(plain).values())
        assert (start_ns(each.blocks), end_ns(each.blocks)) == (start_ns(plain), end_ns(plain))
    assert any(isinstance(each.blocks, ShapedBlocks) for each in log) or "short" in call


def _listed(found: tuple[list[Run], Sequence[BlockCount]]) -> tuple[list[Run], list[BlockCount]]:
    return found[0], list(found[1])


def blocks(*parts: tuple[int, float, int]) -> list[Block]:
    """Blocks of a track, a time in ms and bytes."""
    return [
        Block(track, START_MS * MS + round(at_ms * MS), bytes((index + 1,)) * size, 1, size)
        for index, (track, at_ms, size) in enumerate(parts)
    ]


def told(parts: Sequence[Block]) -> list[tuple[int, float, int, int]]:
    """The runs: track, start in ms, bytes and samples of a block."""
    runs, _ = runs_of(parts, AUDIO)
    return [(run.track.number, run.start / 8 - START_MS, len(run.payload), run.block_length) for run in runs]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(1, 0, 1024), (1, 64, 1024), (1, 128, 1024)], [(1, 0, 3072, 512)]),
        ([(1, 0, 1024), (1, 64.125, 1024)], [(1, 0, 1024, 512), (1, 64.125, 1024, 512)]),
        ([(1, 0, 1024), (1, 63.875, 1024)], [(1, 0, 1024, 512), (1, 63.875, 1024, 512)]),
        ([(1, 0, 1024), (1, 64, 1022)], [(1, 0, 1024, 512), (1, 64, 1022, 511)]),
        ([(1, 0, 1025), (1, 64, 1025)], [(1, 0, 1025, 512), (1, 64, 1025, 512)]),
        ([(1, 0, 1024), (2, 0, 1024), (1, 64, 1024), (2, 64, 1024)], [(1, 0, 2048, 512), (2, 0, 2048, 512)]),
        ([(1, 0, 0), (1, 0, 0)], [(1, 0, 0, 0)]),
    ],
)
def test_equal_blocks_that_follow_to_the_sample_are_one_run(
    parts: list[tuple[int, float, int]], expected: list[tuple[int, float, int, int]]
) -> None:
    assert told(blocks(*parts)) == expected


def test_the_payload_of_a_run_is_that_of_its_blocks_in_order() -> None:
    (run,), others = runs_of(blocks((1, 0, 4), (1, 0.25, 4)), AUDIO)

    assert run.payload == b"\1\1\1\1\2\2\2\2"
    assert list(others) == []


def test_blocks_on_no_audio_track_are_counted_by_number() -> None:
    _, others = runs_of(blocks((7, 0, 10), (1, 0, 4), (8, 0, 5), (7, 1, 20)), AUDIO)

    assert list(others) == [BlockCount(7, 2, 30), BlockCount(8, 1, 5)]
