"""The translated template for many sets of parameters: it is whole, and each parameter changes what it says alone.

`make lint-parameter-sets` puts each set's translation under cfn-lint as well, which takes minutes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.evaluation import evaluated

pytestmark = pytest.mark.sam

type Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
SAM_VENV = ROOT / ".venv-sam"

INSTANCE = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
KEY = "arn:aws:kms:eu-west-2:111122223333:key/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
SECRET = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:calls/webhook-a1B2c3"
WIRED = {"ConnectInstanceArn": INSTANCE, "WireMediaStreaming": "true", "WireTrigger": "true", "WireFlow": "true"}
WEBHOOK = {"LiveSinks": "webhook", "WebhookUrl": "https://a.example/calls", "WebhookSecretArn": SECRET}
WHISPER = {"LiveSinks": "whisper", "WhisperUrl": "https://a.example/v1", "WhisperSecretArn": SECRET}
VPC = {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-0123456789abcdef0", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
RAILS = {
    "PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/boundary",
    "RolePath": "/rails/",
    "CodeSigningConfigArn": "arn:aws:lambda:eu-west-2:111122223333:code-signing-config:csc-0123456789abcdef0",
    "FunctionsKmsKeyArn": KEY,
    "DeadLettersKmsKeyArn": KEY,
    "LogsKmsKeyArn": KEY,
}
SETS: dict[str, dict[str, str]] = {
    "nothing but the streams": {},
    "an instance and nothing else": WIRED,
    "an instance with a queue": {**WIRED, "FlowQueueArn": f"{INSTANCE}/queue/1f2e3d4c-0000-4000-8000-000000000002"},
    "existing bucket and keys": {
        "ConnectInstanceArn": INSTANCE,
        "WireTrigger": "true",
        "StreamKmsKeyArn": KEY,
        "RecordingsBucketName": "calls.example",
        "RecordingsKmsKeyArn": KEY,
    },
    "record only": {"ConnectInstanceArn": INSTANCE, "WireTrigger": "true"},
    "Object Lock": {"RecordingsBucketName": "calls.example", "StagingBucketName": "staging.example"},
    "Object Lock and the ends of contacts": {"StagingBucketName": "staging.example", "ContactEvents": "on"},
    "archive": {"RecordingMode": "archive", "ContactEvents": "on", "RepairRecordings": "off"},
    "expiring": {"RecordingsExpirationDays": "90", "LiveSegmentsExpirationDays": "7", "LiveSinks": "segments"},
    "a webhook": {**WEBHOOK, "WebhookSecretKmsKeyArn": KEY},
    "Transcribe": {"LiveSinks": "transcribe", "TranscribeEnabled": "true", "TranscribeLanguages": "en-US,es-US"},
    "a speech server": {**WHISPER, "WhisperSecretKmsKeyArn": KEY},
    "both kinds of words": {"TranscribeEnabled": "true", "WhisperUrl": "http://10.0.0.7:8000/v1", "WordsEvents": "on"},
    "a VPC": VPC,
    "guard rails": RAILS,
    "guard rails in a VPC with FIPS": {**RAILS, **VPC, "FipsEndpoints": "true", "Tracing": "PassThrough"},
    "x86": {"Architecture": "x86_64", "ConsumerMemory": "1024", "ConsumerTimeout": "1800"},
    "reserved": {
        "ConsumerReservedConcurrency": "0",
        "TriggerReservedConcurrency": "10",
        "MaximumEventAgeSeconds": "60",
    },
    "silent": {"AlarmsEnabled": "false", "DashboardEnabled": "false", "EventBusName": "", "Tracing": "Disabled"},
    "alarms on all": {
        "ConnectInstanceArn": INSTANCE,
        "ContactEvents": "on",
        "AlarmTopicArn": "arn:aws:sns:eu-west-2:111122223333:alarms",
        "TriggerFunctionName": "record-this-call",
    },
}


def given(parameters: dict[str, str]) -> dict[str, str]:
    return {"StreamNamePrefix": "live", **parameters}


@pytest.mark.parametrize("name", SETS)
def test_sam_makes_a_whole_stack_of_the_set_and_the_packaged_template_makes_the_same(
    translated: Callable[..., Json], packaged: Json, name: str
) -> None:
    parameters = given(SETS[name])
    # A reference to something that the conditions leave out is an error here.
    by_sam = evaluated(translated(parameters), parameters)["Resources"]
    plain = dict(packaged)
    plain["Parameters"] = {**plain["Parameters"], "Architecture": {"Type": "String", "Default": "arm64"}}
    assert comparable(plain_stack(plain, parameters)) == comparable(by_sam)


def plain_stack(packaged: Json, parameters: dict[str, str]) -> Json:
    found: Json = evaluated(packaged, {**parameters, "ArtifactsBucketName": "artifacts.example"})["Resources"]
    return found


def comparable(stack: Json) -> Json:
    """A stack without what tells two builds apart: where code lies, and the hashes in names; numbers as text."""
    text = re.sub(r"(Layer|Version)[0-9a-f]{10}\b", r"\1", json.dumps(stack))
    resources: Json = json.loads(text, parse_int=str)
    for one in resources.values():
        one.pop("Metadata", None)
        if one["Type"] in {"AWS::Lambda::Function", "AWS::Lambda::LayerVersion"}:
            one["Properties"].pop("Code", None)
            one["Properties"].pop("Content", None)
    return resources


@pytest.mark.skipif("LINT_PARAMETER_SETS" not in os.environ, reason="takes minutes: `make lint-parameter-sets`")
def test_cfn_lint_finds_nothing_in_the_translation_of_any_set(
    sam_environment: dict[str, str], translated: Callable[..., Json], template: Json, tmp_path: Path
) -> None:
    numbers = {name for name, one in template["Parameters"].items() if one["Type"] == "Number"}
    for number, parameters in enumerate(SETS.values()):
        # SAM writes a value as it gets it, and CloudFormation takes a number as text; cfn-lint does not.
        typed: Json = {name: int(one) if name in numbers else one for name, one in given(parameters).items()}
        (tmp_path / f"{number}.json").write_text(json.dumps(translated(typed)), "utf-8")
    # As in test_linters.py: what SAM writes of its own.
    ignored = ["--ignore-checks", "I4010", "W3011", "W2001", "--format", "json"]
    done = subprocess.run(
        [SAM_VENV / "bin" / "cfn-lint", *ignored, "--template", *sorted(tmp_path.glob("*.json"))],
        cwd=ROOT,
        env=sam_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {one["Message"] for one in json.loads(done.stdout)}
    # SAM writes the value of Tracing into the branch of Fn::If that a stack without traces does not take.
    assert found == {"'Disabled' is not one of ['Active', 'PassThrough']"}


# Of each parameter: its value, the places that it changes, and the parameters that it needs beside it.
TRIGGER = "TriggerFunction/Properties/Environment/Variables"
ROLE = "ConsumerRole/Properties/Policies/consumer/Statement"
LAYERS = "ConsumerFunction/Properties/Layers"
VERSION = "ConsumerFunctionVersion/Properties/Description"
CHANGES: dict[str, tuple[str, set[str], dict[str, str]]] = {
    "WordsLanguage": ("en-US", {f"{TRIGGER}/WORDS_LANGUAGE"}, {}),
    "WordsMaximumMinutes": ("60", {f"{TRIGGER}/WORDS_MAXIMUM_MINUTES"}, {}),
    "WordsDailyMinutesAlarm": ("500", {"WordsMinutesAlarm"}, {}),
    "WordsEvents": ("on", {f"{TRIGGER}/WORDS_EVENTS"}, {}),
    "WordsWebhook": ("all", {f"{TRIGGER}/WORDS_WEBHOOK"}, WEBHOOK),
    "TranscribeEnabled": ("true", {"WordsLayer", LAYERS, VERSION, f"{ROLE}/TranscribeTheCall"}, {}),
    "TranscribeLanguages": ("en-US,es-US", {f"{TRIGGER}/TRANSCRIBE_LANGUAGES"}, {}),
    "TranscribeVocabulary": ("products", {f"{TRIGGER}/TRANSCRIBE_VOCABULARY"}, {}),
    "TranscribeVocabularyFilter": ("insults", {f"{TRIGGER}/TRANSCRIBE_VOCABULARY_FILTER"}, {}),
    "TranscribeFilterMethod": ("tag", {f"{TRIGGER}/TRANSCRIBE_FILTER_METHOD"}, {}),
    "TranscribeStability": ("low", {f"{TRIGGER}/TRANSCRIBE_STABILITY"}, {}),
    "TranscribeRedaction": ("on", {f"{TRIGGER}/TRANSCRIBE_REDACTION"}, {}),
    "WhisperUrl": ("https://a.example/v1", {f"{TRIGGER}/WHISPER_URL", "VoiceLayer", LAYERS, VERSION}, {}),
    "WhisperModel": ("small.en", {f"{TRIGGER}/WHISPER_MODEL"}, {}),
    "WhisperSecretArn": (SECRET, {f"{TRIGGER}/WHISPER_SECRET", f"{ROLE}/ReadTheSpeechServersKey"}, {}),
    "WhisperSecretKmsKeyArn": (KEY, {f"{ROLE}/DecryptTheSpeechServersKey"}, {"WhisperSecretArn": SECRET}),
    "WhisperPrivateAddresses": ("allowed", {f"{TRIGGER}/WHISPER_PRIVATE_ADDRESSES"}, {}),
    "OpenTelemetryEndpoint": (
        "http://localhost:4318/v1/traces",
        {"ConsumerFunction/Properties/Environment/Variables/OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", VERSION},
        {},
    ),
    "StagingBucketName": (
        "staging.example",
        {
            "ConsumerFunction/Properties/Environment/Variables/STAGING_BUCKET",
            "ContactEndedFunction/Properties/Environment/Variables/STAGING_BUCKET",
            VERSION,
            # Deletes go there and no more into the recordings' bucket.
            f"{ROLE}/ClearStagingAndClaims/Resource",
            f"{ROLE}/StageAndClaim",
            f"{ROLE}/FindWhatIsStaged",
            "ContactEndedRole/Properties/Policies/contact-ended/Statement/NoteTheEnd/Resource",
            "ContactEndedRole/Properties/Policies/contact-ended/Statement/FindWhoWaits/Resource",
        },
        {"ContactEvents": "on"},
    ),
}


def test_every_parameter_of_words_is_in_the_table(packaged: Json) -> None:
    of_words = {name for name in packaged["Parameters"] if re.match("Words|Transcribe|Whisper", name)}
    assert of_words | {"StagingBucketName", "OpenTelemetryEndpoint"} == set(CHANGES)


@pytest.mark.parametrize("parameter", CHANGES)
def test_a_parameter_changes_what_it_says_and_nothing_else(packaged: Json, parameter: str) -> None:
    value, expected, beside = CHANGES[parameter]
    before, after = (comparable(plain_stack(packaged, given({**beside, **more}))) for more in ({}, {parameter: value}))
    assert set(differing(before, after)) == expected


def differing(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths at which two pieces of a stack differ; a statement of a policy goes by its Sid."""
    one, other = named(before), named(after)
    if not isinstance(one, dict) or not isinstance(other, dict):
        if one != other:
            yield path
        return
    for name in sorted(set(one) | set(other)):
        below = f"{path}/{name}".lstrip("/")
        if name in one and name in other:
            yield from differing(one[name], other[name], below)
        else:
            yield below


def named(value: Any) -> Any:
    """Policies and statements by their names, in place of a list."""
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        if all("Sid" in one for one in value):
            return {one["Sid"]: one for one in value}
        if all("PolicyName" in one for one in value):
            return {one["PolicyName"]: one["PolicyDocument"] for one in value}
    return value
