"""Moves of fragments and blocks, and how they are made again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.admission import AdmissionState, Decision, Verdict
from connect_audio.core.fragment import Fragment
from connect_audio.core.moves import Move, as_before, in_order, moved
from core_support.fragments_by_hand import START_MS, block, fragment

MS = 1_000_000


def decided(each: Fragment) -> Decision:
    return Decision(each, Verdict.OURS, AdmissionState())


def starts(each: Fragment) -> list[tuple[int, float]]:
    return [(part.track_number, part.time_ns / MS - START_MS) for part in each.blocks]


SMALL = fragment(3, at_ms=0, blocks=[block(1, 0, b"\1\2"), block(2, 5, b"\3\4"), block(1, 64, b"\5\6")])


@pytest.mark.parametrize(
    ("by_ms", "said_ms", "producer_ms"),
    [
        (60_000, 0, 60_000),
        (60_000, 60_000, 60_000),
        (60_000, 29_999, 89_999),
        (60_000, 30_000, 30_000),
        (60_000, -5, 59_995),
        (-60_000, 0, -60_000),
        (-60_000, -60_000, -60_000),
        (-60_000, -29_999, -89_999),
        (-60_000, -30_000, -30_000),
    ],
)
def test_a_moved_fragment_s_producer_timestamp_moves_if_it_is_nearer_to_the_old_place(
    by_ms: int, said_ms: int, producer_ms: int
) -> None:
    got = moved(replace(SMALL, producer_timestamp_ms=START_MS + said_ms), by_ms * MS)

    assert starts(got) == [(1, by_ms), (2, by_ms + 5), (1, by_ms + 64)]
    assert got.producer_timestamp_ms == START_MS + producer_ms


def test_a_moved_fragment_without_a_producer_timestamp_has_none() -> None:
    assert moved(replace(SMALL, producer_timestamp_ms=None), MS).producer_timestamp_ms is None


def test_blocks_of_the_same_time_keep_their_order() -> None:
    blocks = [block(1, 64, b"a"), block(2, 0, b"b"), block(1, 0, b"c")]

    assert [each.data for each in in_order(blocks)] == [b"b", b"c", b"a"]


def test_a_fragment_is_moved_as_before_by_its_counter_and_its_time() -> None:
    move = Move(counter=3, track=None, from_ns=START_MS * MS, by_ns=100 * MS)

    assert starts(as_before(decided(SMALL), [move]).fragment) == [(1, 100), (2, 105), (1, 164)]
    for other in (replace(move, counter=4), replace(move, from_ns=move.from_ns + 1)):
        assert as_before(decided(SMALL), [other]).fragment is SMALL


def test_a_block_is_moved_as_before_by_its_track_and_its_time() -> None:
    move = Move(counter=3, track=1, from_ns=START_MS * MS, by_ns=30 * MS)

    assert starts(as_before(decided(SMALL), [move]).fragment) == [(2, 5), (1, 30), (1, 64)]
    for other in (replace(move, counter=4), replace(move, track=2), replace(move, from_ns=move.from_ns + MS)):
        assert as_before(decided(SMALL), [other]).fragment is SMALL


def test_a_fragment_without_blocks_is_not_moved() -> None:
    empty = replace(SMALL, blocks=())
    move = Move(counter=3, track=None, from_ns=0, by_ns=MS)

    assert as_before(decided(empty), [move]).fragment is empty
