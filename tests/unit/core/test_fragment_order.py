"""Fragments whose time leaps: told from pauses, from changes of the clock and from fragments out of order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connect_audio.core.cursor import Cursor
from connect_audio.core.fragments import Fragment
from connect_audio.core.recording import CallRecording
from connect_audio_local.synthesis.calls import SyntheticCall, SyntheticFragment
from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, Block, write_fragment
from core_support.fragments_by_hand import block
from core_support.fragments_by_hand import fragment as by_hand
from core_support.reading import Recorded, events_of, fragments_of, record
from support.calls import fragments as written
from support.examples import examples

CONTACT = "00000000-0000-4000-8000-000000000001"
SAMPLES = 8192
"""Samples of each party in a fragment."""
FRAGMENTS = 8
CALL = SyntheticCall(
    customer=Random(1).randbytes(2 * SAMPLES * FRAGMENTS), agent=Random(2).randbytes(2 * SAMPLES * FRAGMENTS)
)
LEAPS_MS = st.integers(2_000, 60_000) | st.integers(-60_000, -2_000)


def call(source: SyntheticCall = CALL) -> list[SyntheticFragment]:
    return written(source)


def moved(each: SyntheticFragment, by_ms: int, *, producer: bool = True, server_ms: int = 0) -> SyntheticFragment:
    """A fragment that says another time.

    Args:
        each: the fragment.
        by_ms: added to its Cluster time, ms.
        producer: whether its producer timestamp moves alike.
        server_ms: added to its server timestamp, ms.
    """
    blocks = tuple(
        Block(block.track_number, block.time_ns + by_ms * 1_000_000, block.pcm) for block in each.contents.blocks
    )
    contents = replace(
        each.contents,
        blocks=blocks,
        producer_ms=each.producer_ms + by_ms * producer,
        server_ms=each.server_ms + server_ms,
    )
    return SyntheticFragment(write_fragment(contents), contents, each.duration_ms)


def recorded(fragments: Sequence[SyntheticFragment]) -> Recorded:
    return record(events_of([b"".join(each.data for each in fragments)]), CONTACT)


def parsed(fragments: Sequence[SyntheticFragment]) -> list[Fragment]:
    return fragments_of(events_of([b"".join(each.data for each in fragments)]))


def kinds(result: Recorded) -> dict[str, int]:
    """The contradictions that were counted."""
    times = result.cursor.times
    counted = {name: getattr(times, name) for name in times.__slots__}
    return {name: count for name, count in counted.items() if count}


WHOLE = recorded(call()).stereo


@pytest.mark.parametrize("missing", [(4,), (4, 5), (2,), (1, 2), (2, 4)])
@pytest.mark.parametrize(("by_ms", "producer"), [(8_000, True), (-8_000, True), (60_000, False), (-60_000, False)])
def test_a_fragment_that_leaps_beside_missing_ones_costs_nothing_behind_it(
    missing: Sequence[int],
    by_ms: int,
    producer: bool,  # noqa: FBT001 - parametrised
) -> None:
    fragments = call()
    expected = recorded([each for index, each in enumerate(fragments) if index not in missing])
    fragments[3] = moved(fragments[3], by_ms, producer=producer)

    result = recorded([each for index, each in enumerate(fragments) if index not in missing])

    assert result.stereo == expected.stereo
    assert kinds(result) == {"leap": 1}
    assert result.cursor.stream == expected.cursor.stream
    assert result.cursor.stream.missing_fragments == len(missing)


@pytest.mark.parametrize("by_ms", [2_500, -2_500, 8_000, 60_000, -60_000])
@pytest.mark.parametrize("leaping", [3, 4])
def test_a_fragment_that_leaps_and_changes_places_is_placed_by_its_number(leaping: int, by_ms: int) -> None:
    fragments = call()
    fragments[leaping] = moved(fragments[leaping], by_ms)
    fragments[3], fragments[4] = fragments[4], fragments[3]

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert kinds(result) == {"leap": 1}
    assert result.cursor.stream.missing_fragments == 0


@pytest.mark.parametrize("by_ms", [60_000, -60_000])
@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("leaping", [3, 4])
def test_a_block_that_leaps_at_the_edge_of_a_fragment_out_of_order_costs_nothing(
    leaping: int, at: int, by_ms: int
) -> None:
    fragments = call()
    fragments[leaping] = with_stray(fragments[leaping], at, by_ms)
    fragments[3], fragments[4] = fragments[4], fragments[3]

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert kinds(result) == {"block_leap": 1}


def test_a_block_that_leaps_counts_once_however_often_its_fragment_is_read() -> None:
    fragments = call()
    contents = fragments[3].contents
    blocks = [
        replace(block, time_ns=block.time_ns + 8_000_000_000) if index == 9 else block
        for index, block in enumerate(contents.blocks)
    ]
    fragments[3] = replace(fragments[3], data=write_fragment(replace(contents, blocks=tuple(blocks))))

    result = recorded([*fragments[:6], *fragments[2:]])

    assert result.stereo == WHOLE
    assert kinds(result) == {"block_leap": 1}


def with_stray(each: SyntheticFragment, at: int, by_ms: int) -> SyntheticFragment:
    """A fragment whose first or last block of the customer says another time."""
    blocks = list(each.contents.blocks)
    own = [index for index, block in enumerate(blocks) if block.track_number == number_of_customer(each)]
    blocks[own[at]] = replace(blocks[own[at]], time_ns=blocks[own[at]].time_ns + by_ms * 1_000_000)
    contents = replace(each.contents, blocks=tuple(blocks))
    return SyntheticFragment(write_fragment(contents), contents, each.duration_ms)


@settings(max_examples=examples(40))
@given(index=st.integers(1, FRAGMENTS - 2), by_ms=LEAPS_MS, producer=st.booleans())
def test_a_fragment_that_leaps_alone_is_placed_between_its_neighbours_and_told(
    index: int,
    by_ms: int,
    producer: bool,  # noqa: FBT001 - drawn
) -> None:
    fragments = call()
    fragments[index] = moved(fragments[index], by_ms, producer=producer)

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert kinds(result) == {"leap": 1}


@settings(max_examples=examples(20))
@given(by_ms=LEAPS_MS.filter(lambda ms: abs(ms) > 4_000), producer=st.booleans())
def test_a_first_fragment_that_leaps_alone_costs_nothing_behind_it(
    by_ms: int,
    producer: bool,  # noqa: FBT001 - drawn
) -> None:
    fragments = call()
    fragments[0] = moved(fragments[0], by_ms, producer=producer)

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert kinds(result) == {"leap": 1}


@pytest.mark.parametrize("by_ms", [3_000, 30_000])
def test_a_last_fragment_that_leaps_is_placed_as_it_says_and_told(by_ms: int) -> None:
    fragments = call()
    fragments[-1] = moved(fragments[-1], by_ms)

    result = recorded(fragments)

    assert result.stereo.startswith(WHOLE[: -4 * SAMPLES])
    assert result.stereo.endswith(WHOLE[-4 * SAMPLES :])
    assert len(result.stereo) == len(WHOLE) + 32 * by_ms
    assert kinds(result) == {"clock_change": 1}


@pytest.mark.parametrize("by_ms", [3_000, 30_000])
def test_a_clock_that_changes_forward_against_the_servers_is_told_and_loses_nothing(by_ms: int) -> None:
    fragments = call()
    fragments[4:] = [moved(each, by_ms) for each in fragments[4:]]

    result = recorded(fragments)

    assert result.stereo == WHOLE[: 16 * SAMPLES] + bytes(32 * by_ms) + WHOLE[16 * SAMPLES :]
    assert kinds(result) == {"clock_change": 1}


@pytest.mark.parametrize("late_ms", [-900, 0, 400, 20_000])
@pytest.mark.parametrize("by_ms", [2_000, 30_000])
def test_a_pause_of_the_producer_is_a_pause_and_nothing_waits(by_ms: int, late_ms: int) -> None:
    fragments = call()
    fragments[4:] = [moved(each, by_ms, server_ms=by_ms + late_ms) for each in fragments[4:]]

    recording = CallRecording(CONTACT)
    placed = [len(recording.add(each).placed) for each in parsed(fragments)]
    result = recorded(fragments)

    assert all(placed)
    assert result.stereo == WHOLE[: 16 * SAMPLES] + bytes(32 * by_ms) + WHOLE[16 * SAMPLES :]
    assert kinds(result) == {}


@pytest.mark.parametrize("offset_ms", [-1_000, 0, 2_500])
@pytest.mark.parametrize("lag_ms", [0, 704, 4_000])
def test_nothing_waits_and_nothing_is_told_where_the_call_runs_on(offset_ms: int, lag_ms: int) -> None:
    noise = Random(7)
    fragments = [
        moved(each, 0, server_ms=offset_ms - 170 + noise.randint(-900, 900))
        for each in call(replace(CALL, agent_joins_ms=0))
    ]
    lagging = [
        replace(
            each.contents,
            blocks=tuple(
                block
                if block.track_number == number_of_customer(each)
                else Block(block.track_number, block.time_ns - lag_ms * 1_000_000, block.pcm)
                for block in each.contents.blocks
            ),
        )
        for each in fragments
    ]
    log = fragments_of(events_of([b"".join(write_fragment(each) for each in lagging)]))

    recording = CallRecording(CONTACT)
    assert all(recording.add(each).placed for each in log)
    assert kinds(record(log, CONTACT)) == {}


def number_of_customer(each: SyntheticFragment) -> int:
    return next(track.number for track in each.contents.tracks if track.name == FROM_CUSTOMER)


@settings(max_examples=examples(30))
@given(
    leap_at=st.integers(1, FRAGMENTS - 2), by_ms=LEAPS_MS, killed_after=st.lists(st.integers(0, FRAGMENTS), max_size=4)
)
def test_a_leap_is_repaired_alike_however_often_the_recording_is_killed(
    leap_at: int, by_ms: int, killed_after: list[int]
) -> None:
    fragments = call()
    fragments[leap_at] = moved(fragments[leap_at], by_ms)
    log = parsed(fragments)
    stereo, rest = recorded_over(log, killed_after)

    assert stereo + rest.stereo == WHOLE
    assert kinds(rest) == {"leap": 1}


def behind(log: Sequence[Fragment], cursor: Cursor) -> Sequence[Fragment]:
    """The fragments behind a cursor, as GetMedia gives them."""
    numbers = [each.number for each in log]
    return log if cursor.fragment is None else log[numbers.index(cursor.fragment) + 1 :]


def recorded_over(log: Sequence[Fragment], lives: Sequence[int]) -> tuple[bytes, Recorded]:
    """Record over processes that are killed after so many fragments each.

    Returns:
        The stereo frames that they gave out, and the recording of the last process, which lives to the end.
    """
    cursor, stereo = Cursor(), b""
    for count in lives:
        recording = CallRecording(CONTACT, cursor=cursor)
        for each in behind(log, cursor)[:count]:
            recording.add(each)
            stereo += b"".join(recording.take())
        cursor = recording.cursor()
    return stereo, record(behind(log, cursor), CONTACT, cursor=cursor)


def test_no_more_than_three_fragments_wait_for_the_end_of_a_leap() -> None:
    fragments = call()
    fragments[4:] = [moved(each, 2_000) for each in fragments[4:]]

    recording = CallRecording(CONTACT)
    placed = [len(recording.add(each).placed) for each in parsed(fragments)]

    assert [index for index, count in enumerate(placed) if not count] == [4, 5]


def test_a_missing_number_counts_though_the_tracks_are_skewed_by_more_than_a_fragment() -> None:
    for lag_ms in (0, 1_024, 2_048, 4_000):
        log = [
            write_fragment(
                replace(
                    each.contents,
                    blocks=tuple(
                        Block(block.track_number, block.time_ns + lag_ms * 1_000_000, block.pcm)
                        if block.track_number == number_of_customer(each)
                        else block
                        for block in each.contents.blocks
                    ),
                )
            )
            for each in call()
        ]
        del log[4]

        result = record(events_of([b"".join(log)]), CONTACT)

        assert result.cursor.stream.missing_fragments == 1
        assert "STREAM_HOLES" in {reason["code"] for reason in result.manifest(CONTACT)["reasons"]}


def test_numbers_that_jump_where_no_time_is_missing_are_no_hole() -> None:
    fragments = [replace_number(each, index) for index, each in enumerate(call())]

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert result.cursor.stream.missing_fragments == 0


def replace_number(each: SyntheticFragment, index: int) -> SyntheticFragment:
    number = str(int(each.contents.number) + (index // 2 << 93))
    contents = replace(each.contents, number=number)
    return SyntheticFragment(write_fragment(contents), contents, each.duration_ms)


def test_a_fragment_that_comes_late_is_no_longer_missing() -> None:
    fragments = call()
    fragments[3], fragments[4] = fragments[4], fragments[3]

    assert recorded(fragments).cursor.stream.missing_fragments == 0


def test_empty_fragments_are_not_missing() -> None:
    fragments = call()
    empty = replace(fragments[4].contents, blocks=())
    fragments[4] = SyntheticFragment(write_fragment(empty), empty, 0)

    assert recorded(fragments).cursor.stream.missing_fragments == 0


def renumbered(
    fragments: Sequence[SyntheticFragment], places: Sequence[SyntheticFragment] | None = None
) -> list[SyntheticFragment]:
    """The fragments with numbers and server timestamps in the order in which they stand, as KVS gives them."""
    log = []
    for each, place in zip(fragments, places or call(), strict=True):
        contents = replace(each.contents, number=place.number, server_ms=place.server_ms)
        log.append(SyntheticFragment(write_fragment(contents), contents, each.duration_ms))
    return log


@settings(max_examples=examples(40))
@given(at=st.integers(1, FRAGMENTS - 3), numbers_travel=st.booleans())
def test_two_swapped_fragments_are_placed_where_they_belong_and_nothing_is_told(
    at: int,
    numbers_travel: bool,  # noqa: FBT001 - drawn
) -> None:
    fragments = call()
    fragments[at : at + 2] = fragments[at + 1], fragments[at]
    result = recorded(fragments if numbers_travel else renumbered(fragments))

    assert kinds(result) == {}
    assert result.cursor.stream.missing_fragments == 0
    if not numbers_travel:
        assert result.stereo == WHOLE
        assert result.manifest(CONTACT)["status"] == "complete"


@settings(max_examples=examples(60))
@given(
    order=st.permutations(range(5)),
    moves=st.lists(st.sampled_from((0, 0, 0, 0, 700, -700, 2_500, -2_500, 40_000)), min_size=8, max_size=8),
    lives=st.lists(st.integers(0, FRAGMENTS), max_size=5),
)
def test_no_fragment_waits_for_longer_than_three_others_and_every_kill_gives_the_same(
    order: list[int], moves: list[int], lives: list[int]
) -> None:
    source = call()
    source[1:6] = [source[1 + index] for index in order]
    log = parsed(renumbered([moved(each, by_ms) for each, by_ms in zip(source, moves, strict=True)]))
    recording = CallRecording(CONTACT)
    for index, each in enumerate(log):
        recording.add(each)
        b"".join(recording.take())
        waiting = [entry.decision.fragment for entry in recording._order.waiting]
        assert all(log.index(fragment) > index - 3 for fragment in waiting if fragment in log)
    whole = record(log, CONTACT)

    stereo, rest = recorded_over(log, lives)

    assert stereo + rest.stereo == whole.stereo
    assert rest.cursor == whole.cursor


def test_a_fragment_whose_blocks_are_empty_passes_and_is_not_missing() -> None:
    fragments = call()
    for index in (0, 4):
        blocks = [replace(block, pcm=b"") for block in fragments[index].contents.blocks]
        contents = replace(fragments[index].contents, blocks=blocks)
        fragments[index] = SyntheticFragment(write_fragment(contents), contents, 0)

    result = recorded(fragments)

    assert kinds(result) == {}
    assert result.cursor.stream.missing_fragments == 0
    assert len(result.stereo) == len(WHOLE)


def with_pause(fragments: Sequence[SyntheticFragment], at: int, pause_ms: int) -> list[SyntheticFragment]:
    """The producer pauses before a fragment: every clock goes on."""
    return [*fragments[:at], *(moved(each, pause_ms, server_ms=pause_ms) for each in fragments[at:])]


@settings(max_examples=examples(60))
@given(
    pause_ms=st.integers(1_500, 90_000),
    by_ms=st.integers(2_500, 60_000) | st.integers(-60_000, -2_500),
    side=st.sampled_from((0, 1)),
)
def test_a_leap_beside_a_pause_costs_no_other_fragment_and_is_told(pause_ms: int, by_ms: int, side: int) -> None:
    # A fragment that overlaps the last one by less is a change of the clock to the order, and its samples conflict.
    assume(side == 0 or not -1_600 <= pause_ms + by_ms <= 0)
    paused = with_pause(call(), 4, pause_ms)
    leaped = 3 + side
    right = recorded(paused).stereo
    fragments = [*paused[:leaped], moved(paused[leaped], by_ms), *paused[leaped + 1 :]]

    result = recorded(fragments)

    assert kinds(result)
    for index in range(FRAGMENTS):
        at = 4 * SAMPLES * index + 32 * pause_ms * (index >= 4)
        if index != leaped:
            assert result.stereo[at : at + 4 * SAMPLES] == right[at : at + 4 * SAMPLES]


@pytest.mark.parametrize("apart_ms", [-25, 0, 25])
@pytest.mark.parametrize("pause_ms", [3_000, 8_000, 40_000])
def test_a_fragment_that_leaps_over_the_pause_behind_it_is_moved_back_before_the_pause(
    pause_ms: int, apart_ms: int
) -> None:
    paused = with_pause(call(), 4, pause_ms)
    fragments = [*paused[:3], moved(paused[3], pause_ms + apart_ms), *paused[4:]]

    result = recorded(fragments)

    assert kinds(result) == {"leap": 1}
    assert result.stereo == recorded(paused).stereo


@pytest.mark.parametrize("pause_ms", [700, 4_500, 60_000])
@pytest.mark.parametrize(
    ("order", "numbers_travel"),
    [
        ((3, 5, 4, 6), True),
        ((4, 3, 5, 6), True),
        ((3, 4, 6, 5), True),
        ((3, 6, 5, 4), True),
        ((5, 4, 3, 6), True),
        # Not over the pause itself: no server has a fragment before it was recorded.
        ((3, 5, 4, 6), False),
        ((3, 4, 6, 5), False),
    ],
)
def test_swapped_fragments_beside_a_pause_leave_a_pause_and_no_hole_in_the_stream(
    order: Sequence[int],
    numbers_travel: bool,  # noqa: FBT001 - drawn
    pause_ms: int,
) -> None:
    paused = with_pause(call(), 4, pause_ms)
    log = [*paused[:3], *(paused[index] for index in order), *paused[7:]]
    if not numbers_travel:
        log = renumbered(log, paused)

    result, right = recorded(log), recorded(paused)

    assert result.stereo == right.stereo
    assert result.cursor.stream == right.cursor.stream
    assert result.manifest(CONTACT)["tracks"] == right.manifest(CONTACT)["tracks"]
    assert kinds(result) == {}


@pytest.mark.parametrize(("pause_ms", "waits"), [(700, []), (4_500, [4, 5]), (9_000, [4, 5])])
def test_a_fragment_behind_a_long_pause_waits_for_a_missing_one_that_its_audio_would_settle(
    pause_ms: int, waits: Sequence[int]
) -> None:
    paused = with_pause(call(), 4, pause_ms)
    del paused[4]

    recording = CallRecording(CONTACT)
    placed = [len(recording.add(each).placed) for each in parsed(paused)]
    result = recorded(paused)

    assert [index for index, count in enumerate(placed) if not count] == waits
    assert result.cursor.stream.missing_fragments == 1
    assert result.cursor.stream.holes.stream_holes == 1
    assert kinds(result) == {}


@pytest.mark.parametrize("behind", [1, 2, 3])
def test_a_missing_fragment_counts_though_the_call_ends_while_others_wait_for_it(behind: int) -> None:
    fragments = with_pause(call(), 4, 9_000)[: 5 + behind]
    del fragments[4]

    result = recorded(fragments)

    assert result.cursor.stream.missing_fragments == 1


@pytest.mark.parametrize("rewound", [1, 2, 3])
def test_fragments_that_come_again_over_a_pause_are_not_told(rewound: int) -> None:
    paused = with_pause(call(), 4, 40_000)
    again = paused[5 - rewound : 5]
    log = [*paused[:5], *again, *paused[5:]]
    numbered = []
    for index, each in enumerate(log):
        server_ms = max(earlier.server_ms for earlier in log[: index + 1])
        number = str((1 << 156) + (index + 1 << 92) + (server_ms << 28))
        contents = replace(each.contents, number=number, server_ms=server_ms)
        numbered.append(SyntheticFragment(write_fragment(contents), contents, each.duration_ms))

    result = recorded(numbered)

    assert kinds(result) == {}
    assert result.stereo == recorded(paused).stereo


@pytest.mark.parametrize("early_ms", [700, 1_300, 1_900])
def test_a_short_pause_before_a_long_one_is_a_pause_though_its_fragment_came_early(early_ms: int) -> None:
    paused = with_pause(with_pause(call(), 3, 1_200), 4, 12_000)
    fragments = [moved(each, 0, server_ms=-early_ms * (index == 3)) for index, each in enumerate(paused)]

    result = recorded(fragments)

    assert kinds(result) == {}
    assert result.stereo == recorded(paused).stereo


@pytest.mark.parametrize("by_ms", [-30_000, 2_500])
@pytest.mark.parametrize("again", [(2, 6), (3, 6), (3, 4), (4, 6), (1, 5)])
@pytest.mark.parametrize("read", [4, 5, 6])
def test_a_fragment_that_leaped_is_no_new_audio_when_the_stream_is_read_again(
    by_ms: int, again: tuple[int, int], read: int
) -> None:
    fragments = call()
    fragments[3] = moved(fragments[3], by_ms)

    result = recorded([*fragments[:read], *fragments[again[0] : again[1]], *fragments[min(read, again[1]) :]])

    assert result.stereo == WHOLE
    assert set(kinds(result)) == {"leap"}


@pytest.mark.parametrize("back", [1, 3, 4, 6])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_stream_that_is_read_again_lacks_no_fragment(back: int, swapped: bool) -> None:  # noqa: FBT001 - drawn
    fragments = call()
    if swapped:
        fragments[2], fragments[3] = fragments[3], fragments[2]

    result = recorded([*fragments[:7], *fragments[7 - back :]])

    assert result.stereo == WHOLE
    assert result.cursor.stream.missing_fragments == 0
    assert result.manifest(CONTACT)["status"] == "complete"


def test_another_session_s_missing_fragment_counts_though_its_counters_are_lower() -> None:
    first = call()
    second = [moved(each, FRAGMENTS * 1_024, server_ms=FRAGMENTS * 1_024) for each in call()]
    first = [replace_number_by(each, 50) for each in first]
    second = [replace_number_by(each, 0) for each in second]

    result = recorded([*first, *second[:4], *second[5:]])

    assert result.cursor.stream.missing_fragments == 1


def replace_number_by(each: SyntheticFragment, count: int) -> SyntheticFragment:
    contents = replace(each.contents, number=str(int(each.contents.number) + (count << 92)))
    return SyntheticFragment(write_fragment(contents), contents, each.duration_ms)


@pytest.mark.parametrize("pause_ms", [50, 60, 70])
def test_a_short_fragment_that_comes_twice_behind_a_pause_has_not_leaped(pause_ms: int) -> None:
    # The copy begins about where the fragment would, had it leaped. Numbers without a counter do not deny that.
    rate, fragment_ms = 8_000, 60
    pcm = Random(3).randbytes(3 * 2 * rate * fragment_ms // 1000)
    third = len(pcm) // 3
    behind_ms = 2 * fragment_ms + pause_ms
    came = [(0, 0), (fragment_ms, 1), (behind_ms, 2), (behind_ms, 2)]
    log = [
        replace(
            by_hand(index, CONTACT, blocks=[block(1, at_ms, pcm[third * part : third * (part + 1)])]),
            number=str(1000 + index),
            producer_timestamp_ms=None,
            server_timestamp_ms=None,
        )
        for index, (at_ms, part) in enumerate(came)
    ]

    result = record(log, CONTACT)

    assert kinds(result) == {}
    frames = len(result.stereo) // 4
    assert frames == rate * (3 * fragment_ms + pause_ms) // 1000


LONG = SyntheticCall(customer=Random(5).randbytes(2 * SAMPLES * 24), agent=Random(6).randbytes(2 * SAMPLES * 24))


def noisy(fragments: Sequence[SyntheticFragment], noise_ms: int) -> list[SyntheticFragment]:
    """The fragments with server timestamps that jitter."""
    noise = Random(noise_ms)
    return [moved(each, 0, server_ms=noise.randint(0, noise_ms)) for each in fragments]


@pytest.mark.parametrize("noise", [0, 0.2])
@pytest.mark.parametrize("by_ms", [100, 250, 500, 1_500, 1_990])
def test_a_short_change_forward_of_the_clock_is_told_by_the_delays_behind_it(by_ms: int, noise: float) -> None:
    fragments = noisy(call(LONG), round(noise * by_ms))
    stepped = [*fragments[:12], *(moved(each, by_ms) for each in fragments[12:])]

    assert kinds(recorded(stepped)) == {"clock_change": 1}
    # Seven fragments behind it are too few to tell.
    assert kinds(recorded(stepped[: 12 + 7])) == {}


@pytest.mark.parametrize("noise_ms", [0, 60, 400])
@pytest.mark.parametrize("by_ms", [60, 100, 250, 500, 1_500, 1_990])
def test_a_short_pause_is_a_pause_whatever_the_delays(by_ms: int, noise_ms: int) -> None:
    assert kinds(recorded(noisy(with_pause(call(LONG), 12, by_ms), noise_ms))) == {}


@pytest.mark.parametrize("faster_ms", [100, 300, 900])
def test_a_network_that_gets_faster_in_a_pause_is_no_change_of_the_clock(faster_ms: int) -> None:
    paused = with_pause(call(LONG), 12, 600)
    fragments = [moved(each, 0, server_ms=1_000 - faster_ms * (index >= 12)) for index, each in enumerate(paused)]

    assert kinds(recorded(fragments)) == {}


def test_delays_that_jump_about_show_no_change_of_the_clock() -> None:
    fragments = noisy(call(LONG), 400)
    stepped = [*fragments[:12], *(moved(each, 500) for each in fragments[12:])]

    assert kinds(recorded(stepped)) == {}


@pytest.mark.parametrize("lives", [[3, 4, 9], [13, 2], [19], [5, 5, 5, 5]])
def test_a_short_change_of_the_clock_is_told_once_however_often_the_recording_is_killed(lives: list[int]) -> None:
    fragments = call(LONG)
    log = parsed([*fragments[:12], *(moved(each, 500) for each in fragments[12:])])

    stereo, rest = recorded_over(log, lives)

    assert kinds(rest) == {"clock_change": 1}
    assert stereo + rest.stereo == record(log, CONTACT).stereo
