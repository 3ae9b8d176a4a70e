"""The trace of a durable execution, sent by OTLP over HTTP (docs/adr/0033). Imported only where an endpoint is set.

The checkpoints are the record of what happened, so the trace is read out of them: once, by the invocation that ends the
execution. Neither a replay nor a kill makes a span twice or loses one. Each invocation sends a span of its own besides.
No span holds the contact id, a result, an error's message or an ARN.

*How it works.* The SDK makes one `ExecutionTrace` for each invocation and calls it when the handler's function has
returned. Ids are hashes of the execution's ARN, so a span that is sent again has the same id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, override

from aws_durable_execution_sdk_python.plugin import (
    DurableInstrumentationPlugin,
    InvocationEndInfo,
    InvocationStartInfo,
    InvocationStatus,
    OperationInfo,
    OperationType,
)
from aws_lambda_powertools import Logger

from connect_audio.adapters.endpoint.address import TRACES, Endpoint, endpoint_of
from connect_audio.adapters.endpoint.connection import EndpointConnection, Limits
from connect_audio.core.errors import SinkError
from connect_audio.settings import trace_resource

DELIVERY_S: Final = 1.5
"""Limit of sending the spans of an invocation, seconds. It is less than what the shortest margin before an invocation's
end leaves. Beyond: a warning, and the spans are lost."""
_ANSWER_BYTES: Final = 16_384
"""Limit of the collector's answer, bytes. Nothing of it but the status is used."""
_INTERNAL: Final = 1
_ERROR: Final = 2
_ENDED: Final = frozenset({InvocationStatus.SUCCEEDED, InvocationStatus.FAILED})
_FAILED: Final = frozenset({"FAILED", "TIMED_OUT", "CANCELLED", "STOPPED"})

_logger = Logger()  # the function's own, by its service


def trace_id(execution_arn: str) -> str:
    """The id of an execution's trace: 32 hexadecimal digits, from which the execution cannot be read."""
    return sha256(execution_arn.encode()).hexdigest()[:32]


class ExecutionTraces:
    """Makes the trace of each invocation, as the SDK's factory of a plug-in.

    Args:
        url: address of the collector's traces, such as `http://localhost:4318/v1/traces`.

    Raises:
        SinkError: `URL_REFUSED`: the address is none.
    """

    def __init__(self, url: str) -> None:
        self._endpoint = endpoint_of(url, TRACES)

    def create_plugin(self, info: InvocationStartInfo, /) -> ExecutionTrace:
        """Return the trace of one invocation."""
        del info  # comes again in `on_invocation_start`
        return ExecutionTrace(self._endpoint)


class ExecutionTrace(DurableInstrumentationPlugin):
    """One invocation's view of an execution.

    Args:
        endpoint: the collector.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._started_ns = time.time_ns()

    @override
    def on_invocation_start(self, info: InvocationStartInfo) -> None:
        """Take the time, and let log lines name the trace."""
        self._started_ns = time.time_ns()
        if info.execution_arn is not None:
            _logger.append_keys(trace_id=trace_id(info.execution_arn))

    @override
    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        """Send the invocation's span, and with the last one the execution's and its operations'."""
        if info.execution_arn is None:
            return
        spans = [_invocation_span(info, self._started_ns)]
        if info.status in _ENDED:
            spans += _execution_spans(info)
        try:
            status = _posted(self._endpoint, spans)
        except SinkError as error:
            _logger.warning("traces not sent: the spans of an invocation are lost", code=error.code)
            return
        if not 200 <= status < 300:
            _logger.warning("traces not sent: the spans of an invocation are lost", code=f"HTTP_{status}")


def _posted(endpoint: Endpoint, spans: list[dict[str, Any]]) -> int:
    """Post the spans on a connection of their own and return the status.

    A kept connection would be dead after Lambda's freeze, and the request sent twice.
    """
    connection = EndpointConnection(
        endpoint,
        limits=Limits(delivery_s=DELIVERY_S, answer_s=DELIVERY_S, body_s=DELIVERY_S, answer_bytes=_ANSWER_BYTES),
        # The stack's owner names the address, no caller does. A collector mostly is a neighbour.
        allow_private=True,
    )
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(trace_resource())},
                "scopeSpans": [{"scope": {"name": "connect-audio"}, "spans": spans}],
            }
        ]
    }
    try:
        connection.begin()
        return connection.post({"Content-Type": "application/json"}, json.dumps(body).encode()).status
    finally:
        connection.close()


def _invocation_span(info: InvocationEndInfo, started_ns: int) -> dict[str, Any]:
    attributes = {
        "faas.invocation_id": info.request_id or "",
        "durable.invocation.first": info.is_first_invocation,
        "durable.invocation.status": info.status.value,
    }
    return _span(
        info,
        id_of=f"invocation/{info.request_id}",
        name="invocation",
        times=(started_ns, time.time_ns()),
        attributes=attributes,
        is_failed=info.status in {InvocationStatus.FAILED, InvocationStatus.RETRY},
    )


def _execution_spans(info: InvocationEndInfo) -> list[dict[str, Any]]:
    """The execution's own span, and one for each of its operations that has ended."""
    began = _nanoseconds(info.execution_start_time) or time.time_ns()
    attributes: dict[str, Any] = {"durable.execution.status": info.status.value}
    outcome = _outcome(info.execution_result)
    if outcome:
        attributes["recording.status"] = outcome
    if info.error is not None and info.error.type:
        attributes["error.type"] = info.error.type
    spans = [
        _span(
            info,
            id_of="",
            name="execution",
            times=(began, time.time_ns()),
            attributes=attributes,
            is_failed=info.status is InvocationStatus.FAILED,
        )
    ]
    for operation in info.operations.values():
        times = _nanoseconds(operation.start_time), _nanoseconds(operation.end_time)
        if operation.operation_type is not OperationType.EXECUTION and times[0] and times[1]:
            spans.append(_operation_span(info, operation, (times[0], times[1])))
    return spans


def _operation_span(info: InvocationEndInfo, operation: OperationInfo, times: tuple[int, int]) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "durable.operation.type": operation.operation_type.value,
        "durable.operation.status": operation.status.value,
    }
    if operation.attempt is not None:
        attributes["durable.attempt.number"] = operation.attempt
    if operation.error is not None and operation.error.type:
        attributes["error.type"] = operation.error.type
    return _span(
        info,
        id_of=operation.operation_id,
        parent_of=operation.parent_id or "",
        name=operation.name or operation.operation_type.value.lower(),
        times=times,
        attributes=attributes,
        is_failed=operation.status.value in _FAILED,
    )


def _span(
    info: InvocationEndInfo,
    *,
    id_of: str,
    name: str,
    times: tuple[int, int],
    attributes: Mapping[str, Any],
    is_failed: bool,
    parent_of: str = "",
) -> dict[str, Any]:
    """A span as OTLP's JSON has it: ids as hexadecimal digits, 64-bit numbers as texts.

    Args:
        info: the execution.
        id_of: text that the id is the hash of, beside the execution; empty for the execution itself.
        name: the span's name.
        times: begin and end, ns since the epoch.
        attributes: texts, whole numbers and truths.
        is_failed: True makes its status an error.
        parent_of: `id_of` of the parent.
    """
    arn = info.execution_arn or ""
    span = {
        "traceId": trace_id(arn),
        "spanId": _span_id(arn, id_of),
        "name": name,
        "kind": _INTERNAL,
        "startTimeUnixNano": str(times[0]),
        # A payload has milliseconds and an answer more, so a short operation's end may lie before its begin.
        "endTimeUnixNano": str(max(times)),
        "attributes": _attributes(attributes),
        "status": {"code": _ERROR} if is_failed else {},
    }
    if id_of:
        span["parentSpanId"] = _span_id(arn, parent_of)
    return span


def _span_id(arn: str, part: str) -> str:
    return sha256(f"{arn}\n{part}".encode()).hexdigest()[:16]


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}


def _nanoseconds(moment: datetime | None) -> int | None:
    """Nanoseconds since the epoch, to the microsecond."""
    if moment is None:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _outcome(result: str | None) -> str:
    """The status in the handler's return value; empty if there is none."""
    try:
        found = json.loads(result or "null")
    except ValueError:
        return ""
    return str(found.get("status", "")) if isinstance(found, dict) else ""
