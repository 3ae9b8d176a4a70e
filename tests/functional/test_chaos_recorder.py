"""60 seeded schedules of chaos over the recorder, without the engine: nothing is lost, whatever goes wrong.

They draw each kind of `chaos/kinds.py`. A failure's text ends with the line that replays it. `make chaos N=2000` runs
as many as wanted.
"""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.schedule import run_schedule

_CHUNK = 20


@pytest.mark.parametrize("first", range(0, 60, _CHUNK))
def test_whatever_goes_wrong_the_recording_is_whole_or_says_why_not(first: int) -> None:
    judged = [run_schedule(seed) for seed in range(first, first + _CHUNK)]
    # A chunk in which nothing happens tests nothing.
    assert sum(each.kills.total() for each in judged) >= _CHUNK // 2
    assert sum(each.faults.total() for each in judged) >= 2 * _CHUNK
    assert Counter(each.status for each in judged)["complete"] >= _CHUNK // 8
    numbers = sum((each.numbers for each in judged), Counter())
    assert numbers["sinks that heard all"] >= _CHUNK // 2
    assert numbers["sinks that heard all"] > 5 * numbers["sinks that lack something"]
