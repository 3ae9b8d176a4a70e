"""Checks of quotas: how many calls Lambda can record at once."""

from __future__ import annotations

from typing import Final

from connect_audio_cli.doctor.check import Check, Finding, fault, well
from connect_audio_cli.doctor.deployed import Deployed

_NEW_ACCOUNT: Final = 100
"""Concurrent executions below which an account is a new one: Lambda's default is 1000."""


def _concurrency(stack: Deployed) -> Finding:
    limit = stack.aws.ask("lambda", "get_account_settings")["AccountLimit"]
    whole, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    reserved = stack.aws.ask("lambda", "get_function_concurrency", FunctionName=stack.consumer).get(
        "ReservedConcurrentExecutions"
    )
    if reserved == 0:
        return fault("no call can be recorded: 0 executions are reserved", "deploy with ConsumerReservedConcurrency=-1")
    if whole < _NEW_ACCOUNT:
        return fault(
            f"the account may run {whole} functions at once: a new account, and each call being recorded takes one",
            "raise Lambda's quota Concurrent executions in the Service Quotas console",
        )
    if reserved is not None:
        return well(f"{reserved} calls can be recorded at once, reserved out of the account's {whole}")
    return well(f"at most {free} calls can be recorded at once, less what other functions take")


CHECKS: Final = (
    Check("Lambda's concurrency", ("lambda:GetAccountSettings", "lambda:GetFunctionConcurrency"), _concurrency),
)
