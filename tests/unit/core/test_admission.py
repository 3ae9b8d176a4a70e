"""Whose audio a fragment is: every verdict, and the borders of each rule. The privacy rule is the last section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.admission import (
    MAX_UNDECIDED_BYTES,
    NOT_BEGUN,
    Admission,
    AdmissionState,
    Decision,
    Label,
    ProducerSession,
    StreamEnd,
    StreamingBounds,
    Verdict,
    end_ms,
    start_ms,
)
from connect_audio.core.fragments import Completion, Fragment
from core_support.fragments_by_hand import START_MS, block, both_tracks, fragment
from support.examples import examples

OURS: Final = "ours"
OTHER: Final = "other"


def decide(
    fragments: Iterable[Fragment], *, end: StreamEnd | None = StreamEnd.SILENT, within: StreamingBounds | None = None
) -> list[Decision]:
    """`end`: how the call ends; None while it goes on."""
    admission = Admission(OURS, bounds=within)
    decisions = [decision for each in fragments for decision in admission.add(each)]
    return decisions + ([] if end is None else admission.end(end))


def verdicts(
    *fragments: Fragment, end: StreamEnd | None = StreamEnd.SILENT, within: StreamingBounds | None = None
) -> list[str]:
    return [decision.verdict.value for decision in decide(fragments, end=end, within=within)]


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_fragment_that_names_our_contact_is_ours() -> None:
    assert verdicts(fragment(0, OURS)) == ["OURS"]


def test_a_fragment_that_names_another_contact_is_not() -> None:
    assert verdicts(fragment(0, OTHER), fragment(1, OURS), fragment(2, OTHER)) == ["OTHER", "OURS", "OTHER"]


def test_a_fragment_that_names_two_contacts_is_nobodys() -> None:
    assert verdicts(fragment(0, OURS, OTHER), fragment(1, OTHER, OURS)) == ["CONTRADICTORY", "CONTRADICTORY"]


def test_names_are_compared_as_they_are() -> None:
    assert verdicts(fragment(0, OURS.upper()), fragment(1, f"{OURS} ")) == ["OTHER", "OTHER"]


def bounds(first: int | None = None, until: int | None = None) -> StreamingBounds:
    """The bounds at the fragments of these counts."""
    numbers = [None if each is None else int(fragment(each).number or 0) for each in (first, until)]
    return StreamingBounds(first=numbers[0], until=numbers[1])


def test_of_the_same_contact_nothing_is_admitted_from_the_first_fragment_of_its_next_streaming_on() -> None:
    log = [fragment(0, OURS), fragment(1, OURS), fragment(2, OURS), fragment(3, OURS, at_ms=0)]

    assert verdicts(*log, within=bounds(until=2)) == ["OURS", "OURS", "OTHER_STREAMING", "OTHER_STREAMING"]


def test_an_unlabelled_fragment_of_the_next_streaming_is_not_admitted_either() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, OURS)]

    assert verdicts(*log, within=bounds(until=1)) == ["OURS", "UNDECIDABLE", "OTHER_STREAMING"]
    assert verdicts(*log[:2], within=bounds(until=1)) == ["OURS", "UNDECIDABLE"]


def test_of_the_same_contact_nothing_is_admitted_before_the_first_fragment_of_its_streaming() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, OURS)]

    assert verdicts(*log, within=bounds(first=2)) == ["OTHER_STREAMING", "UNLABELLED_ELSEWHERE", "OURS"]
    assert verdicts(*log, within=NOT_BEGUN) == ["OTHER_STREAMING", "UNLABELLED_ELSEWHERE", "OTHER_STREAMING"]


def test_a_fragment_without_a_number_lies_before_every_bound() -> None:
    nameless = replace(fragment(0, OURS), number=None)

    assert verdicts(nameless, within=bounds(first=0)) == ["OTHER_STREAMING"]
    assert verdicts(nameless, within=bounds(until=0)) == ["OURS"]


def test_that_the_next_streaming_has_begun_may_become_known_later() -> None:
    admission = Admission(OURS)
    admission.add(fragment(0, OURS))
    admission.keep_within(bounds(until=2))

    assert [admission.add(fragment(index, OURS))[0].verdict.value for index in (1, 2)] == ["OURS", "OTHER_STREAMING"]


# --- neighbours ------------------------------------------------------------------------------------------------------


def test_an_unlabelled_fragment_between_ours_is_ours_however_long_the_pauses() -> None:
    log = [fragment(0, OURS), fragment(1, at_ms=60_000), fragment(2), fragment(3, OURS, at_ms=120_000)]

    assert verdicts(*log) == ["OURS", "OURS_BY_NEIGHBOURS", "OURS_BY_NEIGHBOURS", "OURS"]


def test_it_waits_for_its_right_neighbour() -> None:
    admission = Admission(OURS)
    admission.add(fragment(0, OURS))

    assert admission.add(fragment(1)) == []
    assert admission.undecided == 1
    assert [decision.fragment.number for decision in admission.add(fragment(2, OURS))] == [
        fragment(1).number,
        fragment(2).number,
    ]
    assert admission.undecided == 0


def test_an_unlabelled_fragment_before_ours_is_a_strangers() -> None:
    assert verdicts(fragment(0), fragment(1, OURS)) == ["UNLABELLED_ELSEWHERE", "OURS"]
    assert verdicts(fragment(0, OTHER), fragment(1), fragment(2, OURS)) == ["OTHER", "UNLABELLED_ELSEWHERE", "OURS"]


def test_a_contradictory_left_neighbour_is_not_ours() -> None:
    assert verdicts(fragment(0, OURS), fragment(1, OURS, OTHER), fragment(2), fragment(3, OURS)) == [
        "OURS",
        "CONTRADICTORY",
        "UNLABELLED_ELSEWHERE",
        "OURS",
    ]


def test_an_unlabelled_fragment_without_audio_is_nobodys() -> None:
    assert verdicts(fragment(0, blocks=()), fragment(1, OURS), fragment(2, blocks=())) == [
        "NO_AUDIO",
        "OURS",
        "NO_AUDIO",
    ]


@pytest.mark.parametrize(
    ("counters", "verdict"),
    [
        ((50, 51, 52), "OURS_BY_NEIGHBOURS"),
        ((50, 60, 70), "OURS_BY_NEIGHBOURS"),  # fragments are missing on both sides
        ((50, 52, 51), "OURS_BY_NEIGHBOURS"),  # two have changed places
        ((50, 49, 51), "OURS_BY_NEIGHBOURS"),
        ((50, 1, 2), "OURS_BY_NEIGHBOURS"),  # our producer has begun a new session
        ((50, 900, 901), "OURS_BY_NEIGHBOURS"),
        ((50, 51, 2), "OURS_BY_NEIGHBOURS"),
        ((50, 900, 51), "UNDECIDABLE"),
        ((50, 1, 51), "UNDECIDABLE"),
        ((50, 30, 2), "UNDECIDABLE"),
    ],
)
def test_between_ours_a_fragment_of_another_session_is_not_ours(counters: tuple[int, int, int], verdict: str) -> None:
    left, between, right = counters
    log = [fragment(left, OURS, at_ms=0), fragment(between, at_ms=1024), fragment(right, OURS, at_ms=2048)]

    assert verdicts(*log) == ["OURS", verdict, "OURS"]


def test_between_ours_a_number_without_a_count_is_no_evidence() -> None:
    log = [fragment(0, OURS), replace(fragment(1), number="7"), fragment(2, OURS)]

    assert verdicts(*log) == ["OURS", "OURS_BY_NEIGHBOURS", "OURS"]
    assert verdicts(replace(log[0], number=None), fragment(900, at_ms=1024), log[2])[1] == "OURS_BY_NEIGHBOURS"


# --- the end of the call ---------------------------------------------------------------------------------------------

# The first fragment ends at 1024 ms.


@pytest.mark.parametrize(
    ("at_ms", "verdict"),
    [
        (1024, "OURS_BY_NEIGHBOURS"),
        (1024 + 2000, "OURS_BY_NEIGHBOURS"),
        (1024 + 2001, "UNDECIDABLE"),
        (1024 - 2000, "OURS_BY_NEIGHBOURS"),
        (1024 - 2001, "UNDECIDABLE"),
    ],
)
def test_the_last_fragments_are_ours_without_a_name_while_time_runs_on(at_ms: int, verdict: str) -> None:
    assert verdicts(fragment(0, OURS), fragment(1, at_ms=at_ms)) == ["OURS", verdict]


@pytest.mark.parametrize(
    ("counter", "verdict"),
    [(1, "OURS_BY_NEIGHBOURS"), (2, "UNDECIDABLE"), (0, "UNDECIDABLE"), (1000, "UNDECIDABLE")],
)
@pytest.mark.parametrize("end", [StreamEnd.SILENT, StreamEnd.END_OF_INPUT])
def test_the_last_fragments_are_ours_without_a_name_while_the_producer_counts_on(
    counter: int, verdict: str, end: StreamEnd
) -> None:
    assert verdicts(fragment(0, OURS), fragment(counter, at_ms=1024), end=end) == ["OURS", verdict]


@pytest.mark.parametrize("number", [None, "1", "7" * 48, "9" * 5000, "abc", str(1 << 157 | 1 << 92)])
def test_a_last_fragment_whose_number_shows_no_count_is_not_ours_without_a_name(number: str | None) -> None:
    last = replace(fragment(1), number=number)

    assert verdicts(fragment(0, OURS), last) == ["OURS", "UNDECIDABLE"]
    assert verdicts(replace(fragment(0, OURS), number=number), fragment(1)) == ["OURS", "UNDECIDABLE"]


def test_where_nothing_is_known_of_what_follows_the_last_fragments_are_not_ours_without_a_name() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, blocks=()), fragment(3)]

    assert verdicts(*log, end=StreamEnd.UNREAD) == ["OURS", "UNDECIDABLE", "NO_AUDIO", "UNDECIDABLE"]


def test_a_fragment_without_audio_is_counted_by_the_producer_too() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, blocks=()), fragment(3)]

    assert verdicts(*log) == ["OURS", "OURS_BY_NEIGHBOURS", "NO_AUDIO", "OURS_BY_NEIGHBOURS"]
    assert verdicts(log[0], log[1], log[3]) == ["OURS", "UNDECIDABLE", "UNDECIDABLE"]


def test_the_fragments_before_one_of_another_session_are_ours_only_where_time_separates_them_from_it() -> None:
    log = [fragment(0, OURS), fragment(1)]

    assert verdicts(*log, fragment(900, at_ms=2048)) == ["OURS", "UNDECIDABLE", "UNDECIDABLE"]
    assert verdicts(*log, fragment(900, at_ms=4049)) == ["OURS", "OURS_BY_NEIGHBOURS", "UNDECIDABLE"]


def test_the_fragments_before_a_cut_one_are_ours_only_in_a_capture_which_may_end_anywhere() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, completion=Completion.TRUNCATED)]

    assert verdicts(*log, end=StreamEnd.END_OF_INPUT) == ["OURS", "OURS_BY_NEIGHBOURS", "UNDECIDABLE"]
    assert verdicts(*log, end=StreamEnd.SILENT) == ["OURS", "UNDECIDABLE", "UNDECIDABLE"]


def test_once_time_does_not_run_on_nothing_behind_is_ours() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, at_ms=9000), fragment(3, at_ms=2048)]

    assert verdicts(*log) == ["OURS", "OURS_BY_NEIGHBOURS", "UNDECIDABLE", "UNDECIDABLE"]


def test_a_fragment_without_audio_does_not_break_the_run() -> None:
    log = [fragment(0, OURS), fragment(1, at_ms=99_000, blocks=()), fragment(2, at_ms=1024)]

    assert verdicts(*log) == ["OURS", "NO_AUDIO", "OURS_BY_NEIGHBOURS"]


def test_the_call_may_end_before_any_of_ours() -> None:
    assert verdicts() == []
    assert verdicts(fragment(0)) == ["UNLABELLED_ELSEWHERE"]


@pytest.mark.parametrize(
    ("other_at_ms", "verdict"),
    [(2048, "UNDECIDABLE"), (2048 + 2000, "UNDECIDABLE"), (2048 + 2001, "OURS_BY_NEIGHBOURS")],
)
def test_what_runs_on_into_another_contact_as_well_could_be_either_s(other_at_ms: int, verdict: str) -> None:
    assert verdicts(fragment(0, OURS), fragment(1), fragment(2, OTHER, at_ms=other_at_ms)) == ["OURS", verdict, "OTHER"]


def test_with_a_break_among_the_unlabelled_those_before_it_are_ours() -> None:
    log = [fragment(0, OURS), fragment(1), fragment(2, at_ms=10_000), fragment(3, OTHER, at_ms=11_024)]

    assert verdicts(*log) == ["OURS", "OURS_BY_NEIGHBOURS", "UNDECIDABLE", "OTHER"]


def test_another_contact_without_any_time_leaves_it_undecidable() -> None:
    other = replace(fragment(2, OTHER, blocks=()), producer_timestamp_ms=None)

    assert verdicts(fragment(0, OURS), fragment(1), other) == ["OURS", "UNDECIDABLE", "OTHER"]


def test_another_contact_s_time_is_told_by_its_producer_timestamp_where_it_has_no_blocks() -> None:
    assert verdicts(fragment(0, OURS), fragment(1), fragment(2, OTHER, at_ms=9000, blocks=())) == [
        "OURS",
        "OURS_BY_NEIGHBOURS",
        "OTHER",
    ]


@pytest.mark.parametrize("completion", [Completion.TRUNCATED, Completion.END_OF_BODY])
@pytest.mark.parametrize("behind", [(), (fragment(2, OTHER, at_ms=30_000),)])
def test_what_may_have_lost_a_name_with_its_end_is_not_ours_by_running_on(
    completion: Completion, behind: tuple[Fragment, ...]
) -> None:
    assert verdicts(fragment(0, OURS), fragment(1, completion=completion), *behind)[1] == "UNDECIDABLE"


def test_a_cut_fragment_between_ours_is_ours() -> None:
    assert verdicts(fragment(0, OURS), fragment(1, completion=Completion.TRUNCATED), fragment(2, OURS)) == [
        "OURS",
        "OURS_BY_NEIGHBOURS",
        "OURS",
    ]


# --- state and bounds ------------------------------------------------------------------------------------------------


def test_each_decision_tells_the_state_after_it() -> None:
    states = [decision.state for decision in decide([fragment(0, OURS), fragment(1), fragment(2, OTHER, at_ms=9000)])]

    assert states == [
        AdmissionState(label=Label.OURS, end_ms=START_MS + 1024, session=ProducerSession(first=0, last=0)),
        AdmissionState(label=Label.OURS, end_ms=START_MS + 2048, session=ProducerSession(first=0, last=1)),
        AdmissionState(label=Label.OTHER, end_ms=START_MS + 2048, session=ProducerSession(first=0, last=1)),
    ]


@pytest.mark.parametrize("leap_ms", [-60_000, -2_500, 2_500, 60_000])
@pytest.mark.parametrize("between", [0, 1, 3])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_last_unlabelled_fragment_is_ours_although_a_fragment_before_it_leaped(
    leap_ms: int,
    between: int,
    labelled: bool,  # noqa: FBT001 - drawn
) -> None:
    names = (OURS,) if labelled else ()
    middle = [fragment(index, *names) for index in range(2, 2 + between)]
    log = [fragment(0, OURS), fragment(1, OURS, at_ms=1024 + leap_ms), *middle, fragment(2 + between)]

    assert set(verdicts(*log)) <= {"OURS", "OURS_BY_NEIGHBOURS"}


@pytest.mark.parametrize("leap_ms", [-60_000, 60_000])
def test_behind_a_fragment_that_leaped_alone_the_end_is_where_the_audio_goes_on(leap_ms: int) -> None:
    log = [fragment(0, OURS), fragment(1, OURS, at_ms=1024 + leap_ms), fragment(2, OURS), fragment(3)]
    states = [decision.state for decision in decide([*log, fragment(4, OTHER, at_ms=9_000)])]

    assert [state.end_ms for state in states[2:4]] == [START_MS + 3 * 1024, START_MS + 4 * 1024]
    assert [state.other_end_ms for state in states[2:4]] == [None, None]


@pytest.mark.parametrize("leap_ms", [-60_000, 60_000])
@pytest.mark.parametrize("apart_ms", [-2_001, 2_001])
def test_a_last_unlabelled_fragment_near_neither_place_is_not_ours(leap_ms: int, apart_ms: int) -> None:
    log = [fragment(0, OURS), fragment(1, OURS, at_ms=1024 + leap_ms)]

    # Audio that comes again lies back, too, and is no audio behind the end.
    for end in (2048 if leap_ms > 0 else 1024, 2048 + leap_ms):
        assert verdicts(*log, fragment(2, at_ms=end + apart_ms))[-1] == "UNDECIDABLE"
        assert verdicts(*log, fragment(2, at_ms=end + apart_ms // 2))[-1] == "OURS_BY_NEIGHBOURS"
        # Another session's counter shows that it is not.
        assert verdicts(*log, fragment(90, at_ms=end))[-1] == "UNDECIDABLE"


def test_audio_that_comes_again_does_not_move_the_end_back() -> None:
    assert decide([fragment(1, OURS), fragment(2, OURS, at_ms=0)])[-1].state.end_ms == START_MS + 2048


_LABELS = st.sampled_from(((OURS,), (OTHER,), (), (), (OURS, OTHER)))
_ENDS = st.sampled_from(StreamEnd)


@st.composite
def logs(draw: st.DrawFn) -> list[Fragment]:
    """Fragments of any label, with pauses and steps back, jumps of the counter, cut ones, and ones without audio."""
    log, at_ms, counter = [], 0, 1
    for _ in range(draw(st.integers(0, 8))):
        at_ms += 1024 + draw(st.sampled_from((0, 0, 0, 500, 5000, -1024)))
        counter += draw(st.sampled_from((1, 1, 1, 1, 2, 0, -1, 1000, -1000)))
        each = fragment(
            max(counter, 0),
            *draw(_LABELS),
            at_ms=at_ms,
            blocks=draw(st.sampled_from((None, None, None, ()))),
            completion=draw(st.sampled_from((Completion.TOKEN, Completion.TOKEN, Completion.TRUNCATED))),
        )
        log.append(each if draw(st.integers(0, 5)) else replace(each, number="7"))
    return log


@settings(max_examples=examples(500))
@given(logs(), _ENDS, st.integers(0, 8))
def test_from_any_decision_s_state_the_rest_is_decided_alike(log: list[Fragment], end: StreamEnd, at: int) -> None:
    decisions = decide(log, end=end)
    at = min(at, len(decisions))

    admission = Admission(OURS, decisions[at - 1].state if at else None)
    rest = [decision for each in log[at:] for decision in admission.add(each)] + admission.end(end)

    assert rest == decisions[at:]
    assert [decision.fragment for decision in decisions] == log


def test_what_waits_is_bounded_and_the_oldest_is_dropped_first() -> None:
    admission = Admission(OURS)
    admission.add(fragment(0, OURS))
    size = MAX_UNDECIDED_BYTES // 4
    waiting = [fragment(index, held_bytes=size) for index in range(1, 5)]
    assert [admission.add(each) for each in waiting] == [[], [], [], []]

    dropped = admission.add(fragment(5, held_bytes=2 * size))

    assert [decision.verdict for decision in dropped] == [Verdict.UNDECIDABLE] * 2
    assert [decision.fragment for decision in dropped] == waiting[:2]
    assert admission.undecided == 3


def test_a_fragment_that_is_larger_than_the_bound_waits_alone() -> None:
    admission = Admission(OURS)
    admission.add(fragment(0, OURS))
    admission.add(fragment(1))

    assert len(admission.add(fragment(2, held_bytes=2 * MAX_UNDECIDED_BYTES))) == 1
    assert admission.undecided == 1


def test_for_captures_without_names_unlabelled_fragments_are_ours_where_that_is_wanted() -> None:
    admission = Admission(OURS, accept_unlabelled=True)

    assert [admission.add(each)[0].verdict.value for each in (fragment(0), fragment(1, OTHER), fragment(2))] == [
        "OURS_BY_NEIGHBOURS",
        "OTHER",
        "OURS_BY_NEIGHBOURS",
    ]


# --- times -----------------------------------------------------------------------------------------------------------


def test_a_fragment_begins_with_its_earliest_block() -> None:
    assert start_ms(fragment(0, blocks=(block(1, 64, b"a"), block(2, 10, b"a")))) == START_MS + 10
    assert start_ms(fragment(0, at_ms=5, blocks=())) == START_MS + 5


def test_a_fragment_ends_one_block_after_its_last_block_began() -> None:
    assert end_ms(fragment(0)) == START_MS + 1024
    assert end_ms(fragment(0, blocks=())) is None
    assert end_ms(fragment(0, blocks=(block(1, 7, b"a"),))) == START_MS + 7


def test_a_skew_between_the_tracks_does_not_count_for_the_length_of_their_blocks() -> None:
    skewed = (block(1, 1300, b"a"), block(2, 0, b"a"))

    assert end_ms(fragment(0, blocks=skewed)) == START_MS + 1300
    longer = (*skewed, block(1, 1320, b"a"), block(2, 20, b"a"))
    assert end_ms(fragment(0, blocks=longer)) == START_MS + 1340


def test_a_hole_inside_a_fragment_does_not_count_for_the_length_of_its_blocks() -> None:
    blocks = (*both_tracks(0, blocks=4), *both_tracks(15_000, blocks=4))

    assert end_ms(fragment(0, blocks=blocks)) == START_MS + 15_256


def leaped(counter: int, index: int, leap_ms: int, *names: str, at_ms: int | None = None) -> Fragment:
    """A fragment in which one block of each party has another time."""
    each = fragment(counter, *names, at_ms=at_ms)
    blocks = list(each.blocks)
    for at in (2 * index, 2 * index + 1):
        blocks[at] = blocks[at]._replace(time_ns=blocks[at].time_ns + leap_ms * 1_000_000)
    return replace(each, blocks=tuple(blocks))


@pytest.mark.parametrize("index", [1, 7, 14])
@pytest.mark.parametrize("leap_ms", [-60_000, -300, 2_500, 60_000])
def test_a_block_that_leaps_between_its_neighbours_moves_neither_begin_nor_end(index: int, leap_ms: int) -> None:
    one = leaped(1, index, leap_ms, OURS)
    assert (start_ms(one), end_ms(one)) == (START_MS + 1024, START_MS + 2048)

    log = [fragment(0, OURS), one, leaped(2, index, leap_ms), fragment(3)]
    assert verdicts(*log) == ["OURS", "OURS", "OURS_BY_NEIGHBOURS", "OURS_BY_NEIGHBOURS"]


@pytest.mark.parametrize("leap_ms", [2_500, 60_000])
def test_behind_a_stray_last_block_the_audio_goes_on_at_either_end(leap_ms: int) -> None:
    one = leaped(1, 15, leap_ms, OURS)
    assert end_ms(one) == START_MS + 1024 + 960

    begins = (2048, 2048 + leap_ms)
    found = [verdicts(fragment(0, OURS), one, fragment(2, at_ms=at_ms))[-1] for at_ms in begins]
    assert found == ["OURS_BY_NEIGHBOURS"] * 2
    assert verdicts(fragment(0, OURS), one, fragment(2, at_ms=2048 + leap_ms + 2_001))[-1] == "UNDECIDABLE"
    assert verdicts(fragment(0, OURS), leaped(1, 15, leap_ms), fragment(2))[-2:] == ["OURS_BY_NEIGHBOURS"] * 2


@pytest.mark.parametrize("leap_ms", [-60_000, -2_500])
def test_an_unlabelled_fragment_with_a_stray_first_block_runs_on_with_the_others(leap_ms: int) -> None:
    one = leaped(1, 0, leap_ms)
    assert start_ms(one) == START_MS + 1024 + 64
    assert verdicts(fragment(0, OURS), one)[-1] == "OURS_BY_NEIGHBOURS"
    # Or the first block runs on, and the others come behind a pause.
    assert verdicts(fragment(0, OURS), leaped(1, 0, leap_ms, at_ms=1024 - leap_ms))[-1] == "OURS_BY_NEIGHBOURS"


def test_another_contact_whose_first_block_strays_may_begin_there() -> None:
    log = [fragment(0, OURS), fragment(1)]
    assert verdicts(*log, fragment(2, OTHER, at_ms=9_000))[1] == "OURS_BY_NEIGHBOURS"
    assert verdicts(*log, leaped(2, 0, -6_000, OTHER, at_ms=9_000))[1] == "UNDECIDABLE"


# --- the privacy rule ------------------------------------------------------------------------------------------------


@settings(max_examples=examples(500))
@given(logs(), st.sampled_from((None, *StreamEnd)))
def test_nothing_is_admitted_that_has_not_ours_to_its_left(log: list[Fragment], end: StreamEnd | None) -> None:
    last: tuple[str, ...] = ()
    for decision in decide(log, end=end):
        last = decision.fragment.contact_ids or last
        if decision.verdict.admitted:
            assert last == (OURS,)


@settings(max_examples=examples(500))
@given(
    st.integers(1, 40),
    st.integers(0, 3),
    st.integers(1, 5),
    st.sampled_from((0, 50, 1999, 2001, 60_000)),
    st.sampled_from((1, 2, 9, 1000, -1000, 1 << 40)),
    st.sampled_from((None, *StreamEnd)),
    st.sampled_from((None, OTHER, OURS)),
)
def test_no_unlabelled_fragment_of_another_session_is_ever_admitted(
    labelled: int,
    unlabelled: int,
    strangers: int,
    pause_ms: int,
    jump: int,
    end: StreamEnd | None,
    behind: str | None,
) -> None:
    """Our call, its unlabelled end, and fragments of another producer session that name nobody."""
    ours = [
        fragment(2000 + index, *((OURS,) if index < labelled else ()), at_ms=1024 * index)
        for index in range(labelled + unlabelled)
    ]
    first = labelled + unlabelled
    counter = 2000 + first + jump
    theirs = [fragment(counter + index, at_ms=1024 * (first + index) + pause_ms) for index in range(strangers)]
    log = [*ours, *theirs]
    if behind is not None:
        log.append(
            fragment(
                counter + strangers if behind == OTHER else 2000 + first,
                behind,
                at_ms=1024 * (first + strangers) + pause_ms,
            )
        )
    admitted = {decision.fragment.number for decision in decide(log, end=end) if decision.verdict.admitted}

    far = abs(jump) > 8
    if behind != OURS or far:
        assert not admitted & {each.number for each in theirs}
