"""The check of the last 24 hours: recordings by their end, and starts that were refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.doctor.deployed import Deployed

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
    results = stack.aws.listed(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        StartTime=end - timedelta(days=1),
        EndTime=end,
        MetricDataQueries=[
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": f"ConnectAudio/{stack.name}",
                        "MetricName": name,
                        "Dimensions": [{"Name": "service", "Value": service}],
                    },
                    "Period": 3600,
                    "Stat": "Sum",
                },
            }
            for number, (name, service) in enumerate(_METRICS.items())
        ],
    )
    sums = dict.fromkeys(_METRICS, 0)
    for result in results:
        sums[list(_METRICS)[int(result["Id"][1:])]] += round(sum(result["Values"]))
    started, rejected, refused, completed, partial, failed = sums.values()
    found = f"{started} started, {completed} complete, {partial} partial, {failed} failed"
    if refused:
        return fault(f"{found}, {refused} starts refused", "docs/operations.md, Starts refused")
    if failed:
        return fault(found, "docs/operations.md, Recordings failed")
    if partial:
        return note(found, "connect-audio explain MANIFEST says what is missing from a recording")
    if rejected:
        return note(f"{found}, {rejected} events rejected", "the trigger's log says the reason of each")
    if not started:
        return note("the trigger was not called", "after a call, look at the flow and its log")
    return well(found)


CHECKS: Final = (Check("last 24 hours", ("cloudwatch:GetMetricData",), _day),)
