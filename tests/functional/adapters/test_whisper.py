"""The engine `whisper` against a server at the socket: its requests, each dialect of answers, and who said what."""

from __future__ import annotations

import json
import logging
from itertools import repeat
from typing import Final

import pytest

from connect_audio.adapters.endpoint.secret import KnownSecret
from connect_audio.adapters.words.whisper import WhisperRecognizer
from connect_audio.adapters.words.whisper_server import WhisperOptions, speech_endpoint
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, Party
from connect_audio_local.webhook.model import Exchange
from connect_audio_local.webhook.server import webhook_receiver
from connect_audio_local.whisper.dialects import DIALECTS, OPENAI_JSON_ONLY, SPEACHES, Dialect
from connect_audio_local.whisper.faults import INVENTED, REPEATED, answer, hang, say, words_outside
from connect_audio_local.whisper.server import speech_server
from support.speech_sessions import PATIENCE_S, RATE, Notified, call, feed, recognize, recognizer, said, session, texts

CALL: Final = (
    said(Party.AGENT, 1.0, "alfa bravo"),
    said(Party.CUSTOMER, 3.0, "charlie delta echo"),
    said(Party.AGENT, 3.5, "foxtrot golf hotel"),
    said(Party.CUSTOMER, 6.5, "india"),
)
TRACKS: Final = call(CALL, 8.0)
TEXTS: Final = [
    ("agent", "alfa bravo"),
    ("customer", "charlie delta echo"),
    ("agent", "foxtrot golf hotel"),
    ("customer", "india"),
]
KEY: Final = b"sk-a-key-that-nobody-may-read"
WITH_WORDS: Final = {"openai", "whisper.cpp", "speaches", "groq"}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_each_server_s_answers_become_turns_of_the_right_speaker_and_time(dialect: Dialect) -> None:
    with speech_server(dialect=dialect) as server, recognizer(server.url) as engine:
        results = recognize(engine, TRACKS)

    assert texts(results.turns) == TEXTS
    assert results.settled == dict.fromkeys(PARTIES, 8 * RATE)
    for turn, part in zip(sorted(results.turns, key=lambda turn: turn.start), CALL, strict=True):
        assert abs(turn.start / RATE - part.at) < 0.1
        assert abs(turn.end / RATE - (part.at + 0.4 * len(part.words) - 0.1)) < 0.2
        assert [word.text for word in turn.words] == (list(part.words) if dialect.name in WITH_WORDS else [])


def test_a_request_is_what_openai_documents() -> None:
    with (
        speech_server(key=KEY.decode()) as server,
        recognizer(server.url, KnownSecret(KEY), language="en") as engine,
    ):
        recognize(engine, TRACKS)
        requests = server.requests

    assert len(requests) == 4
    for request in requests:
        assert request.path == "/v1/audio/transcriptions"
        assert request.headers["authorization"] == f"Bearer {KEY.decode()}"
        assert (request.file_name, request.file_type, request.rate) == ("utterance.wav", "audio/wav", RATE)
        assert request.fields == {
            "model": "test-model",
            "language": "en",
            "temperature": "0",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "word",
        }
        # The sound before the first word and the hangover, and no minute of silence.
        assert 0.5 < request.seconds < 2.0


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_other_rates_keep_their_samples_and_their_times(rate: int) -> None:
    with speech_server() as server, recognizer(server.url) as engine:
        results = recognize(engine, call(CALL, 8.0, rate), rate=rate)

        assert {request.rate for request in server.requests} == {rate}
    assert texts(results.turns) == TEXTS
    assert abs(min(turn.start for turn in results.turns) / rate - 1.0) < 0.1


def test_a_model_that_refuses_times_is_asked_for_less_ever_after() -> None:
    with speech_server(dialect=OPENAI_JSON_ONLY) as server, recognizer(server.url) as engine:
        recognize(engine, TRACKS)
        recognize(engine, TRACKS)
        formats = [request.fields["response_format"] for request in server.requests]

    # Both parties may have asked at once before the first refusal came.
    assert 1 <= formats.count("verbose_json") <= 2
    assert formats.count("json") == 8
    assert formats[-4:] == ["json"] * 4


def test_a_server_that_knows_no_words_but_segments_is_asked_for_segments() -> None:
    refusal = {"error": {"message": "timestamp_granularities is not supported", "param": "timestamp_granularities"}}
    tracks = call(CALL[:1], 3.0)
    with speech_server(None, [answer(400, document=refusal)]) as server, recognizer(server.url) as engine:
        results = recognize(engine, tracks)
        fields = [request.fields for request in server.requests]

    assert texts(results.turns) == TEXTS[:1]
    assert [each.get("timestamp_granularities[]") for each in fields] == ["word", None]
    assert {each["response_format"] for each in fields} == {"verbose_json"}


@pytest.mark.parametrize("document", [INVENTED, REPEATED, {"text": " "}])
def test_what_a_model_invents_makes_no_turn_and_settles_its_audio(document: dict[str, object]) -> None:
    with speech_server(None, [say(document)]) as server, recognizer(server.url) as engine:
        results = recognize(engine, call(CALL[:1], 3.0))

    assert results.turns == ()
    assert results.settled == dict.fromkeys(PARTIES, 3 * RATE)


@pytest.mark.parametrize("shift_s", [-30.0, 2.5, 3600.0])
def test_words_at_times_outside_the_audio_stay_within_their_utterance(shift_s: float) -> None:
    with speech_server(None, [words_outside(shift_s)]) as server, recognizer(server.url) as engine:
        (turn,) = recognize(engine, call(CALL[:1], 3.0)).turns

    assert turn.text == "alfa bravo"
    assert turn.words == ()
    assert abs(turn.start / RATE - 1.0) < 0.1
    assert abs(turn.end / RATE - 1.7) < 0.2


def test_silence_is_not_sent() -> None:
    with speech_server() as server, recognizer(server.url) as engine:
        results = recognize(engine, call([], 30.0))

        assert server.requests == ()
    assert results.settled == dict.fromkeys(PARTIES, 30 * RATE)


def test_words_come_while_the_call_lasts_and_settle_their_audio() -> None:
    notified = Notified()
    with (
        speech_server(dialect=SPEACHES) as server,
        recognizer(server.url) as engine,
        session(engine, notify=notified) as opened,
    ):
        feed(opened, call(CALL[:1], 4.0))
        assert notified.wait_for(1)
        results = opened.results()

        assert texts(results.turns) == TEXTS[:1]
        assert 4 * RATE - results.settled[Party.AGENT] < RATE
        assert opened.results().turns == ()


def test_both_parties_are_recognized_at_once_and_each_one_s_turns_stay_in_order() -> None:
    tracks = call(
        [said(Party.CUSTOMER, 1.0, "alfa"), said(Party.AGENT, 4.0, "bravo"), said(Party.AGENT, 6.0, "charlie")], 9.0
    )
    notified = Notified()
    with (
        speech_server(None, [hang]) as server,
        recognizer(server.url) as engine,
        session(engine, notify=notified) as opened,
    ):
        feed(opened, {party: samples[: 2 * 3 * RATE] for party, samples in tracks.items()})
        assert server.wait_for_requests(1)
        feed(opened, tracks, first=3 * RATE)
        assert notified.wait_for(2)
        results = opened.results()

    assert texts(results.turns) == [("agent", "bravo"), ("agent", "charlie")]
    # The customer's utterance has no answer yet: all of it is to be sent again by whoever comes after.
    assert results.settled[Party.CUSTOMER] < RATE
    assert results.settled[Party.AGENT] > 7 * RATE


def test_at_a_hand_over_an_unfinished_utterance_is_left_and_the_next_session_gives_it_whole_and_once() -> None:
    tracks = call([said(Party.AGENT, 1.0, "alfa bravo"), said(Party.AGENT, 4.0, "charlie delta echo foxtrot")], 8.0)
    middle = round(4.6 * RATE)
    with speech_server() as server, recognizer(server.url) as engine:
        with session(engine) as opened:
            feed(opened, {party: samples[: 2 * middle] for party, samples in tracks.items()})
            first = opened.finish(is_call_over=False, timeout_s=PATIENCE_S)
        assert texts(first.turns) == [("agent", "alfa bravo")]
        assert first.settled[Party.AGENT] <= 4 * RATE
        begin = min(first.settled.values())
        begin -= begin % RATE
        masked = {
            party: bytes(2 * first.settled[party]) + samples[2 * first.settled[party] :]
            for party, samples in tracks.items()
        }
        with session(engine, needed=first.settled) as opened:
            feed(opened, masked, first=begin)
            second = opened.finish(is_call_over=True, timeout_s=PATIENCE_S)

    assert texts(second.turns) == [("agent", "charlie delta echo foxtrot")]


def test_nothing_that_was_said_nor_the_key_is_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        speech_server(key=KEY.decode()) as server,
        recognizer(server.url, KnownSecret(KEY)) as engine,
    ):
        recognize(engine, TRACKS)
        options = WhisperOptions(url=f"{server.url}?token=of-the-url", model="m")

    shown = caplog.text + repr(options)
    assert not any(word in shown for part in CALL for word in part.words)
    assert KEY.decode() not in shown
    assert "of-the-url" not in shown


def test_over_https_a_server_under_a_private_authority_is_trusted_by_its_file_alone() -> None:
    answer_with = json.dumps({"text": "alfa bravo", "words": [], "segments": []}).encode()

    def recognized(exchange: Exchange) -> None:
        exchange.ignore()
        exchange.answer(200, answer_with, {"Content-Type": "application/json"})

    tracks = call((said(Party.AGENT, 1.0, "alfa bravo"),), 3.0)
    with webhook_receiver(b"no secret", repeat(recognized)) as server:
        with recognizer(server.url, ca_file=server.ca_file) as engine:
            assert texts(recognize(engine, tracks).turns) == [("agent", "alfa bravo")]
        trusting = server.requests
        with recognizer(server.url) as engine, pytest.raises(SinkError) as caught:
            recognize(engine, tracks)
        assert (caught.value.code, server.requests) == ("TLS_CERTIFICATE", trusting)
    assert trusting == 1


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.openai.com", "/v1/audio/transcriptions"),
        ("https://api.openai.com/v1/", "/v1/audio/transcriptions"),
        ("https://api.groq.com/openai/v1", "/openai/v1/audio/transcriptions"),
        ("https://a.example/v1?team=1", "/v1/audio/transcriptions?team=1"),
        ("http://127.0.0.1:8080/inference", "/inference"),
        ("https://a.example/v1/audio/transcriptions", "/v1/audio/transcriptions"),
    ],
)
def test_a_url_leads_to_the_path_that_takes_audio(url: str, target: str) -> None:
    assert speech_endpoint(url).target == target


def test_a_url_that_cannot_be_posted_to_is_refused_at_once() -> None:
    with pytest.raises(SinkError) as caught:
        WhisperRecognizer(WhisperOptions(url="ftp://speech.example/token", model="m"))

    assert (caught.value.code, caught.value.retryable) == ("URL_REFUSED", False)
    assert str(caught.value) == (
        "URL_REFUSED: the speech server's URL does not begin with https:// or http://. "
        "Set WHISPER_URL to an address such as https://api.openai.com/v1."
    )
