"""A fragment that is read by its shape is what its elements say, whatever comes between, and however it is cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest
from fuzz.two_ways import both_ways
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.adapters import kvs_archive
from connect_audio.core.fragments import NEED_DATA, Fragment, FragmentReader
from connect_audio.core.shapes import ShapedBlocks
from connect_audio_local.kvs.archive_document import archive_document
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call, synthesize_stream
from connect_audio_local.synthesis.fragment_writer import CONNECT_LAYOUT, FragmentLayout, Placement
from core_support.generated_streams import GeneratedStream, generated_streams, layouts
from support.examples import examples

SPEECH = bytes(value * 7 % 251 for value in range(7 * 16_000))
CALL = SyntheticCall(customer=SPEECH, agent=SPEECH[::-1], seconds=6.144)
OTHER = replace(CALL, contact_id="00000000-0000-4000-8000-000000000009", start_ms=None, pause_ms=500)
_STRETCH = 20_000
"""Bytes that are cut alike: half a fragment."""


def fragments(call: SyntheticCall = CALL) -> list[bytes]:
    return [fragment.data for fragment in synthesize_call(call)]


def cut(data: bytes, sizes: random.Random) -> list[bytes]:
    """Cut into pieces: how long they are at most is drawn, too, anew for each stretch."""
    pieces, at = [], 0
    while at < len(data):
        longest, stretch = sizes.choice((40, 1200, 8000, 40_000, 1 << 18)), at + _STRETCH
        while at < min(stretch, len(data)):
            size = sizes.randint(1, longest)
            pieces.append(data[at : at + size])
            at += size
    return pieces


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes, drop some, repeat some, or put a whole document among them."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + chance.choice((1, 4, 300, 5000))]
            case 2:
                changed[at:at] = changed[at : at + chance.choice((1, 9, 1037, 5000))]
            case 3:
                changed[at:at] = data[: chance.choice((100, 1500, len(data)))]
            case _:
                changed[at : at + 9] = chance.randbytes(9)
    return bytes(changed)


def test_blocks_of_a_shape_are_equal_and_hash_alike_only_if_they_hold_the_same() -> None:
    def shaped(call: SyntheticCall) -> Sequence[object]:
        reader = FragmentReader()
        reader.receive_data(b"".join(fragments(call)))
        found = [event for event in iter(reader.next_event, NEED_DATA) if isinstance(event, Fragment)]
        return [each.blocks for each in found if isinstance(each.blocks, ShapedBlocks)]

    first, second, other = shaped(CALL)[0], shaped(CALL)[0], shaped(replace(CALL, agent=SPEECH))[0]
    assert first is not second
    assert (first == second, first == other) == (True, False)
    assert hash(first) == hash(second) != hash(other)


def test_fragments_of_one_layout_are_read_by_their_shape() -> None:
    report = both_ways([b"".join(fragments())], looks=False)

    assert (report.fragments, report.shaped) == (6, 5)


@pytest.mark.parametrize("size", [1200, 16_000, 1 << 18])
def test_a_fragment_that_comes_in_several_reads_is_read_by_its_shape(size: int) -> None:
    data = b"".join(fragments())
    report = both_ways([data[at : at + size] for at in range(0, len(data), size)], looks=False)

    assert report.shaped == 5


def test_a_fragment_that_trickles_in_is_not_waited_for() -> None:
    data = b"".join(fragments())

    assert both_ways([data[at : at + 100] for at in range(0, len(data), 100)], looks=False).shaped == 0


def test_shapes_of_two_contacts_take_turns() -> None:
    data = b"".join(fragment.data for fragment in synthesize_stream([CALL, OTHER, CALL]))

    assert both_ways([data], looks=False).shaped == 3 * 6 - 2


def test_who_looks_at_the_fragment_under_way_sees_its_blocks_and_gets_the_same_fragments() -> None:
    data = b"".join(fragments())
    report = both_ways([data[at : at + 8000] for at in range(0, len(data), 8000)], looks=True)

    assert report.fragments == 6


def test_the_blocks_of_a_fragment_are_in_it_as_soon_as_they_are_asked_for() -> None:
    first, second, *_ = fragments()
    reader = FragmentReader()
    reader.receive_data(first + second[:20_000])
    assert isinstance(reader.next_event(), Fragment)
    assert reader.next_event() is NEED_DATA

    assert reader.open is not None
    assert len(reader.open.blocks) == (20_000 - second.index(b"\x1f\x43\xb6\x75")) // 1037


@given(stream=generated_streams(), seed=st.integers(0, 1 << 32), looks=st.booleans())
def test_generated_streams_in_any_cut_say_the_same_both_ways(stream: GeneratedStream, seed: int, looks: bool) -> None:  # noqa: FBT001 - Hypothesis calls it by name
    both_ways(cut(stream.data, random.Random(seed)), looks=looks)


@given(layout=layouts(), seed=st.integers(0, 1 << 32), looks=st.booleans())
@settings(max_examples=examples(60))
def test_calls_in_any_layout_say_the_same_both_ways(layout: FragmentLayout, seed: int, looks: bool) -> None:  # noqa: FBT001 - the same
    call = replace(CALL, layout=layout, block_ms=32, blocks_per_fragment=4, seconds=1)
    data = b"".join(fragments(call))

    both_ways(cut(data, random.Random(seed)), looks=looks)
    both_ways(cut(damaged(data, random.Random(seed)), random.Random(seed)), looks=looks)


@given(seed=st.integers(0, 1 << 32), looks=st.booleans())
@settings(max_examples=examples(60))
def test_damaged_streams_say_the_same_both_ways_and_in_any_cut(seed: int, looks: bool) -> None:  # noqa: FBT001 - the same
    chance = random.Random(seed)
    calls: Sequence[SyntheticCall] = [replace(CALL, seconds=3), replace(OTHER, seconds=2)]
    data = damaged(b"".join(fragment.data for fragment in islice(synthesize_stream(calls), 5)), chance)

    assert both_ways(cut(data, chance), looks=looks).events == both_ways([data], looks=False).events


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", b"AWS_KINESISVIDEO_MILLIS_BEHIND_LOW"),
        (b"AUDIO_TO_CUSTOMER", b"AUDIO_TO_CUSTOMEr"),
        (b"ContactId", b"ContactID"),
    ],
)
def test_at_the_first_byte_that_differs_the_elements_are_read(old: bytes, new: bytes) -> None:
    made = fragments()
    assert old in made[3]
    made[3] = made[3].replace(old, new, 1)

    assert both_ways(made, looks=False).shaped == 4


@pytest.mark.parametrize("value", [b"12a4", b"\x0012a"])
def test_a_value_in_an_uncommon_form_is_left_to_the_elements(value: bytes) -> None:
    made = fragments()
    at = made[3].index(b"AWS_KINESISVIDEO_SERVER_TIMESTAMP") + len(b"AWS_KINESISVIDEO_SERVER_TIMESTAMP") + 12
    made[3] = made[3][:at] + value + made[3][at + len(value) :]

    assert both_ways(made, looks=False).shaped == 4


@pytest.mark.parametrize(
    "layout",
    [
        CONNECT_LAYOUT,
        FragmentLayout(segment_size_known=True),
        FragmentLayout(segment_size_known=True, cluster_size_known=True),
        FragmentLayout(void_bytes=20, seek_head=True, size_width=4),
        FragmentLayout(contact_tags=Placement.AFTER, timecode_scale=125_000),
    ],
    ids=str,
)
def test_layouts_with_one_cluster_and_a_token_have_a_shape(layout: FragmentLayout) -> None:
    assert both_ways(fragments(replace(CALL, layout=layout)), looks=False).shaped == 5


@pytest.mark.parametrize("is_side", [False, True])
def test_fragments_out_of_the_archive_are_read_by_their_shape(is_side: bool) -> None:  # noqa: FBT001 - a parameter
    made = []
    for fragment in synthesize_call(CALL):
        document = archive_document(fragment.data, is_side=is_side)
        assert b"MILLIS_BEHIND_NOW" not in document
        made.append(kvs_archive._with_token(document, str(fragment.number)))

    assert both_ways(made, looks=False).shaped == 5


def test_a_stream_whose_layout_never_comes_again_is_seldom_learnt() -> None:
    learnt = 0
    reader = FragmentReader()
    learn = reader._shapes.learn

    def counted(raw: bytes, fragment: Fragment, *, leaves_open: bool) -> None:
        nonlocal learnt
        learnt += 1
        learn(raw, fragment, leaves_open=leaves_open)

    reader._shapes.learn = counted  # type: ignore[method-assign]
    for index in range(300):
        call = replace(CALL, contact_id=f"contact-{index}", start_ms=1_700_000_000_000 + 2000 * index, seconds=1)
        reader.receive_data(fragments(replace(call, block_ms=32, blocks_per_fragment=2))[0])
        event = reader.next_event()
        assert isinstance(event, Fragment)
        assert not isinstance(event.blocks, ShapedBlocks)

    assert learnt == 2 + 300 // 128
