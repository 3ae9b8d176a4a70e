"""The event that announces the result of a recording (`docs/recording-event.schema.json`, `docs/observability.md`).

The consumer's last step hands it to an `EventBus`. It holds ids, places and numbers. Readers of
the bus learn nothing about the words of the call, or about its parties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connect_audio.core.manifest import rfc3339
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.outcome import Outcome, OutcomeStatus
from connect_audio.request import RecordingRequest
from connect_audio.values import dataclass

SCHEMA_VERSION: Final = "1.0"
"""The minor number grows with a new field, the major one where a reader of the old form would go wrong."""
SOURCE: Final = "connect-audio"

DETAIL_TYPES: Final[Mapping[OutcomeStatus, str]] = {
    OutcomeStatus.COMPLETE: "Recording Completed",
    OutcomeStatus.PARTIAL: "Recording Partial",
    OutcomeStatus.EMPTY: "Recording Failed",
    OutcomeStatus.KEY_TAKEN: "Recording Failed",
    OutcomeStatus.FAILED: "Recording Failed",
}
"""A refused execution has no event: the execution that holds the recording announces it."""

REPAIRED: Final = "Recording Repaired"
"""The type of the second event of a recording, whatever the status of the better one."""


@dataclass(frozen=True, slots=True)
class RecordingEvent:
    """One event.

    Args:
        detail_type: EventBridge's `detail-type`.
        detail: an object of the schema.
    """

    detail_type: str
    detail: Mapping[str, Any]


def recording_event(
    request: RecordingRequest, outcome: Outcome, names: RecordingNames, *, is_repaired: bool = False
) -> RecordingEvent | None:
    """Make the event of an outcome; None for one that is not announced.

    Args:
        request: the streaming to be recorded.
        outcome: the execution's result.
        names: the recording's objects.
        is_repaired: True if a better recording replaced an announced one.
    """
    detail_type = REPAIRED if is_repaired else DETAIL_TYPES.get(outcome.status)
    if detail_type is None:
        return None
    there = outcome.recording is not None
    return RecordingEvent(
        detail_type,
        {
            "schemaVersion": SCHEMA_VERSION,
            "executionName": request.execution_name,
            "contactId": request.contact_id,
            "instanceId": request.instance_id,
            "startTimestamp": rfc3339(request.start_timestamp_ms),
            "status": outcome.status.value,
            "endReason": outcome.end_reason.value if outcome.end_reason else None,
            "reasons": list(outcome.reasons),
            "recordingUri": outcome.recording,
            "manifestUri": outcome.manifest,
            "bucket": names.bucket,
            "key": names.key if there else None,
            "durationSeconds": outcome.duration_s,
            "sampleRate": outcome.sample_rate,
            "channels": 2 if there else None,
        },
    )
