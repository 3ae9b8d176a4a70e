"""The example of words after the call: its handler is there, its rules reach it, and its role can do no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.recorder.outcome import OutcomeStatus
from connect_audio.recorder.recording_event import DETAIL_TYPES, REPAIRED
from connect_audio.settings import TranscribeJobSettings, variables
from infrastructure.evaluation import evaluated

type Json = dict[str, Any]
ROOT: Final = Path(__file__).parents[2]
KEY: Final = "arn:aws:kms:eu-west-2:111122223333:key/00000000-0000-4000-8000-0000000000ee"
TOPIC: Final = "arn:aws:sns:eu-west-2:111122223333:alarms"


@pytest.fixture(scope="module")
def stack(example: Callable[[str], Json]) -> Callable[..., Json]:
    def found(**parameters: str) -> Json:
        given = {"RecordingsBucketName": "calls.example", **parameters}
        resources: Json = evaluated(example("transcribe-jobs"), given)["Resources"]
        return resources

    return found


def statements(resources: Json) -> list[Json]:
    (policy,) = resources["JobsRole"]["Properties"]["Policies"]
    found: list[Json] = policy["PolicyDocument"]["Statement"]
    return found


def actions(statement: Json) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def test_the_handler_is_a_function_and_its_settings_are_set(stack: Callable[..., Json]) -> None:
    function = stack()["JobsFunction"]["Properties"]
    module, attribute = function["Handler"].rsplit(".", 1)
    assert callable(getattr(import_module(module), attribute))
    assert {each.name for each in variables(TranscribeJobSettings)} <= set(function["Environment"]["Variables"])


def test_three_rules_reach_the_function_and_each_has_its_permission(stack: Callable[..., Json]) -> None:
    resources = stack(EventBusName="calls")
    rules = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::Events::Rule"}
    for name, rule in rules.items():
        assert [each["Arn"] for each in rule["Targets"]] == ["<JobsFunction.Arn>"]
        permission = resources[f"{name}Permission"]["Properties"]
        assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", f"<{name}.Arn>")
    published = [DETAIL_TYPES[each] for each in (OutcomeStatus.COMPLETE, OutcomeStatus.PARTIAL)]
    assert rules["RecordingRule"]["EventPattern"]["detail-type"] == [*published, REPAIRED]
    # AWS's own events are on the default bus alone, and only there may a rule have a schedule.
    assert {name: rule.get("EventBusName") for name, rule in rules.items()} == {
        "RecordingRule": "calls",
        "JobRule": None,
        "DueRule": None,
    }


def test_no_recording_and_no_manifest_can_be_written_or_deleted(stack: Callable[..., Json]) -> None:
    written = [
        each["Resource"] for each in statements(stack()) if {"s3:PutObject", "s3:DeleteObject"} & set(actions(each))
    ]
    assert written == [
        "arn:aws:s3:::calls.example/transcribe-jobs/*",
        "arn:aws:s3:::calls.example/transcribe-jobs/due/*",
        [
            "arn:aws:s3:::calls.example/recordings/*.transcript.json",
            "arn:aws:s3:::calls.example/recordings/*.vtt",
        ],
    ]


def test_jobs_write_their_results_into_the_bucket_alone(stack: Callable[..., Json]) -> None:
    (start,) = [each for each in statements(stack()) if "transcribe:StartTranscriptionJob" in actions(each)]
    assert start["Condition"] == {"StringEquals": {"transcribe:OutputBucketName": "calls.example"}}
    analytics = statements(stack(JobKind="analytics"))
    (start,) = [each for each in analytics if "transcribe:StartCallAnalyticsJob" in actions(each)]
    place = "s3://calls.example/transcribe-jobs/*"
    assert start["Condition"] == {"StringLike": {"transcribe:OutputLocation": place}}


def test_call_analytics_has_a_role_that_transcribe_alone_may_take(stack: Callable[..., Json]) -> None:
    resources = stack(JobKind="analytics")
    (passing,) = [each for each in statements(resources) if actions(each) == ["iam:PassRole"]]
    assert passing["Resource"] == "<AnalyticsRole.Arn>"
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "transcribe.amazonaws.com"}}
    role = resources["AnalyticsRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "transcribe.amazonaws.com"}
    assert set(trust["Condition"]) == {"StringEquals", "ArnLike"}
    (policy,) = role["Policies"]
    assert {each["Action"]: each["Resource"] for each in policy["PolicyDocument"]["Statement"]} == {
        "s3:GetObject": "arn:aws:s3:::calls.example/recordings/*",
        "s3:PutObject": "arn:aws:s3:::calls.example/transcribe-jobs/*",
    }
    assert "AnalyticsRole" not in stack()


@pytest.mark.parametrize(
    ("kind", "detail_type", "status"),
    [
        ("transcription", "Transcribe Job State Change", "TranscriptionJobStatus"),
        ("analytics", "Call Analytics Job State Change", "JobStatus"),
    ],
)
def test_the_rule_matches_the_end_of_each_kind_of_job(
    stack: Callable[..., Json], kind: str, detail_type: str, status: str
) -> None:
    pattern = stack(JobKind=kind)["JobRule"]["Properties"]["EventPattern"]
    assert pattern["detail-type"] == [detail_type]
    assert pattern["detail"] == {status: ["COMPLETED", "FAILED"]}


def test_key_and_alarm_are_there_where_they_are_named(stack: Callable[..., Json]) -> None:
    def sids(**parameters: str) -> set[str]:
        return {each["Sid"] for each in statements(stack(**parameters))}

    assert sids(RecordingsKmsKeyArn=KEY) - sids() == {"UseTheRecordingsKey"}
    assert set(stack(AlarmTopicArn=TOPIC)) - set(stack()) == {"JobsErrorsAlarm"}


def test_the_table_of_its_rights_is_the_template_s(stack: Callable[..., Json]) -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    section = text.split("### The rights of words after the call")[1].split("\n### ")[0].split("\n## ")[0]
    documented = {
        action
        for line in section.splitlines()
        if line.startswith("| `")
        for action in re.findall("`([a-z0-9]+:[A-Za-z]+)`", line.split("|")[1])
    }
    kinds = ("transcription", "analytics")
    everything = [each for kind in kinds for each in statements(stack(RecordingsKmsKeyArn=KEY, JobKind=kind))]
    assert documented == {action for each in everything for action in actions(each)}
