"""Any bytes decode or raise the documented error; after garbage the next document is found; memory has bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect_audio.core.byte_window import MAX_READ_AGAIN
from connect_audio.core.ebml import NEED_DATA, EbmlParser
from connect_audio.core.errors import EbmlError, FragmentError, StreamError
from connect_audio.core.fragments import BytesLost, Fragment, FragmentReader
from connect_audio.core.matroska import MAX_BLOCK_BYTES, SCHEMA
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from core_support.elements import (
    BLOCK,
    CLUSTER,
    DOCUMENT,
    EBML_HEADER,
    ENDLESS,
    EVERY_ID,
    SEEK_HEAD,
    SIMPLE_BLOCK,
    TAGS,
    TIMECODE,
    UNKNOWN_CLUSTER,
    VOID,
    element,
    element_soup,
    endless,
    mutated,
    named,
)
from core_support.generated_streams import DECOY, MAGIC, OURS, GeneratedStream, chunkings, generated_streams
from core_support.reading import Event, byte_by_byte, events_in_file_mode, events_of, fragments_of, read_all, record
from support.examples import examples, few_of

_patiently = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def read_anyhow(data: bytes) -> None:
    """Read and record; StreamError is the one exception that may come, and only while reading."""
    events, errors = events_in_file_mode([data])
    record(events, OURS).manifest(OURS)
    assert len(errors) <= len(data)
    lost = [event for event in events if isinstance(event, BytesLost)]
    assert sum(event.count for event in lost) <= len(data)
    assert all(event.count >= 0 and 0 <= event.offset <= len(data) for event in lost)
    assert [event.offset for event in lost] == sorted(event.offset for event in lost)
    if errors:
        with pytest.raises(StreamError) as error:
            events_of([data])
        assert str(error.value) == str(errors[0])
        assert 0 <= error.value.offset <= len(data)
    else:
        events_of([data])


@settings(max_examples=examples(200))
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_the_documented_error(data: bytes) -> None:
    read_anyhow(data)


@settings(max_examples=examples(250))
@given(element_soup(), st.sampled_from((b"", EBML_HEADER, DOCUMENT, DOCUMENT + UNKNOWN_CLUSTER)))
def test_any_elements_in_any_order_decode_or_raise_the_documented_error(soup: bytes, head: bytes) -> None:
    read_anyhow(head + soup)


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams(), st.data())
def test_damaged_streams_decode_or_raise_the_documented_error(stream: GeneratedStream, data: st.DataObject) -> None:
    read_anyhow(data.draw(mutated(stream.data)))


@settings(max_examples=examples(30), suppress_health_check=_patiently)
@given(generated_streams(), st.data())
def test_of_damaged_streams_too_the_events_do_not_depend_on_the_cut(
    stream: GeneratedStream, data: st.DataObject
) -> None:
    damaged = data.draw(mutated(stream.data))
    whole = outcome([damaged])

    assert outcome(byte_by_byte(damaged)) == whole
    assert outcome(data.draw(chunkings(damaged))) == whole


def outcome(chunks: Iterable[bytes]) -> tuple[list[Event], list[str]]:
    events, errors = events_in_file_mode(chunks)
    return events, [str(error) for error in errors]


# --- garbage in a file -----------------------------------------------------------------------------------------------

# It begins with a byte that starts no element, so that nothing can take it for a part of what stands before it.
garbage = st.lists(st.binary(max_size=40) | st.sampled_from((MAGIC, MAGIC[:3], DECOY[:9], DECOY[:14])), max_size=6).map(
    lambda pieces: b"\0" + b"".join(pieces)
)


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams(), garbage, st.data())
def test_after_garbage_the_next_document_is_found_and_every_byte_of_it_counted(
    stream: GeneratedStream, rubbish: bytes, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(stream.fragments) - 1))
    parts = [fragment.data for fragment in stream.fragments]
    parts[index:index] = [rubbish]
    whole = fragments_of(events_of([stream.data]))

    events, errors = events_in_file_mode(data.draw(chunkings(b"".join(parts))))

    assert len(errors) == 1
    assert sum(event.count for event in events if isinstance(event, BytesLost)) == len(rubbish)
    found = fragments_of(events)
    assert [fragment.number for fragment in found] == [fragment.number for fragment in whole]
    assert [fragment.blocks for fragment in found] == [fragment.blocks for fragment in whole]
    assert_every_byte_is_accounted_for(events, sum(map(len, parts)))


@settings(max_examples=examples(50), suppress_health_check=_patiently)
@given(generated_streams(), st.integers(0, 20))
def test_a_document_that_breaks_off_within_garbage_does_not_hide_the_next_one(
    stream: GeneratedStream, zeros: int
) -> None:
    data = b"\0" + DECOY + bytes(1 + zeros) + DECOY + stream.data

    events, errors = events_in_file_mode([data])

    assert len(errors) == 2
    assert fragments_of(events)[2:] == [
        shifted(fragment, len(data) - len(stream.data)) for fragment in fragments_of(events_of([stream.data]))
    ]
    assert_every_byte_is_accounted_for(events, len(data))


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams(cut=True))
def test_every_byte_of_a_cut_body_is_in_a_fragment_or_counted_as_lost(stream: GeneratedStream) -> None:
    assert_every_byte_is_accounted_for(events_of([stream.data]), len(stream.data))


def shifted(fragment: Fragment, by: int) -> Fragment:
    return replace(fragment, offset=fragment.offset + by)


def assert_every_byte_is_accounted_for(events: Iterable[Event], size: int) -> None:
    """Fragments and losses lie side by side from the first byte to the last."""
    at = 0
    for event in sorted(events, key=lambda event: event.offset):
        assert event.offset == at
        at += event.size if isinstance(event, Fragment) else event.count
    assert at == size


def test_the_manifest_counts_what_garbage_took() -> None:
    call = synthesize_call(SyntheticCall(customer=bytes(96_000), agent=bytes(96_000)))
    first, second, third = (fragment.data for fragment in islice(call, 3))
    at = second.index(b"\xa3", 5000)
    damaged = second[:at] + bytes(40) + second[at + 40 :]

    events, _ = events_in_file_mode([first + damaged + third])

    recorded = record(events, DEFAULT_CONTACT_ID)
    manifest = recorded.manifest(DEFAULT_CONTACT_ID)
    assert manifest["status"] == "partial"
    reasons = [reason["code"] for reason in manifest["reasons"]]
    assert reasons == ["TRUNCATED_FRAGMENTS", "LOST_BYTES"]
    assert manifest["lostBytes"] == len(damaged) - at
    assert manifest["lostByteRuns"] == 1
    assert manifest["fragments"]["truncated"] == 1
    assert recorded.cursor.frames == 3 * 1024 * 8


# --- declared sizes --------------------------------------------------------------------------------------------------


def refusal_of(data: bytes) -> str:
    """The error, which must come before anything of the payload is asked for."""
    parser = EbmlParser(SCHEMA)
    parser.receive_data(data)
    with pytest.raises(EbmlError) as error:
        list(iter(parser.next_token, NEED_DATA))
    assert parser.buffered <= 16
    return str(error.value)


HEAD = DOCUMENT + UNKNOWN_CLUSTER
AT = f"(at byte {len(HEAD)})"
AT_SEGMENT = f"(at byte {len(DOCUMENT)})"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            HEAD + element(SIMPLE_BLOCK, declared=MAX_BLOCK_BYTES + 1),
            f"SimpleBlock declares 4194305 bytes, at most 4194304 are accepted {AT}",
        ),
        (HEAD + element(TIMECODE, declared=9), f"Timecode declares 9 bytes, at most 8 are accepted {AT}"),
        (
            DOCUMENT + element(TAGS, declared=262_145),
            f"Tags declares 262145 bytes, at most 262144 are accepted {AT_SEGMENT}",
        ),
        (element(0x1A45DFA3, declared=4097), "EBML header declares 4097 bytes, at most 4096 are accepted (at byte 0)"),
        (HEAD + bytes([0xA3, 0xFF]), f"SimpleBlock of unknown size {AT}"),
        (HEAD + bytes([0xA3, 0x00]), f"element size of more than 8 bytes {AT}"),
        (HEAD + bytes([0x08, 0x81]), f"byte 0x08 starts no element ID {AT}"),
        (HEAD + bytes([0xFF, 0x81]), f"reserved element ID 0xFF {AT}"),
        (bytes([0x42, 0x86, 0x81]), "element 0x4286 does not belong at the top level (at byte 0)"),
        (DOCUMENT + element(SIMPLE_BLOCK, b"abcd"), f"SimpleBlock inside Segment {AT_SEGMENT}"),
        (HEAD + element(BLOCK, b"abcd"), f"Block inside Cluster {AT}"),
        (element(SIMPLE_BLOCK, b"abcd"), "SimpleBlock at the top level (at byte 0)"),
        (
            DOCUMENT + element(CLUSTER, element(SIMPLE_BLOCK, declared=11)),
            "SimpleBlock of 11 bytes overruns the element around it, which ends at byte 49 (at byte 40)",
        ),
    ],
    ids=named,
)
def test_a_size_or_place_that_cannot_be_is_refused_before_anything_is_buffered(data: bytes, message: str) -> None:
    assert refusal_of(data) == message


@given(st.sampled_from(EVERY_ID), st.integers(0, (1 << 56) - 2), st.sampled_from((b"", DOCUMENT, HEAD)))
@settings(max_examples=examples(60))
def test_no_declared_size_makes_the_parser_wait_for_more_than_its_bound(
    element_id: int, size: int, head: bytes
) -> None:
    reader = FragmentReader()
    chunk = bytes(64 * 1024)
    reader.receive_data(head + element(element_id, declared=size))
    try:
        while reader.next_event() is not NEED_DATA:
            pass
        for _ in range(2 + MAX_BLOCK_BYTES // len(chunk)):
            reader.receive_data(chunk)
            while reader.next_event() is not NEED_DATA:
                pass
            assert reader._parser.buffered <= MAX_BLOCK_BYTES + len(chunk)
    except StreamError:
        return
    assert reader._parser.buffered < 4, "only what is passed over goes on so long"


@pytest.mark.parametrize("element_id", [VOID, SEEK_HEAD, 0x1C53BB6B, 0x1043A770, 0x1941A469, 0x55FF])
def test_an_element_of_any_size_is_passed_over_without_being_held(element_id: int) -> None:
    chunk = bytes(64 * 1024)
    count = 2 * MAX_READ_AGAIN // len(chunk)
    reader = FragmentReader()
    reader.receive_data(DOCUMENT + element(element_id, declared=len(chunk) * count))
    for _ in range(count):
        reader.receive_data(chunk)
        assert reader.next_event() is NEED_DATA
        assert reader._parser.buffered < 4

    reader.receive_data(UNKNOWN_CLUSTER + element(TIMECODE, b"\1") + element(SIMPLE_BLOCK, b"\x81\0\0\0ab"))
    assert reader.next_event() is NEED_DATA
    assert reader.open is not None
    assert [block.data for block in reader.open.blocks] == [b"ab"]
    assert sum(map(len, reader._parser.window._aside)) <= MAX_READ_AGAIN + len(chunk)


def test_a_skipped_element_whose_size_is_broken_does_not_hide_the_fragments_behind_it() -> None:
    fragments = [
        fragment.data for fragment in synthesize_call(SyntheticCall(customer=bytes(96_000), agent=bytes(96_000)))
    ]
    broken = DOCUMENT + element(VOID, declared=1 << 40)

    for chunks in ([broken + b"".join(fragments)], byte_by_byte(broken + fragments[0])):
        events, errors = events_in_file_mode(chunks)

        assert [str(error) for error in errors] == [
            f"element 0xEC of {1 << 40} bytes reaches over the next document {AT_SEGMENT}"
        ]
        assert fragments_of(events)[1].blocks == fragments_of(events_of(fragments))[0].blocks


# --- memory (what it comes to in bytes: tests/functional/test_core_memory.py) ---------------------------------------


@pytest.mark.parametrize("name", few_of(ENDLESS))
def test_a_fragment_without_end_is_refused(name: str) -> None:
    with pytest.raises(FragmentError) as error:
        read_all(FragmentReader(), endless(name))

    assert re.fullmatch(r"fragment None would hold more than 16777216 bytes \(at byte \d+\)", str(error.value))
