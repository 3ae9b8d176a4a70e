"""Segments as WAV: whatever the cut, joined they are the call, at its own rate and resampled."""

from __future__ import annotations

import io
import math
import random
import re
import wave
from array import array
from typing import Final, Literal

import audioop
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import PARTIES, Party, channel
from connect_audio.core.segment_wav import SegmentWav, WavShape, segment_wavs

Layout = Literal["stereo", "tracks"]
LAYOUTS: Final[tuple[Layout, ...]] = ("stereo", "tracks")
CUSTOMER, AGENT = PARTIES


def noise(samples: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(2 * samples)


def tone(samples: int, rate: int, hertz: int = 440) -> bytes:
    return array("h", [round(12_000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(samples)]).tobytes()


def segment(
    call: dict[Party, bytes], rate: int, number: int, seconds: int = 1, *, length: int | None = None
) -> LiveSegment:
    """Segment `number` of a call, as the buffer cuts it."""
    begin = number * seconds * rate
    end = min(begin + (seconds * rate if length is None else length), len(call[CUSTOMER]) // 2)
    return LiveSegment(
        start=1_700_000_000 * rate + begin,
        rate=rate,
        samples={party: call[party][2 * begin : 2 * end] for party in PARTIES},
        position=begin,
        number=number,
        last=end == len(call[CUSTOMER]) // 2,
        before={party: call[party][2 * begin - 2 : 2 * begin] if begin else b"\0\0" for party in PARTIES},
    )


def cut(call: dict[Party, bytes], rate: int, seconds: int) -> list[LiveSegment]:
    """All of a call's segments, the last of which may be short."""
    count = -(-(len(call[CUSTOMER]) // 2) // (seconds * rate))
    return [segment(call, rate, number, seconds) for number in range(count)]


def pcm(made: SegmentWav) -> bytes:
    """The samples, read by the standard library, which knows the header's fields."""
    with wave.open(io.BytesIO(made.wav)) as file:
        assert file.getsampwidth() == 2
        assert file.getframerate() == made.rate
        assert file.getnframes() == made.frames
        assert file.getnchannels() == (2 if made.party is None else 1)
        return bytes(file.readframes(made.frames))


def party_samples(made: tuple[SegmentWav, ...]) -> dict[Party, bytes]:
    if len(made) == 1:
        stereo = pcm(made[0])
        return {party: channel(stereo, index) for index, party in enumerate(PARTIES)}
    return {each.party: pcm(each) for each in made if each.party is not None}


def joined(segments: list[LiveSegment], shape: WavShape) -> dict[Party, bytes]:
    made = [party_samples(segment_wavs(each, shape)) for each in segments]
    return {party: b"".join(each[party] for each in made) for party in PARTIES}


def in_one_go(samples: bytes, rate: int, wanted: int) -> bytes:
    """The whole call resampled at once, from one sample of silence on."""
    whole, _ = audioop.ratecv(b"\0\0" + samples, 2, 1, rate, wanted, None)
    return bytes(whole[2:])


@pytest.mark.parametrize("layout", LAYOUTS)
@given(frames=st.integers(1, 400), seconds=st.integers(1, 3), rate=st.integers(1, 80), seed=st.integers(0, 99))
def test_segments_joined_are_the_call_sample_for_sample(
    layout: Layout, frames: int, seconds: int, rate: int, seed: int
) -> None:
    call = {party: noise(frames, seed + index) for index, party in enumerate(PARTIES)}
    assert joined(cut(call, rate, seconds), WavShape(layout)) == call
    assert joined(cut(call, rate, seconds), WavShape(layout, rate)) == call


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    frames=st.integers(1, 400),
    seconds=st.integers(1, 3),
    rates=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    seed=st.integers(0, 99),
)
def test_segments_joined_are_the_call_resampled_in_one_go(
    layout: Layout, frames: int, seconds: int, rates: tuple[int, int], seed: int
) -> None:
    # Small rates stand for real ones: what matters is their ratio.
    rate, wanted = rates
    call = {party: noise(frames, seed + index) for index, party in enumerate(PARTIES)}
    if rate == wanted:
        return
    segments = cut(call, rate, seconds)
    expected = {party: in_one_go(samples, rate, wanted) for party, samples in call.items()}
    assert joined(segments, WavShape(layout, wanted)) == expected
    assert len(expected[CUSTOMER]) // 2 == frames * wanted // rate
    for each in segments:
        (first, *_) = segment_wavs(each, WavShape(layout, wanted))
        assert first.frames == each.length * wanted // rate


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [(8_000, 16_000), (16_000, 16_000), (8_000, 8_000), (11_025, 16_000), (44_100, 16_000), (48_000, 16_000)],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_second_has_as_many_samples_as_the_rate_says_and_short_last_segments_their_share(
    layout: Layout, rate: int, wanted: int
) -> None:
    short = 1234
    call = {party: noise(3 * rate + short, index) for index, party in enumerate(PARTIES)}
    made = [segment_wavs(each, WavShape(layout, wanted)) for each in cut(call, rate, 1)]
    assert [{each.frames for each in wavs} for wavs in made] == [{wanted}] * 3 + [{short * wanted // rate}]
    assert {each.rate for wavs in made for each in wavs} == {wanted}
    if rate != wanted:
        assert joined(cut(call, rate, 1), WavShape(layout, wanted)) == {
            party: in_one_go(samples, rate, wanted) for party, samples in call.items()
        }
    else:
        assert joined(cut(call, rate, 1), WavShape(layout, wanted)) == call


def test_a_segment_of_one_sample_and_one_of_none_are_sound() -> None:
    call = {party: noise(8_001, index) for index, party in enumerate(PARTIES)}
    assert [each.frames for each in segment_wavs(segment(call, 8_000, 1), WavShape("tracks", 16_000))] == [2, 2]
    assert [each.frames for each in segment_wavs(segment(call, 8_000, 1, length=0), WavShape("tracks", 16_000))] == [
        0,
        0,
    ]


@pytest.mark.parametrize("wanted", [None, 16_000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tone_of_one_party_is_in_its_own_channel_alone(layout: Layout, wanted: int | None) -> None:
    for speaker, other in (PARTIES, PARTIES[::-1]):
        call = {speaker: tone(16_000, 8_000), other: bytes(32_000)}
        heard = joined(cut(call, 8_000, 1), WavShape(layout, wanted))
        assert not any(heard[other])
        assert audioop.rms(heard[speaker], 2) == pytest.approx(12_000 / math.sqrt(2), rel=0.05)


def test_a_resampled_tone_runs_on_over_the_border_without_a_seam() -> None:
    call = {CUSTOMER: tone(16_000, 8_000), AGENT: bytes(32_000)}
    heard = array("h", joined(cut(call, 8_000, 1), WavShape("tracks", 16_000))[CUSTOMER])
    # A tone of 440 Hz moves by 2 pi 440 / 16000 of its peak at most from one sample to the next.
    steepest = 12_000 * 2 * math.pi * 440 / 16_000
    assert max(abs(heard[at] - heard[at - 1]) for at in range(15_990, 16_010)) <= steepest + 2


def test_resampling_to_16_khz_delays_by_one_sample_of_16_khz() -> None:
    made = segment_wavs(
        LiveSegment(
            start=0,
            rate=8_000,
            samples={CUSTOMER: array("h", [100, 300, 200]).tobytes(), AGENT: bytes(6)},
            position=8_000,
            number=1,
            before={CUSTOMER: array("h", [50]).tobytes(), AGENT: b"\0\0"},
        ),
        WavShape("tracks", 16_000),
    )
    assert array("h", pcm(made[0])).tolist() == [75, 100, 200, 300, 250, 200]


def test_the_same_segment_gives_the_same_bytes() -> None:
    call = {party: noise(16_000, index) for index, party in enumerate(PARTIES)}
    for shape in (WavShape("stereo", 16_000), WavShape("tracks", 16_000), WavShape()):
        assert segment_wavs(segment(call, 8_000, 1), shape) == segment_wavs(segment(call, 8_000, 1), shape)


def test_levels_are_each_partys_own_and_minus_infinity_for_silence() -> None:
    square = array("h", [16_384, -16_384] * 4_000).tobytes()
    audio = segment({CUSTOMER: square, AGENT: bytes(16_000)}, 8_000, 0)
    (stereo,) = segment_wavs(audio, WavShape())
    customer, agent = segment_wavs(audio, WavShape("tracks"))
    assert [list(each.levels) for each in (stereo, customer, agent)] == [[CUSTOMER, AGENT], [CUSTOMER], [AGENT]]
    assert (stereo.levels[CUSTOMER], customer.levels[CUSTOMER]) == pytest.approx((-6.02, -6.02), abs=0.01)
    assert (stereo.levels[AGENT], agent.levels[AGENT]) == (-math.inf, -math.inf)


def test_audio_that_begins_between_two_output_samples_is_refused() -> None:
    audio = LiveSegment(
        start=0,
        rate=16_000,
        samples={CUSTOMER: bytes(4), AGENT: bytes(4)},
        position=1,
        number=0,
        before={CUSTOMER: bytes(2), AGENT: bytes(2)},
    )
    message = (
        "a segment at position 1 cannot be resampled from 16000 to 8000 Hz: it must begin at a "
        "whole sample of both rates"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        segment_wavs(audio, WavShape("tracks", 8_000))
