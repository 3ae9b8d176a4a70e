"""How long the consumer's steps go on asking S3 and KVS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aws_durable_execution_sdk_python.config import StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision

from connect_audio.core.errors import AnnouncementError, MediaSourceError, StorageError
from connect_audio.handlers import step_retries

THROTTLED = StorageError("SlowDown", "PutObject: slow down", retryable=True)
DENIED = StorageError("AccessDenied", "PutObject: denied", retryable=False)


def strategy(config: StepConfig) -> Callable[[Exception, int], RetryDecision]:
    assert config.retry_strategy is not None
    return config.retry_strategy


def outlasted_s(config: StepConfig) -> int:
    """How long a step waits in all before it fails for good."""
    total = 0
    for attempts in range(1, 1000):
        decision = strategy(config)(THROTTLED, attempts)
        if not decision.should_retry:
            return total
        total += decision.delay_seconds
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("config", "least_s", "most_s"),
    [
        (step_retries.RECORDING, 1800, 3600),
        (step_retries.PUBLISHING, 3 * 3600, 4 * 3600),
        (step_retries.ANNOUNCING, 300, 900),
        (step_retries.CLEANING_UP, 900, 1800),
    ],
    ids=["recording", "publishing", "announcing", "cleaning up"],
)
def test_an_outage_is_outlasted_and_the_quota_of_operations_kept(config: StepConfig, least_s: int, most_s: int) -> None:
    assert least_s <= outlasted_s(config) <= most_s


def test_the_first_attempts_follow_quickly_and_none_waits_longer_than_its_step_may() -> None:
    recording, publishing = strategy(step_retries.RECORDING), strategy(step_retries.PUBLISHING)
    assert [recording(THROTTLED, attempts).delay_seconds for attempts in (1, 2, 3, 7, 30)] == [2, 4, 8, 60, 60]
    assert [publishing(THROTTLED, attempts).delay_seconds for attempts in (1, 8, 9, 40)] == [2, 256, 300, 300]


@pytest.mark.parametrize(
    "error",
    [
        DENIED,
        MediaSourceError("NotAuthorizedException", "GetMedia: no", retryable=False),
        AnnouncementError("AccessDeniedException", "PutEvents: no", retryable=False),
        KeyError("a bug"),
    ],
    ids=["denied", "not authorised", "not announced", "a bug"],
)
def test_what_no_attempt_can_mend_is_not_tried_again(error: Exception) -> None:
    for config in (step_retries.RECORDING, step_retries.PUBLISHING, step_retries.ANNOUNCING):
        assert not strategy(config)(error, 1).should_retry


def test_a_clean_up_is_tried_again_whatever_s3_answers_and_a_bug_is_not() -> None:
    clean_up = strategy(step_retries.CLEANING_UP)
    assert clean_up(DENIED, 1).should_retry
    assert not clean_up(DENIED, 10).should_retry
    assert not clean_up(KeyError("a bug"), 1).should_retry
