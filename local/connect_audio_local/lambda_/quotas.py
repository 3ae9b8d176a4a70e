"""A durable execution's use of Lambda's quotas, from its history; the local engine does not enforce them.

`LocalCloud` fails executions that went beyond one, as the service would; tests and benchmarks report the figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, Self


class DurableQuotaError(Exception):
    """An execution that the service would have failed; the message has every quota that it broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableQuotas:
    """Quotas of one execution (Lambda quotas, "Durable functions").

    Args:
        operations: steps, waits and the like, retries included.
        history_bytes: its stored payloads, results and errors.
        result_bytes: one checkpointed result.
    """

    operations: int = 3000
    history_bytes: int = 100 * 1000 * 1000
    result_bytes: int = 256 * 1024


AWS_QUOTAS: Final = DurableQuotas()


class HistoryEvent(Protocol):
    """An event as the in-process runner has it."""

    def to_dict(self) -> dict[str, Any]:
        """The service's JSON form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableUsage:
    """The use of quotas by one execution.

    Args:
        operations: started steps, waits and the like; each retry counts.
        history_bytes: the whole history as JSON; the service does not say how it counts, this errs on the high side.
        largest_result_bytes: size of the largest result of a step.
        largest_result_of: the name of that step; empty where there was none.
        invocations: invocations of the function, failed ones included.
        elapsed_s: from its start to its newest event, by the engine's time: skipped waits count in full.
        timeout_s: its ExecutionTimeout; None if the history does not say.
    """

    operations: int
    history_bytes: int
    largest_result_bytes: int
    largest_result_of: str
    invocations: int
    elapsed_s: float
    timeout_s: float | None

    @classmethod
    def of(cls, history: Iterable[Mapping[str, Any] | HistoryEvent]) -> Self:
        """Measure a history.

        Args:
            history: all events with their data: of the in-process runner's `get_execution_history`, of the web
                runner's or Lambda's GetDurableExecutionHistory.

        Raises:
            ValueError: there are no events, or a result is not in them (IncludeExecutionData was not set).
        """
        events = [event if isinstance(event, Mapping) else event.to_dict() for event in history]
        if not events:
            raise ValueError("a history without events")
        kinds = [str(event["EventType"]) for event in events]
        results = [
            (_result_bytes(event), str(event.get("Name") or ""))
            for event, kind in zip(events, kinds, strict=True)
            if kind.endswith("Succeeded") and kind not in {"ExecutionSucceeded", "WaitSucceeded"}
        ]
        largest, name = max(results, default=(0, ""))
        times = [_seconds(event["EventTimestamp"]) for event in events]
        started = next((event.get("ExecutionStartedDetails") or {} for event in events), {})
        timeout = started.get("ExecutionTimeout")
        return cls(
            operations=sum(kind.endswith("Started") and kind != "ExecutionStarted" for kind in kinds),
            history_bytes=len(json.dumps(events, default=str, ensure_ascii=False).encode()),
            largest_result_bytes=largest,
            largest_result_of=name,
            invocations=kinds.count("InvocationCompleted"),
            elapsed_s=max(times) - min(times),
            timeout_s=None if timeout is None else float(timeout),
        )

    def check(self, quotas: DurableQuotas = AWS_QUOTAS) -> None:
        """Compare with the quotas.

        Raises:
            DurableQuotaError: at least one is broken.
        """
        broken: list[str] = []
        if self.operations > quotas.operations:
            broken.append(f"{self.operations} operations, {quotas.operations} are allowed")
        if self.history_bytes > quotas.history_bytes:
            broken.append(f"{self.history_bytes} bytes of history, {quotas.history_bytes} are allowed")
        if self.largest_result_bytes > quotas.result_bytes:
            broken.append(
                f"a result of {self.largest_result_bytes} bytes in step {self.largest_result_of!r}, "
                f"{quotas.result_bytes} are allowed"
            )
        if self.timeout_s is not None and self.elapsed_s > self.timeout_s:
            broken.append(f"{self.elapsed_s:.0f} s, its ExecutionTimeout is {self.timeout_s:.0f} s")
        if broken:
            raise DurableQuotaError("; ".join(broken))


def _result_bytes(event: Mapping[str, Any]) -> int:
    kind = str(event["EventType"])
    result = (event.get(f"{kind}Details") or {}).get("Result")
    if result is None:
        return 0
    if result.get("Truncated") or "Payload" not in result:
        raise ValueError(f"the result of {event.get('Name')!r} is not in the history")
    return len(str(result["Payload"]).encode())


def _seconds(timestamp: Any) -> float:
    if isinstance(timestamp, datetime):
        return timestamp.timestamp()
    return datetime.fromisoformat(timestamp).timestamp() if isinstance(timestamp, str) else float(timestamp)
