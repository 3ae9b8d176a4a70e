"""The parameters: explained, grouped, bounded, and each condition that hangs on them decided both ways."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infrastructure.evaluation import decided, evaluated

type Json = dict[str, Any]

INSTANCE = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
KEY = "arn:aws:kms:eu-west-2:111122223333:key/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
SECRET = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:calls/webhook-a1B2c3"
WEBHOOK: dict[str, object] = {
    "LiveSinks": "segments,webhook",
    "WebhookUrl": "https://a.example/calls",
    "WebhookSecretArn": SECRET,
}
VPC: dict[str, object] = {
    "VpcSubnetIds": "subnet-0a1b2c3d, subnet-0123456789abcdef0",
    "VpcSecurityGroupIds": "sg-0a1b2c3d",
}
WIRED: dict[str, object] = {
    "ConnectInstanceArn": INSTANCE,
    "WireMediaStreaming": "true",
    "WireTrigger": "true",
    "WireFlow": "true",
}
# Condition: what makes it true; with the defaults of everything else it is false, or the other way round.
CONDITIONS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "MakesBucket": ({}, {"RecordingsBucketName": "calls.example"}),
    "HasStagingBucket": ({"StagingBucketName": "staging.example"}, {}),
    "HasInstance": ({"ConnectInstanceArn": INSTANCE}, {}),
    "HasRecordingsKey": ({"RecordingsKmsKeyArn": KEY}, {}),
    "HasStreamKey": ({"StreamKmsKeyArn": KEY}, {}),
    "HasLogsKey": ({"LogsKmsKeyArn": KEY}, {}),
    "WiresMediaStreaming": (WIRED, {"ConnectInstanceArn": INSTANCE}),
    "WiresTrigger": (WIRED, {"ConnectInstanceArn": INSTANCE}),
    "WiresFlow": (WIRED, {**WIRED, "WireFlow": "false"}),
    "HasFlowQueue": ({"FlowQueueArn": f"{INSTANCE}/queue/1f2e3d4c-0000-4000-8000-000000000002"}, {}),
    "MakesStreamKey": (WIRED, {**WIRED, "StreamKmsKeyArn": KEY}),
    "KnowsStreamKey": ({"StreamKmsKeyArn": KEY}, {}),
    "RecordingsExpire": ({"RecordingsExpirationDays": "17"}, {"RecordingsExpirationDays": "0"}),
    "SegmentsExpire": ({"LiveSegmentsExpirationDays": "1"}, {"LiveSegmentsExpirationDays": "0"}),
    "HasWebhookSecret": ({"WebhookSecretArn": SECRET}, {}),
    "HasWebhookSecretKey": (
        {"WebhookSecretArn": SECRET, "WebhookSecretKmsKeyArn": KEY},
        {"WebhookSecretKmsKeyArn": KEY},
    ),
    "HasWhisper": ({"WhisperUrl": "https://a.example/v1"}, {}),
    "HasWhisperSecret": ({"WhisperSecretArn": SECRET}, {}),
    "HasWhisperSecretKey": (
        {"WhisperSecretArn": SECRET, "WhisperSecretKmsKeyArn": KEY},
        {"WhisperSecretKmsKeyArn": KEY},
    ),
    "ReservesConsumers": ({"ConsumerReservedConcurrency": 0}, {"ConsumerReservedConcurrency": -1}),
    "ReservesTriggers": ({"TriggerReservedConcurrency": 10}, {}),
    "HasBoundary": ({"PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/rails/boundary"}, {}),
    "HasVpc": (VPC, {}),
    "SignsCode": (
        {"CodeSigningConfigArn": "arn:aws:lambda:eu-west-2:111122223333:code-signing-config:csc-0123456789abcdef0"},
        {},
    ),
    "HasFunctionsKey": ({"FunctionsKmsKeyArn": KEY}, {}),
    "HasDeadLettersKey": ({"DeadLettersKmsKeyArn": KEY}, {}),
    "NamesTheTrigger": ({"TriggerFunctionName": "record-this-call"}, {}),
    "HasCollector": ({"OpenTelemetryEndpoint": "https://a.example/v1/traces"}, {}),
    "HasTranscribe": ({"TranscribeEnabled": "true"}, {}),
    "HasOtherTimeout": ({"ConsumerTimeout": 1800}, {}),
    "UsesFips": ({"FipsEndpoints": "true"}, {}),
    "Announces": ({}, {"EventBusName": ""}),
    "Traces": ({"Tracing": "PassThrough"}, {"Tracing": "Disabled"}),
    "HasAlarms": ({}, {"AlarmsEnabled": "false"}),
    "AlarmsOnFlows": ({"ConnectInstanceArn": INSTANCE}, {"ConnectInstanceArn": INSTANCE, "AlarmsEnabled": "false"}),
    "HasAlarmTopic": ({"AlarmTopicArn": "arn:aws:sns:eu-west-2:111122223333:alarms"}, {}),
    "AlarmsOnWords": ({"WordsDailyMinutesAlarm": 500}, {"WordsDailyMinutesAlarm": 500, "AlarmsEnabled": "false"}),
    "HasContactEvents": ({"ContactEvents": "on"}, {}),
    "AlarmsOnContactEvents": ({"ContactEvents": "on"}, {"ContactEvents": "on", "AlarmsEnabled": "false"}),
    "HasDashboard": ({}, {"DashboardEnabled": "false"}),
}


def stack(template: Json, **parameters: object) -> Json:
    found: Json = evaluated(template, {"StreamNamePrefix": "live", **parameters})["Resources"]
    return found


def test_every_condition_is_listed_here(template: Json) -> None:
    assert set(template["Conditions"]) == set(CONDITIONS)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_decided_both_ways_and_changes_what_is_deployed(template: Json, condition: str) -> None:
    true, false = ({"StreamNamePrefix": "live", **one} for one in CONDITIONS[condition])
    assert (decided(template, condition, true), decided(template, condition, false)) == (True, False)
    with_flow = WIRED if condition == "HasFlowQueue" else {}
    assert evaluated(template, {**true, **with_flow}) != evaluated(template, {**false, **with_flow})


def test_each_parameter_stands_in_one_group_with_a_label_and_a_description(template: Json) -> None:
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    assert set(interface["ParameterLabels"]) == set(template["Parameters"])
    assert all(group["Label"]["default"] for group in interface["ParameterGroups"])
    # The console asks in the order of the groups, `sam deploy --guided` in that of the declarations.
    assert grouped == list(template["Parameters"])
    assert all(len(one["Description"]) > 10 for one in template["Parameters"].values())


def test_each_parameter_has_bounds_and_says_them_where_a_pattern_would_not(template: Json) -> None:
    for name, one in template["Parameters"].items():
        if "AllowedPattern" in one:
            assert one["ConstraintDescription"].startswith("must be "), name
        elif one["Type"] == "Number":
            assert {"MinValue", "MaxValue"} <= set(one) or "AllowedValues" in one, name
        else:
            assert one["AllowedValues"], name


def test_a_stack_needs_no_parameter_but_the_streams_prefix(template: Json) -> None:
    assert [name for name, one in template["Parameters"].items() if "Default" not in one] == ["StreamNamePrefix"]
    assert not any(one.get("NoEcho") for one in template["Parameters"].values())  # none is secret


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ConnectInstanceArn", "arn:aws:connect:eu-west-2:111122223333:instance/"),
        ("ConnectInstanceArn", f"{INSTANCE}/queue/1"),
        ("StreamNamePrefix", "live*"),
        ("StreamKmsKeyArn", "alias/streams"),
        ("RecordingsKmsKeyArn", "arn:aws:kms:eu-west-2:111122223333:alias/recordings"),
        ("LogsKmsKeyArn", "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"),
        ("RecordingsBucketName", "Calls"),
        ("StagingBucketName", "Staging"),
        ("RecordingsPrefix", "/recordings"),
        ("RecordingsExpirationDays", "-1"),
        ("RecordingsExpirationDays", ""),
        ("RecordingsExpirationDays", "017"),
        ("MediaStreamRetentionHours", 87601),
        ("WireTrigger", "yes"),
        ("FlowQueueArn", INSTANCE),
        ("PermissionsBoundaryArn", "arn:aws:iam::111122223333:role/boundary"),
        ("RolePath", "rails"),
        ("RolePath", "/rails"),
        ("VpcSubnetIds", "subnet-0a1b2c3d,vpc-0a1b2c3d"),
        ("VpcSecurityGroupIds", "default"),
        ("CodeSigningConfigArn", "csc-0123456789abcdef0"),
        ("FunctionsKmsKeyArn", "alias/functions"),
        ("DeadLettersKmsKeyArn", "alias/letters"),
        ("FipsEndpoints", "yes"),
        ("ConsumerTimeout", 1801),
        ("MaximumEventAgeSeconds", 59),
        ("TriggerFunctionName", "record call"),
        ("LiveSinks", "Segments"),
        ("LiveSinks", "segments,my sink"),
        ("LiveSinks", "s" * 33),
        ("LiveSegmentSeconds", 0),
        ("LiveSegmentSeconds", 61),
        ("LiveSegmentLayout", "mono"),
        ("LiveSegmentRate", "8000"),
        ("LiveBufferSeconds", 14),
        ("LiveBufferSeconds", 301),
        ("LiveSegmentsExpirationDays", "-1"),
        ("LiveSegmentsExpirationDays", "07"),
        ("WebhookUrl", "http://a.example"),
        ("WebhookSecretArn", "a secret in place of its ARN"),
        ("WebhookSecretKmsKeyArn", "alias/secrets"),
        ("WebhookPrivateAddresses", "yes"),
        ("LiveSinkOptions", "endpoint=a.example"),
        ("WordsDailyMinutesAlarm", -1),
        ("WhisperUrl", "ftp://a.example"),
        ("WhisperModel", "a model"),
        ("WhisperSecretArn", "a key in place of its ARN"),
        ("WhisperSecretKmsKeyArn", "alias/secrets"),
        ("WhisperPrivateAddresses", "yes"),
        ("ConsumerMemory", 127),
        ("ConsumerReservedConcurrency", -2),
        ("EventBusName", "arn:aws:events:eu-west-2:111122223333:event-bus/calls"),
        ("Tracing", "Off"),
        ("OpenTelemetryEndpoint", "localhost:4318"),
        ("AlarmTopicArn", "arn:aws:sns:eu-west-2:111122223333:alarms:subscription"),
        ("RunbookUrl", "https://wiki.example/runbook#top"),
        ("RunbookUrl", 'https://wiki.example/"'),
        ("RunbookUrl", r"https://wiki.example/\n"),
        ("RunbookUrl", "https://wiki.example/runbook_(new)"),
    ],
)
def test_a_value_out_of_bounds_is_refused(template: Json, parameter: str, value: object) -> None:
    with pytest.raises(AssertionError, match=parameter):
        stack(template, **{parameter: value})


def test_rules_use_the_functions_alone_that_cloudformation_takes_there(template: Json) -> None:
    # CloudFormation's template reference, "Rule functions": these and Ref.
    supported = {
        "And",
        "Contains",
        "EachMemberEquals",
        "EachMemberIn",
        "Equals",
        "Not",
        "Or",
        "RefAll",
        "ValueOf",
        "ValueOfAll",
    }
    used = set(re.findall(r"Fn::(\w+)", json.dumps(template["Rules"])))
    assert used - supported == set()


# What the smaller switches do


@pytest.mark.parametrize("function", ["Consumer", "Trigger"])
def test_concurrency_is_reserved_only_where_a_number_is_given(template: Json, function: str) -> None:
    assert "ReservedConcurrentExecutions" not in stack(template)[f"{function}Function"]["Properties"]
    reserved = stack(template, **{f"{function}ReservedConcurrency": 0})[f"{function}Function"]["Properties"]
    assert reserved["ReservedConcurrentExecutions"] == 0


@pytest.mark.parametrize("group", ["ConsumerLogGroup", "TriggerLogGroup"])
def test_logs_are_encrypted_with_a_key_of_one_s_own_if_there_is_one(template: Json, group: str) -> None:
    assert "KmsKeyId" not in stack(template)[group]["Properties"]
    assert stack(template, LogsKmsKeyArn=KEY, LogRetentionDays=7)[group]["Properties"] == {
        "KmsKeyId": KEY,
        "RetentionInDays": 7,
    }


@pytest.mark.parametrize(
    ("chosen", "mode", "disabled"),
    [("Active", "Active", "false"), ("PassThrough", "PassThrough", "false"), ("Disabled", "PassThrough", "true")],
)
def test_powertools_traces_just_where_lambda_does(template: Json, chosen: str, mode: str, disabled: str) -> None:
    for function in ("TriggerFunction", "ConsumerFunction"):
        found = stack(template, Tracing=chosen)[function]["Properties"]
        assert found["Tracing"] == mode
        assert found["Environment"]["Variables"]["POWERTOOLS_TRACE_DISABLED"] == disabled


@pytest.mark.parametrize("missing", ["WebhookUrl", "WebhookSecretArn"])
def test_the_sink_webhook_needs_its_address_and_its_secret_and_no_other_sink_does(template: Json, missing: str) -> None:
    assert stack(template, **WEBHOOK)
    without = {name: value for name, value in WEBHOOK.items() if name != missing}
    with pytest.raises(AssertionError, match=f"webhook in LiveSinks needs {missing}"):
        stack(template, **without)
    assert stack(template, **{**without, "LiveSinks": "segments, my-webhook"})


@pytest.mark.parametrize("missing", ["WebhookUrl", "WebhookSecretArn"])
def test_words_to_the_webhook_need_its_address_and_its_secret_and_not_its_sink(template: Json, missing: str) -> None:
    of_words = {**WEBHOOK, "LiveSinks": "whisper", "WhisperUrl": "https://a.example", "WordsWebhook": "all"}
    assert stack(template, **of_words)
    without = {name: value for name, value in of_words.items() if name != missing}
    with pytest.raises(AssertionError, match=f"WordsWebhook needs {missing}"):
        stack(template, **without)
    assert stack(template, **{**without, "WordsWebhook": "off"})


def test_the_sink_whisper_needs_its_address_and_a_key_opens_one_secret(template: Json) -> None:
    with pytest.raises(AssertionError, match="whisper in LiveSinks needs WhisperUrl"):
        stack(template, LiveSinks="whisper")
    assert stack(template, LiveSinks="whisper", WhisperUrl="http://10.0.0.7:8000/v1")


def test_an_existing_bucket_is_used_and_none_is_made(template: Json) -> None:
    there = stack(template, RecordingsBucketName="calls.example")
    assert not [name for name, one in there.items() if one["Type"].startswith("AWS::S3::")]


def test_a_key_for_the_recordings_encrypts_the_bucket_that_the_stack_makes(template: Json) -> None:
    def encryption(**parameters: object) -> Json:
        bucket = stack(template, **parameters)["RecordingsBucket"]["Properties"]
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert isinstance(rule, dict)
        return rule

    assert encryption() == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert encryption(RecordingsKmsKeyArn=KEY) == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
    }


def test_nothing_that_holds_recordings_or_tells_of_them_goes_with_the_stack(template: Json) -> None:
    there = stack(template, **WIRED)
    # A first deployment that fails takes what it has made along: nothing is in it yet.
    kept = {name for name, one in there.items() if one.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert kept == {
        "RecordingsBucket",
        "RecordingsBucketPolicy",
        "FailedRecordings",
        "FailedRecordingsPolicy",
        "StreamKey",
        "TriggerLogGroup",
        "ConsumerLogGroup",
        "ExecutionEndedLogGroup",
    }
    assert all(there[name]["UpdateReplacePolicy"] == "Retain" for name in kept)
