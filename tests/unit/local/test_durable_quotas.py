from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.serdes import JsonSerDes
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

from connect_audio_local.lambda_.quotas import AWS_QUOTAS, DurableQuotaError, DurableQuotas, DurableUsage


def usage_of(handler: Any, *, timeout_s: int = 300) -> DurableUsage:
    """What a handler uses when it is run by the engine."""
    with engine(handler) as runner:
        arn = runner.run_async(input="{}", execution_timeout=timeout_s)
        runner.wait_for_result(arn, 60)
        return DurableUsage.of(runner.get_execution_history(arn, include_execution_data=True).events)


@contextmanager
def engine(handler: Any) -> Iterator[DurableFunctionTestRunner]:
    runner = DurableFunctionTestRunner(handler=handler, poll_interval=0.02)
    try:
        with runner:
            yield runner
    finally:
        runner._scheduler._loop.close()  # it leaves its loop's sockets open


PLAIN = StepConfig(serdes=JsonSerDes())


def test_an_execution_s_steps_retries_waits_and_invocations_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    failures = iter([ValueError("first"), ValueError("second")])

    def flaky(_: object) -> str:
        for error in failures:
            raise error
        return "é" * 100

    again = StepConfig(
        serdes=JsonSerDes(), retry_strategy=lambda _error, _attempt: RetryDecision.retry(Duration.from_seconds(60))
    )

    @durable_execution
    def handler(_event: Any, context: DurableContext) -> int:
        context.step(flaky, name="flaky", config=again)
        context.wait(Duration.from_minutes(5), name="pause")
        return context.step(lambda _: 7, name="short", config=PLAIN)

    usage = usage_of(handler, timeout_s=3600)

    # Three tries of one step, a wait, another step; every retry and the wait ended an invocation.
    assert (usage.operations, usage.invocations) == (5, 4)
    assert (usage.largest_result_bytes, usage.largest_result_of) == (len(json.dumps("é" * 100)), "flaky")
    assert usage.elapsed_s == pytest.approx(420, abs=10)
    assert usage.timeout_s == 3600
    assert 2000 < usage.history_bytes < 10_000
    usage.check()


@pytest.mark.parametrize(("size", "fits"), [(256 * 1024 - 2, True), (256 * 1024 - 1, False)])
def test_a_step_s_result_beyond_256_kb_breaks_its_quota(size: int, fits: bool) -> None:  # noqa: FBT001 - what is expected
    @durable_execution
    def handler(_event: Any, context: DurableContext) -> int:
        return len(context.step(lambda _: "a" * size, name="large", config=PLAIN))

    usage = usage_of(handler)

    assert usage.largest_result_bytes == size + 2
    if fits:
        usage.check()
        return
    with pytest.raises(DurableQuotaError, match=r"^a result of 262145 bytes in step 'large', 262144 are allowed$"):
        usage.check()


def test_more_operations_than_allowed_break_their_quota() -> None:
    @durable_execution
    def handler(_event: Any, context: DurableContext) -> None:
        for number in range(6):
            context.step(lambda _: None, name=f"step-{number}", config=PLAIN)

    usage = usage_of(handler)

    usage.check(DurableQuotas(operations=6))
    with pytest.raises(DurableQuotaError, match=r"^6 operations, 5 are allowed$"):
        usage.check(DurableQuotas(operations=5))


def test_a_wait_beyond_the_execution_timeout_breaks_it_although_the_engine_skips_it() -> None:
    @durable_execution
    def handler(_event: Any, context: DurableContext) -> None:
        context.wait(Duration.from_minutes(10), name="long")

    usage = replace(usage_of(handler, timeout_s=3600), timeout_s=300.0)

    with pytest.raises(DurableQuotaError, match=r"^60\d s, its ExecutionTimeout is 300 s$"):
        usage.check()


def test_every_broken_quota_is_told() -> None:
    usage = DurableUsage(
        operations=3001,
        history_bytes=100_000_001,
        largest_result_bytes=1,
        largest_result_of="one",
        invocations=1,
        elapsed_s=1.0,
        timeout_s=None,
    )
    with pytest.raises(DurableQuotaError) as error:
        usage.check()
    assert str(error.value) == ("3001 operations, 3000 are allowed; 100000001 bytes of history, 100000000 are allowed")


def test_a_history_that_came_over_the_wire_is_measured_alike() -> None:
    at = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
    events: list[dict[str, Any]] = [
        {"EventType": "ExecutionStarted", "ExecutionStartedDetails": {"ExecutionTimeout": 172_800}},
        {"EventType": "StepStarted", "Name": "claim"},
        {
            "EventType": "StepSucceeded",
            "Name": "claim",
            "StepSucceededDetails": {"Result": {"Payload": "{}", "Truncated": False}},
        },
        {"EventType": "InvocationCompleted"},
    ]
    by_clock = [{**event, "EventTimestamp": at.timestamp() + place} for place, event in enumerate(events)]
    by_text = [{**event, "EventTimestamp": at.replace(second=place).isoformat()} for place, event in enumerate(events)]
    usage = DurableUsage.of(by_clock)
    assert (usage.operations, usage.largest_result_bytes, usage.elapsed_s, usage.timeout_s) == (1, 2, 3.0, 172_800.0)
    assert replace(DurableUsage.of(by_text), history_bytes=usage.history_bytes) == usage


def test_a_history_without_its_data_is_not_taken_for_a_small_one() -> None:
    @durable_execution
    def handler(_event: Any, context: DurableContext) -> int:
        return context.step(lambda _: 7, name="short", config=PLAIN)

    with engine(handler) as runner:
        arn = runner.run_async(input="{}")
        runner.wait_for_result(arn, 60)
        history = runner.get_execution_history(arn).events
    with pytest.raises(ValueError, match=r"^the result of 'short' is not in the history$"):
        DurableUsage.of(history)
    with pytest.raises(ValueError, match="without events"):
        DurableUsage.of([])


def test_the_default_quotas_are_lambda_s() -> None:
    assert DurableQuotas(operations=3000, history_bytes=100_000_000, result_bytes=262_144) == AWS_QUOTAS
