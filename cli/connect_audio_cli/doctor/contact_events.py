"""Check of Connect's contact events: the rule that announces each call's end to the stack, if it is switched on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.doctor.invocation import RIGHT, may_invoke
from connect_audio_cli.stacks.aws import is_absent
from connect_audio_cli.stacks.deployed import Deployed

RULE: Final = "ContactEndedRule"
FUNCTION: Final = "ContactEndedFunction"
_EVENTBRIDGE: Final = "events.amazonaws.com"
_END: Final = "DISCONNECTED"
_AGAIN: Final = "it was changed by hand: put it back, or set ContactEvents off, deploy, and on again"


def _events(stack: Deployed) -> Finding:
    if not stack.has_contact_events:
        return _without(stack)
    name, function = stack.resource(RULE), stack.resource(FUNCTION)
    if not name or not function:
        return fault(f"ContactEvents is on, and the stack has no {FUNCTION if name else RULE}", "deploy again")
    try:
        rule = stack.aws.ask("events", "describe_rule", Name=name)
        targets = stack.aws.ask("events", "list_targets_by_rule", Rule=name)["Targets"]
    except ClientError as error:
        if not is_absent(error):
            raise
        return fault(f"there is no rule {name}: no call's end is announced", _AGAIN)
    if rule.get("State") == "DISABLED":
        return fault(
            f"rule {name} is disabled: no call's end is announced", f"aws events enable-rule --name {name} enables it"
        )
    if not lets_through(json.loads(rule.get("EventPattern") or "{}")):
        return fault(f"the pattern of rule {name} does not name {_END} of aws.connect", _AGAIN)
    arn = f"{stack.consumer.rpartition(':')[0]}:{function}"
    if arn not in {each["Arn"] for each in targets}:
        return fault(f"rule {name} does not lead to {function}: no call's end is announced", _AGAIN)
    if not may_invoke(stack, arn, _EVENTBRIDGE, rule.get("Arn", "")):
        return fault(
            f"the policy of {function} has no permission for {_EVENTBRIDGE} with rule {name} as source", _AGAIN
        )
    return well(f"rule {name} is enabled and leads each call's end to {function}")


def _without(stack: Deployed) -> Finding:
    if stack.is_archiving:
        return note(
            "off, although RecordingMode is archive: a recording comes 5 minutes to an hour after its call, and each "
            "look asks Connect",
            "deploy with ContactEvents=on: a recording then comes half a minute after its call",
        )
    return well("off: Connect is asked about each call's end")


def lets_through(pattern: Mapping[str, Any]) -> bool:
    """Return True if a rule's event pattern names the events of a contact's end."""
    return "aws.connect" in pattern.get("source", ()) and _END in pattern.get("detail", {}).get("eventType", ())


CHECKS: Final = (
    Check(
        "contact events",
        ("cloudformation:ListStackResources", "events:DescribeRule", "events:ListTargetsByRule", RIGHT),
        _events,
    ),
)
