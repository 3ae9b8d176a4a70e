"""The check of the instance's published flows: one must start media streaming before it calls the trigger."""

from __future__ import annotations

import json
from typing import Final

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.doctor.flow import use_of
from connect_audio_cli.output.command_error import printable
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.aws import is_denied
from connect_audio_cli.stacks.deployed import Deployed

_MOST_FLOWS: Final = 20
"""Flows that are read, at Connect's 2 requests a second. Beyond: the finding says how many were not."""


def _flows(stack: Deployed) -> Finding:
    trigger = stack.output("TriggerFunctionArn")
    listed = stack.aws.listed("connect", "list_contact_flows", "ContactFlowSummaryList", InstanceId=stack.instance_id)
    published = [
        each
        for each in listed
        if each.get("ContactFlowState", "ACTIVE") == "ACTIVE"
        and each.get("ContactFlowStatus", "PUBLISHED") == "PUBLISHED"
    ]
    well_made = 0
    for each in published[:_MOST_FLOWS]:
        name = printable(each["Name"])
        try:
            flow = stack.aws.ask(
                "connect", "describe_contact_flow", InstanceId=stack.instance_id, ContactFlowId=each["Id"]
            )["ContactFlow"]
        except ClientError as error:
            if is_denied(error):
                raise
            continue
        use = use_of(json.loads(flow["Content"]), trigger)
        if not use.invokes:
            continue
        if not use.streams:
            return fault(
                f'flow "{name}" can call the trigger before media streaming is started',
                'put the block "Start media streaming" before "AWS Lambda function", unless an earlier flow starts it',
            )
        if not use.both_ways:
            return fault(
                f'flow "{name}" streams one direction alone: one channel stays silent',
                'choose "From the customer" and "To the customer" in the block "Start media streaming"',
            )
        well_made += 1
    left = len(published) - _MOST_FLOWS
    if well_made:
        return well(f"{count(well_made, 'published flow')}: streaming starts both ways, before the trigger is called")
    if left > 0:
        return note(f"none of the first {_MOST_FLOWS} published flows calls the trigger; {left} more were not read")
    return fault(
        f"{count(len(published), 'published flow')}, and none calls the trigger",
        "publish a flow that does: docs/contact-flow.md, or deploy with WireFlow=true",
    )


CHECKS: Final = (Check("flows", ("connect:ListContactFlows", "connect:DescribeContactFlow"), _flows),)
