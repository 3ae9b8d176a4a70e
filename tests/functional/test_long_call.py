"""Hours of call through the real handler, hand-over by hand-over. The day's figures: `make long-call HOURS=24`."""

from __future__ import annotations

import pytest

from connect_audio_local.lambda_.quotas import AWS_QUOTAS
from connect_audio_local.long_call import LongCall, record_long_call
from connect_audio_local.process_cloud import process_cloud

HOURS = 1.0
LIVE_HOURS = 0.4
# Long enough for moto to follow a call that is read some hundred times as fast as it was spoken.
SEGMENT_SECONDS = 30
# Less than a further part would need: so each part ends an invocation, however fast the machine.
A_PART_EACH_S = 20.0
# Lambda hands over a part of a longer history, and the function asks for the rest: a bound of cost. A day takes 6.5 MB
# with the digests in each checkpoint (ADR 22); the payload of one invocation is 6 MB.
INPUT_BYTES = 7e6
# What a checkpoint may say of a sink and of the audio that is kept for it.
LIVE_STATE_BYTES = 512


@pytest.fixture(scope="module")
def plain() -> LongCall:
    with process_cloud() as cloud:
        return record_long_call(cloud, HOURS)


def test_a_long_call_is_recorded_byte_for_byte_over_many_invocations_in_flat_memory_and_inside_the_quotas(
    plain: LongCall,
) -> None:
    is_whole(plain)
    is_flat(plain)
    fits_a_day(plain)


def test_with_live_segments_it_is_the_same_and_its_state_grows_by_that_of_the_sink_alone(plain: LongCall) -> None:
    with process_cloud() as cloud:
        found = record_long_call(cloud, LIVE_HOURS, invocation_s=A_PART_EACH_S, segment_seconds=SEGMENT_SECONDS)
    is_whole(found)
    is_flat(found)
    fits_a_day(found)
    assert 0 < found.usage.largest_result_bytes - plain.usage.largest_result_bytes <= LIVE_STATE_BYTES
    live = found.live
    assert live is not None
    assert (live.exact, live.left_threads) == (True, ())
    # At this speed a busy machine may have to drop some: then it is counted.
    assert live.missing * SEGMENT_SECONDS <= live.dropped_s
    assert live.missing <= live.segments
    assert live.segments + live.missing == LIVE_HOURS * 3600 / SEGMENT_SECONDS


def is_whole(found: LongCall) -> None:
    assert (found.exact, found.status, found.gaps) == (True, "complete", 0)
    assert found.invocations >= 3
    assert found.hand_overs == found.invocations - 1
    assert found.most_connections == 1
    assert found.left == ()


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
    assert usage.largest_result_bytes <= 0.08 * AWS_QUOTAS.result_bytes
