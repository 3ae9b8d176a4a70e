"""The event of each outcome, against its schema, and what it tells of a real recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator, ValidationError

from connect_audio.core.manifest import EndReason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.recorder import Outcome, OutcomeStatus
from connect_audio.recorder.recording_event import DETAIL_TYPES, SCHEMA_VERSION, RecordingEvent, recording_event
from support.calls import call
from support.json_text import through_json
from support.world import BUCKET, NAMES, REQUEST, world

ROOT: Final = Path(__file__).parents[3]
SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "recording-event.schema.json").read_text("utf-8"))
WAV, MANIFEST = f"s3://{BUCKET}/{NAMES.key}", f"s3://{BUCKET}/{NAMES.manifest}"
OUTCOMES: Final = {
    "complete": Outcome(
        status=OutcomeStatus.COMPLETE,
        recording=WAV,
        manifest=MANIFEST,
        duration_s=20.5,
        end_reason=EndReason.DISCONNECTED,
        sample_rate=8000,
    ),
    "partial": Outcome(
        status=OutcomeStatus.PARTIAL,
        recording=WAV,
        manifest=MANIFEST,
        duration_s=7,
        reasons=("LOST_BYTES", "STREAM_HOLES"),
        end_reason=EndReason.IDLE,
        sample_rate=8000,
    ),
    "empty": Outcome(
        status=OutcomeStatus.EMPTY, manifest=MANIFEST, reasons=("NO_AUDIO",), end_reason=EndReason.SOURCE_FAILED
    ),
    "key_taken": Outcome(status=OutcomeStatus.KEY_TAKEN, end_reason=EndReason.DISCONNECTED),
    "failed": Outcome(status=OutcomeStatus.FAILED, reasons=("STEP_FAILED",), end_reason=EndReason.RECORDER_FAILED),
}


def event_of(outcome: Outcome) -> RecordingEvent:
    event = recording_event(REQUEST, outcome, NAMES)
    assert event is not None
    return event


def validate(detail: object) -> None:
    Draft202012Validator(SCHEMA).validate(detail)


@pytest.mark.parametrize("status", list(OUTCOMES))
def test_the_event_of_each_outcome_is_what_the_schema_says(status: str) -> None:
    event = event_of(OUTCOMES[status])
    validate(through_json(event.detail))
    assert event.detail["status"] == status
    assert event.detail["schemaVersion"] == SCHEMA_VERSION
    # Nothing that the schema does not list, so that a new field is written down there.
    assert list(event.detail) == SCHEMA["required"] == list(SCHEMA["properties"])


def test_completed_partial_and_failed_are_told_apart_by_the_detail_type() -> None:
    assert {status: event_of(outcome).detail_type for status, outcome in OUTCOMES.items()} == {
        "complete": "Recording Completed",
        "partial": "Recording Partial",
        "empty": "Recording Failed",
        "key_taken": "Recording Failed",
        "failed": "Recording Failed",
    }
    assert {each.value for each in DETAIL_TYPES} == set(OUTCOMES) == set(SCHEMA["properties"]["status"]["enum"])


@pytest.mark.parametrize("status", ["complete", "partial"])
def test_a_better_recording_is_announced_by_a_type_of_its_own(status: str) -> None:
    event = recording_event(REQUEST, OUTCOMES[status], NAMES, is_repaired=True)
    assert event is not None
    validate(through_json(event.detail))
    assert (event.detail_type, event.detail["status"]) == ("Recording Repaired", status)


def test_a_refused_execution_announces_nothing_since_another_has_the_recording() -> None:
    refused = Outcome(status=OutcomeStatus.REFUSED, reasons=("CLAIMED",))
    assert recording_event(REQUEST, refused, NAMES) is None


def test_a_recorded_call_s_event_tells_where_the_wav_is_and_what_it_holds() -> None:
    run = world(call(20)).run()
    detail = event_of(from_plain(Outcome, through_json(to_plain(run.outcome)))).detail
    assert detail == {
        "schemaVersion": "1.0",
        "executionName": REQUEST.execution_name,
        "contactId": REQUEST.contact_id,
        "instanceId": REQUEST.instance_id,
        "startTimestamp": run.manifest["startTimestamp"],
        "status": "complete",
        "endReason": "DISCONNECTED",
        "reasons": [],
        "recordingUri": WAV,
        "manifestUri": MANIFEST,
        "bucket": BUCKET,
        "key": NAMES.key,
        "durationSeconds": 20.0,
        "sampleRate": 8000,
        "channels": 2,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": "2.0"},
        {"status": "lost"},
        {"status": "empty"},
        {"recordingUri": None},
        {"reasons": ["because"]},
        {"reasons": ["LOST_BYTES"]},
        {"channels": 1},
        {"startTimestamp": "2026-07-01"},
        {"durationSeconds": 0},
    ],
    ids=str,
)
def test_the_schema_refuses_what_no_event_says(change: dict[str, Any]) -> None:
    detail = dict(event_of(OUTCOMES["complete"]).detail)
    with pytest.raises(ValidationError):
        validate({**detail, **change})


def test_an_event_stays_far_below_eventbridge_s_256_kb() -> None:
    reasons = tuple(f"REASON_{number:02d}" for number in range(30))
    event = event_of(Outcome(status=OutcomeStatus.PARTIAL, recording=WAV, manifest=MANIFEST, reasons=reasons))
    assert len(json.dumps(event.detail)) < 4096
