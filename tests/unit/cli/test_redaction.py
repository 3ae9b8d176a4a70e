"""Redaction, element by element: what is kept, what becomes zeros, and that no byte moves."""

from __future__ import annotations

from typing import Final

import pytest

from connect_audio_cli.capturing.redaction import Redaction
from support.calls import call, fragments

CONTACT: Final = b"7e57ca11-0000-4000-8000-00000000beef"


def element(element_id: int, payload: bytes) -> bytes:
    return element_id.to_bytes((element_id.bit_length() + 7) // 8) + (0x4000 | len(payload)).to_bytes(2) + payload


def tag(name: bytes, value: bytes) -> bytes:
    simple = element(0x45A3, name) + element(0x4487, value)
    return element(0x1254C367, element(0x7373, element(0x67C8, simple)))


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        (b"ContactId", CONTACT, b"00000000-0000-0000-0000-000000000001"),
        (b"ContactId", CONTACT + b"\0\0", b"00000000-0000-0000-0000-000000000001\0\0"),
        (b"Events", "geh\u00e4ssig 4".encode(), b"000000000 1"),
        (b"AUDIO_FROM_CUSTOMER", b"1", b"1"),
        (b"MimeType", b"audio/L16;rate=8000;channels=1;", b"audio/L16;rate=8000;channels=1;"),
        (b"AWS_KINESISVIDEO_FRAGMENT_NUMBER", b"9134385233318", b"9134385233318"),
        (b"AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", b"1782912654.536", b"1782912654.536"),
        (b"AWS_KINESISVIDEO_EXCEPTION_MESSAGE", b"no stream 7", b"00 000000 1"),
    ],
)
def test_a_tag_keeps_numbers_and_names_of_kvs_and_no_other_text(name: bytes, value: bytes, kept: bytes) -> None:
    assert Redaction().fragment(tag(name, value)) == tag(name, kept)


def test_equal_values_stay_equal_and_others_apart() -> None:
    redaction = Redaction()
    texts = [redaction.fragment(tag(b"ContactId", value)) for value in (b"aaaa-1", b"bbbb-1", b"aaaa-1")]

    assert texts[0] == texts[2] != texts[1]


def test_an_id_of_a_tag_is_replaced_in_every_other_element() -> None:
    title = element(0x1549A966, element(0x4D80, b"made for " + CONTACT))

    redacted = Redaction().fragment(title + tag(b"ContactId", CONTACT))

    assert CONTACT not in redacted
    assert b"made for 0000" in redacted


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        (b"\x81\x00\x40\x80" + b"pcm!", b"\x81\x00\x40\x80" + bytes(4)),
        # Fixed lacing: the count of frames stays, since it is no audio.
        (b"\x81\x00\x40\x84" + b"\x01" + b"pcm!", b"\x81\x00\x40\x84" + b"\x01" + bytes(4)),
        (b"\x81\x00\x40\x82" + b"\x01\x01" + b"pcm!", b"\x81\x00\x40\x82" + b"\x01\x01" + bytes(4)),
        (b"no", bytes(2)),
    ],
    ids=["one frame", "fixed lacing", "Xiph lacing", "no block"],
)
def test_a_block_keeps_its_head_and_lacing_and_no_audio(payload: bytes, kept: bytes) -> None:
    assert Redaction().fragment(element(0xA3, payload)) == element(0xA3, kept)


def test_an_element_that_is_not_known_becomes_zeros_and_what_follows_is_read() -> None:
    attached = element(0x1941A469, b"a picture of somebody")
    uid = element(0x1549A966, element(0x73A4, b"a segment's id.."))
    kept = tag(b"AUDIO_TO_CUSTOMER", b"2")

    assert Redaction().fragment(attached + uid + kept) == (
        element(0x1941A469, bytes(21)) + element(0x1549A966, element(0x73A4, bytes(16))) + kept
    )


def test_a_fragment_that_is_cut_off_anywhere_keeps_its_length_and_shows_no_more() -> None:
    (whole, *_) = [each.data for each in fragments(call(1))]
    redacted = Redaction().fragment(whole)

    for length in range(0, len(whole), 97):
        cut = Redaction().fragment(whole[:length])
        assert len(cut) == length
        assert all(byte in (0, shown) for byte, shown in zip(cut, redacted, strict=False))
