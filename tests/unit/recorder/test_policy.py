"""The recorder's durations as documents and settings name them, and the size of a part."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from connect_audio.recorder.policy import Policy

MIB = 1 << 20


def test_the_durations_are_the_documented_ones() -> None:
    assert asdict(Policy()) == {
        "drain": 30,
        "idle_limit": 10 * 60,
        "connected_limit": 4 * 60 * 60,
        "refusal_limit": 60,
        "patience": 30,
        "status_interval": 60,
        "first_backoff": 0.5,
        "longest_backoff": 8,
        "nap": 1.0,
        "longest_look": 60 * 60,
        "limit_s": 47 * 60 * 60,
        "max_stalls": 3,
        "part_bytes": None,
    }


@pytest.mark.parametrize(
    ("rate", "full"), [(8000, 5 * MIB), (10_922, 5 * MIB), (10_923, 120 * 10_923 * 4), (48_000, 120 * 48_000 * 4)]
)
def test_a_part_is_what_s3_accepts_and_two_minutes_at_least(rate: int, full: int) -> None:
    assert Policy().full_part_bytes(rate) == full
    assert Policy().most_part_bytes(rate) == full + 3 * MIB


def test_a_call_that_is_recorded_after_its_end_has_larger_parts_unless_a_test_says_otherwise() -> None:
    assert Policy().for_archive().full_part_bytes(8000) == 24 * MIB
    assert Policy().for_archive().most_part_bytes(8000) == 27 * MIB
    assert Policy(part_bytes=1000).for_archive().full_part_bytes(8000) == 1000


@pytest.mark.parametrize(("part_bytes", "most"), [(1000, 2000), (3 * MIB, 6 * MIB), (3 * MIB + 1, 6 * MIB + 1)])
def test_a_part_of_a_test_s_size_exceeds_it_by_its_size_at_most(part_bytes: int, most: int) -> None:
    policy = Policy(part_bytes=part_bytes)

    assert (policy.full_part_bytes(8000), policy.most_part_bytes(8000)) == (part_bytes, most)
