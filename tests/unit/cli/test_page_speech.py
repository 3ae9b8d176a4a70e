"""Who speaks when, and for how long."""

from __future__ import annotations

import io
import wave
from array import array

import pytest

from connect_audio.core.levels import SILENT, FrameMeter, levels_json
from connect_audio_cli.page.outline import Outline, outline_of
from connect_audio_cli.page.speech import Figures, figures_of, speech_of

QUIET, LOUD = 20, 6000
WINDOWS = 50
"""Levels of a second."""


def levels(*seconds: int) -> list[int]:
    """A level for each second."""
    return [level for level in seconds for _ in range(WINDOWS)]


def test_a_stretch_is_as_long_as_its_speech_and_the_soft_edges() -> None:
    assert speech_of(levels(QUIET, LOUD, LOUD, QUIET), 4) == [(0.96, 3.16)]


def test_a_short_pause_joins_and_a_long_one_parts() -> None:
    pause = [QUIET] * 25
    assert len(speech_of([*levels(QUIET, LOUD), *pause, *levels(LOUD, QUIET)], 4.5)) == 1
    assert len(speech_of([*levels(QUIET, LOUD), *pause, QUIET, *levels(LOUD, QUIET)], 4.52)) == 2


def test_a_click_is_no_speech() -> None:
    assert speech_of([*levels(QUIET), *[LOUD] * 4, *levels(QUIET, QUIET)], 3.08) == []


def test_noise_alone_is_no_speech_and_no_stretch_leaves_the_call() -> None:
    assert speech_of(levels(QUIET, QUIET, QUIET), 3) == []
    assert speech_of([], 0) == []
    assert speech_of(levels(QUIET, QUIET, QUIET, LOUD), 4) == [(2.96, 4)]


RATE = 8000
WINDOW = RATE // 5


def outline(*channels: bytes) -> Outline:
    """The outline of channels of samples of 16 bits, as a WAV of theirs has it."""
    frames = len(channels[0]) // 2
    mono = [array("h", each) for each in channels]
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((len(channels), 2, RATE, 0, "NONE", ""))
        wav.writeframes(array("h", [each[at] for at in range(frames) for each in mono]).tobytes())
    file.seek(0)
    return outline_of(file, "call.wav")


def sound(*windows: int, last: int = 0) -> bytes:
    """A window of 200 ms of each level, and so many samples more at the last level."""
    return array("h", [level for level in windows for _ in range(WINDOW)] + [windows[-1]] * last).tobytes()


def test_the_figures_cover_the_call_once() -> None:
    figures = figures_of(outline(sound(LOUD, LOUD, 0, 0, 0, last=400), sound(0, LOUD, LOUD, 0, 0, last=400)))

    assert list(figures.talk) == pytest.approx([0.4, 0.4])
    assert [figures.overlap, figures.silence] == pytest.approx([0.2, 0.45])


def test_the_figures_are_the_manifest_s_by_its_windows() -> None:
    # 104 is the least RMS of an active window, and the last window has a quarter of its length.
    customer = sound(104, 103, LOUD, 0, 104, last=400)
    meter = FrameMeter(SILENT, RATE)
    meter.add(customer, sound(0, 0, 0, 0, 0, last=400))

    figures = figures_of(outline(customer, sound(0, 0, 0, 0, 0, last=400)))

    assert list(figures.talk) == pytest.approx([0.65, 0])
    assert figures.talk[0] == levels_json(meter.levels().customer, RATE)["activeSeconds"]


def test_a_window_that_two_reads_share_is_one() -> None:
    # 7990 Hz: a read ends within a window of 1598 samples.
    frames = 7990 * 130
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 7990, 0, "NONE", ""))
        wav.writeframes(array("h", [LOUD]).tobytes() * frames)
    file.seek(0)

    found = outline_of(file, "call.wav")

    assert found.active == (b"\1" * 650,)
    assert figures_of(found) == Figures(talk=(130,), overlap=0, silence=0)
