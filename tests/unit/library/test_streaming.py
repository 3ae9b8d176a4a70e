"""What `connect_audio.stream` yields, when, and of whom."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connect_audio
from connect_audio.core.pcm import PARTIES
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, Gap, SyntheticCall, synthesize_stream
from connect_audio_local.synthesis.speech import two_party_conversation
from support.examples import examples

SPEECH = two_party_conversation(3)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
OTHER = replace(CALL, contact_id="another-contact", pause_ms=60_000)
START = datetime(2026, 7, 1, 13, 30, 54, 536_000, UTC)
START_SAMPLE = round(START.timestamp() * 8000)


def fragments(*calls: SyntheticCall) -> list[bytes]:
    return [fragment.data for fragment in synthesize_stream(calls)]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def in_place(blocks: Iterable[connect_audio.AudioBlock], call: connect_audio.Call) -> dict[str, bytes]:
    """All blocks at their places in silence."""
    assert call.start is not None
    origin = round(call.start.timestamp() * call.rate)
    tracks = {party: bytearray(2 * call.frames) for party in PARTIES}
    for block in blocks:
        at = 2 * (block.start - origin)
        tracks[block.party][at : at + len(block.pcm)] = block.pcm
    return {party: bytes(track) for party, track in tracks.items()}


class Body:
    """A body whose bytes are counted as they are read."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = list(chunks)
        self.received = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.received += len(chunk)
            yield chunk


@pytest.mark.parametrize(
    "calls",
    [
        (CALL,),
        (replace(CALL, agent=None),),
        (replace(CALL, agent_joins_ms=704, gaps=(Gap(at_ms=1024, length_ms=900),)),),
        (replace(CALL, unlabelled=frozenset({1})),),
        (replace(CALL, unlabelled=frozenset({2})),),
        (OTHER, replace(CALL, pause_ms=60_000)),
    ],
)
@pytest.mark.parametrize("size", [100, 4096, 10**9])
@pytest.mark.parametrize("naming", ["asked for", "first"])
def test_all_blocks_in_their_places_are_the_call_that_read_gives(
    calls: tuple[SyntheticCall, ...], size: int, naming: str
) -> None:
    data = b"".join(fragments(*calls))
    contact_id = calls[0].contact_id if naming == "asked for" else None
    call = connect_audio.read(data, contact_id)

    blocks = list(connect_audio.stream(pieces(data, size), contact_id))

    assert in_place(blocks, call) == {party: call.pcm(party) for party in PARTIES}
    assert sum(block.frames for block in blocks) == sum(track.audio_samples for track in call.tracks.values())
    assert {block.contact_id for block in blocks} == {calls[0].contact_id}


def test_a_block_comes_with_its_last_byte_and_not_with_its_fragment_s() -> None:
    first = fragments(CALL)[0]
    body = Body(pieces(first, 50))

    heard = [(block.party, block.frames, body.received) for block in connect_audio.stream(body, DEFAULT_CONTACT_ID)]

    assert len(heard) == 32
    assert {frames for _, frames, _ in heard} == {512}
    arrivals = [received for _, _, received in heard]
    assert arrivals[0] < len(first) * 0.1
    assert arrivals == sorted(set(arrivals))
    # 1024 bytes of samples and some of framing a block: none waits for another.
    assert max(after - before for before, after in pairwise(arrivals)) < 1200


def test_a_block_tells_whose_it_is_and_when_it_was_said() -> None:
    blocks = connect_audio.stream(pieces(b"".join(fragments(CALL)), 500), DEFAULT_CONTACT_ID)
    block = next(each for each in blocks if each.party == "customer")

    assert (block.party, block.contact_id, block.rate) == ("customer", DEFAULT_CONTACT_ID, 8000)
    assert (block.time, block.frames, block.duration) == (START, 512, 0.064)
    assert block.pcm == SPEECH.customer[:1024]
    assert block.samples.dtype == "float32"
    assert (block.samples * 32_768).astype("<i2").tobytes() == block.pcm


def test_each_party_s_blocks_come_in_order_and_no_moment_twice() -> None:
    reach: dict[str, int] = {}
    call = replace(CALL, agent_joins_ms=704, gaps=(Gap(at_ms=1024, length_ms=900),))
    for block in connect_audio.stream(pieces(b"".join(fragments(call)), 333), DEFAULT_CONTACT_ID):
        assert block.start >= reach.get(block.party, 0)
        reach[block.party] = block.start + block.frames


def test_nothing_of_another_contact_comes_out_before_between_or_after() -> None:
    before, after = replace(OTHER, pause_ms=0), replace(OTHER, contact_id="third", pause_ms=50)
    loud = b"\x01\x7f" * 24_000
    stream = fragments(
        replace(before, customer=loud, agent=loud),
        replace(CALL, pause_ms=50, last_unlabelled=True),
        replace(after, customer=loud, agent=loud, unlabelled=frozenset({0})),
    )

    blocks = list(connect_audio.stream(pieces(b"".join(stream), 100), DEFAULT_CONTACT_ID))

    assert blocks
    assert {block.contact_id for block in blocks} == {DEFAULT_CONTACT_ID}
    assert not any(b"\x01\x7f\x01\x7f" in block.pcm for block in blocks)


def test_an_unlabelled_fragment_waits_for_the_next_label() -> None:
    stream = fragments(replace(CALL, unlabelled=frozenset({1})))
    body = Body(pieces(b"".join(stream), 64))
    second = START_SAMPLE + 8192

    late = [
        body.received
        for block in connect_audio.stream(body, DEFAULT_CONTACT_ID)
        if second <= block.start < second + 8192
    ]

    assert late
    assert min(late) > len(stream[0]) + len(stream[1])


def test_without_a_contact_id_the_first_contact_s_audio_comes_once_its_first_fragment_is_over() -> None:
    stream = fragments(CALL)
    body = Body(pieces(b"".join(stream), 64))

    next(connect_audio.stream(body))

    assert len(stream[0]) <= body.received < len(stream[0]) + 2 * 64


def test_a_body_that_breaks_off_gives_its_whole_blocks() -> None:
    first = fragments(CALL)[0]

    blocks = list(connect_audio.stream(pieces(first[: len(first) // 2], 100), DEFAULT_CONTACT_ID))

    assert sum(block.frames for block in blocks if block.party == "customer") >= 7 * 512
    assert SPEECH.customer.startswith(b"".join(block.pcm for block in blocks if block.party == "customer"))


def test_damage_costs_no_more_than_what_it_hits() -> None:
    stream = fragments(CALL)
    stream[1] = stream[1][:3000] + b"\xff" * 100 + stream[1][3100:]
    data = b"".join(stream)
    call = connect_audio.read(data)

    blocks = list(connect_audio.stream(pieces(data, 1000), DEFAULT_CONTACT_ID))

    assert in_place(blocks, call) == {party: call.pcm(party) for party in PARTIES}


@pytest.mark.parametrize("source", [b"", [], io.BytesIO()])
def test_a_body_without_a_byte_has_no_block(source: Any) -> None:
    assert list(connect_audio.stream(source)) == []


def test_a_body_without_audio_of_the_contact_has_no_block() -> None:
    assert list(connect_audio.stream(fragments(OTHER), DEFAULT_CONTACT_ID)) == []
    assert list(connect_audio.stream(fragments(replace(CALL, unlabelled=frozenset(range(9)))))) == []


def test_unlabelled_audio_comes_on_request() -> None:
    nameless = replace(CALL, unlabelled=frozenset(range(9)))

    blocks = connect_audio.stream(fragments(nameless), "mine", accept_unlabelled=True)

    assert sum(block.frames for block in blocks) == 48_000


def test_a_source_that_is_no_capture_is_refused() -> None:
    with pytest.raises(connect_audio.CaptureError, match="the bytes: is no GetMedia capture"):
        list(connect_audio.stream(b"<html>" * 10))
    with pytest.raises(connect_audio.CaptureError, match="is no contact id"):
        list(connect_audio.stream(b"x", "a/b"))


def test_the_file_is_closed_when_the_reader_stops(tmp_path: Any) -> None:
    path = tmp_path / "call.mkv"
    path.write_bytes(b"".join(fragments(CALL)))

    blocks = connect_audio.stream(path)
    next(blocks)
    blocks.close()  # warnings are errors: an open file would fail the test


@given(st.data())
@settings(max_examples=examples(30), deadline=None)
def test_how_the_body_is_cut_changes_nothing(data: st.DataObject) -> None:
    whole = b"".join(fragments(replace(CALL, agent_joins_ms=704)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=40)))
    call = connect_audio.read(whole)

    chunks = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    expected = {party: call.pcm(party) for party in PARTIES}
    assert in_place(connect_audio.stream(chunks, DEFAULT_CONTACT_ID), call) == expected
