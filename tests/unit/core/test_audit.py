"""The audit's arithmetic: is a recording suspect, and which listed fragments does it lack?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connect_audio.core.audit import counted_on, is_suspect, missing_by_counters, next_audit_number, recoverable


def number(counter: int) -> str:
    return str((1 << 156) | (counter << 92) | 5)


def manifest(
    status: str = "partial",
    *,
    first: int | None = 1,
    last: int | None = 20,
    admitted: int = 20,
    truncated: int = 0,
    gaps: Mapping[str, tuple[int, int]] | None = None,
    **evidence: str,
) -> dict[str, Any]:
    marks = {place: None if at is None else {"number": number(at)} for place, at in (("first", first), ("last", last))}
    return {
        "status": status,
        "fragments": {**marks, "admitted": admitted, "truncated": truncated},
        "gaps": {
            "listed": [
                {"track": track, "afterFragment": number(after), "beforeFragment": number(before)}
                for track, (after, before) in (gaps or {}).items()
            ]
        },
        "evidence": {part: {"state": evidence.get(part, "proven")} for part in ("opening", "middle", "end")},
    }


def listed(*spans: tuple[int, int]) -> list[str]:
    return [number(each) for first, last in spans for each in range(first, last + 1)]


@pytest.mark.parametrize("status", ["partial", "empty"])
def test_a_recording_that_is_not_complete_is_suspect(status: str) -> None:
    assert is_suspect(manifest(status))


def test_a_complete_one_is_suspect_only_by_its_counters() -> None:
    assert not is_suspect(manifest("complete"))
    assert is_suspect(manifest("complete", admitted=18))
    # More fragments than numbers: repeated ones, for example.
    assert not is_suspect(manifest("complete", admitted=22))


def test_a_jump_to_the_next_thousand_is_a_new_session_and_no_loss() -> None:
    assert missing_by_counters(manifest(last=1010, admitted=20)) == 0
    assert missing_by_counters(manifest(last=910, admitted=10)) == 900
    assert missing_by_counters(manifest(first=None, last=None)) == 0


def test_listed_fragments_beyond_the_admitted_ones_are_recoverable() -> None:
    assert recoverable(manifest(admitted=18), listed((1, 20))) == 2
    assert recoverable(manifest(), listed((1, 20))) == 0
    assert recoverable(manifest(admitted=18), listed((1, 18))) == 0


def test_a_fragment_that_was_cut_off_is_recoverable() -> None:
    assert recoverable(manifest(truncated=1), listed((1, 20))) == 1


def test_a_gap_shows_what_the_count_hides_where_the_stream_lost_others() -> None:
    hole = (5, 8)
    both = manifest(admitted=18, gaps={"customer": hole, "agent": hole})
    assert recoverable(both, listed((3, 20))) == 2
    # One party alone is silent: its fragments are in the recording.
    assert recoverable(manifest(gaps={"customer": hole}), listed((1, 20))) == 0


def test_fragments_outside_count_at_a_proven_border_only_where_the_producer_counted_on() -> None:
    inside = manifest(first=6, last=25)
    assert recoverable(inside, listed((4, 27))) == 4
    # The next session, and one behind a hole.
    assert recoverable(inside, listed((6, 25), (1001, 1009))) == 0
    assert recoverable(inside, listed((1, 4), (6, 25), (27, 30))) == 0
    assert counted_on(int(number(25)), [int(each) for each in listed((26, 28), (30, 31))], 1) == [
        int(each) for each in listed((26, 28))
    ]
    assert counted_on(7, [8, 9], 1) == []


def test_fragments_outside_count_at_a_border_that_is_not_proven() -> None:
    numbers = listed((1, 4), (6, 25), (27, 30))
    assert recoverable(manifest(first=6, last=25), numbers) == 0
    assert recoverable(manifest(first=6, last=25, opening="not_proven"), numbers) == 4
    assert recoverable(manifest(first=6, last=25, end="not_proven"), numbers) == 4
    assert recoverable(manifest(first=6, last=25, opening="not_asked", end="not_asked"), numbers) == 0


def test_a_recording_without_fragments_lacks_all_of_them() -> None:
    assert recoverable(manifest("empty", first=None, last=None, admitted=0), listed((1, 7))) == 7


def test_audits_are_counted_from_the_manifest_s_newest() -> None:
    assert next_audit_number({}) == next_audit_number({"audit": None}) == 1
    assert next_audit_number({"audit": {"number": 4}}) == 5
