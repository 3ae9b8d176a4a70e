"""Structure elements are checked before ebmlite reads them: sizes inside of each master, and how deep they nest."""

from __future__ import annotations

import pytest

from connect_audio.core.matroska import MAX_DOCUMENT_LOOK_BYTES, _check_nesting, document_goes_on
from core_support.elements import CLUSTER, DOCUMENT, TAGS, TRACK_ENTRY, VOID, element

MASTERS = {
    "Info": 0x1549A966,
    "Tracks": 0x1654AE6B,
    "Tags": 0x1254C367,
    "Tag": 0x7373,
    "SimpleTag": 0x67C8,
    "Targets": 0x63C0,
    "TrackEntry": 0xAE,
    "Video": 0xE0,
    "Audio": 0xE1,
    "ContentEncodings": 0x6D80,
    "ContentEncoding": 0x6240,
    "ContentCompression": 0x5034,
    "ContentEncryption": 0x5035,
    "Colour": 0x55B0,
    "MasteringMetadata": 0x55D0,
}
LIE = element(0xD7, b"\1", declared=9)


@pytest.mark.parametrize("name", MASTERS)
def test_a_size_that_lies_inside_of_a_master_is_found(name: str) -> None:
    raw = element(MASTERS[name], LIE)
    with pytest.raises(ValueError, match="an inner element of 9 bytes overruns its parent by 8"):
        _check_nesting(raw, 0, len(raw))


def test_what_is_no_master_is_not_looked_into() -> None:
    raw = element(0x86, LIE) + element(TRACK_ENTRY, element(0xD7, b"\1"))

    _check_nesting(raw, 0, len(raw))


@pytest.mark.parametrize(("depth", "is_refused"), [(16, False), (17, True)])
def test_masters_nest_sixteen_times(depth: int, is_refused: bool) -> None:  # noqa: FBT001
    raw = b""
    for _ in range(depth):
        raw = element(TRACK_ENTRY, raw)
    if is_refused:
        with pytest.raises(ValueError, match="elements nested deeper than 16"):
            _check_nesting(raw, 0, len(raw))
    else:
        _check_nesting(raw, 0, len(raw))


def padded(head_end: int, child: int = TAGS) -> bytes:
    """A document with a Void before its first child, whose ID and size end so many bytes behind the beginning."""
    void, head = element(VOID), element(child, declared=40)
    return DOCUMENT + element(VOID, bytes(head_end - len(DOCUMENT + void + head))) + head + bytes(40)


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("child", [TAGS, CLUSTER])
@pytest.mark.parametrize("beyond", [0, 1, 11, 12, 100])
def test_a_document_is_looked_at_as_far_as_its_limit(at: int, child: int, beyond: int) -> None:
    data = bytes(at) + padded(MAX_DOCUMENT_LOOK_BYTES + beyond, child)

    assert document_goes_on(data, at) is (beyond == 0)


@pytest.mark.parametrize("at", [0, 5])
def test_fewer_bytes_than_the_limit_may_not_tell_whether_a_document_goes_on(at: int) -> None:
    data = bytes(at) + padded(200)

    told = [document_goes_on(data[:end], at) for end in range(at + len(DOCUMENT), len(data))]

    before = 200 - len(DOCUMENT)
    assert told == [None] * before + [True] * (len(told) - before)


def test_a_document_ends_with_its_limit_inside_of_its_head() -> None:
    # The bytes behind the limit do not count, whatever they are.
    data = padded(MAX_DOCUMENT_LOOK_BYTES + 12)

    ends = range(MAX_DOCUMENT_LOOK_BYTES - 1, MAX_DOCUMENT_LOOK_BYTES + 20)
    assert [document_goes_on(data[:end], 0) for end in ends] == [None] + [False] * 20
