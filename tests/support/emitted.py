"""Reads the lines of EMF out of a function's output, as CloudWatch would."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connect_audio.telemetry import Metric


@dataclass(frozen=True)
class Value:
    """One value of a metric.

    Args:
        namespace: CloudWatch's.
        dimensions: names and values.
        name: of the metric.
        unit: of the metric.
        value: what was measured.
        line: the whole line, for what stands beside it.
    """

    namespace: str
    dimensions: Mapping[str, str]
    name: str
    unit: str
    value: float
    line: Mapping[str, Any]

    @property
    def service(self) -> str:
        return self.dimensions["service"]


def json_lines(output: str) -> Iterable[dict[str, Any]]:
    """The lines of an output that are JSON objects."""
    for line in output.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def emitted(output: str) -> list[Value]:
    """Every value that an output holds, in order (CloudWatch, Embedded Metric Format specification)."""
    found = []
    for line in json_lines(output):
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            for names in directive["Dimensions"]:
                for metric in directive["Metrics"]:
                    values = line[metric["Name"]]
                    found += [
                        Value(
                            directive["Namespace"],
                            {name: line[name] for name in names},
                            metric["Name"],
                            metric["Unit"],
                            value,
                            line,
                        )
                        for value in (values if isinstance(values, list) else [values])
                    ]
    return found


def by_metric(values: Iterable[Value]) -> dict[Metric, list[float]]:
    """Values of each metric; one that the table does not have is a KeyError."""
    titles = {metric.title: metric for metric in Metric}
    found: dict[Metric, list[float]] = defaultdict(list)
    for value in values:
        found[titles[value.name]].append(value.value)
    return dict(found)
