"""The engine `transcribe` against the stand-in of Transcribe, over TLS and HTTP/2 at the socket."""

from __future__ import annotations

import dataclasses
import gc
import io
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from connect_audio.adapters.words import transcribe_session
from connect_audio.core.errors import SinkError
from connect_audio.words.transcribe_options import TranscribeOptions
from connect_audio_local.transcribe.faults import (
    Behaviour,
    CutAfter,
    CutAtEnd,
    EndAfter,
    EndAtEnd,
    FailAfter,
    HangAfter,
    HangAtEnd,
    HangAtHead,
    Refuse,
)
from support.spoken_words import quiet, spoken
from support.transcribe_sessions import (
    AGENT,
    CUSTOMER,
    RATE,
    HeardSession,
    heard_session,
    transcribe_recognizer,
    transcribe_service,
)


def test_the_words_of_two_parties_come_with_the_right_speaker_and_times() -> None:
    with transcribe_service() as service, heard_session(transcribe_recognizer(service)) as heard:
        heard.feed(quiet(0.5) + spoken("seven three") + quiet(1.5), quiet(1.0) + spoken("one") + quiet(1.4))
        heard.wait_for(lambda it: len(it.turns) == 2)
        heard.finish()

        customer, agent = sorted(heard.turns, key=lambda turn: turn.start)
        assert (customer.party, customer.text, agent.party, agent.text) == (CUSTOMER, "seven three.", AGENT, "one.")
        assert [(word.text, word.start / RATE, word.end / RATE) for word in customer.words] == [
            ("seven", 0.5, 0.8),
            ("three.", 0.9, 1.2),
        ]
        assert (agent.start / RATE, agent.end / RATE) == (1.0, 1.3)
        assert heard.settled == {CUSTOMER: heard.position, AGENT: heard.position}
    [stream] = service.model.streams
    # Pieces of a second went as events of 256 ms, and each was signed, as was the empty one at the end.
    assert max(stream.events) == RATE * 256 // 1000
    assert (stream.signatures, stream.outcome) == (len(stream.events) + 1, "whole")


def test_a_final_result_that_the_end_of_input_forces_is_left_out_and_comes_whole_from_the_next_session() -> None:
    call = quiet(0.2) + spoken("four") + quiet(3) + spoken("nine eight seven") + quiet(1)
    cut = 2 * round(4.05 * RATE)  # within "eight"
    with transcribe_service() as service:
        recognizer = transcribe_recognizer(service)
        with heard_session(recognizer) as first:
            first.feed(call[:cut])
            first.wait_for(lambda it: len(it.turns) == 1 and CUSTOMER in it.partials)
            first.finish(is_call_over=False)
        assert first.texts(CUSTOMER) == ["four."]
        # The begin of the word that was cut is less than 2 s before the end.
        assert first.settled[CUSTOMER] == first.position - 2 * RATE
        with heard_session(recognizer, first.settled) as second:
            second.feed(call[2 * second.position :])
            second.finish()
    assert second.texts(CUSTOMER) == ["nine eight seven."]
    assert second.turns[0].start == round(3.6 * RATE)


def test_a_final_result_that_the_end_of_the_call_forces_is_kept() -> None:
    with transcribe_service() as service, heard_session(transcribe_recognizer(service)) as heard:
        heard.feed(quiet(0.5) + spoken("two"))
        heard.finish()
    assert heard.texts(CUSTOMER) == ["two."]
    assert heard.settled == {CUSTOMER: heard.position, AGENT: heard.position}


def test_partial_results_come_while_a_party_speaks_and_hold_it_before_their_begin() -> None:
    with transcribe_service() as service, heard_session(transcribe_recognizer(service)) as heard:
        heard.feed(quiet(4) + spoken("five six"), quiet(4))
        heard.wait_for(lambda it: CUSTOMER in it.partials and it.partials[CUSTOMER].text == "five six")
        assert heard.turns == []
        # The partial result shows that Transcribe has come to 4.7 s; the agent was silent up to 2 s before.
        assert heard.settled == {CUSTOMER: round(2.7 * RATE), AGENT: round(2.7 * RATE)}
        heard.feed(quiet(3))
        heard.wait_for(lambda it: len(it.turns) == 1)
        assert heard.partials == {}
        assert heard.settled[CUSTOMER] == round(4.75 * RATE)


RETRY, LASTING = "another session helps", "an operator must act"
REFUSALS = {
    "throttled": (Refuse(429, "LimitExceededException"), "LimitExceededException", RETRY),
    "settings": (Refuse(400, "BadRequestException"), "BadRequestException", LASTING),
    "unavailable": (Refuse(503, "ServiceUnavailableException"), "ServiceUnavailableException", RETRY),
    "denied": (Refuse(403, "AccessDeniedException"), "AccessDeniedException", LASTING),
    "expired": (Refuse(403, "ExpiredTokenException"), "ExpiredTokenException", RETRY),
}
FAULTS = {
    "service": (FailAfter(1, "InternalFailureException"), "InternalFailureException", RETRY),
    "audio": (FailAfter(1, "BadRequestException"), "BadRequestException", RETRY),
    "unknown": (FailAfter(1, "SurpriseException"), "SurpriseException", RETRY),
    "cut": (CutAfter(1), "AWS_ERROR_HTTP_CONNECTION_CLOSED", RETRY),
    "ended": (EndAfter(1), "ENDED", RETRY),
}


@pytest.mark.parametrize(("behaviour", "code", "remedy"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_keeps_its_code_and_says_whether_another_session_helps(
    behaviour: Behaviour, code: str, remedy: str
) -> None:
    with transcribe_service(behaviour) as service, heard_session(transcribe_recognizer(service)) as heard:
        with pytest.raises(SinkError) as failure:
            heard.feed(quiet(1))
        assert (failure.value.code, failure.value.retryable) == (code, remedy == RETRY)
        assert str(failure.value) == f"{code}: Transcribe: connecting failed"


@pytest.mark.parametrize(("behaviour", "code", "remedy"), FAULTS.values(), ids=FAULTS)
def test_a_session_that_breaks_says_so_and_the_next_one_gives_every_word(
    behaviour: Behaviour, code: str, remedy: str
) -> None:
    call = quiet(0.2) + spoken("three one four") + quiet(2)
    with transcribe_service(behaviour) as service:
        recognizer = transcribe_recognizer(service)
        with heard_session(recognizer) as broken:
            with pytest.raises(SinkError) as failure:
                broken.feed_and_wait(call)
            assert (failure.value.code, failure.value.retryable) == (code, remedy == RETRY)
            with pytest.raises(SinkError, match=code):
                broken.finish()
        assert broken.turns == []
        with heard_session(recognizer, broken.settled or None) as whole:
            whole.feed(call)
            whole.finish()
    assert whole.texts(CUSTOMER) == ["three one four."]


@pytest.mark.parametrize("behaviour", [CutAtEnd(), EndAtEnd()], ids=["cut", "ended"])
def test_an_end_without_the_last_results_is_no_end(behaviour: Behaviour) -> None:
    with transcribe_service(behaviour) as service, heard_session(transcribe_recognizer(service)) as heard:
        heard.feed(quiet(0.2) + spoken("six"))
        heard.wait_for(lambda it: CUSTOMER in it.partials)
        with pytest.raises(SinkError) as failure:
            heard.finish()
        assert failure.value.retryable
        assert failure.value.code in {"AWS_ERROR_HTTP_CONNECTION_CLOSED", "INCOMPLETE"}
    assert heard.settled[CUSTOMER] == 0


def _hang_at_head(heard: HeardSession) -> None:
    heard.feed(quiet(1))


def _hang_later(heard: HeardSession) -> None:
    for _ in range(60):
        heard.feed(quiet(1))


def _hang_at_end(heard: HeardSession) -> None:
    heard.feed(quiet(1))
    heard.finish(timeout_s=0.2)


HANGS = {
    "head": (HangAtHead(), _hang_at_head),
    "middle": (HangAfter(1), _hang_later),
    "end": (HangAtEnd(), _hang_at_end),
}


@pytest.mark.parametrize(("behaviour", "act"), HANGS.values(), ids=HANGS)
def test_a_service_that_hangs_costs_a_limited_time(
    behaviour: Behaviour, act: Callable[[HeardSession], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcribe_session, "CONNECT_S", 1.0)
    monkeypatch.setattr(transcribe_session, "SEND_S", 0.3)
    with transcribe_service(behaviour) as service, heard_session(transcribe_recognizer(service)) as heard:
        with pytest.raises(SinkError) as failure:
            act(heard)
        assert (failure.value.code, failure.value.retryable) == ("TIMEOUT", True)


def test_an_interrupt_ends_the_call_under_way() -> None:
    with transcribe_service(HangAtHead()) as service, heard_session(transcribe_recognizer(service)) as heard:
        timer = threading.Timer(0.1, heard.session.interrupt)
        timer.start()
        with pytest.raises(SinkError, match="INTERRUPTED"):
            heard.feed(quiet(1))
        timer.join()


def test_a_certificate_that_is_not_trusted_and_a_port_without_a_server_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe_session, "CONNECT_S", 0.5)
    with transcribe_service() as service, transcribe_service() as other:
        recognizer = transcribe_recognizer(service)
        recognizer._ca_file = other.ca_file
        with heard_session(recognizer) as heard, pytest.raises(SinkError) as failure:
            heard.feed(quiet(1))
        nowhere = dataclasses.replace(service, url="https://localhost:1")
        with heard_session(transcribe_recognizer(nowhere)) as heard, pytest.raises(SinkError) as refusal:
            heard.feed(quiet(1))
    # awscrt itself takes 14 to 21 s to say so.
    assert failure.value.code in {"TIMEOUT", "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE"}
    assert refusal.value.code == "AWS_IO_SOCKET_CONNECTION_REFUSED"


def test_a_wrong_secret_is_refused() -> None:
    with (
        transcribe_service() as service,
        heard_session(transcribe_recognizer(service, secret="another")) as heard,
        pytest.raises(SinkError),
    ):
        heard.feed_and_wait(quiet(1))
    [stream] = service.model.streams
    assert (stream.outcome, stream.frames) == ("BadRequestException", 0)


def test_silence_between_pieces_keeps_a_session_alive_and_moves_no_time() -> None:
    with (
        transcribe_service(silence_s=0.6) as service,
        heard_session(transcribe_recognizer(service, quiet_s=0.2)) as heard,
    ):
        heard.feed(quiet(0.5) + spoken("eight"))
        assert service.model.wait_for(lambda streams: len(streams[0].events) >= 10)
        heard.feed(quiet(0.3) + spoken("two") + quiet(1))
        heard.wait_for(lambda it: len(it.turns) == 2)
    assert [(turn.text, turn.start / RATE, turn.end / RATE) for turn in heard.turns] == [
        ("eight.", 0.5, 0.8),
        ("two.", 1.2, 1.5),
    ]


def test_the_service_ends_a_stream_without_audio_and_one_of_four_hours() -> None:
    for rule, code in (("silence_s", "BadRequestException"), ("longest_s", "LimitExceededException")):
        limit: dict[str, Any] = {rule: 0.3}
        with transcribe_service(**limit) as service, heard_session(transcribe_recognizer(service)) as heard:
            with pytest.raises(SinkError) as failure:
                heard.feed_and_wait(quiet(0.2))
            assert (failure.value.code, failure.value.retryable) == (code, True)


def test_the_service_allows_so_many_streams_at_once() -> None:
    with transcribe_service(concurrent=1) as service:
        recognizer = transcribe_recognizer(service)
        with heard_session(recognizer) as first:
            first.feed(quiet(0.2))
            with heard_session(recognizer) as second, pytest.raises(SinkError, match="LimitExceededException"):
                second.feed(quiet(0.2))
            first.finish()
        with heard_session(recognizer) as third:
            third.feed(quiet(0.2))
            third.finish()


def test_every_option_reaches_the_service() -> None:
    options = TranscribeOptions(
        language="en-GB",
        vocabulary="products",
        vocabulary_filter="insults",
        vocabulary_filter_method="remove",
        stability="high",
        redact=True,
        pii_types=("NAME", "PIN"),
    )
    with (
        transcribe_service(vocabularies={"products"}) as service,
        heard_session(transcribe_recognizer(service, options=options), rate=16_000) as heard,
    ):
        heard.feed(spoken("one", 16_000))
        heard.finish()
    assert heard.turns[0].end == round(0.3 * 16_000)
    assert service.model.streams[0].parameters == {
        "language-code": "en-GB",
        "media-encoding": "pcm",
        "sample-rate": "16000",
        "enable-channel-identification": "true",
        "number-of-channels": "2",
        "vocabulary-name": "products",
        "vocabulary-filter-name": "insults",
        "vocabulary-filter-method": "remove",
        "enable-partial-results-stabilization": "true",
        "partial-results-stability": "high",
        "content-redaction-type": "PII",
        "pii-entity-types": "NAME,PIN",
    }


def test_a_language_is_identified_among_several() -> None:
    options = TranscribeOptions(languages=("en-GB", "de-DE"))
    with transcribe_service() as service, heard_session(transcribe_recognizer(service, options=options)) as heard:
        heard.feed(spoken("one"))
        heard.finish()
    given = service.model.streams[0].parameters
    assert (given["identify-language"], given["language-options"]) == ("true", "en-GB,de-DE")


def test_no_log_at_any_level_holds_audio_or_words(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    # The stand-in runs in this process, and its HTTP/2 writes down every header.
    monkeypatch.setattr(logging.getLogger("hpack"), "level", logging.WARNING)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with transcribe_service(Behaviour(), FailAfter(1, "InternalFailureException")) as service:
            recognizer = transcribe_recognizer(service)
            with heard_session(recognizer) as heard:
                heard.feed(spoken("seven nine") + quiet(1))
                heard.finish()
            with heard_session(recognizer) as heard, pytest.raises(SinkError):
                heard.feed_and_wait(spoken("seven nine") + quiet(1))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    text = written.getvalue()
    assert "asyncio" in text or "selector" in text, "nothing at DEBUG was written, so the test shows nothing"
    for private in ("seven", "nine", "AudioEvent", "authorization", "Signature=", "\\x"):
        assert private not in text


def test_the_second_round_of_sessions_whole_broken_and_hanging_leaves_no_thread_and_no_descriptor() -> None:
    behaviours = (Behaviour(), CutAfter(1), HangAfter(1), FailAfter(1, "SurpriseException"))

    def run() -> None:
        with transcribe_service(*behaviours) as service:
            recognizer = transcribe_recognizer(service)
            for _ in behaviours:
                with heard_session(recognizer) as heard, suppress(SinkError):
                    heard.feed(spoken("one two") + quiet(0.6))
                    heard.finish(timeout_s=0.3)

    def left() -> tuple[int, int]:
        gc.collect()
        return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

    run()
    before = left()
    run()
    assert left() <= before
