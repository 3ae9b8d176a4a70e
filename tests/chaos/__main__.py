# ruff: noqa: T201 - a command prints
"""Many schedules: `make chaos N=2000`, or one again: `make chaos SEED=17`. Prints the seed of each that fails."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from chaos.kinds import HELD, Kind, kinds_of
from chaos.schedule import Judged, ScheduleFailedError, draw, run_schedule


def main() -> int:
    """Run schedules in all processors."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="how many schedules")
    parser.add_argument("--first", type=int, default=None, help="seed of the first; by default taken from the clock")
    parser.add_argument("--seed", type=int, help="run this one alone, with its trace")
    parser.add_argument("--kinds", type=kinds_of, default=HELD, help="all, held, none or names: see chaos/kinds.py")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _one(arguments.seed, arguments.kinds)
    first = time.time_ns() // 1_000_000 % 1_000_000_000 if arguments.first is None else arguments.first
    seeds = range(first, first + arguments.count)
    print(f"chaos: {arguments.count} schedules, seeds {seeds.start} to {seeds.stop - 1}", flush=True)
    began, cpu = time.perf_counter(), os.times()
    judged: list[Judged] = []
    failed: list[tuple[int, str]] = []
    with ProcessPoolExecutor(arguments.processes) as pool:
        for seed, result in zip(
            seeds, pool.map(partial(_guarded, allowed=arguments.kinds), seeds, chunksize=4), strict=True
        ):
            if isinstance(result, Judged):
                judged.append(result)
            else:
                failed.append((seed, result))
                print(f"FAILED {seed}: {result}", flush=True)
    spent = os.times()
    print(_report(judged, failed))
    print(
        f"{time.perf_counter() - began:.0f} s, "
        f"{spent.children_user + spent.children_system - cpu.children_user - cpu.children_system:.0f} s of processor"
    )
    return 1 if failed else 0


def _one(seed: int, allowed: frozenset[Kind]) -> int:
    print(f"chaos: seed {seed}: {draw(seed, allowed)}")
    try:
        judged = run_schedule(seed, allowed)
    except ScheduleFailedError:
        traceback.print_exc()
        return 1
    print(judged)
    return 0


def _guarded(seed: int, allowed: frozenset[Kind]) -> Judged | str:
    try:
        return run_schedule(seed, allowed)
    except ScheduleFailedError as error:
        return str(error)


def _report(judged: list[Judged], failed: list[tuple[int, str]]) -> str:
    statuses = Counter(each.status for each in judged)
    causes = Counter(cause for each in judged for cause in each.causes)
    faults: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for each in judged:
        faults.update(each.faults)
        kills.update(each.kills)
        numbers.update(each.numbers)
    return "\n".join(
        (
            f"recordings: {dict(statuses.most_common())}; failed: {[seed for seed, _ in failed]}",
            f"unrecoverable by cause: {dict(causes.most_common())}",
            f"faults, {faults.total()}: {dict(faults.most_common())}",
            f"kills, {kills.total()}: {dict(kills.most_common())}",
            f"in all: {dict(numbers)}",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
