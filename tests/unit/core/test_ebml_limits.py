"""The push parser's limits with a schema of four elements: sizes, ends, hidden documents, and how much it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import pytest

from connect_audio.core.ebml import (
    END,
    NEED_DATA,
    ROOT,
    EbmlParser,
    Element,
    ElementRule,
    Kind,
    MasterEnd,
    MasterStart,
    Token,
    read_header,
    read_vint,
)
from connect_audio.core.errors import EbmlError
from core_support.elements import element

KIB: Final = 1024
MAGIC: Final = bytes.fromhex("1A45DFA3")
OUTER, INNER, DATA, SKIPPED, LEAF = 0x18538067, 0x1F43B675, 0xA3, 0xEC, 0xE7
SCHEMA: Final = {
    OUTER: ElementRule(
        name="Outer", kind=Kind.MASTER, parents=frozenset({ROOT}), max_size=1 << 40, may_be_unknown_size=True
    ),
    INNER: ElementRule(
        name="Inner", kind=Kind.MASTER, parents=frozenset({OUTER}), max_size=1 << 40, may_be_unknown_size=True
    ),
    DATA: ElementRule(name="Data", kind=Kind.DATA, parents=frozenset({INNER}), max_size=200 * KIB),
    LEAF: ElementRule(name="Leaf", kind=Kind.DATA, parents=frozenset({INNER, OUTER, ROOT}), max_size=8),
}
"""An element without a rule is skipped."""
OPEN: Final = bytes.fromhex("18538067FF") + bytes.fromhex("1F43B675FF")
"""An Outer and an Inner of unknown size."""


def data(payload: bytes, *, width: int = 4) -> bytes:
    return element(DATA, payload, width=width)


def parser(sees: Callable[[bytes, int], bool | None] = lambda _data, _at: False) -> EbmlParser:
    return EbmlParser(SCHEMA, document_at=sees)


def short(tokens: Sequence[Token]) -> list[str]:
    found = []
    for each in tokens:
        match each:
            case MasterStart(element_id, offset, size):
                found.append(f"+{SCHEMA[element_id].name}@{offset}:{size}")
            case MasterEnd(element_id, offset):
                found.append(f"-{SCHEMA[element_id].name}@{offset}")
            case Element(element_id, offset, _, raw):
                found.append(f"{SCHEMA[element_id].name}@{offset}:{len(raw)}")
            case _:
                pass
    return found


def tokens(made: EbmlParser) -> list[str]:
    """Everything up to the next wait."""
    found: list[Token] = []
    while (token := made.next_token()) not in {NEED_DATA, END}:
        found.append(token)
    return short(found)


def fed(stream: bytes, made: EbmlParser | None = None) -> EbmlParser:
    made = made or parser()
    made.receive_data(stream)
    return made


def error(made: EbmlParser) -> str:
    with pytest.raises(EbmlError) as caught:
        tokens(made)
    return str(caught.value)


# --- sizes and ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"\x08\x80", "byte 0x08 starts no element ID (at byte 0)"),
        (b"\0\x80", "byte 0x00 starts no element ID (at byte 0)"),
        (bytes.fromhex("E700"), "element size of more than 8 bytes (at byte 0)"),
        (element(LEAF, bytes(9)), "Leaf declares 9 bytes, at most 8 are accepted (at byte 0)"),
        (bytes.fromhex("E7FF"), "Leaf of unknown size (at byte 0)"),
        (
            OPEN + data(b"", width=4)[:1] + b"\x10\x03\x20\x01",
            "Data declares 204801 bytes, at most 204800 are accepted",
        ),
        (bytes.fromhex("1853806788") + element(LEAF, bytes(8), width=1), "Leaf of 8 bytes overruns the element around"),
        (bytes.fromhex("A380"), "Data at the top level (at byte 0)"),
        (bytes.fromhex("18538067FF") + bytes.fromhex("A380"), "Data inside Outer (at byte 5)"),
        (element(SKIPPED + 2, b""), "element 0xEE does not belong at the top level (at byte 0)"),
        (OPEN + bytes.fromhex("FF80"), "reserved element ID 0xFF (at byte 10)"),
        (OPEN + bytes.fromhex("7FFF80"), "reserved element ID 0x7FFF (at byte 10)"),
        (OPEN + bytes.fromhex("3FFFFF80"), "reserved element ID 0x3FFFFF (at byte 10)"),
        (OPEN + bytes.fromhex("1FFFFFFF80"), "reserved element ID 0x1FFFFFFF (at byte 10)"),
    ],
)
def test_what_is_no_ebml_of_the_schema_is_refused_where_it_stands(stream: bytes, message: str) -> None:
    assert error(fed(stream)).startswith(message)


@pytest.mark.parametrize("stream", [element(LEAF, bytes(8)), element(LEAF, b""), element(SKIPPED, bytes(9))])
def test_what_is_within_its_bounds_is_read(stream: bytes) -> None:
    made = fed(stream)
    tokens(made)

    assert (made.offset, made.buffered, made.midway) == (len(stream), 0, False)


@pytest.mark.parametrize("ident", ["FE80", "407F80", "7FFE80", "3FFFFE80", "1FFFFFFE80"])
def test_an_unknown_element_inside_a_master_is_passed_over(ident: str) -> None:
    made = fed(OPEN + bytes.fromhex(ident) + element(LEAF, b""))

    assert tokens(made)[-1].startswith("Leaf")


def test_a_master_of_known_size_bounds_what_is_in_it() -> None:
    inner = element(INNER, element(LEAF, b"ab", width=1), width=1)
    made = fed(element(OUTER, inner + element(LEAF, b"c", width=1), width=1) + element(LEAF, b"", width=1))

    assert tokens(made) == [
        "+Outer@0:12",
        "+Inner@5:4",
        "Leaf@10:4",
        "-Inner@14",
        "Leaf@14:3",
        "-Outer@17",
        "Leaf@17:2",
    ]


def test_a_master_of_unknown_size_ends_with_the_one_of_known_size_around_it() -> None:
    made = fed(element(OUTER, bytes.fromhex("1F43B675FF") + element(LEAF, b"a", width=1), width=1))

    assert tokens(made) == ["+Outer@0:8", "+Inner@5:None", "Leaf@10:3", "-Inner@13", "-Outer@13"]


def test_masters_of_unknown_size_end_before_what_only_an_outer_level_holds() -> None:
    made = fed(OPEN + data(b"a", width=1) + OPEN[5:] + OPEN[:5] + element(LEAF, b"", width=1))

    assert tokens(made) == [
        "+Outer@0:None",
        "+Inner@5:None",
        "Data@10:3",
        "-Inner@13",
        "+Inner@13:None",
        "-Inner@18",
        "-Outer@18",
        "+Outer@18:None",
        "Leaf@23:2",
    ]


def test_a_master_of_known_size_is_not_ended_by_what_does_not_belong_in_it() -> None:
    made = fed(OPEN[:5] + element(INNER, element(INNER, bytes(20))))

    assert error(made) == "Inner inside Inner (at byte 17)"


def test_no_token_is_made_twice_and_none_before_its_bytes_are_there() -> None:
    stream = OPEN + data(b"abc", width=1) + element(SKIPPED, bytes(5), width=1) + element(LEAF, b"x", width=2)
    whole = tokens(fed(stream))
    made = parser()
    found = []
    for at in range(len(stream)):
        made.receive_data(stream[at : at + 1])
        found += [(at + 1, each) for each in tokens(made)]

    assert [each for _, each in found] == whole
    assert [at for at, _ in found] == [5, 10, 15, len(stream)]


# --- what is open ----------------------------------------------------------------------------------------------------


def test_only_between_documents_may_another_begin() -> None:
    made = parser()
    assert made.between_documents
    made.receive_data(OPEN[:5])
    tokens(made)
    assert (made.between_documents, made.open_element) == (True, OUTER)
    made.receive_data(OPEN[5:])
    tokens(made)
    assert (made.between_documents, made.open_element) == (False, None)


@pytest.mark.parametrize(("missing", "between"), [(1, False), (0, True)])
def test_a_master_of_known_size_is_open_up_to_its_end(missing: int, between: bool) -> None:  # noqa: FBT001
    stream = element(OUTER, element(LEAF, b"ab", width=1), width=1)
    made = fed(stream[: len(stream) - missing])
    assert isinstance(made.next_token(), MasterStart)
    assert not made.between_documents
    token = made.next_token()

    assert isinstance(token, Element) is between
    assert (made.between_documents, made.open_element) == (between, None)


def test_no_document_begins_inside_a_skipped_element_or_behind_an_error() -> None:
    made = fed(OPEN[:5] + element(SKIPPED, bytes(9), width=1)[:5])
    tokens(made)
    assert (made.between_documents, made.midway, made.element_offset) == (False, True, 5)
    made.receive_data(bytes(6))
    tokens(made)
    assert (made.between_documents, made.midway, made.element_offset) == (True, False, 16)

    broken = fed(b"\0\0")
    assert error(broken)
    assert not broken.between_documents


def test_a_document_that_is_skipped_leaves_its_segment_open() -> None:
    made = fed(bytes(100) + element(LEAF, b"a", width=1))
    made.window.join()
    made.skip_document(100, OUTER)
    assert (made.open_element, made.offset) == (OUTER, 100)
    assert tokens(made) == ["Leaf@100:3"]
    made.receive_data(bytes(50) + OPEN)
    assert made.window.size == 60
    made.skip_document(50, None)
    assert made.open_element is None
    assert tokens(made) == ["+Outer@153:None", "+Inner@158:None"]


def test_a_segment_that_a_skipped_document_left_open_is_open_again_when_it_is_read_again() -> None:
    made = fed(bytes(100) + 2 * element(LEAF, b"a", width=1), parser(always))
    made.window.join()
    made.skip_document(100, OUTER)
    made.mark(100)
    assert tokens(made) == ["Leaf@100:3", "Leaf@103:3"]
    made.read_again(100)

    assert made.open_element == OUTER
    assert tokens(made) == ["Leaf@100:3", "Leaf@103:3"]


# --- runs of equal elements ------------------------------------------------------------------------------------------


def test_equal_elements_that_follow_are_taken_in_one_go() -> None:
    one = data(b"abcd", width=1)
    made = fed(OPEN + 5 * one + one[:3])
    for _ in range(3):
        made.next_token()
    buffer, places = made.take_repeats()
    assert [buffer[at : at + 6] for at in places] == 4 * [one]
    assert made.offset == 10 + 5 * 6
    made.give_back(2)
    assert made.offset == 10 + 3 * 6
    assert tokens(made) == ["Data@28:6", "Data@34:6"]


def test_elements_of_another_size_or_level_are_no_repeats() -> None:
    made = fed(OPEN + data(b"ab", width=1) + data(b"abc", width=1))
    for _ in range(3):
        made.next_token()
    assert len(made.take_repeats()[1]) == 0
    assert len(parser().take_repeats()[1]) == 0

    one = element(LEAF, b"a", width=1)
    made = fed(element(OUTER, element(INNER, one + one, width=1) + one + one, width=1) + one)
    seen = []
    while (token := made.next_token()) is not NEED_DATA:
        _, places = made.take_repeats()
        seen.append((type(token).__name__, len(places)))
    # Neither a master's beginning nor its end is crossed.
    assert seen == [
        ("MasterStart", 0),
        ("MasterStart", 0),
        ("Element", 1),
        ("MasterEnd", 0),
        ("Element", 1),
        ("MasterEnd", 0),
        ("Element", 0),
    ]


# --- hidden documents ------------------------------------------------------------------------------------------------


def always(stream: bytes, at: int) -> bool | None:
    """A document is MAGIC and a byte of 1."""
    return None if at + 4 >= len(stream) else stream[at + 4] == 1


FAKE: Final = MAGIC + b"\0"
REAL: Final = MAGIC + b"\1"


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
@pytest.mark.parametrize("at", [0, 1, 20, 94, 95])
def test_a_skipped_element_that_reaches_over_a_document_is_refused_there(at: int, cut: int) -> None:
    payload = bytearray(FAKE + bytes(95))
    payload[at : at + 5] = REAL
    stream = OPEN[:5] + element(SKIPPED, bytes(payload), width=1)
    made = parser(always)
    message = ""
    for start in range(0, len(stream), cut):
        made.receive_data(stream[start : start + cut])
        try:
            tokens(made)
        except EbmlError as found:
            message = str(found)
            break

    assert message == "element 0xEC of 100 bytes reaches over the next document (at byte 5)"
    assert made.offset == 5 + 2 + at


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
def test_a_skipped_element_with_no_document_is_passed_over_with_few_bytes_held(cut: int) -> None:
    stream = OPEN[:5] + element(SKIPPED, FAKE + MAGIC + FAKE + 9 * b"\x1a" + MAGIC[:3], width=1)
    made = parser(always)
    for start in range(0, len(stream), cut):
        made.receive_data(stream[start : start + cut])
        tokens(made)
        assert made.buffered <= 4 + cut
    made.receive_data(element(LEAF, b"", width=1))

    assert tokens(made) == [f"Leaf@{len(stream)}:2"]


@pytest.mark.parametrize(("size", "is_believed"), [(64 * KIB, True), (64 * KIB + 1, False)])
def test_a_large_element_is_searched_and_a_smaller_one_believed(size: int, is_believed: bool) -> None:  # noqa: FBT001
    payload = bytearray(size)
    payload[1000:1005] = REAL
    made = fed(OPEN + data(bytes(payload)), parser(always))

    if is_believed:
        assert tokens(made)[2:] == [f"Data@10:{size + 5}"]
    else:
        assert error(made) == f"Data of {size} bytes reaches over the next document (at byte 10)"


@pytest.mark.parametrize("before", [0, 60 * KIB])
@pytest.mark.parametrize("step", [1000, 30_000, 64 * KIB, 90_000])
def test_a_large_element_is_refused_soon_after_the_document_in_it_has_come(step: int, before: int) -> None:
    payload = bytearray(200 * KIB)
    payload[100_000:100_005] = REAL
    stream = OPEN + (data(bytes(before)) if before else b"") + data(bytes(payload))
    made = parser(always)
    came, message = 0, ""
    while not message and came < len(stream):
        made.receive_data(stream[came : came + step])
        came += step
        try:
            tokens(made)
        except EbmlError as found:
            message = str(found)

    assert message.startswith("Data of 204800 bytes reaches over the next document")
    assert came <= before + 100_000 + 64 * KIB + 2 * step


@pytest.mark.parametrize("step", [999, 200_000])
def test_a_large_element_without_a_document_is_given_out_whole(step: int) -> None:
    payload = bytearray(200 * KIB)
    payload[5000:5005] = FAKE
    stream = OPEN + data(bytes(payload)) + element(LEAF, b"")
    made = parser(always)
    found = []
    for start in range(0, len(stream), step):
        made.receive_data(stream[start : start + step])
        found += tokens(made)

    assert found[2:] == [f"Data@10:{200 * KIB + 5}", f"Leaf@{200 * KIB + 15}:9"]


def test_a_large_element_is_given_out_with_its_last_byte() -> None:
    made = fed(OPEN + data(bytes(70_000)), parser(always))

    assert tokens(made)[2:] == ["Data@10:70005"]


def marked(payload: bytes) -> tuple[EbmlParser, int]:
    """A parser behind an element that was believed, marked before it; and the element's end."""
    made = fed(OPEN, parser(always))
    tokens(made)
    made.mark(10)
    made.receive_data(data(payload) + element(LEAF, b"", width=1))
    assert len(tokens(made)) == 2
    return made, 10 + 5 + len(payload)


def test_behind_a_mark_a_hidden_document_is_found_and_refused_on_the_second_reading() -> None:
    made, end = marked(bytes(50) + FAKE + REAL + bytes(50))
    assert made.marked_offset == 10
    assert made.hides_document(end) is True
    made.read_again(end)
    assert (made.offset, made.between_documents) == (10, False)
    assert error(made) == "Data of 110 bytes reaches over the next document (at byte 10)"
    # The search goes on from there, and finds it.
    made.search_again(0)
    assert made.resynchronise(always) == 5 + 50 + 5
    assert made.offset == 70


@pytest.mark.parametrize("payload", [bytes(50), bytes(50) + FAKE + bytes(9), FAKE + MAGIC[:3] + bytes(9)])
def test_an_element_without_a_document_hides_none_and_is_read_again_alike(payload: bytes) -> None:
    made, end = marked(payload)
    assert made.hides_document(end) is False
    made.read_again(end)
    # In doubt, the first bytes behind an element may make a document with its last ones.
    assert tokens(made) == []
    made.receive_data(element(LEAF, b"", width=1))

    assert tokens(made) == [f"Data@10:{len(payload) + 5}", f"Leaf@{end}:2", f"Leaf@{end + 2}:2"]


@pytest.mark.parametrize(("end", "hides"), [(11, False), (60, False), (63, False), (64, False), (65, True), (66, True)])
def test_only_a_document_that_begins_before_the_offset_is_hidden(end: int, hides: bool) -> None:  # noqa: FBT001
    # It begins at byte 64.
    made, _ = marked(bytes(49) + REAL + bytes(50))

    assert made.hides_document(end) is hides


@pytest.mark.parametrize("came", [1, 2, 3, 4])
def test_where_the_last_bytes_may_begin_a_document_more_are_needed(came: int) -> None:
    made = fed(OPEN, parser(always))
    tokens(made)
    made.mark(10)
    made.receive_data(data(bytes(9) + REAL[:came]))
    tokens(made)
    end = 10 + 5 + 9 + came

    assert made.hides_document(end) is None
    made.receive_data(b"")
    assert made.hides_document(end) is False


# --- the search for the next document --------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 5, 1000])
@pytest.mark.parametrize("rubbish", [b"\0", b"\0" + FAKE, b"\0" + MAGIC + FAKE + MAGIC[:3], b"\0" + 7 * b"\x1a"])
def test_bytes_up_to_the_next_document_are_passed_over_however_they_come(rubbish: bytes, cut: int) -> None:
    stream = rubbish + REAL
    made = fed(b"\0\0", parser(always))
    assert error(made)
    found = made.resynchronise(always)
    for start in range(0, len(stream), cut):
        if found is not None:
            break
        made.receive_data(stream[start : start + cut])
        found = made.resynchronise(always)
        assert made.buffered <= 4 + cut

    assert found == 2 + len(rubbish)
    assert made.offset == 2 + len(rubbish)
    assert made.between_documents


def test_a_search_never_goes_back_before_the_error() -> None:
    made = fed(OPEN + b"\0\0", parser(always))
    assert error(made)
    assert made.resynchronise(always) is None
    assert made.offset == 10
    made.receive_data(REAL)
    assert made.resynchronise(always) == 2


def test_a_second_search_counts_anew() -> None:
    made = fed(b"\0\0" + REAL + b"\0\0\0" + REAL, parser(always))
    assert error(made)
    assert made.resynchronise(always) == 2
    made.skip_document(5, None)
    assert error(made)
    assert made.resynchronise(always) == 3


# --- inside of a buffered element ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "expected"),
    [("80", (0, 1)), ("81", (1, 1)), ("FF", (127, 1)), ("4001", (1, 2)), ("0100000000000005", (5, 8))],
)
def test_a_variable_size_integer_loses_its_marker(stream: str, expected: tuple[int, int]) -> None:
    raw = bytes.fromhex(stream)

    assert read_vint(raw, 0) == expected
    assert read_vint(b"\0" + raw, 1) == (expected[0], expected[1] + 1)
    for short_by in range(1, len(raw)):
        with pytest.raises(ValueError, match=r"^a variable-size integer runs beyond the data$"):
            read_vint(raw[:-short_by], 0)
    with pytest.raises(ValueError, match=r"^a variable-size integer was expected where the data ends$"):
        read_vint(raw, len(raw))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ("", "an element was expected where its parent ends"),
        ("08000000 8080", "an element ID runs beyond its parent"),
        ("00 80", "an element ID runs beyond its parent"),
        ("E7", "an element ID runs beyond its parent"),
        ("1F43B6", "an element ID runs beyond its parent"),
        ("E7 00", "an element size runs beyond its parent"),
        ("E7 40", "an element size runs beyond its parent"),
        ("E7 FF", "an inner element of unknown size"),
        ("E7 7FFF", "an inner element of unknown size"),
        ("E7 82 00", "an inner element of 2 bytes overruns its parent by 1"),
    ],
)
def test_a_broken_inner_element_is_refused(stream: str, message: str) -> None:
    raw = bytes.fromhex(stream)
    with pytest.raises(ValueError, match=rf"^{message}$"):
        read_header(raw + bytes(20), 0, len(raw))


@pytest.mark.parametrize(("stream", "expected"), [("E780", (0xE7, 2, 2)), ("1F43B675 81 00", (INNER, 5, 6))])
def test_an_inner_element_up_to_its_parent_s_end_is_read(stream: str, expected: tuple[int, int, int]) -> None:
    raw = bytes.fromhex(stream)

    assert read_header(raw, 0, len(raw)) == expected
