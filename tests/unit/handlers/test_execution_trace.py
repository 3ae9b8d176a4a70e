"""The spans of executions that fail, are tried again or have nested operations, as a collector gets them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from aws_durable_execution_sdk_python.lambda_service import ErrorObject, OperationStatus
from aws_durable_execution_sdk_python.plugin import (
    InvocationEndInfo,
    InvocationStartInfo,
    InvocationStatus,
    OperationInfo,
    OperationType,
)

from connect_audio.handlers.execution_trace import ExecutionTraces
from connect_audio_local.trace_collector import TraceCollector, trace_collector

NAME: Final = "00000000-0000-4000-8000-000000000001_1782907200000_0a1b2c3d"
ARN: Final = f"arn:aws:lambda:eu-west-2:111122223333:function:consumer:7/durable-execution/{NAME}/1f2e"
BEGAN: Final = datetime(2026, 7, 1, 12, tzinfo=UTC)
ERROR: Final = ErrorObject(message=f"no audio of {NAME}", type="StepError", data=NAME, stack_trace=[NAME])


def operation(number: int, **changed: Any) -> OperationInfo:
    """A step of a second that has succeeded."""
    values: dict[str, Any] = {
        "operation_id": f"operation-{number}",
        "operation_type": OperationType.STEP,
        "sub_type": None,
        "name": f"record-{number:05}",
        "parent_id": None,
        "start_time": BEGAN + timedelta(seconds=number),
        "end_time": BEGAN + timedelta(seconds=number + 1, microseconds=1),
        "is_replayed": False,
        "status": OperationStatus.SUCCEEDED,
        "result": NAME,
        "attempt": 1,
    }
    return OperationInfo(**values | changed)


def ended(status: InvocationStatus, *operations: OperationInfo, **changed: Any) -> TraceCollector:
    """The collector after an invocation that ended so."""
    identity: dict[str, Any] = {"request_id": "r-1", "execution_arn": ARN, "is_first_invocation": True}
    start = InvocationStartInfo(**identity, execution_start_time=BEGAN)
    known = {each.operation_id: each for each in operations}
    end = InvocationEndInfo(**identity, execution_start_time=BEGAN, status=status, operations=known, **changed)
    with trace_collector() as collector:
        trace = ExecutionTraces(collector.url).create_plugin(start)
        trace.on_invocation_start(start)
        trace.on_invocation_end(end)
    return collector


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: each["value"] for each in span["attributes"]}


def test_a_failed_execution_is_an_error_by_its_type_and_tells_no_message() -> None:
    failed = operation(1, status=OperationStatus.FAILED, error=ERROR, attempt=3)
    collector = ended(InvocationStatus.FAILED, operation(0), failed, error=ERROR)
    (root,) = collector.named("execution")
    assert root["status"] == {"code": 2}
    assert attributes(root) == {
        "durable.execution.status": {"stringValue": "FAILED"},
        "error.type": {"stringValue": "StepError"},
    }
    (step,) = collector.named("record-00001")
    assert step["status"] == {"code": 2}
    assert attributes(step)["durable.attempt.number"] == {"intValue": "3"}
    assert collector.named("record-00000")[0]["status"] == {}
    assert all(NAME.encode() not in body and b"no audio" not in body for _, _, body in collector.posts)


def test_a_span_has_the_times_of_its_checkpoints_in_nanoseconds_as_text() -> None:
    (step,) = ended(InvocationStatus.SUCCEEDED, operation(2)).named("record-00002")
    assert step["startTimeUnixNano"] == "1782907202000000000"
    assert step["endTimeUnixNano"] == "1782907203000001000"


def test_no_span_ends_before_it_begins_although_one_of_its_times_is_cut_to_the_millisecond() -> None:
    short = operation(2, start_time=BEGAN + timedelta(microseconds=400), end_time=BEGAN)
    (step,) = ended(InvocationStatus.SUCCEEDED, short).named("record-00002")
    assert step["endTimeUnixNano"] == step["startTimeUnixNano"] == "1782907200000400000"


def test_a_nested_operation_hangs_below_its_parent_and_an_open_one_has_no_span() -> None:
    collector = ended(
        InvocationStatus.SUCCEEDED,
        operation(1, operation_type=OperationType.CONTEXT, name="repair"),
        operation(2, parent_id="operation-1"),
        operation(3, end_time=None, status=OperationStatus.STARTED),
        operation(4, operation_type=OperationType.EXECUTION, name=None),
    )
    (root,), (outer,), (inner,) = (collector.named(name) for name in ("execution", "repair", "record-00002"))
    assert inner["parentSpanId"] == outer["spanId"]
    assert outer["parentSpanId"] == root["spanId"]
    assert sorted(span["name"] for span in collector.spans) == ["execution", "invocation", "record-00002", "repair"]


@pytest.mark.parametrize("result", [None, "", "no JSON", "[]", "{}"])
def test_a_result_without_a_status_leaves_it_out(result: str | None) -> None:
    (root,) = ended(InvocationStatus.SUCCEEDED, execution_result=result).named("execution")
    assert "recording.status" not in attributes(root)


@pytest.mark.parametrize(("status", "code"), [(InvocationStatus.PENDING, {}), (InvocationStatus.RETRY, {"code": 2})])
def test_an_invocation_that_does_not_end_the_execution_sends_its_own_span_alone(
    status: InvocationStatus, code: dict[str, int]
) -> None:
    (span,) = ended(status, operation(1)).spans
    assert (span["name"], span["status"]) == ("invocation", code)
