"""The machine's clock keeps the port's units."""

from __future__ import annotations

import time

from connect_audio.adapters.system_clock import SystemClock


def test_wall_time_is_in_milliseconds_since_the_epoch() -> None:
    before = time.time()
    now_ms = SystemClock().now_ms()
    assert int(before * 1000) <= now_ms <= int(time.time() * 1000)


def test_sleeping_takes_the_monotonic_clock_forward_by_at_least_that_long() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01


def test_a_sleep_of_no_time_or_less_returns() -> None:
    SystemClock().sleep(0)
    SystemClock().sleep(-1)
