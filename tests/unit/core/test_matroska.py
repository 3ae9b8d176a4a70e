"""Decoders of whole elements: blocks in every lacing, tags, tracks, Info; and what they refuse."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from ebmlite import loadSchema
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.ebml import Element, read_header, read_vint
from connect_audio.core.errors import MatroskaError
from connect_audio.core.matroska import (
    SCHEMA,
    TagValue,
    TrackEntry,
    decode_block,
    decode_blocks,
    decode_tags,
    decode_timecode_scale,
    decode_tracks,
    is_matroska_document,
)
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from connect_audio_local.synthesis.fragment_writer import (
    Block,
    FragmentContents,
    FragmentLayout,
    Lacing,
    Track,
    write_fragment,
)
from core_support.elements import (
    AUDIO,
    BIT_DEPTH,
    CHANNELS,
    CODEC_ID,
    CRC_32,
    DOCUMENT,
    EBML_HEADER,
    INFO,
    NAME,
    SAMPLING_FREQUENCY,
    SIMPLE_BLOCK,
    SIMPLE_TAG,
    TAG,
    TAG_NAME,
    TAG_STRING,
    TAGS,
    TIMECODE_SCALE,
    TRACK_ENTRY,
    TRACK_NUMBER,
    TRACKS,
    VOID,
    element,
    element_soup,
    named,
    simple_tag,
    size_field,
    tags,
    track_entry,
)
from core_support.generated_streams import GeneratedStream, generated_streams
from core_support.reading import tokens_three_ways
from support.examples import examples

EBMLITE = loadSchema("matroska.xml")
HINT = "AWS_KINESISVIDEO_"
"""Tags with it are decoded by hand, tags without it by ebmlite."""


# --- blocks ----------------------------------------------------------------------------------------------------------


def block(payload: bytes) -> tuple[bytes, int]:
    """A SimpleBlock and where its payload starts."""
    raw = element(SIMPLE_BLOCK, payload)
    return raw, len(raw) - len(payload)


def frames_of(payload: bytes) -> tuple[int, int, tuple[bytes, ...]]:
    raw, at = block(payload)
    header = decode_block(raw, at, offset=7)
    joined = b"".join(header.frames)
    # The fast form for runs of blocks must read the same.
    (fast,) = decode_blocks(b"xx" + raw, range(2, 3), size=len(raw), header_size=at, offset=7)
    assert fast == (header.track_number, header.timecode, joined, len(header.frames))
    return header


def test_a_plain_block_is_its_payload() -> None:
    assert frames_of(bytes.fromhex("82 FFFE 80") + b"abc") == (2, -2, (b"abc",))


def test_a_block_without_payload_has_one_empty_frame() -> None:
    assert frames_of(bytes.fromhex("81 0000 80")) == (1, 0, (b"",))


@pytest.mark.parametrize("number", [127, 128, 16_382, 16_383, 1 << 28, (1 << 56) - 2])
def test_track_numbers_of_any_width_are_read(number: int) -> None:
    width = next(width for width in range(1, 9) if number < (1 << 7 * width) - 1)
    assert frames_of(size_field(number, width) + bytes.fromhex("0001 80") + b"a")[:2] == (number, 1)


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=9),
    st.sampled_from((Lacing.XIPH, Lacing.EBML)),
)
def test_frames_of_any_sizes_come_out_of_a_lace(frames: list[bytes], lacing: Lacing) -> None:
    head = bytes([0x81, 0, 0, 0x80 | lacing.value, len(frames) - 1])
    sizes = [len(frame) for frame in frames[:-1]]
    if lacing is Lacing.XIPH:
        head += b"".join(b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes)
    else:
        head += b"".join(
            size_field(size, 4) if index == 0 else size_field(size - sizes[index - 1] + (1 << 13) - 1, 2)
            for index, size in enumerate(sizes)
        )

    assert frames_of(head + b"".join(frames)) == (1, 0, tuple(frames))


def test_fixed_lacing_divides_a_block_evenly() -> None:
    assert frames_of(bytes.fromhex("81 0000 84 02") + b"aabbcc") == (1, 0, (b"aa", b"bb", b"cc"))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("", "a variable-size integer was expected where the data ends"),
        ("00 0000 80", "a variable-size integer runs beyond the data"),
        ("81 0000", "a block of 3 bytes has no room for its header"),
        ("40", "a variable-size integer runs beyond the data"),
        ("81 0000 82", "a laced block ends before its frame count"),
        ("81 0000 84 02 61616161", "4 bytes do not divide into 3 laced frames"),
        ("81 0000 82 01 FF", "a laced block ends inside its frame sizes"),
        ("81 0000 82 01 05 6161", "a laced frame of 5 bytes overruns its block"),
        ("81 0000 86 01 85 6161", "a laced frame of 5 bytes overruns its block"),
        ("81 0000 86 02 81 81 6161", "a laced frame of -61 bytes overruns its block"),
        ("81 0000 86 FF 81", "a variable-size integer was expected where the data ends"),
    ],
)
def test_a_block_that_does_not_hold_together_is_refused(payload: str, message: str) -> None:
    raw, at = block(bytes.fromhex(payload))

    with pytest.raises(MatroskaError) as error:
        decode_block(raw, at, offset=1234)

    assert str(error.value) == f"block: {message} (at byte 1234)"
    assert error.value.offset == 1234


@given(st.binary(max_size=40))
def test_any_bytes_are_a_block_or_are_refused(payload: bytes) -> None:
    raw, at = block(payload)
    try:
        header = decode_block(raw, at, offset=0)
    except MatroskaError:
        return
    assert sum(map(len, header.frames)) < len(payload)


def test_the_offset_of_a_bad_block_in_a_run_is_its_own() -> None:
    good, bad = element(SIMPLE_BLOCK, b"\x81\0\0\x80ab"), element(SIMPLE_BLOCK, b"\0\0\0\x80ab")
    blocks = decode_blocks(good + good + bad, range(0, 45, 15), size=15, header_size=9, offset=1000)

    assert [next(blocks), next(blocks)] == [(1, 0, b"ab", 1)] * 2
    with pytest.raises(MatroskaError, match=r"\(at byte 1030\)"):
        next(blocks)


# --- tags ------------------------------------------------------------------------------------------------------------


def with_hint(raw: bytes) -> bytes:
    """The same Tags with a Void that makes them be decoded by hand."""
    _, payload, end = read_header(raw, 0, len(raw))
    return element(TAGS, raw[payload:end] + element(VOID, HINT.encode()))


def both_ways(raw: bytes) -> tuple[TagValue, ...]:
    """Decode with ebmlite and by hand."""
    assert HINT.encode() not in raw
    with_ebmlite = decode_tags(raw, offset=0)
    assert decode_tags(with_hint(raw), offset=0) == with_ebmlite
    return with_ebmlite


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@st.composite
def simple_tags(draw: st.DrawFn, depth: int = 3) -> bytes:
    children = [element(TAG_NAME, draw(names).encode() + bytes(draw(st.integers(0, 2))))]
    children += draw(st.lists(st.builds(lambda text: element(TAG_STRING, text), st.binary(max_size=6)), max_size=2))
    children += draw(st.lists(simple_tags(depth - 1), max_size=2)) if depth else []
    children += [element(VOID, b"..")] * draw(st.integers(0, 1))
    return element(SIMPLE_TAG, b"".join(draw(st.permutations(children))))


@given(groups=st.lists(st.lists(simple_tags(), max_size=3), max_size=3), crc=st.booleans())
def test_tags_decoded_by_hand_are_those_that_ebmlite_reads(*, groups: list[list[bytes]], crc: bool) -> None:
    head = element(CRC_32, b"1234") if crc else b""
    both_ways(element(TAGS, head + b"".join(element(TAG, b"".join(group)) for group in groups)))


@settings(max_examples=examples(30))
@given(generated_streams())
def test_the_tags_of_every_layout_are_decoded_by_hand_as_ebmlite_reads_them(stream: GeneratedStream) -> None:
    for fragment in stream.fragments:
        tokens = tokens_three_ways(fragment.data, dict(SCHEMA), b"\x1a")
        for token in tokens:
            if isinstance(token, Element) and token.element_id == TAGS:
                expected = tags_of_ebmlite(token.raw)
                assert [tuple(tag) for tag in decode_tags(token.raw, offset=0)] == expected
                assert [tuple(tag) for tag in decode_tags(with_hint(token.raw), offset=0)] == expected


def tags_of_ebmlite(raw: bytes) -> list[tuple[str, str]]:
    (root,) = EBMLITE.loads(raw)
    return [
        (child(simple, "TagName"), child(simple, "TagString"))
        for tag in root
        if tag.name == "Tag"
        for simple in tag
        if simple.name == "SimpleTag"
    ]


def child(simple_tag: Any, name: str) -> str:
    return next(str(inner.value) for inner in simple_tag if inner.name == name)


def test_nested_simple_tags_follow_their_parent() -> None:
    inner = simple_tag("inner", "2")
    outer = element(SIMPLE_TAG, element(TAG_NAME, b"outer") + inner + element(TAG_STRING, b"1"))

    assert both_ways(element(TAGS, element(TAG, outer + simple_tag("last", "3")))) == (
        ("outer", "1"),
        ("inner", "2"),
        ("last", "3"),
    )


def test_a_tag_ends_at_its_first_nul_and_bad_utf_8_is_replaced() -> None:
    raw = element(TAGS, element(TAG, element(SIMPLE_TAG, element(TAG_NAME, b"a\0b") + element(TAG_STRING, b"\xff1"))))

    assert both_ways(raw) == (("a", "\ufffd1"),)


def test_a_tag_without_a_string_is_empty() -> None:
    assert both_ways(element(TAGS, element(TAG, element(SIMPLE_TAG, element(TAG_NAME, b"a"))))) == (("a", ""),)


def test_a_simple_tag_outside_a_tag_is_none() -> None:
    assert both_ways(element(TAGS, simple_tag("a", "1"))) == ()


@pytest.mark.parametrize("hint", [False, True])
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (element(TAG, element(SIMPLE_TAG, element(TAG_STRING, b"a"))), "a SimpleTag without a TagName"),
        (element(TAG, simple_tag("a", "b"), declared=10), "an inner element of 22 bytes overruns its parent by 22"),
        (element(TAG, element(SIMPLE_TAG, b"\x45")), "an element ID runs beyond its parent"),
    ],
    ids=named,
)
def test_tags_that_do_not_hold_together_are_refused(payload: bytes, message: str, *, hint: bool) -> None:
    raw = element(TAGS, payload)

    with pytest.raises(MatroskaError) as error:
        decode_tags(with_hint(raw) if hint else raw, offset=99)

    assert str(error.value) == f"Tags: {message} (at byte 99)"


@pytest.mark.parametrize("hint", [False, True])
def test_tags_nested_without_end_are_refused_before_the_stack_overflows(*, hint: bool) -> None:
    nested = element(TAG_NAME, b"a")
    for _ in range(3000):
        nested = element(TAG_NAME, b"a") + element(SIMPLE_TAG, nested)
    raw = element(TAGS, element(TAG, element(SIMPLE_TAG, nested)))

    with pytest.raises(MatroskaError, match=r"^Tags: elements nested deeper than 16 "):
        decode_tags(with_hint(raw) if hint else raw, offset=0)


@pytest.mark.parametrize("hint", [False, True])
def test_both_decoders_read_fourteen_nested_simple_tags_and_refuse_fifteen(*, hint: bool) -> None:
    # Tags and Tag are the first two of the sixteen masters that may nest.
    def decoded(depth: int) -> list[str]:
        nested = element(SIMPLE_TAG, element(TAG_NAME, b"innermost"))
        for _ in range(depth - 1):
            nested = element(SIMPLE_TAG, element(TAG_NAME, b"a") + nested)
        raw = element(TAGS, element(TAG, nested))
        return [tag.name for tag in decode_tags(with_hint(raw) if hint else raw, offset=0)]

    assert decoded(14) == ["a"] * 13 + ["innermost"]
    with pytest.raises(MatroskaError, match=r"^Tags: elements nested deeper than 16 "):
        decoded(15)


# --- tracks and Info -------------------------------------------------------------------------------------------------


def test_a_track_entry_is_read_with_its_audio_master() -> None:
    audio = element(
        AUDIO,
        element(SAMPLING_FREQUENCY, struct.pack(">f", 16000)) + element(CHANNELS, b"\2") + element(BIT_DEPTH, b"\x10"),
    )
    entry = track_entry(300, element(NAME, b"AUDIO_FROM_CUSTOMER\0\0"), element(CODEC_ID, b"A_PCM/INT/LIT"), audio)

    assert decode_tracks(element(TRACKS, element(VOID, b"1") + entry), offset=0) == (
        TrackEntry(
            number=300,
            track_type=2,
            name="AUDIO_FROM_CUSTOMER",
            codec_id="A_PCM/INT/LIT",
            sampling_frequency=16000.0,
            channels=2,
            bit_depth=16,
        ),
    )


def test_what_a_track_entry_does_not_say_is_none_or_empty() -> None:
    raw = element(TRACKS, element(TRACK_ENTRY, element(TRACK_NUMBER, b"\7")))

    assert decode_tracks(raw, offset=0) == (TrackEntry(number=7, track_type=0, name="", codec_id=""),)


def test_names_that_are_no_clean_text_are_read_all_the_same() -> None:
    (entry,) = decode_tracks(
        element(TRACKS, track_entry(1, element(NAME, b"\xff"), element(CODEC_ID, b"\xfe"))), offset=0
    )

    assert (entry.name, entry.codec_id) == ("\ufffd", "\ufffd")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (element(TRACK_ENTRY, element(NAME, b"a")), "a TrackEntry without a TrackNumber"),
        (element(TRACK_ENTRY, declared=5), "an inner element of 5 bytes overruns its parent by 5"),
        (
            track_entry(1, element(AUDIO, element(SAMPLING_FREQUENCY, b"abc"))),
            "Cannot read floating point value of length 3; only lengths of 0, 4, or 8 bytes supported.",
        ),
    ],
    ids=named,
)
def test_tracks_that_do_not_hold_together_are_refused(payload: bytes, message: str) -> None:
    with pytest.raises(MatroskaError) as error:
        decode_tracks(element(TRACKS, payload), offset=5)

    assert str(error.value) == f"Tracks: {message} (at byte 5)"


def test_the_timecode_scale_is_a_millisecond_where_info_does_not_tell() -> None:
    assert decode_timecode_scale(element(INFO), offset=0) == 1_000_000
    assert decode_timecode_scale(element(INFO, element(TIMECODE_SCALE, b"\x61\xa8")), offset=0) == 25_000


@pytest.mark.parametrize("scale", [0, 10_000_000_001])
def test_a_timecode_scale_that_makes_no_sense_is_refused(scale: int) -> None:
    raw = element(INFO, element(TIMECODE_SCALE, scale.to_bytes(8)))

    with pytest.raises(MatroskaError, match=rf"^TimecodeScale of {scale} ns \(at byte 3\)$"):
        decode_timecode_scale(raw, offset=3)


decoders: Sequence[tuple[int, Callable[..., object]]] = (
    (TAGS, decode_tags),
    (TRACKS, decode_tracks),
    (INFO, decode_timecode_scale),
)


@settings(max_examples=examples(300))
@given(
    soup=element_soup(),
    decoder=st.sampled_from(decoders),
    inside=st.sampled_from((None, TAG, TRACK_ENTRY, AUDIO)),
    hint=st.booleans(),
)
def test_any_elements_decode_or_are_refused(
    *, soup: bytes, decoder: tuple[int, Callable[..., object]], inside: int | None, hint: bool
) -> None:
    element_id, decode = decoder
    if inside == AUDIO:
        soup = track_entry(1, element(AUDIO, soup))
    elif inside == TRACK_ENTRY:
        soup = track_entry(1, soup)
    elif inside is not None:
        soup = element(inside, soup)
    raw = element(element_id, soup + (element(VOID, HINT.encode()) if hint else b""))
    with suppress(MatroskaError):
        decode(raw, offset=0)


def test_large_elements_are_not_kept_in_a_cache() -> None:
    large = element(TRACKS, track_entry(1, element(NAME, b"a" * 5000)))

    assert decode_tracks(large, offset=0) == decode_tracks(large, offset=0)
    assert decode_tracks(large, offset=0) is not decode_tracks(large, offset=0)
    small = element(TRACKS, track_entry(1, element(NAME, b"a")))
    assert decode_tracks(small, offset=0) is decode_tracks(small, offset=0)


# --- documents and integers ------------------------------------------------------------------------------------------


def test_a_document_is_told_from_a_header_and_the_segment_behind_it() -> None:
    assert is_matroska_document(DOCUMENT) is True
    assert is_matroska_document(DOCUMENT.replace(b"matroska", b"webm\0\0\0\0")) is True


def test_a_beginning_of_a_document_needs_more_to_tell() -> None:
    needed = len(EBML_HEADER) + 4
    assert [is_matroska_document(DOCUMENT[:length]) for length in range(needed)] == [None] * needed


@pytest.mark.parametrize(
    "data",
    [
        EBML_HEADER + bytes.fromhex("1F43B675"),
        DOCUMENT.replace(b"matroska", b"matroskb"),
        bytes.fromhex("1A45DFA300"),
        bytes.fromhex("1A45DFA383") + bytes(20),
        bytes.fromhex("1A45DFA3") + size_field(4033, 2),
        bytes.fromhex("1A45DFA38B") + bytes(30),
    ],
    ids=["no Segment", "no DocType", "no size", "too short", "too long", "no elements"],
)
def test_other_bytes_behind_the_magic_are_no_document(data: bytes) -> None:
    assert is_matroska_document(data) is False


@given(st.binary(max_size=60))
def test_any_bytes_behind_the_magic_get_a_verdict(data: bytes) -> None:
    assert is_matroska_document(bytes.fromhex("1A45DFA3") + data) in {True, False, None}


@given(st.integers(1, 8), st.data(), st.binary(max_size=5))
def test_a_variable_size_integer_leaves_what_follows_untouched(
    width: int, data: st.DataObject, trailing: bytes
) -> None:
    value = data.draw(st.integers(0, (1 << 7 * width) - 1))
    raw = size_field(value, width)

    assert read_vint(raw + trailing, 0) == (value, width)
    for length in range(width):
        with pytest.raises(ValueError, match="a variable-size integer"):
            read_vint(raw[:length], 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an element was expected where its parent ends"),
        (b"\x08\x81a", "an element ID runs beyond its parent"),
        (b"\x83", "an element ID runs beyond its parent"),
        (b"\x83\x40", "an element size runs beyond its parent"),
        (b"\x83\x00", "an element size runs beyond its parent"),
        (b"\x83\xff", "an inner element of unknown size"),
        (b"\x83\x83a", "an inner element of 3 bytes overruns its parent by 2"),
    ],
    ids=named,
)
def test_an_inner_element_that_does_not_fit_its_parent_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_header(data, 0, len(data))


def test_an_inner_element_tells_its_id_payload_and_end() -> None:
    assert read_header(b"..\x53\x6e\x82abcd", 2, 7) == (NAME, 5, 7)


def test_contents_survive_a_round_trip_with_names_in_any_script() -> None:
    contents = FragmentContents(
        number="1",
        producer_ms=DEFAULT_START_MS,
        server_ms=DEFAULT_START_MS,
        contact_id="contact",
        instance_id=None,
        tracks=[Track(1, "AUDIO_FROM_CUSTOMER")],
        blocks=[Block.at_ms(1, DEFAULT_START_MS, b"ab")],
        other_tags=[("名", "値")],
    )
    tokens = tokens_three_ways(write_fragment(contents, FragmentLayout()), dict(SCHEMA), b"")
    found = [
        tag
        for token in tokens
        if isinstance(token, Element) and token.element_id == TAGS
        for tag in decode_tags(token.raw, offset=0)
    ]
    assert ("名", "値") in found
    assert tags(("名", "値"))
