"""`python -m benchmarks`, also `make bench`: every benchmark in turn, then its bounds. Some fifteen minutes."""

from __future__ import annotations

from benchmarks import (
    archive_cost,
    archive_hour,
    block_latency,
    call_page,
    cold_start,
    consumer_memory,
    live_latency,
    live_share,
    outputs,
    parse_to_wav,
    read_strategy,
    transcribe_share,
    words_latency,
    words_off,
    words_share,
)
from benchmarks.bounds import Bound, judge


def main() -> None:
    """Run them all; ends with status 1 if a bound is broken."""
    bounds: list[Bound] = []
    in_turn = (
        parse_to_wav,
        consumer_memory,
        archive_cost,
        archive_hour,
        block_latency,
        live_latency,
        live_share,
        cold_start,
        call_page,
        outputs,
        transcribe_share,
        words_latency,
        words_off,
        words_share,
    )
    for benchmark in in_turn:
        bounds += benchmark.main()
        print()
    read_strategy.main()
    print()
    judge(bounds)


if __name__ == "__main__":
    main()
