"""Hours of call through the real handler, hand-over by hand-over. The day's figures: `make long-call HOURS=24`."""

from __future__ import annotations

from connect_audio_local.durable_quotas import AWS_QUOTAS
from connect_audio_local.processes import process_cloud
from connect_audio_local.processes.long_call import LongCall, record_long_call

HOURS = 1.0
# Lambda: a synchronous invocation's payload.
INPUT_BYTES = 6e6


# One test, so that one worker makes the call.
def test_a_long_call_is_recorded_byte_for_byte_over_many_invocations_in_flat_memory_and_inside_the_quotas() -> None:
    with process_cloud() as cloud:
        found = record_long_call(cloud, HOURS)
    assert (found.exact, found.status, found.gaps) == (True, "complete", 0)
    assert found.invocations >= 3
    assert found.hand_overs == found.invocations - 1
    assert found.most_connections == 1
    assert found.left == ()
    is_flat(found)
    fits_a_day(found)


def is_flat(found: LongCall) -> None:
    peaks = found.peak_rss_mib
    assert max(peaks) <= peaks[0] + 16
    assert max(peaks) < 200


def fits_a_day(found: LongCall) -> None:
    usage, day = found.usage, 24 / found.hours
    # Retries of a bad day count too.
    assert usage.operations * day <= 0.8 * AWS_QUOTAS.operations
    assert usage.history_bytes * day <= 0.1 * AWS_QUOTAS.history_bytes
    assert found.largest_input * day <= INPUT_BYTES
    # Bounded, however long the call.
    assert usage.largest_result_bytes <= 0.02 * AWS_QUOTAS.result_bytes
