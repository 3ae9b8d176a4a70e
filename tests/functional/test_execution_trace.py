"""The consumer's trace at the socket of a collector: over hand-overs and kills, and with a collector that is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from itertools import count
from typing import Any, Final

import pytest

from connect_audio_local.kvs import Live, Pace
from connect_audio_local.kvs.model import ALL_AT_ONCE
from connect_audio_local.lambda_.kill_points import Kill, Moment
from connect_audio_local.process_cloud import ProcessCloud, process_cloud
from connect_audio_local.trace_collector import TraceCollector, trace_collector
from support.emitted import json_lines
from support.engine_chaos import Run, Schedule, run, scene
from support.wav import same_wav

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def cloud() -> Iterator[ProcessCloud]:
    with process_cloud() as running:
        yield running


def record(
    cloud: ProcessCloud, endpoint: str, *kills: Kill, invocation_s: float = 900, pace: Pace = ALL_AT_ONCE
) -> Run:
    """Record a short call with a collector's address; the recording is what it should be."""
    cloud.host.environment[ENDPOINT] = endpoint
    schedule = Schedule(0, "short", kills, invocation_s=invocation_s, pace=pace)
    found = run(cloud, schedule, next(_NUMBERS))
    assert [each.status for each in found.executions] == ["SUCCEEDED"]
    assert found.wav is not None
    assert same_wav(found.wav, scene("short").wav)
    return found


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """Its attributes, without the names of their types."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def is_whole_trace(collector: TraceCollector, cloud: ProcessCloud, found: Run) -> None:
    """Hold the spans against the engine's own history: one for each operation, and one for the execution."""
    (execution,) = found.executions
    events = cloud.engine.history(execution.arn)
    started = [each for each in events if each["EventType"] in {"StepStarted", "WaitStarted", "CallbackStarted"}]
    operations = {each["Id"]: each.get("Name") for each in started}
    spans = collector.spans
    (root,) = [span for span in spans if "parentSpanId" not in span]
    assert root["name"] == "execution"
    assert {span["traceId"] for span in spans} == {sha256(execution.arn.encode()).hexdigest()[:32]}
    assert {span["parentSpanId"] for span in spans if span is not root} == {root["spanId"]}
    assert len({span["spanId"] for span in spans}) == len(spans)
    of_operations = [span["name"] for span in spans if "durable.operation.type" in attributes(span)]
    assert sorted(of_operations) == sorted(name or "wait" for name in operations.values())
    assert all(int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) for span in spans)


def test_an_execution_of_one_invocation_is_one_post_that_names_no_contact(cloud: ProcessCloud) -> None:
    with trace_collector() as collector:
        found = record(cloud, collector.url)
    ((path, content_type, body),) = collector.posts
    assert (path, content_type) == ("/v1/traces", "application/json")
    is_whole_trace(collector, cloud, found)
    (root,) = collector.named("execution")
    assert attributes(root) == {"durable.execution.status": "SUCCEEDED", "recording.status": "complete"}
    assert root["status"] == {}
    for secret in (found.request.contact_id, found.request.execution_name, "arn:aws", "s3://"):
        assert secret.encode() not in body


def test_over_hand_overs_each_operation_has_one_span_and_each_invocation_too(cloud: ProcessCloud) -> None:
    with trace_collector() as collector:
        found = record(cloud, collector.url, invocation_s=6, pace=Live(speed=12.0))
    assert len(found.invocations) > 1
    is_whole_trace(collector, cloud, found)
    invocations = [attributes(span) for span in collector.named("invocation")]
    assert len(invocations) == len(collector.posts) == len(found.invocations)
    assert [each["durable.invocation.first"] for each in invocations] == [True, *[False] * (len(invocations) - 1)]
    assert [each["durable.invocation.status"] for each in invocations[-2:]] == ["PENDING", "SUCCEEDED"]


def test_a_killed_invocation_loses_its_own_span_alone(cloud: ProcessCloud) -> None:
    with trace_collector() as collector:
        found = record(cloud, collector.url, Kill("engine:checkpoint *SUCCEED record-*", 1, Moment.AFTER))
    assert found.killed
    is_whole_trace(collector, cloud, found)
    assert len(collector.named("invocation")) == len(found.invocations) - 1


def refuse(request: BaseHTTPRequestHandler) -> None:
    request.send_response_only(503)
    request.send_header("Content-Length", "0")
    request.end_headers()


def test_a_collector_that_refuses_costs_a_line_and_no_recording(cloud: ProcessCloud) -> None:
    before = len(cloud.function_log())
    with trace_collector(refuse) as collector:
        record(cloud, collector.url)
    (line,) = [each for each in json_lines(cloud.function_log()[before:]) if "traces" in str(each.get("message"))]
    assert (line["level"], line["code"]) == ("WARNING", "HTTP_503")
    assert len(line["trace_id"]) == 32


def test_a_collector_that_never_answers_holds_an_invocation_up_for_a_second_and_a_half(cloud: ProcessCloud) -> None:
    released = threading.Event()
    before = len(cloud.function_log())

    def stay_silent(_request: BaseHTTPRequestHandler) -> None:
        released.wait(20)

    with trace_collector(stay_silent) as collector:
        found = record(cloud, collector.url)
        released.set()
    assert len(found.invocations) == 1
    (line,) = [each for each in json_lines(cloud.function_log()[before:]) if "traces" in str(each.get("message"))]
    assert line["code"] == "TIMEOUT"


def test_an_address_that_is_none_costs_no_recording(cloud: ProcessCloud) -> None:
    before = len(cloud.function_log())
    record(cloud, "http://[::1/v1/traces")
    assert "traces not sent" in cloud.function_log()[before:]


def test_without_an_address_nothing_is_traced(cloud: ProcessCloud) -> None:
    before = len(cloud.function_log())
    record(cloud, "")
    assert "trace_id" not in cloud.function_log()[before:]
