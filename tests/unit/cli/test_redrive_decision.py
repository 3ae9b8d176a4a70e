"""The decision on a message, as a table: the attempts that Lambda knows, and what follows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connect_audio.request import stack_mark
from connect_audio_cli.redrive.decision import (
    Attempt,
    Decision,
    FailedRecording,
    InDoubtError,
    Running,
    StartAgain,
    Succeeded,
    decide,
    finished_as,
    new_execution,
)
from support.world import REQUEST

NOW_MS = 1_782_912_665_536
LONG_AGO = datetime.fromtimestamp(NOW_MS / 1000 - 1800, UTC)
JUST_NOW = datetime.fromtimestamp(NOW_MS / 1000 - 1799, UTC)


def attempt(number: int, status: str, ended: datetime | None = LONG_AGO) -> Attempt:
    return Attempt(number, f"name-r{number}" if number else "name", f"arn-{number}", status, ended)


FAILED, NEXT_FAILED = attempt(0, "FAILED"), attempt(1, "FAILED")
RUNNING, NEXT_RUNNING = attempt(0, "RUNNING", None), attempt(1, "RUNNING", None)
SUCCEEDED, NEXT_SUCCEEDED = attempt(0, "SUCCEEDED"), attempt(1, "SUCCEEDED")
STOPPED, TIMED_OUT = attempt(0, "STOPPED"), attempt(1, "TIMED_OUT")


@pytest.mark.parametrize(
    ("attempts", "decision"),
    [
        ([], StartAgain(None)),
        ([FAILED], StartAgain(FAILED)),
        ([FAILED, NEXT_FAILED], StartAgain(NEXT_FAILED)),
        ([STOPPED, TIMED_OUT], StartAgain(TIMED_OUT)),
        ([RUNNING], Running(RUNNING)),
        ([attempt(0, "PAUSING", None)], Running(attempt(0, "PAUSING", None))),
        ([attempt(0, "PAUSED", None)], Running(attempt(0, "PAUSED", None))),
        ([RUNNING, NEXT_FAILED], Running(RUNNING)),
        ([SUCCEEDED, NEXT_RUNNING], Running(NEXT_RUNNING)),
        ([SUCCEEDED], Succeeded(SUCCEEDED)),
        ([FAILED, NEXT_SUCCEEDED], Succeeded(NEXT_SUCCEEDED)),
        # A success before a failure does not count: the newest attempt was started since the recording was not there.
        ([SUCCEEDED, NEXT_FAILED], StartAgain(NEXT_FAILED)),
    ],
)
def test_the_statuses_of_the_attempts_decide(attempts: list[Attempt], decision: Decision) -> None:
    assert decide(attempts, NOW_MS) == decision


@pytest.mark.parametrize("status", ["STOPPED", "TIMED_OUT"])
@pytest.mark.parametrize("number", [0, 1])
def test_an_attempt_cut_off_within_lambda_s_longest_invocation_is_in_doubt(status: str, number: int) -> None:
    cut_off = attempt(number, status, JUST_NOW)
    attempts = [cut_off, NEXT_FAILED] if number == 0 else [FAILED, cut_off]
    with pytest.raises(InDoubtError, match=rf"{status}, its last invocation may still run: try again in 1 minute$"):
        decide(attempts, NOW_MS)


@pytest.mark.parametrize("status", ["complete", "partial", "empty"])
def test_a_result_with_a_recording_or_without_audio_finishes_the_message(status: str) -> None:
    assert finished_as(SUCCEEDED, f'{{"status": "{status}"}}') == status


@pytest.mark.parametrize(
    "result",
    [
        None,
        "",
        "no JSON",
        "[]",
        "{}",
        "7",
        '{"status": null}',
    ],
)
def test_a_result_that_says_nothing_is_in_doubt(result: str | None) -> None:
    with pytest.raises(InDoubtError, match="Lambda shows no result of it that says with what"):
        finished_as(SUCCEEDED, result)


def test_a_result_without_a_recording_is_in_doubt() -> None:
    with pytest.raises(InDoubtError, match="it returned failed"):
        finished_as(SUCCEEDED, '{"status": "failed"}')


def test_the_new_execution_records_in_the_manner_of_the_failed_one() -> None:
    given = {**REQUEST.to_payload(), "mode": "archive", "contactEvents": True}
    again = new_execution(FailedRecording.from_body(json.dumps(given)), FAILED, None)
    assert json.loads(again.payload) == given


def test_a_message_of_either_release_continues_under_the_name_that_its_executions_have() -> None:
    for request in (REQUEST, replace(REQUEST, stack=stack_mark("consumer:live"))):
        again = new_execution(FailedRecording.from_body(json.dumps(request.to_payload())), FAILED, None)
        assert again.name == f"{request.execution_name}-r1"
        assert json.loads(again.payload) == request.to_payload()


@pytest.mark.parametrize(("newest", "suffix"), [(None, "-r1"), (FAILED, "-r1"), (attempt(7, "FAILED"), "-r8")])
def test_the_new_execution_has_the_next_number(newest: Attempt | None, suffix: str) -> None:
    execution = new_execution(FailedRecording(REQUEST, None, None), newest, None)
    assert execution.name == REQUEST.execution_name + suffix
    assert execution.start.startswith("from the beginning")
