"""Wakes a durable execution that waits for a callback (`lambda:SendDurableExecutionCallbackSuccess`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CALLBACKS_CONFIG: Final = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)
"""Time limits of a call, seconds. Lambda invokes the function again after a failure, twice."""

_GONE: Final = frozenset({"CallbackTimeoutException", "ResourceNotFoundException"})
"""Codes of a callback that is answered already, whose time is up, or whose execution has ended."""


def wake(client: LambdaClient, callback_id: str) -> bool:
    """Answer a callback.

    Args:
        client: a Lambda client.
        callback_id: the engine's id of the callback.

    Returns:
        False if the execution no longer waits for it.

    Raises:
        ClientError: Lambda refused; the caller's own caller tries again.
    """
    try:
        client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"{}")
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") not in _GONE:
            raise
        return False
    return True
