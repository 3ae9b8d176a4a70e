"""What a track has written: stretches, what is known of positions, and audio that is known again. 1 kHz, cells of 4."""

from __future__ import annotations

import zlib
from array import array
from base64 import b85decode
from collections.abc import Sequence
from random import Random
from typing import Final

import pytest

from connect_audio.core.written import Kind, Segment, Stretch, WrittenAudio, WrittenState

RATE: Final = 1000
CELL: Final = 4
WINDOW: Final = 5 * RATE
LONG: Final = Random(7).randbytes(2 * 70 * RATE)
"""Samples by position: no two cells are alike."""


def pcm(start: int, stop: int) -> bytes:
    return LONG[2 * start : 2 * stop]


def written(*stretches: tuple[int, int], rate: int = RATE) -> WrittenAudio:
    """A track with audio at some positions, in order; the fragment of each is its index."""
    made = WrittenAudio(rate, 0, WrittenState())
    for index, (start, stop) in enumerate(stretches):
        made.append(start, stop, pcm(start, stop), str(index))
    return made


def resumed(track: WrittenAudio) -> WrittenAudio:
    return WrittenAudio(RATE, track.stop, track.state())


def known(track: WrittenAudio) -> list[tuple[int, int, str, str]]:
    return [(each.start, each.stop, each.first, each.last) for each in track.stretches()]


# --- stretches -------------------------------------------------------------------------------------------------------


def test_audio_that_joins_the_end_is_of_one_stretch_from_the_first_fragment_to_the_last() -> None:
    assert known(written((0, 10), (10, 20), (20, 25))) == [(0, 25, "0", "2")]


def test_audio_behind_a_gap_of_one_frame_begins_another_stretch() -> None:
    assert known(written((0, 10), (11, 20), (20, 30))) == [(0, 10, "0", "0"), (11, 30, "1", "2")]


def test_a_track_that_begins_late_has_no_stretch_before() -> None:
    assert known(written((5, 10), (10, 12))) == [(5, 12, "0", "1")]


def test_a_stretch_behind_empty_audio_is_named_by_the_fragment_with_the_audio() -> None:
    assert known(written((5, 5), (5, 10), (10, 12))) == [(5, 12, "1", "2")]


def test_audio_in_silence_is_a_stretch_of_its_own_in_its_place() -> None:
    track = written((0, 10), (30, 40), (60, 70))
    track.insert(10, 20, pcm(10, 20), "late")
    track.insert(45, 50, pcm(45, 50), "later")

    assert known(track) == [
        (0, 10, "0", "0"),
        (10, 20, "late", "late"),
        (30, 40, "1", "1"),
        (45, 50, "later", "later"),
        (60, 70, "2", "2"),
    ]


@pytest.mark.parametrize(
    ("after", "count"), [(-1, 3), (9, 3), (10, 2), (19, 2), (39, 2), (40, 1), (69, 1), (70, 0), (99, 0)]
)
def test_stretches_after_a_position_end_behind_it(after: int, count: int) -> None:
    assert len(list(written((0, 10), (30, 40), (60, 70)).stretches(after))) == count


def test_nothing_written_is_no_stretch() -> None:
    assert known(written()) == []
    assert list(written().segments(0, 5)) == [Segment(0, 5, Kind.SILENCE)]


# --- segments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 10, "A0-10"),
        (0, 11, "A0-10 S10-11"),
        (9, 31, "A9-10 S10-30 A30-31"),
        (10, 30, "S10-30"),
        (10, 31, "S10-30 A30-31"),
        (12, 20, "S12-20"),
        (30, 40, "A30-40"),
        (5, 80, "A5-10 S10-30 A30-40 S40-60 A60-70 S70-80"),
        (70, 80, "S70-80"),
        (69, 70, "A69-70"),
        (15, 15, ""),
    ],
)
def test_positions_are_audio_or_silence(start: int, stop: int, expected: str) -> None:
    found = written((0, 10), (30, 40), (60, 70)).segments(start, stop)

    assert " ".join(f"{each.kind.name[0]}{each.start}-{each.stop}" for each in found) == expected


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 20, "U0-20"),
        (0, 21, "U0-20 S20-21"),
        (19, 20, "U19-20"),
        (19, 31, "U19-20 S20-30 A30-31"),
        (20, 31, "S20-30 A30-31"),
        (3, 9, "U3-9"),
        (9, 9, ""),
        (9, 3, ""),
        (20, 20, ""),
    ],
)
def test_positions_before_what_is_known_are_unknown(start: int, stop: int, expected: str) -> None:
    track = written((30, 40))
    track.known_from = 20

    found = track.segments(start, stop)

    assert " ".join(f"{each.kind.name[0]}{each.start}-{each.stop}" for each in found) == expected


@pytest.mark.parametrize(
    ("position", "expected"), [(0, False), (1, True), (9, True), (10, False), (30, False), (31, True), (40, False)]
)
def test_a_stretch_begins_before_a_position_within_it(position: int, expected: bool) -> None:  # noqa: FBT001
    assert written((0, 10), (30, 40)).begins_before(position) is expected


# --- audio that is known again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 4, True),
        (0, 3, False),
        (1, 8, True),
        (1, 7, False),
        (3, 8, True),
        (4, 8, True),
        (0, 40, True),
        (2, 39, True),
        (36, 40, True),
        (37, 40, False),
    ],
)
def test_audio_is_shown_to_be_the_same_by_whole_cells(
    start: int,
    stop: int,
    expected: bool,  # noqa: FBT001
    resumes: bool,  # noqa: FBT001
) -> None:
    track = written((0, 17), (17, 40))
    track = resumed(track) if resumes else track

    assert track.is_same(start, pcm(start, stop)) is expected
    assert track.cells_of(start, stop) is expected


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("at", range(4, 40))
def test_one_sample_that_differs_in_any_whole_cell_is_seen(at: int, resumes: bool) -> None:  # noqa: FBT001
    track = written((0, 17), (17, 33), (33, 40))
    track = resumed(track) if resumes else track
    other = bytearray(pcm(2, 40))
    other[2 * (at - 2)] ^= 1

    assert not track.is_same(2, bytes(other))


def test_what_lies_beside_whole_cells_is_not_compared() -> None:
    track = written((0, 40))

    assert track.is_same(2, bytes(4) + pcm(4, 8) + bytes(6))


@pytest.mark.parametrize(("least", "expected"), [(1, True), (2, True), (3, False)])
def test_fewer_cells_than_asked_for_show_nothing(least: int, expected: bool) -> None:  # noqa: FBT001
    assert written((0, 40)).is_same(3, pcm(3, 13), least=least) is expected


@pytest.mark.parametrize("resumes", [False, True])
def test_audio_of_five_seconds_can_be_compared_and_older_audio_not(resumes: bool) -> None:  # noqa: FBT001
    track = written((0, WINDOW), (WINDOW, WINDOW + 40))
    track = resumed(track) if resumes else track

    assert track.is_comparable(40)
    assert track.is_comparable(37)
    assert not track.is_comparable(36)
    assert track.is_same(40, pcm(40, 44))
    assert track.is_same(37, pcm(37, 44))
    assert not track.is_same(36, pcm(36, 44))


@pytest.mark.parametrize("rate", [100, 249, 250, 499])
def test_at_a_low_rate_a_cell_is_one_sample(rate: int) -> None:
    track = written((0, 9), rate=rate)

    assert track.cell == 1
    assert track.is_same(3, pcm(3, 4))
    assert not track.is_same(3, pcm(4, 5))


@pytest.mark.parametrize(("rate", "cell"), [(500, 2), (8000, 32), (48_000, 192)])
def test_a_cell_lasts_four_milliseconds(rate: int, cell: int) -> None:
    assert written(rate=rate).cell == cell


@pytest.mark.parametrize(
    ("lengths", "resumes_at"),
    [([5] * 40, 7), ([1] * 50, 13), ([600, 3, 3, 600, 511, 512, 513], 2), ([4] * 30, 9), ([2, 6] * 20, 11)],
)
def test_a_recording_that_goes_on_from_a_checkpoint_knows_the_same(lengths: Sequence[int], resumes_at: int) -> None:
    straight, other, at = written(), written(), 3
    for index, length in enumerate(lengths):
        if index == resumes_at:
            other = resumed(other)
        for each in (straight, other):
            each.append(at, at + length, pcm(at, at + length), str(index // 3))
        at += length
    last = straight.stop // CELL

    assert other.state() == straight.state()
    for track in (straight, other, resumed(other)):
        assert all(track.is_same(CELL * cell, pcm(CELL * cell, CELL * cell + CELL)) for cell in range(1, last))
        assert not any(track.is_same(CELL * cell, pcm(CELL * cell + 1, CELL * cell + 5)) for cell in range(1, last))


def test_a_checkpoint_holds_the_digest_of_each_whole_cell_and_the_begun_one_s_crc32() -> None:
    state = written((3, 10), (13, 29), (29, 30)).state()
    digests = array("H", b85decode(state.digests))

    assert list(digests) == [zlib.crc32(pcm(at, at + CELL)) & 0xFFFF for at in (4, 16, 20, 24)]
    assert state.tail_crc32 == zlib.crc32(pcm(28, 30))
    assert state.closed == (Stretch(3, 10, "0", "0"),)
    assert (state.start, state.first, state.last) == (13, "1", "2")


def test_a_begun_cell_that_the_open_stretch_does_not_fill_has_no_crc32() -> None:
    assert written((0, 8), (9, 10)).state().tail_crc32 == 0
    assert written((0, 8), (8, 10)).state().tail_crc32 == zlib.crc32(pcm(8, 10))
    assert written((0, 7), (8, 10)).state().tail_crc32 == zlib.crc32(pcm(8, 10))


def test_a_checkpoint_of_a_checkpoint_goes_on_with_a_begun_cell() -> None:
    track = written((0, 9))
    for at in (9, 10, 11):
        track = resumed(track)
        track.append(at, at + 1, pcm(at, at + 1), "next")

    assert track.is_same(8, pcm(8, 12))
    assert track.state().digests == written((0, 12)).state().digests


def test_audio_that_filled_silence_is_known_again() -> None:
    track = written((0, 16), (48, 64))
    track.insert(24, 32, pcm(24, 32), "late")

    for each in (track, resumed(track)):
        assert each.is_same(24, pcm(24, 32))
        assert not each.is_same(24, pcm(25, 33))
        assert each.is_same(48, pcm(48, 64))


def test_many_runs_between_gaps_can_all_be_compared() -> None:
    track = written(*((at, at + 8) for at in range(0, 1000, 10)))

    assert all(track.is_same(at, pcm(at, at + 8)) for at in range(0, 1000, 10))


# --- jitter ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "jitter", "expected"),
    [(0, 0, True), (5, 5, True), (5, 4, False), (-5, 5, True), (-5, 4, False), (1, 80, True), (-1, 80, True)],
)
def test_audio_within_the_jitter_of_its_place_is_known(offset: int, jitter: int, expected: bool) -> None:  # noqa: FBT001
    track = written((0, 200))

    assert track.is_same_within(100 + offset, pcm(100, 120), jitter) is expected


@pytest.mark.parametrize(
    ("start", "stop", "at", "expected"),
    [
        (20, 60, 18, True),  # it begins with the stretch
        (20, 60, 50, True),
        (20, 60, 52, True),  # and ends with it
        (20, 60, 55, True),
        (20, 60, 15, True),  # the jitter just reaches it
    ],
)
def test_audio_at_either_end_of_a_stretch_is_known(start: int, stop: int, at: int, expected: bool) -> None:  # noqa: FBT001
    track = written((start, stop))
    own = max(start, min(at, stop - 10))

    assert track.is_same_within(at, pcm(own, own + 10), 5) is expected
    assert not track.is_same_within(at, bytes(20), 5)


def test_audio_that_reaches_beyond_its_stretch_is_not_known() -> None:
    track = written((0, 40), (41, 80))

    assert not track.is_same_within(32, pcm(32, 41), 0)
    assert not track.is_same_within(33, pcm(32, 41), 1)
    assert track.is_same_within(31, pcm(31, 40), 0)
    assert not track.is_same_within(72, pcm(72, 81), 1)


def test_one_cell_alone_within_the_jitter_shows_nothing() -> None:
    track = written((0, 40))

    assert not track.is_same_within(16, pcm(16, 23), 0)
    assert track.is_same_within(16, pcm(16, 24), 0)


# --- the block placed last -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumes", [False, True])
def test_the_last_block_is_known_by_its_claim_and_its_samples(resumes: bool) -> None:  # noqa: FBT001
    track = written((0, 8))
    assert not track.is_last_block(0, b"")
    track.note_block(3, pcm(0, 4))
    track = resumed(track) if resumes else track

    assert track.is_last_block(3, pcm(0, 4))
    assert not track.is_last_block(4, pcm(0, 4))
    assert not track.is_last_block(3, pcm(1, 5))


def test_before_the_first_block_none_is_the_last() -> None:
    assert not WrittenAudio(RATE, 0, WrittenState()).is_last_block(0, b"")


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_neighbouring_short_runs_are_joined_and_long_ones_stay() -> None:
    track = written((0, 256), (256, 512), (512, 700), (700, 711))
    assert [len(each) // 2 for _, each in track.runs] == [512, 199]

    track.append(711, 711 + 512, pcm(711, 711 + 512), "long")
    track.append(1223, 1224, pcm(1223, 1224), "short")
    assert [len(each) // 2 for _, each in track.runs] == [512, 199, 512, 1]


def test_runs_on_either_side_of_a_gap_are_not_joined() -> None:
    assert [start for start, _ in written((0, 4), (5, 9)).runs] == [0, 5]


def test_memory_holds_the_comparable_seconds_and_not_much_more() -> None:
    track = written()
    for at in range(0, 60 * RATE, 600):
        track.append(at, at + 600, pcm(at, at + 600), "f")
        assert track.runs[0][0] <= max(0, track.stop - WINDOW)
        assert sum(len(each) for _, each in track.runs) <= 2 * (2 * WINDOW + 600)
    assert track.is_same(track.stop - WINDOW, pcm(track.stop - WINDOW, track.stop))


def test_few_runs_are_not_trimmed_before_their_time() -> None:
    track = written()
    for at in range(0, 9600, 600):
        track.append(at, at + 600, pcm(at, at + 600), "f")
    assert len(track.runs) == 16
    track.append(9600, 10_200, pcm(9600, 10_200), "f")
    # Of 17 runs those stay that reach into the last five seconds.
    assert track.runs[0][0] == 4800


def gappy(count: int, *, every: int = 20) -> WrittenAudio:
    """A track of stretches of half that length, whose gaps are all noted."""
    track = written(*((at, at + every // 2) for at in range(0, count * every, every)))
    track.noted = track.start
    return track


def test_stretches_that_can_be_compared_stay() -> None:
    track = gappy(100)
    track.drop_before(track.stop)

    assert len(track.closed) == 99
    assert track.known_from == 0


def test_thirty_two_older_stretches_stay_known() -> None:
    track = gappy(40)
    track.append(20_000, 20_010, pcm(20_000, 20_010), "end")
    track.noted = 20_000
    track.drop_before(20_010)

    assert [each.start for each in track.closed] == list(range(160, 800, 20))
    assert track.known_from == 160


def test_a_stretch_goes_when_the_next_one_begins_more_than_a_minute_ago() -> None:
    track = gappy(3)
    track.append(60_030, 60_040, pcm(60_030, 60_040), "end")
    track.noted = 60_030
    track.drop_before(60_040)

    # The third begins at 40, just 60 s before the end.
    assert [each.start for each in track.closed] == [40]
    assert track.known_from == 40


@pytest.mark.parametrize(("settled", "noted"), [(39, 60_030), (60_040, 39)])
def test_a_stretch_stays_while_a_gap_behind_it_is_not_settled_and_noted(settled: int, noted: int) -> None:
    track = gappy(3)
    track.append(60_030, 60_040, pcm(60_030, 60_040), "end")
    track.noted = noted
    track.drop_before(settled)

    assert [each.start for each in track.closed] == [20, 40]
    assert track.known_from == 20


def test_a_copy_goes_on_by_itself() -> None:
    track = written((0, 10))
    copy = track.copy()
    copy.append(10, 20, pcm(10, 20), "copy")
    copy.append(30, 40, pcm(30, 40), "copy")
    track.append(12, 20, pcm(12, 20), "own")

    assert known(track) == [(0, 10, "0", "0"), (12, 20, "own", "own")]
    assert known(copy) == [(0, 20, "0", "copy"), (30, 40, "copy", "copy")]
    assert copy.state() == resumed(copy).state()


# --- audio that a fragment fills in ----------------------------------------------------------------------------------


def test_blocks_with_which_a_fragment_fills_silence_are_one_stretch() -> None:
    track = written((0, 10), (60, 70))
    track.begin()
    for start, stop in ((20, 26), (26, 32), (40, 46), (46, 52)):
        track.insert(start, stop, pcm(start, stop), "late")

    assert known(track)[1:3] == [(20, 32, "late", "late"), (40, 52, "late", "late")]
    # The cell from 24 to 28 is of two blocks.
    assert track.is_same(24, pcm(24, 28))
    assert resumed(track).is_same(24, pcm(24, 28))
    assert track.copy().state() == track.state()


def test_audio_of_the_next_fragment_in_silence_is_a_stretch_of_its_own() -> None:
    track = written((0, 10), (60, 70))
    for start, fragment in ((20, "a"), (30, "b")):
        track.begin()
        track.insert(start, start + 10, pcm(start, start + 10), fragment)

    assert known(track)[1:3] == [(20, 30, "a", "a"), (30, 40, "b", "b")]
