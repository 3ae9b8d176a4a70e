"""Starts the consumer: one durable execution for each streaming of a contact, however often it is requested.

Used by the trigger. Lambda makes the start idempotent: it answers the same execution name and payload with the running
execution (docs: Lambda, "Execution names"). So a duplicate event and a retry after a lost answer are harmless.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from connect_audio.adapters.aws_session import botocore_session
from connect_audio.request import LIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient

    from connect_audio.request import RecordingOptions, RecordingRequest

CONSUMER_NOT_STARTED = "CONSUMER_NOT_STARTED"
NAME_TAKEN = "NAME_TAKEN"

_CONNECT_TIMEOUT_S = 1


@dataclass(frozen=True, slots=True)
class Started:
    """The execution runs, or ran already.

    Args:
        execution_arn: the durable execution's ARN; empty if the server gave none.
    """

    execution_arn: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Lambda refused, or could not be asked.

    Args:
        reason: `CONSUMER_NOT_STARTED` or `NAME_TAKEN`.
        detail: AWS's error code and what to look at; ids only.
    """

    reason: str
    detail: str


class ConsumerStart:
    """The consumer function, as something to start.

    Args:
        function: its qualified ARN or `name:alias`.
        client: a Lambda client; `lambda_client` makes one that keeps to Connect's time limit.
    """

    def __init__(self, function: str, client: LambdaClient) -> None:
        self._function = function
        self._client = client

    def start(
        self, request: RecordingRequest, options: RecordingOptions, live: Mapping[str, str]
    ) -> Started | NotStarted:
        """Start the execution that records a request, or find it started.

        Args:
            request: the streaming to record; the execution's name is a function of it alone.
            options: the manner of the recording.
            live: the variables of `LiveSettings` that the recording is to keep to; empty for no live audio.
        """
        document = {**request.to_payload(), **options.to_payload(), **({LIVE: dict(live)} if live else {})}
        # Byte for byte the same for every duplicate: whether Lambda compares bytes or JSON is not documented.
        payload = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        try:
            answer = self._client.invoke(
                FunctionName=self._function,
                InvocationType="Event",
                DurableExecutionName=request.execution_name,
                Payload=payload,
            )
        except self._client.exceptions.DurableExecutionAlreadyStartedException:
            return NotStarted(
                NAME_TAKEN,
                f"execution {request.execution_name} exists and records the same start from another event, in another "
                "mode, or with other settings of live audio",
            )
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "Unknown")
            return NotStarted(CONSUMER_NOT_STARTED, f"Lambda refused to start the consumer: {code}")
        except (ReadTimeoutError, ConnectionClosedError) as exc:
            return NotStarted(
                CONSUMER_NOT_STARTED,
                f"Lambda did not answer ({type(exc).__name__}); the consumer may have been started",
            )
        except BotoCoreError as exc:
            return NotStarted(CONSUMER_NOT_STARTED, f"Lambda could not be asked: {type(exc).__name__}")
        # An unread answer keeps its connection from the pool, and each start would make a new one. The execution runs,
        # even if this read fails.
        with suppress(BotoCoreError):
            answer["Payload"].read()
        return Started(answer.get("DurableExecutionArn", ""))


def lambda_client(answer_timeout_ms: int) -> LambdaClient:
    """Make a Lambda client for an impatient caller.

    Connect waits 8 s for the trigger (its limit for synchronous Lambda calls). Two tries take 1 s to connect and 1.5 s
    to answer each, with a pause of at most 1 s between them: 6 s. The remaining 2 s are for a cold start.

    Args:
        answer_timeout_ms: how long Lambda may take to answer each try, ms.
    """
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=answer_timeout_ms / 1000,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return cast("LambdaClient", botocore_session().create_client("lambda", config=config))
