"""How often the engine tries a step again, and for how long. Used by `call_execution` alone.

The engine's own strategy would run a step six times after any exception, a bug included, each time in an invocation of
its own. These run it again only where AWS may do better later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.serdes import JsonSerDes

from connect_audio.core.errors import AnnouncementError, MediaSourceError, StorageError


def _retry(
    most_attempts: int, longest_delay_s: int, *, even_refused: bool = False
) -> Callable[[Exception, int], RetryDecision]:
    """Try again after a retryable failure of AWS, with delays that double from 2 s up to `longest_delay_s`."""

    def decide(error: Exception, attempts: int) -> RetryDecision:
        passing = isinstance(error, StorageError | MediaSourceError | AnnouncementError) and (
            error.retryable or even_refused
        )
        if passing and attempts < most_attempts:
            return RetryDecision.retry(Duration.from_seconds(min(longest_delay_s, 2 ** min(attempts, 16))))
        return RetryDecision.no_retry()

    return decide


RECORDING: Final = StepConfig(retry_strategy=_retry(36, 60), serdes=JsonSerDes())
"""Half an hour: a stream with retention still has what was missed, and each attempt is one of 3000 operations."""

PUBLISHING: Final = StepConfig(retry_strategy=_retry(44, 300), serdes=JsonSerDes())
"""Three hours: all audio is in S3, only this execution can publish it, and a wait costs nothing."""

ANNOUNCING: Final = StepConfig(retry_strategy=_retry(10, 120), serdes=JsonSerDes())
"""Eight minutes: the recording is published already, and the execution has a time limit of its own."""

CLEANING_UP: Final = StepConfig(retry_strategy=_retry(10, 600, even_refused=True), serdes=JsonSerDes())
"""Half an hour, whatever S3 answers: a claim that stays refuses every later repair."""
