"""Places that the order gave to fragments and blocks whose times leaped, so that a second reading gets the same ones.

GetMedia may go back, and a fragment that leaped then comes once more behind its successors. Its neighbours do not show
the leap any more, so its move is remembered by its counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final

from connect_audio.core.admission import Decision
from connect_audio.core.fragment import Block, Fragment, fragment_counter
from connect_audio.core.runs import start_ns
from connect_audio.values import dataclass

MAX_MOVES: Final = 8
"""Moves that are remembered, the newest. A call with more leaps has a broken clock, and says so by their number."""
_MS: Final = 1_000_000
_TIME: Final = attrgetter("time_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The move of a fragment, or of one of its blocks.

    Args:
        counter: the counter in the fragment's number.
        track: TrackEntry's number of the block; None for the whole fragment.
        from_ns: when the block, or the fragment's earliest one, said to begin, ns since the epoch.
        by_ns: the time added, ns.
    """

    counter: int
    track: int | None
    from_ns: int
    by_ns: int


def moved(fragment: Fragment, by_ns: int) -> Fragment:
    """Move all blocks of a fragment, and its producer timestamp where that leaped, too."""
    base_ns = start_ns(fragment.blocks)
    blocks = tuple(block._replace(time_ns=block.time_ns + by_ns) for block in fragment.blocks)
    producer_ms = fragment.producer_timestamp_ms
    if producer_ms is not None and abs(producer_ms * _MS - base_ns) < abs(producer_ms * _MS - base_ns - by_ns):
        producer_ms += by_ns // _MS
    return replace(fragment, blocks=blocks, producer_timestamp_ms=producer_ms)


def in_order(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Blocks in the order of their times."""
    return tuple(sorted(blocks, key=_TIME))


def as_before(decision: Decision, moves: Sequence[Move]) -> Decision:
    """Move what was moved when the fragment came before; return the same object if nothing was.

    Args:
        decision: on the fragment, as it came.
        moves: the moves that are remembered.
    """
    fragment = decision.fragment
    counter = fragment_counter(fragment.number)
    mine = [move for move in moves if move.counter == counter] if fragment.blocks else []
    for move in mine:
        if move.track is None and start_ns(fragment.blocks) == move.from_ns:
            fragment = moved(fragment, move.by_ns)
    by_block = {(move.track, move.from_ns): move.by_ns for move in mine}
    if any((block.track_number, block.time_ns) in by_block for block in fragment.blocks if mine):
        blocks = [
            block._replace(time_ns=block.time_ns + by_block.get((block.track_number, block.time_ns), 0))
            for block in fragment.blocks
        ]
        fragment = replace(fragment, blocks=in_order(blocks))
    return decision if fragment is decision.fragment else decision._replace(fragment=fragment)
