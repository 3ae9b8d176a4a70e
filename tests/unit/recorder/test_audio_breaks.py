"""Where a contact's audio breaks off, so that another streaming of the contact may begin there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.fragments import Completion, Fragment
from connect_audio.recorder.audio_breaks import AudioBreaks, AudioState, Break
from core_support.fragments_by_hand import START_MS, both_tracks, fragment

OURS = "ours"


def breaks(*log: Fragment, state: AudioState | None = None) -> list[tuple[int, int, str] | None]:
    """Per fragment the break before it: end and begin in ms since the first fragment, and the count behind it."""
    found = AudioBreaks(OURS, state or AudioState())
    counts = {int(each.number or 0): index for index, each in enumerate(log)}
    return [
        None if each is None else (each.end_ms - START_MS, each.begin_ms - START_MS, f"fragment {counts[each.number]}")
        for each in map(found.look, log)
    ]


@pytest.mark.parametrize(
    ("at_ms", "is_break"), [(1024, False), (1523, False), (1524, True), (525, False), (524, True), (60_000, True)]
)
def test_a_pause_or_a_step_back_of_half_a_second_is_a_break(at_ms: int, is_break: bool) -> None:  # noqa: FBT001 - parametrised
    found = breaks(fragment(0, OURS), fragment(1, OURS, at_ms=at_ms), fragment(2, OURS, at_ms=at_ms + 1024))
    assert found == [None, (1024, at_ms, "fragment 1") if is_break else None, None]


@pytest.mark.parametrize("counter", [2, 1000])
def test_a_jump_of_the_producer_s_count_is_a_break_whatever_the_time(counter: int) -> None:
    log = [fragment(0, OURS), fragment(counter, OURS, at_ms=1024), fragment(counter + 1, OURS, at_ms=2048)]
    assert breaks(*log) == [None, (1024, 1024, "fragment 1"), None]


@pytest.mark.parametrize(
    ("missing", "pause_ms", "is_break"),
    [(1, 0, False), (1, 100, False), (1, 101, True), (1, -101, True), (3, 0, False), (3, 600, True), (0, 1024, True)],
)
def test_missing_fragments_that_fill_their_hole_are_no_break(
    missing: int,
    pause_ms: int,
    is_break: bool,  # noqa: FBT001 - parametrised
) -> None:
    at_ms = 1024 * (1 + missing) + pause_ms
    found = breaks(fragment(0, OURS), fragment(1 + missing, OURS, at_ms=at_ms))
    assert found == [None, (1024, at_ms, "fragment 1") if is_break else None]


@pytest.mark.parametrize(
    ("blocks", "missing", "pause_ms", "is_break"),
    [(4, 1, 0, False), (4, 3, 0, False), (4, 1, 100, False), (4, 1, 101, True), (4, 2, 600, True), (1, 1, 0, False)],
)
def test_a_short_last_fragment_behind_missing_ones_of_full_length_is_no_break(
    blocks: int,
    missing: int,
    pause_ms: int,
    is_break: bool,  # noqa: FBT001 - parametrised
) -> None:
    at_ms = 1024 * (2 + missing) + pause_ms
    last = fragment(2 + missing, OURS, at_ms=at_ms, blocks=both_tracks(at_ms, blocks=blocks))
    found = breaks(fragment(0, OURS), fragment(1, OURS), last)
    assert found == [None, None, (2048, at_ms, "fragment 2") if is_break else None]


def cut(counter: int, blocks: int) -> Fragment:
    """A fragment of which only the first blocks came."""
    at_ms = 1024 * counter
    return fragment(counter, OURS, blocks=both_tracks(at_ms, blocks=blocks), completion=Completion.TRUNCATED)


@pytest.mark.parametrize(("at_ms", "is_break"), [(3072, False), (3571, False), (3572, True)])
def test_what_a_cut_fragment_lacks_is_no_pause(at_ms: int, is_break: bool) -> None:  # noqa: FBT001 - parametrised
    found = breaks(fragment(0, OURS), fragment(1, OURS), cut(2, blocks=3), fragment(3, OURS, at_ms=at_ms))
    assert found == [None, None, None, (3072, at_ms, "fragment 3") if is_break else None]


def test_a_cut_fragment_tells_no_length_and_the_first_one_behind_a_break_does() -> None:
    log = [
        fragment(0, OURS, blocks=both_tracks(0, blocks=8)),
        fragment(1, OURS, at_ms=60_000),
        replace(cut(2, blocks=3), blocks=both_tracks(61_024, blocks=3)),
        replace(cut(3, blocks=4), blocks=both_tracks(62_048, blocks=4)),
        fragment(4, OURS, at_ms=63_072),
    ]
    assert [each is not None for each in breaks(*log)] == [False, True, False, False, False]


def test_a_short_fragment_behind_a_missing_one_does_not_tell_the_length_of_further_ones() -> None:
    log = [
        fragment(0, OURS),
        fragment(2, OURS, blocks=both_tracks(2048, blocks=4)),
        fragment(4, OURS, at_ms=2304 + 1024, blocks=both_tracks(2304 + 1024, blocks=4)),
    ]
    assert breaks(*log) == [None, None, None]


@pytest.mark.parametrize(("counter", "fits"), [(1, False), (2, True), (3, True)])
def test_a_streaming_whose_first_fragment_is_missing_may_have_begun_where_the_one_before_ended(
    counter: int,
    fits: bool,  # noqa: FBT001 - parametrised
) -> None:
    """By its own audio it began 5.6 s behind its StartTimestamp, by the missing fragment's place 4 s."""
    found = AudioBreaks(OURS, AudioState())
    assert found.look(fragment(0, OURS)) is None
    after = found.look(fragment(counter, OURS, at_ms=2648))
    assert after is not None
    assert after.may_be_start(START_MS + 1024 - 4000) is fits


def test_an_unlabelled_fragment_between_is_no_pause() -> None:
    assert breaks(fragment(0, OURS), fragment(1), fragment(2, OURS)) == [None, None, None]


def test_a_break_before_unlabelled_fragments_is_told_with_the_next_label() -> None:
    log = [fragment(0, OURS), fragment(1, at_ms=4000), fragment(2, at_ms=5024), fragment(3, OURS, at_ms=6048)]
    assert breaks(*log) == [None, None, None, (1024, 4000, "fragment 1")]
    assert breaks(*log[:3], fragment(3, "other", at_ms=6048), fragment(4, OURS, at_ms=7072))[4] == (
        6048,
        7072,
        "fragment 4",
    )


def test_fragments_of_others_and_fragments_without_audio_break_nothing() -> None:
    assert breaks(fragment(0, OURS), fragment(1, OURS, blocks=()), fragment(2, OURS, at_ms=1024)) == [None] * 3
    assert breaks(fragment(0, OURS), fragment(9, "other", at_ms=90_000)) == [None] * 2
    assert breaks(fragment(0), fragment(5, OURS)) == [None] * 2


def test_a_fragment_that_comes_again_breaks_nothing() -> None:
    assert breaks(fragment(5, OURS), fragment(6, OURS), fragment(5, OURS), fragment(7, OURS)) == [None] * 4


def test_from_any_state_the_remaining_breaks_are_found_alike() -> None:
    log = [
        fragment(0, OURS),
        fragment(1, at_ms=4000),
        fragment(2, OURS, at_ms=5024),
        fragment(3, "other", at_ms=6048),
        replace(fragment(4), number=None),
        fragment(900, OURS, at_ms=6048),
        fragment(901, OURS, at_ms=6048),
    ]
    whole = breaks(*log)
    assert sum(each is not None for each in whole) == 3
    for at in range(len(log)):
        before = AudioBreaks(OURS, AudioState())
        for each in log[:at]:
            before.look(each)
        after = AudioBreaks(OURS, before.state)
        again = AudioBreaks(OURS, AudioState())
        assert [after.look(each) for each in log[at:]] == [again.look(each) for each in log][at:]


@pytest.mark.parametrize(
    ("end_ms", "begin_ms", "start_ms", "fits"),
    [
        (20_000, 23_000, 23_000, True),
        (20_000, 23_000, 20_001, True),
        (20_000, 23_000, 18_501, True),  # StartTimestamp's clock is 4.5 s behind
        (20_000, 23_000, 18_500, False),
        (20_000, 23_000, 27_500, True),
        (20_000, 23_000, 27_501, False),
        (20_000, 90_000, 20_001, True),  # the audio came late
        (20_000, 90_000, 20_000, False),
        (20_000, 18_500, 20_000, True),  # the producers' clocks differ
    ],
)
def test_a_streaming_may_begin_at_a_break_that_lies_near_its_start(
    end_ms: int,
    begin_ms: int,
    start_ms: int,
    fits: bool,  # noqa: FBT001 - parametrised
) -> None:
    assert Break(end_ms=end_ms, begin_ms=begin_ms, number=1).may_be_start(start_ms) is fits
