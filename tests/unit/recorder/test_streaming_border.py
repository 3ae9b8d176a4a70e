"""A flow that stops and starts streaming within a contact makes two recordings, each with its own audio alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.manifest import EndReason
from connect_audio.ports import ContactState
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.wav import same_wav, wav_of, wav_of_call
from support.world import BUCKET, NAMES, REQUEST, World, world

PAUSE_MS = 3000
FIRST = call(20, seed=1)
SECOND = call(10, seed=2, pause_ms=PAUSE_MS)
SECOND_START_MS = next(
    each.producer_ms for each in fragments(FIRST, SECOND) if each.producer_ms >= DEFAULT_START_MS + 20_000 + PAUSE_MS
)


def other_streaming(start_ms: int) -> RecordingNames:
    return RecordingNames(BUCKET, replace(REQUEST, start_timestamp_ms=start_ms).recording_key("audio"))


def both(**options: object) -> World:
    return world(FIRST, SECOND, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("skew_ms", [-700, 0, 900], ids="start {} ms after its first fragment".format)
def test_the_first_recording_ends_where_a_later_streaming_with_its_own_recording_begins(skew_ms: int) -> None:
    at = both()
    at.store.put(other_streaming(SECOND_START_MS + skew_ms).claim, b"another", content_type="text/plain")
    run = at.run()
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.manifest["fragments"]["otherStreaming"] == 10
    assert run.manifest["status"] == "complete"
    assert run.outcome.end_reason in {EndReason.OTHER_STREAMING, EndReason.DISCONNECTED}


def test_audio_behind_a_pause_is_ours_where_nothing_else_records_it() -> None:
    run = both().run()
    pause = bytes(16 * PAUSE_MS)
    sides = ((FIRST.customer, SECOND.customer), (FIRST.agent, SECOND.agent))
    customer, agent = (first + pause + second for first, second in sides)  # type: ignore[operator]
    assert same_wav(run.wav, wav_of(customer, agent))
    assert run.manifest["fragments"]["otherStreaming"] == 0


def test_a_recording_that_appears_some_seconds_after_its_audio_is_waited_for() -> None:
    at = both(live=True, status=ContactState.CONNECTED)
    appears_ms = SECOND_START_MS + 8000
    sleep = at.clock.sleep

    def sleep_and_start(seconds: float) -> None:
        sleep(seconds)
        if at.clock.now_ms() >= appears_ms:
            at.store.put(other_streaming(SECOND_START_MS).claim, b"another", content_type="text/plain")

    at.clock.sleep = sleep_and_start  # type: ignore[method-assign]
    run = at.run()
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.outcome.end_reason is EndReason.OTHER_STREAMING


def test_the_second_recording_takes_nothing_of_the_first() -> None:
    at = both()
    at.store.put(other_streaming(DEFAULT_START_MS).key, b"RIFF", content_type="audio/wav")
    at.request = replace(REQUEST, start_timestamp_ms=SECOND_START_MS)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(SECOND))
    assert run.manifest["fragments"]["otherStreaming"] > 0


def test_siblings_are_found_on_the_days_between_and_by_any_of_their_objects() -> None:
    at = world(FIRST)
    others = OtherStreamings(REQUEST, NAMES, at.store)
    assert others.latest_before() is None
    assert others.first_after(DEFAULT_START_MS + 3 * 86_400_000) is None
    late = DEFAULT_START_MS + 2 * 86_400_000 + 123
    at.store.put(other_streaming(late).notes(1, "a"), b"{}", content_type="application/json")
    at.store.put(other_streaming(DEFAULT_START_MS - 1).manifest, b"{}", content_type="application/json")
    at.store.put(NAMES.claim, b"me", content_type="text/plain")
    assert others.first_after(DEFAULT_START_MS + 3 * 86_400_000) == late
    assert others.first_after(late - 1) is None
    assert others.latest_before() == DEFAULT_START_MS - 1
