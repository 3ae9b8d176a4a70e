"""Checks of the stack: its last deployment."""

from __future__ import annotations

from typing import Final

from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.stacks.deployed import Deployed


def _stack(stack: Deployed) -> Finding:
    found = f"{stack.name} is {stack.status}, last changed on {stack.changed}"
    if stack.status.endswith("_IN_PROGRESS"):
        return note(found, "run the doctor again once the deployment has ended")
    if "ROLLBACK" in stack.status or stack.status.endswith("_FAILED"):
        return fault(
            f"{found}: the last deployment failed",
            "read its events (aws cloudformation describe-stack-events), remove the cause, deploy again",
        )
    return well(found)


CHECKS: Final = (Check("stack", ("cloudformation:DescribeStacks",), _stack),)
