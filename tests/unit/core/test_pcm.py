"""Decoding and shaping of samples, held to audioop, struct and G.711's own tables."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.pcm import Encoding, PcmFormat, channel, interleave, level_dbfs, to_mono

PCM = PcmFormat(8000, 1)

# --- samples ---------------------------------------------------------------------------------------------------------

sample_lists = st.lists(st.integers(-0x8000, 0x7FFF), max_size=50)


def pack(samples: list[int], order: str = "<") -> bytes:
    return struct.pack(f"{order}{len(samples)}h", *samples)


@given(sample_lists, st.binary(max_size=1))
def test_mono_little_endian_stays_as_it_is_and_half_a_sample_is_counted(samples: list[int], rest: bytes) -> None:
    assert to_mono(pack(samples) + rest, PCM) == (pack(samples), len(rest))


@given(sample_lists)
def test_big_endian_samples_are_swapped(samples: list[int]) -> None:
    assert to_mono(pack(samples, ">"), PcmFormat(8000, 1, Encoding.S16BE)) == (pack(samples), 0)


@pytest.mark.parametrize(
    ("encoding", "coded", "samples"),
    [
        # Decoder outputs of ITU-T G.711, tables 2a and 1a, in 16 bits: the ends, the middle and both zeros.
        (Encoding.MULAW, "00 7f ff 80 f0 70 0f", [-32124, 0, 0, 32124, 120, -120, -16764]),
        (Encoding.ALAW, "2a aa d5 55 80 00", [-32256, 32256, 8, -8, 5504, -5504]),
    ],
)
def test_g711_is_decoded_by_its_tables(encoding: Encoding, coded: str, samples: list[int]) -> None:
    assert to_mono(bytes.fromhex(coded), PcmFormat(8000, 1, encoding)) == (pack(samples), 0)


def test_two_channels_of_g711_are_mixed_and_half_a_frame_is_counted() -> None:
    pcm = PcmFormat(8000, 2, Encoding.MULAW)

    assert to_mono(bytes.fromhex("80 00 f0 f0 80"), pcm) == (pack([0, 120]), 1)
    assert (pcm.frame_bytes, PCM.frame_bytes, PcmFormat(8000, 2).frame_bytes) == (2, 2, 4)


def test_two_channels_are_mixed_in_equal_parts_and_an_incomplete_pair_is_counted() -> None:
    assert to_mono(pack([100, 200, -4, -4, 32767, 32767, 5]), PcmFormat(8000, 2)) == (pack([150, -4, 32767]), 2)


@given(st.lists(st.tuples(st.integers(-0x8000, 0x7FFF), st.integers(-0x8000, 0x7FFF)), max_size=50))
def test_stereo_frames_hold_left_then_right_and_give_them_back(frames: list[tuple[int, int]]) -> None:
    left, right = (pack([frame[index] for frame in frames]) for index in (0, 1))
    stereo = interleave(left, right)

    assert list(struct.iter_unpack("<hh", stereo)) == frames
    assert (channel(stereo, 0), channel(stereo, 1)) == (left, right)


def test_levels_are_decibels_below_full_scale() -> None:
    assert level_dbfs(pack([-0x8000] * 10)) == 0.0
    assert level_dbfs(pack([3277, -3277] * 10)) == pytest.approx(-20, abs=0.01)
    assert level_dbfs(pack([0] * 10)) == level_dbfs(b"") == -math.inf
