"""A live recording learns the end of its contact by the announcement, and asks Connect only in a long silence."""

from __future__ import annotations

import pytest

from connect_audio.core.errors import StorageError
from connect_audio.core.manifest import EndReason
from connect_audio.ports import ContactState
from connect_audio.recorder import OutcomeStatus
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_START_MS
from support.calls import call
from support.ends import FakeEnds
from support.wav import same_wav, wav_of_call
from support.world import world


@pytest.mark.parametrize("live", [False, True])
def test_an_announced_end_opens_the_drain_and_connect_is_never_asked(*, live: bool) -> None:
    ours = call(60)
    at = world(ours, live=live, status=ContactState.CONNECTED)
    at.ends = FakeEnds({DEFAULT_CONTACT_ID: DEFAULT_START_MS + 60_000})
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert at.status.asked_at_ms == []
    assert at.clock.monotonic() < 60 * live + 60


def test_connect_is_asked_after_five_minutes_of_silence_if_no_end_is_announced() -> None:
    at = world(call(60), status=ContactState.DISCONNECTED)
    at.ends = FakeEnds()
    run = at.run()
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    silent_s = (at.status.asked_at_ms[0] - DEFAULT_START_MS) / 1000
    assert 300 <= silent_s < 600
    assert at.ends.looks >= 3


def test_a_connected_contact_that_is_silent_for_long_is_waited_for_as_without_the_events() -> None:
    at = world(call(60), status=ContactState.CONNECTED)
    at.ends = FakeEnds()
    run = at.run()
    assert run.reasons == ["STILL_CONNECTED"]
    assert at.clock.monotonic() >= 4 * 3600


def test_a_bucket_that_gives_no_answer_leaves_the_question_to_connect_and_fails_no_step() -> None:
    ours = call(60)
    at = world(ours, status=ContactState.DISCONNECTED)
    at.ends = FakeEnds(failure=StorageError("SlowDown", "later", retryable=True))
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.end_reason is EndReason.DISCONNECTED
