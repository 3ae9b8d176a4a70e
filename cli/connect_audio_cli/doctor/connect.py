"""Checks of the Connect instance: reachable, streaming, the right prefix, retention, and the trigger known to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.check import Check, Finding, fault, not_checked, note, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.aws import is_absent
from connect_audio_cli.stacks.deployed import Deployed

_STORAGE: Final = ("connect:ListInstanceStorageConfigs",)
_OFF: Final = not_checked("live media streaming is off")


def _instance(stack: Deployed) -> Finding:
    try:
        found = stack.aws.ask("connect", "describe_instance", InstanceId=stack.instance_id)["Instance"]
    except ClientError as error:
        if not is_absent(error):
            raise
        return fault(f"there is no instance {stack.instance_id} in {stack.aws.region}", "correct ConnectInstanceArn")
    status = found.get("InstanceStatus", "of an unknown status")
    if status != "ACTIVE":
        return fault(f"the instance is {status}", "wait until Connect has made it, or make another")
    if not found.get("InboundCallsEnabled", True):
        return note("the instance is ACTIVE, and takes no inbound calls")
    return well("the instance is ACTIVE")


def _streaming(stack: Deployed) -> Finding:
    if (config := stack.streaming()) is None:
        return fault(
            "live media streaming is off",
            "switch it on in the Connect console under Data storage, Live media streaming, or deploy with "
            "WireMediaStreaming=true",
        )
    return well(f"live media streaming is on, with the prefix {config['Prefix']}")


def _prefix(stack: Deployed) -> Finding:
    if (config := stack.streaming()) is None:
        return _OFF
    made, read = config["Prefix"], stack.parameter("StreamNamePrefix")
    if made.startswith(read):
        return well(f"streams begin with {made}, and the consumer may read {read}*")
    if read.startswith(made):
        return note(
            f"streams begin with {made}, and the consumer may read {read}* alone",
            "the check of the streams shows whether there are such streams",
        )
    return fault(
        f"streams begin with {made}, and the consumer may read {read}* alone", f"deploy with StreamNamePrefix={made}"
    )


def _retention(stack: Deployed) -> Finding:
    if (config := stack.streaming()) is None:
        return _OFF
    hours = _hours(config)
    if hours == 0:
        return fault(
            "the instance's streams keep 0 h: audio that is not read within 5 minutes is lost",
            "set a retention of 24 h under Data storage, Live media streaming; streams that exist keep their own",
        )
    return well(f"new streams keep {hours} h")


def _hours(config: Mapping[str, Any]) -> int:
    return int(config.get("RetentionPeriodHours", 0))


def _association(stack: Deployed) -> Finding:
    trigger = stack.output("TriggerFunctionArn")
    known = stack.aws.listed("connect", "list_lambda_functions", "LambdaFunctions", InstanceId=stack.instance_id)
    if any(each == trigger or each.startswith(f"{trigger}:") for each in known):
        return well("the instance's flows may choose the trigger")
    return fault(
        f"the instance's flows may call {count(len(known), 'function')}, and the trigger is none of them",
        "add it in the Connect console under Flows, AWS Lambda, or deploy with WireTrigger=true",
    )


CHECKS: Final = (
    Check("instance", ("connect:DescribeInstance",), _instance),
    Check("media streaming", _STORAGE, _streaming),
    Check("stream prefix", _STORAGE, _prefix),
    Check("instance's retention", _STORAGE, _retention),
    Check("trigger in Connect", ("connect:ListLambdaFunctions",), _association),
)
