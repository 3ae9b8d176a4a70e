"""The simulation of a backfill: it works on each call once, and keeps the promise of the manifest's grouping."""

from __future__ import annotations

import pytest
from benchmarks.backfill_simulation import backfill, day_of_calls, dollars, quotas, work_s


def test_a_day_is_a_function_of_its_seed() -> None:
    assert day_of_calls(500, 1) == day_of_calls(500, 1)
    assert day_of_calls(500, 1) != day_of_calls(500, 2)


@pytest.mark.parametrize("at_once", [1, 20, 1000])
def test_two_workers_at_most_read_a_stream_and_each_call_is_worked_on_once(at_once: int) -> None:
    calls, lengths = day_of_calls(4000, 3)

    run = backfill(calls, lengths, at_once)

    assert run.most_of_a_stream <= 2
    assert run.work_s == pytest.approx(sum(map(work_s, lengths.values())) + run.invocations)
    assert run.hours * 3600 * at_once >= run.work_s - 1


def test_calls_that_a_worker_does_not_reach_are_the_next_runs() -> None:
    calls, lengths = day_of_calls(4000, 3)

    run = backfill(calls, dict.fromkeys(lengths, 6 * 3600.0), 10)

    assert run.runs > 1
    assert run.work_s == pytest.approx(4000 * work_s(6 * 3600.0) + run.invocations)


def test_a_quota_is_compared_by_the_workers_that_it_allows() -> None:
    calls, lengths = day_of_calls(4000, 3)
    run = backfill(calls, lengths, 50)

    assert min(quotas(run, len(calls), 100), key=lambda each: each.workers).name.startswith("GetMedia")
    assert min(quotas(run, len(calls), 5000), key=lambda each: each.workers).name.startswith("Lambda")
    assert dollars(run, len(calls), 3600.0)["KVS, read"] == pytest.approx(33_900 * 3600 / 1e9 * 0.0085)
