"""Words to the webhook at the socket: what a receiver gets, in which order, and that a bad one holds up nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from connect_audio.adapters.endpoint.secret import KnownSecret
from connect_audio.adapters.sinks.webhook_requests import WebhookCall, WebhookRequests
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.adapters.words import word_posts
from connect_audio.adapters.words.word_posts import WordPosts
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.core.word_pages import NumberedTurn, WordsCall
from connect_audio_local.webhook import faults
from connect_audio_local.webhook.model import Behaviour, Exchange, WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver
from support.log_lines import LogLines
from support.webhook_sink import CONTACT, RATE, RECORDING, SECRET, STREAMING_START_MS

C, A = Party.CUSTOMER, Party.AGENT
OF_THE_CALL = WordsCall(contact_id=CONTACT, recording=RECORDING, engine="transcribe", language="en-US", rate=RATE)


def said(text: str, start_s: float, party: Party = C) -> Turn:
    start, end = round(start_s * RATE), round((start_s + 1) * RATE)
    return Turn(
        party=party,
        start=start,
        end=end,
        text=text,
        words=(Word(text=text, start=start, end=end, confidence=0.5),),
        confidence=None,
    )


def numbered(number: int, text: str, start_s: float, party: Party = C) -> NumberedTurn:
    return NumberedTurn(number=number, turn=said(text, start_s, party))


@contextmanager
def posting(
    *behaviours: Behaviour,
    has_partials: bool = True,
    taken: Callable[[Any], None] = lambda _: None,
    log: LogLines | None = None,
) -> Iterator[tuple[WordPosts, WebhookReceiver]]:
    with webhook_receiver(SECRET, behaviours, taken=taken) as receiver:
        call = WebhookCall(contact_id=CONTACT, recording=RECORDING, streaming_start_ms=STREAMING_START_MS)
        requests = WebhookRequests(
            url=receiver.url,
            secret=KnownSecret(SECRET),
            call=call,
            clock=SystemClock(),
            allow_private=True,
            ca_file=receiver.ca_file,
        )
        posts = WordPosts(requests, call, SystemClock(), log or LogLines(), has_partials=has_partials)
        try:
            yield posts, receiver
        finally:
            posts.close()
    assert [each.name for each in threading.enumerate() if each.name == "words-webhook"] == []


def bodies(receiver: WebhookReceiver) -> Sequence[dict[str, Any]]:
    return [json.loads(each.body) for each in receiver.received]


def texts(receiver: WebhookReceiver) -> list[tuple[str, str]]:
    return [(each["state"], each["turn"]["text"]) for each in bodies(receiver)]


class Gate:
    """A receiver that takes a request, and answers it once the test says so."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        status = exchange.take()
        assert self.opened.wait(10)
        exchange.answer(status)


def test_a_turn_comes_with_its_call_its_state_and_a_growing_sequence() -> None:
    arrived = threading.Semaphore(0)
    before = time.time_ns() // 1_000_000
    with posting(taken=lambda _: arrived.release()) as (posts, receiver):
        posts.partials(OF_THE_CALL, {C: said("ye", 3)})
        assert arrived.acquire(timeout=10)
        posts.turns(OF_THE_CALL, [numbered(7, "yes", 3)])
        posts.taken_back(OF_THE_CALL, [7])
    partial, final, retracted = bodies(receiver)
    assert before <= partial["sequence"] < final["sequence"] < retracted["sequence"]
    common = {
        "schemaVersion": "1.0",
        "event": "words",
        "contactId": CONTACT,
        "recording": RECORDING,
        "streamingStart": "2026-01-02T03:04:05.678Z",
        "engine": "transcribe",
    }
    for each in (partial, final, retracted):
        del each["sequence"]
    turn = {"participant": "CUSTOMER", "start": 3.0, "end": 4.0, "confidence": None}
    assert partial == common | {
        "state": "partial",
        "language": "en-US",
        "turn": turn
        | {"id": None, "text": "ye", "words": [{"text": "ye", "start": 3.0, "end": 4.0, "confidence": 0.5}]},
    }
    assert final == common | {
        "state": "final",
        "language": "en-US",
        "turn": turn
        | {"id": "7", "text": "yes", "words": [{"text": "yes", "start": 3.0, "end": 4.0, "confidence": 0.5}]},
    }
    assert retracted == common | {"state": "retracted", "turns": ["7"]}
    assert {each.value("Event") for each in receiver.received} == {"words"}
    assert receiver.received[1].key == f"{CONTACT}_{STREAMING_START_MS}_words_final_7"
    assert receiver.refused == ()


def test_partial_turns_are_off_unless_they_are_wanted() -> None:
    with posting(has_partials=False) as (posts, receiver):
        posts.partials(OF_THE_CALL, {C: said("ye", 3)})
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3)])
    assert texts(receiver) == [("final", "yes")]


def test_a_slow_receiver_gets_the_newest_partial_turn_and_none_behind_the_final_one() -> None:
    gate = Gate()
    with posting(gate) as (posts, receiver):
        posts.partials(OF_THE_CALL, {A: said("hello", 0, A)})
        assert receiver.wait_for_requests(1)
        for text in ("o", "on", "one"):
            posts.partials(OF_THE_CALL, {C: said(text, 1)})
        posts.turns(OF_THE_CALL, [numbered(0, "one", 1)])
        posts.partials(OF_THE_CALL, {C: said("one", 1)})  # the same speech again, for example by another session
        for text in ("b", "bye"):
            posts.partials(OF_THE_CALL, {A: said(text, 2, A)})
        gate.opened.set()
        assert receiver.wait_for_requests(3)
    assert texts(receiver) == [("partial", "hello"), ("final", "one"), ("partial", "bye")]


def test_a_partial_turn_of_later_speech_outlives_the_final_one_before_it() -> None:
    gate = Gate()
    with posting(gate) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "zero", 0)])
        assert receiver.wait_for_requests(1)
        posts.partials(OF_THE_CALL, {C: said("two", 2)})
        posts.turns(OF_THE_CALL, [numbered(1, "one", 1)])
        gate.opened.set()
        assert receiver.wait_for_requests(3)
    assert texts(receiver) == [("final", "zero"), ("final", "one"), ("partial", "two")]


def test_after_a_retraction_the_speech_comes_anew() -> None:
    arrived = threading.Semaphore(0)
    with posting(taken=lambda _: arrived.release()) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "one", 1)])
        posts.taken_back(OF_THE_CALL, [0])
        posts.taken_back(OF_THE_CALL, [0])  # again, since another listener refused it
        posts.partials(OF_THE_CALL, {C: said("won", 1)})
        for _ in range(3):
            assert arrived.acquire(timeout=10)
        posts.turns(OF_THE_CALL, [numbered(0, "one", 1)])  # again, as above
        posts.turns(OF_THE_CALL, [numbered(1, "won", 1)])
    assert [(each["state"], each.get("turns") or each["turn"]["text"]) for each in bodies(receiver)] == [
        ("final", "one"),
        ("retracted", ["0"]),
        ("partial", "won"),
        ("final", "won"),
    ]


def dropped(posts: WordPosts, log: LogLines) -> tuple[int, list[tuple[str, dict[str, object]]]]:
    """The count, and level and keys of the lines."""
    assert len(log.lines) == len(log.of("words not posted to the webhook: the transcript has them"))
    return posts.dropped, log.of("words not posted")


def test_a_final_turn_is_tried_again_and_a_partial_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_posts, "_FIRST_PAUSE_S", 0.01)
    log = LogLines()
    with posting(faults.answer(503), faults.answer(503), faults.answer(400), log=log) as (posts, receiver):
        posts.partials(OF_THE_CALL, {C: said("ye", 3)})
        assert receiver.wait_for_requests(1)
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3)])
        assert receiver.wait_for_requests(3)
        posts.turns(OF_THE_CALL, [numbered(1, "no", 5)])
        assert receiver.wait_for_requests(4)
    # 503 and 503 were a partial turn and the first try of a final one, 400 refused the final one for good.
    assert texts(receiver) == [("final", "no")]
    assert dropped(posts, log) == (1, [("warning", {"code": "HTTP_400"})])


def test_words_that_all_arrive_leave_neither_a_count_nor_a_line() -> None:
    log = LogLines()
    with posting(log=log) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3), numbered(1, "no", 5)])
        posts.taken_back(OF_THE_CALL, [1])
    assert len(receiver.received) == 3
    assert dropped(posts, log) == (0, [])


def test_a_final_turn_that_is_not_taken_for_too_long_is_dropped_and_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(word_posts, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(word_posts, "_LONGEST_S", 0.0)
    log = LogLines()
    with posting(faults.answer(503), faults.answer(429), log=log) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(number, str(number), number) for number in range(3)])
        assert receiver.wait_for_requests(3)
    assert texts(receiver) == [("final", "2")]
    assert dropped(posts, log) == (2, [("warning", {"code": "HTTP_503"})])


def test_what_waits_at_an_invocation_s_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_posts, "_CLOSE_S", 0.05)
    log = LogLines()
    with posting(faults.hang_after_reading, log=log) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3), numbered(1, "no", 5)])
        assert receiver.wait_for_requests(1)
        posts.taken_back(OF_THE_CALL, [0, 1])
    # Two turns and one retraction; the first was under way.
    assert dropped(posts, log) == (3, [("warning", {"code": "INTERRUPTED"})])


def test_a_machine_without_a_thread_for_them_loses_the_words_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    start, log = threading.Thread.start, LogLines()

    def refuse(self: threading.Thread) -> None:
        if self.name == "words-webhook":
            raise RuntimeError("can't start new thread")
        start(self)

    with posting(log=log) as (posts, _):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3)])
    assert dropped(posts, log) == (1, [("warning", {"code": "INVOCATION_ENDED"})])


@pytest.mark.parametrize("method", ["headers", "begin"])
def test_a_bug_in_a_request_costs_no_thread_and_no_turn(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_posts, "_FIRST_PAUSE_S", 0.01)
    right = getattr(WebhookRequests, method)
    bugs = [SystemExit("secret words")]

    def wrong(self: WebhookRequests, *arguments: Any) -> Any:
        if bugs:
            raise bugs.pop()
        return right(self, *arguments)

    monkeypatch.setattr(WebhookRequests, method, wrong)
    log = LogLines()
    with posting(log=log) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3)])
        assert receiver.wait_for_requests(1)
    assert texts(receiver) == [("final", "yes")]
    assert dropped(posts, log) == (0, [])


@pytest.mark.parametrize("behaviour", [faults.hang_before_reading, faults.hang_after_reading])
def test_a_receiver_that_hangs_holds_up_neither_the_words_nor_the_hand_over(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_posts, "_CLOSE_S", 0.2)
    log = LogLines()
    with posting(behaviour, log=log) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "yes", 3)])
        assert receiver.wait_for_requests(1)
        begun = time.monotonic()
        for number in range(1, 1000):
            posts.turns(OF_THE_CALL, [numbered(number, "more", number)])
        posts.close()
        # The limit of a request is 5 s.
        assert time.monotonic() - begun < 3
    assert dropped(posts, log) == (1000, [("warning", {"code": "BACKLOG"})])


def test_of_too_many_waiting_turns_the_oldest_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_posts, "_MOST_WAITING", 3)
    gate, log = Gate(), LogLines()
    with posting(gate, log=log) as (posts, receiver):
        posts.turns(OF_THE_CALL, [numbered(0, "0", 0)])
        assert receiver.wait_for_requests(1)
        posts.turns(OF_THE_CALL, [numbered(number, str(number), number) for number in range(1, 7)])
        gate.opened.set()
    assert texts(receiver) == [("final", each) for each in ("0", "4", "5", "6")]
    # The one under way was no waiting one, and has arrived.
    assert dropped(posts, log) == (3, [("warning", {"code": "BACKLOG"})])
