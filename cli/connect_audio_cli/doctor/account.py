"""Checks of the account: the credentials, and the region of stack and instance."""

from __future__ import annotations

from typing import Final

from connect_audio_cli.doctor.check import Check, Finding, fault, well
from connect_audio_cli.stacks.deployed import Deployed, NoInstanceError


def _account(stack: Deployed) -> Finding:
    here = f"you are in account {stack.account}, {stack.aws.region}"
    try:
        region, account = stack.instance.split(":")[3:5]
    except NoInstanceError:
        return well(here)
    if (region, account) != (stack.aws.region, stack.account):
        return fault(
            f"{here}; the instance is in account {account}, {region}",
            "deploy the stack in the instance's account and region, or correct ConnectInstanceArn",
        )
    return well(f"{here}, as the instance is")


CHECKS: Final = (Check("credentials", ("sts:GetCallerIdentity",), _account),)
