"""webrtcvad as the detector of voice: at its own rates and at others, and what stands in for it."""

from __future__ import annotations

import sys

import pytest

from connect_audio.adapters.words.voice_activity import voice_detector
from connect_audio.words.utterances import LoudnessDetector, UtteranceCutter
from connect_audio_local.synthesis.speech import Party, endless_speech

RATES = (8_000, 11_025, 16_000, 44_100, 48_000)


@pytest.mark.parametrize("rate", RATES)
def test_speech_is_voice_and_silence_is_none_at_every_rate(rate: int) -> None:
    pytest.importorskip("webrtcvad")
    frame = 2 * (rate * 30 // 1000)
    syllable = next(piece for piece in endless_speech(Party.AGENT, rate) if any(piece))
    detector = voice_detector(rate)

    silent = [detector.is_voiced(bytes(frame)) for _ in range(10)]
    voiced = [detector.is_voiced(syllable[at : at + frame]) for at in range(0, len(syllable) - frame, frame)]

    assert not any(silent)
    assert sum(voiced) >= 0.6 * len(voiced)


def test_without_webrtcvad_loudness_cuts_the_utterances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    detector = voice_detector(8_000)
    syllable = next(piece for piece in endless_speech(Party.AGENT) if any(piece))

    cutter = UtteranceCutter(8_000, 0, detector)
    found = cutter.receive(bytes(16_000) + syllable + bytes(16_000))

    assert isinstance(detector, LoudnessDetector)
    (utterance,) = found
    assert abs(utterance.speech_start - 8_000) <= 480
    assert abs(utterance.speech_end - 8_000 - len(syllable) // 2) <= 960
