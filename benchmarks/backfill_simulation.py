"""A backfill of 100 000 calls, simulated: time, cost, and the quota that binds first.

`make backfill-simulation` prints the figures of docs/quotas.md. It is a model with a fixed seed, and no
measurement of AWS.

How it works. Calls arrive over a day with a peak at noon. Each lasts as long as a call centre's calls do, and takes the
first free stream of a pool. The manifest is the command's own, grouped by the same code. A worker takes an item, and
reads call after call until its 15 minutes are over. The next run takes the calls that are left. A comment names the
source of each figure of the model.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connect_audio.recorder.backfill import BackfillItem, items_of
from connect_audio.recorder.late_recording import LateCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CALLS: Final = 100_000
_DAY_S: Final = 86_400
# Service times of call centres are close to lognormal, with a standard deviation of the logarithm near 1
# (Brown et al., "Statistical Analysis of a Telephone Call Center", JASA 2005). The mean is an assumption: 5 minutes.
_MEAN_S: Final = 300.0
_SIGMA: Final = 1.0
_LONGEST_S: Final = 8 * 3600.0
# docs/cost.md: 14 s for an hour of audio at 256 MB. The fixed part is listing, labels, claim and publication.
_WORK_S_AN_HOUR: Final = 14.0
_WORK_S_A_CALL: Final = 3.0
_COLD_START_S: Final = 1.0
_INVOCATION_S: Final = 900.0 - 30.0
"""The worker's Timeout, less its margin (handlers/backfill_worker.py)."""
_LEAST_S: Final = 60.0
"""Time that must be left for another call (handlers/backfill_worker.py)."""
_MEMORY_GB: Final = 0.25
_BYTES_A_SECOND: Final = 33_900
"""Bytes of a stream for a second of a call: two tracks of 16 000 bytes, and the containers."""
# Prices in US dollars: docs/cost.md.
_GB_SECOND: Final = 0.0000133334
_REQUEST: Final = 0.20 / 1e6
_KVS_GB: Final = 0.0085
_S3_PUT: Final = 0.005 / 1000
_S3_GET: Final = 0.0004 / 1000
_TRANSITION: Final = 0.025 / 1000
_PUTS_A_CALL: Final = 5
_TRANSITIONS_AN_ITEM: Final = 3


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of AWS.

    Args:
        name: its name.
        most: so much of it there is.
        of_worker: so much of it a busy worker uses.
    """

    name: str
    most: float
    of_worker: float

    @property
    def workers(self) -> float:
        """Workers that it allows."""
        return self.most / self.of_worker


@dataclass(frozen=True, slots=True)
class Run:
    """A backfill with some concurrency, to its last manifest.

    Args:
        at_once: workers at the same time.
        hours: wall time of all runs.
        runs: runs of the state machine.
        invocations: invocations of the worker.
        work_s: seconds of Lambda.
        most_of_a_stream: most workers that read one stream at the same time.
    """

    at_once: int
    hours: float
    runs: int
    invocations: int
    work_s: float
    most_of_a_stream: int


def day_of_calls(count: int, seed: int) -> tuple[list[LateCall], dict[tuple[str, int], float]]:
    """Draw a day.

    Args:
        count: how many calls.
        seed: of the draw.

    Returns:
        The calls with their streams, and the length of each, s.
    """
    rng = random.Random(seed)
    mu = math.log(_MEAN_S) - _SIGMA**2 / 2
    # Two thirds of the calls come around noon, the others all day.
    starts = sorted(
        rng.gauss(_DAY_S / 2, _DAY_S / 10) % _DAY_S if rng.random() < 2 / 3 else rng.uniform(0, _DAY_S)
        for _ in range(count)
    )
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    streams = 0
    calls, lengths = [], {}
    for start_s in starts:
        while busy and busy[0][0] <= start_s:
            heapq.heappush(free, heapq.heappop(busy)[1])
        # The first free stream takes the call: the streams' loads are as uneven as can be.
        if free:
            stream = heapq.heappop(free)
        else:
            stream, streams = streams, streams + 1
        length_s = min(rng.lognormvariate(mu, _SIGMA), _LONGEST_S)
        heapq.heappush(busy, (start_s + length_s, stream))
        call = LateCall(f"stream-{stream}", round(start_s * 1000))
        calls.append(call)
        lengths[call.stream_arn, call.start_ms] = length_s
    return calls, lengths


def work_s(length_s: float) -> float:
    """Return the time that a worker takes for a call, s."""
    return _WORK_S_A_CALL + length_s / 3600 * _WORK_S_AN_HOUR


def backfill(calls: Iterable[LateCall], lengths: dict[tuple[str, int], float], at_once: int) -> Run:
    """Run manifests until no call is left."""
    items, wall_s, runs, invocations, total_s, most = items_of(calls), 0.0, 0, 0, 0.0, 0
    while items:
        took_s, busy_s, left, most_here = _one_run(items, lengths, at_once)
        wall_s, total_s, runs, invocations = wall_s + took_s, total_s + busy_s, runs + 1, invocations + len(items)
        most = max(most, most_here)
        items = items_of(left)
    return Run(at_once, wall_s / 3600, runs, invocations, total_s, most)


def _one_run(
    items: Sequence[BackfillItem], lengths: dict[tuple[str, int], float], at_once: int
) -> tuple[float, float, list[LateCall], int]:
    """Return the run's wall time, its seconds of Lambda, the calls that are left, and the busiest stream's workers."""
    workers: list[tuple[float, str]] = []
    running: Counter[str] = Counter()
    left: list[LateCall] = []
    now_s, busy_s, most = 0.0, 0.0, 0
    for item in items:
        if len(workers) == at_once:
            now_s, done = heapq.heappop(workers)
            running[done] -= 1
        running[item.stream_arn] += 1
        most = max(most, running[item.stream_arn])
        used_s = _COLD_START_S
        for number, call in enumerate(item.calls):
            needed_s = work_s(lengths[call.stream_arn, call.start_ms])
            if number and _INVOCATION_S - used_s < max(_LEAST_S, needed_s):
                left += item.calls[number:]
                break
            used_s += needed_s
        busy_s += used_s
        heapq.heappush(workers, (now_s + used_s, item.stream_arn))
    return max(end_s for end_s, _ in workers), busy_s, left, most


def quotas(run: Run, calls: int, streams: int) -> list[Quota]:
    """Return the quotas, with the use of a busy worker: an average over the run."""
    calls_a_second = calls / run.work_s
    items_a_second = run.invocations / run.work_s
    return [
        # Lambda quotas: the default of an account, which all functions share.
        Quota("Lambda, concurrent executions of an account", 1000, 1),
        # Kinesis Video Streams quotas: 3 connections a stream, one of which is the live recorder's.
        Quota("GetMedia, 2 connections of each stream", 2 * streams, 1),
        # The same: GetDataEndpoint 300 a second in an account. A worker asks for two.
        Quota("GetDataEndpoint, 300 a second", 300, 2 * items_a_second),
        # S3: 3500 writes a second and prefix. The recordings of a day have one prefix.
        Quota("S3, 3500 writes a second in a prefix", 3500, _PUTS_A_CALL * calls_a_second),
        # Step Functions quotas: 800 transitions a second in the smaller regions, 5000 in the largest.
        Quota("Step Functions, 800 transitions a second", 800, _TRANSITIONS_AN_ITEM * items_a_second),
        Quota("Step Functions, 10 000 children at once", 10_000, 1),
    ]


def dollars(run: Run, calls: int, audio_s: float) -> dict[str, float]:
    """Return the cost, part by part."""
    return {
        "KVS, read": audio_s * _BYTES_A_SECOND / 1e9 * _KVS_GB,
        "S3, written": calls * _PUTS_A_CALL * _S3_PUT,
        "Lambda": run.work_s * _MEMORY_GB * _GB_SECOND + run.invocations * _REQUEST,
        "Step Functions": run.invocations * _TRANSITIONS_AN_ITEM * _TRANSITION,
        "outcomes": run.invocations * (_S3_PUT + _S3_GET),
    }


def finding_hours(calls: int, streams: int, at_once: int) -> float:
    """Return the time of `--prefix` for a day, h: its paces for listings and labels (export/pace.py)."""
    return (streams * 24 * 0.5 + calls * 0.3) / at_once / 3600


def main(count: int = CALLS, seed: int = 1) -> None:
    """Print the figures."""
    calls, lengths = day_of_calls(count, seed)
    streams = len({call.stream_arn for call in calls})
    sizes = sorted(lengths.values())
    audio_s = sum(sizes)
    size_gb = audio_s * _BYTES_A_SECOND / 1e9
    print(f"{count} calls of a day, seed {seed}: {audio_s / 3600:.0f} h of audio, {size_gb:.0f} GB")
    shares = ", ".join(f"{name} {sizes[int(share * count)]:.0f} s" for name, share in SHARES)
    print(f"lengths: {shares}, longest {sizes[-1]:.0f} s; {streams} streams, {len(items_of(calls))} items")
    for at_once in (8, 32):
        print(f"export --prefix --concurrency {at_once} finds them in {finding_hours(count, streams, at_once):.1f} h")
    print("workers  hours  runs  invocations  Lambda h  most workers of a stream")
    for at_once in (10, 50, 200, 1000):
        run = backfill(calls, lengths, at_once)
        print(
            f"{run.at_once:7}  {run.hours:5.2f}  {run.runs:4}  {run.invocations:11}  {run.work_s / 3600:8.1f}  "
            f"{run.most_of_a_stream:24}"
        )
    run = backfill(calls, lengths, 50)
    parts = dollars(run, count, audio_s)
    print("; ".join(f"{name} ${amount:.2f}" for name, amount in parts.items()))
    print(f"together ${sum(parts.values()):.2f}")
    for quota in sorted(quotas(run, count, streams), key=lambda each: each.workers):
        print(f"{quota.workers:8.0f} workers: {quota.name}")


SHARES: Final = (("median", 0.5), ("90 %", 0.9), ("99 %", 0.99))

if __name__ == "__main__":
    main()
