"""Words by a speech server along the whole path: event, trigger, consumer, utterances at the socket, transcript."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from connect_audio.core.pcm import Party
from connect_audio.telemetry import Metric
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.synthesis.calls import SyntheticCall
from connect_audio_local.whisper import faults
from connect_audio_local.whisper.model import Behaviour, SpeechServer
from connect_audio_local.whisper.server import speech_server
from support.digit_calls import DIGIT_CALL, SECONDS, digit_tracks
from support.emitted import by_metric, emitted
from support.speech_sessions import call, said
from support.whole_path import INSTANCE, cloud_of, contact_id
from support.words_calls import record_at_pace, transcript

SPEED: Final = 8.0
PARTS: Final = (
    said(Party.AGENT, 1.0, "alfa bravo"),
    said(Party.CUSTOMER, 3.0, "charlie delta echo"),
    said(Party.AGENT, 3.5, "foxtrot golf"),  # both at once
    said(Party.CUSTOMER, 8.0, "hotel"),
    said(Party.AGENT, 12.0, "india juliett alfa"),
    said(Party.CUSTOMER, 16.0, "bravo bravo"),
)


def synthetic(tracks: dict[Party, bytes]) -> SyntheticCall:
    return SyntheticCall(
        customer=tracks[Party.CUSTOMER], agent=tracks[Party.AGENT], contact_id=contact_id(1), instance_id=INSTANCE
    )


@contextmanager
def recognizing(
    moto_server: str, server: SpeechServer, *, invocation_s: float = 900, **settings: str
) -> Iterator[LocalCloud]:
    settings = {
        "LIVE_SINKS": "whisper",
        "WORDS_LANGUAGE": "en-US",
        "WHISPER_URL": server.url,
        "WHISPER_MODEL": "small.en",
        "WHISPER_PRIVATE_ADDRESSES": "allowed",
        **({"DEADLINE_MARGIN_SECONDS": "20"} if invocation_s > 60 else {}),
        **settings,
    }
    with cloud_of(moto_server, invocation_s=invocation_s, **settings) as cloud:
        yield cloud
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("whisper-")]


def judge(found: dict[str, Any]) -> None:
    assert found["missing"] == []
    turns = sorted(found["turns"], key=lambda turn: turn["start"])
    assert [(turn["participant"], turn["text"]) for turn in turns] == [
        (part.party.upper(), " ".join(part.words)) for part in PARTS
    ]
    for turn, part in zip(turns, PARTS, strict=True):
        assert abs(turn["start"] - part.at) <= 0.1


def test_spoken_digits_of_two_voices_come_back_through_the_whole_live_path(moto_server: str) -> None:
    pytest.importorskip("pocketsphinx")
    from connect_audio_local.recognition.digits import DigitRecognizer  # noqa: PLC0415 - the package may be missing

    with speech_server(DigitRecognizer()) as server, recognizing(moto_server, server) as cloud:
        found = transcript(cloud, record_at_pace(cloud, synthetic(digit_tracks()), speed=4.0))
        asked = server.requests

    assert (found["engine"], found["language"], found["missing"]) == ("whisper", "en-US", [])
    assert abs(found["durationSeconds"] - SECONDS) < 0.1
    for turn, spoken in zip(found["turns"], DIGIT_CALL, strict=True):
        assert (turn["participant"], turn["text"]) == (spoken.party.upper(), spoken.phrase.text)
        assert abs(turn["start"] - spoken.start) < 0.5
        assert abs(turn["end"] - spoken.end) < 0.5
    assert {request.fields["language"] for request in asked} == {"en"}
    assert {request.fields["model"] for request in asked} == {"small.en"}


def test_a_server_that_breaks_in_the_middle_costs_no_word(moto_server: str) -> None:
    troubles: list[Behaviour] = [faults.answer(503), faults.reset, faults.cut, faults.no_json, faults.answer(429)]
    with speech_server(None, troubles) as server, recognizing(moto_server, server) as cloud:
        judge(transcript(cloud, record_at_pace(cloud, synthetic(call(PARTS, 20.0)), SPEED)))


def test_words_go_on_over_hand_overs_and_the_metric_counts_their_audio(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    made = synthetic(call(PARTS, 20.0))
    with speech_server() as server, recognizing(moto_server, server, invocation_s=9) as cloud:
        found = record_at_pace(cloud, made, speed=2, retention_hours=24)
        words = transcript(cloud, found)
    assert found.manifest is not None
    assert found.manifest["handOvers"] >= 1
    judge(words)
    recognized = by_metric(emitted(capfd.readouterr().out))[Metric.RECOGNIZED_SECONDS]
    assert len(recognized) >= 2
    # From the first word to the call's end, and what hand-overs repeat: 10 s each at most.
    assert 18 <= sum(recognized) <= 20 + 10 * found.manifest["handOvers"]


def test_a_server_that_refuses_the_key_leaves_a_whole_recording_and_says_what_is_missing(moto_server: str) -> None:
    made = synthetic(call(PARTS[:2], 6.0))
    with speech_server(key="another") as server, recognizing(moto_server, server) as cloud:
        found = record_at_pace(cloud, made, SPEED)
        words = transcript(cloud, found)
        asked = len(server.requests)

    assert words["turns"] == []
    assert words["missing"] != []
    # Not one request for each utterance: a key does not become right.
    assert asked <= 2
