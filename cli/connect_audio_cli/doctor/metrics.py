"""The check of the last 24 hours: recordings by their end, starts that were refused, and throttles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.deployed import Deployed

if TYPE_CHECKING:
    from collections.abc import Iterator

_METRICS: Final = {
    "RecordingsStarted": "trigger",
    "RecordingsRejected": "trigger",
    "StartsRefused": "trigger",
    "RecordingsCompleted": "consumer",
    "RecordingsPartial": "consumer",
    "RecordingsFailed": "consumer",
}
"""Metrics of telemetry.py, each with the function that emits it."""


def _day(stack: Deployed) -> Finding:
    # A whole minute, as CloudWatch has them.
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = [*_own(stack), *_throttles(stack)]
    results = stack.aws.listed(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        StartTime=end - timedelta(days=1),
        EndTime=end,
        MetricDataQueries=[
            {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Sum"}}
            for number, metric in enumerate(wanted)
        ],
    )
    sums = [0] * len(wanted)
    for result in results:
        sums[int(result["Id"][1:])] += round(sum(result["Values"]))
    started, rejected, refused, completed, partial, failed, *throttled = sums
    found = f"{started} started, {completed} complete, {partial} partial, {failed} failed"
    if refused:
        return fault(f"{found}, {count(refused, 'start')} refused", "docs/operations.md, Starts refused")
    if failed:
        return fault(found, "docs/operations.md, Recordings failed")
    if sum(throttled):
        return note(
            f"{found}; Lambda throttled {count(sum(throttled), 'start')}",
            "throttled recordings begin late: docs/operations.md, Throttles",
        )
    if partial:
        return note(found, "connect-audio explain MANIFEST says what is missing from a recording")
    if rejected:
        return note(f"{found}, {count(rejected, 'event')} rejected", "the trigger's log says the reason of each")
    if not started:
        return note("the trigger was not called", "after a call, look at the flow and its log")
    return well(found)


def _own(stack: Deployed) -> Iterator[dict[str, Any]]:
    for name, service in _METRICS.items():
        yield _metric(f"ConnectAudio/{stack.name}", name, "service", service)


def _throttles(stack: Deployed) -> Iterator[dict[str, Any]]:
    for function in (stack.output("TriggerFunctionArn"), stack.consumer):
        yield _metric("AWS/Lambda", "Throttles", "FunctionName", function.rpartition(":")[2])


def _metric(namespace: str, name: str, dimension: str, value: str) -> dict[str, Any]:
    return {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": dimension, "Value": value}]}


CHECKS: Final = (Check("last 24 hours", ("cloudwatch:GetMetricData",), _day),)
