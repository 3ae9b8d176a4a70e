"""The templates under three linters: SAM CLI's, cfn-lint at its strictest (.cfnlintrc.yaml) and checkov for security.

Exceptions stand in the template beside what they except, each with its reason.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.evaluation import evaluated

pytestmark = pytest.mark.sam

ROOT = Path(__file__).parents[2]
TEMPLATES = [ROOT / "template.yaml", *sorted((ROOT / "examples").glob("*.yaml"))]
INSTANCE = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
KEY = "arn:aws:kms:eu-west-2:111122223333:key/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
SWITCHED_ON: dict[str, object] = {
    "ConnectInstanceArn": INSTANCE,
    "WireMediaStreaming": "true",
    "WireTrigger": "true",
    "RecordingsKmsKeyArn": KEY,
    "RecordingsExpirationDays": "90",
    "LogsKmsKeyArn": KEY,
    "ConsumerReservedConcurrency": 500,
    "TriggerReservedConcurrency": 50,
    "LiveSinks": "segments,webhook",
    "LiveSegmentsExpirationDays": "30",
    "WebhookUrl": "https://a.example/calls",
    "WebhookSecretArn": "arn:aws:secretsmanager:eu-west-2:111122223333:secret:calls/webhook-a1B2c3",
    "WebhookSecretKmsKeyArn": KEY,
    "WhisperUrl": "https://a.example/v1",
    "WhisperSecretArn": "arn:aws:secretsmanager:eu-west-2:111122223333:secret:calls/whisper-a1B2c3",
    "WhisperSecretKmsKeyArn": KEY,
    "AlarmTopicArn": "arn:aws:sns:eu-west-2:111122223333:alarms",
    "ConsumerTimeout": 1800,
    "TriggerFunctionName": "record-this-call",
    "PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/boundary",
    "RolePath": "/rails/",
    "VpcSubnetIds": "subnet-0a1b2c3d,subnet-0123456789abcdef0",
    "VpcSecurityGroupIds": "sg-0a1b2c3d",
    "CodeSigningConfigArn": "arn:aws:lambda:eu-west-2:111122223333:code-signing-config:csc-0123456789abcdef0",
    "FunctionsKmsKeyArn": KEY,
    "DeadLettersKmsKeyArn": KEY,
    "FipsEndpoints": "true",
    "TranscribeEnabled": "true",
    "ContactEvents": "on",
    "OpenTelemetryEndpoint": "https://a.example/v1/traces",
}
SWITCHED_OFF: dict[str, object] = {
    "RecordingsBucketName": "calls.example",
    "StagingBucketName": "staging.example",
    "EventBusName": "",
    "Tracing": "Disabled",
    "AlarmsEnabled": "false",
    "DashboardEnabled": "false",
}
type Run = Callable[..., subprocess.CompletedProcess[str]]


def test_sam_finds_the_template_valid(sam: Run) -> None:
    assert "is a valid SAM Template" in sam("sam", "validate", "--lint").stdout


def test_cfn_lint_finds_nothing_in_template_and_examples(sam: Run) -> None:
    assert sam("cfn-lint").stdout == ""


def test_cfn_lint_finds_nothing_in_what_sam_makes_of_the_template(
    sam: Run, translated: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    stack = tmp_path / "stack.json"
    stack.write_text(json.dumps(translated({"StreamNamePrefix": "live"})), "utf-8")
    # SAM hands the function's UpdateReplacePolicy on to the alias; a kept alias of a replaced function does no harm.
    # Of EventInvokeConfig SAM writes the parameter's value, so nothing uses the parameter any more.
    assert sam("cfn-lint", "--ignore-checks", "I4010", "W3011", "W2001", "--template", str(stack)).stdout == ""


def test_cfn_lint_is_as_strict_as_it_is_said_to_be(sam: Run, tmp_path: Path) -> None:
    worse = a_template(
        tmp_path / "worse.json",
        {
            "Type": "AWS::SQS::Queue",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            # E3012, where it is strict; the period that is not given is I3013, informational.
            "Properties": {"DelaySeconds": "0"},
        },
        {
            "Type": "AWS::IAM::Group",
            # I3042, which its rule's settings ask for.
            "Properties": {"ManagedPolicyArns": [{"Fn::Sub": "arn:${AWS::Partition}:iam::111122223333:policy/more"}]},
        },
    )
    with pytest.raises(AssertionError) as found:
        sam("cfn-lint", "--template", str(worse))
    assert set(re.findall(r"^ *([IWE]\d{4}) ", str(found.value), re.MULTILINE)) == {"E3012", "I3013", "I3042"}


def a_template(path: Path, *resources: dict[str, Any]) -> Path:
    """Write a template of a few resources: a linter is through with it at once."""
    named = {f"Resource{number}": each for number, each in enumerate(resources)}
    path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": named}), "utf-8")
    return path


def deployed(translated: Callable[..., dict[str, Any]], parameters: dict[str, object]) -> dict[str, Any]:
    texts = {name: str(value) for name, value in parameters.items()}
    return {"AWSTemplateFormatVersion": "2010-09-09", **evaluated(translated(texts), parameters)}


def test_checkov_sees_a_bucket_that_is_open(checkov: Run, tmp_path: Path, template: dict[str, Any]) -> None:
    bucket = copy.deepcopy(template["Resources"]["RecordingsBucket"])
    del bucket["Properties"]["PublicAccessBlockConfiguration"]["BlockPublicAcls"]
    done = checkov(a_template(tmp_path / "open.json", bucket))
    assert done.returncode == 1
    assert re.findall(r"CKV\w+", done.stdout) == ["CKV_AWS_53"]


def test_checkov_finds_nothing_in_templates_and_stacks(
    checkov: Run, translated: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    stacks = []
    for name, parameters in {"everything": SWITCHED_ON, "least": SWITCHED_OFF}.items():
        stacks.append(tmp_path / f"{name}.json")
        stacks[-1].write_text(json.dumps(deployed(translated, {"StreamNamePrefix": "live", **parameters})), "utf-8")
    done = checkov(*TEMPLATES, *stacks)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"Passed checks: (\d+), Failed checks: 0", done.stdout)
    assert passed
    assert int(passed[1]) > 60


def skips(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        yield from value.get("checkov", {}).get("skip", [])
        for inner in value.values():
            yield from skips(inner)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_each_exception_has_its_reason_beside_it(path: Path, template: dict[str, Any]) -> None:
    lines = path.read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        if "ignore_checks" in line:
            assert lines[number - 1].lstrip().startswith("# ")
        if re.search(r"id: CKV", line):
            assert re.fullmatch(r" +comment: .{40,}", lines[number + 1])
    assert {one["id"] for one in skips(template)} >= {"CKV_AWS_21"}
