"""State that a redriven execution takes over: it passes through JSON unchanged, and what is no state is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from connect_audio.core.errors import RequestError
from connect_audio.core.recording_facts import EndReason
from connect_audio.ports import UploadedPart
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.continuation import CONTINUES, Continuation
from connect_audio.recorder.end_of_call import EndOfRecording
from connect_audio.recorder.step_result import Over, PartDone, StepResult

FAILED: Final = Continuation(execution="arn:aws:lambda:eu-west-2:123456789012:function:consumer:1/durable/call/1")
STEP: Final = StepResult(next=PartDone(), checkpoint=Checkpoint())
PARTS: Final = tuple(UploadedPart(number=number, etag=f'"{number}"', size=5_242_880) for number in (2, 3))


def passed_on(continuation: Continuation) -> Continuation | None:
    """What a consumer reads out of its input, which came through JSON."""
    return Continuation.from_payload(json.loads(json.dumps({CONTINUES: continuation.to_json()})))


def test_a_continuation_gathers_parts_and_keys_of_notes_and_keeps_the_last_result() -> None:
    steps = [
        replace(STEP, part=PARTS[0]),
        replace(STEP, notes_key="notes/1"),
        replace(STEP, part=PARTS[1], notes_key="notes/2"),
        replace(STEP, repairs=1),
    ]

    continued = FAILED
    for step in steps:
        continued = continued.after(step)

    assert continued == replace(FAILED, last=steps[-1], parts=PARTS, notes_keys=("notes/1", "notes/2"))


@pytest.mark.parametrize(
    "continuation", [FAILED, FAILED.after(replace(STEP, part=PARTS[0], notes_key="notes/1", behind_ms=7))]
)
def test_a_continuation_reaches_the_next_execution_as_it_was(continuation: Continuation) -> None:
    assert passed_on(continuation) == continuation


def test_a_continuation_is_over_once_its_last_step_found_the_end() -> None:
    over = replace(STEP, next=Over(EndOfRecording(EndReason.DISCONNECTED)))

    assert not FAILED.over
    assert not FAILED.after(STEP).over
    assert FAILED.after(over).over


def test_an_input_without_a_continuation_begins_a_recording() -> None:
    assert Continuation.from_payload({}) is None


@pytest.mark.parametrize("data", [{}, {"execution": "arn", "last": 7}, {"execution": "arn", "parts": 7}, "arn"])
def test_what_the_redrive_command_does_not_write_is_refused_as_malformed(data: Any) -> None:
    with pytest.raises(RequestError, match="continues is not what the redrive command writes") as caught:
        Continuation.from_payload({CONTINUES: data})

    assert caught.value.reason == "MALFORMED_EVENT"
