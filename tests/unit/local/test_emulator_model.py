from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from connect_audio_local.kvs import (
    UNLIMITED,
    AsRead,
    Delivery,
    EmulatedStream,
    Limits,
    Live,
    Pace,
    ServiceError,
    StoredFragment,
)
from connect_audio_local.kvs.model import ALL_AT_ONCE, Account, CallMeter, FragmentReader, NoMore, NotBefore
from connect_audio_local.kvs.service_error import FragmentNotFoundError

START_MS = 1_782_912_654_536


def fragment(index: int, *, contact_id: str | None = "ours", size: int = 100, length_ms: int = 1000) -> StoredFragment:
    """Fragment `index` of a stream of seconds: number 1000 + index, server time 300 ms before producer time."""
    start_ms = START_MS + index * 1000
    return StoredFragment(
        str(1000 + index), start_ms, start_ms - 300, length_ms, contact_id, "instance", size, lambda: b"x" * size
    )


def fragments(number: int) -> list[StoredFragment]:
    return [fragment(index) for index in range(number)]


def stream(
    number: int = 10,
    *,
    pace: Pace = ALL_AT_ONCE,
    delivery: Delivery = Delivery.FRAGMENT,
    retention_hours: int = 24,
) -> EmulatedStream:
    made = EmulatedStream("calls", fragments(number), pace=pace, delivery=delivery, retention_hours=retention_hours)
    made.start(0.0)
    return made


def read(reader: FragmentReader, now_s: float = 0.0) -> list[int]:
    """Indices of all fragments that a reader gets at a time."""
    found = []
    while isinstance(got := reader.next(now_s), StoredFragment):
        found.append(int(got.number) - 1000)
    return found


def select(kind: str, **fields: Any) -> Mapping[str, Any]:
    return {"StartSelectorType": kind} | fields


# --- selectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "first"),
    [
        (select("EARLIEST"), 0),
        (select("NOW"), 9),
        (select("FRAGMENT_NUMBER", AfterFragmentNumber="1003"), 4),
        (select("CONTINUATION_TOKEN", ContinuationToken="1003"), 4),
        (select("PRODUCER_TIMESTAMP", StartTimestamp=START_MS / 1000 + 3), 3),
        (select("PRODUCER_TIMESTAMP", StartTimestamp=START_MS / 1000 + 3.999), 3),
        (select("PRODUCER_TIMESTAMP", StartTimestamp=START_MS / 1000 - 5), 0),
        (select("SERVER_TIMESTAMP", StartTimestamp=START_MS / 1000 + 3.699), 3),
        (select("SERVER_TIMESTAMP", StartTimestamp=START_MS / 1000 + 3.7), 4),
    ],
)
def test_a_selector_starts_with_the_fragment_it_means_and_reads_on(selector: Mapping[str, Any], first: int) -> None:
    assert read(stream().open(selector, 0.0)) == list(range(first, 10))


def test_a_time_in_a_hole_starts_with_the_fragment_behind_it() -> None:
    holed = EmulatedStream("calls", [fragment(0), fragment(1), fragment(7)])

    reader = holed.open(select("PRODUCER_TIMESTAMP", StartTimestamp=START_MS / 1000 + 4), 0.0)

    assert read(reader) == [7]


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (select("FRAGMENT_NUMBER"), "StartSelectorType FRAGMENT_NUMBER needs AfterFragmentNumber"),
        (select("FRAGMENT_NUMBER", AfterFragmentNumber="12x"), "AfterFragmentNumber does not match [0-9]{1,128}"),
        (select("CONTINUATION_TOKEN"), "StartSelectorType CONTINUATION_TOKEN needs ContinuationToken"),
        (select("CONTINUATION_TOKEN", ContinuationToken="abc"), "ContinuationToken was not issued by this service"),
        (
            select("PRODUCER_TIMESTAMP"),
            "StartSelectorType PRODUCER_TIMESTAMP needs StartTimestamp, seconds since the epoch",
        ),
        (select("LATEST"), "StartSelectorType 'LATEST' is none of the six start selectors"),
        ({}, "StartSelectorType None is none of the six start selectors"),
    ],
)
def test_an_incomplete_selector_is_an_invalid_argument(selector: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ServiceError) as caught:
        stream().open(selector, 0.0)

    assert (caught.value.code, caught.value.status, caught.value.message) == ("InvalidArgumentException", 400, message)


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_live_stream_gives_each_fragment_at_its_end() -> None:
    live = stream(pace=Live())
    reader = live.open(select("EARLIEST"), 0.0)

    assert read(reader, 0.999) == []
    assert read(reader, 1.0) == [0]
    assert reader.next(1.5) == NotBefore(2.0)
    assert read(reader, 3.2) == [1, 2]
    assert read(reader, 10.0) == [3, 4, 5, 6, 7, 8, 9]
    assert reader.next(10.0) == NoMore()


def test_a_live_stream_runs_at_its_speed_from_the_moment_it_is_started() -> None:
    live = EmulatedStream("calls", fragments(10), pace=Live(speed=60))
    live.start(100.0)

    assert read(live.open(select("EARLIEST"), 100.0), 100.05) == [0, 1, 2]


def test_a_fragment_delivered_block_by_block_is_open_from_its_start() -> None:
    live = stream(pace=Live(), delivery=Delivery.BLOCK)

    assert read(live.open(select("EARLIEST"), 0.0), 0.0) == [0]


def test_now_on_a_live_stream_starts_with_its_newest_fragment() -> None:
    live = stream(pace=Live())

    assert read(live.open(select("NOW"), 4.5), 5.0) == [3, 4]
    assert read(stream(pace=Live()).open(select("NOW"), 0.0), 2.0) == [0, 1]


def test_a_number_or_token_that_is_still_to_come_was_never_issued() -> None:
    live = stream(pace=Live())
    with pytest.raises(FragmentNotFoundError):
        live.open(select("FRAGMENT_NUMBER", AfterFragmentNumber="1005"), 1.0)
    with pytest.raises(ServiceError):
        live.open(select("CONTINUATION_TOKEN", ContinuationToken="1005"), 1.0)
    assert read(live.open(select("FRAGMENT_NUMBER", AfterFragmentNumber="1005"), 6.5), 8.0) == [6, 7]


def test_an_expired_number_was_issued_though_the_producer_numbers_lower_since() -> None:
    again = [replace(fragment(at), number=number) for at, number in ((0, "2000"), (301, "1000"), (302, "1001"))]
    buffered = EmulatedStream("calls", again, retention_hours=0)
    after = "AfterFragmentNumber"
    assert [each.number for each in buffered.retained(0.0)] == ["1000", "1001"]
    assert read(buffered.open(select("FRAGMENT_NUMBER", **{after: "2000"}), 0.0)) == []
    with pytest.raises(FragmentNotFoundError):
        buffered.open(select("FRAGMENT_NUMBER", **{after: "2001"}), 0.0)


def test_a_due_time_is_reached_when_the_clock_shows_it() -> None:
    # Whoever sleeps until the time named must find something then, whatever floats do to it.
    live = EmulatedStream("calls", fragments(500), pace=Live(speed=7.3))
    live.start(12345.678)
    reader = live.open(select("EARLIEST"), 12345.678)
    now_s = 12345.678

    for _ in range(500):
        due = reader.next(now_s)
        assert isinstance(due, NotBefore)
        now_s = due.due_s
        assert isinstance(reader.next(now_s), StoredFragment)


# --- retention -------------------------------------------------------------------------------------------------------


def test_a_stream_that_retains_nothing_still_has_its_last_five_minutes() -> None:
    live = stream(1000, pace=Live(), retention_hours=0)

    assert read(live.open(select("EARLIEST"), 900.0), 900.0) == list(range(600, 900))
    assert live.retained(2000.0) == []


def test_a_stream_that_retains_nothing_has_200_mb_at_most() -> None:
    heavy = EmulatedStream("calls", [fragment(index, size=50_000_000) for index in range(10)], retention_hours=0)

    assert read(heavy.open(select("EARLIEST"), 0.0)) == [6, 7, 8, 9]


def test_retention_is_counted_in_hours_of_media_time() -> None:
    live = stream(8000, pace=Live(speed=3600), retention_hours=1)

    assert read(live.open(select("EARLIEST"), 2.0), 2.0)[0] == 3600


def test_a_reader_that_fell_behind_retention_goes_on_with_the_oldest_there_is() -> None:
    live = stream(1000, pace=Live(), retention_hours=0)
    reader = live.open(select("EARLIEST"), 0.0)

    assert read(reader, 2.0) == [0, 1]
    assert read(reader, 900.0)[0] == 600


def test_an_endless_stream_read_at_its_own_pace_keeps_only_the_buffer() -> None:
    endless = EmulatedStream("calls", (fragment(index) for index in count()), pace=AsRead(), retention_hours=0)
    reader = endless.open(select("EARLIEST"), 0.0)

    numbers = [reader.next(0.0) for _ in range(2000)]

    assert [int(got.number) - 1000 for got in numbers if isinstance(got, StoredFragment)] == list(range(2000))
    assert len(endless.retained(0.0)) == 300


def test_a_second_reader_of_a_stream_read_at_its_own_pace_resumes_where_the_first_one_stopped() -> None:
    as_read = stream(pace=AsRead())
    first = as_read.open(select("EARLIEST"), 0.0)
    for _ in range(4):
        first.next(0.0)

    assert read(as_read.open(select("FRAGMENT_NUMBER", AfterFragmentNumber="1003"), 0.0)) == [4, 5, 6, 7, 8, 9]


def test_fragments_are_pulled_from_a_live_source_only_when_their_time_has_come() -> None:
    pulled = []

    def source() -> Iterator[StoredFragment]:
        for index in count():
            pulled.append(index)
            yield fragment(index)

    live = EmulatedStream("calls", source(), pace=Live())
    live.start(0.0)
    live.retained(3.0)

    assert pulled == [0, 1, 2, 3]  # three have come, one is looked at


# --- contacts --------------------------------------------------------------------------------------------------------


def test_a_contact_ends_when_its_last_fragment_was_produced() -> None:
    live = stream(pace=Live(), delivery=Delivery.BLOCK)

    states = {now_s: live.contact("ours", now_s) for now_s in (0.5,)}
    assert states[0.5] is not None
    assert not states[0.5].ended
    at_9 = live.contact("ours", 9.5)
    assert at_9 is not None
    assert not at_9.ended
    at_10 = live.contact("ours", 10.0)
    assert at_10 is not None
    assert (at_10.ended, at_10.end_ms) == (True, START_MS + 10_000)


def test_a_contact_ends_when_another_one_follows_in_the_stream() -> None:
    calls = [fragment(0), fragment(1, contact_id=None), fragment(60, contact_id="theirs")]
    live = EmulatedStream("calls", calls, pace=Live())
    live.start(0.0)

    after_first = live.contact("ours", 1.5)
    assert after_first is not None
    assert not after_first.ended  # what follows has no label: it may be ours
    after_second = live.contact("ours", 2.0)
    assert after_second is not None
    assert after_second.ended
    assert live.contact("theirs", 2.0) is None


# --- the account and its limits --------------------------------------------------------------------------------------


def test_a_stream_is_found_by_name_or_by_arn() -> None:
    account = Account()
    account.add(calls := stream())

    assert account.find({"StreamName": "calls"}) is calls
    assert account.find({"StreamARN": calls.arn}) is calls


@pytest.mark.parametrize(
    ("request_fields", "code", "status"),
    [
        ({}, "InvalidArgumentException", 400),
        ({"StreamName": "calls", "StreamARN": "arn"}, "InvalidArgumentException", 400),
        ({"StreamName": "no such/name"}, "InvalidArgumentException", 400),
        ({"StreamARN": "arn:aws:kinesisvideo::stream/calls"}, "InvalidArgumentException", 400),
        ({"StreamName": 7}, "InvalidArgumentException", 400),
        ({"StreamName": "other"}, "ResourceNotFoundException", 404),
    ],
)
def test_a_stream_that_is_not_named_rightly_is_an_error(request_fields: dict[str, Any], code: str, status: int) -> None:
    account = Account()
    account.add(stream())

    with pytest.raises(ServiceError) as caught:
        account.find(request_fields)

    assert (caught.value.code, caught.value.status) == (code, status)


def test_a_second_stream_of_the_same_name_is_refused() -> None:
    account = Account()
    account.add(stream())

    with pytest.raises(ValueError, match="there is a stream calls already"):
        account.add(stream())


def test_a_limit_of_calls_counts_the_last_second() -> None:
    meter = CallMeter()

    assert [meter.allow("GetMedia", 2, now_s) for now_s in (0.0, 0.5, 0.9, 1.0, 1.2, 1.5)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert meter.allow("GetDataEndpoint", 2, 0.9)


def test_the_sixth_call_in_a_second_exceeds_the_limit_of_a_stream() -> None:
    calls = stream()
    for _ in range(5):
        calls.admit_call("GetMedia", Limits(), 0.0)
    calls.admit_call("GetDataEndpoint", Limits(), 0.0)
    calls.admit_call("GetMedia", UNLIMITED, 0.0)

    with pytest.raises(ServiceError, match="ClientLimitExceededException: more than 5 GetMedia calls a second"):
        calls.admit_call("GetMedia", replace(Limits(), connections=None), 0.999)
    calls.admit_call("GetMedia", Limits(), 1.0)
