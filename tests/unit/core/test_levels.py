"""Levels of a channel: held to their definitions sample by sample, in any cut, and over any resumption."""

from __future__ import annotations

import json
import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.admission import StreamEnd
from connect_audio.core.cursor import Cursor
from connect_audio.core.fragments import Fragment
from connect_audio.core.levels import SILENT, ChannelLevels, ChannelMeter, FrameMeter, Levels, levels_json
from connect_audio.core.pcm import Party
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.recording import CallRecording
from core_support.fragments_by_hand import block, fragment
from support.examples import examples

RATE: Final = 8000
WINDOW: Final = 1600
"""Samples of 200 ms."""
OURS: Final = "ours"
LOUD_RMS: Final = 104
"""-50 dBFS is 103.6 of 32768."""


def pack(samples: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def measured(samples: bytes, rate: int = RATE) -> ChannelLevels:
    meter = ChannelMeter(ChannelLevels(), rate)
    meter.measure(samples)
    return meter.levels().closed()


def by_definition(samples: bytes, rate: int = RATE) -> dict[str, float | int | None]:
    """The figures of the manifest, window by window and sample by sample."""
    values = array("h", samples)
    energy = active_energy = 0.0
    active = zeros = 0
    length = rate // 5
    for at in range(0, len(values), length):
        window = values[at : at + length]
        squares = sum(value * value for value in window)
        power = math.isqrt(squares // len(window)) ** 2 * len(window)
        energy += power
        if math.isqrt(squares // len(window)) >= LOUD_RMS:
            active += len(window)
            active_energy += power
        else:
            zeros += sum(value == 0 for value in window)
    peak = max(map(abs, values), default=0)
    return {
        "rmsDbfs": 10 * math.log10(energy / len(values) / 2**30) if energy else None,
        "activeRmsDbfs": 10 * math.log10(active_energy / active / 2**30) if active else None,
        "activeSeconds": active / rate,
        "peakDbfs": 20 * math.log10(peak / 2**15) if peak else None,
        "zeroSamples": zeros,
        "clippedSamples": sum(value in {32767, -32768} for value in values),
    }


@cache
def speech_like(seed: int, seconds: float, rate: int = RATE) -> bytes:
    """Spurts of noise, silence, faint noise and clipping, in lengths that fit no window."""
    random = Random(seed)
    samples: list[int] = []
    while len(samples) < seconds * rate:
        length = random.choice([1, 77, 800, 1599, 1601, 4000])
        top = random.choice([0, 0, 1, 30, 150, 3000, 40_000])
        samples += [max(-32768, min(32767, random.randint(-top, top))) for _ in range(length)]
    return pack(samples[: round(seconds * rate)])


# --- definitions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_their_definitions(seed: int, rate: int) -> None:
    samples = speech_like(seed, 5, rate)

    assert levels_json(measured(samples, rate), rate) == pytest.approx(by_definition(samples, rate))


def test_a_tone_for_a_fifth_of_the_time_is_told_by_its_own_level() -> None:
    tone = pack([4096, -4096] * 4000)  # a second at -18.06 dBFS
    found = levels_json(measured(tone + bytes(4 * 2 * RATE)), RATE)

    assert found == {
        "rmsDbfs": pytest.approx(-18.06 - 6.99, abs=0.01),
        "activeRmsDbfs": pytest.approx(-18.06, abs=0.01),
        "activeSeconds": 1.0,
        "peakDbfs": pytest.approx(-18.06, abs=0.01),
        "zeroSamples": 4 * RATE,
        "clippedSamples": 0,
    }


def test_a_dead_channel_has_nothing_but_zero_samples() -> None:
    assert levels_json(measured(bytes(2 * RATE)), RATE) == {
        "rmsDbfs": None,
        "activeRmsDbfs": None,
        "activeSeconds": 0.0,
        "peakDbfs": None,
        "zeroSamples": RATE,
        "clippedSamples": 0,
    }


def test_faint_noise_is_no_speech_and_no_dead_channel() -> None:
    found = levels_json(measured(pack([3, -3, 0, 0] * 2000)), RATE)

    assert (found["activeSeconds"], found["activeRmsDbfs"], found["zeroSamples"]) == (0.0, None, 4000)
    assert found["peakDbfs"] == pytest.approx(20 * math.log10(3 / 32768))


def test_both_ends_of_the_scale_are_clipped_and_their_neighbours_are_not() -> None:
    found = measured(pack([32767, -32768, 32766, -32767, 0] * 320))

    assert (found.clipped, found.peak, found.zeros) == (640, 32768, 0)


def test_bytes_of_two_neighbours_that_look_like_an_end_of_the_scale_are_not_clipped() -> None:
    # -129 ends in 0xFF and 383 begins with 0x7F; 5 ends in 0x00 and 384 begins with 0x80.
    found = measured(pack([-129, 383, 5, 384, 32767, -129, 383, -32768] * 200))

    assert found.clipped == 400


def test_a_sample_whose_low_byte_alone_is_zero_is_no_zero_sample() -> None:
    # Quiet enough to be no speech: in a window with a larger sample, and in one without.
    louder, quieter = pack([256, *[0] * 799] * 2), pack([255, *[0] * 799] * 2)

    assert measured(louder + quieter).zeros == 2 * (WINDOW - 2)


@pytest.mark.parametrize(("rms", "active"), [(103, 0), (104, WINDOW)])
def test_a_window_is_active_from_50_db_below_full_scale_on(rms: int, active: int) -> None:
    assert measured(pack([rms, -rms] * (WINDOW // 2))).active == active


# --- cuts and resumptions --------------------------------------------------------------------------------------------


def in_pieces(samples: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(2 * (cut % (len(samples) // 2 + 1)) for cut in cuts), len(samples)]
    return [samples[start:stop] for start, stop in pairwise(places)]


@settings(max_examples=examples(60))
@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 40_000), st.booleans()), max_size=8))
def test_neither_cut_nor_resumption_changes_a_figure(seed: int, cuts: list[tuple[int, bool]]) -> None:
    left, right = speech_like(seed, 4), speech_like(seed + 100, 4)
    whole = FrameMeter(SILENT, RATE)
    whole.add(left, right)

    cut = FrameMeter(SILENT, RATE)
    places = [place for place, _ in cuts]
    resumed = [is_resumed for _, is_resumed in sorted(cuts)]
    pieces = zip(in_pieces(left, places), in_pieces(right, places), strict=True)
    for (left_piece, right_piece), is_resumed in zip(pieces, [*resumed, False], strict=True):
        cut.add(left_piece, right_piece)
        if is_resumed:
            cut = FrameMeter(from_plain(Levels, json.loads(json.dumps(to_plain(cut.levels())))), RATE)

    assert cut.levels() == whole.levels()
    assert whole.levels() == whole.levels()


def test_a_batch_is_measured_like_its_pieces() -> None:
    samples = speech_like(7, 30)
    meter = FrameMeter(SILENT, RATE)
    for piece in in_pieces(samples, range(0, len(samples) // 2, 8192)):
        meter.add(piece, piece)

    assert meter.levels().of(Party.AGENT).closed() == measured(samples)


def test_both_channels_are_measured_once_four_seconds_of_them_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[float] = []
    measure = ChannelMeter.measure

    def counted(meter: ChannelMeter, *pieces: bytes) -> None:
        seconds.append(sum(map(len, pieces)) / 2 / RATE)
        measure(meter, *pieces)

    monkeypatch.setattr(ChannelMeter, "measure", counted)
    meter = FrameMeter(SILENT, RATE)
    for _ in range(9):
        meter.add(bytes(2 * RATE), bytes(2 * RATE))
    assert seconds == [4, 4, 4, 4]

    meter.levels()
    assert seconds[4:] == [1, 1]
    for _ in range(5):
        meter.add(bytes(2 * RATE), bytes(2 * RATE))
    assert seconds[6:] == [4, 4]


def log_of(customer: bytes, agent: bytes) -> list[Fragment]:
    """Fragments of 1.024 s, a block of each party in each."""
    size = 2 * 8192
    return [
        fragment(
            index,
            OURS,
            blocks=[
                block(1, 1024 * index, customer[size * index : size * (index + 1)]),
                block(2, 1024 * index, agent[size * index : size * (index + 1)]),
            ],
        )
        for index in range(len(customer) // size)
    ]


@pytest.mark.parametrize("end", range(1, 8))
def test_a_recording_that_is_resumed_after_any_fragment_has_the_same_levels(end: int) -> None:
    customer, agent = speech_like(1, 8.192), speech_like(2, 8.192)
    log = log_of(customer, agent)
    recording = CallRecording(OURS)
    for each in log[:end]:
        recording.add(each)
        assert all(recording.take())
    cursor = from_plain(Cursor, json.loads(json.dumps(to_plain(recording.cursor()))))

    recording = CallRecording(OURS, cursor=cursor)
    for each in log:
        if int(each.number or 0) > int(cursor.fragment or 0):
            recording.add(each)
    recording.end(StreamEnd.END_OF_INPUT)
    assert all(recording.take())

    levels = recording.cursor().levels
    assert levels.customer.closed() == measured(customer)
    assert levels.agent.closed() == measured(agent)


def test_asking_for_the_levels_changes_nothing() -> None:
    tone = array("h", [1000, -1000] * 1250).tobytes()
    asked, silent = ChannelMeter(ChannelLevels(), 8000), ChannelMeter(ChannelLevels(), 8000)
    for at in range(0, len(tone), 700):
        asked.measure(tone[at : at + 700])
        silent.measure(tone[at : at + 700])
        assert asked.levels() == asked.levels()

    assert asked.levels() == silent.levels()
    assert (asked.levels().samples, asked.levels().open_samples) == (2500, 2500 - 1600)
    assert asked.levels().open_squares == 900 * 1_000_000


@pytest.mark.parametrize("count", [0, 1, 1599, 1600, 1601, 3200])
def test_a_window_is_closed_with_its_last_sample(count: int) -> None:
    meter = ChannelMeter(ChannelLevels(), 8000)
    meter.measure(array("h", [5] * count).tobytes())
    levels = meter.levels()

    assert (levels.samples, levels.open_samples, levels.energy) == (count, count % 1600, 25 * (count - count % 1600))
    assert levels.peak == 5 * bool(count)
