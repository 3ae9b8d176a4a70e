"""Start failed recordings again from the dead-letter queue: the work behind `connect-audio redrive`.

A message of the queue is the input of an execution that failed for good. Lambda knows its name for as long as the
queue keeps the message (template.yaml: 14 days both). The same input under the same name would start nothing. So the
new execution has a name of its own and continues from the end of the failed one's history. A message in doubt stays in
the queue and is explained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import batched, count
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from connect_audio.core.errors import RequestError
from connect_audio.core.plain import from_plain
from connect_audio.recorder import StepResult
from connect_audio.recorder.continuation import CONTINUES, Continuation
from connect_audio.recorder.outcome import OutcomeStatus
from connect_audio.request import LIVE, RecordingRequest
from connect_audio_cli.output import formatting as wording

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventTypeDef
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from connect_audio.ports import Clock

_RECORD_STEP: Final = "record-"
_GOES_ON: Final = frozenset({"RUNNING", "PAUSING", "PAUSED"})
_CUT_OFF: Final = frozenset({"STOPPED", "TIMED_OUT"})
_DONE: Final = frozenset({OutcomeStatus.COMPLETE, OutcomeStatus.PARTIAL, OutcomeStatus.EMPTY})
_LONGEST_INVOCATION_MS: Final = 900_000
"""Lambda's longest invocation: stopping an execution does not end the one that runs just then."""
_LAST_GAP: Final = 3
"""After so many numbers in a row of which Lambda knows nothing, no higher one is looked for."""
_MOST_PAYLOAD: Final = 1024 * 1024
"""Bytes that an asynchronous invocation may carry (Lambda, API_Invoke)."""
_HIDDEN_S: Final = 60
"""Seconds for which a message is hidden from another redrive. At its end the command shows the remaining messages
again; this limit is for a command that was killed."""
_BATCH: Final = 10
"""SQS's most messages a call."""
_MOST_REPEATS: Final = 100
"""Answers in a row with nothing but messages looked at before, after which the queue counts as seen through."""
# Lambda's errors that concern every message alike.
_EVERY_MESSAGE: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    RequestError,
    ParamValidationError,
)
"""Exceptions of an answer in an unexpected form, or of a request made from it."""
_ASK_OF_THE_FUNCTION: Final = frozenset({"Invoke", "ListDurableExecutionsByFunction"})


class Outcome(StrEnum):
    """The outcome of a message."""

    STARTED = "started"
    RUNNING = "running"
    """Its recording is being made already."""
    FINISHED = "finished"
    """Its recording has been published already, or there was nothing to record."""
    LEFT = "left"
    """It stays in the queue."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """One message.

    Args:
        outcome: its outcome.
        name: execution name that the message is about, or its message id where it names none.
        detail: for people.
    """

    outcome: Outcome
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    number: int
    name: str
    arn: str
    status: str
    ended: datetime | None


class _InDoubtError(Exception):
    """Why a message must stay in the queue; for people."""


@dataclass(slots=True)
class _Held:
    """The ids of all received messages, and the newest receipt handles of the messages that are still in the queue."""

    seen: set[str] = field(default_factory=set)
    handles: dict[str, str] = field(default_factory=dict)


class Redrive:
    """Empty a dead-letter queue.

    Args:
        queue_url: the queue's URL.
        function: the consumer, qualified: its alias's ARN or `name:alias`.
        sqs: a client.
        lambda_: a client.
        clock: gives the time since an execution was stopped.
        dry_run: look, start nothing, and leave every message.
    """

    def __init__(
        self,
        queue_url: str,
        function: str,
        *,
        sqs: SQSClient,
        lambda_: LambdaClient,
        clock: Clock,
        dry_run: bool = False,
    ) -> None:
        self._queue_url = queue_url
        self._function = function
        self._sqs = sqs
        self._lambda = lambda_
        self._clock = clock
        self._dry_run = dry_run

    def run(self) -> Generator[Redriven]:
        """Take every message of the queue once; remaining messages can be received again when it ends.

        Close it where it is not run to its end.

        Raises:
            botocore.exceptions.ClientError: SQS refused, or Lambda did in a way that no other message would change;
                what was started before stays started, the rest in the queue.
            botocore.exceptions.BotoCoreError: AWS could not be reached.
        """
        held = _Held()
        try:
            yield from self._each(held)
        except BotoCoreError:
            raise  # SQS does not answer; the messages come back by themselves.
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._show(held)
            raise
        self._show(held)

    def _each(self, held: _Held) -> Iterator[Redriven]:
        while messages := self._receive(held):
            for message in messages:
                found = self._one(message)
                if found.outcome is not Outcome.LEFT and not self._dry_run:
                    self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
                    held.handles.pop(message["MessageId"], None)
                yield found

    def _receive(self, held: _Held) -> list[MessageTypeDef]:
        """The next messages that were not looked at before; none where the queue has no more."""
        for _ in range(_MOST_REPEATS):
            answer = self._sqs.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=_BATCH, VisibilityTimeout=_HIDDEN_S, WaitTimeSeconds=1
            )
            messages = answer.get("Messages", [])
            new = [message for message in messages if message["MessageId"] not in held.seen]
            # One that comes again has a new handle; the old one no longer shows it to others.
            held.handles |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
            held.seen |= {message["MessageId"] for message in messages}
            if new or not messages:
                return new
        return []

    def _show(self, held: _Held) -> None:
        """Make the remaining messages visible at once. SQS refuses visible ones singly, which is no harm."""
        for handles in batched(held.handles.values(), _BATCH, strict=False):
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(handles)
                ],
            )

    def _one(self, message: MessageTypeDef) -> Redriven:
        try:
            payload = json.loads(message["Body"])
            request = RecordingRequest.from_payload(payload)
            carried = Continuation.from_payload(payload)
        except (ValueError, RecursionError, RequestError) as error:
            said = str(error) if isinstance(error, RequestError) else "it is no JSON"
            return Redriven(Outcome.LEFT, message["MessageId"], f"no input of the consumer: {said}")
        name = request.execution_name
        try:
            return self._start_again(request, carried, payload.get(LIVE))
        except _InDoubtError as error:
            return Redriven(Outcome.LEFT, name, str(error))
        except ClientError as error:
            failed = error.response.get("Error", {})
            code = failed.get("Code", "an error")
            if code in _EVERY_MESSAGE or (
                code == "ResourceNotFoundException" and error.operation_name in _ASK_OF_THE_FUNCTION
            ):
                raise
            reason = failed.get("Message", "")
            return Redriven(Outcome.LEFT, name, f"Lambda refuses {error.operation_name}: {code}: {reason}")
        except _UNREADABLE as error:
            # Written by another version, or not what AWS documents; the error's own text may quote it.
            return Redriven(Outcome.LEFT, name, f"what Lambda keeps of it cannot be read ({type(error).__name__})")

    def _start_again(self, request: RecordingRequest, carried: Continuation | None, live: object) -> Redriven:
        name = request.execution_name
        attempts = list(self._attempts(name))
        newest = attempts[-1] if attempts else None
        for attempt in attempts:
            if attempt.status in _GOES_ON:
                return Redriven(Outcome.RUNNING, name, f"execution {attempt.name} is at it")
        if newest is not None and newest.status == "SUCCEEDED":
            return Redriven(Outcome.FINISHED, name, f"execution {newest.name} has finished it: {self._outcome(newest)}")
        for attempt in attempts:
            self._wait_for_its_invocation(attempt)
        continuation = carried if newest is None else self._history(newest)
        again: dict[str, Any] = request.to_payload()
        if live is not None:
            # As it is: a recording keeps the settings that it began with, and the consumer looks at them itself.
            again[LIVE] = live
        if continuation is not None:
            again[CONTINUES] = continuation.to_json()
        how = _whence(continuation)
        if newest is None:
            how += ": Lambda no longer knows the execution that failed" + (", its message says" if carried else "")
        new_name = f"{name}-r{newest.number + 1 if newest else 1}"
        body = json.dumps(again, sort_keys=True, separators=(",", ":")).encode()
        if len(body) > _MOST_PAYLOAD:
            raise _InDoubtError(
                f"where it stood takes an input of {len(body)} bytes, and Lambda takes {_MOST_PAYLOAD} at most"
            )
        if self._dry_run:
            return Redriven(Outcome.LEFT, name, f"would start {new_name} {how}")
        try:
            answer = self._lambda.invoke(
                FunctionName=self._function, InvocationType="Event", DurableExecutionName=new_name, Payload=body
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "DurableExecutionAlreadyStartedException":
                raise
            raise _InDoubtError(
                f"{new_name} was started already, with another input; perhaps another redrive runs just now"
            ) from error
        answer["Payload"].read()
        return Redriven(Outcome.STARTED, name, f"{new_name} goes on {how}")

    def _attempts(self, name: str) -> Iterator[_Attempt]:
        """The executions of a recording that Lambda knows, in order: the first, then the redriven ones.

        Lambda drops each after its retention, the first before the last, so gaps are skipped.
        """
        unknown = 0
        for number in count():
            found = self._find(number, f"{name}-r{number}" if number else name)
            if found is not None:
                unknown = 0
                yield found
            elif number:
                unknown += 1
                if unknown == _LAST_GAP:
                    return

    def _find(self, number: int, name: str) -> _Attempt | None:
        # An execution belongs to the version it began with, which an upgrade may have replaced since. Without a
        # qualifier all versions are listed (Lambda, ListDurableExecutionsByFunction), $LATEST alone in older texts.
        function, _, qualifier = self._function.rpartition(":")
        listing = self._lambda.get_paginator("list_durable_executions_by_function")
        for pages in (
            listing.paginate(FunctionName=function, DurableExecutionName=name),
            listing.paginate(FunctionName=function, DurableExecutionName=name, Qualifier=qualifier),
        ):
            found = [
                each for page in pages for each in page["DurableExecutions"] if each["DurableExecutionName"] == name
            ]
            if found:
                newest = max(found, key=lambda each: each["StartTimestamp"])
                return _Attempt(
                    number, name, newest["DurableExecutionArn"], newest["Status"], newest.get("EndTimestamp")
                )
        return None

    def _wait_for_its_invocation(self, attempt: _Attempt) -> None:
        """Refuse while an invocation of a stopped execution may go on: it and its successor bear one identity."""
        if attempt.status not in _CUT_OFF or attempt.ended is None:
            return
        left_ms = attempt.ended.timestamp() * 1000 + _LONGEST_INVOCATION_MS - self._clock.now_ms()
        if left_ms > 0:
            minutes = math.ceil(left_ms / 60_000)
            raise _InDoubtError(
                f"execution {attempt.name} is {attempt.status}, its last invocation may still run: try again in "
                f"{wording.count(minutes, 'minute')}"
            )

    def _outcome(self, attempt: _Attempt) -> str:
        """The status that an execution returned, where it says that the message has done its duty."""
        known = self._lambda.get_durable_execution(DurableExecutionArn=attempt.arn, IncludeExecutionData=True)
        try:
            status = json.loads(known["Result"])["status"]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _InDoubtError(
                f"execution {attempt.name} succeeded, and Lambda shows no result of it that says with what"
            ) from error
        if status not in _DONE:
            raise _InDoubtError(f"execution {attempt.name} recorded nothing of it: it returned {status}")
        return str(status)

    def _history(self, attempt: _Attempt) -> Continuation:
        """The work of a failed execution, with the work of its own predecessors."""
        known = self._lambda.get_durable_execution(DurableExecutionArn=attempt.arn, IncludeExecutionData=True)
        if "InputPayload" not in known:
            raise _InDoubtError(f"Lambda does not show the input of execution {attempt.name}")
        before = Continuation.from_payload(json.loads(known["InputPayload"]))
        stood = before or Continuation(execution=attempt.arn)
        pages = self._lambda.get_paginator("get_durable_execution_history").paginate(
            DurableExecutionArn=attempt.arn, IncludeExecutionData=True
        )
        for page in pages:
            for event in page["Events"]:
                if event.get("EventType") == "StepSucceeded" and event.get("Name", "").startswith(_RECORD_STEP):
                    stood = stood.after(_step_result(attempt, event))
        return stood


def _step_result(attempt: _Attempt, event: EventTypeDef) -> StepResult:
    result = event["StepSucceededDetails"]["Result"]
    if result.get("Truncated"):
        raise _InDoubtError(f"Lambda shows only the beginning of {attempt.name}'s step {event['Name']}")
    return from_plain(StepResult, json.loads(result["Payload"]))


def _whence(continuation: Continuation | None) -> str:
    if continuation is None:
        return "from the beginning"
    if continuation.last is None:
        return "from the beginning: nothing had been recorded"
    checkpoint = continuation.last.checkpoint
    return f"behind its part {checkpoint.parts.number}, {checkpoint.cursor.frames} frames in S3"
