"""Every fault of the emulator as its client sees it: by boto3, by the project's adapter, or on a bare socket."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.core.errors import MediaSourceError
from connect_audio.core.fragments import Fragment
from connect_audio.ports import AfterFragment, FromProducerTime
from connect_audio_local.kvs import UNLIMITED, EmulatedStream, FaultPlan, KvsEmulator, Live, ManualClock, stored
from connect_audio_local.kvs.capture import block_ends
from connect_audio_local.kvs.fault_run import OTHER_CONTACT_ID, in_band_document
from connect_audio_local.kvs.faults import (
    IN_BAND_CODES,
    LAST,
    STATUS_OF,
    Api,
    AtFragment,
    Cut,
    Drop,
    End,
    EndAfter,
    Fault,
    Garbage,
    InBand,
    InLog,
    LeftOut,
    Missing,
    MoveEndpoint,
    OnCall,
    OtherContacts,
    Refuse,
    Reset,
    Rewind,
    Stall,
    Trickle,
    Twice,
)
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    DEFAULT_START_MS,
    SyntheticCall,
    synthesize_call,
)
from connect_audio_local.synthesis.speech import two_party_conversation
from core_support.reading import events_of
from support.calls import joined
from support.kvs_clients import Clients, clients_of, error_of

SPEECH = two_party_conversation(5)
FRAGMENTS = list(synthesize_call(SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)))
WHOLE = joined(FRAGMENTS)
SIZE = len(FRAGMENTS[0].data)
START = FromProducerTime(DEFAULT_START_MS)


class Wire:
    """One GetMedia on a bare socket: the chunks of its body as they are, and how it ends."""

    def __init__(self, emulator: KvsEmulator) -> None:
        self.connection = socket.create_connection(("127.0.0.1", emulator.port), 10)
        self._in = self.connection.makefile("rb")
        body = json.dumps({"StreamName": "calls", "StartSelector": {"StartSelectorType": "EARLIEST"}}).encode()
        self.connection.sendall(
            b"POST /getMedia HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    def __enter__(self) -> Self:
        while self._in.readline().strip():
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self.connection.close()

    def chunk(self) -> bytes | None:
        """The next chunk: empty for the last one, None where the connection ended instead."""
        line = self._in.readline()
        if not line:
            return None
        data = self._in.read(int(line, 16))
        self._in.readline()
        return data

    def chunks(self) -> tuple[list[bytes], str]:
        """All that come, and how it ended: in good order, cut or reset."""
        found: list[bytes] = []
        try:
            while chunk := self.chunk():
                found.append(chunk)
        except ConnectionResetError:
            return found, "reset"
        return found, "cut" if chunk is None else "in good order"

    def silent(self) -> bool:
        return not select.select([self.connection], [], [], 0)[0]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def emulator(clock: ManualClock) -> Iterator[KvsEmulator]:
    with KvsEmulator(clock=clock, limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def clients(emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with clients_of(emulator, monkeypatch) as made:
        yield made


def serve(emulator: KvsEmulator, *faults: Fault, **options: Any) -> EmulatedStream:
    return emulator.add_stream(EmulatedStream("calls", stored(FRAGMENTS), faults=FaultPlan(faults), **options))


def body_of(emulator: KvsEmulator) -> tuple[bytes, str]:
    with Wire(emulator) as wire:
        chunks, ending = wire.chunks()
    return b"".join(chunks), ending


def fragments_of(data: bytes) -> list[Fragment]:
    """What the core makes of a body that is whole."""
    return [event for event in events_of([data]) if isinstance(event, Fragment)]


# --- calls -----------------------------------------------------------------------------------------------------------


def caller(clients: Clients, api: Api) -> Callable[[], object]:
    calls: dict[Api, Callable[[], object]] = {
        "GetMedia": clients.read,
        "GetDataEndpoint": lambda: clients.control.get_data_endpoint(StreamName="calls", APIName="GET_MEDIA"),
        "DescribeStream": lambda: clients.control.describe_stream(StreamName="calls"),
        "DescribeContact": lambda: clients.connect.describe_contact(
            InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID
        ),
    }
    return calls[api]


@pytest.mark.parametrize("api", ["GetMedia", "GetDataEndpoint", "DescribeStream", "DescribeContact"])
def test_any_call_is_refused_with_any_code_at_its_turn_and_no_longer(
    emulator: KvsEmulator, clients: Clients, api: Api
) -> None:
    # Calls 2 and 3 are refused with the first code, 5 and 6 with the second, and so on.
    faults = tuple(OnCall(2 + 3 * place, Refuse(code), api, times=2) for place, code in enumerate(STATUS_OF))
    stream = serve(emulator, *faults)
    call = caller(clients, api)
    call()
    assert not stream.faults.fired
    for code, status in STATUS_OF.items():
        for _ in range(2):
            with pytest.raises(ClientError) as error:
                call()
            assert error_of(error) == (code, status)
        call()
    assert (stream.faults.fired, stream.faults.calls(api)) == (faults, 1 + 3 * len(faults))


@pytest.mark.parametrize("api", ["GetMedia", "GetDataEndpoint", "DescribeStream", "DescribeContact"])
def test_a_call_is_dropped_without_an_answer(emulator: KvsEmulator, clients: Clients, api: Api) -> None:
    serve(emulator, OnCall(1, Drop(), api))
    with pytest.raises(ConnectionClosedError) as error:
        caller(clients, api)()
    assert "Connection reset by peer" in str(error.value.kwargs["error"])
    caller(clients, api)()


def test_the_endpoint_moves_and_is_found_again(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator, OnCall(2, MoveEndpoint()))
    with closing(KvsMediaSource(stream.arn)) as source:
        source.open(START).close()
        with pytest.raises(MediaSourceError) as error:
            source.open(START)
        assert (error.value.code, error.value.retryable) == ("InvalidEndpointException", True)
        source.open(START).close()
    assert stream.faults.calls("GetDataEndpoint") == 2
    del clients


# --- how a body ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 1000, SIZE, SIZE + 5, len(WHOLE)])
@pytest.mark.parametrize(
    ("action", "ending"), [(End, "in good order"), (Cut, "cut"), (Reset, "reset")], ids=["end", "cut", "reset"]
)
def test_a_body_ends_after_any_number_of_bytes_once(
    emulator: KvsEmulator, action: Callable[[int], End | Cut | Reset], ending: str, after: int
) -> None:
    serve(emulator, OnCall(1, action(after)))
    data, ended = body_of(emulator)
    assert ended == ending
    # A reset takes what is still on its way.
    assert WHOLE[:after].startswith(data) if ending == "reset" and after > SIZE else data == WHOLE[:after]
    assert body_of(emulator) == (WHOLE, "in good order")


def test_a_body_ends_at_a_fragment_whichever_call_asks_for_it(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator, AtFragment(2, Cut(100), times=2))
    assert clients.read("FRAGMENT_NUMBER", AfterFragmentNumber=FRAGMENTS[2].number) == joined(FRAGMENTS[3:])
    for _ in range(2):
        assert body_of(emulator) == (WHOLE[: 2 * SIZE + 100], "cut")
    assert body_of(emulator) == (WHOLE, "in good order")


def test_the_project_s_adapter_tells_a_cut_and_a_reset_from_an_end(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator, OnCall(1, Cut(500)), OnCall(2, Reset(500)), OnCall(3, End(500)))
    with closing(KvsMediaSource(stream.arn)) as source:
        for _ in range(2):
            with closing(source.open(START)) as body:
                assert body.read() == WHOLE[:500]
                with pytest.raises(MediaSourceError) as error:
                    body.read()
                assert error.value.retryable
        with closing(source.open(START)) as body:
            assert (body.read(), body.read()) == (WHOLE[:500], b"")
    del clients


def test_a_body_ends_silently_after_a_time(emulator: KvsEmulator, clock: ManualClock) -> None:
    serve(emulator, OnCall(1, EndAfter(2.5)), pace=Live())
    with Wire(emulator) as wire:
        clock.advance(2.2)
        assert b"".join(chunk for chunk in (wire.chunk(), wire.chunk()) if chunk) == WHOLE[: 2 * SIZE]
        clock.advance(0.4)
        assert wire.chunks() == ([], "in good order")


# --- how a body comes ------------------------------------------------------------------------------------------------


def test_a_stall_lasts_until_it_is_released(emulator: KvsEmulator) -> None:
    stream = serve(emulator, OnCall(1, Stall(1000)))
    with Wire(emulator) as wire:
        assert wire.chunk() == WHOLE[:1000]
        assert stream.faults.wait_for_stalls()
        assert wire.silent()
        stream.faults.release()
        chunks, ending = wire.chunks()
    assert (b"".join(chunks), ending) == (WHOLE[1000:], "in good order")


def test_a_stall_lasts_for_its_time_on_the_emulator_s_clock(emulator: KvsEmulator, clock: ManualClock) -> None:
    stream = serve(emulator, AtFragment(1, Stall(0, 20.0)))
    with Wire(emulator) as wire:
        assert wire.chunk() == WHOLE[:SIZE]
        assert stream.faults.wait_for_stalls()
        clock.advance(19.9)
        assert wire.silent()
        clock.advance(0.2)
        chunks, ending = wire.chunks()
    assert (b"".join(chunks), ending) == (WHOLE[SIZE:], "in good order")


def test_a_stall_ends_when_the_client_gives_up(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator, OnCall(1, Stall(500)))
    with closing(KvsMediaSource(stream.arn, read_timeout_s=0.2)) as source:
        with closing(source.open(START)) as body:
            assert body.read() == WHOLE[:500]
            with pytest.raises(MediaSourceError, match=r"silent for 0\.2 s") as error:
                body.read()
            assert error.value.retryable
        assert emulator.open_connections("calls") == 0
        with closing(source.open(START)) as body:
            assert WHOLE.startswith(body.read())
    del clients


def test_closing_the_emulator_ends_a_stall(emulator: KvsEmulator) -> None:
    stream = serve(emulator, OnCall(1, Stall(0)))
    with Wire(emulator) as wire:
        assert stream.faults.wait_for_stalls()
        emulator.close()
        assert wire.chunk() is None


def test_a_trickle_comes_in_chunks_of_its_size_from_its_place_on(emulator: KvsEmulator) -> None:
    serve(emulator, OnCall(1, Trickle(7, SIZE)))
    with Wire(emulator) as wire:
        chunks, ending = wire.chunks()
    assert (b"".join(chunks), ending) == (WHOLE, "in good order")
    assert chunks[0] == WHOLE[:SIZE]
    assert max(len(chunk) for chunk in chunks[1:]) == 7


@pytest.mark.parametrize("magic", [False, True])
@pytest.mark.parametrize("inside", [0, 700])
def test_garbage_comes_between_or_inside_fragments_once(emulator: KvsEmulator, inside: int, magic: bool) -> None:  # noqa: FBT001 - a parameter of the test
    garbage = Garbage(100, inside, magic, seed=3)
    serve(emulator, AtFragment(1, garbage))
    at = SIZE + inside
    assert body_of(emulator) == (WHOLE[:at] + garbage.data() + WHOLE[at:], "in good order")
    assert body_of(emulator) == (WHOLE, "in good order")
    assert len(garbage.data()) == 100
    assert (b"\x1a\x45\xdf\xa3" in garbage.data()) is magic


def test_faults_of_one_body_come_in_the_order_of_their_places(emulator: KvsEmulator) -> None:
    garbage = Garbage(4)
    serve(emulator, OnCall(1, Cut(SIZE + 20)), OnCall(1, Trickle(100, 50)), AtFragment(1, garbage))
    with Wire(emulator) as wire:
        chunks, ending = wire.chunks()
    assert ending == "cut"
    assert b"".join(chunks) == WHOLE[:SIZE] + garbage.data() + WHOLE[SIZE : SIZE + 20]
    assert [len(chunk) for chunk in chunks[:3]] == [50, 100, 100]


# --- what KVS says inside a body -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", IN_BAND_CODES)
def test_an_error_comes_as_a_document_of_its_own_and_ends_the_body(emulator: KvsEmulator, code: int) -> None:
    serve(emulator, AtFragment(2, InBand(code)))
    data, ending = body_of(emulator)
    assert (data, ending) == (WHOLE[: 2 * SIZE] + in_band_document(code), "in good order")
    *before, last = fragments_of(data)
    assert [each.number for each in before] == [each.number for each in FRAGMENTS[:2]]
    assert (last.number, last.blocks, [error.code for error in last.errors]) == (None, (), [code])
    assert b"CONTINUATION_TOKEN" not in in_band_document(code)
    assert body_of(emulator) == (WHOLE, "in good order")


@pytest.mark.parametrize("code", IN_BAND_CODES)
def test_an_error_comes_inside_a_fragment_behind_a_whole_block(emulator: KvsEmulator, code: int) -> None:
    third = block_ends(FRAGMENTS[1].data)[2][0]
    serve(emulator, AtFragment(1, InBand(code, third + 40)))
    data, ending = body_of(emulator)
    assert ending == "in good order"
    assert data[: SIZE + third] == WHOLE[: SIZE + third]
    _, last = fragments_of(data)
    assert (last.number, len(last.blocks)) == (FRAGMENTS[1].number, 3)
    assert [error.code for error in last.errors] == [code]


# --- what is stored --------------------------------------------------------------------------------------------------


def test_a_fragment_is_sent_twice(emulator: KvsEmulator) -> None:
    serve(emulator, AtFragment(1, Twice()))
    assert body_of(emulator) == (joined([*FRAGMENTS[:2], *FRAGMENTS[1:]]), "in good order")
    assert body_of(emulator) == (WHOLE, "in good order")


def test_a_fragment_is_left_out_without_an_error(emulator: KvsEmulator) -> None:
    serve(emulator, AtFragment(1, LeftOut(), times=None))
    for _ in range(2):
        assert body_of(emulator) == (joined([FRAGMENTS[0], *FRAGMENTS[2:]]), "in good order")


@pytest.mark.parametrize(("index", "before"), [(3, 3), (LAST, 5)])
def test_the_producer_sends_again_under_new_numbers_with_the_old_times(
    emulator: KvsEmulator, index: int, before: int
) -> None:
    serve(emulator, InLog(index, Rewind(2)))
    data, _ = body_of(emulator)
    found = fragments_of(data)
    numbers = [int(each.number or 0) for each in found]
    assert numbers == sorted(set(numbers))
    again = found[before : before + 2]
    for each, first in zip(again, found[before - 2 : before], strict=True):
        assert each.number != first.number
        assert (each.producer_timestamp_ms, each.blocks) == (first.producer_timestamp_ms, first.blocks)
    assert [each.number for each in found if each not in again] == [each.number for each in FRAGMENTS]
    assert body_of(emulator) == (data, "in good order")


def test_a_resume_after_a_fragment_gets_what_was_sent_again_behind_it(emulator: KvsEmulator, clients: Clients) -> None:
    stream = serve(emulator, InLog(3, Rewind(2)))
    with (
        closing(KvsMediaSource(stream.arn)) as source,
        closing(source.open(AfterFragment(FRAGMENTS[2].number))) as body,
    ):
        data = b"".join(iter(body.read, b""))
    assert len(data) == len(WHOLE) - 3 * SIZE + 2 * SIZE
    assert fragments_of(data)[0].producer_timestamp_ms == FRAGMENTS[1].producer_ms
    del clients


def test_another_contact_has_the_stream_before_and_after(emulator: KvsEmulator, clients: Clients) -> None:
    serve(emulator, InLog(0, OtherContacts(2)), InLog(LAST, OtherContacts(3, pause_ms=4000)))
    data, _ = body_of(emulator)
    found = fragments_of(data)
    assert [each.contact_ids for each in found] == (
        [(OTHER_CONTACT_ID,)] * 2 + [(DEFAULT_CONTACT_ID,)] * 5 + [(OTHER_CONTACT_ID,)] * 3
    )
    numbers = [int(each.number or 0) for each in found]
    assert numbers == sorted(set(numbers))
    times = [each.producer_timestamp_ms or 0 for each in found]
    assert times == sorted(set(times))
    assert times[7] - times[6] >= 4000
    described = clients.connect.describe_contact(InstanceId=DEFAULT_INSTANCE_ID, ContactId=DEFAULT_CONTACT_ID)
    assert "DisconnectTimestamp" in described["Contact"]


def test_fragments_were_never_stored(emulator: KvsEmulator) -> None:
    stream = serve(emulator, InLog(1, Missing(2)))
    assert body_of(emulator) == (joined([FRAGMENTS[0], *FRAGMENTS[3:]]), "in good order")
    assert not stream.faults.recoverable


def test_a_place_counts_what_the_log_was_given_in_addition(emulator: KvsEmulator) -> None:
    serve(emulator, InLog(0, OtherContacts(1)), AtFragment(1, End(0)))
    data, _ = body_of(emulator)
    assert [each.contact_ids for each in fragments_of(data)] == [(OTHER_CONTACT_ID,)]
