"""Skipped places are counted by their failure, and the list of failures is bounded."""

from __future__ import annotations

from connect_audio.core.cursor import Cursor
from connect_audio.core.manifest import Reason
from connect_audio.recorder.call_stream import _MOST_SKIPPED, CallStream, ReadState
from connect_audio.recorder.skip import Failure
from support.calls import call
from support.log_lines import LogLines
from support.world import world


def counts(*codes: str) -> list[tuple[str, int, str | None]]:
    """Skip a place for each code, each behind another fragment."""
    stream = CallStream(world(call(1)).ports(), ReadState(), Cursor())
    for number, code in enumerate(codes, 1):
        stream._count_skip(Failure(Reason(code, "what KVS says")), str(number))
    return [(each.reason.code, each.count, each.behind) for each in stream.state.skipped]


def test_places_are_counted_by_their_failure() -> None:
    assert counts("A", "B", "C", "B") == [("A", 1, "1"), ("B", 2, "4"), ("C", 1, "3")]


def test_each_skip_is_logged_with_its_place() -> None:
    at = world(call(1))
    at.logger = log = LogLines()
    stream = CallStream(at.ports(), ReadState(), Cursor())
    for position in ("1", "2", "1"):
        stream._count_skip(Failure(Reason("A", "what KVS says")), position)

    told = [("warning", {"after": position, "reason": "A"}) for position in ("1", "2", "1")]
    assert log.of("place of the stream cannot be read") == told


def test_failures_beyond_the_list_are_counted_with_its_last() -> None:
    codes = [f"CODE_{number}" for number in range(_MOST_SKIPPED + 2)]
    found = counts(*codes)
    assert [each[0] for each in found] == codes[:_MOST_SKIPPED]
    assert found[-1] == (codes[_MOST_SKIPPED - 1], 3, str(_MOST_SKIPPED + 2))
    assert {each[1] for each in found[:-1]} == {1}
