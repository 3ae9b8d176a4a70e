"""Fragments that are no proof of a leap: sent again by a producer that went back, short of a block, of one party.

Each case was recorded at another place once; `CursorAndLog` found it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from connect_audio.core.claims import TimesDisagree
from connect_audio.core.fragment import Fragment
from core_support.fragments_by_hand import START_MS, block
from core_support.fragments_by_hand import fragment as by_hand
from core_support.generated_streams import AFTER, OURS
from core_support.reading import Recorded, record

CUSTOMER: Final = 1
AGENT: Final = 2


def sent(counter: int, *blocks: tuple[int, float], ms: int = 20, server_ms: int | None = None) -> Fragment:
    """A fragment of ours.

    Args:
        counter: the producer's count.
        blocks: their tracks and times, ms. The noise of a block depends on its track and time alone.
        ms: length of each.
        server_ms: when the server took it; 170 ms after its start if not told.
    """
    made = [block(track, at_ms, noise(track, at_ms, ms)) for track, at_ms in blocks]
    fragment = by_hand(counter, OURS, at_ms=min((at_ms for _, at_ms in blocks), default=0), blocks=made)
    return fragment if server_ms is None else replace(fragment, server_timestamp_ms=START_MS + server_ms)


def noise(track: int, at_ms: float, ms: int) -> bytes:
    return Random(f"{track} {at_ms}").randbytes(16 * ms)


def customer(*starts_ms: float) -> tuple[tuple[int, float], ...]:
    return tuple((CUSTOMER, start_ms) for start_ms in starts_ms)


def agent(*starts_ms: float) -> tuple[tuple[int, float], ...]:
    return tuple((AGENT, start_ms) for start_ms in starts_ms)


def as_sent(fragments: Sequence[Fragment]) -> bytes:
    """Every block at its time, 8 samples a millisecond, from the first one on."""
    blocks = [each for fragment in fragments for each in fragment.blocks]
    origin_ns = min(each.time_ns for each in blocks)
    starts = [round((each.time_ns - origin_ns) * 8 / 1_000_000) for each in blocks]
    frames = bytearray(4 * max(start + len(each.data) // 2 for start, each in zip(starts, blocks, strict=True)))
    for start, each in zip(starts, blocks, strict=True):
        for index in range(len(each.data) // 2):
            at = 4 * (start + index) + 2 * (each.track_number == AGENT)
            frames[at : at + 2] = each.data[2 * index : 2 * index + 2]
    return bytes(frames)


def recorded(fragments: Sequence[Fragment]) -> Recorded:
    return record(fragments, OURS)


def test_audio_sent_again_does_not_fill_the_pause_behind_it() -> None:
    """A fragment that is not ours lies between: it looks like one that is missing, with time for one."""
    third, fourth = customer(120, 140, 160), customer(180, 200, 220)
    fragments = [sent(1, *customer(0, 20, 40)), sent(2, *customer(60, 80, 100))]
    fragments += [sent(counter, *blocks) for counter, blocks in ((3, third), (4, fourth), (5, third), (6, fourth))]
    fragments += [sent(7, *customer(300, 320, 340)), sent(8, *customer(360, 380, 400))]
    for foreign in (2, 4):
        fragments[foreign] = replace(fragments[foreign], contact_ids=(OURS, AFTER))

    found = recorded(fragments)

    assert found.stereo == as_sent([each for each in fragments if each.contact_ids == (OURS,)])
    assert found.cursor.times == TimesDisagree()


def test_a_missing_block_makes_a_fragment_of_two_no_longer() -> None:
    first, second = customer(0, 64, 128), customer(192, 256, 320)
    contents = (first, second, first, second, customer(444, 572), (), customer(636, 700, 764))
    arrivals = (846, 1090, 1090, 1090, 1206, 1602, 1602)
    fragments = [
        sent(counter, *blocks, ms=64, server_ms=server_ms)
        for counter, (blocks, server_ms) in enumerate(zip(contents, arrivals, strict=True), 1)
    ]

    found = recorded(fragments)

    assert found.stereo == as_sent(fragments)
    assert found.cursor.times == TimesDisagree()


def test_a_fragment_of_one_party_does_not_overtake_one_of_both() -> None:
    """It comes 5 ms late, and joins the one before it where that is there."""
    before = [sent(2, *customer(20), server_ms=707), sent(3, *agent(40), server_ms=707)]
    before.append(sent(4, *customer(120), *agent(120), server_ms=707))
    late = sent(5, *customer(145), server_ms=1073)
    behind = replace(sent(6, server_ms=1073), blocks=())

    found = recorded([*before, late, behind])

    samples = late.blocks[0].data
    assert found.stereo == as_sent(before) + b"".join(samples[at : at + 2] + bytes(2) for at in range(0, 320, 2))


def test_less_than_its_neighbours_leave_open_moves_no_fragment() -> None:
    """A number is missing behind it, and there is no room for it: that is no proof that its own time is wrong."""
    fragments = [sent(5, *customer(20), server_ms=584), sent(6, *customer(40), server_ms=1000)]
    fragments += [sent(7, *customer(120), server_ms=460), sent(9, *customer(140), server_ms=925)]

    found = recorded(fragments)

    assert found.stereo == as_sent(fragments)
