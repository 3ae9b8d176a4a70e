"""What a fragment's number and the times of its blocks say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.fragment import end_of, fragment_counter, missing_between
from connect_audio_local.synthesis.calls import fragment_number
from core_support.fragments_by_hand import fragment


@pytest.mark.parametrize(
    ("times", "end"),
    [
        ([(1, 7)], 7),
        ([(1, 0), (1, 10)], 20),
        ([(1, 0), (1, 10), (1, 30)], 50),
        ([(1, 0), (1, 10), (1, 20), (1, 50)], 60),
        ([(1, 0), (1, 10), (1, 30), (1, 60)], 80),
        # Tracks apart from each other are no steps.
        ([(1, 0), (2, 700), (1, 10), (2, 710)], 720),
        ([(1, 0), (2, 700)], 700),
        # In any order, and the same time twice is no step.
        ([(1, 20), (1, 0), (1, 10), (1, 10)], 30),
    ],
)
def test_a_fragment_ends_one_median_step_behind_its_last_block(times: list[tuple[int, int]], end: int) -> None:
    assert end_of(times) == end


@pytest.mark.parametrize("counter", [0, 1, 7, (1 << 64) - 1])
def test_a_number_of_connect_s_anatomy_has_a_counter(counter: int) -> None:
    number = str((1 << 156) + (counter << 92) + (1_782_912_654_536 << 28) + 5)

    assert fragment_counter(number) == counter


@pytest.mark.parametrize(
    "number",
    [
        None,
        "",
        "7",
        "-1",
        "x",
        "\u0661",
        str((1 << 156) - 1),
        str(1 << 157),
        "0" + str((1 << 157) - 1),
        " " + str(1 << 156),
        str(1 << 156) + "\n",
    ],
)
def test_another_number_has_none(number: str | None) -> None:
    assert fragment_counter(number) is None


def test_a_number_of_48_digits_may_have_a_counter() -> None:
    assert fragment_counter(str((1 << 157) - 1)) == (1 << 64) - 1
    assert fragment_counter("0" * (48 - len(str(1 << 156))) + str(1 << 156)) == 0


@pytest.mark.parametrize(
    ("first", "second", "missing"), [(5, 6, 0), (5, 7, 1), (5, 105, 99), (5, 5, None), (6, 5, None)]
)
def test_counters_tell_how_many_fragments_are_missing(first: int, second: int, missing: int | None) -> None:
    assert missing_between(fragment_number(first, 1), fragment_number(second, 1)) == missing


def test_the_first_value_of_a_tag_counts() -> None:
    tagged = replace(fragment(1), tags=(("A", "1"), ("B", "2"), ("A", "3")))

    assert [tagged.tag(name) for name in ("A", "B", "C")] == ["1", "2", None]
