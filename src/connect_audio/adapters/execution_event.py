"""Reads the end of a durable execution out of Lambda's event, and what Lambda knows of that execution.

The event is Lambda's "Durable Execution Status Change" (Developer Guide, "Monitoring durable functions"). Lambda sends
it to the default bus for each execution that it ends, also for one whose code cannot run any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from connect_audio.core.errors import RequestError
from connect_audio.request import RecordingRequest

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_ENDED: Final = {"FAILED": "EXECUTION_FAILED", "TIMED_OUT": "EXECUTION_TIMED_OUT", "STOPPED": "EXECUTION_STOPPED"}
"""The statuses of an execution that Lambda ended, each with the reason that the recording's event gives."""

_STEP_ERROR: Final = "StepError"
"""The durable SDK's error for a step that failed for good; the consumer announces it before it raises it."""


@dataclass(frozen=True, slots=True)
class EndedExecution:
    """An execution that did not succeed.

    Args:
        arn: its ARN.
        name: its name.
        reason: `EXECUTION_FAILED`, `EXECUTION_TIMED_OUT` or `EXECUTION_STOPPED`.
    """

    arn: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class KnownExecution:
    """The part of an execution that Lambda keeps and that its announcement needs.

    Args:
        request: the recording that it was to make.
        is_announced: true if the execution itself announced its failure.
    """

    request: RecordingRequest
    is_announced: bool


def ended_execution_of(event: object) -> EndedExecution | None:
    """Return the ended execution of an event; None for every other event.

    Args:
        event: the decoded JSON, any value.
    """
    detail = event.get("detail") if isinstance(event, Mapping) else None
    if not isinstance(detail, Mapping):
        return None
    arn, name, status = (detail.get(key) for key in ("durableExecutionArn", "durableExecutionName", "status"))
    reason = _ENDED.get(status) if isinstance(status, str) else None
    if not isinstance(arn, str) or not isinstance(name, str) or reason is None:
        return None
    return EndedExecution(arn, name, reason)


def known_execution(client: LambdaClient, arn: str) -> KnownExecution | None:
    """Ask Lambda for an execution's input; None if it keeps none, or if it is no input of the consumer.

    Raises:
        ClientError: Lambda refused; the caller's own caller tries again.
    """
    try:
        known = client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=True)
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        return None
    try:
        request = RecordingRequest.from_payload(_json(known.get("InputPayload", "")))
    except RequestError:
        return None
    error_type = known.get("Error", {}).get("ErrorType", "")
    return KnownExecution(request, error_type.rpartition(".")[2] == _STEP_ERROR)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
