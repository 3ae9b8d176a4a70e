"""The sink `webhook`: one connection for all, and receivers that break, hang, drip or do not read."""

from __future__ import annotations

import gc
import re
import socket
import sys
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from connect_audio.adapters.sinks import webhook_requests
from connect_audio.sinks import LiveEnd
from connect_audio_local.webhook import faults as misbehaviour
from connect_audio_local.webhook.model import Behaviour, accept
from connect_audio_local.webhook.server import webhook_receiver
from support.webhook_sink import (
    ORIGIN,
    PATIENCE_S,
    RATE,
    SECRET,
    Secrets,
    at,
    connected,
    failure,
    segment,
    sink_to,
)


def test_one_connection_serves_all_segments_and_the_end() -> None:
    with connected() as (sink, receiver):
        for number in range(5):
            sink.deliver_segment(segment(number))
        sink.end(LiveEnd(frames=5 * RATE, origin=ORIGIN, rate=RATE))
        assert (receiver.requests, receiver.connections) == (6, 1)


@pytest.mark.parametrize("behaviour", [misbehaviour.hang_up_after_answering, misbehaviour.announce_close])
def test_a_connection_that_the_receiver_closes_between_segments_is_replaced(behaviour: Behaviour) -> None:
    with connected([behaviour, behaviour]) as (sink, receiver):
        for number in range(3):
            sink.deliver_segment(segment(number))
        assert [each.arrivals for each in receiver.received] == [1, 1, 1]
        assert receiver.connections == 3


def test_a_kept_connection_that_breaks_without_an_answer_is_replaced_at_once() -> None:
    with connected([accept, misbehaviour.reset_instead_of_answering]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        sink.deliver_segment(segment(1))
        assert [each.arrivals for each in receiver.received] == [1, 2]
        assert receiver.connections == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        misbehaviour.reset_before_reading,
        misbehaviour.reset_instead_of_answering,
        misbehaviour.reset_in_the_answer,
    ],
)
def test_a_connection_that_breaks_is_tried_again_later(behaviour: Behaviour) -> None:
    with connected([behaviour]) as (sink, receiver):
        code, message, retryable = failure(lambda: sink.deliver_segment(segment(0)))
        # When the system tells of it, and as which error, is a matter of moments.
        assert re.fullmatch(
            rf"(sending the request|waiting for the answer) \({at(receiver)}\) failed \([A-Za-z]+\)", message
        )
        assert (code, retryable) == ("CONNECTION", True)
        sink.deliver_segment(segment(0))
        assert receiver.connections == 2


@pytest.mark.parametrize(
    ("behaviour", "code", "what"),
    [
        (misbehaviour.hang_up_in_the_head, "CONNECTION", "failed (ConnectionAbortedError)"),
        (misbehaviour.answer_with_garbage, "NO_HTTP", "failed: what came is no answer (BadStatusLine)"),
        (misbehaviour.answer_with_a_huge_head, "NO_HTTP", "failed: the answer's head is longer than 16384 bytes"),
    ],
)
def test_what_is_no_whole_answer_is_none(behaviour: Behaviour, code: str, what: str) -> None:
    with connected([behaviour]) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            code,
            f"waiting for the answer ({at(receiver)}) {what}",
            True,
        )
        sink.deliver_segment(segment(0))
        assert receiver.connections == 2


@pytest.mark.parametrize(
    "behaviour",
    [misbehaviour.hang_before_reading, misbehaviour.hang_after_reading, misbehaviour.drip_head, misbehaviour.slow(60)],
)
def test_a_receiver_that_hangs_or_drips_is_given_up_in_time(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_requests, "ANSWER_S", 0.3)
    with connected([behaviour]) as (sink, receiver):
        began = time.monotonic()
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "TIMEOUT",
            f"waiting for the answer ({at(receiver)}) took too long",
            True,
        )
        assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("behaviour", [misbehaviour.hang_before_reading, misbehaviour.drip_head])
def test_a_delivery_that_is_interrupted_fails_soon_and_the_next_succeeds(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_requests, "ANSWER_S", 60.0)
    monkeypatch.setattr(webhook_requests, "DELIVERY_S", 60.0)
    with connected([behaviour]) as (sink, receiver):
        failures: list[tuple[str, str, bool]] = []
        thread = threading.Thread(target=lambda: failures.append(failure(lambda: sink.deliver_segment(segment(0)))))
        thread.start()
        assert receiver.wait_for_requests(1)
        sink.interrupt()
        thread.join(PATIENCE_S)
        # The request has arrived; whether the sender has noticed that yet is its own affair.
        doings = ("sending the request", "waiting for the answer")
        assert failures in [[("INTERRUPTED", f"{doing} ({at(receiver)}) was interrupted", True)] for doing in doings]
        sink.deliver_segment(segment(0))
        assert len(receiver.received) == 1


def test_an_interrupt_in_the_moment_before_a_delivery_is_not_forgotten_over_it() -> None:
    with connected() as (sink, receiver):
        sink.interrupt()
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "INTERRUPTED",
            f"beginning ({at(receiver)}) was interrupted",
            True,
        )
        sink.deliver_segment(segment(0))
        assert receiver.requests == 1


def test_the_sink_closes_its_secret() -> None:
    source = Secrets()
    with connected(secret=source):
        assert not source.closed
    assert source.closed


@pytest.mark.parametrize("behaviour", [misbehaviour.drip_body, misbehaviour.answer_hugely])
def test_an_answer_s_body_that_does_not_end_costs_the_connection_and_nothing_else(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_requests, "BODY_S", 0.3)
    monkeypatch.setattr(webhook_requests, "ANSWER_S", 60.0)
    monkeypatch.setattr(webhook_requests, "DELIVERY_S", 60.0)
    with connected([behaviour]) as (sink, receiver):
        began = time.monotonic()
        sink.deliver_segment(segment(0))
        assert time.monotonic() - began < PATIENCE_S
        sink.deliver_segment(segment(1))
        assert [each.arrivals for each in receiver.received] == [1, 1]
        assert receiver.connections == 2


def test_where_nobody_listens_it_is_tried_again_later() -> None:
    with webhook_receiver(SECRET) as receiver:
        pass
    with closing(sink_to(receiver.url, None)) as sink:
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "CONNECTION",
            f"connecting ({at(receiver)}) failed (ConnectionRefusedError)",
            True,
        )


def test_ctrl_c_between_request_and_answer_leaves_no_exception_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    makefile = socket.socket.makefile

    def interrupted(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return makefile(*args, **options)

    ignored: list[object] = []
    with connected() as (sink, _):
        monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: ignored.append(unraisable.exc_value))
        monkeypatch.setattr(socket.socket, "makefile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sink.deliver_segment(segment(0))
        monkeypatch.undo()
    gc.collect()
    assert not ignored
