"""Damaged and cut fragments each get one more reading before they are given up."""

from __future__ import annotations

import pytest

from connect_audio.core.fragments import Block, Completion, Fragment
from connect_audio.recorder.second_chance import Damage, Unconfirmed, before_damage

Verdict = Damage.Verdict


def fragment(number: str | None, blocks: int = 1) -> Fragment:
    return Fragment(
        number=number,
        server_timestamp_ms=None,
        producer_timestamp_ms=None,
        millis_behind_now=None,
        contact_ids=(),
        tags=(),
        timecode_scale_ns=1_000_000,
        tracks=(),
        blocks=tuple(block(1, 64 * index) for index in range(blocks)),
        errors=(),
        completion=Completion.TOKEN,
        truncation=None,
        offset=0,
        size=0,
    )


def block(track: int, time_ms: int) -> Block:
    return Block(track, time_ms * 1_000_000, b"", 1, 0)


# Damage.


def test_damage_is_read_again_once_and_then_salvaged() -> None:
    damage = Damage()
    damage.connected()
    assert (damage.met("7"), damage.salvaging) == (Verdict.READ_AGAIN, False)
    damage.connected()
    assert (damage.met("7"), damage.salvaging) == (Verdict.SALVAGE, True)
    assert (damage.lost("7"), damage.salvaging) == (True, False)


def test_damage_that_each_connection_meets_is_counted_once() -> None:
    damage = Damage()
    for _ in range(2):
        damage.connected()
        damage.met(None)
    assert damage.lost(None)
    damage.connected()
    assert damage.met(None) is Verdict.SALVAGE_AGAIN
    assert not damage.lost(None)


def test_a_second_error_behind_a_known_one_gets_a_reading_of_its_own() -> None:
    damage = Damage()
    for _ in range(2):
        damage.connected()
        damage.met("7")
    assert damage.lost("7")
    assert damage.met("7") is Verdict.READ_AGAIN
    damage.connected()
    assert damage.met("7") is Verdict.SALVAGE_AGAIN
    assert not damage.lost("7")
    assert damage.met("7") is Verdict.SALVAGE
    assert damage.lost("7")


def test_damage_behind_another_position_begins_anew() -> None:
    damage = Damage()
    for _ in range(2):
        damage.connected()
        damage.met("7")
    damage.connected()
    assert damage.met("8") is Verdict.READ_AGAIN


def test_bytes_passed_over_without_salvage_do_not_count() -> None:
    assert not Damage().lost("7")


# The unconfirmed fragment.


def test_a_cut_fragment_that_comes_again_is_dropped() -> None:
    unconfirmed = Unconfirmed()
    unconfirmed.cut(fragment("8"), "7")
    assert unconfirmed.confirmed_by(fragment("8", blocks=5)) is None
    assert unconfirmed.give_up() is None


def test_a_cut_fragment_is_recorded_if_a_later_one_comes_in_its_place() -> None:
    unconfirmed, cut = Unconfirmed(), fragment("8")
    unconfirmed.cut(cut, "7")
    assert unconfirmed.confirmed_by(fragment("6")) is None
    assert bool(unconfirmed) is True
    assert unconfirmed.confirmed_by(fragment("10")) is cut
    assert bool(unconfirmed) is False


@pytest.mark.parametrize(("first", "second", "kept"), [(3, 2, 3), (2, 3, 3)])
def test_of_two_readings_the_one_with_more_blocks_is_kept(first: int, second: int, kept: int) -> None:
    unconfirmed = Unconfirmed()
    unconfirmed.cut(fragment("8", first), "7")
    unconfirmed.cut(fragment("8", second), "7")
    found = unconfirmed.give_up()
    assert found is not None
    assert len(found.blocks) == kept


def test_of_two_readings_with_as_many_blocks_the_newer_one_is_kept() -> None:
    unconfirmed, newer = Unconfirmed(), fragment("8", 3)
    unconfirmed.cut(fragment("8", 3), "7")
    unconfirmed.cut(newer, "7")
    assert unconfirmed.give_up() is newer


def test_a_fragment_without_a_number_says_nothing_of_the_kept_one() -> None:
    unconfirmed, cut = Unconfirmed(), fragment("0")
    unconfirmed.cut(cut, None)
    assert unconfirmed.confirmed_by(fragment(None)) is None
    assert unconfirmed.give_up() is cut


@pytest.mark.parametrize("number", [None, "7"])
def test_a_fragment_without_a_number_or_at_the_position_is_not_kept(number: str | None) -> None:
    unconfirmed = Unconfirmed()
    unconfirmed.cut(fragment(number), "7")
    assert unconfirmed.give_up() is None


# Blocks of a damaged fragment.


def test_the_last_block_before_the_damage_is_not_believed() -> None:
    blocks = [block(1, 0), block(2, 0), block(1, 64), block(2, 64)]
    assert before_damage(blocks) == tuple(blocks[:3])
    assert before_damage(blocks[:1]) == ()
    assert before_damage([]) == ()


@pytest.mark.parametrize("leap_ms", [64 + 251, -1])
def test_nothing_from_a_leap_in_a_track_s_time_on_is_believed(leap_ms: int) -> None:
    blocks = [block(1, 0), block(2, 0), block(1, 64), block(1, leap_ms), block(2, 64), block(1, 128)]
    assert before_damage(blocks) == tuple(blocks[:2])


def test_three_places_of_damage_are_each_read_again_once() -> None:
    damage = Damage()
    seen = []
    for _ in range(5):
        damage.connected()
        verdicts: list[Damage.Verdict] = []
        while len(verdicts) < 3 and Verdict.READ_AGAIN not in verdicts:
            verdicts.append(damage.met("7"))
        seen.append([each.name for each in verdicts])

    assert seen == [
        ["READ_AGAIN"],
        ["SALVAGE", "READ_AGAIN"],
        ["SALVAGE_AGAIN", "SALVAGE", "READ_AGAIN"],
        ["SALVAGE_AGAIN", "SALVAGE_AGAIN", "SALVAGE"],
        ["SALVAGE_AGAIN", "SALVAGE_AGAIN", "SALVAGE_AGAIN"],
    ]


def test_a_loss_as_long_as_the_one_before_at_its_place_is_alike() -> None:
    damage = Damage()

    assert [damage.lost_alike(*each) for each in (("7", 5), ("7", 5), ("7", 6), ("8", 6), ("8", 6), ("7", 5))] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("kept", "came", "is_known", "given_up"),
    [(2, 1, True, 2), (2, 2, True, 2), (2, 3, False, 3), (0, 0, True, 0)],
)
def test_of_two_cut_readings_the_one_with_more_blocks_stays(
    kept: int,
    came: int,
    is_known: bool,  # noqa: FBT001
    given_up: int,
) -> None:
    unconfirmed = Unconfirmed()
    assert not unconfirmed.cut(fragment("8", kept), "7")
    assert unconfirmed.cut(fragment("8", came), "7") is is_known
    found = unconfirmed.give_up()

    assert found is not None
    assert len(found.blocks) == given_up
    assert unconfirmed.give_up() is None


@pytest.mark.parametrize(
    ("came", "before", "waits"), [("7", None, True), ("8", None, False), ("9", "8", False), (None, None, True)]
)
def test_a_whole_fragment_confirms_or_replaces_the_cut_one(came: str | None, before: str | None, waits: bool) -> None:  # noqa: FBT001
    unconfirmed = Unconfirmed()
    unconfirmed.cut(fragment("8"), "6")
    found = unconfirmed.confirmed_by(fragment(came))

    assert (None if found is None else found.number) == before
    assert bool(unconfirmed) is waits


@pytest.mark.parametrize(
    ("times_ms", "kept"),
    [
        ([(1, 0), (1, 64), (1, 128)], 2),
        ([(1, 0), (1, 250), (1, 500)], 2),
        ([(1, 0), (1, 251), (1, 300)], 0),
        ([(1, 0), (1, 64), (1, 400), (1, 464)], 1),
        ([(1, 64), (1, 63), (1, 128)], 0),
        ([(1, 64), (1, 64), (1, 64)], 2),
        ([(1, 0), (2, 5_000), (1, 64), (2, 5_064), (1, 128)], 4),
        ([], 0),
        ([(1, 0)], 0),
    ],
)
def test_blocks_up_to_the_one_before_a_leap_are_believed(times_ms: list[tuple[int, int]], kept: int) -> None:
    blocks = [block(*each) for each in times_ms]

    assert before_damage(blocks) == tuple(blocks[:kept])
