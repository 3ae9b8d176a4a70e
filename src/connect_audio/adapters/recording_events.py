"""EventBridge as the `EventBus` port: PutEvents, one entry a call.

The consumer's `announce` step makes client and adapter, so that neither takes memory during a call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, failure_of, passes
from connect_audio.core.errors import AnnouncementError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

EVENTS_CONFIG: Final = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
# EventBridge, API_PutEventsResultEntry: of its error codes these two pass by themselves.
_PASSING: Final = frozenset({"InternalFailure", "ThrottlingException"})


class EventBridgeBus:
    """One event bus.

    Args:
        bus: its name or ARN.
        source: the events' `source`.
        client: an EventBridge client, made with `EVENTS_CONFIG`.
    """

    def __init__(self, bus: str, *, source: str, client: EventBridgeClient) -> None:
        self._bus = bus
        self._source = source
        self._client = client

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> str:
        """Hand over one event and return its id.

        Raises:
            AnnouncementError: the call failed, or its answer has status 200 and refuses the entry.
        """
        try:
            answer = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._bus,
                        "Source": self._source,
                        "DetailType": detail_type,
                        "Detail": json.dumps(detail, separators=(",", ":")),
                    }
                ]
            )
        except AWS_EXCEPTIONS as exc:
            failure = failure_of(exc)
            raise AnnouncementError(
                failure.code, f"PutEvents to {self._bus}: {failure.message}", retryable=failure.retryable
            ) from exc
        entry = answer["Entries"][0] if answer.get("Entries") else {}
        if answer.get("FailedEntryCount") or "EventId" not in entry:
            code = entry.get("ErrorCode", "NoEventId")
            raise AnnouncementError(
                code,
                f"PutEvents to {self._bus} did not take the event",
                retryable=code in _PASSING or passes(code),
            )
        return entry["EventId"]
