"""Who speaks when, and for how long."""

from __future__ import annotations

import pytest

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


def test_the_figures_cover_the_call_once() -> None:
    figures = figures_of([[(1, 4), (6, 7)], [(3, 5)]], 10)
    assert figures == Figures(talk=(4, 2), overlap=1, silence=5)
    assert sum(figures.talk) - figures.overlap + figures.silence == pytest.approx(10)
