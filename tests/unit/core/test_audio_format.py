"""The format of a track, by MimeType and codec: what is not PCM is never read as PCM."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.audio_format import claims_disagree, pcm_format
from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.pcm import Encoding, PcmFormat
from connect_audio.core.tracks import choose_tracks

FROM = TrackEntry(number=2, track_type=2, name="AUDIO_FROM_CUSTOMER", codec_id="A_AAC")
PCM = PcmFormat(8000, 1)
MULAW = PcmFormat(8000, 1, Encoding.MULAW)
ALAW = PcmFormat(8000, 1, Encoding.ALAW)
NEITHER = "neither 16-bit PCM nor G.711"


def wave_format(
    tag: int, *, rate: int = 8000, channels: int = 1, bits: int = 8, sub_format: int | None = None
) -> bytes:
    """A WAVEFORMATEX, as Microsoft defines it."""
    block = channels * bits // 8
    head = struct.pack("<HHIIHHH", tag, channels, rate, rate * block, block, bits, 0 if sub_format is None else 22)
    if sub_format is None:
        return head
    return head + struct.pack("<HIH", bits, 0, sub_format) + bytes.fromhex("000000001000800000aa00389b71")


def format_of(mime_type: str | None = None, *, connect_names_it: bool = True, **fields: Any) -> PcmFormat:
    return pcm_format(replace(FROM, **fields), mime_type, connect_names_it=connect_names_it)


# --- PCM -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime_type", "pcm"),
    [
        ("audio/L16;rate=8000;channels=1;", PCM),
        ("audio/L16;rate=16000;channels=1", PcmFormat(16000, 1)),
        ("audio/L16;rate=4000;channels=1", PcmFormat(4000, 1)),
        ("audio/L16;rate=192000;channels=1", PcmFormat(192_000, 1)),
        (" AUDIO/L16 ; Rate=48000 ; Channels=2 ", PcmFormat(48000, 2)),
        ("audio/L16;channels=1;rate=11025", PcmFormat(11025, 1)),
        ("audio/L16", PCM),
        ("audio/L16;;", PCM),
    ],
)
def test_the_mime_type_is_the_truth_whatever_the_codec_says(mime_type: str, pcm: PcmFormat) -> None:
    assert format_of(mime_type) == format_of(mime_type, connect_names_it=False) == pcm


@pytest.mark.parametrize(
    ("fields", "pcm"),
    [
        ({"codec_id": "A_PCM/INT/LIT"}, PCM),
        ({"codec_id": "A_PCM/INT/LIT", "sampling_frequency": 44100.0, "channels": 2}, PcmFormat(44100, 2)),
        ({"codec_id": "A_PCM/INT/LIT", "bit_depth": 16}, PCM),
        ({"codec_id": "A_PCM/INT/BIG", "sampling_frequency": 16000.4}, PcmFormat(16000, 1, Encoding.S16BE)),
    ],
)
def test_without_a_mime_type_of_samples_the_codec_and_the_audio_master_decide(
    fields: dict[str, Any], pcm: PcmFormat
) -> None:
    for mime_type in (None, "video/h264"):
        assert format_of(mime_type, connect_names_it=False, **fields) == pcm


def test_a_rate_that_the_mime_type_does_not_name_is_the_audio_master_s() -> None:
    assert format_of("audio/L16", sampling_frequency=16000.0, channels=2) == PcmFormat(16000, 2)


def test_the_codec_names_the_order_of_the_bytes_where_the_mime_type_cannot() -> None:
    assert format_of("audio/L16;rate=8000", codec_id="A_PCM/INT/BIG") == PcmFormat(8000, 1, Encoding.S16BE)


# --- A_AAC without a MimeType ----------------------------------------------------------------------------------------


def test_without_a_mime_type_a_aac_under_connect_s_names_is_connect_s_pcm() -> None:
    assert format_of() == format_of(sampling_frequency=8000.0, channels=1) == PCM


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"codec_id": "A_OPUS"}, "codec A_OPUS"),
        ({"codec_id": "A_OPUS", "sampling_frequency": 8000.0, "channels": 1}, "codec A_OPUS"),
        ({"codec_id": "A_AAC/MPEG4/LC"}, "codec A_AAC/MPEG4/LC"),
        ({"codec_id": "a_aac"}, "codec a_aac"),
        ({"codec_id": "A_PCM/FLOAT/IEEE"}, "codec A_PCM/FLOAT/IEEE"),
        ({"codec_id": ""}, "no codec"),
        ({"sampling_frequency": 44100.0}, "codec A_AAC"),
        ({"channels": 2}, "codec A_AAC"),
        ({"connect_names_it": False}, "codec A_AAC"),
    ],
)
def test_every_other_codec_without_a_mime_type_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedAudioError, match=rf"^{named} without a MimeType, {NEITHER}$"):
        format_of(**fields)


# --- G.711 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec_private", "pcm"),
    [
        (wave_format(7), MULAW),
        (wave_format(6), ALAW),
        (wave_format(7, rate=16000, channels=2), PcmFormat(16000, 2, Encoding.MULAW)),
        (wave_format(1, bits=16), PCM),
        (wave_format(0xFFFE, bits=16, sub_format=1), PCM),
        (wave_format(0xFFFE, sub_format=7), MULAW),
    ],
)
def test_the_wave_format_of_a_ms_acm_decides(codec_private: bytes, pcm: PcmFormat) -> None:
    assert format_of(codec_id="A_MS/ACM", codec_private=codec_private, connect_names_it=False) == pcm


@pytest.mark.parametrize("codec_id", ["A_MULAW", "A_ULAW", "A_PCMU", "a_mulaw"])
def test_mu_law_is_known_by_its_codec(codec_id: str) -> None:
    assert format_of(codec_id=codec_id, sampling_frequency=8000.0, bit_depth=8) == MULAW


@pytest.mark.parametrize("codec_id", ["A_ALAW", "A_PCMA"])
def test_a_law_is_known_by_its_codec(codec_id: str) -> None:
    assert format_of(codec_id=codec_id, bit_depth=16) == ALAW


@pytest.mark.parametrize(
    ("mime_type", "pcm"),
    [
        ("audio/PCMU", MULAW),
        ("audio/basic", MULAW),
        ("audio/x-mulaw;rate=8000;channels=1", MULAW),
        ("audio/PCMA;rate=16000;channels=2;", PcmFormat(16000, 2, Encoding.ALAW)),
        ("audio/x-alaw", ALAW),
    ],
)
def test_g711_is_known_by_its_mime_type(mime_type: str, pcm: PcmFormat) -> None:
    assert format_of(mime_type) == pcm


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "mime_type", "message"),
    [
        (
            {"codec_id": "A_PCM/INT/LIT", "bit_depth": 24},
            None,
            "codec A_PCM/INT/LIT without a MimeType, samples of 24 bits",
        ),
        ({"codec_id": "A_OPUS"}, " audio/opus ", f"codec A_OPUS and MimeType audio/opus, {NEITHER}"),
        ({}, "audio/aac", f"codec A_AAC and MimeType audio/aac, {NEITHER}"),
        (
            {"codec_id": "A\x1bOPUS" + "s" * 99},
            "m" * 99,
            f"codec A\\x1bOPUS{'s' * 31}… and MimeType {'m' * 40}…, {NEITHER}",
        ),
        ({"codec_id": "A_MS/ACM"}, None, f"codec A_MS/ACM without a MimeType, {NEITHER}"),
        (
            {"codec_id": "A_MS/ACM", "codec_private": wave_format(0x11)},
            None,
            f"codec A_MS/ACM with format tag 17 without a MimeType, {NEITHER}",
        ),
        (
            {"codec_id": "A_MS/ACM", "codec_private": wave_format(1, bits=8)},
            None,
            "codec A_MS/ACM with format tag 1 without a MimeType, samples of 8 bits",
        ),
        ({}, "audio/L16;rate=fast", "audio format with rate 'fast' and channels '1'"),
        ({}, "audio/L16;rate=", "audio format with rate '' and channels '1'"),
        ({}, "audio/L16;rate=3999", "audio at 3999 Hz; 4000 to 192000 Hz are supported"),
        ({}, "audio/L16;rate=192001", "audio at 192001 Hz; 4000 to 192000 Hz are supported"),
        (
            {},
            "audio/L16;rate=" + "9" * 5000,
            "audio at 99999999999999999999 Hz; 4000 to 192000 Hz are supported",
        ),
        ({}, "audio/L16;channels=3", "audio of 3 channels in one track; 1 and 2 are supported"),
        ({}, "audio/L16;channels=0", "audio of 0 channels in one track; 1 and 2 are supported"),
        (
            {"codec_id": "A_PCM/INT/LIT", "sampling_frequency": math.nan},
            None,
            "audio format with rate 'nan' and channels '1'",
        ),
        (
            {"codec_id": "A_PCM/INT/LIT", "sampling_frequency": -8000.0},
            None,
            "audio at -8000 Hz; 4000 to 192000 Hz are supported",
        ),
    ],
)
def test_audio_that_cannot_become_pcm_is_refused_by_name(
    fields: dict[str, Any], mime_type: str | None, message: str
) -> None:
    with pytest.raises(UnsupportedAudioError) as error:
        format_of(mime_type, **fields)

    assert str(error.value) == message


@given(
    st.floats(width=64) | st.none(),
    st.none() | st.integers(0, 1 << 64),
    st.none() | st.integers(0, 1 << 64),
    st.sampled_from(("A_AAC", "A_PCM/INT/LIT", "A_PCM/INT/BIG", "A_MS/ACM", "A_MULAW", "")),
    st.none() | st.text(max_size=30) | st.text(max_size=10).map("audio/L16;rate={}".format),
    st.binary(max_size=40),
)
def test_any_track_is_understood_or_refused(
    rate: float | None, channels: int | None, depth: int | None, codec: str, mime_type: str | None, private: bytes
) -> None:
    track = replace(
        FROM, sampling_frequency=rate, channels=channels, bit_depth=depth, codec_id=codec, codec_private=private
    )
    assert claims_disagree(track, mime_type) in {True, False}
    choice = choose_tracks((track,), mime_type)
    assert all(4000 <= each.pcm.rate <= 192_000 for each in choice.audio)
    assert all(len(each.refusal) < 200 and each.refusal.isprintable() for each in choice.unsupported)
    assert len(choice.audio) + len(choice.unsupported) == 1


# --- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "mime_type"),
    [
        ({"sampling_frequency": 16000.0}, "audio/L16;rate=8000;channels=1;"),
        ({"channels": 2}, "audio/L16;rate=8000;channels=1;"),
        ({"codec_id": "A_MS/ACM", "codec_private": wave_format(7)}, "audio/L16;rate=8000;channels=1;"),
        ({"codec_id": "A_MS/ACM", "codec_private": wave_format(7, rate=16000)}, "audio/PCMU;rate=8000"),
        ({"codec_id": "A_MS/ACM", "codec_private": wave_format(7), "sampling_frequency": 44100.0}, None),
        ({"codec_id": "A_PCM/INT/LIT", "bit_depth": 24}, "audio/L16;rate=8000"),
    ],
)
def test_claims_that_contradict_each_other_are_seen(fields: dict[str, Any], mime_type: str | None) -> None:
    assert claims_disagree(replace(FROM, **fields), mime_type)


@pytest.mark.parametrize(
    ("fields", "mime_type"),
    [
        ({}, "audio/L16;rate=8000;channels=1;"),
        ({"sampling_frequency": 8000.0, "channels": 1, "bit_depth": 16}, "audio/L16;rate=8000;channels=1;"),
        ({"codec_id": "A_PCM/INT/BIG", "bit_depth": 16}, "audio/L16;rate=8000;channels=1;"),
        ({"codec_id": "A_MS/ACM", "codec_private": wave_format(7), "sampling_frequency": 8000.0}, None),
        ({"codec_id": "A_MULAW", "bit_depth": 16}, "audio/PCMU"),
        ({}, None),
    ],
)
def test_claims_that_agree_are_no_contradiction(fields: dict[str, Any], mime_type: str | None) -> None:
    assert not claims_disagree(replace(FROM, **fields), mime_type)
