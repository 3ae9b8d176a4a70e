"""The listing of a stream over a real socket: pages, throttles, wrong endpoints, and a time that is not kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError
from connect_audio.ports import ListedFragment
from connect_audio_local.kvs import (
    UNLIMITED,
    ArchiveBehaviour,
    EmulatedStream,
    FaultPlan,
    KvsEmulator,
    ManualClock,
    stored,
)
from connect_audio_local.kvs.faults import MoveEndpoint, OnCall, Refuse
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.clock import FakeClock
from support.kvs_clients import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.wire_server import Exchange, Handler, WireServer

FRAGMENTS = fragments(call(10))
NUMBERS = [each.number for each in FRAGMENTS]
FIRST_MS, LAST_MS = DEFAULT_START_MS - 5000, DEFAULT_START_MS + 60_000
STREAM_ARN = "arn:aws:kinesisvideo:eu-west-2:123456789012:stream/calls/1782900000000"


class Listing:
    """A stream in the emulator, and its index."""

    def __init__(self, emulator: KvsEmulator, resources: ExitStack) -> None:
        self._emulator = emulator
        self._resources = resources
        self.clock = FakeClock()

    def index(self, *, page_size: int = 1000, retention_hours: int = 24, **options: Any) -> KvsFragmentIndex:
        faults = options.pop("faults", FaultPlan())
        archive = ArchiveBehaviour(**options)
        self.stream = self._emulator.add_stream(
            EmulatedStream("calls", stored(FRAGMENTS), retention_hours=retention_hours, archive=archive, faults=faults)
        )
        index = KvsFragmentIndex(self.stream.arn, session=SESSION, clock=self.clock, page_size=page_size)
        return self._resources.enter_context(closing(index))

    def calls(self) -> int:
        return self.stream.faults.calls("ListFragments")


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listing]:
    with KvsEmulator(clock=ManualClock(), limits=UNLIMITED) as emulator, ExitStack() as resources:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield Listing(emulator, resources)


@pytest.mark.parametrize(("page_size", "calls"), [(1000, 1), (4, 3), (1, 10)])
def test_all_pages_make_one_list_in_order_of_the_numbers(listing: Listing, page_size: int, calls: int) -> None:
    found = listing.index(page_size=page_size, seed=3).fragments(FIRST_MS, LAST_MS)

    assert [each.number for each in found] == NUMBERS
    assert listing.calls() == calls
    assert found[1] == ListedFragment(
        number=NUMBERS[1],
        producer_ms=FRAGMENTS[1].producer_ms,
        server_ms=found[1].server_ms,
        length_ms=960,
        size=len(FRAGMENTS[1].data),
    )


def test_a_range_has_the_fragments_that_begin_in_it_to_the_millisecond(listing: Listing) -> None:
    index = listing.index()
    begin_ms, end_ms = FRAGMENTS[2].producer_ms, FRAGMENTS[4].producer_ms

    assert [each.number for each in index.fragments(begin_ms, end_ms)] == NUMBERS[2:5]
    assert [each.number for each in index.fragments(begin_ms + 1, end_ms - 1)] == NUMBERS[3:4]


def test_an_empty_range_of_a_time_that_is_kept_is_an_empty_list(listing: Listing) -> None:
    assert listing.index().fragments(LAST_MS, LAST_MS + 1000) == []


@pytest.mark.parametrize(("retention_hours", "age_ms"), [(1, 2 * 3_600_000), (0, 0)])
def test_a_time_that_the_stream_does_not_keep_has_a_code_of_its_own(
    listing: Listing, retention_hours: int, age_ms: int
) -> None:
    index = listing.index(retention_hours=retention_hours, age_ms=age_ms)

    with pytest.raises(MediaSourceError) as refused:
        index.fragments(FIRST_MS, LAST_MS)

    assert (refused.value.code, refused.value.retryable) == (OUTSIDE_RETENTION, False)


def test_a_fragment_that_is_listed_late_is_there_when_asked_again(listing: Listing) -> None:
    index = listing.index(late={NUMBERS[-1]: 1})

    assert [len(index.fragments(FIRST_MS, LAST_MS)) for _ in range(2)] == [9, 10]


def test_a_throttled_page_is_asked_for_again_after_a_pause(listing: Listing) -> None:
    faults = FaultPlan((OnCall(2, Refuse("ClientLimitExceededException"), "ListFragments", times=2),))
    index = listing.index(page_size=5, faults=faults)
    began_s = listing.clock.monotonic()

    assert [each.number for each in index.fragments(FIRST_MS, LAST_MS)] == NUMBERS
    assert listing.clock.monotonic() - began_s == 2


def test_a_throttle_that_lasts_is_raised_after_six_tries(listing: Listing) -> None:
    index = listing.index(faults=FaultPlan((OnCall(1, Refuse("ClientLimitExceededException"), "ListFragments", None),)))

    with pytest.raises(MediaSourceError) as refused:
        index.fragments(FIRST_MS, LAST_MS)

    assert (refused.value.code, refused.value.retryable) == ("ClientLimitExceededException", True)
    assert listing.calls() == 6


def test_an_endpoint_that_has_moved_is_asked_for_again(listing: Listing) -> None:
    # The call that moves the endpoint comes at the old one, and is answered with an empty object.
    index = listing.index(faults=FaultPlan((OnCall(1, MoveEndpoint(), "ListFragments"),)))

    assert [each.number for each in index.fragments(FIRST_MS, LAST_MS)] == NUMBERS
    assert listing.stream.faults.calls("GetDataEndpoint") == 2


def test_a_denied_listing_needs_an_operator(listing: Listing) -> None:
    index = listing.index()
    listing.stream.denied_apis = frozenset({"ListFragments"})

    with pytest.raises(MediaSourceError, match="ListFragments of stream calls") as refused:
        index.fragments(FIRST_MS, LAST_MS)

    assert (refused.value.code, refused.value.retryable) == ("NotAuthorizedException", False)


@pytest.mark.parametrize("page_size", [0, 1001])
def test_a_page_has_1_to_1000_fragments(page_size: int) -> None:
    with pytest.raises(ValueError, match=f"a page of {page_size} fragments: ListFragments gives 1 to 1000"):
        KvsFragmentIndex(STREAM_ARN, page_size=page_size)


def test_a_range_that_ends_before_it_begins_is_refused_before_any_call(listing: Listing) -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        listing.index().fragments(LAST_MS, FIRST_MS)
    assert listing.calls() == 0


# --- what only a scripted server shows -------------------------------------------------------------------------------


def scripted(
    start: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch, pages: Iterator[dict[str, Any]]
) -> KvsFragmentIndex:
    """An index whose server answers ListFragments with these pages."""

    def answer(exchange: Exchange) -> None:
        if exchange.request.path == "/getDataEndpoint":
            exchange.respond_json({"DataEndpoint": server.url})
        else:
            exchange.respond_json(next(pages))

    server = start(answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", server.url)
    return KvsFragmentIndex(STREAM_ARN, session=SESSION, clock=FakeClock())


def listed(number: str, at_ms: int) -> dict[str, Any]:
    return {"FragmentNumber": number, "ProducerTimestamp": at_ms / 1000}


def test_numbers_are_ordered_as_integers_and_repeated_fragments_count_once(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Texts of unlike lengths, and numbers of more than 64 bits: neither strings nor machine words order them.
    numbers = ["9", "10", "99999999999999999999999", "91343852333181432392682062622220000000000000001"]
    shuffled = [*numbers, *numbers]
    random.Random(4).shuffle(shuffled)
    odd: list[dict[str, Any]] = [{"FragmentNumber": "x1", "ProducerTimestamp": 5.0}, {"FragmentNumber": "77"}]
    pages: list[dict[str, Any]] = [
        {"Fragments": [listed(number, 5000) for number in shuffled[:5]], "NextToken": "a"},
        {"Fragments": [*(listed(number, 5000) for number in shuffled[5:]), *odd]},
    ]
    index = scripted(wire_server, monkeypatch, iter(pages))

    with closing(index):
        found = index.fragments(0, 10_000)

    assert [each.number for each in found] == numbers
    assert found[0] == ListedFragment("9", 5000, 5000, 0, 0)


def test_a_server_that_repeats_its_token_is_no_endless_loop(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pages() -> Iterator[dict[str, Any]]:
        while True:
            yield {"Fragments": [listed("1", 5000)], "NextToken": "again"}

    with closing(scripted(wire_server, monkeypatch, pages())) as index, pytest.raises(MediaSourceError) as refused:
        index.fragments(0, 10_000)

    assert (refused.value.code, refused.value.retryable) == ("RepeatedNextToken", True)


def test_empty_objects_at_two_endpoints_are_an_empty_range(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: Iterator[dict[str, Any]] = iter([{}] * 4)

    with closing(scripted(wire_server, monkeypatch, pages)) as index:
        assert index.fragments(0, 10_000) == []

    assert next(pages, None) is None


def test_a_stream_that_does_not_exist_is_not_found(listing: Listing) -> None:
    listing.index()
    other = KvsFragmentIndex(listing.stream.arn.replace("calls", "none"), session=SESSION, clock=FakeClock())

    with closing(other), pytest.raises(MediaSourceError) as refused:
        other.fragments(FIRST_MS, LAST_MS)

    assert refused.value.code == "ResourceNotFoundException"
