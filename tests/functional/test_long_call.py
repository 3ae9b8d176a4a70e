"""Hours of call through the real handler, hand-over by hand-over. The day's figures: `make long-call HOURS=24`."""

from __future__ import annotations

import pytest

from connect_audio_local.durable_quotas import AWS_QUOTAS
from connect_audio_local.processes import process_cloud
from connect_audio_local.processes.long_call import LongCall, record_long_call

pytestmark = pytest.mark.xdist_group("long-call")

HOURS = 1.0
# Lambda: a synchronous invocation's payload.
INPUT_BYTES = 6e6
DAY = 24 / HOURS


@pytest.fixture(scope="module")
def long_call() -> LongCall:
    with process_cloud() as cloud:
        return record_long_call(cloud, HOURS)


def test_hours_of_call_over_many_invocations_are_recorded_byte_for_byte_on_a_stream_that_keeps_nothing(
    long_call: LongCall,
) -> None:
    assert (long_call.exact, long_call.status, long_call.gaps) == (True, "complete", 0)
    assert long_call.invocations >= 3
    assert long_call.hand_overs == long_call.invocations - 1
    assert long_call.most_connections == 1
    assert long_call.left == ()


def test_the_memory_of_the_last_invocation_is_that_of_the_first(long_call: LongCall) -> None:
    peaks = long_call.peak_rss_mib
    # What the engine hands over grows by 2 KB a part: 20 minutes of call each, nothing that a day would feel.
    assert max(peaks) <= peaks[0] + 16
    assert max(peaks) < 200


def test_a_day_at_this_rate_stays_inside_the_engine_s_quotas(long_call: LongCall) -> None:
    usage = long_call.usage
    # Retries of a bad day count too.
    assert usage.operations * DAY <= 0.8 * AWS_QUOTAS.operations
    assert usage.history_bytes * DAY <= 0.1 * AWS_QUOTAS.history_bytes
    assert long_call.largest_input * DAY <= INPUT_BYTES
    # Bounded, however long the call.
    assert usage.largest_result_bytes <= 0.02 * AWS_QUOTAS.result_bytes
