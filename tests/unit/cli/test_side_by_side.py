"""Exports side by side: how many at once, how many of one stream, and how soon."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from connect_audio_cli.export.exporter import Size, least_seconds
from connect_audio_cli.export.pace import Pace
from connect_audio_cli.export.rows import Row
from connect_audio_cli.export.side_by_side import side_by_side
from support.clock import FakeClock

ARN = "arn:aws:kinesisvideo:eu-west-2:123456789012:stream/a/1782900000000"


def rows(*streams: str) -> list[Row]:
    return [Row(stream, start_ms) for start_ms, stream in enumerate(streams)]


def test_rows_run_at_the_same_time_and_of_one_stream_two_at_most() -> None:
    # Three of the first four can begin at once: only two of them are of stream a, whatever it is called.
    meeting, lock = threading.Barrier(3, timeout=10), threading.Lock()
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def work(row: Row) -> int:
        with lock:
            running[row.stream_name] += 1
            most[row.stream_name] = max(most[row.stream_name], running[row.stream_name])
            most["all"] = max(most["all"], running.total())
        if row.start_ms in {0, 1, 3}:
            meeting.wait()
        with lock:
            running[row.stream_name] -= 1
        return row.start_ms

    results = [result for _, result in side_by_side(rows("a", ARN, "a", "b", "a"), work, at_once=3, of_a_stream=2)]

    assert sorted(results) == [0, 1, 2, 3, 4]
    assert most == {"a": 2, "b": 1, "all": 3}


def test_the_streams_take_turns_and_a_streams_rows_keep_their_order() -> None:
    begun: list[int] = []
    list(side_by_side(rows("a", "a", "b", "c"), lambda row: begun.append(row.start_ms), at_once=1, of_a_stream=2))
    assert [start for start in begun if start < 2] == [0, 1]
    assert begun[0] == 0
    assert set(begun[:3]) != {0, 1, 2}
    assert list(side_by_side([], lambda row: row, at_once=1, of_a_stream=1)) == []


def test_an_error_of_the_work_comes_out_and_no_further_row_begins() -> None:
    begun: list[int] = []

    def work(row: Row) -> None:
        begun.append(row.start_ms)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        list(side_by_side(rows("a", "b"), work, at_once=1, of_a_stream=1))
    assert begun == [0]


def test_a_pace_keeps_a_pause_between_the_end_of_a_turn_and_the_next_one() -> None:
    clock = FakeClock()
    pace, begun_s = Pace(0.5, clock), []
    for _ in range(3):
        with pace.turn():
            begun_s.append(clock.monotonic())
            # The answer takes a while.
            clock.pass_by(0.25)
    assert begun_s == [0, 0.75, 1.5]
    clock.pass_by(10)
    with pace.turn():
        assert clock.monotonic() == 11.75


def test_the_least_time_is_the_busiest_streams_or_the_machines() -> None:
    a, b, c = rows("a", "a", "b")
    second = Size(1, 25_000_000)
    assert least_seconds([], 8) == 0
    assert least_seconds([(a, second), (b, second), (c, second)], 8) == 2
    assert least_seconds([(a, second), (b, second), (c, second)], 1) == 3
    # Two calls of a stream begin in a second, however short they are.
    assert least_seconds([(a, Size(1, 1)), (b, Size(1, 1))], 8) == 1
