"""The alias must never keep old settings: whatever changes the consumer makes a new version of it.

Two mechanisms carry it. SAM puts a hash of the function's properties into the version's logical id, but sees
`!Ref LogLevel` there, not its value (serverless-application-model #3820). So the values stand in the version's
description, a change of which makes CloudFormation replace the version ("Update requires: Replacement", reference of
AWS::Lambda::Version).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infrastructure.evaluation import evaluated

pytestmark = pytest.mark.sam

PARAMETERS = {"StreamNamePrefix": "demo"}
KEY = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-0f5c7a3e1b2d4c6f9a8e3d4b5c6a7f80"
type Translate = Callable[..., dict[str, Any]]


def version(stack: dict[str, Any]) -> tuple[str, Any]:
    """What identifies the consumer's version to CloudFormation: its logical id and its description."""
    (name,) = [name for name, resource in stack["Resources"].items() if resource["Type"] == "AWS::Lambda::Version"]
    return name, stack["Resources"][name]["Properties"]["Description"]


def rendered(
    translated: Translate, parameters: dict[str, str], changed: dict[str, Any] | None = None
) -> tuple[str, str]:
    stack = translated(parameters, changed)
    name, _ = version(stack)
    return name, evaluated(stack, parameters)["Resources"][name]["Properties"]["Description"]


def references(value: Any) -> Iterator[str]:
    """Every name that a piece of template refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::If":
                yield inner[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([\w.]+)\}", inner if isinstance(inner, str) else inner[0])
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.fixture(scope="module")
def before(translated: Translate) -> tuple[str, str]:
    return rendered(translated, PARAMETERS)


def test_the_alias_points_to_the_version_and_the_version_outlives_its_successor(translated: Translate) -> None:
    stack = translated(PARAMETERS)
    name, _ = version(stack)
    alias = stack["Resources"]["ConsumerFunctionAliaslive"]
    assert alias["Properties"]["FunctionVersion"] == {"Fn::GetAtt": [name, "Version"]}
    policies = stack["Resources"][name]["DeletionPolicy"], stack["Resources"][name]["UpdateReplacePolicy"]
    assert policies == ("Retain", "Retain")


def test_the_same_template_and_parameters_make_the_same_version(translated: Translate, before: tuple[str, str]) -> None:
    assert rendered(translated, PARAMETERS) == before


def test_a_changed_layer_makes_a_new_version(
    translated: Translate, template: dict[str, Any], before: tuple[str, str]
) -> None:
    changed = copy.deepcopy(template)
    changed["Resources"]["DependenciesLayer"]["Properties"]["ContentUri"] = "s3://artifacts/other"
    assert version(translated(PARAMETERS, changed))[0] != before[0]


def test_changed_code_makes_a_new_version(
    translated: Translate, template: dict[str, Any], before: tuple[str, str]
) -> None:
    changed = copy.deepcopy(template)
    changed["Globals"]["Function"]["CodeUri"] = "s3://artifacts/other"
    assert version(translated(PARAMETERS, changed))[0] != before[0]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("Architecture", "x86_64"),
        ("ConsumerMemory", "1024"),
        ("LogLevel", "DEBUG"),
        ("Tracing", "PassThrough"),
        ("Tracing", "Disabled"),
        ("ConnectedLimitSeconds", "3600"),
        ("EventBusName", "calls"),
        ("EventBusName", ""),
        ("RecordingsPrefix", "audio"),
        ("RecordingsBucketName", "calls.example"),
        ("StagingBucketName", "staging.example"),
        ("RecordingsKmsKeyArn", KEY),
        ("ConsumerTimeout", "1800"),
        ("FunctionsKmsKeyArn", KEY),
        ("FipsEndpoints", "true"),
        ("TranscribeEnabled", "true"),
        ("WhisperUrl", "https://a.example/v1"),
        ("OpenTelemetryEndpoint", "http://localhost:4318/v1/traces"),
    ],
)
def test_a_changed_parameter_makes_a_new_version(
    translated: Translate, before: tuple[str, str], parameter: str, value: str
) -> None:
    assert rendered(translated, {**PARAMETERS, parameter: value}) != before


def test_another_vpc_makes_a_new_version(translated: Translate, before: tuple[str, str]) -> None:
    vpc = {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-0123456789abcdef0", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
    found = [
        rendered(translated, {**PARAMETERS, **vpc, **changed})
        for changed in ({}, {"VpcSubnetIds": "subnet-0a1b2c3d"}, {"VpcSecurityGroupIds": "sg-00112233"})
    ]
    assert len({*found, before}) == 4


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("StreamNamePrefix", "other"),
        ("LogRetentionDays", 7),
        ("StreamKmsKeyArn", KEY),
        # Concurrency is reserved for the function, not for a version.
        ("ConsumerReservedConcurrency", 100),
        ("RecordingsExpirationDays", "90"),
        ("AlarmsEnabled", "false"),
        # Of the roles, the queue, the trigger or the alias.
        ("PermissionsBoundaryArn", "arn:aws:iam::111122223333:policy/boundary"),
        ("RolePath", "/rails/"),
        ("DeadLettersKmsKeyArn", KEY),
        ("TriggerFunctionName", "record-this-call"),
        ("MaximumEventAgeSeconds", "3600"),
        # Signed is what is deployed: other code, so another version by itself.
        ("CodeSigningConfigArn", "arn:aws:lambda:eu-west-2:111122223333:code-signing-config:csc-0123456789abcdef0"),
        # Live audio: variables of the trigger, which is not published.
        ("LiveSinks", "segments"),
        ("LiveSegmentSeconds", 5),
        ("LiveSegmentLayout", "tracks"),
        ("LiveSegmentRate", "16000"),
        ("LiveBufferSeconds", 120),
        ("LiveSegmentsExpirationDays", "7"),
        ("WebhookUrl", "https://a.example/" + "a" * 1700),
        ("WebhookSecretArn", "arn:aws:ssm:eu-west-2:111122223333:parameter/calls/webhook"),
        ("WebhookSecretKmsKeyArn", KEY),
        ("WebhookPrivateAddresses", "allowed"),
        ("LiveSinkOptions", '{"endpoint": "a.example"}'),
        ("WordsLanguage", "en-US"),
        ("WordsMaximumMinutes", 60),
        ("WordsDailyMinutesAlarm", 500),
        ("WordsEvents", "on"),
        ("TranscribeLanguages", "en-US,es-US"),
        ("TranscribeVocabulary", "products"),
        ("TranscribeVocabularyFilter", "insults"),
        ("TranscribeFilterMethod", "tag"),
        ("TranscribeStability", "low"),
        ("TranscribeRedaction", "on"),
        ("WhisperModel", "small.en"),
        ("WhisperSecretArn", "arn:aws:ssm:eu-west-2:111122223333:parameter/calls/whisper"),
        ("WhisperSecretKmsKeyArn", KEY),
        ("WhisperPrivateAddresses", "allowed"),
    ],
)
def test_a_parameter_that_leaves_the_function_alone_makes_no_new_version(
    translated: Translate, before: tuple[str, str], parameter: str, value: str
) -> None:
    assert rendered(translated, {**PARAMETERS, parameter: value}) == before


def test_the_description_names_every_parameter_that_shapes_the_function_and_no_other(translated: Translate) -> None:
    stack = translated(PARAMETERS)
    parameters = set(stack["Parameters"])

    def shaping(value: Any) -> set[str]:
        names = set(references(value))
        for name in names & set(stack.get("Conditions", {})):
            names |= set(references(stack["Conditions"][name]))
        return names & parameters

    function = stack["Resources"]["ConsumerFunction"]["Properties"]
    # Of the function itself: no part of a version, so no reason for another.
    of_the_function = {"ReservedConcurrentExecutions", "CodeSigningConfigArn"}
    published = {name: value for name, value in function.items() if name not in of_the_function}
    assert shaping(version(stack)[1]) == shaping(published)


def test_the_longest_description_fits_into_lambda_s_256_characters(translated: Translate) -> None:
    longest = {
        "ConsumerMemory": "3008",
        "LogLevel": "WARNING",
        "Tracing": "PassThrough",
        "ConnectedLimitSeconds": "86400",
        "EventBusName": "e" * 56,
        "RecordingsBucketName": "b" * 63,
        "RecordingsPrefix": "p" * 60,
        "RecordingsKmsKeyArn": KEY,
    }
    patterns = translated(PARAMETERS)["Parameters"]
    for name, value in longest.items():
        assert re.fullmatch(patterns[name].get("AllowedPattern", ".*"), value)
    assert not re.fullmatch(patterns["RecordingsPrefix"]["AllowedPattern"], "p" * 61)
    assert not re.fullmatch(patterns["EventBusName"]["AllowedPattern"], "e" * 57)
    assert len(rendered(translated, {**PARAMETERS, **longest})[1]) <= 256


def test_another_address_of_the_speech_server_makes_no_new_version(translated: Translate) -> None:
    first, second = (
        rendered(translated, {**PARAMETERS, "WhisperUrl": f"https://{host}.example/v1"}) for host in ("a", "b")
    )
    assert first == second


def test_names_of_a_common_length_leave_room_for_every_guard_rail(translated: Translate) -> None:
    common = {
        "ConsumerTimeout": "1800",
        "FipsEndpoints": "true",
        "TranscribeEnabled": "true",
        "WhisperUrl": "https://a.example/v1",
        "FunctionsKmsKeyArn": KEY,
        "RecordingsKmsKeyArn": KEY,
        "RecordingsBucketName": "calls-111122223333-eu-west-2",
        "EventBusName": "contact-centre",
        "VpcSubnetIds": ",".join(f"subnet-0123456789abcdef{each}" for each in range(3)),
        "VpcSecurityGroupIds": "sg-0123456789abcdef0,sg-0123456789abcdef1",
    }
    assert len(rendered(translated, {**PARAMETERS, **common})[1]) <= 256


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("Timeout",), 600),
        (("DurableConfig", "ExecutionTimeout"), 86_400),
        (("Environment", "Variables", "DRAIN_SECONDS"), "31"),
    ],
)
def test_a_changed_property_makes_a_new_version(
    translated: Translate, template: dict[str, Any], before: tuple[str, str], path: tuple[str, ...], value: object
) -> None:
    changed = copy.deepcopy(template)
    at = changed["Resources"]["ConsumerFunction"]["Properties"]
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    assert version(translated(PARAMETERS, changed))[0] != before[0]


def test_sam_makes_no_role_beside_the_template_s_own(translated: Translate) -> None:
    stack = translated(PARAMETERS)["Resources"]
    roles = {name for name, one in stack.items() if one["Type"] == "AWS::IAM::Role"}
    assert roles == {"ConsumerRole", "ContactEndedRole", "ExecutionEndedRole", "TriggerRole"}
    for name in ("Consumer", "Trigger", "ContactEnded", "ExecutionEnded"):
        assert stack[f"{name}Function"]["Properties"]["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        assert "ManagedPolicyArns" not in stack[f"{name}Role"]["Properties"]
