"""Decide what becomes of a message in the dead-letter queue. Pure: no client, no clock.

A message is the input of an execution that failed for good. Lambda keeps the executions of a recording under its name:
the first one, then the redriven ones with `-r1`, `-r2` and so on. The statuses of these attempts decide: one of them
runs, the newest has finished the recording, or a new execution continues from the newest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from connect_audio.recorder.continuation import CONTINUES, Continuation
from connect_audio.recorder.outcome import OutcomeStatus
from connect_audio.request import LIVE, RecordingOptions, RecordingRequest
from connect_audio_cli.output.formatting import count

_RUNS: Final = frozenset({"RUNNING", "PAUSING", "PAUSED"})
_CUT_OFF: Final = frozenset({"STOPPED", "TIMED_OUT"})
_DONE: Final = frozenset({OutcomeStatus.COMPLETE, OutcomeStatus.PARTIAL, OutcomeStatus.EMPTY})
_LONGEST_INVOCATION_MS: Final = 1_800_000
"""Lambda's longest invocation: stopping an execution does not end the invocation that runs just then."""
_MOST_PAYLOAD: Final = 1024 * 1024
"""Bytes of an asynchronous invocation's payload at most (Lambda, API_Invoke). A longer input leaves its message."""


class Outcome(StrEnum):
    """The outcome of a message."""

    STARTED = "started"
    RUNNING = "running"
    """An execution makes its recording already."""
    FINISHED = "finished"
    """Its recording is published already, or the call had no audio."""
    LEFT = "left"
    """It stays in the queue."""


class InDoubtError(Exception):
    """A message must stay in the queue. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class FailedRecording:
    """The content of a message.

    Args:
        request: the recording that failed.
        carried: state that the message itself carries; None in the message of a first execution.
        live: settings of live audio, as they are in the message; None if absent.
        options: the manner of the recording, which a new execution keeps.
    """

    request: RecordingRequest
    carried: Continuation | None
    live: object
    options: RecordingOptions = field(default_factory=RecordingOptions)

    @classmethod
    def from_body(cls, body: str) -> Self:
        """Read the body of a message.

        Raises:
            RequestError: it is JSON, but no input of the consumer.
            ValueError: it is no JSON.
            RecursionError: it is JSON nested too deeply.
        """
        payload = json.loads(body)
        request = RecordingRequest.from_payload(payload)
        options = RecordingOptions.from_payload(payload)
        return cls(request, Continuation.from_payload(payload), payload.get(LIVE), options)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An execution of the recording that Lambda knows.

    Args:
        number: 0 for the first execution, n for the one named `-rn`.
        name: the execution's name.
        arn: the execution's ARN.
        status: the status that Lambda gives.
        ended: its end; None while it runs.
    """

    number: int
    name: str
    arn: str
    status: str
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt runs: nothing is to be started."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The newest attempt returned a result, which says if the recording is finished (`finished_as`)."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class StartAgain:
    """A new execution is to continue.

    Args:
        newest: the attempt to continue from; None if Lambda knows none.
    """

    newest: Attempt | None


type Decision = Running | Succeeded | StartAgain


def decide(attempts: Sequence[Attempt], now_ms: int) -> Decision:
    """Decide by the attempts' statuses.

    Args:
        attempts: in the order of their numbers.
        now_ms: the time now, ms since the epoch.

    Raises:
        InDoubtError: the last invocation of a stopped attempt may still run, under the identity of its successor.
    """
    for attempt in attempts:
        if attempt.status in _RUNS:
            return Running(attempt)
    newest = attempts[-1] if attempts else None
    if newest is not None and newest.status == "SUCCEEDED":
        return Succeeded(newest)
    for attempt in attempts:
        if attempt.status not in _CUT_OFF or attempt.ended is None:
            continue
        left_ms = attempt.ended.timestamp() * 1000 + _LONGEST_INVOCATION_MS - now_ms
        if left_ms > 0:
            minutes = count(math.ceil(left_ms / 60_000), "minute")
            raise InDoubtError(
                f"execution {attempt.name} is {attempt.status}, its last invocation may still run: try again in "
                f"{minutes}"
            )
    return StartAgain(newest)


def finished_as(attempt: Attempt, result: str | None) -> str:
    """The status in the result of a succeeded attempt.

    Args:
        attempt: the attempt.
        result: the JSON that it returned; None if Lambda does not show it.

    Raises:
        InDoubtError: the result does not say that the recording is finished.
    """
    try:
        status = json.loads(result)["status"] if result is not None else None
    except (KeyError, TypeError, ValueError, RecursionError):
        status = None
    if status is None:
        raise InDoubtError(f"execution {attempt.name} succeeded, and Lambda shows no result of it that says with what")
    if status not in _DONE:
        raise InDoubtError(f"execution {attempt.name} recorded nothing of it: it returned {status}")
    return str(status)


@dataclass(frozen=True, slots=True)
class NewExecution:
    """An execution to start.

    Args:
        name: its name.
        payload: its input, JSON.
        start: a line on its beginning, for people.
    """

    name: str
    payload: bytes
    start: str


def new_execution(failed: FailedRecording, newest: Attempt | None, continuation: Continuation | None) -> NewExecution:
    """The execution that continues a recording.

    Args:
        failed: the message.
        newest: the newest attempt that Lambda knows; None if it knows none.
        continuation: state of that attempt, or the one that the message carries; None to begin again.

    Raises:
        InDoubtError: Lambda takes no input of that size.
    """
    again: dict[str, Any] = failed.request.to_payload() | failed.options.to_payload()
    if failed.live is not None:
        # Unchanged: a recording keeps the settings that it began with, and the consumer checks them itself.
        again[LIVE] = failed.live
    if continuation is not None:
        again[CONTINUES] = continuation.to_json()
    payload = json.dumps(again, sort_keys=True, separators=(",", ":")).encode()
    if len(payload) > _MOST_PAYLOAD:
        raise InDoubtError(
            f"where it stood takes an input of {len(payload)} bytes, and Lambda takes {_MOST_PAYLOAD} at most"
        )
    start = _start_of(continuation)
    if newest is None:
        start += ": Lambda no longer knows the execution that failed" + (", its message says" if failed.carried else "")
    return NewExecution(f"{failed.request.execution_name}-r{newest.number + 1 if newest else 1}", payload, start)


def _start_of(continuation: Continuation | None) -> str:
    if continuation is None:
        return "from the beginning"
    if continuation.last is None:
        return "from the beginning: nothing had been recorded"
    checkpoint = continuation.last.checkpoint
    return f"behind its part {checkpoint.parts.number}, {count(checkpoint.cursor.frames, 'frame')} in S3"
