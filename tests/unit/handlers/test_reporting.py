"""What the consumer's reports count, where a whole call does not easily show it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from aws_lambda_powertools import Logger

from connect_audio import telemetry
from connect_audio.core.live_state import LiveState, SinkCounts, SinkState
from connect_audio.core.manifest import EndReason
from connect_audio.handlers.reporting import ConsumerReports
from connect_audio.recorder import (
    Checkpoint,
    EndOfRecording,
    Granted,
    HandOver,
    Outcome,
    OutcomeStatus,
    Over,
    PartDone,
    Refused,
    StepResult,
    Wait,
)
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.checkpoint import StepCounts
from connect_audio.recorder.claim import Refusal
from connect_audio.recorder.parts import PartState
from connect_audio.recorder.step_result import Next
from connect_audio.telemetry import Metric
from support.emitted import by_metric, emitted
from support.world import REQUEST

START = REQUEST.start_timestamp_ms


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry._ColdStart, "pending", False)


@pytest.fixture
def reports() -> ConsumerReports:
    return ConsumerReports(REQUEST, Logger(service="reports", level="CRITICAL"))


def counted(capsys: pytest.CaptureFixture[str]) -> dict[Metric, list[float]]:
    return by_metric(emitted(capsys.readouterr().out))


def test_the_start_s_delay_is_told_to_the_millisecond_and_never_negative(
    reports: ConsumerReports, capsys: pytest.CaptureFixture[str]
) -> None:
    for now_ms in (START + 61_234, START - 5000):
        reports.claimed(Granted(), now_ms, continued=False)
    assert counted(capsys)[Metric.START_DELAY_SECONDS] == [61.234, 0]


@pytest.mark.parametrize(
    ("reason", "claims"), [(Refusal.CLAIMED, {Metric.CLAIMS_REFUSED: [1]}), (Refusal.ALREADY_RECORDED, {})]
)
def test_a_refusal_by_a_standing_claim_is_counted_apart(
    reports: ConsumerReports, capsys: pytest.CaptureFixture[str], reason: Refusal, claims: dict[Metric, list[float]]
) -> None:
    reports.claimed(Refused(reason=reason), START, continued=False)
    assert counted(capsys) == {Metric.RECORDINGS_REFUSED: [1]} | claims


def test_a_redriven_execution_says_nothing_of_how_long_starts_take(
    reports: ConsumerReports, capsys: pytest.CaptureFixture[str]
) -> None:
    reports.claimed(Granted(repairs=1), START + 86_400_000, continued=True)
    assert counted(capsys) == {Metric.INTERRUPTED_ATTEMPTS: [1]}


@pytest.mark.parametrize(
    "following", [PartDone(), HandOver(), Wait(10), Over(EndOfRecording(EndReason.IDLE))], ids=repr
)
def test_the_margin_is_told_at_a_hand_over_alone(
    reports: ConsumerReports, capsys: pytest.CaptureFixture[str], following: Next
) -> None:
    before, after = (
        Checkpoint(
            read=ReadState(reconnects=reconnects),
            counts=StepCounts(hand_overs=hand_overs),
            parts=PartState(number=part),
        )
        for reconnects, hand_overs, part in ((3, 1, 2), (5, 2, 3))
    )
    reports.recorded(before, StepResult(next=following, checkpoint=after, repairs=4), step_s=130.5, left_s=58.25)
    margin = {Metric.DEADLINE_MARGIN_SECONDS: [58.25]} if isinstance(following, HandOver) else {}
    assert counted(capsys) == margin | {
        Metric.STEP_SECONDS: [130.5],
        Metric.PARTS: [1],
        Metric.RECONNECTS: [2],
        Metric.HAND_OVERS: [1],
        Metric.DAMAGED_RUNS: [4],
    }


@pytest.mark.parametrize("status", list(OutcomeStatus))
@pytest.mark.parametrize("end_reason", [None, *EndReason])
def test_each_outcome_is_counted_once_and_an_empty_one_as_failed_where_nobody_could_read_it(
    reports: ConsumerReports,
    capsys: pytest.CaptureFixture[str],
    status: OutcomeStatus,
    end_reason: EndReason | None,
) -> None:
    reports.ended(Outcome(status=status, end_reason=end_reason), START)
    unread = status is OutcomeStatus.EMPTY and end_reason in {EndReason.SOURCE_FAILED, EndReason.RECORDER_FAILED}
    name = {
        OutcomeStatus.COMPLETE: "RecordingsCompleted",
        OutcomeStatus.KEY_TAKEN: "RecordingsFailed",
    }.get(status, f"Recordings{status.value.title()}")
    ends = [metric.title for metric in counted(capsys) if metric.title.startswith("Recordings")]
    assert ends == ["RecordingsFailed" if unread else name]


def with_recognized(*frames: int) -> Checkpoint:
    """A checkpoint after so much recognized audio of each sink."""
    sinks = {str(number): SinkState(counts=SinkCounts(recognized_frames=each)) for number, each in enumerate(frames)}
    return Checkpoint(live=LiveState(sinks=sinks))


def test_the_recognized_audio_of_a_step_is_told_once_and_calls_without_words_have_no_such_metric(
    reports: ConsumerReports, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [with_recognized(0), with_recognized(0), with_recognized(12_000), with_recognized(20_000, 0)]
    for before, after in pairwise(steps):
        reports.recorded(before, StepResult(next=PartDone(), checkpoint=after), step_s=1, left_s=1)
    assert counted(capsys)[Metric.RECOGNIZED_SECONDS] == [1.5, 1]


def test_the_dropped_messages_of_a_step_are_counted_once_and_calls_without_any_have_no_such_metric(
    reports: ConsumerReports, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [
        Checkpoint(live=LiveState(sinks={"transcribe": SinkState(counts=SinkCounts(dropped_messages=each))}))
        for each in (0, 0, 3, 3, 4)
    ]
    for before, after in pairwise(steps):
        reports.recorded(before, StepResult(next=PartDone(), checkpoint=after), step_s=1, left_s=1)
    assert counted(capsys)[Metric.LIVE_DROPPED_MESSAGES] == [3, 1]
