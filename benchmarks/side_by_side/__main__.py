"""`python -m benchmarks.side_by_side`: the rows in turn, a table, and exit code 1 where a bound is broken.

Each row runs both trees in turn within this process's time, so that other work on the machine meets both. CPU is user
and system time of the child process beyond its start-up, which is the median run of a call of 5 s.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.side_by_side import consumer_rows, live_rows, replay_rows
from benchmarks.side_by_side.child import CommandFailedError
from benchmarks.side_by_side.lines import HEADING, Line
from benchmarks.side_by_side.replay_rows import DifferentAudioError
from benchmarks.side_by_side.trees import CommitMissingError, Trees, trees

BEFORE: Final = "a2710c3"
"""The commit that the bounds refer to."""

ROWS: Final[dict[str, Callable[[Trees, int], Iterator[Line]]]] = {
    "start-up": replay_rows.start_up,
    "import": replay_rows.library_import,
    "replay-1h": replay_rows.replay_1h,
    "replay-20ms": replay_rows.replay_20ms,
    "replay-shapes": replay_rows.replay_shapes,
    "replay-12h": replay_rows.replay_12h,
    "core": replay_rows.core_ebmlite,
    "consumer-10min": consumer_rows.consumer_10min,
    "consumer-1h": consumer_rows.consumer_1h,
    "consumer-4h": consumer_rows.consumer_4h,
    "live-pace": live_rows.live_pace,
    "live-share": live_rows.live_share,
    "block-to-sink": live_rows.block_to_sink,
}


def main() -> int:
    """Run the rows that are asked for."""
    options = _options()
    broken = 0
    try:
        with trees(options.commit) as both:
            print(f"this tree, and {options.commit}; medians of {options.repeats}\n{HEADING}", flush=True)
            for name in options.only:
                began = time.monotonic()
                try:
                    for line in ROWS[name](both, options.repeats):
                        print(line, flush=True)
                        broken += line.bound is not None and not line.bound.kept
                except (CommandFailedError, DifferentAudioError) as error:
                    print(f"{name}: BROKEN: {error}", flush=True)
                    broken += 1
                load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
                print(f"  ({name}: {time.monotonic() - began:.0f} s, load {load})", flush=True)
    except CommitMissingError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{broken} broken" if broken else "every bound is kept")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    rows = "\n".join(f"  {name:16}{(row.__doc__ or '').strip()}" for name, row in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side",
        description="Measure this tree and an earlier commit in turn.",
        epilog=f"rows:\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="ROW,…", type=_row_names, default=list(ROWS), help="these rows alone")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each contender (default: 5)")
    parser.add_argument("--commit", default=BEFORE, help=f"the commit to compare with (default: {BEFORE})")
    return parser.parse_args()


def _row_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
