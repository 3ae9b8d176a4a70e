"""Checks of the Kinesis Video streams: the retention that each one has, and the key that encrypts them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from botocore.exceptions import ClientError

from connect_audio.recorder.call_watch import LEAST_RETENTION_HOURS
from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.aws import is_absent
from connect_audio_cli.stacks.deployed import Deployed

_AWS_MANAGED: Final = "alias/aws/"


def _none(stack: Deployed) -> Finding:
    return note(
        f"no stream begins with {stack.parameter('StreamNamePrefix')}",
        "Connect makes streams with the first calls; after a call, look at the prefix and at the flow",
    )


def _retention(stack: Deployed) -> Finding:
    if not (streams := stack.streams()):
        return _none(stack)
    hours = Counter(int(each.get("DataRetentionInHours", 0)) for each in streams)
    if hours[0]:
        return fault(
            f"{count(len(streams), 'stream')}, {hours[0]} with 0 h: audio that is not read within 5 minutes is lost",
            "a stream keeps the retention that it was made with. Raise it (aws kinesisvideo update-data-retention), "
            "or delete the stream while no call is on",
        )
    least, most = min(hours), max(hours)
    if stack.is_archiving and least < LEAST_RETENTION_HOURS:
        short = sum(number for kept, number in hours.items() if kept < LEAST_RETENTION_HOURS)
        return fault(
            f"{count(len(streams), 'stream')}, {short} with less than {LEAST_RETENTION_HOURS} h: their calls are "
            "recorded live, although RecordingMode is archive",
            "raise the retention of these streams (aws kinesisvideo update-data-retention), best to 24 h",
        )
    return well(f"{count(len(streams), 'stream')}: {least} h" + ("" if least == most else f" to {most} h"))


def _key(stack: Deployed) -> Finding:
    if not (streams := stack.streams()):
        return _none(stack)
    keys = Counter(key for each in streams if _AWS_MANAGED not in (key := each.get("KmsKeyId", _AWS_MANAGED)))
    if not keys:
        return well("the AWS-managed key encrypts the streams")
    given = stack.parameter("StreamKmsKeyArn")
    makes_one = stack.parameter("WireMediaStreaming") == "true" and not given
    for key, number in keys.most_common():
        found = f"key {key} encrypts {count(number, 'stream')}"
        try:
            metadata = stack.aws.ask("kms", "describe_key", KeyId=key)["KeyMetadata"]
        except ClientError as error:
            if not is_absent(error):
                raise
            return fault(
                f"{found}, and does not exist any more", "audio under a deleted key is lost; delete the streams"
            )
        if metadata.get("KeyManager") == "AWS":
            continue
        if metadata.get("KeyState", "Enabled") != "Enabled":
            return fault(f"{found}, and is {metadata['KeyState']}", "enable the key, or cancel its deletion")
        if not makes_one and given != metadata["Arn"]:
            return fault(
                f"{found}, and the consumer may not decrypt with it", f"deploy with StreamKmsKeyArn={metadata['Arn']}"
            )
        policy = json.loads(
            stack.aws.ask("kms", "get_key_policy", KeyId=metadata["Arn"], PolicyName="default")["Policy"]
        )
        role = stack.output("ConsumerRoleArn")
        if not any(_decrypts(statement, role) for statement in _statements(policy)):
            return fault(
                f"{found}, and its policy does not let {role} decrypt",
                "add the statement of docs/deployment.md, KMS keys",
            )
    return well(f"{count(len(keys), 'key')} of your own: enabled, and the policy lets the consumer decrypt")


def _statements(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = policy.get("Statement", [])
    yield from found if isinstance(found, list) else [found]


def _decrypts(statement: dict[str, Any], role: str) -> bool:
    """Return True if a statement allows it, or leaves it to IAM by naming the account."""
    account = role.split(":")[4]
    principal = statement.get("Principal", {})
    named = principal if isinstance(principal, str) else principal.get("AWS", [])
    actions = statement.get("Action", [])
    return (
        statement.get("Effect") == "Allow"
        and any(
            each in {"*", role, account} or each.endswith(f"::{account}:root")
            for each in ([named] if isinstance(named, str) else named)
        )
        and any(
            each.lower() in {"*", "kms:*", "kms:decrypt", "kms:decrypt*"}
            for each in ([actions] if isinstance(actions, str) else actions)
        )
    )


CHECKS: Final = (
    Check("streams' retention", ("kinesisvideo:ListStreams",), _retention),
    Check("streams' key", ("kinesisvideo:ListStreams", "kms:DescribeKey", "kms:GetKeyPolicy"), _key),
)
