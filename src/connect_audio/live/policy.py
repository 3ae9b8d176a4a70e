"""Durations and limits of live audio. Used by the pipeline and everything below it; composed by the handlers."""

from __future__ import annotations

from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePolicy:
    """Durations and limits, in seconds unless the name says otherwise.

    Args:
        buffer: how far a sink may fall behind, seconds of audio; older audio is dropped.
        first_backoff: pause after a failed try; doubles with each failure, shortened at random by up to half.
        longest_backoff: longest pause between two tries.
        failures_to_open: failures in a row that open a sink's circuit.
        open: how long a circuit stays open at first; doubles with each failed try after that.
        longest_open: longest time that a circuit stays open.
        longest_delivery: a delivery that lasts longer is interrupted.
        most_tries: tries of one piece of audio; None for as many as the buffer allows.
        longest_end: longest time that a sink may ask for its `end` (`end_seconds`).
        flush_timeout: how long an invocation waits at its end for sinks that make progress. At the end of the call,
            half of it is for audio and half for `end`, or more for a sink with `end_seconds`.
        join: how long the sinks' threads have to end, after that.
    """

    buffer: float = 60
    first_backoff: float = 0.2
    longest_backoff: float = 5
    failures_to_open: int = 5
    open: float = 10
    longest_open: float = 60
    longest_delivery: float = 10
    most_tries: int | None = None
    longest_end: float = 10
    flush_timeout: float = 5
    join: float = 12
