"""Checks of quotas: how many calls Lambda can record, Connect can carry, and Kinesis Video Streams has streams for."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.check import Check, Finding, fault, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.aws import code_of
from connect_audio_cli.stacks.deployed import Deployed

_NEW_ACCOUNT: Final = 100
"""Concurrent executions below which an account is a new one: Lambda's default is 1000."""
_CALLS: Final = "L-12AB7C57"
"""Service Quotas' code of Connect's quota Concurrent active calls per instance."""
_DESCRIBE_CONTACT: Final = "L-371095B8"
"""Service Quotas' code of Connect's quota Rate of DescribeContact API requests."""
_MOST_STREAMS: Final = 10_000
"""Streams that an account may have unless the quota was raised (KVS Developer Guide). Beyond: Connect cannot stream."""
_NEARLY: Final = 0.9
"""Share of the streams at which there is still time to raise the quota."""


def _concurrency(stack: Deployed) -> Finding:
    whole, free, reserved = _executions(stack)
    if reserved == 0:
        return fault("no call can be recorded: 0 executions are reserved", "deploy with ConsumerReservedConcurrency=-1")
    if whole < _NEW_ACCOUNT:
        return fault(
            f"the account may run {count(whole, 'function')} at once: a new account, and each call being recorded "
            "takes one",
            "raise Lambda's quota Concurrent executions in the Service Quotas console",
        )
    if reserved is not None:
        return well(f"{count(reserved, 'call')} can be recorded at once, reserved out of the account's {whole}")
    return well(f"at most {count(free, 'call')} can be recorded at once, less what other functions take")


def _executions(stack: Deployed) -> tuple[int, int, int | None]:
    """Return the concurrent executions of the account, the unreserved ones, and the consumer's own; None for none."""
    limit = stack.aws.ask("lambda", "get_account_settings")["AccountLimit"]
    reserved = stack.aws.ask("lambda", "get_function_concurrency", FunctionName=stack.consumer)
    return (
        limit["ConcurrentExecutions"],
        limit["UnreservedConcurrentExecutions"],
        reserved.get("ReservedConcurrentExecutions"),
    )


def _connect(stack: Deployed) -> Finding:
    calls = round(_quota(stack, _CALLS, stack.instance))
    rate = _quota(stack, _DESCRIBE_CONTACT, "")
    if calls == 0:
        return fault(
            "the instance may have 0 calls at once",
            "raise Connect's quota Concurrent active calls per instance in the Service Quotas console",
        )
    _, free, reserved = _executions(stack)
    recorded = free if reserved is None else reserved
    found = f"the instance may have {count(calls, 'call')} at once"
    # In mode archive a call takes no execution while it lasts.
    if calls > recorded and not stack.is_archiving:
        return fault(
            f"{found}, and Lambda can record {recorded}: further calls are recorded late, or lose their beginning",
            "raise Lambda's quota Concurrent executions, or ConsumerReservedConcurrency",
        )
    return well(f"{found}; Connect answers DescribeContact {rate:g} times a second, about once a call's end")


def _quota(stack: Deployed, code: str, context: str) -> float:
    """Return the value of a quota of Connect: the applied one, or else the default.

    Args:
        stack: the stack.
        code: Service Quotas' code.
        context: the instance's ARN for a quota of an instance; empty for one of the account.

    Raises:
        ClientError: AWS refused.
    """
    try:
        more = {"ContextId": context} if context else {}
        answer = stack.aws.ask("service-quotas", "get_service_quota", ServiceCode="connect", QuotaCode=code, **more)
    except ClientError as error:
        if code_of(error) != "NoSuchResourceException":
            raise
        # Nothing was ever raised for it.
        answer = stack.aws.ask("service-quotas", "get_aws_default_service_quota", ServiceCode="connect", QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _streams(stack: Deployed) -> Finding:
    number = len(stack.streams())
    found = f"Connect has made {count(number, 'stream')}, one for each call at once"
    if number >= _NEARLY * _MOST_STREAMS:
        return fault(
            f"{found}; an account may have {_MOST_STREAMS} unless it asks for more",
            "raise the quota of streams of Kinesis Video Streams in the Service Quotas console",
        )
    return well(f"{found}, of {_MOST_STREAMS} that an account may have")


CHECKS: Final = (
    Check("Lambda's concurrency", ("lambda:GetAccountSettings", "lambda:GetFunctionConcurrency"), _concurrency),
    Check(
        "Connect's quotas",
        (
            "servicequotas:GetServiceQuota",
            "servicequotas:GetAWSDefaultServiceQuota",
            "lambda:GetAccountSettings",
            "lambda:GetFunctionConcurrency",
        ),
        _connect,
    ),
    Check("number of streams", ("kinesisvideo:ListStreams",), _streams),
)
