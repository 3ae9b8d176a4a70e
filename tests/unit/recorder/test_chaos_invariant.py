"""Cursor + log => same bytes, for any chunking, any cut, any order of kills."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from chaos.invariant import CursorAndLog
from support.examples import examples


def test_a_cursor_and_the_log_make_the_same_bytes_whatever_happened_before() -> None:
    run_state_machine_as_test(
        CursorAndLog,
        settings=settings(
            max_examples=examples(50),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
