"""The engine `whisper` against a server that refuses, hangs, drips, breaks or lags."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

import pytest

from connect_audio.adapters.endpoint import address
from connect_audio.adapters.endpoint.secret import KnownSecret
from connect_audio.adapters.words import whisper_server
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio_local.whisper import faults
from connect_audio_local.whisper.dialects import Dialect
from connect_audio_local.whisper.model import Behaviour, serve
from connect_audio_local.whisper.server import speech_server
from support.speech_sessions import PATIENCE_S, RATE, Notified, call, feed, recognize, recognizer, said, session, texts

ONE: Final = call([said(Party.AGENT, 1.0, "alfa bravo")], 3.0)
WORDS: Final = [("agent", "alfa bravo")]
SECRET: Final = b"sk-a-key-that-is-long-enough"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_server, "_PAUSES_S", (0.0,))


def failure(behaviours: list[Behaviour], **changed: Any) -> SinkError:
    """The failure of a session whose server misbehaves, with one try."""
    with (
        speech_server(None, behaviours) as server,
        recognizer(server.url, **{"tries": 1, **changed}) as engine,
        pytest.raises(SinkError) as caught,
    ):
        recognize(engine, ONE)
    return caught.value


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (faults.answer(408), "HTTP_408"),
        (faults.answer(429), "HTTP_429"),
        (faults.answer(500), "HTTP_500"),
        (faults.answer(503), "HTTP_503"),
        (faults.reset, "CONNECTION"),
        (faults.cut, "ANSWER_CUT"),
        (faults.no_json, "ANSWER_UNREADABLE"),
    ],
)
def test_a_passing_failure_is_tried_again_and_told_as_one(behaviour: Behaviour, code: str) -> None:
    told = failure([behaviour])
    assert (told.code, told.retryable) == (code, True)

    with speech_server(None, [behaviour]) as server, recognizer(server.url, tries=2) as engine:
        assert texts(recognize(engine, ONE).turns) == WORDS
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "; look at the model and the language"),
        (401, "; give the key that this server issued"),
        (403, "; give the key that this server issued"),
        (404, "; look at the path of its URL and at the name of the model"),
        (413, "; the server takes no utterance of 15 s"),
        (422, "; look at the model and the language"),
        (307, "; redirects are not followed"),
        (451, ""),
    ],
)
def test_a_refusal_is_told_at_once_with_advice_and_without_the_server_s_words(status: int, advice: str) -> None:
    refusal = {"error": {"message": "Incorrect key sk-a-key for alfa", "param": None}}
    with (
        speech_server(None, [faults.answer(status, document=refusal)]) as server,
        recognizer(server.url, tries=3) as engine,
    ):
        with pytest.raises(SinkError) as caught:
            recognize(engine, ONE)
        requests = len(server.requests)
    where = server.url.removeprefix("http://").removesuffix("/v1")

    assert str(caught.value) == f"HTTP_{status}: {where} answered an utterance with {status}{advice}"
    assert not caught.value.retryable
    assert requests == 1


def test_a_refusal_of_one_utterance_by_a_server_that_took_others_may_pass() -> None:
    tracks = call([said(Party.AGENT, 1.0, "alfa"), said(Party.AGENT, 4.0, "bravo")], 6.0)
    with (
        speech_server(None, [serve, faults.answer(400)]) as server,
        recognizer(server.url, tries=1) as engine,
        pytest.raises(SinkError) as caught,
    ):
        recognize(engine, tracks)

    assert (caught.value.code, caught.value.retryable) == ("HTTP_400", True)


@pytest.mark.parametrize("behaviour", [faults.hang, faults.slow(60)])
def test_a_server_that_does_not_answer_is_given_up_in_time(behaviour: Behaviour) -> None:
    began = time.monotonic()

    told = failure([behaviour], request_s=0.3)

    assert (told.code, told.retryable) == ("TIMEOUT", True)
    assert time.monotonic() - began < PATIENCE_S


def test_an_answer_that_drips_is_given_up_in_time() -> None:
    told = failure([faults.drip], request_s=0.5)

    assert (told.code, told.retryable) == ("ANSWER_CUT", True)


class Waits:
    """Takes down how long a server's client would pause."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return False

    def set(self) -> None:
        """A pause that is over anyway needs no end."""

    def is_set(self) -> bool:
        return False


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    taken = Waits()

    def interruptible(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self._interrupted = taken

    original = whisper_server.WhisperServer.__init__
    monkeypatch.setattr(whisper_server.WhisperServer, "__init__", interruptible)
    return taken


@pytest.mark.parametrize(("given", "waited"), [("7", [7.0]), ("Wed, 21 Oct 2026 07:28:00 GMT", [0.0]), (None, [0.0])])
def test_a_server_says_how_long_to_wait(given: str | None, waited: list[float], waits: Waits) -> None:
    behaviours = [faults.answer(429, retry_after=given)]
    with speech_server(None, behaviours) as server, recognizer(server.url, tries=2) as engine:
        assert texts(recognize(engine, ONE).turns) == WORDS

    assert waits.seconds == waited


def test_a_wait_that_is_too_long_fails_now(waits: Waits) -> None:
    assert failure([faults.answer(429, retry_after="3600")], tries=2).code == "HTTP_429"
    assert waits.seconds == []


def test_a_rotated_key_is_fetched_once_more() -> None:
    class Rotated(KnownSecret):
        fetched = 0

        def __call__(self, *, fresh: bool = False) -> bytes:
            self.fetched += fresh
            return SECRET if fresh else b"the one before"

    source = Rotated(b"")
    with speech_server(key=SECRET.decode()) as server, recognizer(server.url, source) as engine:
        assert texts(recognize(engine, ONE).turns) == WORDS
        assert len(server.requests) == 2
    assert source.fetched == 1


def test_a_key_that_stays_refused_is_sent_once() -> None:
    with speech_server(key="another") as server, recognizer(server.url, KnownSecret(SECRET)) as engine:
        with pytest.raises(SinkError) as caught:
            recognize(engine, ONE)
        assert len(server.requests) == 1

    assert (caught.value.code, caught.value.retryable) == ("HTTP_401", False)


def test_an_interrupt_fails_the_session_and_close_ends_the_request_under_way() -> None:
    with speech_server(None, [faults.hang]) as server, recognizer(server.url) as engine:
        with session(engine) as opened:
            feed(opened, ONE)
            failures: list[str] = []

            def finish() -> None:
                with pytest.raises(SinkError) as caught:
                    opened.finish(is_call_over=True, timeout_s=PATIENCE_S)
                failures.append(caught.value.code)

            thread = threading.Thread(target=finish)
            thread.start()
            assert server.wait_for_requests(1)
            opened.interrupt()
            thread.join(PATIENCE_S)
            with pytest.raises(SinkError):
                opened.results()
            began = time.monotonic()
        assert time.monotonic() - began < PATIENCE_S / 2
    assert failures == ["INTERRUPTED"]


def test_a_server_slower_than_the_call_stops_the_audio_and_then_fails_the_session() -> None:
    tracks = call([said(Party.AGENT, at, "alfa") for at in range(1, 30, 2)], 31.0)
    with (
        speech_server(None, [faults.hang]) as server,
        recognizer(server.url, backlog_s=3.0, patience_s=0.2) as engine,
        session(engine) as opened,
    ):
        with pytest.raises(SinkError) as caught:
            feed(opened, tracks)

        # It held three seconds of speech and refused more.
        assert (caught.value.code, caught.value.retryable) == ("BACKLOG", True)
        assert len(server.requests) == 1


def test_at_the_call_s_end_an_answer_that_is_late_is_told() -> None:
    with (
        speech_server(None, [faults.hang]) as server,
        recognizer(server.url) as engine,
        session(engine) as opened,
    ):
        feed(opened, ONE)
        with pytest.raises(SinkError) as caught:
            opened.finish(is_call_over=True, timeout_s=0.2)

    assert (caught.value.code, caught.value.retryable) == ("TIMEOUT", True)


def test_at_a_hand_over_what_has_no_answer_is_left_to_the_next_session() -> None:
    tracks = call([said(Party.AGENT, 1.0, "alfa"), said(Party.CUSTOMER, 4.0, "bravo")], 7.0)
    notified = Notified()
    with (
        speech_server(None, [faults.hang]) as server,
        recognizer(server.url) as engine,
        session(engine, notify=notified) as opened,
    ):
        feed(opened, {party: samples[: 6 * RATE] for party, samples in tracks.items()})
        assert server.wait_for_requests(1)
        feed(opened, tracks, first=3 * RATE)
        assert notified.wait_for(1)
        results = opened.finish(is_call_over=False, timeout_s=0.1)

    assert texts(results.turns) == [("customer", "bravo")]
    assert results.settled[Party.AGENT] <= RATE
    assert results.settled[Party.CUSTOMER] > 4 * RATE


def test_a_session_that_another_thread_closes_under_the_audio_sends_nothing_more() -> None:
    with speech_server() as server, recognizer(server.url) as engine, session(engine) as opened:
        opened.close()
        feed(opened, ONE)
        opened.close()

        assert not server.requests
        assert [lane.thread for lane in opened._lanes.values()] == [None, None]


def test_a_bug_in_a_lane_fails_the_session_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(words: Any, seconds: float, fields: Any) -> dict[str, Any]:  # noqa: ARG001 - a dialect's signature
        return {"text": "alfa"}

    def bug(*_arguments: Any) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr("connect_audio.adapters.words.whisper.turn_of", bug)
    raised: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: raised.append(told.exc_type))
    with (
        speech_server(dialect=Dialect("any", broken)) as server,
        recognizer(server.url) as engine,
        pytest.raises(SinkError) as caught,
    ):
        recognize(engine, ONE)

    assert (caught.value.code, caught.value.retryable) == ("ZeroDivisionError", False)
    assert "secret" not in str(caught.value)
    # Python would write its traceback, and so the words, to the function's log.
    assert raised == []


def test_an_address_of_one_s_own_network_is_refused_unless_it_is_allowed() -> None:
    with speech_server() as server, recognizer(server.url, allow_private=False, tries=1) as engine:
        with pytest.raises(SinkError) as caught:
            recognize(engine, ONE)
        assert server.requests == ()

    assert str(caught.value) == (
        "ADDRESS_REFUSED: 127.0.0.1 resolves to 127.0.0.1, a loopback address; "
        "WHISPER_PRIVATE_ADDRESSES=allowed permits private addresses"
    )


def test_clear_text_never_reaches_a_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_is_public", lambda _address: True)
    with speech_server() as server, recognizer(server.url, allow_private=True, tries=1) as engine:
        with pytest.raises(SinkError) as caught:
            recognize(engine, ONE)
        assert server.requests == ()

    assert str(caught.value) == (
        "ADDRESS_REFUSED: 127.0.0.1 resolves to 127.0.0.1, a public address, which http:// would reach in clear text; "
        "use https://"
    )
    assert not caught.value.retryable


def test_no_failure_s_message_or_log_has_words_or_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = [
        str(failure([behaviour], request_s=0.5))
        for behaviour in (faults.no_json, faults.cut, faults.reset, faults.answer(500, document={"text": "alfa bravo"}))
    ]

    assert not any(word in " ".join(told) + caplog.text for word in ("alfa", "bravo", SECRET.decode()))
