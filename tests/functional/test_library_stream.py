"""`connect_audio.stream` and `read` on the body that boto3's GetMedia gives, served by the stand-in for KVS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

import connect_audio
from connect_audio_local.kvs import UNLIMITED, Delivery, EmulatedStream, KvsEmulator, Live, ManualClock, stored
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.kvs_clients import Clients, clients_of

SPEECH = two_party_conversation(3)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def clients(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with KvsEmulator(clock=clock, limits=UNLIMITED) as emulator:
        emulator.add_stream(
            EmulatedStream("calls", stored(synthesize_call(CALL)), pace=Live(), delivery=Delivery.BLOCK)
        )
        with clients_of(emulator, monkeypatch) as made:
            yield made


def test_each_block_is_yielded_as_soon_as_it_was_sent(clock: ManualClock, clients: Clients) -> None:
    sent = {"customer": SPEECH.customer, "agent": SPEECH.agent}
    with closing(clients.open()) as body:
        blocks = connect_audio.stream(body, DEFAULT_CONTACT_ID)
        for at in range(0, 2 * 8192 * 2, 1024):
            # Both parties' next block. A reader that waits for more would wait for ever: the clock stands still.
            clock.advance(0.064)
            pair = [next(blocks), next(blocks)]
            assert {block.party: block.pcm for block in pair} == {
                party: samples[at : at + 1024] for party, samples in sent.items()
            }


def test_a_whole_body_is_read_as_a_call(clock: ManualClock, clients: Clients) -> None:
    clock.advance(10)
    with closing(clients.open()) as body:
        call = connect_audio.read(body)

    assert (call.contact_id, call.status) == (DEFAULT_CONTACT_ID, "complete")
    assert (call.pcm("customer"), call.pcm("agent")) == (SPEECH.customer, SPEECH.agent)
