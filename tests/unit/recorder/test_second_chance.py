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
