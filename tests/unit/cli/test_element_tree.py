from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from connect_audio_cli.inspection.element_tree import ElementRow, KeptBytes, element_rows
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call

SHARED = Path(__file__).parents[4] / "shared" / "captures"
LAYOUT = SHARED / "connect-fragment-layout.txt"
FRAGMENT = next(synthesize_call(SyntheticCall(customer=bytes(16_384), agent=bytes(16_384)))).data


@pytest.mark.skipif(not LAYOUT.exists(), reason="the shared captures are not here")
def test_a_real_fragment_has_the_tree_of_the_published_dump() -> None:
    dumped = [
        (int(match[1]), int(match[2]), match[3])
        for match in re.finditer(r"^ *(\d+) +(\d+) +(\w+)", LAYOUT.read_text(), re.MULTILINE)
        if match[3] != "MatroskaDocument"
    ]

    rows = element_rows((SHARED / "connect-call-61s.mkv").read_bytes()[:34768], 0)

    assert [(row.offset, row.size, row.name) for row in rows] == dumped


def test_offsets_are_those_in_the_capture() -> None:
    here, further_on = element_rows(FRAGMENT, 0), element_rows(FRAGMENT, 5000)

    assert [row.offset + 5000 for row in here] == [row.offset for row in further_on]


def test_values_are_shown_by_their_kind() -> None:
    rows = {row.name: row for row in reversed(list(element_rows(FRAGMENT, 0)))}

    def shown(name: str) -> tuple[str, str | int | float | None]:
        return rows[name].kind, rows[name].value

    assert shown("Segment") == ("master", None)
    assert rows["Tracks"].children == 2
    assert shown("DocType") == ("str", "matroska")
    assert shown("TimecodeScale") == ("int", 1_000_000)
    assert shown("CodecPrivate") == ("binary", "11 90")
    assert shown("SimpleBlock") == ("binary", "track 1, +0 ticks, 1024 bytes")


def test_a_fragment_that_is_cut_off_is_shown_as_far_as_it_goes() -> None:
    whole = list(element_rows(FRAGMENT, 0))
    block = next(row for row in whole if row.name == "SimpleBlock")

    rows = list(element_rows(FRAGMENT[: block.offset + 100], 0))

    assert rows[-1].name == "SimpleBlock"
    assert rows[-1].broken == "cut off after 91 bytes"
    assert rows[: len(rows) - 1][-1].name == "Position"


@pytest.mark.parametrize("cut", range(30, 1100, 13))
def test_a_fragment_may_be_cut_off_anywhere(cut: int) -> None:
    rows = list(element_rows(FRAGMENT[:cut], 0))

    assert rows
    assert all(before.offset <= after.offset for before, after in pairwise(rows))


def test_what_ebmlite_cannot_read_is_a_row_that_says_so() -> None:
    rows = list(element_rows(FRAGMENT[:52] + b"\x01\x01\x01\x01\x00" + FRAGMENT[57:], 0))

    unreadable = [row for row in rows if row.broken]
    assert unreadable
    assert isinstance(unreadable[-1], ElementRow)


@pytest.mark.parametrize("chunk", [1, 7, 100, 1000])
def test_bytes_that_went_by_are_given_back_by_position(chunk: int) -> None:
    data = bytes(index % 251 for index in range(997))
    kept = KeptBytes()
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]

    assert list(kept.watch(chunks)) == chunks
    assert kept.take(3, 90) == data[3:93]
    assert kept.take(93, 400) == data[93:493]
    assert kept.take(600, 1000) == data[600:]
