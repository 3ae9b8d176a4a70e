"""Rows of the whole consumer on loopback, which catches up on a call as fast as the emulator serves it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.consumer_memory import far_ends
from benchmarks.side_by_side.child import CommandFailedError, Usage, in_turn, medians, run
from benchmarks.side_by_side.far_ends import delete_recordings, emulated_calls
from benchmarks.side_by_side.lines import Line, absolute_line, ratio_line
from benchmarks.side_by_side.replay_rows import HOUR_S, START_UP_S
from benchmarks.side_by_side.trees import Tree, Trees

MOST_MIB: Final = 56
_PEAK_RUNS: Final = 3
"""Processes of one call each that show the peak. It hardly differs from run to run."""
_CHILD: Final = str(Path(__file__).with_name("recording_child.py"))


def consumer_10min(trees: Trees, repeats: int) -> Iterator[Line]:
    """The whole consumer on loopback, 10 min."""
    return _consumer(trees, repeats, 600, "10 min", None)


def consumer_1h(trees: Trees, repeats: int) -> Iterator[Line]:
    """The whole consumer on loopback, 1 h."""
    return _consumer(trees, repeats, HOUR_S, "1 h", None)


def consumer_4h(trees: Trees, repeats: int) -> Iterator[Line]:
    """The whole consumer on loopback, 4 h."""
    return _consumer(trees, repeats, 4 * HOUR_S, "4 h", 0.55)


def recorded(
    tree: Tree,
    lengths: Sequence[float],
    variables: Mapping[str, str],
    *,
    live: bool = False,
    times: tuple[float, ...] = (),
) -> dict[str, Any]:
    """Record calls with a tree's consumer, one after the other in one process of their own.

    Args:
        tree: the tree.
        lengths: the calls' lengths, seconds.
        variables: the consumer's environment.
        live: at the calls' own pace.
        times: two times in seconds between which the child measures its CPU.

    Returns:
        The report that the process printed.

    Raises:
        CommandFailedError: the process failed, or a recording is not whole.
    """
    with emulated_calls(lengths, live=live) as (url, arns):
        services = ("KINESIS_VIDEO", "KINESIS_VIDEO_MEDIA", "CONNECT")
        environment = {
            **tree.environment(variables),
            **{f"AWS_ENDPOINT_URL_{service}": url for service in services},
            "LAMBDA_TASK_ROOT": str(tree.root / "src"),
        }
        between = ["--between", *map(str, times)] if times else []
        usage = run([sys.executable, "-W", "ignore", _CHILD, *arns, *between], environment)
    delete_recordings(variables["AWS_ENDPOINT_URL_S3"])
    report: dict[str, Any] = json.loads(usage.output)
    for seconds, call in zip(lengths, report["calls"], strict=True):
        if call["status"] != "complete" or abs(call["duration_s"] - seconds) > 1:
            raise CommandFailedError(f"{tree.name}: {seconds} s were not recorded whole: {report}")
    return report


def beyond_start_up(report: Mapping[str, Any], seconds: float) -> Usage:
    """Return the cost of a process's last call beyond the call before it.

    Imports and first use differ by 0.2 CPU-s from process to process, as much as ten minutes' audio costs. So both
    calls are of one process, behind a call that pays for all of that.

    Args:
        report: of a process that recorded `calls_of(seconds)`.
        seconds: the last call's length.

    Returns:
        CPU-seconds of a call-hour, and the process's peak.
    """
    _, short, whole = report["calls"]
    return Usage((whole["cpu_s"] - short["cpu_s"]) * HOUR_S / (seconds - START_UP_S), report["peak_mib"])


def calls_of(seconds: float) -> tuple[float, ...]:
    """Return the lengths of the calls that one process records to measure the last of them.

    Args:
        seconds: the length of the last.
    """
    return START_UP_S, START_UP_S, seconds


def _consumer(trees: Trees, repeats: int, seconds: float, length: str, at_most: float | None) -> Iterator[Line]:
    def usage(tree: Tree) -> Usage:
        return beyond_start_up(recorded(tree, calls_of(seconds), variables), seconds)

    def fresh(tree: Tree) -> Usage:
        report = recorded(tree, [seconds], variables)
        return Usage(report["calls"][0]["cpu_s"], report["peak_mib"])

    with far_ends("http://unused.test") as variables:
        usages = in_turn({tree.name: partial(usage, tree) for tree in trees}, repeats)
        peaks = in_turn({tree.name: partial(fresh, tree) for tree in trees}, min(repeats, _PEAK_RUNS))
    before, now = (medians(usages[tree.name]).cpu_s for tree in trees)
    yield ratio_line(f"whole consumer, {length}", "CPU-s/h", before, now, trees.limit(at_most))
    before, now = (medians(peaks[tree.name]).peak_mib for tree in trees)
    yield absolute_line(f"whole consumer, {length}, peak", "MiB", now, MOST_MIB, before=before)
