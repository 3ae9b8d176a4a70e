"""The manifest of a backfill: items by stream, JSON lines, and what of an item is left."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from connect_audio.core.errors import RequestError
from connect_audio.recorder.backfill import (
    MOST_CALLS,
    ONE_ITEM,
    BackfillItem,
    CallOutcome,
    items_of,
    left_of,
    lines_of,
    outcomes_of,
    read_lines,
)
from connect_audio.recorder.late_recording import LateCall

START: Final = 1_782_912_654_536


def arn(name: str) -> str:
    return f"arn:aws:kinesisvideo:eu-west-2:123456789012:stream/{name}/1782900000000"


def calls(name: str, count: int) -> list[LateCall]:
    return [LateCall(arn(name), START + number) for number in range(count)]


def shape(items: list[BackfillItem]) -> list[tuple[str, int]]:
    return [(item.stream_arn.split("/")[1], len(item.calls)) for item in items]


def test_an_item_has_calls_of_one_stream_and_two_items_of_a_stream_stand_far_apart() -> None:
    items = items_of([*calls("a", 5), *calls("b", 2), *calls("c", 3)], one_item=2)

    assert shape(items) == [("a", 3), ("b", 2), ("c", 2), ("a", 2), ("c", 1)]


def test_a_stream_has_at_most_two_items_until_it_has_very_many_calls() -> None:
    counts = (ONE_ITEM, ONE_ITEM + 1, 2 * MOST_CALLS, 2 * MOST_CALLS + 1)

    assert [[size for _, size in shape(items_of(calls("a", count)))] for count in counts] == [
        [100],
        [51, 50],
        [500, 500],
        [500, 500, 1],
    ]


def test_the_calls_of_a_stream_stand_in_the_order_of_their_starts_and_each_once() -> None:
    items = items_of(reversed(calls("a", 250)))

    assert [len(item.calls) for item in items] == [125, 125]
    assert [call.start_ms for item in items for call in item.calls] == [START + number for number in range(250)]


def test_a_manifest_is_json_lines_that_read_back() -> None:
    full = LateCall(arn("a"), START, "contact", "arn:aws:connect:eu-west-2:123456789012:instance/aa", 1000)
    items = items_of([full, *calls("b", 2)])

    text = lines_of(items)

    assert [json.loads(line)["stream"] for line in text.splitlines()] == [arn("a"), arn("b")]
    assert json.loads(text.splitlines()[1])["calls"][0] == {"startMs": START}
    assert list(read_lines(text + "\n")) == items


def test_an_item_fits_the_input_of_a_child_with_room_to_spare() -> None:
    longest = LateCall(
        f"arn:aws-us-gov:kinesisvideo:us-gov-west-1:123456789012:stream/{'s' * 256}/1782900000000",
        START,
        "c" * 256,
        f"arn:aws-us-gov:connect:us-gov-west-1:123456789012:instance/{'i' * 100}",
        1000,
    )
    line = json.dumps(BackfillItem(longest.stream_arn, (longest,) * MOST_CALLS).to_json())

    assert len(line) < 250 * 1024


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2 is no JSON"),
        ("[]", "line 2: an item is an object with a stream's ARN as `stream`"),
        ('{"stream": "a"}', "line 2: an item has a list of `calls`"),
        ('{"stream": "a", "calls": []}', "line 2: an item has a list of `calls`"),
        ('{"stream": "a", "calls": [1]}', "line 2: a call is an object"),
        (
            '{"stream": "a", "calls": [{"startMs": "1"}]}',
            "line 2: a call has its start as `startMs`, a whole number of ms since the epoch",
        ),
        (
            '{"stream": "a", "calls": [{"startMs": true}]}',
            "line 2: a call has its start as `startMs`, a whole number of ms since the epoch",
        ),
        (
            '{"stream": "a", "calls": [{"startMs": 1, "contactId": 2}]}',
            "line 2: contactId and instanceArn of a call are texts",
        ),
    ],
)
def test_a_line_that_is_no_item_is_named(line: str, complaint: str) -> None:
    with pytest.raises(RequestError) as error:
        list(read_lines(f"\n{line}\n"))

    assert str(error.value) == complaint


def test_a_call_is_left_unless_its_outcome_says_otherwise() -> None:
    [item] = items_of(calls("a", 7))
    statuses = ["complete", "partial", "exists", "none", "again", "unfinished"]
    outcomes = [CallOutcome(START + number, status) for number, status in enumerate(statuses)]

    left = left_of(item, outcomes)

    assert [call.start_ms - START for call in left] == [4, 5, 6]


def test_outcomes_read_back_and_anything_else_is_none() -> None:
    outcomes = [CallOutcome(START, "complete", "a.wav"), CallOutcome(START + 1, "none", detail="NO_AUDIO: none")]
    others: list[Any] = [None, [], {}, {"outcomes": 1}, {"outcomes": [1]}, {"outcomes": [{"startMs": "x"}]}]

    assert outcomes_of({"stream": "a", "outcomes": [each.to_json() for each in outcomes]}) == outcomes
    assert [outcomes_of(each) for each in others] == [[]] * len(others)


def test_an_items_name_is_its_calls() -> None:
    first, second = items_of(calls("a", 2), one_item=1)

    assert first.name == BackfillItem.from_json(first.to_json()).name
    assert first.name != second.name
