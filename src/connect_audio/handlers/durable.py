"""Makes a handler a durable function whose engine is called through the process's own session.

The SDK would make a client of boto3's default session. That loads another table of endpoints and all of Lambda's
model: 10 MiB and some 80 ms of CPU at each cold start (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Final

from aws_durable_execution_sdk_python import durable_execution
from aws_lambda_powertools import Logger
from botocore.config import Config

from connect_audio.adapters.aws_session import aws_session
from connect_audio.core.errors import SinkError
from connect_audio.settings import traces_endpoint

ENGINE_CONFIG: Final = Config(connect_timeout=5, read_timeout=50)
"""The SDK's own time limits, in seconds (aws_durable_execution_sdk_python.lambda_service)."""


def durable(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make a durable function; its first call makes the client."""

    @cache
    def made() -> Callable[..., Any]:
        client = aws_session().client("lambda", config=ENGINE_CONFIG)
        return durable_execution(handler, boto3_client=client, plugins=_plugins())

    @wraps(handler)
    def started(event: Any, context: Any) -> Any:
        return made()(event, context)

    return started


def _plugins() -> list[Any] | None:
    """The trace of executions, where a collector is named. No wrong address costs a recording."""
    url = traces_endpoint()
    if url is None:
        return None
    from connect_audio.handlers.execution_trace import ExecutionTraces  # noqa: PLC0415 - only where it is wanted

    try:
        return [ExecutionTraces(url)]
    except SinkError as error:
        logger = Logger()
        logger.warning("traces not sent: the address of the collector is refused", extra={"detail": str(error)})
        return None
