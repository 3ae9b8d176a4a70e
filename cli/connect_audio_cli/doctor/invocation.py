"""Question of two checks: may a service of AWS invoke a function of the stack? The function's own policy answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from botocore.exceptions import ClientError

from connect_audio_cli.stacks.aws import is_absent
from connect_audio_cli.stacks.deployed import Deployed

RIGHT: Final = "lambda:GetPolicy"
"""The IAM action that the question needs."""


def may_invoke(stack: Deployed, function: str, service: str, source: str) -> bool:
    """Return True if a function's policy lets a service invoke it.

    Args:
        stack: the stack.
        function: the function's name or ARN.
        service: the service's principal, for example `connect.amazonaws.com`.
        source: ARN of the resource that the service invokes for; empty where it is unknown.

    Raises:
        ClientError: AWS refused.
    """
    try:
        policy = json.loads(stack.aws.ask("lambda", "get_policy", FunctionName=function)["Policy"])
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    return any(_lets_in(statement, service, source, stack.account) for statement in policy.get("Statement", ()))


def _lets_in(statement: Mapping[str, Any], service: str, source: str, account: str) -> bool:
    principal = statement.get("Principal", {})
    named = principal.get("Service") if isinstance(principal, dict) else principal
    if statement.get("Effect") != "Allow" or named not in {service, "*"}:
        return False
    if statement.get("Action") not in {"lambda:InvokeFunction", "lambda:*"}:
        return False
    conditions = {
        key.lower(): value for operands in statement.get("Condition", {}).values() for key, value in operands.items()
    }
    wanted = conditions.get("aws:sourcearn")
    return conditions.get("aws:sourceaccount", account) == account and (
        not wanted or not source or fnmatchcase(source, wanted)
    )
