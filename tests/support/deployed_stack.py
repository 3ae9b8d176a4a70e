"""CloudFormation's description of a deployed stack: the template's own parameters and outputs. For stand-ins of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infrastructure.loading import load

ACCOUNT: Final = "123456789012"
REGION: Final = "eu-west-2"
TRIGGER: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:calls-TriggerFunction"
CONSUMER: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:calls-ConsumerFunction"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/calls-ConsumerRole"
TEMPLATE: Final = load(Path(__file__).parents[2] / "template.yaml")
OUTPUTS: Final = {
    "TriggerFunctionArn": TRIGGER,
    "ConsumerAliasArn": f"{CONSUMER}:live",
    "ConsumerRoleArn": ROLE,
    "RecordingsBucketName": "calls-recordings",
    "FailedRecordingsQueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/calls-failed",
}


def described(
    status: str = "UPDATE_COMPLETE",
    *,
    parameters: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the answer of DescribeStacks for the stack `calls`.

    Args:
        status: CloudFormation's status.
        parameters: those that differ from the template's defaults.
        outputs: those that differ from `OUTPUTS`.
    """
    defaults = {name: str(one.get("Default", "")) for name, one in TEMPLATE["Parameters"].items()}
    given, made = {**defaults, **(parameters or {})}, {**OUTPUTS, **(outputs or {})}
    assert given.keys() == defaults.keys(), "the template has no such parameter"
    assert made.keys() <= TEMPLATE["Outputs"].keys(), "the template has no such output"
    stack = {
        "StackName": "calls",
        "StackStatus": status,
        "CreationTime": datetime(2026, 11, 28, tzinfo=UTC),
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in made.items()],
    }
    return {"Stacks": [stack]}
