"""The executions of a recording as Lambda keeps them, and the start of the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from connect_audio.core.plain import from_plain
from connect_audio.recorder import StepResult
from connect_audio.recorder.continuation import Continuation
from connect_audio_cli.redrive.decision import Attempt, InDoubtError, NewExecution

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventTypeDef

_RECORD_STEP: Final = "record-"
_LAST_GAP: Final = 3
"""Unknown numbers in a row. Then no higher number is looked for."""


class ExecutionHistory:
    """Executions of the consumer.

    Args:
        function: the consumer, qualified: its alias's ARN or `name:alias`.
        lambda_: a client.
    """

    def __init__(self, function: str, lambda_: LambdaClient) -> None:
        self._function = function
        self._lambda = lambda_

    def attempts(self, name: str) -> Iterator[Attempt]:
        """Yield the executions of a recording that Lambda knows: the first, then the redriven ones.

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

    def _find(self, number: int, name: str) -> Attempt | None:
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
                return Attempt(
                    number, name, newest["DurableExecutionArn"], newest["Status"], newest.get("EndTimestamp")
                )
        return None

    def of_arn(self, arn: str, name: str) -> Attempt | None:
        """Return the execution that an ARN names; None if Lambda no longer knows it.

        Args:
            arn: an execution's ARN, as a claim has it.
            name: name of the recording's first execution.

        Raises:
            InDoubtError: the execution is of another recording.
        """
        try:
            known = self._lambda.get_durable_execution(DurableExecutionArn=arn)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
            return None
        found = known["DurableExecutionName"]
        number = found.removeprefix(f"{name}-r") if found != name else "0"
        if not number.isdecimal():
            raise InDoubtError(f"execution {found} of another recording or stack holds the claim")
        return Attempt(int(number), found, arn, known["Status"], known.get("EndTimestamp"))

    def result(self, attempt: Attempt) -> str | None:
        """Return the JSON that an execution returned; None if Lambda does not show it."""
        known = self._lambda.get_durable_execution(DurableExecutionArn=attempt.arn, IncludeExecutionData=True)
        return known.get("Result")

    def beginning(self, attempt: Attempt) -> Continuation:
        """Return the state with which an execution began; its `execution` is the identity that the claim bears.

        Raises:
            InDoubtError: Lambda does not show the input.
        """
        known = self._lambda.get_durable_execution(DurableExecutionArn=attempt.arn, IncludeExecutionData=True)
        if "InputPayload" not in known:
            raise InDoubtError(f"Lambda does not show the input of execution {attempt.name}")
        return Continuation.from_payload(json.loads(known["InputPayload"])) or Continuation(execution=attempt.arn)

    def continuation(self, attempt: Attempt) -> Continuation:
        """Return the state of a failed execution, with the work of its own predecessors.

        Raises:
            InDoubtError: Lambda does not show all of it.
        """
        state = self.beginning(attempt)
        pages = self._lambda.get_paginator("get_durable_execution_history").paginate(
            DurableExecutionArn=attempt.arn, IncludeExecutionData=True
        )
        for page in pages:
            for event in page["Events"]:
                if event.get("EventType") == "StepSucceeded" and event.get("Name", "").startswith(_RECORD_STEP):
                    state = state.after(_step_result(attempt, event))
        return state

    def start(self, execution: NewExecution) -> None:
        """Start an execution.

        Raises:
            InDoubtError: one of that name was started with another input.
        """
        try:
            answer = self._lambda.invoke(
                FunctionName=self._function,
                InvocationType="Event",
                DurableExecutionName=execution.name,
                Payload=execution.payload,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "DurableExecutionAlreadyStartedException":
                raise
            raise InDoubtError(
                f"{execution.name} was started already, with another input; perhaps another redrive runs just now"
            ) from error
        answer["Payload"].read()


def _step_result(attempt: Attempt, event: EventTypeDef) -> StepResult:
    result = event["StepSucceededDetails"]["Result"]
    if result.get("Truncated"):
        raise InDoubtError(f"Lambda shows only the beginning of {attempt.name}'s step {event['Name']}")
    return from_plain(StepResult, json.loads(result["Payload"]))
