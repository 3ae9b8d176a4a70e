"""The harness that compares two trees: what it measures, and what it says where it cannot compare."""

from __future__ import annotations

import os
import sys

import pytest
from benchmarks.side_by_side.captures import SHAPES
from benchmarks.side_by_side.child import CommandFailedError, run
from benchmarks.side_by_side.consumer_rows import beyond_start_up
from benchmarks.side_by_side.lines import absolute_line, ratio_line
from benchmarks.side_by_side.trees import BEFORE_ACCOUNTS, ROOT, CommitMissingError, Tree, Trees, trees


def test_a_commit_that_the_clone_lacks_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(CommitMissingError, match="git fetch --unshallow"), trees("0" * 40):
        pass


def test_a_run_gives_the_childs_processor_time_memory_and_last_line() -> None:
    program = "x = b'x' * 50_000_000; sum(range(2_000_000)); print('first'); print('last')"
    usage = run([sys.executable, "-c", program], os.environ)
    assert usage.output == "last"
    assert usage.cpu_s > 0.005
    assert 48 < usage.peak_mib < 100


def test_a_run_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(CommandFailedError, match="ended with 4:\nno such stream"):
        run([sys.executable, "-c", "import sys; print('no such stream', file=sys.stderr); sys.exit(4)"], os.environ)


def test_a_line_says_whether_its_bound_is_kept() -> None:
    assert str(ratio_line("replay", "CPU-s/h", 1.0, 0.39, 0.38)).endswith("0.39  BROKEN: at most 0.38")
    assert str(ratio_line("replay", "CPU-s/h", 1.0, 0.37, 0.38)).endswith("0.37  kept: at most 0.38")
    assert str(absolute_line("peak", "MiB", 56.5, 56)).endswith("BROKEN: at most 56")


@pytest.mark.parametrize("start_up_s", [0.4, 0.9])
def test_a_processs_start_is_no_part_of_what_its_last_call_costs(start_up_s: float) -> None:
    calls = [{"cpu_s": start_up_s}, {"cpu_s": 0.2}, {"cpu_s": 0.5}]
    usage = beyond_start_up({"calls": calls, "peak_mib": 57.0}, 605)
    assert usage.cpu_s == pytest.approx(0.3 * 3600 / 600)
    assert usage.peak_mib == 57.0


@pytest.mark.parametrize(("commit", "limit"), [("a2710c3", 0.38), (BEFORE_ACCOUNTS, 1.05)])
def test_the_accounts_have_a_bound_of_their_own_against_the_commit_before_them(commit: str, limit: float) -> None:
    tree = Tree("now", ROOT)
    assert Trees(tree, tree, commit).limit(0.38) == limit


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_of_capture_is_the_same_bytes_each_time(shape: str) -> None:
    once = b"".join(SHAPES[shape](30))
    assert len(once) > 30 * 8000 * 2
    assert b"".join(SHAPES[shape](30)) == once
