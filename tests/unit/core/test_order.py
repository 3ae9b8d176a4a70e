"""The limits of the order: which fragment passes at once, which waits, for how long, and what is counted as missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

import pytest

from connect_audio.core.admission import AdmissionState, Decision, Verdict
from connect_audio.core.claims import TimesDisagree
from connect_audio.core.fragment import Block, Completion, Fragment, fragment_counter
from connect_audio.core.order import FragmentOrder, OrderState
from connect_audio.core.runs import start_ns
from connect_audio.core.shapes import ShapedBlocks
from connect_audio.core.tracks import TrackNames
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import write_fragment
from core_support.fragments_by_hand import START_MS, block, both_tracks
from core_support.fragments_by_hand import fragment as by_hand
from core_support.reading import events_of, fragments_of

LASTS_MS: Final = 1024
DELAY_MS: Final = 170
MIB: Final = 1 << 20


def sent(
    counter: int | None,
    at_ms: float,
    *,
    delay_ms: int | None = DELAY_MS,
    producer_ms: int | None = None,
    blocks: int = 16,
    held_bytes: int = 0,
    sample: bytes = b"\1\2",
) -> Decision:
    """An admitted fragment of both parties.

    Args:
        counter: the producer's count; None for a number without one.
        at_ms: its start, ms since `START_MS`.
        delay_ms: time from its start to the server's timestamp, ms; None for no timestamp.
        producer_ms: time from its start to the producer timestamp, ms; None for no timestamp.
        blocks: rows of 64 ms.
        held_bytes: what it takes in memory.
        sample: every sample of it.
    """
    made = by_hand(counter or 0, at_ms=at_ms, blocks=both_tracks(at_ms, blocks=blocks, sample=sample))
    return decided(
        replace(
            made,
            number=made.number if counter is not None else str(1000 + round(at_ms)),
            server_timestamp_ms=None if delay_ms is None else START_MS + round(at_ms) + delay_ms,
            producer_timestamp_ms=None if producer_ms is None else START_MS + round(at_ms) + producer_ms,
            held_bytes=held_bytes,
        )
    )


def decided(fragment: Fragment, verdict: Verdict = Verdict.OURS) -> Decision:
    return Decision(fragment, verdict, AdmissionState())


def order(*before: Decision) -> FragmentOrder:
    made = FragmentOrder(OrderState(), TimesDisagree(), TrackNames())
    for each in before:
        assert made.add(each)
    return made


def call(count: int, *, delay_ms: int | None = DELAY_MS) -> list[Decision]:
    """Fragments that run on, from counter 1 and time 0."""
    return [sent(1 + index, LASTS_MS * index, delay_ms=delay_ms) for index in range(count)]


def at(count: int) -> int:
    """When the fragment behind so many of a call begins, ms."""
    return LASTS_MS * count


def came(decisions: Sequence[Decision]) -> list[tuple[int | None, float]]:
    """The counter and the start, ms, of fragments that were passed."""
    return [
        (fragment_counter(each.fragment.number), start_ns(each.fragment.blocks) / 1_000_000 - START_MS)
        for each in decisions
    ]


# --- the fragment that follows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", [3, None])
@pytest.mark.parametrize(
    ("leap_ms", "delay_ms", "passes"),
    [
        (0, 170, True),
        (30, -9_000, True),
        (30.000001, -9_000, False),
        (-30, -9_000, True),
        (-1_600, -9_000, True),
        (-1_600.000001, 170, False),
        (-40, 9_000, True),
        # A pause: the server's clock has gone on by all but half of it, and by all but a second at least.
        (400, -30, True),
        (400, -31, False),
        (2_000, -830, True),
        (2_000, -831, False),
        (20_000, -830, True),
        (20_000, -831, False),
        (20_000, 90_000, True),
        (400, None, False),
        (20, None, True),
    ],
)
def test_a_fragment_waits_whose_leap_the_server_denies(
    leap_ms: float,
    delay_ms: int | None,
    passes: bool,  # noqa: FBT001
    counter: int | None,
) -> None:
    line = order(*call(2))

    found = line.add(sent(counter, at(2) + leap_ms, delay_ms=delay_ms))

    assert bool(found) is passes
    assert len(line.waiting) == (not passes)


@pytest.mark.parametrize(
    ("leap_ms", "delay_ms", "passes"),
    [(3_000, 3_170, True), (3_000, 3_169, False), (6_000, 2_170, True), (6_000, 2_169, False)],
)
def test_the_delay_of_the_fragment_before_denies_a_leap_of_twice_as_much(
    leap_ms: int,
    delay_ms: int,
    passes: bool,  # noqa: FBT001
) -> None:
    line = order(sent(1, 0, delay_ms=170), sent(2, at(1), delay_ms=5_170))

    assert bool(line.add(sent(3, at(2) + leap_ms, delay_ms=delay_ms))) is passes


def test_times_that_come_again_say_nothing_of_the_delay() -> None:
    # Read again: the delay is long by the time gone back, and the next leap forward is measured by the least alone.
    line = order(sent(1, 0), sent(2, at(1)), sent(3, at(1), delay_ms=9_000))

    assert line.state.last_delay_ns is None
    assert line.add(sent(4, at(2) + 3_000, delay_ms=-830))


@pytest.mark.parametrize("counter", [1_003, 1])
@pytest.mark.parametrize("leap_ms", [-20_000, 2_000, 500_000])
def test_the_counter_of_another_session_explains_a_leap(counter: int, leap_ms: int) -> None:
    line = order(*call(2))

    assert line.add(sent(counter, at(2) + leap_ms, delay_ms=-90_000))


@pytest.mark.parametrize(
    ("leap_ms", "delay_ms", "passes"),
    [
        (-30, -90_000, True),
        (-31, 90_000, False),
        (2_000, -90_000, True),
        # Six are missing, each as long as its neighbours and give or take 30 ms.
        (6 * (LASTS_MS + 30), -90_000, True),
        (6 * (LASTS_MS + 30) + 1, -90_000, False),
        (6 * LASTS_MS + 5_000, -830, True),
        (6 * LASTS_MS + 5_000, -831, False),
    ],
)
def test_missing_fragments_explain_a_leap_of_their_length(leap_ms: int, delay_ms: int, passes: bool) -> None:  # noqa: FBT001
    line = order(*call(2))

    assert bool(line.add(sent(9, at(2) + leap_ms, delay_ms=delay_ms))) is passes


def test_a_leap_is_the_least_of_both_tracks() -> None:
    line = order(*call(2))
    late = by_hand(3, blocks=[*both_tracks(at(2))[::2], *both_tracks(at(2) + 700)[1::2]])

    assert line.add(decided(late))
    assert not line.waiting


def test_a_track_that_was_not_there_before_does_not_leap() -> None:
    line = FragmentOrder(OrderState(), TimesDisagree(), TrackNames())
    line.add(decided(by_hand(1, at_ms=0, blocks=both_tracks(0)[::2])))

    assert line.add(decided(by_hand(2, at_ms=90_000, blocks=both_tracks(90_000)[1::2])))


# --- the first fragment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay_ms", "producer_ms", "passes"),
    [
        (-3_000, None, True),
        (-3_001, None, False),
        (LASTS_MS + 3_000, None, True),
        (LASTS_MS + 3_001, None, False),
        (None, None, True),
        (None, -1_000, True),
        (None, -1_001, False),
        (None, LASTS_MS + 1_000, True),
        (None, LASTS_MS + 1_001, False),
        (0, 0, True),
        (0, -1_001, False),
        (-3_001, 0, False),
    ],
)
def test_a_first_fragment_far_from_the_clocks_waits(
    delay_ms: int | None,
    producer_ms: int | None,
    passes: bool,  # noqa: FBT001
) -> None:
    line = order()

    assert bool(line.add(sent(1, 0, delay_ms=delay_ms, producer_ms=producer_ms))) is passes


@pytest.mark.parametrize(
    ("leap_ms", "expected", "told"),
    [
        (-40_000, [(1, 0), (2, LASTS_MS)], 1),
        (-30, [(1, -30), (2, LASTS_MS)], 0),
        (-31, [(1, 0), (2, LASTS_MS)], 1),
        (31, [(1, 0), (2, LASTS_MS)], 1),
        (30, [(1, 30), (2, LASTS_MS)], 0),
    ],
)
def test_a_first_fragment_far_from_the_servers_clock_is_put_before_the_second(
    leap_ms: int, expected: list[tuple[int, int]], told: int
) -> None:
    line = order()
    assert not line.add(sent(1, leap_ms, delay_ms=-3_001))

    found = [*line.add(sent(2, at(1))), *line.add(sent(3, at(2))), *line.flush()]

    assert came(found)[:2] == expected
    assert line.disagree == TimesDisagree(leap=told)


def test_two_first_fragments_far_from_the_servers_clock_stay() -> None:
    line = order()
    found = [*line.add(sent(1, 0, delay_ms=-50_000)), *line.add(sent(2, 90_000, delay_ms=-50_000))]

    assert came(found) == [(1, 0), (2, 90_000)]
    assert line.disagree.leap == 0


@pytest.mark.parametrize(
    ("counter", "start_ms"), [(2, 0), (5, -3 * LASTS_MS), (1_001, -999 * LASTS_MS), (1_002, -40_000), (0, -40_000)]
)
def test_a_first_fragment_is_put_before_the_missing_ones_behind_it(counter: int, start_ms: int) -> None:
    line = order()
    assert not line.add(sent(1, -40_000, delay_ms=-50_000))
    found = [*line.add(sent(counter, at(1))), *line.flush()]

    assert (1, start_ms) in came(found)
    assert line.disagree.leap == (start_ms != -40_000)


@pytest.mark.parametrize(
    ("completion", "counter", "start_ms"),
    [
        (Completion.TOKEN, 2, at(1) - 5 * 64),
        (Completion.TRUNCATED, 2, 0),
        (Completion.TRUNCATED, 4, -2 * LASTS_MS),
    ],
)
def test_a_truncated_first_fragment_is_put_before_the_second_by_that_one_s_length(
    completion: Completion, counter: int, start_ms: int
) -> None:
    line = order()
    leaped = sent(1, -40_000, delay_ms=-50_000, blocks=5)
    assert not line.add(leaped._replace(fragment=replace(leaped.fragment, completion=completion)))

    found = [*line.add(sent(counter, at(1))), *line.flush()]

    assert came(found) == [(1, start_ms), (counter, at(1))]
    assert line.disagree == TimesDisagree(leap=1)


# --- fragments that wait ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_ms", [-60_000, -2_000, 4_000, 60_000])
def test_a_fragment_that_leaps_alone_is_moved_once_the_next_one_has_come(by_ms: int) -> None:
    line = order(*call(2))
    assert not line.add(sent(3, at(2) + by_ms, delay_ms=DELAY_MS - by_ms))

    found = line.add(sent(4, at(3)))

    assert came(found) == [(3, at(2)), (4, at(3))]
    assert line.disagree == TimesDisagree(leap=1)
    assert not line.waiting


@pytest.mark.parametrize(("apart_ms", "moves"), [(30, True), (-30, True), (31, False), (-31, False)])
def test_the_next_fragment_shows_a_leap_by_running_on_from_the_one_before(apart_ms: int, moves: bool) -> None:  # noqa: FBT001
    line = order(*call(2, delay_ms=None))
    assert not line.add(sent(3, at(2) + 60_000, delay_ms=None))

    found = [*line.add(sent(4, at(3) + apart_ms, delay_ms=None)), *line.flush()]

    assert came(found)[0] == (3, at(2) if moves else at(2) + 60_000)
    assert line.disagree.leap == moves


def test_the_move_of_a_fragment_is_remembered_and_the_same_when_it_comes_again() -> None:
    line = order(*call(2))
    leaped = sent(3, at(2) + 60_000, delay_ms=DELAY_MS - 60_000)
    line.add(leaped)
    line.add(sent(4, at(3)))

    assert came(line.add(leaped)) == [(3, at(2))]
    assert line.disagree.leap == 1


@pytest.mark.parametrize(
    ("completion", "apart_ms", "begins_ms"),
    [
        (Completion.TRUNCATED, 0, at(2)),
        (Completion.TRUNCATED, 30, at(2)),
        # Longer than its neighbours: the producer paused, and the server's clock shows that it did so before it.
        (Completion.TRUNCATED, 31, at(3) + 31 - 5 * 64),
        (Completion.TOKEN, 0, at(3) - 5 * 64),
    ],
)
def test_a_truncated_fragment_that_leaped_alone_begins_where_the_one_before_it_ends(
    completion: Completion, apart_ms: int, begins_ms: int
) -> None:
    line = order(sent(1, 0, delay_ms=-854), sent(2, at(1)))
    leaped = sent(3, at(2) + 60_000, delay_ms=DELAY_MS - 60_000, blocks=5)

    line.add(leaped._replace(fragment=replace(leaped.fragment, completion=completion)))
    passed = line.add(sent(4, at(3) + apart_ms))

    assert came(passed) == [(3, begins_ms), (4, at(3) + apart_ms)]
    assert line.disagree == TimesDisagree(leap=1)


def test_a_copy_behind_a_fragment_says_nothing_about_its_leap() -> None:
    line = order(*call(2, delay_ms=None))
    twice = sent(None, at(2) + 60_000, delay_ms=None)
    found = [*line.add(twice), *line.add(twice), *line.flush()]

    assert [each[1] for each in came(found)] == [at(2) + 60_000] * 2
    assert line.disagree.leap == 0


def test_a_change_of_the_clock_forward_is_told_and_moves_nothing() -> None:
    line = order(*call(2))
    found: list[Decision] = []
    for index in range(3):
        found += line.add(sent(3 + index, at(2 + index) + 60_000, delay_ms=DELAY_MS - 60_000))
    found += line.flush()

    assert came(found) == [(3 + index, at(2 + index) + 60_000) for index in range(3)]
    assert line.disagree == TimesDisagree(clock_change=1)


@pytest.mark.parametrize(("delay_ms", "told"), [(-1_830, 0), (-1_831, 1)])
def test_a_change_of_the_clock_is_told_beyond_two_seconds_of_delay(delay_ms: int, told: int) -> None:
    line = order(*call(2))
    line.add(sent(3, at(2) + 9_000, delay_ms=delay_ms))
    line.flush()

    assert line.disagree == TimesDisagree(clock_change=told)


def test_three_fragments_wait_at_most() -> None:
    line = order(*call(2, delay_ms=None))
    # Each begins so far behind the one before that fragments in between may still come.
    passed = [len(line.add(sent(None, at(2) + 1_500 + 2_500 * index, delay_ms=None))) for index in range(3)]

    assert passed == [0, 0, 3]


@pytest.mark.parametrize(("more", "waits"), [(0, 1), (1, 0)])
def test_fragments_that_wait_are_bounded_by_their_bytes(more: int, waits: int) -> None:
    line = order(*call(2, delay_ms=None))
    line.add(sent(3, at(2) + 2_000, delay_ms=None, held_bytes=8 * MIB + more))

    assert len(line.waiting) == waits


def test_bytes_of_fragments_that_wait_are_counted_together() -> None:
    line = order(*call(2, delay_ms=None))
    line.add(sent(None, at(2) + 1_500, delay_ms=None, held_bytes=5 * MIB))
    assert line.waiting
    line.add(sent(None, at(2) + 4_000, delay_ms=None, held_bytes=3 * MIB + 1))

    assert not line.waiting


@pytest.mark.parametrize(("leap_ms", "waits"), [(3 * LASTS_MS, True), (3 * LASTS_MS + 1, False), (-2_000, False)])
def test_a_second_fragment_ends_the_wait_of_one_that_leaped_too_far_to_be_followed(
    leap_ms: int,
    waits: bool,  # noqa: FBT001
) -> None:
    line = order(*call(2, delay_ms=None))
    assert not line.add(sent(3, at(2) + leap_ms, delay_ms=None))
    line.add(sent(4, at(3) + leap_ms, delay_ms=None))

    assert bool(line.waiting) is waits


def test_a_fragment_that_waits_passes_when_the_one_before_it_comes() -> None:
    line = order(*call(2, delay_ms=None))
    assert not line.add(sent(None, at(3), delay_ms=None))

    assert [each[1] for each in came(line.add(sent(None, at(2), delay_ms=None)))] == [at(2), at(3)]
    assert line.disagree == TimesDisagree()


def test_the_same_fragment_once_more_explains_nothing() -> None:
    line = order(*call(2, delay_ms=None))
    leaped = sent(3, at(2) + 60_000, delay_ms=None)
    for _ in range(5):
        assert not line.add(leaped)


def test_fragments_that_wait_are_flushed_in_the_order_of_their_counters() -> None:
    line = order(*call(2, delay_ms=None))
    line.add(sent(3, at(2) + 2_000, delay_ms=None))
    line.add(sent(5, at(2) + 2_000 + 2 * LASTS_MS, delay_ms=None))
    line.add(sent(4, at(2) + 2_000 + LASTS_MS, delay_ms=None))

    assert line.state.counter == 5
    assert not line.waiting
    assert line.flush() == []


def test_a_fragment_of_another_contact_ends_the_wait() -> None:
    line = order(*call(2))
    line.add(sent(3, at(2) + 60_000, delay_ms=DELAY_MS - 60_000))
    stranger = decided(sent(4, at(3)).fragment, Verdict.OTHER)

    assert came(line.add(stranger)) == [(3, at(2) + 60_000), (4, at(3))]
    assert not line.waiting


# --- as produced -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leap_ms", "apart_ms", "is_moved"),
    [(60_000, 30, True), (60_000, -30, True), (60_000, 31, False), (60_000, -31, False), (-9_000, 0, True)],
)
def test_a_cluster_time_that_leaped_from_its_producer_timestamp_follows_that(
    leap_ms: int,
    apart_ms: int,
    is_moved: bool,  # noqa: FBT001
) -> None:
    line = order(*call(2))
    found = line.add(sent(3, at(2) + leap_ms, delay_ms=DELAY_MS - leap_ms, producer_ms=apart_ms - leap_ms))

    assert came(found) == ([(3, at(2))] if is_moved else [])
    assert line.disagree.leap == is_moved


def test_a_moved_fragment_keeps_the_producer_timestamp_that_fits() -> None:
    line = order(*call(2))
    (found,) = line.add(sent(3, at(2) + 60_000, delay_ms=DELAY_MS - 60_000, producer_ms=-60_000))

    assert found.fragment.producer_timestamp_ms == START_MS + at(2)


# --- counters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "leap_ms", "missing"),
    [
        (3, 500, 0),
        (4, 500, 1),
        (4, 30, 0),
        (4, 31, 1),
        (5, 2_000, 2),
        (1_002, 2_000, 999),
        (1_003, 2_000, 0),
    ],
)
def test_fragments_are_missing_where_counters_and_times_jump(counter: int, leap_ms: int, missing: int) -> None:
    line = order(*call(2))
    line.add(sent(counter, at(2) + leap_ms, delay_ms=90_000))

    assert line.take_missing() == missing
    assert line.take_missing() == 0


def test_a_missing_fragment_that_comes_late_is_missing_no_more_and_is_told_as_late() -> None:
    line = order(*call(2))
    line.add(sent(5, at(4)))
    assert line.take_missing() == 2

    late = sent(4, at(3))
    assert line.add(late) == (late,)
    assert line.late == [late.fragment.number]
    assert line.take_missing() == -1
    assert line.state.missing == (3,)
    # What follows goes on from the newest one.
    assert line.add(sent(6, at(5)))
    assert line.late == []
    assert (line.take_missing(), line.state.counter) == (0, 6)


def test_a_late_fragment_of_skewed_tracks_lies_where_its_times_say() -> None:
    def skewed(counter: int) -> Decision:
        """The agent's blocks travel a fragment later than the customer's."""
        one = sent(counter, at(counter - 1))
        early = both_tracks(at(counter - 2))[1::2]
        return one._replace(fragment=replace(one.fragment, blocks=(*early, *one.fragment.blocks[::2])))

    line = order(*(skewed(counter) for counter in (2, 3, 4, 6, 7, 8, 9, 10, 11, 12)))

    late = skewed(5)
    assert line.add(late) == (late,)
    assert line.disagree == TimesDisagree()


@pytest.mark.parametrize("blocks", [1, 8])
def test_a_leap_back_behind_a_truncated_fragment_is_measured_from_where_that_would_have_ended(blocks: int) -> None:
    line = order(*call(2))
    cut = sent(3, at(2), blocks=blocks)
    line.add(cut._replace(fragment=replace(cut.fragment, completion=Completion.TRUNCATED)))
    # From the end of what is left of it, the leap back is less than 1.6 s: so long is a step of the clock at most.
    assert not line.add(sent(4, at(3) - 2_500))

    assert came(line.add(sent(5, at(4)))) == [(4, at(3)), (5, at(4))]
    assert line.disagree == TimesDisagree(leap=1)


@pytest.mark.parametrize(
    ("at_ms", "missing"),
    [(at(3), 1), (at(2) + 31, 1), (at(2) + 30, 0), (at(2) - 30, 0), (at(2) - 31, 1), (at(3) - 1_500, 1)],
)
def test_a_number_is_missing_unless_the_time_runs_on_although_the_clock_stepped_back(at_ms: int, missing: int) -> None:
    line = order(*call(2))
    found = [*line.add(sent(4, at_ms)), *line.add(sent(5, at_ms + LASTS_MS)), *line.flush()]

    assert came(found) == [(4, at_ms), (5, at_ms + LASTS_MS)]
    assert line.take_missing() == missing


def test_the_same_late_fragment_is_counted_once() -> None:
    line = order(*call(2))
    line.add(sent(5, at(4)))
    for _ in range(3):
        line.add(sent(3, at(2)))

    assert line.take_missing() == 1


def test_the_newest_missing_counters_are_remembered() -> None:
    line = order(*call(2))
    line.add(sent(43, at(42)))

    assert line.take_missing() == 40
    assert line.state.missing == tuple(range(11, 43))


def test_a_fragment_without_audio_is_not_missing() -> None:
    line = order(*call(2))
    empty = decided(replace(by_hand(3, at_ms=at(2)), blocks=()))
    assert line.add(empty) == (empty,)
    assert line.state.counter == 3
    line.add(sent(4, at(3)))
    skipped = decided(replace(by_hand(6, at_ms=at(4)), blocks=()))
    line.add(skipped)

    assert line.state.counter == 4
    assert line.take_missing() == 0


def test_a_fragment_without_audio_is_not_missing_while_another_one_waits() -> None:
    line = order(*call(2))
    # Its delay lets the pause before it look like a leap by the one fragment that would be missing behind it.
    paused = sent(3, at(3), delay_ms=-400)
    empty = decided(replace(by_hand(4, at_ms=at(4)), blocks=()))
    assert not line.add(paused)
    assert line.add(empty) == (empty,)

    found = [*line.add(sent(5, at(4))), *line.flush()]

    assert came(found) == [(3, at(3)), (5, at(4))]
    assert line.disagree == TimesDisagree()
    assert line.take_missing() == 0
    assert line.state.counter == 5


@pytest.mark.parametrize(
    ("counter", "long_ms", "waits"), [(4, 5_000, True), (5, 5_000, True), (6, 5_000, False), (4, 3_000, False)]
)
def test_a_fragment_waits_for_missing_ones_whose_place_it_would_settle(
    counter: int,
    long_ms: int,
    waits: bool,  # noqa: FBT001
) -> None:
    line = order(*call(2))

    assert bool(line.add(sent(counter, at(2) + long_ms, delay_ms=90_000))) is not waits


@pytest.mark.parametrize(("leap_ms", "waits"), [(5_000 - LASTS_MS - 30, False), (5_000 - LASTS_MS - 29, True)])
def test_a_place_is_settled_five_seconds_behind(leap_ms: int, waits: bool) -> None:  # noqa: FBT001
    line = order(*call(2))

    assert bool(line.add(sent(4, at(2) + leap_ms, delay_ms=90_000))) is not waits


# --- an open fragment ------------------------------------------------------------------------------------------------


def open_block(at_ms: float, track: int = 1) -> Block:
    return block(track, at_ms, b"\1\2" * 512)


@pytest.mark.parametrize(
    ("counter", "leap_ms", "passes"),
    [
        (3, 0, True),
        (3, 30, True),
        (3, 31, False),
        (3, -1_600, True),
        (3, -1_601, False),
        (None, 30, True),
        (None, 31, False),
        (None, -1_601, False),
        (9, 30, True),
        (9, 31, False),
        (9, -30, True),
        (9, -31, False),
        (1_003, 30, True),
        (1_003, 31, False),
        (1_003, -90_000, True),
    ],
)
def test_an_open_fragment_passes_by_its_first_block(counter: int | None, leap_ms: int, passes: bool) -> None:  # noqa: FBT001
    line = order(*call(2))
    number = None if counter is None else sent(counter, 0).fragment.number

    assert line.passes(number, None, open_block(at(2) + leap_ms)) is passes


def test_an_open_fragment_passes_on_a_track_that_was_not_there() -> None:
    line = order(*call(2))

    for counter in (3, 9):
        assert line.passes(sent(counter, 0).fragment.number, None, open_block(500_000, track=3))


@pytest.mark.parametrize(
    ("server_ms", "passes"), [(None, True), (3_000, True), (3_001, False), (-3_000, True), (-3_001, False)]
)
def test_a_first_open_fragment_passes_near_the_servers_clock(server_ms: int | None, passes: bool) -> None:  # noqa: FBT001
    line = order()
    server = None if server_ms is None else START_MS + server_ms

    assert line.passes("1", server, open_block(0)) is passes


def test_no_open_fragment_passes_while_others_wait() -> None:
    line = order(*call(2, delay_ms=None))
    line.add(sent(3, at(2) + 60_000, delay_ms=None))

    assert not line.passes(sent(4, 0).fragment.number, None, open_block(at(3)))


# --- what is noted for the next fragment -----------------------------------------------------------------------------


def test_nothing_is_late_before_the_first_fragment() -> None:
    assert order().late == []


@pytest.mark.parametrize(("apart_ms", "is_known"), [(-30, True), (-30.000001, False), (0, True), (30, True)])
def test_the_last_delay_is_known_while_times_run_on(apart_ms: float, is_known: bool) -> None:  # noqa: FBT001
    line = order(*call(2), sent(3, at(2) + apart_ms))

    assert (line.state.last_delay_ns is not None) is is_known


@pytest.mark.parametrize(("apart_ms", "is_known"), [(30, False), (31, True), (-1_000, False)])
def test_the_last_delay_is_known_again_behind_a_leap_forward(apart_ms: int, is_known: bool) -> None:  # noqa: FBT001
    line = order(*call(2), sent(3, at(1)), sent(4, at(2) + apart_ms, delay_ms=9_000))

    assert (line.state.last_delay_ns is not None) is is_known


def test_the_least_delay_is_the_least_of_all() -> None:
    line = order(sent(1, 0, delay_ms=300), sent(2, at(1), delay_ms=100), sent(3, at(2), delay_ms=200))
    line.add(sent(4, at(3), delay_ms=None))

    assert line.state.least_delay_ns == 100_000_000
    assert line.state.last_delay_ns == 200_000_000


def test_eight_delays_of_fragments_that_run_on_are_noted() -> None:
    line = order(*(sent(1 + index, at(index), delay_ms=100 + index) for index in range(3)))
    assert line.state.delays_ms == (100, 101, 102)

    for index in range(3, 12):
        line.add(sent(1 + index, at(index), delay_ms=100 + index))
    assert line.state.delays_ms == tuple(range(104, 112))


@pytest.mark.parametrize(
    ("counter", "leap_ms", "delay_ms", "blocks", "delays_ms"),
    [
        (3, 0, 150, 16, (170, 170, 150)),
        (3, 30, 150, 16, (170, 170, 150)),
        (3, -30, 150, 16, (170, 170, 150)),
        (3, -31, 150, 16, (150,)),
        (3, 400, 150, 16, (150,)),
        (3, 0, None, 16, ()),
        (4, 0, 150, 16, (150,)),
        (None, 0, 150, 16, (150,)),
        (3, 0, 150, 17, (150,)),
        (3, 0, 150, 15, (150,)),
    ],
)
def test_delays_are_gathered_of_fragments_that_are_alike(
    counter: int | None, leap_ms: int, delay_ms: int | None, blocks: int, delays_ms: tuple[int, ...]
) -> None:
    line = order(*call(2), sent(counter, at(2) + leap_ms, delay_ms=delay_ms, blocks=blocks))

    assert line.state.delays_ms == delays_ms


@pytest.mark.parametrize(
    ("leap_ms", "is_noted"), [(500, True), (2_000, True), (2_001, False), (100, True), (99, False), (-500, False)]
)
def test_a_short_leap_is_noted_until_the_delays_behind_it_explain_it(leap_ms: int, is_noted: bool) -> None:  # noqa: FBT001
    line = order(*call(8), sent(9, at(8) + leap_ms, delay_ms=1_500))

    assert (line.state.ahead is not None) is is_noted
    if line.state.ahead is not None:
        assert (line.state.ahead.leap_ms, line.state.ahead.least_ms) == (leap_ms, 170)


@pytest.mark.parametrize(("behind", "told"), [(7, 0), (8, 1)])
def test_the_eighth_fragment_behind_a_short_leap_explains_it(behind: int, told: int) -> None:
    line = order(*call(8))
    for index in range(behind):
        line.add(sent(9 + index, at(8 + index) + 400, delay_ms=DELAY_MS - 400))

    assert line.disagree == TimesDisagree(clock_change=told)


def test_a_fragment_of_the_same_counter_is_not_late() -> None:
    line = order(*call(2), sent(2, at(1)))

    assert line.late == []
    assert line.state.counter == 2


@pytest.mark.parametrize(("counter", "now"), [(6, 9), (7, 9), (8, 9), (9, 9), (5, 5), (1, 1)])
def test_a_counter_close_below_is_late_and_one_far_below_another_session_s(counter: int, now: int) -> None:
    line = order(*call(9))
    line.add(sent(counter, at(9), delay_ms=9_000))

    assert line.state.counter == now


@pytest.mark.parametrize(("after_ms", "now"), [(0, 9), (1, 1), (-5_000, 9)])
def test_a_fragment_far_below_was_read_if_the_server_had_it_no_later(after_ms: int, now: int) -> None:
    line = order(*call(9))
    line.add(sent(1, at(9), delay_ms=DELAY_MS - LASTS_MS + after_ms))

    assert line.state.counter == now


def test_a_fragment_that_was_read_before_passes_while_another_waits() -> None:
    line = order(*call(3))
    line.add(sent(4, at(3) + 60_000, delay_ms=None))
    again = sent(2, at(1))

    assert line.add(again) == (again,)
    assert line.late == [again.fragment.number]
    assert len(line.waiting) == 1


@pytest.mark.parametrize("ends", ["another contact", "explained"])
def test_after_a_wait_three_fragments_wait_again(ends: str) -> None:
    line = order(*call(2, delay_ms=None))
    line.add(sent(None, at(2) + 1_500, delay_ms=None))
    if ends == "explained":
        line.add(sent(None, at(2), delay_ms=None))
        line.add(sent(None, at(3), delay_ms=None))
        line.flush()
    else:
        line.add(decided(sent(None, at(2)).fragment, Verdict.OTHER))
    assert not line.waiting
    start_ms = line.state.base_ns / 1_000_000 - START_MS + LASTS_MS

    assert [len(line.add(sent(None, start_ms + 1_500 + 2_500 * index, delay_ms=None))) for index in range(3)] == [
        0,
        0,
        3,
    ]


def test_fragments_that_wait_for_a_missing_one_are_flushed_by_their_counters() -> None:
    line = order(*call(2))
    assert not line.add(sent(5, at(2) + 5_000, delay_ms=90_000))
    assert not line.add(sent(4, at(2) + 3_900, delay_ms=90_000))

    assert came(line.flush()) == [(4, at(2) + 3_900), (5, at(2) + 5_000)]


def test_fragments_without_a_counter_are_flushed_as_they_came() -> None:
    line = order(*call(2))
    assert not line.add(sent(5, at(2) + 5_000, delay_ms=90_000))
    assert not line.add(sent(None, at(2) + 3_900, delay_ms=90_000))

    assert [counter for counter, _ in came(line.flush())] == [5, None]


def test_a_missing_fragment_that_comes_sets_free_the_one_that_waited_for_it() -> None:
    line = order(*call(2))
    assert not line.add(sent(4, at(3) + 5_000, delay_ms=DELAY_MS))

    assert came(line.add(sent(3, at(2)))) == [(3, at(2)), (4, at(3) + 5_000)]
    assert line.take_missing() == 0


def test_a_leap_of_a_fragment_without_a_server_timestamp_is_not_denied() -> None:
    line = order(*call(2))
    assert not line.add(sent(3, at(2) + 60_000, delay_ms=None))

    assert came(line.flush()) == [(3, at(2) + 60_000)]
    assert line.disagree == TimesDisagree()


def test_a_leap_is_that_of_a_track_s_own_blocks_though_the_other_begins_earlier() -> None:
    line = FragmentOrder(OrderState(), TimesDisagree(), TrackNames())
    line.add(decided(by_hand(1, at_ms=0, blocks=both_tracks(0)[1::2])))
    early = [*both_tracks(24, blocks=30)[::2], *both_tracks(at(1))[1::2]]

    assert line.add(decided(by_hand(2, at_ms=24, blocks=early)))
    assert not line.waiting


# --- a fragment of a known shape -------------------------------------------------------------------------------------

SHORT: Final = SyntheticCall(
    customer=bytes(range(1, 241)) * 400, agent=bytes(range(240, 0, -1)) * 400, blocks_per_fragment=4
)
"""Twenty-three fragments of 256 ms: the first one is read by its elements, the others by its shape."""


def shaped(choices: Random) -> list[Fragment]:
    """A call in which a few fragments are missing, leap, or came to the server at another time."""
    made = []
    by_ms = server_ms = 0
    for each in synthesize_call(SHORT):
        if choices.random() < 0.08:
            continue
        by_ms += choices.choice((0,) * 12 + (30, 31, -30, -31, 400, 2_500, -1_600, -1_601))
        server_ms = choices.choice((0,) * 6 + (by_ms, by_ms, -170, 700, 3_000))
        blocks = [replace(part, time_ns=part.time_ns + by_ms * 1_000_000) for part in each.contents.blocks]
        number = str(int(each.contents.number) + (choices.choice((0,) * 8 + (-1, -2, 2, 2_000)) << 92))
        contents = replace(each.contents, number=number, blocks=blocks, server_ms=each.server_ms + server_ms)
        made.append(write_fragment(contents))
    return fragments_of(events_of([b"".join(made)]))


@pytest.mark.parametrize("seed", range(11))
def test_a_fragment_of_a_known_shape_is_ordered_as_its_blocks_would_be(seed: int) -> None:
    log = shaped(Random(seed))
    assert any(isinstance(each.blocks, ShapedBlocks) for each in log[1:])
    by_shape, by_blocks = order(), order()
    for each in log:
        passed = by_shape.add(decided(each))
        alike = by_blocks.add(decided(replace(each, blocks=tuple(each.blocks))))

        assert came(passed) == came(alike)
        assert by_shape.late == by_blocks.late
        assert by_shape.state == by_blocks.state
    assert came(by_shape.flush()) == came(by_blocks.flush())
    assert (by_shape.take_missing(), by_shape.disagree) == (by_blocks.take_missing(), by_blocks.disagree)
