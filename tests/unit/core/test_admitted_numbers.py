"""Numbers of admitted fragments as ranges: what was admitted before, and what is missing in between."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.admitted_numbers import MAX_RANGES, AdmittedNumbers, NumberRange
from connect_audio.core.fragment import missing_between
from connect_audio_local.synthesis.calls import fragment_number


def number(counter: int) -> str:
    return fragment_number(counter, 1_782_912_654_536 + 1024 * counter)


def numbers(*counters: int) -> AdmittedNumbers:
    made = AdmittedNumbers()
    for counter in counters:
        made.add(number(counter))
    return made


@pytest.mark.parametrize(
    ("before", "after", "missing"),
    [
        (fragment_number(5, 1), fragment_number(6, 2), 0),
        (fragment_number(5, 1), fragment_number(9, 2), 3),
        (fragment_number(5, 1), fragment_number(5, 2), None),
        (fragment_number(9, 1), fragment_number(5, 2), None),
        ("7", fragment_number(5, 2), None),
        (fragment_number(5, 1), None, None),
        (None, None, None),
    ],
)
def test_fragment_numbers_tell_how_many_are_missing_between_them(
    before: str | None, after: str | None, missing: int | None
) -> None:
    assert missing_between(before, after) == AdmittedNumbers().missing_between(before, after) == missing


def test_a_call_is_one_range() -> None:
    assert numbers(*range(1, 500)).ranges == (NumberRange(number(1), number(499)),)


@pytest.mark.parametrize("order", list(permutations((4, 5, 6, 7))))
def test_in_any_order_fragments_that_follow_each_other_are_one_range(order: tuple[int, ...]) -> None:
    assert numbers(*order).ranges == (NumberRange(number(4), number(7)),)


def test_a_number_that_was_admitted_before_is_known() -> None:
    admitted = numbers(1, 2, 3, 7)

    assert [admitted.add(number(counter)) for counter in (2, 5, 5, 7)] == [True, False, True, True]


def test_a_number_was_admitted_before_although_the_server_s_clock_went_back() -> None:
    first, second = fragment_number(4, 2000), fragment_number(5, 1000)
    admitted = AdmittedNumbers()

    assert [admitted.add(each) for each in (first, second, second, first)] == [False, False, True, True]


@given(clock_ms=st.lists(st.integers(1_000, 1_000 + 30_000), min_size=1, max_size=12), order=st.permutations(range(12)))
def test_each_number_was_admitted_before_however_the_server_s_clock_went(clock_ms: list[int], order: list[int]) -> None:
    admitted = AdmittedNumbers()
    log = [fragment_number(100 + counter, clock_ms[counter]) for counter in order if counter < len(clock_ms)]

    assert not any(admitted.add(each) for each in log)
    again = AdmittedNumbers(admitted.ranges)
    assert all(again.add(each) for each in log)
    assert not again.holds(fragment_number(100, max(clock_ms) + 60_000))
    assert not again.holds(fragment_number(100 + len(clock_ms), clock_ms[0]))


def test_a_step_back_of_the_server_s_clock_costs_no_range() -> None:
    admitted = AdmittedNumbers()
    log = [fragment_number(counter, 100_000 + 1024 * counter - 2_000 * (counter % 7)) for counter in range(500)]

    assert not any(admitted.add(each) for each in log)
    assert len(admitted.ranges) == 1
    assert all(admitted.add(each) for each in log)


def test_a_number_of_another_session_with_the_same_count_was_not_admitted() -> None:
    admitted = numbers(1, 2, 3)

    assert not admitted.add(fragment_number(2, 1_999_999_999_999))


def test_numbers_of_another_form_are_known_one_by_one() -> None:
    admitted = AdmittedNumbers()

    assert [admitted.add(each) for each in ("7", "8", "7", None, None)] == [False, False, True, False, False]
    assert admitted.ranges == (NumberRange("8", "8"), NumberRange("7", "7")) or len(admitted.ranges) == 2


def test_fragments_that_were_admitted_in_between_are_not_missing() -> None:
    assert numbers(1, 2, 3, 4, 8).missing_between(number(1), number(8)) == 3
    assert numbers(1, 4, 8).missing_between(number(1), number(8)) == 5
    assert numbers(1, 3, 2).missing_between(number(1), number(3)) == 0


def test_between_fragments_whose_times_are_swapped_only_what_was_not_admitted_is_missing() -> None:
    # Audio of the later number stands in front: the silence between lacks none of the numbers that were admitted.
    assert numbers(1, 2, 3, 4).missing_between(number(3), number(2)) == 0
    assert numbers(1, 2, 3, 5).missing_between(number(5), number(2)) == 1
    assert numbers(1, 2, 3).missing_between(number(3), number(3)) is None


def test_a_lower_count_later_by_the_server_s_clock_is_another_session_s() -> None:
    other = fragment_number(2, 1_782_912_654_536 + 60_000)

    assert numbers(1, 2, 3).missing_between(number(3), other) is None


def test_ranges_are_bounded_and_the_oldest_goes_first() -> None:
    admitted = numbers(*range(1, 4 * MAX_RANGES, 2))

    assert len(admitted.ranges) == MAX_RANGES
    assert not admitted.add(number(1))


@given(st.lists(st.integers(1, 12), max_size=20))
def test_ranges_say_what_a_set_of_numbers_would(counters: list[int]) -> None:
    admitted, known = AdmittedNumbers(), set[int]()
    for counter in counters:
        assert admitted.add(number(counter)) is (counter in known)
        known.add(counter)
        again = AdmittedNumbers(admitted.ranges)
        for other in range(counter + 1, 13):
            missing = len(set(range(counter + 1, other)) - known)
            assert again.missing_between(number(counter), number(other)) == missing


@pytest.mark.parametrize(
    ("counter", "server_ms", "is_held"),
    [
        (4, 1_000, True),
        (4, 1_001, True),
        (5, 1_000, True),
        (6, 3_000, True),
        (6, 2_999, True),
        (6, 3_001, False),
        (4, 999, False),
        (3, 2_000, False),
        (7, 2_000, False),
    ],
)
def test_a_range_holds_its_counters_at_its_times(counter: int, server_ms: int, is_held: bool) -> None:  # noqa: FBT001
    admitted = AdmittedNumbers((NumberRange(fragment_number(4, 1_000), fragment_number(6, 3_000)),))

    assert admitted.holds(fragment_number(counter, server_ms)) is is_held


@pytest.mark.parametrize(("server_ms", "is_held"), [(500, True), (499, False), (3_500, True), (3_501, False)])
def test_a_range_holds_times_beyond_its_ends_as_far_as_its_clock_went(server_ms: int, is_held: bool) -> None:  # noqa: FBT001
    admitted = AdmittedNumbers((NumberRange(fragment_number(4, 1_000), fragment_number(6, 3_000), beyond_ms=500),))

    assert admitted.holds(fragment_number(5, server_ms)) is is_held


def test_a_range_notes_how_far_the_clock_lies_beyond_its_ends() -> None:
    admitted = AdmittedNumbers()
    for counter, server_ms in ((4, 2_000), (5, 9_000), (6, 3_000)):
        admitted.add(fragment_number(counter, server_ms))

    assert admitted.ranges == (NumberRange(fragment_number(4, 2_000), fragment_number(6, 3_000), beyond_ms=6_000),)


@pytest.mark.parametrize(
    ("before", "after", "missing"),
    [(4, 6, 0), (4, 7, 0), (3, 7, 0), (3, 9, 1), (2, 9, 2), (7, 9, 1), (9, 4, 1), (2, 3, 0)],
)
def test_the_fragments_between_two_that_were_not_admitted_are_missing(before: int, after: int, missing: int) -> None:
    assert numbers(4, 5, 6, 7).missing_between(number(before), number(after)) == missing


def test_a_lower_counter_with_a_later_clock_is_another_session_s() -> None:
    admitted = numbers(4, 5, 6)

    assert admitted.missing_between(fragment_number(9, 5_000), fragment_number(4, 5_001)) is None
    assert admitted.missing_between(fragment_number(9, 5_000), fragment_number(4, 5_000)) is not None


def test_a_number_without_a_counter_is_a_range_of_its_own() -> None:
    admitted = AdmittedNumbers()

    assert [admitted.add(each) for each in ("7", "8", "7", None, "x", "x")] == [False, False, True, False, False, True]
    assert [each.first for each in admitted.ranges] == ["7", "8", "x"]
