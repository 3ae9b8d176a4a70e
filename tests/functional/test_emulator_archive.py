"""The emulator's archive APIs, through the SDK: ListFragments and GetMediaForFragmentList."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from connect_audio.core.fragments import NEED_DATA, Completion, Fragment, FragmentReader
from connect_audio_local.kvs import (
    UNLIMITED,
    ArchiveBehaviour,
    ArchiveOrder,
    ArchiveSpelling,
    EmulatedStream,
    KvsEmulator,
    Limits,
    ManualClock,
    stored,
)
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from connect_audio_local.synthesis.fragment_writer import FragmentLayout
from support.calls import call, fragments
from support.kvs_clients import SESSION, Clients, clients_of, error_of

if TYPE_CHECKING:
    from mypy_boto3_kinesis_video_archived_media import KinesisVideoArchivedMediaClient

FRAGMENTS = fragments(call(10))
NUMBERS = [each.number for each in FRAGMENTS]
START = datetime.fromtimestamp(DEFAULT_START_MS / 1000, UTC)

type ApiName = Literal["LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST"]


@pytest.fixture
def emulator() -> Iterator[KvsEmulator]:
    with KvsEmulator(clock=ManualClock(), limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def clients(emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with clients_of(emulator, monkeypatch) as made:
        yield made


class ArchiveClients:
    """The archive's clients, one for each data endpoint."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def of(self, api_name: ApiName) -> KinesisVideoArchivedMediaClient:
        endpoint = self._clients.control.get_data_endpoint(StreamName="calls", APIName=api_name)["DataEndpoint"]
        config = Config(retries={"total_max_attempts": 1}, read_timeout=10)
        client = SESSION.client("kinesis-video-archived-media", endpoint_url=endpoint, config=config)
        return self._open.enter_context(closing(client))

    def listed(self, first_s: float = -5, last_s: float = 60, kind: Any = "PRODUCER_TIMESTAMP", **fields: Any) -> Any:
        span = {"StartTimestamp": START + timedelta(seconds=first_s), "EndTimestamp": START + timedelta(seconds=last_s)}
        selector: Any = {"FragmentSelectorType": kind, "TimestampRange": span}
        return self.of("LIST_FRAGMENTS").list_fragments(StreamName="calls", FragmentSelector=selector, **fields)

    def media(self, numbers: list[str]) -> bytes:
        client = self.of("GET_MEDIA_FOR_FRAGMENT_LIST")
        with closing(client.get_media_for_fragment_list(StreamName="calls", Fragments=numbers)["Payload"]) as body:
            return body.read()


@pytest.fixture
def archive(clients: Clients) -> Iterator[ArchiveClients]:
    with ArchiveClients(clients) as made:
        yield made


def serve(emulator: KvsEmulator, *, retention_hours: int = 24, **behaviour: Any) -> EmulatedStream:
    archive = ArchiveBehaviour(**behaviour)
    return emulator.add_stream(
        EmulatedStream("calls", stored(FRAGMENTS), retention_hours=retention_hours, archive=archive)
    )


def documents(data: bytes) -> list[Fragment]:
    """The fragments of a body."""
    reader, found = FragmentReader(), []
    reader.receive_data(data)
    reader.receive_data(b"")
    while isinstance(event := reader.next_event(), Fragment):
        found.append(event)
    assert event is not NEED_DATA
    return found


# --- ListFragments ---------------------------------------------------------------------------------------------------


def test_streams_of_a_prefix_are_listed_in_pages_each_once(emulator: KvsEmulator, clients: Clients) -> None:
    for name in ("calls-2", "other", "calls-1", "calls-3"):
        emulator.add_stream(EmulatedStream(name, [], retention_hours=7))
    prefix: Any = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "calls-"}
    pages: list[Any] = []
    token: dict[str, str] = {}
    while not pages or token:
        pages.append(clients.control.list_streams(StreamNameCondition=prefix, MaxResults=2, **token))
        token = {"NextToken": found} if (found := pages[-1].get("NextToken")) else {}

    assert [len(page["StreamInfoList"]) for page in pages] == [2, 1]
    streams = [each for page in pages for each in page["StreamInfoList"]]
    assert [each["StreamName"] for each in streams] == ["calls-1", "calls-2", "calls-3"]
    assert {each["DataRetentionInHours"] for each in streams} == {7}


def test_a_listing_selects_fragments_by_their_start_both_ends_inclusive(
    emulator: KvsEmulator, archive: ArchiveClients
) -> None:
    serve(emulator)

    # Starts at 0, 1.024, 2.048, 3.072 ...: a fragment that contains the range's begin is not listed.
    listed = archive.listed(1.024, 3.072)["Fragments"]

    assert sorted(each["FragmentNumber"] for each in listed) == NUMBERS[1:4]
    by_number = {each["FragmentNumber"]: each for each in listed}
    second = by_number[NUMBERS[1]]
    assert second["ProducerTimestamp"] == START + timedelta(milliseconds=1024)
    assert second["FragmentSizeInBytes"] == len(FRAGMENTS[1].data)
    # The last block's 64 ms are missing, as in AWS's answers.
    assert second["FragmentLengthInMilliseconds"] == 960


def test_a_listing_comes_in_pages_and_in_no_order(emulator: KvsEmulator, archive: ArchiveClients) -> None:
    serve(emulator, seed=1)

    first = archive.listed(MaxResults=4)
    client = archive.of("LIST_FRAGMENTS")
    second = client.list_fragments(StreamName="calls", NextToken=first["NextToken"], MaxResults=4)
    third = client.list_fragments(StreamName="calls", NextToken=second["NextToken"], MaxResults=4)
    again = client.list_fragments(StreamName="calls", NextToken=second["NextToken"], MaxResults=4)

    pages = [[each["FragmentNumber"] for each in page["Fragments"]] for page in (first, second, third)]
    assert [len(page) for page in pages] == [4, 4, 2]
    assert "NextToken" not in third
    assert again["Fragments"] == third["Fragments"]
    joined = [number for page in pages for number in page]
    assert sorted(joined) == NUMBERS
    assert joined != NUMBERS
    assert max(pages[0]) > min(pages[1])


def test_a_late_fragment_stands_only_in_a_later_listing(emulator: KvsEmulator, archive: ArchiveClients) -> None:
    serve(emulator, late={NUMBERS[-1]: 1})

    assert [len(archive.listed()["Fragments"]) for _ in range(2)] == [9, 10]


def test_the_end_of_a_range_outside_the_retention_has_an_error_for_each_kind_of_time(
    emulator: KvsEmulator, archive: ArchiveClients
) -> None:
    serve(emulator, retention_hours=1, age_ms=2 * 3600 * 1000)

    with pytest.raises(ClientError) as by_server:
        archive.listed(kind="SERVER_TIMESTAMP")
    with pytest.raises(ClientError) as by_producer:
        archive.listed()

    assert error_of(by_server) == ("InvalidArgumentException", 400)
    end_ms = DEFAULT_START_MS + 60_000
    message = f"End timestamp {end_ms} is outside of the stream retention period."
    assert by_server.value.response["Error"]["Message"] == message
    assert error_of(by_producer) == ("ResourceNotFoundException", 404)


def test_a_stream_without_retention_lists_nothing_ever(emulator: KvsEmulator, archive: ArchiveClients) -> None:
    serve(emulator, retention_hours=0)

    with pytest.raises(ClientError, match="outside of the stream retention period"):
        archive.listed(kind="SERVER_TIMESTAMP")


def test_the_endpoint_of_another_operation_answers_an_empty_object(
    emulator: KvsEmulator, archive: ArchiveClients
) -> None:
    serve(emulator)
    span: Any = {"StartTimestamp": START, "EndTimestamp": START + timedelta(seconds=60)}

    answer: Any = archive.of("GET_MEDIA_FOR_FRAGMENT_LIST").list_fragments(
        StreamName="calls", FragmentSelector={"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": span}
    )

    assert "Fragments" not in answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    "fields", [{"MaxResults": 1001}, {"last_s": -6}, {"NextToken": "bm90b3Vycw=="}, {"kind": "NOW"}]
)
def test_a_listing_that_is_not_asked_for_rightly_is_an_invalid_argument(
    emulator: KvsEmulator, archive: ArchiveClients, fields: dict[str, Any]
) -> None:
    serve(emulator)

    with pytest.raises(ClientError) as refused:
        archive.listed(**fields)

    assert error_of(refused) == ("InvalidArgumentException", 400)


# --- GetMediaForFragmentList -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", list(ArchiveSpelling))
def test_an_answer_has_the_fragments_without_what_follows_their_clusters(
    emulator: KvsEmulator, archive: ArchiveClients, spelling: ArchiveSpelling
) -> None:
    serve(emulator, spelling=spelling)

    body = archive.media(NUMBERS[2:5])

    assert b"CONTINUATION_TOKEN" not in body
    assert b"MILLIS_BEHIND_NOW" not in body
    assert body.count(b"SERVER_SIDE_TIMESTAMP") == (3 if spelling is ArchiveSpelling.SIDE else 0)
    found = documents(body)
    original = documents(b"".join(each.data for each in FRAGMENTS[2:5]))
    assert [each.completion for each in found] == [Completion.SUCCESSOR] * 2 + [Completion.END_OF_BODY]
    assert [each.blocks for each in found] == [each.blocks for each in original]
    for one, other in zip(found, original, strict=True):
        assert one.number == other.number
        assert one.contact_ids == other.contact_ids
        assert one.producer_timestamp_ms == other.producer_timestamp_ms
        assert one.server_timestamp_ms == other.server_timestamp_ms


def test_documents_of_known_sizes_and_sums_are_rewritten_soundly(
    emulator: KvsEmulator, archive: ArchiveClients
) -> None:
    layout = FragmentLayout(segment_size_known=True, cluster_size_known=True, crc_32=True, void_bytes=3)
    odd = fragments(call(3, layout=layout))
    emulator.add_stream(EmulatedStream("calls", stored(odd)))

    found = documents(archive.media([each.number for each in odd]))

    original = documents(b"".join(each.data for each in odd))
    assert [each.blocks for each in found] == [each.blocks for each in original]


def test_the_answer_s_order_may_be_the_request_s_or_none(emulator: KvsEmulator, archive: ArchiveClients) -> None:
    serve(emulator, order=ArchiveOrder.SHUFFLED, seed=2)

    found = [each.number for each in documents(archive.media(NUMBERS))]

    assert found != NUMBERS
    assert sorted(found, key=str) == NUMBERS


def test_a_fragment_that_is_not_found_is_a_document_with_error_3000_until_it_is_found(
    emulator: KvsEmulator, archive: ArchiveClients
) -> None:
    serve(emulator, not_found={NUMBERS[1]: 1, NUMBERS[2]: None})

    first, second = (documents(archive.media(NUMBERS[:4])) for _ in range(2))

    assert [[error.code for error in each.errors] for each in first] == [[], [3000], [3000], []]
    assert [[error.code for error in each.errors] for each in second] == [[], [], [3000], []]
    assert first[1].number == NUMBERS[1]
    assert not first[1].blocks


@pytest.mark.parametrize("numbers", [[str(10**47 - 1)], NUMBERS[:1] * 1001, ["12x"]])
def test_numbers_of_another_stream_and_too_many_are_invalid_arguments(
    emulator: KvsEmulator, archive: ArchiveClients, numbers: list[str]
) -> None:
    serve(emulator)

    with pytest.raises(ClientError) as refused:
        archive.media(numbers)

    assert error_of(refused) == ("InvalidArgumentException", 400)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_each_archive_operation_has_five_calls_a_second_of_its_own(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator)
    with ArchiveClients(clients) as archive:
        listing, media = archive.of("LIST_FRAGMENTS"), archive.of("GET_MEDIA_FOR_FRAGMENT_LIST")
        emulator.limits = Limits()
        span: Any = {"StartTimestamp": START, "EndTimestamp": START + timedelta(seconds=60)}
        selector: Any = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": span}
        for _ in range(5):
            listing.list_fragments(StreamName="calls", FragmentSelector=selector)
            media.get_media_for_fragment_list(StreamName="calls", Fragments=NUMBERS[:1])["Payload"].read()

        with pytest.raises(ClientError) as refused:
            listing.list_fragments(StreamName="calls", FragmentSelector=selector)

    assert error_of(refused) == ("ClientLimitExceededException", 400)


def test_connections_to_the_archive_are_limited_apart_from_get_media(
    emulator: KvsEmulator, archive: ArchiveClients
) -> None:
    serve(emulator)
    emulator.limits = replace(UNLIMITED, archive_connections=1, connections=0)
    client = archive.of("GET_MEDIA_FOR_FRAGMENT_LIST")
    with ExitStack() as bodies:
        # More than the sockets' buffers hold, so that the connection stays open.
        numbers = NUMBERS * 90
        first = client.get_media_for_fragment_list(StreamName="calls", Fragments=numbers)["Payload"]
        bodies.enter_context(closing(first))

        with pytest.raises(ClientError) as refused:
            client.get_media_for_fragment_list(StreamName="calls", Fragments=NUMBERS[:1])

    assert error_of(refused) == ("ConnectionLimitExceededException", 400)
