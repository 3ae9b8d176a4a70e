"""A run of blocks is a shortcut: its samples come to lie where its blocks would. Live audio rests on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.pcm import Party
from connect_audio.core.timeline import Placed, Timeline, TimelineState

RATE = 8000
TICK_NS = 1_000_000


def placed(blocks: Iterable[tuple[int, int, int]], *, one_by_one: bool, limit: int) -> tuple[object, bytes]:
    """Place runs of (start, block length, count), each sample telling its place in its run."""
    timeline = Timeline(TimelineState(rate=RATE, origin=1000), limit=limit)
    found: list[Placed] = []
    for start, length, count in blocks:
        pcm = b"".join((1 + at % 30_000).to_bytes(2, "little") for at in range(length * count))
        if one_by_one:
            for number in range(count):
                at = number * length
                samples = pcm[2 * at : 2 * (at + length)]
                found += timeline.place(Party.CUSTOMER, start + at, samples, tick_ns=TICK_NS)
        else:
            found += timeline.place_run(Party.CUSTOMER, start, pcm, tick_ns=TICK_NS, block_length=length)
        timeline.settle()
    told = b"".join(start.to_bytes(8, "little", signed=True) + samples for _, start, samples in _joined(found))
    return timeline.state(), told


def _joined(placed: Sequence[Placed]) -> list[Placed]:
    """Join what follows without a gap."""
    joined: list[Placed] = []
    for each in placed:
        if joined and each.start == joined[-1].start + len(joined[-1].samples) // 2:
            joined[-1] = joined[-1]._replace(samples=joined[-1].samples + each.samples)
        else:
            joined.append(each)
    return joined


RUNS = st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 600), st.integers(1, 6)), min_size=1, max_size=6)


@given(runs=RUNS, limit=st.sampled_from((10**9, 2000, 4000)))
def test_a_run_is_placed_as_its_blocks_would_be(runs: list[tuple[int, int, int]], limit: int) -> None:
    assert placed(runs, one_by_one=False, limit=limit) == placed(runs, one_by_one=True, limit=limit)


def test_a_run_sent_again_with_a_shift_loses_the_block_that_only_jitters_and_joins_the_next() -> None:
    runs = [(1000, 512, 4), (1000 + 512 * 2 + 60, 512, 4)]
    assert placed(runs, one_by_one=False, limit=10**9) == placed(runs, one_by_one=True, limit=10**9)


def test_a_run_that_reaches_the_limit_is_recorded_up_to_it() -> None:
    (snapshot, told), single = (
        placed([(1000, 500, 6)], one_by_one=one_by_one, limit=1700) for one_by_one in (False, True)
    )
    assert (snapshot, told) == single
    assert len(told) == 8 + 2 * 1500
