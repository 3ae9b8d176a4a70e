"""The fragments of a call that is over, by a listing alone."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio.ports import ListedFragment
from connect_audio.recorder.archived_call import (
    QUIET_MS,
    fragments_of_call,
    settled_fragments_of_call,
    unbroken_runs,
)
from support.clock import FakeClock

START_MS = 1_782_912_654_536
HOUR_MS = 3_600_000


class Listing:
    """A listing of fragments of a second each, which notes what it is asked."""

    def __init__(self, *begins_s: float) -> None:
        self._listed = [
            ListedFragment(str(100 + at), START_MS + round(begin_s * 1000), 0, 1000, 1)
            for at, begin_s in enumerate(begins_s)
        ]
        self.asked: list[tuple[int, int]] = []

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        self.asked.append((from_ms, to_ms))
        return [each for each in self._listed if from_ms <= each.producer_ms <= to_ms]


def begins_of(listing: Listing, now_ms: int = START_MS + 100 * HOUR_MS) -> list[float]:
    """When the found fragments begin, s after the call's start."""
    return [(each.producer_ms - START_MS) / 1000 for each in fragments_of_call(listing, START_MS, now_ms)]


def test_the_listing_begins_five_seconds_early_and_ends_with_a_window_that_ends_in_silence() -> None:
    listing = Listing(-5, 0, 1, 2)
    assert begins_of(listing) == [-5, 0, 1, 2]
    assert listing.asked == [(START_MS - 5000, START_MS - 5000 + HOUR_MS)]


def test_a_silence_of_ten_minutes_ends_the_call_and_a_shorter_one_does_not() -> None:
    quiet_s = QUIET_MS / 1000
    assert begins_of(Listing(0, 1 + quiet_s, 3 + quiet_s)) == [0]
    assert begins_of(Listing(0, quiet_s, 3 + quiet_s)) == [0, quiet_s, 3 + quiet_s]


def test_a_call_of_hours_is_listed_hour_by_hour_without_a_hole_between_the_windows() -> None:
    begins = [float(second) for second in range(0, 3 * 3600, 30)]
    listing = Listing(*begins)
    assert begins_of(listing) == begins
    assert len(listing.asked) == 4
    assert all(later[0] == earlier[1] + 1 for earlier, later in zip(listing.asked, listing.asked[1:], strict=False))


def test_a_stream_without_audio_near_the_start_has_no_call() -> None:
    assert begins_of(Listing(700, 701)) == []
    assert begins_of(Listing()) == []


def test_nothing_is_listed_behind_now_and_behind_48_hours() -> None:
    listing = Listing(*(float(second) for second in range(0, 60 * 3600, 300)))
    begins_of(listing, START_MS + HOUR_MS)
    assert len(listing.asked) == 2
    assert begins_of(listing)[-1] < 50 * 3600


def test_numbers_are_ordered_as_integers_whatever_the_times() -> None:
    listing = Listing(0, 2, 1)
    assert [each.number for each in fragments_of_call(listing, START_MS, START_MS + HOUR_MS)] == ["100", "101", "102"]


# --- a listing that is not yet whole ---------------------------------------------------------------------------------


class SlowListing(Listing):
    """A listing that lacks some numbers in its first answers."""

    def __init__(self, *begins_s: float, late: dict[str, int]) -> None:
        super().__init__(*begins_s)
        self._late = late

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        found = super().fragments(from_ms, to_ms)
        return [each for each in found if len(self.asked) > self._late.get(each.number, 0)]


def test_a_hole_is_listed_once_more_and_both_answers_count() -> None:
    listing, clock = SlowListing(0, 1.024, 2.048, 3, late={"101": 1}), FakeClock(START_MS + HOUR_MS)
    found = settled_fragments_of_call(listing, START_MS, clock)
    assert [each.number for each in found] == ["100", "101", "102", "103"]
    assert clock.slept == []


def test_a_listing_without_a_hole_is_asked_for_once() -> None:
    listing = Listing(0, 1, 2)
    settled_fragments_of_call(listing, START_MS, FakeClock(START_MS + HOUR_MS))
    assert len(listing.asked) == 1


def test_a_call_that_is_not_listed_at_all_is_asked_for_again() -> None:
    listing = SlowListing(0, 1, late={"100": 1, "101": 1})
    assert len(settled_fragments_of_call(listing, START_MS, FakeClock(START_MS + HOUR_MS))) == 2


def test_the_second_question_waits_until_the_newest_fragment_is_five_seconds_old() -> None:
    listing, clock = SlowListing(0, 1.024, 2.048, 3, late={"101": 1}), FakeClock(START_MS + 6500)
    assert len(settled_fragments_of_call(listing, START_MS, clock)) == 4
    # The last one ends 4 s after the start.
    assert clock.slept == [2.5]


def test_the_wait_is_five_seconds_at_most() -> None:
    clock = FakeClock(START_MS - HOUR_MS)
    settled_fragments_of_call(Listing(), START_MS, clock)
    assert clock.slept == [5.0]


def listed(counter: int, begin_ms: int) -> ListedFragment:
    """A fragment with the number of a producer that counts."""
    begin_ms += START_MS
    return ListedFragment(str(1 << 156 | counter << 92 | begin_ms << 28), begin_ms, begin_ms, 1000, 1)


def test_a_listing_is_cut_where_more_than_two_seconds_lie_between_two_starts() -> None:
    one, two, three = listed(1, 0), listed(2, 2000), listed(3, 4001)
    assert unbroken_runs([one, two, three]) == [[one, two], [three]]
    assert unbroken_runs([]) == []


def test_a_listing_is_cut_where_the_producer_counts_anew() -> None:
    # A number's counter stands before its time, so the order of the numbers is not the argument's here.
    one, two = listed(7, 0), listed(1, 1000)
    assert unbroken_runs([one, two]) == [[one], [two]]
    assert unbroken_runs([listed(7, 0), listed(8, 1000)]) == [[listed(7, 0), listed(8, 1000)]]
