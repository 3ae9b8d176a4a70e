"""The pauses between the tries of one sink: times come in, nothing waits."""

from __future__ import annotations

import pytest

from connect_audio.live import LivePolicy
from connect_audio.live.circuit_breaker import CircuitBreaker


def breaker(*, jitter: float = 1.0, most_tries: int | None = None) -> CircuitBreaker:
    return CircuitBreaker(LivePolicy(most_tries=most_tries), lambda: jitter)


def test_the_pause_after_a_failure_doubles_up_to_the_longest() -> None:
    pauses = []
    circuit = CircuitBreaker(LivePolicy(failures_to_open=100), lambda: 1.0)
    for _ in range(7):
        circuit.failed(10.0, retryable=True)
        pauses.append(circuit.wait_until - 10.0)
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])


def test_chance_shortens_a_pause_by_half_at_most() -> None:
    shortest = breaker(jitter=0.0)
    shortest.failed(0.0, retryable=True)
    assert shortest.wait_until == pytest.approx(0.1)


def test_a_failure_for_good_brings_no_pause_before_the_circuit_opens() -> None:
    circuit = breaker()
    for _ in range(4):
        assert not circuit.failed(7.0, retryable=False)
    assert (circuit.wait_until, circuit.is_open) == (0.0, False)
    assert circuit.failed(7.0, retryable=False)
    assert (circuit.wait_until, circuit.is_open) == (17.0, True)


def test_each_failed_try_of_an_open_circuit_doubles_its_pause_up_to_a_minute() -> None:
    circuit = breaker()
    pauses = [circuit.wait_until for _ in range(9) if circuit.failed(0.0, retryable=True)]
    assert pauses == [10, 20, 40, 60, 60]


def test_one_success_closes_the_circuit_and_ends_the_pause() -> None:
    circuit = breaker()
    for _ in range(5):
        circuit.failed(0.0, retryable=True)
    circuit.succeeded()
    assert (circuit.wait_until, circuit.is_open) == (0.0, False)
    circuit.failed(0.0, retryable=True)
    assert circuit.wait_until == pytest.approx(0.2), "the failures in a row are counted anew"


def test_the_end_of_the_call_ends_a_pause_and_leaves_the_circuit_open() -> None:
    circuit = breaker()
    for _ in range(5):
        circuit.failed(0.0, retryable=True)
    circuit.retry_now()
    assert (circuit.wait_until, circuit.is_open) == (0.0, True)


def test_the_tries_of_a_piece_are_counted_for_that_piece_alone() -> None:
    circuit, exhausted = breaker(most_tries=2), []
    for _ in range(2):
        circuit.failed(0.0, retryable=True)
        exhausted.append(circuit.exhausted)
    circuit.next_piece()
    assert [*exhausted, circuit.exhausted] == [False, True, False]
