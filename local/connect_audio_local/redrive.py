"""Start failed recordings again from the dead-letter queue: the work behind `connect-audio redrive`.

A message of the queue is the input of an execution that failed for good. Lambda knows its name for as long as the
queue keeps the message (template.yaml: 14 days both), so the same input under the same name would start nothing; the
new execution has a name of its own and goes on where the dead one's history ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.errors import RequestError
from connect_audio.recorder import StepResult
from connect_audio.recorder.continuation import CONTINUES, Continuation
from connect_audio.request import RecordingRequest

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_RECORD_STEP: Final = "record-"
_GOES_ON: Final = frozenset({"RUNNING", "PAUSING", "PAUSED"})
_HIDDEN_S: Final = 300
"""How long a message that is looked at is hidden from others who redrive; what is left in the queue comes back then."""


class Fate(StrEnum):
    """What became of a message."""

    STARTED = "started"
    RUNNING = "running"
    """Its recording is being made already."""
    FINISHED = "finished"
    """Its recording has been published already."""
    LEFT = "left"
    """It stays in the queue."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """One message.

    Args:
        fate: what became of it.
        name: execution name that the message is about, or its message id where it names none.
        detail: for people.
    """

    fate: Fate
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    name: str
    arn: str
    status: str


class Redrive:
    """Empty a dead-letter queue.

    Args:
        queue_url: the queue's URL.
        function: the consumer, qualified: its alias's ARN or `name:alias`.
        sqs: a client.
        lambda_: a client.
        dry_run: look, start nothing, and leave every message.
    """

    def __init__(
        self, queue_url: str, function: str, *, sqs: SQSClient, lambda_: LambdaClient, dry_run: bool = False
    ) -> None:
        self._queue_url = queue_url
        self._function = function
        self._sqs = sqs
        self._lambda = lambda_
        self._dry_run = dry_run

    def run(self) -> Iterator[Redriven]:
        """Take every message that is in the queue, once.

        Raises:
            botocore.exceptions.ClientError: AWS refused; what was started before stays started, the rest in the queue.
            botocore.exceptions.BotoCoreError: AWS could not be reached.
        """
        seen: set[str] = set()
        while messages := self._receive(seen):
            for message in messages:
                seen.add(message["MessageId"])
                found = self._one(message)
                if found.fate is not Fate.LEFT and not self._dry_run:
                    self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
                yield found

    def _receive(self, seen: set[str]) -> list[MessageTypeDef]:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, VisibilityTimeout=_HIDDEN_S, WaitTimeSeconds=1
        )
        return [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]

    def _one(self, message: MessageTypeDef) -> Redriven:
        try:
            payload = json.loads(message["Body"])
            request = RecordingRequest.from_payload(payload)
        except (ValueError, RequestError) as error:
            said = str(error) if isinstance(error, RequestError) else "it is no JSON"
            return Redriven(Fate.LEFT, message["MessageId"], f"no input of the consumer: {said}")
        name = request.execution_name
        attempts = list(self._attempts(name))
        newest = attempts[-1] if attempts else None
        if newest is not None and newest.status in _GOES_ON:
            return Redriven(Fate.RUNNING, name, f"execution {newest.name} is at it")
        if newest is not None and newest.status == "SUCCEEDED":
            return Redriven(Fate.FINISHED, name, f"execution {newest.name} has finished it")
        again: dict[str, Any] = request.to_payload()
        how = "from the beginning: Lambda has forgotten the execution that failed"
        if newest is not None:
            continuation = self._history(newest)
            again[CONTINUES] = continuation.to_json()
            how = (
                f"behind its part {continuation.last.checkpoint.part}, "
                f"{continuation.last.checkpoint.cursor.frames} frames in S3"
                if continuation.last
                else "from the beginning: nothing had been recorded"
            )
        new_name = f"{name}-r{max(1, len(attempts))}"
        if self._dry_run:
            return Redriven(Fate.LEFT, name, f"would start {new_name} {how}")
        answer = self._lambda.invoke(
            FunctionName=self._function,
            InvocationType="Event",
            DurableExecutionName=new_name,
            Payload=json.dumps(again, sort_keys=True).encode(),
        )
        answer["Payload"].read()
        return Redriven(Fate.STARTED, name, f"{new_name} goes on {how}")

    def _attempts(self, name: str) -> Iterator[_Attempt]:
        """The executions of a recording that Lambda knows: the first, then the redriven ones in order."""
        function, _, qualifier = self._function.rpartition(":")
        for number in count():
            wanted = f"{name}-r{number}" if number else name
            # An execution belongs to the version it began with, which an upgrade may have replaced since. Without a
            # qualifier all versions are listed (Lambda, ListDurableExecutionsByFunction), $LATEST alone in older texts.
            found = self._find(function, wanted) or self._find(function, wanted, qualifier)
            if not found:
                return
            yield found[-1]

    def _find(self, function: str, name: str, qualifier: str | None = None) -> list[_Attempt]:
        listing = self._lambda.get_paginator("list_durable_executions_by_function")
        pages = (
            listing.paginate(FunctionName=function, DurableExecutionName=name, Qualifier=qualifier)
            if qualifier
            else listing.paginate(FunctionName=function, DurableExecutionName=name)
        )
        return [
            _Attempt(name, each["DurableExecutionArn"], each["Status"])
            for page in pages
            for each in page["DurableExecutions"]
            if each["DurableExecutionName"] == name
        ]

    def _history(self, attempt: _Attempt) -> Continuation:
        """What an execution that failed had done, with what it had continued itself."""
        known = self._lambda.get_durable_execution(DurableExecutionArn=attempt.arn, IncludeExecutionData=True)
        before = Continuation.from_payload(json.loads(known.get("InputPayload") or "{}"))
        stood = before or Continuation(execution=attempt.arn)
        pages = self._lambda.get_paginator("get_durable_execution_history").paginate(
            DurableExecutionArn=attempt.arn, IncludeExecutionData=True
        )
        for page in pages:
            for event in page["Events"]:
                if event.get("EventType") == "StepSucceeded" and event.get("Name", "").startswith(_RECORD_STEP):
                    result = event["StepSucceededDetails"]["Result"]["Payload"]
                    stood = stood.after(StepResult.from_json(json.loads(result)))
        return stood
