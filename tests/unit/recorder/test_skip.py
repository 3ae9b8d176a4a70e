"""The way past a place that no connection can read: tries, probes, one more try, and only then the skip."""

from __future__ import annotations

import pytest

from connect_audio.core.manifest import Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.ports import AfterFragment, FromProducerTime, StartSelector
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.skip import TRIES, Failure, PlaceState, Skip
from support.json_text import through_json

BROKEN = Failure(Reason("IN_BAND_ERROR", "KVS reports 5000 inside the stream: internal service error"))
GONE = Failure(Reason("MEDIA_EXPIRED", "KVS reports 4000 inside the stream: not found"), is_final=True)
LATER_MS = 10**12
PRESENT = FromProducerTime(LATER_MS)


def fail(skip: Skip, times: int = 1, failure: Failure = BROKEN, now_ms: int = LATER_MS) -> list[StartSelector | None]:
    """Fail so often behind fragment 7; return where each next connection begins."""
    selectors = []
    for _ in range(times):
        assert not skip.failed(failure, "7", 0, now_ms)
        if skip.selector == PRESENT:
            skip.ended(0, now_ms)
        selectors.append(skip.selector)
    return selectors


def at_1000() -> Skip:
    skip = Skip()
    skip.came(1000)
    return skip


def skipped() -> Skip:
    """The place failed, a probe found a fragment behind it, and it failed once more."""
    skip = at_1000()
    fail(skip, 3)
    skip.found()
    skip.ended(0, LATER_MS)
    assert skip.failed(BROKEN, "7", 0, LATER_MS)
    return skip


def test_a_place_is_tried_three_times_and_then_probed_behind_in_steps() -> None:
    assert fail(at_1000(), 5) == [None, None, *(FromProducerTime(ms) for ms in (1200, 1400, 1600))]
    assert TRIES == 3


def test_after_five_seconds_the_steps_double() -> None:
    probes = [each.ms for each in fail(Skip(), 31) if isinstance(each, FromProducerTime)]
    assert probes[24:] == [5000, 10_000, 20_000, 40_000, 80_000]


def handed_over(skip: Skip, position: str = "7") -> Skip:
    """The place in the next invocation, which begins to read behind a fragment."""
    place = from_plain(ReadState, through_json(to_plain(ReadState(place=skip.state)))).place
    return Skip(place, position, LATER_MS)


@pytest.mark.parametrize("failures", range(1, 40))
def test_tries_and_probes_go_on_in_the_next_invocation(failures: int) -> None:
    skip = at_1000()
    fail(skip, failures)
    following = handed_over(skip)
    # Its probe at the present shows once more that the stream can be read.
    assert following.selector == skip.selector
    assert following.rounds == skip.rounds
    following.came(1000)
    assert fail(following, 45) == fail(skip, 45)


def test_a_place_behind_which_a_probe_found_a_fragment_is_tried_once_more_in_the_next_invocation() -> None:
    skip = at_1000()
    fail(skip, 4)
    skip.found()
    skip.ended(0, LATER_MS)
    following = handed_over(skip)
    begins = [following.selector]
    assert following.failed(BROKEN, "7", 0, LATER_MS)
    # The fragments before the place come first in the next invocation, so it is tried there, too.
    begins += [following.selector, handed_over(following).selector]
    assert begins == [None, FromProducerTime(1400), None]


@pytest.mark.parametrize("failures", range(3, 40))
def test_probes_go_on_once_the_fragments_before_the_place_have_been_read_again(failures: int) -> None:
    skip = at_1000()
    fail(skip, failures)
    following = handed_over(skip, position="5")
    assert following.state == skip.state
    assert (following.selector, following.is_probing) == (None, False)
    following.came(700)
    following.came(1000)
    fail(following)
    assert following.selector == skip.selector
    assert fail(following, 45) == fail(skip, 45)


def test_a_found_fragment_is_skipped_to_once_the_fragments_before_the_place_have_been_read_again() -> None:
    skip = at_1000()
    fail(skip, 4)
    skip.found()
    skip.ended(0, LATER_MS)
    following = handed_over(skip, position="5")
    following.came(700)
    following.came(1000)
    assert following.selector is None
    assert following.failed(BROKEN, "7", 0, LATER_MS)
    assert following.selector == FromProducerTime(1400)


def test_a_body_that_ends_on_the_way_to_the_place_makes_it_be_tried_anew() -> None:
    skip = at_1000()
    fail(skip, 5)
    following = handed_over(skip, position="5")
    following.ended(0, LATER_MS)
    assert following.state is None
    assert fail(following, 3) == [None, None, FromProducerTime(1200)]


def test_a_failure_on_the_way_to_the_place_is_another_place_s_and_its_probes_begin_there() -> None:
    skip = at_1000()
    fail(skip, 3)
    skip.found()
    skip.ended(0, LATER_MS)
    skip = handed_over(skip, position="5")
    skip.came(700)
    assert not skip.failed(BROKEN, "6", 0, LATER_MS)
    assert skip.state == PlaceState(behind="6", failure=BROKEN, tries=1, newest_end_ms=700)
    assert not skip.failed(BROKEN, "6", 0, LATER_MS)
    assert not skip.failed(BROKEN, "6", 0, LATER_MS)
    skip.ended(0, LATER_MS)
    assert skip.selector == FromProducerTime(900)


def test_what_a_probe_finds_is_skipped_to_only_if_the_place_fails_once_more() -> None:
    skip = at_1000()
    fail(skip, 3)
    assert skip.is_probing
    skip.found()
    skip.ended(0, LATER_MS)
    assert (skip.is_probing, skip.selector) == (False, None)
    assert skip.failed(BROKEN, "7", 0, LATER_MS)
    assert skip.selector == FromProducerTime(1200)
    assert skip.failing is None


def test_a_place_that_can_be_read_again_after_a_probe_is_not_skipped() -> None:
    skip = at_1000()
    fail(skip, 3)
    skip.found()
    skip.ended(0, LATER_MS)
    skip.came(2024)
    assert (skip.selector, skip.failure) == (None, None)
    assert fail(skip, 2) == [None, None]


def test_the_number_that_kvs_names_is_skipped_by_itself_where_it_is_the_next() -> None:
    def number(counter: int) -> str:
        return str(1 << 156 | counter << 92)

    named = Failure(BROKEN.reason, number=number(8))
    skip = at_1000()
    for _ in range(3):
        skip.failed(named, number(7), 0, LATER_MS)
    skip.ended(0, LATER_MS)
    selectors = [skip.selector, not skip.failed(named, number(7), 0, LATER_MS) and skip.selector]
    assert selectors == [AfterFragment(number(8)), FromProducerTime(1200)]
    far = at_1000()
    for _ in range(3):
        far.failed(named, number(6), 0, LATER_MS)
    far.ended(0, LATER_MS)
    assert far.selector == FromProducerTime(1200)


def test_no_probe_begins_beyond_the_present_and_then_the_place_is_tried_anew_twice_as_often() -> None:
    skip = at_1000()
    for _ in range(3):
        skip.failed(BROKEN, "7", 0, 1100)
    skip.ended(0, 1100)
    assert skip.selector == FromProducerTime(1100)
    tries = [not skip.failed(BROKEN, "7", 0, 1100) and skip.selector is None for _ in range(7)]
    assert tries == [True] * 6 + [False]


def test_the_probes_end_at_the_present_although_that_moves_on() -> None:
    skip = at_1000()
    for now_ms in (1300, 1310, 1320):
        skip.failed(BROKEN, "7", 0, now_ms)
    skip.ended(0, 1320)
    probes = []
    for now_ms in range(1330, 1400, 10):
        probes.append(skip.selector)
        skip.failed(BROKEN, "7", 0, now_ms)
    assert probes == [FromProducerTime(1200), FromProducerTime(1330), *[None] * 5]
    assert skip.rounds == 1


def test_another_error_at_the_present_is_another_place_and_the_probes_go_on() -> None:
    skip = at_1000()
    for _ in range(TRIES):
        assert not skip.failed(GONE, "7", 0, LATER_MS)
    assert skip.selector == PRESENT

    assert not skip.failed(BROKEN, "7", 0, LATER_MS)
    assert skip.selector == FromProducerTime(1200)
    assert not skip.failed(BROKEN, "7", 0, LATER_MS)
    assert skip.selector == FromProducerTime(1400)
    skip.found()
    skip.ended(0, LATER_MS)
    assert skip.failed(GONE, "7", 0, LATER_MS)
    assert skip.failing is None


def test_a_place_is_passed_by_the_next_number_although_the_time_before_it_had_leaped() -> None:
    skip = at_1000()
    skip.came(61_000, is_new=True)
    fail(skip, 1)
    assert skip.came(2_000, is_new=True) == BROKEN
    assert skip.failure is None
    assert fail(skip, 3)[-1] == FromProducerTime(2_200)


@pytest.mark.parametrize("code", ["SOURCE_FAILED", "MEDIA_EXPIRED"])
def test_a_connection_that_breaks_at_the_present_shows_a_stream_that_fails(code: str) -> None:
    skip = at_1000()
    for _ in range(TRIES):
        skip.failed(Failure(Reason(code, "one")), "7", 0, LATER_MS)
    skip.failed(Failure(Reason("SOURCE_FAILED", "another")), "7", 0, LATER_MS)

    assert (skip.is_probing, skip.rounds) == (False, 1)


def test_a_stream_that_breaks_at_the_present_too_is_not_probed_any_further() -> None:
    skip, broken = at_1000(), Failure(Reason("SOURCE_FAILED", "reset"))
    for tries in (3, 6, 12, 12):
        for _ in range(tries):
            assert skip.selector is None
            skip.failed(broken, "7", 0, LATER_MS)
        assert skip.selector == PRESENT
        skip.failed(broken, "7", 0, LATER_MS)


def test_the_same_error_at_the_present_is_taken_for_two_places_once_two_rounds_ended_with_it() -> None:
    skip = at_1000()
    for tries in (3, 6, 12):
        for _ in range(tries):
            assert skip.selector is None
            skip.failed(BROKEN, "7", 0, LATER_MS)
        assert skip.selector == PRESENT
        skip.failed(BROKEN, "7", 0, LATER_MS)

    assert skip.selector == FromProducerTime(1200)
    skip.found()
    skip.ended(0, LATER_MS)
    assert skip.failed(BROKEN, "7", 0, LATER_MS)


@pytest.mark.parametrize(("failure", "is_readable"), [(BROKEN, False), (GONE, True)])
def test_a_silent_probe_makes_the_place_the_last_one(failure: Failure, is_readable: bool) -> None:  # noqa: FBT001 - parametrised
    skip = at_1000()
    fail(skip, 3, failure)
    skip.ended(0, LATER_MS)
    fail(skip, 1, failure)
    # KVS will not find it whoever asks, so silence behind it is silence; a failure that may pass leaves a doubt.
    assert (skip.failing is None) is is_readable
    assert skip.failure == failure
    assert skip.rounds == 1


def test_a_probe_that_ends_at_once_shows_nothing_and_two_of_a_round_make_the_place_the_last_one() -> None:
    skip = at_1000()
    fail(skip, 3, GONE)
    skip.ended(0, LATER_MS, waited=False)
    seen = [(skip.selector, skip.failing)]
    fail(skip, 1, GONE)
    seen.append((skip.selector, skip.failing))
    skip.ended(0, LATER_MS, waited=False)
    seen.append((skip.selector, skip.failing))
    assert seen == [(FromProducerTime(1400), GONE), (FromProducerTime(1600), GONE), (None, None)]


def test_more_that_comes_behind_the_last_place_is_found_by_the_next_probes() -> None:
    skip = at_1000()
    fail(skip, 3, GONE)
    skip.ended(0, LATER_MS)
    assert fail(skip, 6, GONE)[-1] == FromProducerTime(1200)
    skip.found()
    skip.ended(0, LATER_MS)
    assert skip.failed(GONE, "7", 0, LATER_MS)


def test_damage_that_the_next_reading_deals_with_is_no_try_but_no_silence_either() -> None:
    skip = at_1000()
    fail(skip, 9, Failure(BROKEN.reason, is_place=False))
    assert skip.selector is None
    assert skip.failing is not None
    skip.ended(0, LATER_MS)
    assert skip.failing is None


def test_only_a_newer_fragment_passes_the_place() -> None:
    skip = skipped()
    for end_ms in (None, 900, 1000):
        skip.came(end_ms)
        assert skip.selector == FromProducerTime(1200)
    skip.came(1300)
    assert skip.selector is None


def test_a_place_that_fails_behind_the_skip_as_well_is_tried_from_the_position_again() -> None:
    skip = skipped()
    assert fail(skip, 3) == [None, None, FromProducerTime(1200)]


def test_a_place_that_was_skipped_before_is_tried_once_and_skipped_again() -> None:
    skip = Skip(None, "5", LATER_MS, {("7", BROKEN.reason): 1400})
    skip.came(700)
    skip.came(1000)
    assert skip.failed(BROKEN, "7", 0, LATER_MS)
    assert (skip.selector, skip.failing) == (FromProducerTime(1400), None)
    skip.came(2000)
    assert (skip.selector, skip.state) == (None, None)


def test_a_place_behind_which_nothing_comes_any_more_is_tried_as_any_other() -> None:
    skip = Skip(None, "5", LATER_MS, {("7", BROKEN.reason): 1400})
    skip.came(1000)
    assert skip.failed(BROKEN, "7", 0, LATER_MS)
    assert fail(skip, 4) == [None, None, FromProducerTime(1200), FromProducerTime(1400)]


def test_another_place_or_failure_than_the_one_that_was_skipped_gets_its_tries() -> None:
    for known in (("6", BROKEN.reason), ("7", GONE.reason)):
        skip = Skip(None, "5", LATER_MS, {known: 1400})
        skip.came(1000)
        assert fail(skip, 3) == [None, None, FromProducerTime(1200)]
