"""A recording after the call that is killed on the way: the next run finishes it, or leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pytest

from connect_audio.core.errors import OUTSIDE_RETENTION, LateRecordingError, MediaSourceError
from connect_audio.ports import FragmentIndex, ListedFragment, PartStore
from connect_audio.recorder.late_recording import LateCall, LateRecording, LateResult
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from support.calls import call
from support.killed import KilledError, kill_before
from support.store import MemoryStore
from support.wav import wav_of_call
from support.world import NAMES, REQUEST, World, world

OURS: Final = call(8)
CALL: Final = LateCall(REQUEST.stream_arn, REQUEST.start_timestamp_ms, REQUEST.contact_id, REQUEST.instance_arn)


@dataclass
class Listing:
    """The listing of a world's stream; with `failure`, one that fails."""

    world: World
    failure: MediaSourceError | None = None

    def fragments(self, from_ms: int, to_ms: int) -> list[ListedFragment]:
        if self.failure is not None:
            raise self.failure
        return [
            ListedFragment(each.number, each.producer_ms, 0, each.at_ms - each.producer_ms, len(each.data))
            for each in self.world.source.fragments
            if from_ms <= each.producer_ms <= to_ms
        ]


@dataclass
class Place:
    store: PartStore

    def names(self, request: RecordingRequest) -> RecordingNames:
        assert request == REQUEST
        return NAMES

    def execution(self, request: RecordingRequest) -> str:
        return f"export:{request.execution_name}"


@pytest.fixture
def at() -> World:
    at = world(OURS)
    at.clock.pass_by(3600)
    return at


def record(at: World, index: FragmentIndex | None = None) -> LateResult:
    listing = index or Listing(at)
    place = Place(at.store)
    return LateRecording(
        call=CALL, place=place, source=at.source, index=listing, clock=at.clock, logger=at.logger
    ).run()


def calls_of_a_whole_run() -> list[str]:
    at = world(OURS)
    names: list[str] = []
    at.clock.pass_by(3600)
    at.store.before_call = names.append
    record(at)
    return names


CALLS: Final = calls_of_a_whole_run()


def manifest_of(store: MemoryStore) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(store.objects[NAMES.manifest][0])
    return manifest


def killed(at: World, before: int) -> None:
    kill_before(at.store, before)
    with pytest.raises(KilledError):
        record(at)
    at.store.before_call = lambda _name: None


@pytest.mark.parametrize("before", range(1, len(CALLS) + 1))
def test_a_run_behind_a_kill_never_writes_the_manifest_of_another_wav(at: World, before: int) -> None:
    killed(at, before)
    has_wav = NAMES.key in at.store.objects
    # The stream has lost a fragment meanwhile.
    del at.source.fragments[3]

    record(at)

    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}
    assert manifest_of(at.store)["status"] == ("complete" if has_wav else "partial")
    assert (at.store.objects[NAMES.key][0] == wav_of_call(OURS)) is has_wav


@pytest.mark.parametrize("before", range(1, len(CALLS) + 1))
def test_a_run_that_finds_the_stream_expired_leaves_no_claim(at: World, before: int) -> None:
    killed(at, before)
    has_wav = NAMES.key in at.store.objects
    gone = Listing(at, MediaSourceError(OUTSIDE_RETENTION, "the stream keeps less", retryable=False))

    if has_wav:
        assert record(at, gone).status in {"complete", "exists"}
        assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    else:
        with pytest.raises(LateRecordingError, match="no longer keeps this call"):
            record(at, gone)
        assert at.store.objects == {}
    assert at.store.uploads == {}


def test_a_failure_that_may_pass_keeps_the_claim_for_the_next_run(at: World) -> None:
    killed(at, CALLS.index("put_new") + 2)
    with pytest.raises(LateRecordingError, match="AWS refuses"):
        record(at, Listing(at, MediaSourceError("InternalFailure", "once", retryable=True)))

    assert NAMES.claim in at.store.objects
