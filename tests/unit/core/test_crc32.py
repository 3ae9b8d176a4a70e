"""The CRC-32 of a string's end, held to zlib's own of these bytes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.crc32 import crc32_of_end


@given(beginning=st.binary(max_size=300), end=st.binary(max_size=300))
def test_the_end_has_the_crc_that_zlib_gives_it(beginning: bytes, end: bytes) -> None:
    whole = zlib.crc32(end, zlib.crc32(beginning))
    assert crc32_of_end(whole, zlib.crc32(beginning), len(end)) == zlib.crc32(end)


@pytest.mark.parametrize("size", [1, 5 * 1024 * 1024, 5 * 1024 * 1024 + 32_764])
def test_a_part_behind_a_long_recording_has_the_crc_that_zlib_gives_it(size: int) -> None:
    part = (bytes(range(251)) * (size // 251 + 1))[:size]
    beginning = zlib.crc32(bytes(1_000_000))
    assert crc32_of_end(zlib.crc32(part, beginning), beginning, size) == zlib.crc32(part)
