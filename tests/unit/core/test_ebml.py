"""The push parser alone: tokens by declared and unknown sizes, whatever the cut; what it says of an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.ebml import END, NEED_DATA, EbmlParser, Element, MasterEnd, MasterStart, Token
from connect_audio.core.errors import EbmlError
from connect_audio.core.matroska import SCHEMA, is_matroska_document
from core_support.elements import (
    BLOCK,
    BLOCK_GROUP,
    CLUSTER,
    CRC_32,
    DOCUMENT,
    EBML_HEADER,
    SEEK_HEAD,
    SEGMENT,
    SEGMENT_OF_UNKNOWN_SIZE,
    SIMPLE_BLOCK,
    TAGS,
    TIMECODE,
    UNKNOWN_CLUSTER,
    VOID,
    element,
    named,
)
from core_support.generated_streams import DECOY, MAGIC
from core_support.reading import byte_by_byte, tokens_three_ways

HEADER = 0x1A45DFA3


def names(tokens: list[Token]) -> list[str]:
    """Tokens in short: `+ID` and `-ID` for a master's start and end, `ID` for an element."""
    short = []
    for token in tokens:
        if isinstance(token, MasterStart):
            short.append(f"+{SCHEMA[token.element_id].name}")
        elif isinstance(token, MasterEnd):
            short.append(f"-{SCHEMA[token.element_id].name}")
        elif isinstance(token, Element):
            short.append(SCHEMA[token.element_id].name)
    return short


def tokens_of(document: bytes, trailing: bytes = b"") -> list[str]:
    return names(tokens_three_ways(document, dict(SCHEMA), trailing))


CLUSTER_CONTENT = element(TIMECODE, b"\1") + element(SIMPLE_BLOCK, b"\x81\0\0\0ab")


def test_masters_of_known_size_end_where_their_size_says() -> None:
    document = EBML_HEADER + element(SEGMENT, element(CLUSTER, CLUSTER_CONTENT) + element(TAGS))

    assert tokens_of(document, MAGIC[:3]) == [
        *("EBML header", "+Segment", "+Cluster", "Timecode", "SimpleBlock", "-Cluster", "Tags", "-Segment"),
    ]


def test_masters_of_unknown_size_end_where_an_element_of_an_outer_level_begins() -> None:
    document = DOCUMENT + UNKNOWN_CLUSTER + CLUSTER_CONTENT + UNKNOWN_CLUSTER + element(TAGS) + EBML_HEADER

    assert tokens_of(document, MAGIC[:3]) == [
        *("EBML header", "+Segment", "+Cluster", "Timecode", "SimpleBlock", "-Cluster", "+Cluster", "-Cluster"),
        *("Tags", "-Segment", "EBML header"),
    ]


def test_a_master_of_unknown_size_ends_with_its_parent_of_known_size_at_the_latest() -> None:
    document = EBML_HEADER + element(SEGMENT, UNKNOWN_CLUSTER + CLUSTER_CONTENT) + EBML_HEADER

    assert tokens_of(document, MAGIC[:1]) == [
        *("EBML header", "+Segment", "+Cluster", "Timecode", "SimpleBlock", "-Cluster", "-Segment", "EBML header"),
    ]


def test_an_empty_master_ends_at_once() -> None:
    document = DOCUMENT + element(CLUSTER, element(BLOCK_GROUP)) + element(CLUSTER)

    assert tokens_of(document) == [
        *("EBML header", "+Segment", "+Cluster", "+BlockGroup", "-BlockGroup", "-Cluster", "+Cluster", "-Cluster"),
    ]


def test_padding_checksums_and_unknown_elements_are_passed_over_at_every_level() -> None:
    pad = element(VOID, bytes(300)) + element(CRC_32, b"1234")
    other = element(0x55FF, MAGIC * 50)
    document = pad + EBML_HEADER + pad
    document += element(
        SEGMENT, pad + other + element(SEEK_HEAD, bytes(500)) + UNKNOWN_CLUSTER + pad + other + CLUSTER_CONTENT
    )

    assert tokens_of(document, MAGIC[:3]) == [
        *("EBML header", "+Segment", "+Cluster", "Timecode", "SimpleBlock", "-Cluster", "-Segment"),
    ]


@pytest.mark.parametrize("there", [None, 9], ids=["all of it there", "its end never comes"])
def test_a_size_that_reaches_over_the_next_document_is_not_believed(there: int | None) -> None:
    parser = EbmlParser(SCHEMA, document_at=is_matroska_document)
    parser.receive_data(DOCUMENT + element(0x55FF, b"1234" + DOCUMENT + bytes(99))[: -(there or 0) or None])

    before = tokens_of(DOCUMENT)
    for _ in before:
        parser.next_token()
    with pytest.raises(EbmlError, match="reaches over the next document"):
        parser.next_token()
    assert parser.element_offset == len(DOCUMENT)
    assert parser.resynchronise(is_matroska_document) == len(element(0x55FF, b"1234"))


def test_tokens_tell_where_they_are_and_what_they_hold() -> None:
    block = element(SIMPLE_BLOCK, b"abcd", width=1)
    at = len(DOCUMENT)
    tokens = tokens_three_ways(DOCUMENT + element(CLUSTER, block, width=2), dict(SCHEMA), b"\x12")

    assert tokens == [
        Element(HEADER, 0, 5, EBML_HEADER),
        MasterStart(SEGMENT, len(EBML_HEADER), None),
        MasterStart(CLUSTER, at, len(block)),
        Element(SIMPLE_BLOCK, at + 6, 2, block),
        MasterEnd(CLUSTER, at + 6 + len(block)),
    ]


@given(st.integers(1, 8))
def test_sizes_of_every_width_are_read(width: int) -> None:
    document = EBML_HEADER + element(SEGMENT, element(CLUSTER, element(TIMECODE, b"\1", width=width)), width=8)

    assert tokens_of(document) == ["EBML header", "+Segment", "+Cluster", "Timecode", "-Cluster", "-Segment"]


def test_what_is_whole_is_given_out_also_when_more_came_before_it_was_fetched() -> None:
    parser = EbmlParser(SCHEMA)
    block = element(SIMPLE_BLOCK, bytes(1000))
    parser.receive_data(DOCUMENT + UNKNOWN_CLUSTER + block[:500])
    assert len(list(iter(parser.next_token, NEED_DATA))) == 3
    parser.receive_data(block[500:] + element(TIMECODE, b"\1"))
    assert isinstance(parser.next_token(), Element)

    parser.receive_data(b"\xa3")

    assert isinstance(parser.next_token(), Element)
    assert parser.next_token() is NEED_DATA


def test_a_run_of_equal_blocks_can_be_taken_in_one_go_and_given_back() -> None:
    parser = EbmlParser(SCHEMA)
    blocks = [element(SIMPLE_BLOCK, bytes([index]) * 50) for index in range(5)]
    other = element(SIMPLE_BLOCK, bytes(51))
    parser.receive_data(DOCUMENT + UNKNOWN_CLUSTER + b"".join(blocks) + other)
    while not isinstance(token := parser.next_token(), Element) or token.element_id != SIMPLE_BLOCK:
        pass

    buffer, starts = parser.take_repeats()
    assert [buffer[start : start + len(token.raw)] for start in starts] == blocks[1:]
    parser.give_back(2)

    assert [token.raw for token in iter(parser.next_token, NEED_DATA) if isinstance(token, Element)] == [
        *blocks[3:],
        other,
    ]


def test_a_run_of_equal_blocks_ends_where_their_cluster_does() -> None:
    block = element(SIMPLE_BLOCK, b"abcd")
    parser = EbmlParser(SCHEMA)
    parser.receive_data(DOCUMENT + element(CLUSTER, block * 2) + block)
    while not isinstance(token := parser.next_token(), Element) or token.element_id != SIMPLE_BLOCK:
        pass

    assert len(parser.take_repeats()[1]) == 1
    assert parser.next_token() == MasterEnd(CLUSTER, len(DOCUMENT) + 12 + 2 * len(block))
    with pytest.raises(EbmlError, match=r"^SimpleBlock inside Segment \(at byte \d+\)$"):
        parser.next_token()


# --- the end ---------------------------------------------------------------------------------------------------------

BLOCKS = DOCUMENT + UNKNOWN_CLUSTER


@pytest.mark.parametrize(
    ("data", "truncation"),
    [
        (b"", None),
        (BLOCKS, None),
        (BLOCKS + element(SIMPLE_BLOCK, b"abcd"), None),
        (EBML_HEADER + element(SEGMENT, element(TAGS)), None),
        (DOCUMENT + element(VOID, b"abc"), None),
        (BLOCKS + element(SIMPLE_BLOCK, bytes(1024))[:17], "stream ends after 17 bytes of a 1024-byte SimpleBlock"),
        (BLOCKS + element(SIMPLE_BLOCK, bytes(1024))[:9], "stream ends after 9 bytes of a 1024-byte SimpleBlock"),
        (BLOCKS + element(SIMPLE_BLOCK, bytes(1024))[:8], "stream ends after 8 bytes of an element header"),
        (BLOCKS + b"\xa3", "stream ends after 1 byte of an element header"),
        (BLOCKS + b"\0", "stream ends after 1 byte of an element header"),
        (BLOCKS + element(VOID, bytes(100))[:59], "stream ends after 59 bytes of a 100-byte element 0xEC"),
        (DOCUMENT + element(CLUSTER, bytes(2), declared=7)[:12], "stream ends 7 bytes before the end of its Cluster"),
        (EBML_HEADER[:10], "stream ends after 10 bytes of a 11-byte EBML header"),
    ],
    ids=named,
)
def test_the_end_of_the_input_tells_what_it_cut_short(data: bytes, truncation: str | None) -> None:
    for chunks in ([data], byte_by_byte(data)):
        parser = EbmlParser(SCHEMA)
        for chunk in chunks:
            if chunk:
                parser.receive_data(chunk)
            while parser.next_token() is not NEED_DATA:
                pass
        parser.receive_data(b"")
        while parser.next_token() is not END:
            pass
        assert parser.truncation() == truncation


# --- after an error --------------------------------------------------------------------------------------------------


def broken_parser(data: bytes) -> EbmlParser:
    parser = EbmlParser(SCHEMA)
    parser.receive_data(data)
    with pytest.raises(EbmlError):
        list(iter(parser.next_token, NEED_DATA))
    return parser


def test_after_an_error_nothing_is_parsed_before_it_is_resynchronised() -> None:
    parser = broken_parser(b"\0\0" + DOCUMENT)

    with pytest.raises(EbmlError, match=r"^the parser has failed before; resynchronise it first \(at byte 0\)$"):
        parser.next_token()

    assert parser.resynchronise(is_matroska_document) == 2
    assert parser.next_token() == Element(HEADER, 2, 5, EBML_HEADER)


def test_a_magic_number_alone_is_no_document() -> None:
    rubbish = b"\0" + MAGIC + MAGIC + DECOY[:9] + bytes(20)

    assert broken_parser(rubbish + DOCUMENT).resynchronise(is_matroska_document) == len(rubbish)


@given(st.binary(max_size=30), st.booleans())
def test_the_search_goes_on_over_chunks_and_keeps_no_more_than_a_header(rubbish: bytes, found: bool) -> None:  # noqa: FBT001 - drawn
    rubbish = b"\0\0" + rubbish
    rest = DOCUMENT if found else b""
    parser = broken_parser(rubbish[:2])
    lost: int | None = None
    for byte in byte_by_byte(rubbish[2:] + rest):
        assert lost is None
        parser.receive_data(byte)
        lost = parser.resynchronise(is_matroska_document)
        assert parser.buffered <= 4096
        if lost is not None:
            break
    if lost is None:
        parser.receive_data(b"")
        lost = parser.resynchronise(is_matroska_document)

    assert lost == len(rubbish)


def test_at_the_end_of_the_input_all_that_is_left_is_passed_over() -> None:
    parser = broken_parser(b"\0\0" + DECOY[:12])
    parser.receive_data(b"")

    assert parser.resynchronise(is_matroska_document) == 14
    assert parser.next_token() is END
    assert parser.truncation() is None


def test_a_block_group_holds_a_block() -> None:
    document = DOCUMENT + element(CLUSTER, element(BLOCK_GROUP, element(BLOCK, b"abcd") + element(0x9B, b"\1")))

    assert tokens_of(document) == [
        *("EBML header", "+Segment", "+Cluster", "+BlockGroup", "Block", "-BlockGroup", "-Cluster"),
    ]


def test_a_document_follows_another_without_anything_between_them() -> None:
    assert tokens_of(DOCUMENT + EBML_HEADER + SEGMENT_OF_UNKNOWN_SIZE, MAGIC) == [
        *("EBML header", "+Segment", "-Segment", "EBML header", "+Segment"),
    ]
