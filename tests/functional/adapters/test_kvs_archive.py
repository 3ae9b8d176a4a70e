"""The archive as a source of the recorder: the same recording as by GetMedia, for any batch, order and spelling."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import Any, Final, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect_audio.adapters.kvs_archive import ArchiveStream, KvsArchiveSource
from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.core.errors import MediaSourceError
from connect_audio.core.fragments import Completion, Fragment, FragmentReader
from connect_audio.core.manifest import EndReason
from connect_audio.ports import AfterFragment, FromProducerTime, ListedFragment, MediaSource, StartSelector
from connect_audio.recorder import Budget, Over, Recorded, Recorder, publish_recording
from connect_audio.recorder.end_of_call import EndState
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio_local.kvs import (
    UNLIMITED,
    ArchiveBehaviour,
    ArchiveOrder,
    ArchiveSpelling,
    EmulatedStream,
    FaultPlan,
    KvsEmulator,
    ManualClock,
    stored,
)
from connect_audio_local.kvs.archive_document import archive_document
from connect_audio_local.kvs.faults import Api, Cut, End, OnCall, Refuse
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.clock import FakeClock
from support.kvs_clients import SESSION
from support.world import KEPT, world

OURS = call(20)
FRAGMENTS = fragments(OURS)
NUMBERS = [each.number for each in FRAGMENTS]


class Span(TypedDict):
    from_ms: int
    to_ms: int


SPAN: Final = Span(from_ms=DEFAULT_START_MS - 5000, to_ms=DEFAULT_START_MS + 60_000)


class Archived:
    """A call in the emulator's archive; each stream has a name of its own."""

    _names = count()

    def __init__(self, emulator: KvsEmulator) -> None:
        self._emulator = emulator
        self.clock = FakeClock()

    def stream(self, *, faults: FaultPlan | None = None, **behaviour: Any) -> EmulatedStream:
        archive = ArchiveBehaviour(**behaviour)
        name = f"calls-{next(self._names)}"
        self.served = self._emulator.add_stream(
            EmulatedStream(name, stored(FRAGMENTS), archive=archive, faults=faults or FaultPlan())
        )
        return self.served

    def source(self, batch: int = 1000, **options: Any) -> KvsArchiveSource:
        arn = self.stream(**options).arn
        index = KvsFragmentIndex(arn, session=SESSION, clock=self.clock)
        return KvsArchiveSource(
            arn, listing=lambda: index.fragments(**SPAN), session=SESSION, clock=self.clock, batch=batch
        )

    def calls(self) -> int:
        return self.served.faults.calls("GetMediaForFragmentList")


@pytest.fixture(scope="module")
def emulator() -> Iterator[KvsEmulator]:
    with KvsEmulator(clock=ManualClock(), limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def archived(emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> Archived:
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    return Archived(emulator)


def recorded(source: MediaSource, clock: FakeClock) -> dict[str, Any]:
    """The manifest of the call's recording from a source, after the call."""
    at = world(OURS)
    ports = replace(at.ports(), source=source, clock=clock)
    checkpoint = replace(KEPT, end=EndState(listed=ListedEnd(NUMBERS[-1], is_quiet=True)))
    with Recorder(ports) as recorder:
        result = recorder.record(checkpoint, Budget(1e9, 1e9))
    assert isinstance(result.next, Over)
    notes_keys = [result.notes_key] if result.notes_key else []
    end = result.next.end
    publish_recording(ports, Recorded(checkpoint=result.checkpoint, parts=[], notes_keys=notes_keys, end=end))
    manifest: dict[str, Any] = json.loads(at.store.objects[at.names.manifest][0])
    return manifest


class Body:
    """A body of the service, in one piece."""

    def __init__(self, data: bytes) -> None:
        self._pieces = [data]

    def read(self) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    def close(self) -> None:
        pass


def read_all(source: KvsArchiveSource, start: StartSelector) -> list[Fragment]:
    """The fragments of one body."""
    reader, found = FragmentReader(), []
    with closing(source.open(start)) as stream:
        while data := stream.read():
            reader.receive_data(data)
    reader.receive_data(b"")
    while isinstance(event := reader.next_event(), Fragment):
        found.append(event)
    return found


@pytest.fixture(scope="module")
def by_get_media(emulator: KvsEmulator) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment().items():
            patch.setenv(name, value)
        clock = FakeClock()
        with closing(KvsMediaSource(Archived(emulator).stream().arn, session=SESSION, clock=clock)) as source:
            return recorded(source, clock)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch=st.one_of(st.integers(1, 25), st.just(1000)),
    order=st.sampled_from(ArchiveOrder),
    spelling=st.sampled_from(ArchiveSpelling),
    seed=st.integers(0, 99),
    not_found=st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 3), max_size=3),
)
def test_both_sources_give_the_same_samples_for_any_batch_order_and_spelling(
    archived: Archived, by_get_media: dict[str, Any], batch: int, **behaviour: Any
) -> None:
    with closing(archived.source(batch, **behaviour)) as source:
        manifest = recorded(source, archived.clock)

    assert by_get_media["status"] == "complete"
    assert manifest["status"] == "complete"
    assert manifest["endReason"] == EndReason.ARCHIVE_END
    assert manifest["reconnects"] == 0
    assert manifest["recording"]["dataCrc32"] == by_get_media["recording"]["dataCrc32"]
    assert manifest["fragments"]["admitted"] == len(FRAGMENTS)


@pytest.mark.parametrize("spelling", ArchiveSpelling)
def test_each_fragment_of_a_body_ends_with_the_token_that_get_media_gives(
    archived: Archived, spelling: ArchiveSpelling
) -> None:
    with closing(archived.source(4, spelling=spelling)) as source:
        found = read_all(source, FromProducerTime(DEFAULT_START_MS))

    assert [each.number for each in found] == NUMBERS
    assert {each.completion for each in found} == {Completion.TOKEN}
    assert archived.calls() == 5


@pytest.mark.parametrize("width", [4, 8])
def test_a_segment_of_known_size_is_opened_for_the_token(width: int) -> None:
    head, segment, content = archive_document(FRAGMENTS[0].data, is_side=False).partition(bytes.fromhex("18538067"))
    content = content[8:]  # behind the unknown size
    sized = head + segment + (len(content) | 1 << 7 * width).to_bytes(width) + content
    stream = ArchiveStream(NUMBERS[:1], 1, lambda _: Body(sized), FakeClock(), lambda _: None, "calls")
    reader = FragmentReader()
    with closing(stream):
        while data := stream.read():
            reader.receive_data(data)

    found = reader.next_event()

    assert isinstance(found, Fragment)
    assert (found.number, found.completion) == (NUMBERS[0], Completion.TOKEN)


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (FromProducerTime(DEFAULT_START_MS - 5000), 0),
        (FromProducerTime(FRAGMENTS[3].producer_ms), 3),
        (FromProducerTime(FRAGMENTS[3].producer_ms + 500), 3),
        (AfterFragment(NUMBERS[6]), 7),
    ],
)
def test_a_body_begins_where_get_media_would(archived: Archived, start: StartSelector, first: int) -> None:
    with closing(archived.source()) as source:
        found = read_all(source, start)

    assert [each.number for each in found] == NUMBERS[first:]


def test_behind_the_last_listed_fragment_there_is_nothing(archived: Archived) -> None:
    with closing(archived.source()) as source, closing(source.open(AfterFragment(NUMBERS[-1]))) as stream:
        assert [stream.read(), stream.read()] == [b"", b""]
    assert archived.calls() == 0


def test_a_fragment_that_stays_not_found_is_asked_for_four_times_and_then_a_hole_with_its_cause(
    archived: Archived,
) -> None:
    began_s = archived.clock.monotonic()
    with closing(archived.source(not_found={NUMBERS[5]: None})) as source:
        manifest = recorded(source, archived.clock)

    assert manifest["status"] == "partial"
    assert "STREAM_HOLES" in [each["code"] for each in manifest["reasons"]]
    assert manifest["inBandErrors"]["listed"][0]["code"] == 3000
    assert manifest["fragments"]["admitted"] == len(FRAGMENTS) - 1
    assert archived.clock.monotonic() - began_s >= 10


def test_a_throttled_call_and_one_that_is_cut_or_ends_short_lose_nothing(archived: Archived) -> None:
    api: Api = "GetMediaForFragmentList"
    plan = FaultPlan(
        (
            OnCall(1, Refuse("ClientLimitExceededException"), api),
            OnCall(2, Cut(100_000), api),
            OnCall(3, End(150_000), api),
        )
    )
    with closing(archived.source(faults=plan)) as source:
        manifest = recorded(source, archived.clock)

    assert manifest["status"] == "complete"
    assert manifest["reconnects"] == 1
    assert archived.calls() == 4


def test_a_denied_archive_is_an_error_that_needs_an_operator(archived: Archived) -> None:
    with closing(archived.source()) as source:
        archived.served.denied_apis = frozenset({"GetMediaForFragmentList"})
        with pytest.raises(MediaSourceError, match="GetMediaForFragmentList of stream") as refused:
            source.open(FromProducerTime(DEFAULT_START_MS))

    assert (refused.value.code, refused.value.retryable) == ("NotAuthorizedException", False)


def test_a_place_behind_all_that_was_listed_is_listed_anew(archived: Archived) -> None:
    arn = archived.stream().arn
    index = KvsFragmentIndex(arn, session=SESSION, clock=archived.clock)
    ends_ms = iter((FRAGMENTS[4].producer_ms, SPAN["to_ms"]))

    def listing() -> Sequence[ListedFragment]:
        return index.fragments(SPAN["from_ms"], next(ends_ms))

    with closing(KvsArchiveSource(arn, listing=listing, session=SESSION, clock=archived.clock)) as source:
        early = read_all(source, FromProducerTime(DEFAULT_START_MS))
        late = read_all(source, AfterFragment(NUMBERS[4]))

    assert ([each.number for each in early], [each.number for each in late]) == (NUMBERS[:5], NUMBERS[5:])


@pytest.mark.parametrize("batch", [0, 1001])
def test_a_batch_has_1_to_1000_fragments(archived: Archived, batch: int) -> None:
    with pytest.raises(ValueError, match=f"a batch of {batch} fragments: GetMediaForFragmentList takes 1 to 1000"):
        archived.source(batch)
