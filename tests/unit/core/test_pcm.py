"""Which tracks are PCM, whose, and in what format; shaping of samples, held to audioop and struct."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.pcm import (
    AudioTrack,
    Party,
    PcmFormat,
    audio_tracks,
    channel,
    interleave,
    level_dbfs,
    to_mono,
)

FROM = TrackEntry(number=2, track_type=2, name="AUDIO_FROM_CUSTOMER", codec_id="A_AAC")
TO = TrackEntry(number=1, track_type=2, name="AUDIO_TO_CUSTOMER", codec_id="A_AAC")
ANY = replace(FROM, name="microphone")
VIDEO = TrackEntry(number=3, track_type=1, name="AUDIO_FROM_CUSTOMER", codec_id="V_MPEG4/ISO/AVC")
L16 = "audio/L16;rate=8000;channels=1;"
PCM = PcmFormat(8000, 1)

# --- tracks ----------------------------------------------------------------------------------------------------------


def test_connect_s_tracks_are_told_by_their_names_in_either_order() -> None:
    customer, agent = AudioTrack(2, Party.CUSTOMER, PCM), AudioTrack(1, Party.AGENT, PCM)

    assert audio_tracks((TO, FROM), L16) == (agent, customer)
    assert audio_tracks((FROM, TO), L16) == (customer, agent)


def test_the_legacy_single_track_is_the_customer_s() -> None:
    assert audio_tracks((replace(FROM, name="Track_audio/L16"),), L16) == (AudioTrack(2, Party.CUSTOMER, PCM),)


def test_a_single_track_of_any_name_is_the_customer_s_where_it_is_known_to_be_pcm() -> None:
    assert audio_tracks((ANY,), L16) == (AudioTrack(2, Party.CUSTOMER, PCM),)
    assert audio_tracks((replace(ANY, codec_id="A_PCM/INT/LIT"),), None) == (AudioTrack(2, Party.CUSTOMER, PCM),)
    assert audio_tracks((ANY,), None) == ()


def test_beside_others_a_track_of_any_name_is_nobody_s() -> None:
    assert audio_tracks((ANY, TO), L16) == (AudioTrack(1, Party.AGENT, PCM),)


def test_of_two_tracks_for_one_party_the_first_counts() -> None:
    assert audio_tracks((FROM, replace(FROM, number=9)), L16) == (AudioTrack(2, Party.CUSTOMER, PCM),)


def test_a_video_track_is_no_party_s_whatever_its_name() -> None:
    assert audio_tracks((VIDEO,), L16) == ()
    assert audio_tracks((), L16) == ()


NOT_PCM = "and codec 'A_OPUS' are not 16-bit PCM; only audio/L16 and A_PCM/INT are supported"

# --- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime_type", "pcm"),
    [
        ("audio/L16;rate=8000;channels=1;", PCM),
        ("audio/L16;rate=16000;channels=1", PcmFormat(16000, 1)),
        (" AUDIO/L16 ; Rate=48000 ; Channels=2 ", PcmFormat(48000, 2)),
        ("audio/L16;channels=1;rate=11025", PcmFormat(11025, 1)),
        ("audio/L16", PCM),
        ("audio/L16;;", PCM),
        (None, PCM),
    ],
)
def test_the_mime_type_tells_the_truth_whatever_the_codec_says(mime_type: str | None, pcm: PcmFormat) -> None:
    assert audio_tracks((FROM,), mime_type)[0].pcm == pcm


@pytest.mark.parametrize(
    ("fields", "pcm"),
    [
        ({"codec_id": "A_PCM/INT/LIT"}, PCM),
        ({"codec_id": "A_PCM/INT/LIT", "sampling_frequency": 44100.0, "channels": 2}, PcmFormat(44100, 2)),
        ({"codec_id": "A_PCM/INT/LIT", "bit_depth": 16}, PCM),
        ({"codec_id": "A_PCM/INT/BIG", "sampling_frequency": 16000.4}, PcmFormat(16000, 1, big_endian=True)),
    ],
)
def test_without_l16_the_codec_and_the_audio_master_tell(fields: dict[str, Any], pcm: PcmFormat) -> None:
    for mime_type in (None, "video/h264"):
        assert audio_tracks((replace(FROM, **fields),), mime_type)[0].pcm == pcm


@pytest.mark.parametrize(
    ("fields", "mime_type", "message"),
    [
        (
            {"codec_id": "A_PCM/INT/LIT", "bit_depth": 24},
            None,
            "track 2: PCM of 24 bits, only 16 are supported",
        ),
        ({"codec_id": "A_OPUS", "name": ""}, "audio/opus", f"track 2 (unnamed): MimeType 'audio/opus' {NOT_PCM}"),
        ({}, "audio/L16;rate=fast", "audio format with rate 'fast' and channels '1'"),
        ({}, "audio/L16;rate=", "audio format with rate '' and channels '1'"),
        ({}, "audio/L16;rate=3999", "audio at 3999 Hz; 4000 to 192000 Hz are supported"),
        ({}, "audio/L16;rate=192001", "audio at 192001 Hz; 4000 to 192000 Hz are supported"),
        ({}, "audio/L16;rate=" + "9" * 5000, "audio format with rate '99999999999999999999' and channels '1'"),
        ({}, "audio/L16;channels=3", "audio of 3 channels in one track; 1 and 2 are supported"),
        ({}, "audio/L16;channels=0", "audio of 0 channels in one track; 1 and 2 are supported"),
        (
            {"codec_id": "A_PCM/INT/LIT", "sampling_frequency": math.nan},
            None,
            "audio format with rate 'nan' and channels '1'",
        ),
        (
            {"codec_id": "A_PCM/INT/LIT", "sampling_frequency": math.inf},
            None,
            "audio format with rate 'inf' and channels '1'",
        ),
        (
            {"codec_id": "A_PCM/INT/LIT", "sampling_frequency": -8000.0},
            None,
            "audio at -8000 Hz; 4000 to 192000 Hz are supported",
        ),
    ],
)
def test_audio_that_cannot_become_pcm_is_refused(fields: dict[str, Any], mime_type: str | None, message: str) -> None:
    with pytest.raises(UnsupportedAudioError) as error:
        audio_tracks((replace(FROM, **fields),), mime_type)

    assert str(error.value) == message


@given(
    st.floats(width=64) | st.none(),
    st.none() | st.integers(0, 1 << 64),
    st.none() | st.integers(0, 1 << 64),
    st.sampled_from(("A_AAC", "A_PCM/INT/LIT", "A_PCM/INT/BIG", "")),
    st.none() | st.text(max_size=30) | st.text(max_size=10).map("audio/L16;rate={}".format),
)
def test_any_track_is_understood_or_refused(
    rate: float | None, channels: int | None, depth: int | None, codec: str, mime_type: str | None
) -> None:
    track = replace(FROM, sampling_frequency=rate, channels=channels, bit_depth=depth, codec_id=codec)
    try:
        (found,) = audio_tracks((track,), mime_type)
    except UnsupportedAudioError:
        return
    assert 4000 <= found.pcm.rate <= 192_000


# --- samples ---------------------------------------------------------------------------------------------------------

sample_lists = st.lists(st.integers(-0x8000, 0x7FFF), max_size=50)


def pack(samples: list[int], order: str = "<") -> bytes:
    return struct.pack(f"{order}{len(samples)}h", *samples)


@given(sample_lists, st.binary(max_size=1))
def test_mono_little_endian_stays_as_it_is_and_half_a_sample_is_counted(samples: list[int], rest: bytes) -> None:
    assert to_mono(pack(samples) + rest, PCM) == (pack(samples), len(rest))


@given(sample_lists)
def test_big_endian_samples_are_swapped(samples: list[int]) -> None:
    assert to_mono(pack(samples, ">"), PcmFormat(8000, 1, big_endian=True)) == (pack(samples), 0)


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
