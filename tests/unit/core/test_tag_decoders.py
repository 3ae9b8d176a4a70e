"""Tags are decoded by hand or by ebmlite, whichever is cheaper; the choice must not show (ADR 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from connect_audio.core.ebml import END, EbmlParser, Element
from connect_audio.core.matroska import SCHEMA, TAGS, _tags_with_ebmlite, decode_tags
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
    FragmentContents,
    FragmentLayout,
    Spelling,
    write_fragment,
)

CONTENTS: Final = FragmentContents(
    number="91343852333181432392682062622220590765191907586",
    producer_ms=1_764_000_000_123,
    server_ms=1_764_000_000_293,
    contact_id="0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80",
    instance_id="6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c",
    # The prefix is what chooses the decoder by hand.
    other_tags=(
        ("AWS_KINESISVIDEO_EVENTS", "ünïcode"),
        ("AWS_KINESISVIDEO_EMPTY", ""),
        ("AWS_KINESISVIDEO_PADDED", "text\0\0"),
    ),
)
LAYOUTS: Final = {
    "Connect's": CONNECT_LAYOUT,
    "wide sizes and CRC-32": replace(CONNECT_LAYOUT, size_width=4, crc_32=True, void_bytes=7),
    "the archive's spelling": replace(CONNECT_LAYOUT, spelling=Spelling.FRAGMENT_LIST),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_decoders_read_the_same_out_of_every_tags_element(layout: str) -> None:
    elements = list(_tags_elements(LAYOUTS[layout]))
    assert any(b"AWS_KINESISVIDEO_" in raw for raw in elements)
    for raw in elements:
        assert [tuple(tag) for tag in decode_tags(raw, offset=0)] == [tuple(tag) for tag in _tags_with_ebmlite(raw)]


def _tags_elements(layout: FragmentLayout) -> Iterator[bytes]:
    parser = EbmlParser(SCHEMA)
    parser.receive_data(write_fragment(CONTENTS, layout))
    parser.receive_data(b"")
    while (token := parser.next_token()) is not END:
        if isinstance(token, Element) and token.element_id == TAGS:
            yield token.raw
