"""Rows of the whole consumer on loopback, which catches up on a call as fast as the emulator serves it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.consumer_memory import far_ends
from benchmarks.side_by_side.child import CommandFailedError, Usage, in_turn, run
from benchmarks.side_by_side.far_ends import delete_recordings, emulated_call
from benchmarks.side_by_side.lines import Line, absolute_line, ratio_line
from benchmarks.side_by_side.replay_rows import HOUR_S, START_UP_S, cost
from benchmarks.side_by_side.trees import Tree, Trees

MOST_MIB: Final = 56
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
    tree: Tree, seconds: float, variables: Mapping[str, str], *, live: bool = False, times: tuple[float, ...] = ()
) -> tuple[Usage, dict[str, Any]]:
    """Record one call with a tree's consumer, in a process of its own.

    Args:
        tree: the tree.
        seconds: the call's length.
        variables: the consumer's environment.
        live: at the call's own pace.
        times: two times in seconds between which the child measures its CPU.

    Returns:
        The process's usage, and the report that it printed.

    Raises:
        CommandFailedError: the process failed, or the recording is not whole.
    """
    with emulated_call(seconds, live=live) as (url, arn):
        services = ("KINESIS_VIDEO", "KINESIS_VIDEO_MEDIA", "CONNECT")
        environment = {
            **tree.environment(variables),
            **{f"AWS_ENDPOINT_URL_{service}": url for service in services},
            "LAMBDA_TASK_ROOT": str(tree.root / "src"),
        }
        command = [sys.executable, "-W", "ignore", _CHILD, arn, *map(str, times)]
        usage = run(command, environment)
    delete_recordings(variables["AWS_ENDPOINT_URL_S3"])
    report: dict[str, Any] = json.loads(usage.output)
    if report["status"] != "complete" or abs(report["duration_s"] - seconds) > 1:
        raise CommandFailedError(f"{tree.name}: {seconds} s were not recorded whole: {report}")
    return Usage(usage.cpu_s, report["peak_mib"]), report


def _consumer(trees: Trees, repeats: int, seconds: float, length: str, at_most: float | None) -> Iterator[Line]:
    with far_ends("http://unused.test") as variables:
        usages = in_turn(
            {
                (tree.name, each): partial(_usage, tree, each, variables)
                for each in (START_UP_S, seconds)
                for tree in trees
            },
            repeats,
        )
    before, now = (cost(usages, tree.name, seconds) for tree in trees)
    yield ratio_line(f"whole consumer, {length}", "CPU-s/h", before.cpu_s, now.cpu_s, trees.limit(at_most))
    yield absolute_line(f"whole consumer, {length}, peak", "MiB", now.peak_mib, MOST_MIB, before=before.peak_mib)


def _usage(tree: Tree, seconds: float, variables: Mapping[str, str]) -> Usage:
    return recorded(tree, seconds, variables)[0]
