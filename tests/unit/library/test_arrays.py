"""The numpy side of a call: values, shapes, layouts, masks, other rates, and errors where a package is missing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import connect_audio
from connect_audio.core.pcm import PARTIES
from connect_audio_cli.replay.replay import replay
from connect_audio_local.synthesis.calls import Gap, SyntheticCall, synthesize_stream
from connect_audio_local.synthesis.speech import two_party_conversation
from support.examples import examples

SPEECH = two_party_conversation(3)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
NOISE = SyntheticCall(customer=Random(1).randbytes(48_000), agent=Random(2).randbytes(48_000))
"""Every value that 16 bits can have, nearly."""
LONG = two_party_conversation(13)
GAPPY = replace(CALL, agent_joins_ms=320, gaps=(Gap(at_ms=1024, length_ms=500),))


def capture(*calls: SyntheticCall) -> bytes:
    return b"".join(fragment.data for fragment in synthesize_stream(calls))


@pytest.fixture(scope="module")
def noise() -> connect_audio.Call:
    return connect_audio.read(capture(NOISE))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_arrays_are_what_soundfile_reads_from_the_wav(tmp_path: Path, dtype: Any) -> None:
    wav = replay(iter([capture(NOISE)]), tmp_path, name="capture").wav
    call = connect_audio.read(capture(NOISE))

    expected, rate = soundfile.read(wav, dtype=dtype)
    frames_first = call.to_numpy(dtype=dtype, layout="frames_first")
    channels_first = call.to_numpy(dtype=dtype)

    assert rate == call.rate
    assert (frames_first.dtype, channels_first.dtype) == (dtype, dtype)
    assert np.array_equal(frames_first, expected)
    assert np.array_equal(channels_first, expected.T)


def test_row_0_is_the_customer_and_row_1_the_agent(noise: connect_audio.Call) -> None:
    rows = noise.to_numpy(dtype="int16")

    assert [row.tobytes() for row in rows] == [NOISE.customer, NOISE.agent]


@pytest.mark.parametrize("layout", ["channels_first", "frames_first"])
@pytest.mark.parametrize(
    ("dtype", "rate"),
    [("float32", None), ("float64", None), ("int16", None), ("float32", 16_000), ("float64", 16_000)],
)
def test_every_array_is_contiguous_writable_and_the_caller_s_own(
    noise: connect_audio.Call, layout: Any, dtype: Any, rate: int | None
) -> None:
    before = bytes(noise.stereo)

    array = noise.to_numpy(dtype=dtype, layout=layout, rate=rate)
    array[...] = 0

    assert array.flags["C_CONTIGUOUS"]
    assert array.dtype == dtype
    frames = 48_000 if rate else 24_000
    assert array.shape == ((2, frames) if layout == "channels_first" else (frames, 2))
    assert bytes(noise.stereo) == before


def test_each_party_is_one_contiguous_row_of_float32(noise: connect_audio.Call) -> None:
    rows = noise.to_numpy()

    for party, row in zip((noise.customer, noise.agent), rows, strict=True):
        assert (str(party.dtype), party.ndim, party.flags["C_CONTIGUOUS"]) == ("float32", 1, True)
        assert np.array_equal(party, row)
    assert noise.customer is noise.customer


def test_the_scale_is_1_in_32768_and_stays_below_1() -> None:
    extremes = np.array([-32_768, -1, 0, 1, 32_767], "<i2")
    call = connect_audio.read(capture(replace(CALL, customer=extremes.tobytes(), agent=None)))

    assert call.customer[:5].tolist() == [-1.0, -1 / 32_768, 0.0, 1 / 32_768, 32_767 / 32_768]


def test_a_party_that_is_not_there_is_a_row_of_finite_zeros() -> None:
    call = connect_audio.read(capture(replace(CALL, agent=None)))

    for array in (call.agent, call.to_numpy()[1], call.to_numpy(rate=16_000)[1], call.to_numpy(dtype="float64")[1]):
        assert np.isfinite(array).all()
        assert not array.any()
    assert not call.mask("agent").any()


def test_the_mask_tells_filled_from_received_silence() -> None:
    call = connect_audio.read(capture(GAPPY))

    customer, agent = call.mask("customer"), call.mask("agent")

    expected = np.ones(28_000, bool)
    expected[8192:12_192] = False
    assert np.array_equal(customer, expected)
    expected[:2560] = False
    assert np.array_equal(agent, expected)


@given(st.lists(st.integers(0, 12), unique=True, max_size=8), st.integers(0, 1))
@settings(max_examples=examples(25), deadline=None)
def test_the_mask_has_as_many_true_samples_as_the_manifest_counts(dropped: list[int], first: int) -> None:
    call = replace(CALL, customer=LONG.customer, agent=LONG.agent, agent_joins_ms=first * 704)
    fragments = [each.data for index, each in enumerate(synthesize_stream([call])) if index not in dropped]

    read = connect_audio.read(fragments)

    for party in PARTIES:
        assert int(read.mask(party).sum()) == read.manifest["tracks"][party]["audioSamples"]
        assert not read.to_numpy(dtype="int16")[PARTIES.index(party)][~read.mask(party)].any()


def test_the_mask_is_exact_beyond_the_1000_gaps_that_a_manifest_lists(tmp_path: Path) -> None:
    pauses = tuple(Gap(at_ms=at, length_ms=100) for at in range(20, 20 * 601, 20))
    call = replace(CALL, customer=LONG.customer, agent=LONG.agent, block_ms=20, blocks_per_fragment=10, gaps=pauses)
    data = capture(call)

    read = connect_audio.read(data)

    assert len(read.gaps) == read.manifest["gaps"]["count"] == 1200
    assert len(read.manifest["gaps"]["listed"]) == 1000
    assert int((~read.mask("agent")).sum()) == 600 * 800
    wav = replay(iter([data]), tmp_path, name="capture").wav
    with pytest.raises(
        connect_audio.CaptureError, match=r"does not list 200 of its 1200 gaps.*read the capture itself"
    ):
        connect_audio.read(wav).mask("agent")


@pytest.mark.parametrize("party", ["caller", "", None])
def test_there_is_no_mask_of_any_other_party(noise: connect_audio.Call, party: Any) -> None:
    with pytest.raises(ValueError, match='party must be "customer" or "agent"'):
        noise.mask(party)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16", "complex64", ">i2", "no type", None, bool])
def test_any_other_dtype_is_refused(noise: connect_audio.Call, dtype: Any) -> None:
    with pytest.raises(ValueError, match="dtype must be one of float32, float64, int16, not "):
        noise.to_numpy(dtype=dtype)


@pytest.mark.parametrize("layout", ["mono", "", None, "C"])
def test_any_other_layout_is_refused(noise: connect_audio.Call, layout: Any) -> None:
    with pytest.raises(ValueError, match="layout must be one of channels_first, frames_first, not "):
        noise.to_numpy(layout=layout)


@pytest.mark.parametrize("rate", [0, -8000, 3999, 200_000, 16_000.0, "16000"])
def test_a_rate_that_makes_no_sense_is_refused(noise: connect_audio.Call, rate: Any) -> None:
    with pytest.raises(ValueError, match="rate must be a whole number from 4000 to 192000"):
        noise.to_numpy(rate=rate)


def test_resampled_int16_is_refused_and_the_own_rate_is_not(noise: connect_audio.Call) -> None:
    with pytest.raises(ValueError, match="resampled samples are floats"):
        noise.to_numpy(dtype="int16", rate=16_000)
    assert np.array_equal(noise.to_numpy(dtype="int16", rate=8000), noise.to_numpy(dtype="int16"))


@pytest.mark.parametrize(("rate", "frames"), [(16_000, 48_000), (48_000, 144_000), (44_100, 132_300), (11_025, 33_075)])
def test_another_rate_gives_exactly_as_many_frames(noise: connect_audio.Call, rate: int, frames: int) -> None:
    assert noise.to_numpy(rate=rate).shape == (2, frames)
    assert noise.to_numpy(rate=rate, layout="frames_first").shape == (frames, 2)


def test_a_call_at_another_rate_has_it_and_can_be_brought_to_8000() -> None:
    call = connect_audio.read(capture(replace(CALL, rate=16_000)))

    assert (call.rate, call.frames, call.duration) == (16_000, 24_000, 1.5)
    assert call.to_numpy(rate=8000).shape == (2, 12_000)
    assert np.array_equal(call.to_numpy(rate=16_000), call.to_numpy())


@pytest.mark.parametrize(("rate", "dtype"), [(16_000, "float32"), (16_000, "float64"), (44_100, "float32")])
def test_a_resampled_tone_is_the_same_tone_in_the_same_place(rate: int, dtype: Any) -> None:
    def tone(rate: int) -> Any:
        return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate * 3) / rate)

    played = (tone(8000) * 32_768).round().astype("<i2").tobytes()
    call = connect_audio.read(capture(replace(CALL, customer=played, agent=None)))

    resampled = call.to_numpy(rate=rate, dtype=dtype)[0]

    inner = slice(rate // 10, -rate // 10)  # the ends ring, as the tone begins and ends at once
    assert np.abs(resampled[inner] - tone(rate)[inner]).max() < 0.001


def test_nothing_is_added_above_the_half_of_the_own_rate(noise: connect_audio.Call) -> None:
    spectrum = np.abs(np.fft.rfft(noise.to_numpy(rate=16_000, dtype="float64")[0])) ** 2

    assert spectrum[26_000:].sum() < 0.001 * spectrum.sum()  # from 4333 Hz on


@pytest.mark.parametrize(
    ("missing", "use", "complaint"),
    [
        ("numpy", "call.agent", "arrays need numpy, which is not installed: pip install numpy"),
        ("numpy", "call.mask('agent')", "arrays need numpy, which is not installed: pip install numpy"),
        ("scipy", "call.to_numpy(rate=16000)", "another rate needs scipy, which is not installed: pip install scipy"),
    ],
)
@pytest.mark.slow
def test_a_missing_package_is_named_with_its_cure(tmp_path: Path, missing: str, use: str, complaint: str) -> None:
    (tmp_path / "call.mkv").write_bytes(capture(CALL))
    program = f"""
import sys
sys.modules[{missing!r}] = None
import connect_audio
call = connect_audio.read("call.mkv")
assert len(call.pcm("agent")) == 48_000
for _ in range(2):
    try:
        {use}
    except connect_audio.MissingPackageError as error:
        assert isinstance(error, (connect_audio.ConnectAudioError, ImportError))
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(complaint) for line in lines)
