"""The fragments of a call that is over, by a listing alone."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio.ports import ListedFragment
from connect_audio.recorder.archived_call import QUIET_MS, fragments_of_call

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
