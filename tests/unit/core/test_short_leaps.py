"""A short leap forward, and the delays on either side that explain it."""

from __future__ import annotations

import pytest

from connect_audio.core.short_leaps import ShortLeap

EIGHT = (170,) * 8


@pytest.mark.parametrize(
    ("leap_ms", "delays_ms", "is_made"),
    [
        (100, EIGHT, True),
        (99, EIGHT, False),
        (400, EIGHT[:7], False),
        (400, (100, 200, *EIGHT[:6]), True),
        (400, (100, 201, *EIGHT[:6]), False),
        (403, (100, 201, *EIGHT[:6]), False),
        (404, (100, 201, *EIGHT[:6]), True),
    ],
)
def test_steady_delays_before_a_leap_can_explain_it(leap_ms: int, delays_ms: tuple[int, ...], is_made: bool) -> None:  # noqa: FBT001
    leap = ShortLeap.before(leap_ms, delays_ms)

    assert (leap is not None) is is_made
    if is_made:
        assert leap == ShortLeap(leap_ms=leap_ms, least_ms=min(delays_ms), most_ms=max(delays_ms))


@pytest.mark.parametrize(
    ("behind_ms", "is_change"),
    [
        ((-230,) * 8, True),
        # Less by the leap, give or take a quarter of it, at both ends.
        ((-130,) * 8, True),
        ((-129,) * 8, False),
        ((-330,) * 8, True),
        ((-331,) * 8, False),
        ((170,) * 8, False),
        # The delays may differ by a quarter of the leap.
        ((-280, -180, *(-230,) * 6), True),
        ((-281, -180, *(-230,) * 6), False),
        ((-330, -229, *(-300,) * 6), False),
    ],
)
def test_delays_that_are_less_by_the_leap_show_a_change_of_the_clock(
    behind_ms: tuple[int, ...],
    is_change: bool,  # noqa: FBT001
) -> None:
    assert ShortLeap(leap_ms=400, least_ms=170, most_ms=170).is_clock_change(behind_ms) is is_change


def test_both_ends_of_the_delays_must_have_shifted() -> None:
    leap = ShortLeap(leap_ms=400, least_ms=100, most_ms=200)

    assert leap.is_clock_change((-300, -200))
    assert leap.is_clock_change((-300, -300))
    assert not leap.is_clock_change((-301, -301))
    assert leap.is_clock_change((-200, -200))
    assert not leap.is_clock_change((-199, -199))
