"""The event that tells others what became of a recording (`docs/recording-event.schema.json`, `docs/observability.md`).

The consumer's last step hands it to an `EventBus`. Ids, places and numbers alone: whoever may read the bus is told
nothing of what was said, nor by whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from connect_audio.core.manifest import rfc3339
from connect_audio.recorder.publication import Outcome, OutcomeStatus
from connect_audio.request import RecordingRequest

SCHEMA_VERSION: Final = "1.0"
"""The minor number grows with a new field, the major one where a reader of the old form would go wrong."""
SOURCE: Final = "connect-audio"

DETAIL_TYPES: Final[Mapping[OutcomeStatus, str]] = {
    OutcomeStatus.COMPLETE: "Recording Completed",
    OutcomeStatus.PARTIAL: "Recording Partial",
    OutcomeStatus.EMPTY: "Recording Failed",
    OutcomeStatus.FOREIGN: "Recording Failed",
    OutcomeStatus.FAILED: "Recording Failed",
}
"""A refused execution has no event: whoever holds the recording announces it."""


@dataclass(frozen=True, slots=True)
class RecordingEvent:
    """One event.

    Args:
        detail_type: EventBridge's `detail-type`.
        detail: what the schema describes.
    """

    detail_type: str
    detail: Mapping[str, Any]


def recording_event(request: RecordingRequest, outcome: Outcome, *, bucket: str, key: str) -> RecordingEvent | None:
    """Make the event of an outcome; None for one that is not announced.

    Args:
        request: what was to be recorded.
        outcome: what became of it.
        bucket: S3 bucket.
        key: the WAV's key.
    """
    detail_type = DETAIL_TYPES.get(outcome.status)
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
            "bucket": bucket,
            "key": key if there else None,
            "durationSeconds": outcome.duration_s,
            "sampleRate": outcome.sample_rate,
            "channels": 2 if there else None,
        },
    )
