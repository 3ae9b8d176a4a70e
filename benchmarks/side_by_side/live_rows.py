"""Rows at the call's own pace: the consumer without sinks, both sinks on a small share of a core, and a block's age."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from benchmarks import live_share as share
from benchmarks.consumer_memory import far_ends
from benchmarks.side_by_side.child import Usage, in_turn, run
from benchmarks.side_by_side.consumer_rows import recorded
from benchmarks.side_by_side.far_ends import delete_recordings
from benchmarks.side_by_side.lines import Line, absolute_line, ratio_line
from benchmarks.side_by_side.replay_rows import HOUR_S
from benchmarks.side_by_side.trees import Tree, Trees

_PACE_S: Final = 50
_PACE_FROM_S: Final = 8.0
"""When the child's first look at its CPU comes: start-up and the first reads are over."""
_PACE_TO_S: Final = 48.0
NO_WORSE: Final = 1.1
"""Ratio that counts as no worse for a latency: medians of equal trees differ by less on a busy machine."""
_BOTH_SINKS: Final = "segments and webhook"


def live_pace(trees: Trees, repeats: int) -> Iterator[Line]:
    """The consumer at the call's own pace without sinks, block by block; 50 s in real time for each run."""

    def usage(tree: Tree, variables: Mapping[str, str]) -> Usage:
        times = (_PACE_FROM_S, _PACE_TO_S)
        report = recorded(tree, [_PACE_S], variables, live=True, times=times)
        return Usage(report["between_s"] * HOUR_S / (_PACE_TO_S - _PACE_FROM_S), report["peak_mib"])

    with far_ends("http://unused.test") as variables:
        usages = in_turn({tree.name: partial(usage, tree, variables) for tree in trees}, repeats)
    before, now = (statistics.median(each.cpu_s for each in usages[tree.name]) for tree in trees)
    yield ratio_line("live pace, no sinks", "CPU-s/h", before, now, 0.3)


def live_share(trees: Trees, repeats: int) -> Iterator[Line]:
    """Both sinks on 14.4 % of a core; 50 s in real time for each run."""
    with share.live_runs() as begin:

        def usage(tree: Tree) -> Usage:
            call = begin(_BOTH_SINKS)
            environment = {**tree.environment(call.variables), "LAMBDA_TASK_ROOT": str(tree.root / "src")}
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.live_share", "record", call.arn, call.live]
            done = run(command, environment)
            delete_recordings(call.variables["AWS_ENDPOINT_URL_S3"])
            row: dict[str, Any] = json.loads(done.output)
            reports.append((tree.name, row))
            return Usage(row["cpu_s"], row["peak_mib"])

        reports: list[tuple[str, dict[str, Any]]] = []
        usages = in_turn({tree.name: partial(usage, tree) for tree in trees}, repeats)
    before, now = (statistics.median(each.cpu_s for each in usages[tree.name]) / share.SECONDS for tree in trees)
    yield ratio_line("both sinks, share of a core", "%", 100 * before, 100 * now, 0.7)
    dropped = max(row["dropped_s"] for name, row in reports if name == trees.now.name)
    yield absolute_line("both sinks, dropped", "s", dropped, 0)


def block_to_sink(trees: Trees, repeats: int) -> Iterator[Line]:
    """From a block's last byte sent to `deliver`, at the call's own pace for 10 s."""
    program = "import json; from benchmarks import live_latency; print(json.dumps(live_latency.measure()))"
    waits: dict[str, list[list[float]]] = {tree.name: [] for tree in trees}

    def usage(tree: Tree) -> Usage:
        done = run([sys.executable, "-W", "ignore", "-c", program], tree.environment())
        waits[tree.name].append(json.loads(done.output)[0])
        return done

    in_turn({tree.name: partial(usage, tree) for tree in trees}, repeats)
    for what, of_run in (("p50", statistics.median), ("p99", _p99)):
        before, now = (statistics.median(of_run(each) for each in waits[tree.name]) for tree in trees)
        yield ratio_line(f"block to its sink, {what}", "ms", before, now, NO_WORSE)


def _p99(waits: Sequence[float]) -> float:
    return sorted(waits)[math.ceil(len(waits) * 0.99) - 1]
