"""Fragments that a reader reads by their shape: behind one of the same layout, while nothing is in doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, Fragment, FragmentReader
from connect_audio.core.shapes import ShapedBlocks
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import FragmentLayout, Lacing, write_fragment
from core_support.elements import tags

CALL: Final = SyntheticCall(customer=bytes(range(250)) * 64, agent=bytes(range(250)) * 64, blocks_per_fragment=2)
"""Eight fragments of 128 ms."""


def documents(layout: FragmentLayout | None = None, count: int = 5) -> list[bytes]:
    call = CALL if layout is None else replace(CALL, layout=layout)
    return [each.data for each in synthesize_call(call)][:count]


def ways(*chunks: bytes, reader: FragmentReader | None = None) -> str:
    """How each fragment is read: `s` by its shape, `e` by its elements, `!` for an error, `-` for bytes lost."""
    reader = reader or FragmentReader()
    found = ""
    for chunk in chunks:
        reader.receive_data(chunk)
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                found += "!"
                reader.resynchronise(str(error))
                continue
            if event is NEED_DATA or event is END:
                break
            if isinstance(event, BytesLost):
                found += "-"
            elif isinstance(event, Fragment):
                found += "s" if isinstance(event.blocks, ShapedBlocks) else "e"
    return found


def test_fragments_behind_the_first_of_a_layout_are_read_by_its_shape() -> None:
    assert ways(b"".join(documents())) == "essss"
    assert ways(*documents()) == "essss"
    assert ways(*documents(), b"") == "essss"


def test_fragments_without_a_continuation_token_have_no_shape() -> None:
    assert ways(*documents(FragmentLayout(continuation_token=False)), b"") == "eeeee"


@pytest.mark.parametrize("size_width", [None, 1, 4, 8])
def test_fragments_with_laced_blocks_have_no_shape(size_width: int | None) -> None:
    assert ways(*documents(FragmentLayout(lacing=Lacing.XIPH, size_width=size_width))) == "eeeee"


def test_behind_damage_fragments_are_read_by_their_shape_again() -> None:
    first, second, third, *rest = documents()
    broken = bytearray(third)
    broken[broken.index(b"\x1f\x43\xb6\x75")] ^= 0xFF

    assert ways(first, second, bytes(broken), *rest).endswith("ss")
    assert "!" in ways(first, second, bytes(broken), *rest)


def test_a_fragment_that_somebody_looks_at_is_read_by_its_elements_and_the_next_by_its_shape() -> None:
    first, second, third, *_ = documents()
    reader = FragmentReader()
    assert ways(first, second[:2000], reader=reader) == "e"
    assert reader.open is not None
    assert ways(second[2000:], third, reader=reader) == "es"


@pytest.mark.parametrize("size", [500, 1024, 3000])
def test_a_fragment_is_waited_for_where_its_reads_are_large_enough(size: int) -> None:
    data = b"".join(documents())

    assert ways(*(data[at : at + size] for at in range(0, len(data), size))) == "essss"


def test_a_fragment_that_trickles_in_is_read_by_its_elements() -> None:
    data = b"".join(documents(count=3))

    assert ways(*(data[at : at + 50] for at in range(0, len(data), 50))) == "eee"


def test_a_longer_fragment_between_two_is_read_by_its_elements() -> None:
    first, second, third, *_ = documents()
    odd = [each.data for each in synthesize_call(replace(CALL, blocks_per_fragment=3))][1]

    assert ways(first, second, odd, third) == "eses"


@pytest.mark.parametrize("off_ms", [0, 5_000, -5_000, -86_400_000, -86_400_001, -1_782_000_000_000])
def test_times_of_a_fragment_are_those_of_its_elements_wherever_its_cluster_stands(off_ms: int) -> None:
    made = []
    for each in list(synthesize_call(CALL))[:4]:
        contents = replace(each.contents, cluster_ms=each.contents.producer_ms + off_ms)
        made.append(write_fragment(contents))
    by_shape, by_elements = FragmentReader(), FragmentReader()
    times = []
    for reader, looks in ((by_shape, False), (by_elements, True)):
        found: list[list[int]] = []
        for data in made:
            if looks:
                reader.receive_data(data[:-1])
                assert reader.next_event() is NEED_DATA
                assert reader.open is not None
                data = data[-1:]  # noqa: PLW2901 - the rest of it
            reader.receive_data(data)
            event = reader.next_event()
            assert isinstance(event, Fragment)
            found.append([block.time_ns for block in event.blocks])
            assert isinstance(event.blocks, ShapedBlocks) is (not looks and len(found) > 1)
        times.append(found)

    assert times[0] == times[1]


def test_an_error_behind_a_fragment_that_was_read_by_its_shape_is_of_that_fragment() -> None:
    first, second, third, *_ = documents()
    reader = FragmentReader()
    reader.receive_data(first + second)
    before = [reader.next_event(), reader.next_event()]
    reader.receive_data(tags(("AWS_KINESISVIDEO_ERROR_CODE", "4500")) + third)
    reported, behind = reader.next_event(), reader.next_event()

    assert isinstance(before[1], Fragment)
    assert isinstance(before[1].blocks, ShapedBlocks)
    assert isinstance(reported, Fragment)
    assert ([each.code for each in reported.errors], reported.number) == ([4500], before[1].number)
    assert reported.contact_ids == before[1].contact_ids
    assert isinstance(behind, Fragment)
    assert behind.blocks
