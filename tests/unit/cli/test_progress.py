"""The progress line: a bar, the elapsed time and the time that is left, in as many columns as there are."""

from __future__ import annotations

import io
import re

import pytest

from connect_audio_cli.output.progress import Progress, tracked


def line(done: int, total: float | None, elapsed_s: float, columns: int, *, in_bytes: bool = False) -> str:
    progress = Progress("Reading", total, in_bytes=in_bytes)
    progress._done = done
    return progress._line(elapsed_s, columns)


def test_the_time_that_is_left_is_what_the_rest_takes_at_the_pace_so_far() -> None:
    assert line(1, 4, 20.0, 80) == f"Reading {'━' * 10}{' ' * 30} 0:00:20 0:01:00 left"


def test_nothing_is_left_at_the_end() -> None:
    assert line(5, 4, 7200.0, 80) == f"Reading {'━' * 40} 2:00:00 0:00:00 left"


def test_before_the_first_unit_and_without_a_total_no_time_is_promised() -> None:
    assert "left" not in line(0, 4, 3.0, 80)
    assert line(2_000_000, None, 3.0, 80, in_bytes=True) == "Reading 2.0 MB 0:00:03"


@pytest.mark.parametrize("columns", [10, 30, 49, 79, 199])
def test_the_line_fits_whatever_the_width_is(columns: int) -> None:
    assert len(line(1_000_000, 4e6, 5.0, columns, in_bytes=True)) <= columns


def test_a_narrow_terminal_keeps_the_times_and_has_a_shorter_bar() -> None:
    assert line(1_000_000, 4e6, 5.0, 49, in_bytes=True) == "Reading ━━     1.0 MB/4.0 MB 0:00:05 0:00:15 left"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_makes_way_for_each_line_and_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")

    for number in tracked(range(3), what="Exporting", total=3, with_lines=True):
        screen.write(f"line {number}\n")

    clear = "\r\x1b[2K"
    [first, *bars] = re.findall(rf"{re.escape(clear)}line \d\n(?:{re.escape(clear)}Exporting[^\r]*)", screen.getvalue())
    assert re.search(r"line 0\n.*Exporting ━+ +\d:\d\d:\d\d \d:\d\d:\d\d left$", first, re.DOTALL)
    assert len(bars) == 2
