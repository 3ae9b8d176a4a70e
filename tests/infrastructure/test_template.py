"""What SAM's linter does not see: the template says what the design says and what the code needs."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from connect_audio.adapters import s3_recording
from connect_audio.adapters.sinks import segment_bucket
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from connect_audio.settings import Choice, ConsumerSettings, LiveSettings, TriggerSettings, variables, variables_set
from connect_audio_cli.doctor import contact_events
from infrastructure.evaluation import evaluated

type Json = dict[str, Any]

EVENTS = Path(__file__).parents[2] / "events"
LAYERS = Path(__file__).parents[2] / "layers"
INSTANCE = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
KEY = "arn:aws:kms:eu-west-2:111122223333:key/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
SECRET = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:calls/webhook-a1B2c3"
PARAMETER = "arn:aws:ssm:eu-west-2:111122223333:parameter/calls/webhook"
ALIAS = {"Ref": "ConsumerFunction.Alias"}
NO_VALUE = {"Ref": "AWS::NoValue"}
BUCKET = {"Fn::If": ["MakesBucket", {"Ref": "RecordingsBucket"}, {"Ref": "RecordingsBucketName"}]}


@pytest.fixture
def resources(template: Json) -> Json:
    found: Json = template["Resources"]
    return found


FUNCTIONS = ("TriggerFunction", "ConsumerFunction", "ContactEndedFunction", "ExecutionEndedFunction")


def properties(template: Json, name: str) -> Json:
    """A function's properties with the globals filled in."""
    own: Json = template["Resources"][name]["Properties"]
    shared: Json = template["Globals"]["Function"]
    variables_of = {**shared["Environment"]["Variables"], **own["Environment"]["Variables"]}
    return {**shared, **own, "Environment": {"Variables": variables_of}}


def statements(template: Json, name: str) -> dict[str, Json]:
    """The policy statements of a function's role by Sid, the optional ones, too."""
    role = properties(template, name)["Role"]["Fn::GetAtt"][0]
    (policy,) = template["Resources"][role]["Properties"]["Policies"]
    found = {}
    for one in policy["PolicyDocument"]["Statement"]:
        optional = one.get("Fn::If")
        if optional:
            assert optional[2] == {"Ref": "AWS::NoValue"}
        statement = optional[1] if optional else one
        found[statement["Sid"]] = statement
    return found


def actions(statement: Json) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


# Functions


@pytest.mark.parametrize(
    ("name", "timeout", "memory"),
    [("TriggerFunction", 8, 256), ("ConsumerFunction", {"Ref": "ConsumerTimeout"}, {"Ref": "ConsumerMemory"})],
)
def test_runtime_time_and_memory_are_the_design_s(template: Json, name: str, timeout: object, memory: object) -> None:
    found = properties(template, name)
    assert found["Runtime"] == "python3.13"
    assert (found["Timeout"], found["MemorySize"]) == (timeout, memory)
    assert found["CodeUri"] == "src/"


def test_the_consumer_gets_512_mb_and_15_minutes_unless_told_otherwise(template: Json) -> None:
    assert template["Parameters"]["ConsumerMemory"]["Default"] == 512
    assert template["Parameters"]["ConsumerTimeout"]["Default"] == 900


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_string_leads_to_a_callable(template: Json, name: str) -> None:
    module, _, attribute = properties(template, name)["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_functions_and_layer_are_built_for_one_architecture_arm64_by_default(template: Json, resources: Json) -> None:
    parameter = template["Parameters"]["Architecture"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("arm64", ["arm64", "x86_64"])
    layer = resources["DependenciesLayer"]
    chosen = {"Ref": "Architecture"}
    assert template["Globals"]["Function"]["Architectures"] == [chosen]
    assert layer["Properties"]["CompatibleArchitectures"] == [chosen]
    assert layer["Metadata"] == {"BuildMethod": "python3.13", "BuildArchitecture": chosen}
    assert resources["BytecodeLayer"]["Properties"]["CompatibleArchitectures"] == [chosen]


def test_the_makefiles_build_what_the_templates_name(resources: Json, example: Callable[[str], Json]) -> None:
    named = resources | example("backfill")["Resources"]
    for folder in ("src", "layers/dependencies"):
        makefile = (EVENTS.parent / folder / "Makefile").read_text("utf-8")
        (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
        built = {
            f"build-{name}"
            for name, one in named.items()
            if one.get("Metadata", {}).get("BuildMethod") == "makefile"
            and (one["Type"] == "AWS::Serverless::LayerVersion") == (folder != "src")
        }
        assert set(phony.split()) == built


@pytest.mark.parametrize("name", ["DependenciesLayer", "BytecodeLayer"])
def test_the_functions_use_a_layer_and_its_bytecode_which_are_retained_and_version_the_consumer(
    template: Json, resources: Json, name: str
) -> None:
    assert template["Globals"]["Function"]["Layers"] == [{"Ref": "DependenciesLayer"}, {"Ref": "BytecodeLayer"}]
    layer = resources[name]["Properties"]
    assert layer["ContentUri"] == "layers/dependencies"
    assert layer["CompatibleRuntimes"] == ["python3.13"]
    assert (layer["RetentionPolicy"], layer["PublishLambdaVersion"]) == ("Retain", True)


def test_the_consumer_is_durable_for_48_hours_and_published_under_an_alias(template: Json) -> None:
    consumer = properties(template, "ConsumerFunction")
    assert consumer["DurableConfig"]["ExecutionTimeout"] == 48 * 3600
    assert consumer["DurableConfig"]["RetentionPeriodInDays"] == 14
    assert (consumer["AutoPublishAlias"], consumer["AutoPublishAliasAllProperties"]) == ("live", True)


def test_the_longest_recording_ends_an_hour_before_its_execution(template: Json) -> None:
    (limit,) = [each for each in variables(ConsumerSettings) if each.name == "RECORDING_LIMIT_HOURS"]
    highest = max(hours for hours in range(1000) if limit.parser.read(str(hours)) is not None)
    assert (highest + 1) * 3600 <= properties(template, "ConsumerFunction")["DurableConfig"]["ExecutionTimeout"]


def test_a_failed_execution_leaves_its_event_in_an_encrypted_queue(template: Json, resources: Json) -> None:
    assert properties(template, "ConsumerFunction")["DeadLetterQueue"] == {
        "Type": "SQS",
        "TargetArn": {"Fn::GetAtt": ["FailedRecordings", "Arn"]},
    }
    queue = resources["FailedRecordings"]
    assert queue["Properties"]["SqsManagedSseEnabled"] == {"Fn::If": ["HasDeadLettersKey", NO_VALUE, True]}
    assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["DeletionPolicy"] == "RetainExceptOnCreate"


def test_the_queue_takes_whatever_lambda_takes_as_an_asynchronous_input(resources: Json) -> None:
    # "Lambda quotas": 1 MB. Queues of before 2025 took 256 KiB, and a message that is too large is lost.
    assert resources["FailedRecordings"]["Properties"]["MaximumMessageSize"] == 1024 * 1024


@pytest.mark.parametrize("name", FUNCTIONS)
def test_logs_are_kept_for_a_stated_time(template: Json, resources: Json, name: str) -> None:
    group = properties(template, name)["LoggingConfig"]["LogGroup"]["Ref"]
    assert resources[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    # The audit trail outlives the stack for as long.
    assert (resources[group]["DeletionPolicy"], resources[group]["UpdateReplacePolicy"]) == (
        "RetainExceptOnCreate",
        "Retain",
    )


def test_the_queue_refuses_whatever_does_not_come_over_tls_and_stays_when_the_stack_goes(resources: Json) -> None:
    policy = resources["FailedRecordingsPolicy"]
    assert policy["Properties"]["Queues"] == [{"Ref": "FailedRecordings"}]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
    assert statement["Resource"] == {"Fn::GetAtt": ["FailedRecordings", "Arn"]}
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


# Settings


@pytest.mark.parametrize(
    ("name", "settings"),
    [("TriggerFunction", (TriggerSettings, LiveSettings)), ("ConsumerFunction", (ConsumerSettings,))],
)
def test_each_setting_is_declared_and_nothing_else_is(
    template: Json, name: str, settings: tuple[type[TriggerSettings | ConsumerSettings | LiveSettings], ...]
) -> None:
    declared = set(properties(template, name)["Environment"]["Variables"])
    others = {each for each in declared if each.startswith(("AWS_ENDPOINT_URL_", "AWS_USE_FIPS", "POWERTOOLS_"))}
    assert declared - others == {each.name for one in settings for each in variables(one)}
    assert {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL"} <= others


@pytest.mark.parametrize(
    ("name", "settings", "number"), [("TriggerFunction", TriggerSettings, 1), ("ConsumerFunction", ConsumerSettings, 7)]
)
def test_values_written_into_the_template_are_the_settings_defaults(
    template: Json, name: str, settings: type[TriggerSettings | ConsumerSettings], number: int
) -> None:
    declared = properties(template, name)["Environment"]["Variables"]
    literal = {variable: value for variable, value in declared.items() if isinstance(value, str)}
    checked = [each for each in variables(settings) if each.name in literal]
    assert len(checked) == number
    for each in checked:
        assert each.read(literal) == each.default


@pytest.mark.parametrize(
    ("parameter", "variable", "texts"),
    [
        (
            "RecordingsPrefix",
            "RECORDINGS_PREFIX",
            ["recordings", "a", "a/b", "a.b", "/a", "a/", "a//b", "a..b", "..", ".", "a b", "ä", "a*"],
        ),
        (
            "RecordingsBucketName",
            "RECORDINGS_BUCKET",
            [
                "calls",
                "calls.example",
                "1.2.3.example",
                "10.0.0.1",
                "a..b",
                "ab",
                "Calls",
                "-calls",
                "c" * 63,
                "c" * 64,
            ],
        ),
        ("StagingBucketName", "STAGING_BUCKET", ["staging", "10.0.0.1", "a..b", "Staging", "c" * 63, "c" * 64]),
        (
            "RecordingsKmsKeyArn",
            "RECORDINGS_KMS_KEY_ARN",
            [KEY, "alias/calls", f"{KEY}/", KEY.replace("key/", "alias/")],
        ),
        ("EventBusName", "EVENT_BUS_NAME", ["default", "calls.example_1-a", "a b", "ä"]),
        # CloudFormation looks at each name by itself.
        ("LiveSinks", "LIVE_SINKS", ["segments", "a", "my-sink_2", "1a", "A", "a b", "ä", "s" * 32, "s" * 33]),
        (
            "WebhookUrl",
            "WEBHOOK_URL",
            [
                "https://a.example",
                "https://a.example:8443/calls?x=%20&y",
                "https://[2001:db8::1]/",
                "https://a.example?x",
                "https://a.example/" + "a" * 1700,
                "https://a.example/" + "a" * 1701,
                "https://me:word@a.example/",
                "http://a.example",
                "https://",
                "https://a.example/a b",
                "https://a.example/#b",
                'https://a.example/?a="b"',
                "https://a.example/ä",
                "a.example",
            ],
        ),
        (
            "WhisperUrl",
            "WHISPER_URL",
            [
                "https://api.example/v1",
                "http://10.0.0.7:8000/v1",
                "http://[fd00::7]/inference",
                "https://a.example/" + "a" * 200,
                "https://a.example/" + "a" * 201,
                "ftp://a.example",
                "https://me:word@a.example/",
                "https://a.example/#b",
                "a.example",
            ],
        ),
        (
            "OpenTelemetryEndpoint",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            [
                "http://localhost:4318/v1/traces",
                "https://a.example",
                "https://a.example/" + "a" * 100,
                "https://a.example/" + "a" * 101,
                "https://me:word@a.example/",
                "grpc://a.example:4317",
                "a.example",
            ],
        ),
        (
            "WhisperModel",
            "WHISPER_MODEL",
            ["whisper-1", "Systran/faster-whisper-small.en", "a b", "-a", "m" * 128, "m" * 129],
        ),
        ("WhisperSecretArn", "WHISPER_SECRET", [SECRET, f"{SECRET}*", "sk-a-key"]),
        (
            "WebhookSecretArn",
            "WEBHOOK_SECRET",
            [
                SECRET,
                f"{SECRET}*",
                "arn:aws-us-gov:ssm:us-gov-west-1:111122223333:parameter/calls/webhook",
                "arn:aws:ssm:eu-west-2:111122223333:parameter",
                "arn:aws:ssm:eu-west-2:111122223333:document/calls",
                "calls/webhook",
            ],
        ),
    ],
)
def test_a_parameter_takes_just_what_its_setting_takes(
    template: Json, parameter: str, variable: str, texts: list[str]
) -> None:
    pattern = template["Parameters"][parameter]["AllowedPattern"]
    (setting,) = [each for one in (ConsumerSettings, LiveSettings) for each in variables(one) if each.name == variable]
    for text in texts:
        assert bool(re.fullmatch(pattern, text)) == (setting.parser.read(text) is not None), text


@pytest.mark.parametrize(
    ("name", "services"),
    [
        ("TriggerFunction", {"lambda"}),
        (
            "ConsumerFunction",
            {
                "kinesisvideo",
                "kinesis-video-media",
                "kinesis-video-archived-media",
                "s3",
                "connect",
                "events",
                "secretsmanager",
                "ssm",
            },
        ),
    ],
)
def test_endpoints_are_declared_empty_under_botocore_s_names_for_sam_local_to_set(
    template: Json, name: str, services: set[str]
) -> None:
    session = botocore.session.get_session()
    # botocore.configprovider.ConfiguredEndpointProvider: the service id, upper case, with underscores.
    ids = {session.get_service_model(each).service_id for each in services}
    expected = {f"AWS_ENDPOINT_URL_{each.upper().replace(' ', '_')}": "" for each in ids}
    declared = properties(template, name)["Environment"]["Variables"]
    assert {key: value for key, value in declared.items() if key.startswith("AWS_ENDPOINT")} == expected


# Live audio


def trigger_s_variables(template: Json, **parameters: object) -> Json:
    there = evaluated(template, {"StreamNamePrefix": "live", **parameters})["Resources"]
    found: Json = there["TriggerFunction"]["Properties"]["Environment"]["Variables"]
    return {name: str(value) for name, value in found.items()}


def test_by_default_there_is_no_live_audio_and_its_settings_are_the_code_s(template: Json) -> None:
    assert LiveSettings.from_environment(trigger_s_variables(template)) == LiveSettings()


def test_a_stack_with_segments_hands_over_what_the_sample_input_of_the_consumer_has(template: Json) -> None:
    sample = json.loads((EVENTS / "consumer_payload_live.json").read_text("utf-8"))
    assert variables_set(LiveSettings, trigger_s_variables(template, LiveSinks="segments")) == sample["live"]


def test_each_parameter_of_live_audio_reaches_the_setting_that_it_is_named_after(template: Json) -> None:
    found = trigger_s_variables(
        template,
        LiveSinks="segments, webhook",
        LiveSegmentSeconds=10,
        LiveSegmentLayout="tracks",
        LiveSegmentRate="16000",
        LiveBufferSeconds=30,
        WebhookUrl="https://a.example/calls",
        WebhookSecretArn=SECRET,
        WebhookPrivateAddresses="allowed",
        LiveSinkOptions='{"endpoint": "b.example"}',
        WordsLanguage="en-US",
        WordsMaximumMinutes=60,
        WordsEvents="on",
        WordsWebhook="all",
        TranscribeVocabulary="products",
        TranscribeVocabularyFilter="insults",
        TranscribeFilterMethod="remove",
        TranscribeStability="high",
        TranscribeRedaction="on",
        WhisperUrl="https://b.example/v1",
        WhisperModel="small.en",
        WhisperSecretArn=SECRET,
        WhisperPrivateAddresses="allowed",
    )
    assert LiveSettings.from_environment(found) == LiveSettings(
        sinks=("segments", "webhook"),
        segment_seconds=10,
        segment_layout="tracks",
        segment_rate=16_000,
        buffer_seconds=30,
        webhook_url="https://a.example/calls",
        webhook_secret=SECRET,
        webhook_private_addresses=True,
        sink_options={"endpoint": "b.example"},
        words_language="en-US",
        words_maximum_minutes=60,
        words_events=True,
        words_webhook="all",
        transcribe_vocabulary="products",
        transcribe_vocabulary_filter="insults",
        transcribe_filter_method="remove",
        transcribe_stability="high",
        transcribe_redaction=True,
        whisper_url="https://b.example/v1",
        whisper_model="small.en",
        whisper_secret=SECRET,
        whisper_private_addresses=True,
    )
    assert "TRANSCRIBE_LANGUAGES" in found


@pytest.mark.parametrize("parameter", ["LiveSegmentSeconds", "LiveBufferSeconds", "WordsMaximumMinutes"])
def test_a_number_of_live_audio_has_the_bounds_of_its_setting(template: Json, parameter: str) -> None:
    declared = template["Parameters"][parameter]
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()
    (setting,) = [each for each in variables(LiveSettings) if each.name == name]
    taken = [number for number in range(3000) if setting.parser.read(str(number)) is not None]
    assert (declared["MinValue"], declared["MaxValue"]) == (taken[0], taken[-1])


@pytest.mark.parametrize(
    "parameter",
    [
        "LiveSegmentLayout",
        "LiveSegmentRate",
        "WebhookPrivateAddresses",
        "WordsEvents",
        "WordsWebhook",
        "TranscribeFilterMethod",
        "TranscribeStability",
        "TranscribeRedaction",
    ],
)
def test_a_choice_of_live_audio_has_the_words_of_its_setting(template: Json, parameter: str) -> None:
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()
    (setting,) = [each for each in variables(LiveSettings) if each.name == name]
    assert isinstance(setting.parser, Choice)
    assert template["Parameters"][parameter]["AllowedValues"] == list(setting.parser.values)


def test_the_longest_address_leaves_room_for_the_rest_of_lambda_s_4_kb_of_variables(template: Json) -> None:
    # "Lambda quotas": 4 KB, "in aggregate", of names and values.
    found = trigger_s_variables(
        template,
        LiveSinks="segments,webhook",
        WebhookUrl="https://a.example/" + "a" * 1700,
        WebhookSecretArn=SECRET,
        RecordingsBucketName="b" * 63,
        RecordingsPrefix="p" * 60,
        LiveSinkOptions="{" + " " * 198 + "}",
    )
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    # Of the ARN and the namespace the evaluation shows stand-ins: an ARN's 64 + 80 characters, a stack's 128.
    rest = sum(map(len, shared)) + 63 + 60 + 128 + 64 + 80 + 32
    assert sum(len(name) + len(value) for name, value in found.items()) + rest < 4096


def test_the_mode_reaches_the_trigger_and_not_the_consumer_s_version(template: Json) -> None:
    for mode in ("live", "archive"):
        resources = evaluated(template, {"StreamNamePrefix": "live", "RecordingMode": mode})["Resources"]
        assert resources["TriggerFunction"]["Properties"]["Environment"]["Variables"]["RECORDING_MODE"] == mode
        consumer = resources["ConsumerFunction"]["Properties"]
        assert "RECORDING_MODE" not in consumer["Environment"]["Variables"]


def test_the_ends_of_contacts_reach_their_function_and_the_trigger_knows_that_they_do(template: Json) -> None:
    off, on = (
        evaluated(template, {"StreamNamePrefix": "live", "ContactEvents": each})["Resources"] for each in ("off", "on")
    )
    made = {"Function", "Role", "Rule", "Permission", "LogGroup"}
    assert {f"ContactEnded{each}" for each in made} | {"ContactEventErrorsAlarm"} == set(on) - set(off)
    for resources, word in ((off, "off"), (on, "on")):
        assert resources["TriggerFunction"]["Properties"]["Environment"]["Variables"]["CONTACT_EVENTS"] == word
    (target,) = on["ContactEndedRule"]["Properties"]["Targets"]
    assert target["Arn"] == on["ContactEndedPermission"]["Properties"]["FunctionName"] == "<ContactEndedFunction.Arn>"
    permission = on["ContactEndedPermission"]["Properties"]
    assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", "<ContactEndedRule.Arn>")


def test_the_rule_lets_the_end_of_voice_contacts_through_and_of_the_instance_alone_where_it_is_known(
    template: Json,
) -> None:
    def detail(**parameters: str) -> Json:
        stack = evaluated(template, {"StreamNamePrefix": "live", "ContactEvents": "on", **parameters})["Resources"]
        pattern: Json = stack["ContactEndedRule"]["Properties"]["EventPattern"]
        assert (pattern["source"], pattern["detail-type"]) == (["aws.connect"], ["Amazon Connect Contact Event"])
        found: Json = pattern["detail"]
        return found

    assert detail() == {"eventType": ["DISCONNECTED"], "channel": ["VOICE"]}
    arn = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d"
    assert detail(ConnectInstanceArn=arn)["instanceArn"] == [{"suffix": "instance/9a8b7c6d"}]


def test_the_doctor_finds_the_rule_of_contact_events_and_its_function_by_their_names(template: Json) -> None:
    found = evaluated(template, {"StreamNamePrefix": "live", "ContactEvents": "on"})["Resources"]
    rule = found[contact_events.RULE]["Properties"]
    assert contact_events.lets_through(rule["EventPattern"])
    assert [each["Arn"] for each in rule["Targets"]] == [f"<{contact_events.FUNCTION}.Arn>"]


def test_the_function_for_contact_events_reaches_its_notes_and_the_consumer_s_executions_alone(template: Json) -> None:
    granted = granted_to(template, "ContactEndedRole", ContactEvents="on", Tracing="Disabled")
    assert {sid: one["Resource"] for sid, one in granted.items()} == {
        "NoteTheEnd": "arn:aws:s3:::<RecordingsBucket>/recordings/contacts/*",
        "FindWhoWaits": "arn:aws:s3:::<RecordingsBucket>",
        "WakeTheExecutions": "<ConsumerFunction.Arn>:*",
        "WriteItsLog": "<ContactEndedLogGroup.Arn>",
    }
    # S3 answers 404 for an entry that has gone meanwhile only to who may list the bucket; with a prefix asked for, 403.
    assert "Condition" not in granted["FindWhoWaits"]
    cleared = granted_to(template, "ConsumerRole", ContactEvents="on")["ClearStagingAndClaims"]["Resource"]
    assert cleared[2:] == ["arn:aws:s3:::<RecordingsBucket>/recordings/contacts/*/waiting/*"]


def test_the_rule_lets_the_consumer_s_executions_through_that_lambda_ended(template: Json) -> None:
    found = evaluated(template, {"StreamNamePrefix": "live"})["Resources"]
    pattern = found["ExecutionEndedRule"]["Properties"]["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.lambda"], ["Durable Execution Status Change"])
    assert pattern["detail"] == {
        "status": ["FAILED", "TIMED_OUT", "STOPPED"],
        "functionArn": [{"prefix": "<ConsumerFunction.Arn>:"}, "<ConsumerFunction.Arn>"],
    }
    (target,) = found["ExecutionEndedRule"]["Properties"]["Targets"]
    permission = found["ExecutionEndedPermission"]["Properties"]
    assert target["Arn"] == permission["FunctionName"] == "<ExecutionEndedFunction.Arn>"
    assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", "<ExecutionEndedRule.Arn>")


def test_the_function_for_ended_executions_looks_and_announces_and_can_touch_no_object(template: Json) -> None:
    granted = granted_to(template, "ExecutionEndedRole", Tracing="Disabled", EventBusName="calls")
    assert {sid: one["Action"] for sid, one in granted.items() if sid != "WriteItsLog"} == {
        "LookAtTheExecution": "lambda:GetDurableExecution",
        "SeeIfThereIsARecording": "s3:ListBucket",
        "AnnounceTheLoss": "events:PutEvents",
    }
    assert granted["LookAtTheExecution"]["Resource"] == "<ConsumerFunction.Arn>:*/durable-execution/*"
    assert granted["SeeIfThereIsARecording"]["Condition"] == {"StringLike": {"s3:prefix": "recordings/*"}}
    assert "AnnounceTheLoss" not in granted_to(template, "ExecutionEndedRole", EventBusName="")


def test_live_audio_and_recording_after_the_call_exclude_each_other(template: Json) -> None:
    both = {"StreamNamePrefix": "live", "RecordingMode": "archive", "LiveSinks": "segments"}
    with pytest.raises(AssertionError, match="LiveSinks needs RecordingMode live"):
        evaluated(template, both)


def test_the_trigger_knows_the_consumer_by_its_alias(template: Json) -> None:
    assert properties(template, "TriggerFunction")["Environment"]["Variables"]["CONSUMER_FUNCTION"] == ALIAS


# Permissions


# What IAM calls the operations that the adapters call; Service Authorization Reference.
ACTIONS = {
    "get_durable_execution": {"lambda:GetDurableExecution"},
    "invoke": {"lambda:InvokeFunction"},
    "describe_stream": {"kinesisvideo:DescribeStream"},
    "get_data_endpoint": {"kinesisvideo:GetDataEndpoint"},
    "get_media": {"kinesisvideo:GetMedia"},
    "get_media_for_fragment_list": {"kinesisvideo:GetMediaForFragmentList"},
    "list_fragments": {"kinesisvideo:ListFragments"},
    "send_durable_execution_callback_success": {"lambda:SendDurableExecutionCallbackSuccess"},
    "describe_contact": {"connect:DescribeContact"},
    "put_object": {"s3:PutObject", "s3:PutObjectTagging"},  # staged objects and claims carry a tag
    "get_object": {"s3:GetObject"},
    "head_object": {"s3:GetObject", "s3:ListBucket"},  # without the latter a missing object is a 403
    # With If-Match it asks for the right to read, too.
    "delete_object": {"s3:DeleteObject", "s3:GetObject"},
    "delete_objects": {"s3:DeleteObject"},
    "list_objects_v2": {"s3:ListBucket"},
    "create_multipart_upload": {"s3:PutObject"},
    "upload_part": {"s3:PutObject"},
    "complete_multipart_upload": {"s3:PutObject"},
    "abort_multipart_upload": {"s3:AbortMultipartUpload"},
    "list_multipart_uploads": {"s3:ListBucketMultipartUploads"},
    "put_events": {"events:PutEvents"},
}
# What Lambda does in the functions' names: logs, dead letters, and X-Ray's daemon, for which no resource can be named.
LAMBDA_S_OWN = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}
# What Powertools calls for the webhook's secret (adapters/endpoint/stored_secret.py).
POWERTOOLS_S_OWN = {"secretsmanager:GetSecretValue", "ssm:GetParameter"}
# What Lambda does in a role's name to put its function into a VPC; AWSLambdaVPCAccessExecutionRole.
IN_A_VPC = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
# What the SDK of Transcribe calls, which is none of boto3's (adapters/words/transcribe_connection.py).
BY_ANOTHER_SDK = {"transcribe:StartStreamTranscription"}
X_RAY = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}


def operations_called() -> set[str]:
    """The AWS operations named in the adapters, as a method or as a paginator's name."""
    session = botocore.session.get_session()
    services = (
        "lambda",
        "kinesisvideo",
        "kinesis-video-media",
        "kinesis-video-archived-media",
        "s3",
        "connect",
        "events",
    )
    known = {xform_name(each) for name in services for each in session.get_service_model(name).operation_names}
    named: set[str] = set()
    for path in Path(s3_recording.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Attribute):
                    named.add(node.func.attr)
                named |= {
                    one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    return named & known


def test_the_functions_may_do_what_the_adapters_call_and_nothing_else(template: Json) -> None:
    granted: set[str] = set()
    for name in FUNCTIONS:
        granted |= {action for statement in statements(template, name).values() for action in actions(statement)}
    keys = {action for action in granted if action.startswith("kms:")}
    assert granted - keys - LAMBDA_S_OWN - IN_A_VPC - X_RAY - POWERTOOLS_S_OWN - BY_ANOTHER_SDK == set().union(
        *(ACTIONS[each] for each in operations_called())
    )
    assert granted >= LAMBDA_S_OWN | IN_A_VPC | X_RAY | POWERTOOLS_S_OWN | BY_ANOTHER_SDK
    # S3, Kinesis Video Streams and the stores of secrets call KMS on the function's behalf.
    assert keys == {"kms:Decrypt", "kms:GenerateDataKey"}


def granted_to(template: Json, role: str, **parameters: object) -> dict[str, Json]:
    """The statements of a role by Sid, in a stack with these parameters."""
    stack = evaluated(template, {"StreamNamePrefix": "live", **parameters})["Resources"]
    (policy,) = stack[role]["Properties"]["Policies"]
    return {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}


def test_the_trigger_may_start_the_consumer_s_alias_write_its_log_and_nothing_else(template: Json) -> None:
    granted = granted_to(template, "TriggerRole")
    assert {sid: (one["Action"], one["Resource"]) for sid, one in granted.items()} == {
        "StartTheConsumer": ("lambda:InvokeFunction", "<ConsumerFunction.Alias>"),
        "WriteItsLog": (["logs:CreateLogStream", "logs:PutLogEvents"], "<TriggerLogGroup.Arn>"),
        "SendTraces": (sorted(X_RAY), "*"),
    }


def test_each_permission_of_the_consumer_reaches_no_further_than_an_arn_can_say(template: Json) -> None:
    granted = granted_to(template, "ConsumerRole")
    assert {sid: one["Resource"] for sid, one in granted.items()} == {
        "ReadTheStreams": "arn:aws:kinesisvideo:eu-west-2:111122223333:stream/live*/*",
        "WriteTheRecordings": "arn:aws:s3:::<RecordingsBucket>/recordings/*",
        "ClearStagingAndClaims": [
            "arn:aws:s3:::<RecordingsBucket>/recordings/*.wav.staging/*",
            "arn:aws:s3:::<RecordingsBucket>/recordings/*.wav.claim",
        ],
        "FindWhatIsThere": "arn:aws:s3:::<RecordingsBucket>",
        "LookAtTheContact": "arn:aws:connect:eu-west-2:111122223333:instance/*/contact/*",
        "LeaveWhatFailed": "<FailedRecordings.Arn>",
        "WriteItsLog": "<ConsumerLogGroup.Arn>",
        "AnnounceTheRecording": "arn:aws:events:eu-west-2:111122223333:event-bus/default",
        "SendTraces": "*",
    }


def test_the_consumer_may_keep_its_own_durable_executions_alone(template: Json) -> None:
    checkpoints = evaluated(template, {"StreamNamePrefix": "live"})["Resources"]["ConsumerCheckpoints"]["Properties"]
    assert checkpoints["RoleName"] == "<ConsumerRole>"
    (statement,) = checkpoints["PolicyDocument"]["Statement"]
    # What AWSLambdaBasicDurableExecutionRolePolicy allows, on `*`, beside logs.
    assert statement["Action"] == ["lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState"]
    assert statement["Resource"] == "<ConsumerFunction.Arn>:*/durable-execution/*"


def test_a_given_instance_bucket_and_bus_narrow_the_permissions(template: Json) -> None:
    granted = granted_to(
        template,
        "ConsumerRole",
        ConnectInstanceArn=INSTANCE,
        RecordingsBucketName="calls.example",
        RecordingsPrefix="audio",
        EventBusName="calls",
    )
    assert granted["LookAtTheContact"]["Resource"] == f"{INSTANCE}/contact/*"
    assert granted["WriteTheRecordings"]["Resource"] == "arn:aws:s3:::calls.example/audio/*"
    assert granted["ClearStagingAndClaims"]["Resource"] == [
        "arn:aws:s3:::calls.example/audio/*.wav.staging/*",
        "arn:aws:s3:::calls.example/audio/*.wav.claim",
    ]
    assert granted["FindWhatIsThere"]["Resource"] == "arn:aws:s3:::calls.example"
    assert granted["AnnounceTheRecording"]["Resource"].endswith(":event-bus/calls")


def test_what_is_switched_off_is_not_granted(template: Json) -> None:
    both = granted_to(template, "ConsumerRole") | granted_to(template, "TriggerRole")
    off = {"EventBusName": "", "Tracing": "Disabled"}
    left = granted_to(template, "ConsumerRole", **off) | granted_to(template, "TriggerRole", **off)
    assert set(both) - set(left) == {"AnnounceTheRecording", "SendTraces"}


def test_keys_are_granted_where_there_are_any_and_the_recordings_one_through_s3_alone(template: Json) -> None:
    granted = granted_to(template, "ConsumerRole", RecordingsKmsKeyArn=KEY, StreamKmsKeyArn=KEY)
    assert granted["EncryptTheRecordings"] == {
        "Sid": "EncryptTheRecordings",
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": KEY,
        "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}},
    }
    assert (granted["DecryptTheStreams"]["Action"], granted["DecryptTheStreams"]["Resource"]) == ("kms:Decrypt", KEY)


@pytest.mark.parametrize("secret", [SECRET, PARAMETER])
def test_the_webhook_s_secret_is_granted_where_there_is_one_and_no_other(template: Json, secret: str) -> None:
    granted = granted_to(template, "ConsumerRole", WebhookSecretArn=secret)
    assert granted["ReadTheWebhooksSecret"] == {
        "Sid": "ReadTheWebhooksSecret",
        "Effect": "Allow",
        "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameter"],
        "Resource": secret,
    }
    assert set(granted) - set(granted_to(template, "ConsumerRole")) == {"ReadTheWebhooksSecret"}


def test_the_key_of_the_webhook_s_secret_is_granted_through_the_stores_of_secrets_alone(template: Json) -> None:
    granted = granted_to(template, "ConsumerRole", WebhookSecretArn=SECRET, WebhookSecretKmsKeyArn=KEY)
    assert granted["DecryptTheWebhooksSecret"] == {
        "Sid": "DecryptTheWebhooksSecret",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": KEY,
        "Condition": {
            "StringEquals": {
                "kms:ViaService": ["secretsmanager.eu-west-2.amazonaws.com", "ssm.eu-west-2.amazonaws.com"]
            }
        },
    }
    # A key without a secret opens nothing.
    assert set(granted_to(template, "ConsumerRole", WebhookSecretKmsKeyArn=KEY)) == set(
        granted_to(template, "ConsumerRole")
    )


@pytest.mark.parametrize("secret", [SECRET, PARAMETER])
def test_the_speech_server_s_key_is_granted_where_there_is_one_and_no_other(template: Json, secret: str) -> None:
    before = granted_to(template, "ConsumerRole")
    granted = granted_to(template, "ConsumerRole", WhisperSecretArn=secret)
    assert granted["ReadTheSpeechServersKey"] == {
        "Sid": "ReadTheSpeechServersKey",
        "Effect": "Allow",
        "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameter"],
        "Resource": secret,
    }
    assert set(granted) - set(before) == {"ReadTheSpeechServersKey"}
    encrypted = granted_to(template, "ConsumerRole", WhisperSecretArn=secret, WhisperSecretKmsKeyArn=KEY)
    assert encrypted["DecryptTheSpeechServersKey"] == {
        "Sid": "DecryptTheSpeechServersKey",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": KEY,
        "Condition": {
            "StringEquals": {
                "kms:ViaService": ["secretsmanager.eu-west-2.amazonaws.com", "ssm.eu-west-2.amazonaws.com"]
            }
        },
    }
    assert granted_to(template, "ConsumerRole", WhisperSecretKmsKeyArn=KEY) == before


def test_segments_need_no_permission_that_recordings_do_not(template: Json) -> None:
    before = granted_to(template, "ConsumerRole")
    assert granted_to(template, "ConsumerRole", LiveSinks="segments") == before
    # They lie below the recordings' prefix, which is what the role may write.
    key = "recordings/2025/11/24/a_20251124T160000.123Z.wav"
    (_, _, below) = before["WriteTheRecordings"]["Resource"].partition("<RecordingsBucket>/")
    assert fnmatch(f"{segment_bucket.segments_prefix(key)}index.json", below)


def test_the_trigger_gets_no_permission_by_live_audio(template: Json) -> None:
    live = {"LiveSinks": "segments,webhook", "WebhookUrl": "https://a.example", "WebhookSecretArn": SECRET}
    assert granted_to(template, "TriggerRole", **live) == granted_to(template, "TriggerRole")


def test_transcribe_gets_its_permission_and_its_layer_only_where_it_is_enabled(template: Json) -> None:
    parameters = {"StreamNamePrefix": "live"}
    without, with_words = (
        evaluated(template, {**parameters, "TranscribeEnabled": enabled})["Resources"] for enabled in ("false", "true")
    )
    assert "WordsLayer" not in without
    assert without["ConsumerFunction"]["Properties"]["Layers"] == []
    assert with_words["ConsumerFunction"]["Properties"]["Layers"] == ["<WordsLayer>"]
    assert with_words["WordsLayer"]["Properties"]["ContentUri"] == "layers/words"
    assert "TranscribeTheCall" not in granted_to(template, "ConsumerRole", TranscribeEnabled="false")
    granted = granted_to(template, "ConsumerRole", TranscribeEnabled="true")["TranscribeTheCall"]
    assert granted["Action"] == "transcribe:StartStreamTranscription"
    with pytest.raises(AssertionError, match="transcribe in LiveSinks needs TranscribeEnabled"):
        evaluated(template, {**parameters, "LiveSinks": "transcribe"})


@pytest.mark.parametrize(
    ("enabled", "url", "layers"),
    [
        ("false", "", []),
        ("false", "https://a.example/v1", ["<VoiceLayer>"]),
        ("true", "", ["<WordsLayer>"]),
        ("true", "https://a.example/v1", ["<WordsLayer>", "<VoiceLayer>"]),
    ],
)
def test_each_sink_of_words_brings_its_own_layer_to_the_consumer_alone(
    template: Json, enabled: str, url: str, layers: list[str]
) -> None:
    given = {"StreamNamePrefix": "live", "TranscribeEnabled": enabled, "WhisperUrl": url}
    stack = evaluated(template, given)["Resources"]
    assert stack["ConsumerFunction"]["Properties"]["Layers"] == layers
    assert ("VoiceLayer" in stack) is bool(url)
    assert "VoiceLayer" not in str(stack["TriggerFunction"])


def test_the_voice_s_layer_holds_the_detector_and_nothing_of_awscrt(template: Json) -> None:
    folder = LAYERS.parent / template["Resources"]["VoiceLayer"]["Properties"]["ContentUri"]
    assert pinned(folder) == {"webrtcvad-wheels"}


def test_no_package_is_in_two_layers() -> None:
    pins = [pinned(path.parent) for path in sorted(LAYERS.glob("*/requirements.txt"))]
    assert len(pins) == 3
    assert all(pins)
    assert sum(map(len, pins)) == len(set.union(*pins))


def pinned(folder: Path) -> set[str]:
    """Names of the packages that a layer's lock holds."""
    lock = (folder / "requirements.txt").read_text("utf-8")
    return set(re.findall(r"^([a-z0-9_.-]+)==", lock, re.MULTILINE))


def test_the_stream_prefix_has_no_default_that_would_open_every_stream(template: Json) -> None:
    parameter = template["Parameters"]["StreamNamePrefix"]
    assert "Default" not in parameter
    assert not re.fullmatch(parameter["AllowedPattern"], "")
    assert not re.fullmatch(parameter["AllowedPattern"], "*")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_statement_allows_a_bare_asterisk(template: Json, name: str) -> None:
    for statement in statements(template, name).values():
        assert statement["Effect"] == "Allow"
        assert statement["Resource"] != "*" or actions(statement) in (X_RAY, IN_A_VPC, BY_ANOTHER_SDK)
        assert not any("*" in action for action in actions(statement))


def test_connect_alone_may_call_the_trigger_from_this_account_and_the_given_instance(resources: Json) -> None:
    assert resources["TriggerPermission"]["Properties"] == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Fn::GetAtt": ["TriggerFunction", "Arn"]},
        "Principal": "connect.amazonaws.com",
        "SourceAccount": {"Ref": "AWS::AccountId"},
        "SourceArn": {"Fn::If": ["HasInstance", {"Ref": "ConnectInstanceArn"}, {"Ref": "AWS::NoValue"}]},
    }


# Guard rails


def guarded(template: Json, **parameters: object) -> Json:
    stack: Json = evaluated(template, {"StreamNamePrefix": "live", **parameters})["Resources"]
    return stack


@pytest.mark.parametrize("role", ["TriggerRole", "ConsumerRole"])
def test_a_role_has_the_boundary_and_the_path_that_the_account_demands(template: Json, role: str) -> None:
    plain = guarded(template)[role]["Properties"]
    assert plain["Path"] == "/"
    assert "PermissionsBoundary" not in plain
    boundary = "arn:aws:iam::111122223333:policy/rails/boundary"
    found = guarded(template, PermissionsBoundaryArn=boundary, RolePath="/rails/")[role]["Properties"]
    assert (found["PermissionsBoundary"], found["Path"]) == (boundary, "/rails/")


@pytest.mark.parametrize("role", ["TriggerRole", "ConsumerRole"])
def test_in_a_vpc_both_functions_have_its_subnets_and_may_make_their_interfaces(template: Json, role: str) -> None:
    vpc = {"VpcSubnetIds": "subnet-0a1b2c3d, subnet-0123456789abcdef0", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
    function = f"{role.removesuffix('Role')}Function"
    assert "VpcConfig" not in guarded(template)[function]["Properties"]
    assert guarded(template, **vpc)[function]["Properties"]["VpcConfig"] == {
        "SubnetIds": ["subnet-0a1b2c3d", "subnet-0123456789abcdef0"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    }
    inside, outside = granted_to(template, role, **vpc), granted_to(template, role)
    assert set(inside) - set(outside) == {"StandInTheVpc"}
    assert (set(inside["StandInTheVpc"]["Action"]), inside["StandInTheVpc"]["Resource"]) == (IN_A_VPC, "*")


@pytest.mark.parametrize("missing", ["VpcSubnetIds", "VpcSecurityGroupIds"])
def test_a_vpc_s_subnets_and_security_groups_are_given_together(template: Json, missing: str) -> None:
    vpc = {"VpcSubnetIds": "subnet-0a1b2c3d", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
    guarded(template, **vpc)
    with pytest.raises(AssertionError, match=missing):
        guarded(template, **{name: value for name, value in vpc.items() if name != missing})


@pytest.mark.parametrize("role", ["TriggerRole", "ConsumerRole"])
def test_the_functions_own_key_is_granted_through_lambda_alone(template: Json, role: str) -> None:
    assert "DecryptTheFunctionsOwn" not in granted_to(template, role)
    statement = granted_to(template, role, FunctionsKmsKeyArn=KEY)["DecryptTheFunctionsOwn"]
    assert (statement["Action"], statement["Resource"]) == (["kms:Decrypt", "kms:GenerateDataKey"], KEY)
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": "lambda.eu-west-2.amazonaws.com"}}


def test_one_key_encrypts_the_functions_variables_and_the_executions_history(template: Json) -> None:
    plain, found = guarded(template), guarded(template, FunctionsKmsKeyArn=KEY)
    for function in ("TriggerFunction", "ConsumerFunction"):
        assert "KmsKeyArn" not in plain[function]["Properties"]
        assert found[function]["Properties"]["KmsKeyArn"] == KEY
    assert "KMSKeyArn" not in plain["ConsumerFunction"]["Properties"]["DurableConfig"]
    assert found["ConsumerFunction"]["Properties"]["DurableConfig"]["KMSKeyArn"] == KEY


@pytest.mark.parametrize("function", ["TriggerFunction", "ConsumerFunction"])
def test_both_functions_take_signed_code_alone_and_fips_endpoints_where_told_so(template: Json, function: str) -> None:
    signing = "arn:aws:lambda:eu-west-2:111122223333:code-signing-config:csc-0123456789abcdef0"
    plain = guarded(template)[function]["Properties"]
    found = guarded(template, CodeSigningConfigArn=signing, FipsEndpoints="true")[function]["Properties"]
    assert "CodeSigningConfigArn" not in plain
    assert found["CodeSigningConfigArn"] == signing
    fips = [one["Environment"]["Variables"]["AWS_USE_FIPS_ENDPOINT"] for one in (plain, found)]
    assert fips == ["false", "true"]


def test_dead_letters_have_sqs_s_keys_or_the_given_one(template: Json) -> None:
    plain = guarded(template)["FailedRecordings"]["Properties"]
    assert (plain["SqsManagedSseEnabled"], plain.get("KmsMasterKeyId")) == (True, None)
    found = guarded(template, DeadLettersKmsKeyArn=KEY)["FailedRecordings"]["Properties"]
    assert (found.get("SqsManagedSseEnabled"), found["KmsMasterKeyId"]) == (None, KEY)
    statement = granted_to(template, "ConsumerRole", DeadLettersKmsKeyArn=KEY)["EncryptTheDeadLetters"]
    assert (statement["Action"], statement["Resource"]) == (["kms:Decrypt", "kms:GenerateDataKey"], KEY)
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": "sqs.eu-west-2.amazonaws.com"}}


def test_a_start_waits_no_longer_than_is_said(template: Json) -> None:
    found = [
        guarded(template, **one)["ConsumerFunction"]["Properties"] for one in ({}, {"MaximumEventAgeSeconds": 3600})
    ]
    assert [one["EventInvokeConfig"] for one in found] == [
        {"MaximumEventAgeInSeconds": 21_600},
        {"MaximumEventAgeInSeconds": 3600},
    ]


def test_the_trigger_has_a_name_where_one_is_given(template: Json) -> None:
    assert "FunctionName" not in guarded(template)["TriggerFunction"]["Properties"]
    found = guarded(template, TriggerFunctionName="record-this-call")["TriggerFunction"]["Properties"]
    assert found["FunctionName"] == "record-this-call"


# The bucket


def test_the_bucket_is_private_encrypted_and_stays_when_the_stack_goes(resources: Json) -> None:
    bucket = resources["RecordingsBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert bucket["Condition"] == "MakesBucket"
    found = bucket["Properties"]
    assert list(found["PublicAccessBlockConfiguration"].values()) == [True] * 4
    assert found["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = found["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    by_default = rule["ServerSideEncryptionByDefault"]
    assert by_default["SSEAlgorithm"] == {"Fn::If": ["HasRecordingsKey", "aws:kms", "AES256"]}
    assert by_default["KMSMasterKeyID"]["Fn::If"][:2] == ["HasRecordingsKey", {"Ref": "RecordingsKmsKeyArn"}]


def bucket_policy(resources: Json) -> dict[str, Json]:
    """The statements of the bucket's policy by Sid."""
    found = resources["RecordingsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    return {one["Sid"]: one for one in found}


def test_the_bucket_takes_a_recording_under_a_free_name_alone(template: Json) -> None:
    stack = evaluated(template, {"StreamNamePrefix": "live", "RecordingsPrefix": "audio"})["Resources"]
    policy = bucket_policy(stack)
    assert set(policy) == {"TlsOnly", "RecordingsAreWrittenOnce"}
    statement = policy["RecordingsAreWrittenOnce"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:PutObject")
    # Creating an upload and adding a part to it write no object, and S3 takes no condition with them.
    assert statement["Condition"] == {
        # Both keys have to be absent: IAM joins the keys of one operator by AND.
        "Null": {"s3:if-none-match": "true", "s3:if-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }
    denied = statement["Resource"].removeprefix("<RecordingsBucket.Arn>/")
    request = RecordingRequest.from_payload(json.loads((EVENTS / "consumer_payload.json").read_text("utf-8")))
    names = RecordingNames(bucket="b", key=request.recording_key("audio"))
    assert fnmatchcase(names.key, denied)
    segments = segment_bucket.segments_prefix(names.key)
    replaced = [
        names.manifest,
        names.claim,
        names.staged_part(1, 1, "a"),
        *(f"{segments}{name}.wav" for name in ("000012", "000012.customer", "000012.agent")),
    ]
    assert not [key for key in replaced if fnmatchcase(key, denied)]


def test_the_bucket_refuses_whatever_does_not_come_over_tls(resources: Json) -> None:
    statement = bucket_policy(resources)["TlsOnly"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["RecordingsBucket", "Arn"]},
        {"Fn::Sub": "${RecordingsBucket.Arn}/*"},
    ]


def lifecycle(template: Json, **parameters: object) -> list[Json]:
    stack = evaluated(template, {"StreamNamePrefix": "live", **parameters})["Resources"]
    rules: list[Json] = stack["RecordingsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    return rules


def test_recordings_stay_for_ever_unless_their_number_of_days_is_given(template: Json) -> None:
    assert "ExpireRecordings" not in {one["Id"] for one in lifecycle(template)}
    rules = lifecycle(template, RecordingsExpirationDays="90", RecordingsPrefix="audio")
    (rule,) = [one for one in rules if one["Id"] == "ExpireRecordings"]
    assert rule == {"Id": "ExpireRecordings", "Status": "Enabled", "Prefix": "audio/", "ExpirationInDays": "90"}


def test_what_a_dead_recording_left_goes_away_once_nobody_can_start_it_again(template: Json, resources: Json) -> None:
    rules = {one["Id"]: one for one in lifecycle(template)}
    assert set(rules) == {"AbortIncompleteUploads", "ExpireTemporaryObjects"}
    uploads = rules["AbortIncompleteUploads"]
    assert (uploads["Status"], uploads["AbortIncompleteMultipartUpload"]) == ("Enabled", {"DaysAfterInitiation": 17})
    staged = rules["ExpireTemporaryObjects"]
    assert (staged["Status"], staged["ExpirationInDays"]) == ("Enabled", 17)
    (tag,) = staged["TagFilters"]
    assert f"{tag['Key']}={tag['Value']}" == s3_recording.TEMPORARY_TAG
    # It lives for as long as its execution, then its event lies in the queue.
    execution: int = resources["ConsumerFunction"]["Properties"]["DurableConfig"]["ExecutionTimeout"]
    queue: int = resources["FailedRecordings"]["Properties"]["MessageRetentionPeriod"]
    assert execution + queue < 17 * 24 * 3600


def test_segments_stay_for_ever_unless_their_number_of_days_is_given(template: Json) -> None:
    assert "ExpireSegments" not in {one["Id"] for one in lifecycle(template)}
    (rule,) = [one for one in lifecycle(template, LiveSegmentsExpirationDays="7") if one["Id"] == "ExpireSegments"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", "7")
    (tag,) = rule["TagFilters"]
    assert f"{tag['Key']}={tag['Value']}" == segment_bucket.LIVE_TAG


def test_recordings_never_expire_before_what_is_needed_to_go_on_with_one(template: Json) -> None:
    # The rule is for everything below the prefix, so for staged audio and claims, too.
    pattern = template["Parameters"]["RecordingsExpirationDays"]["AllowedPattern"]
    taken = [days for days in range(100_001) if re.fullmatch(pattern, str(days))]
    (staged,) = [one for one in lifecycle(template) if one["Id"] == "ExpireTemporaryObjects"]
    assert taken == [0, *range(staged["ExpirationInDays"], 100_000)]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"Ref", "Condition"} and isinstance(inner, str):
                yield inner
            if key == "Fn::If":
                yield inner[0]
            if key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)", inner if isinstance(inner, str) else inner[0])
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("section", ["Parameters", "Conditions"])
def test_nothing_is_declared_that_nothing_uses(template: Json, section: str) -> None:
    used = set(references({name: part for name, part in template.items() if name not in {"Parameters", "Rules"}}))
    assert set(template[section]) <= used


def test_the_outputs_are_what_a_deployment_goes_on_with(template: Json) -> None:
    outputs = evaluated(template, {"StreamNamePrefix": "live"})["Outputs"]
    assert {name: one["Value"] for name, one in outputs.items()} == {
        "TriggerFunctionArn": "<TriggerFunction.Arn>",
        "ConsumerAliasArn": "<ConsumerFunction.Alias>",
        "ConsumerRoleArn": "<ConsumerRole.Arn>",
        "RecordingsBucketName": "<RecordingsBucket>",
        "FailedRecordingsQueueUrl": "<FailedRecordings>",
        "DashboardName": "<Dashboard>",
    }
