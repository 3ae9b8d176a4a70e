"""A recording after the call that is killed on the way: the next run finishes it, or leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from connect_audio.core.errors import OUTSIDE_RETENTION, LateRecordingError, MediaSourceError
from connect_audio.ports import StartSelector
from connect_audio.recorder.claim_object import read_claim
from support.calls import call
from support.killed import KilledError, kill_before
from support.late import Listing, record
from support.store import MemoryStore
from support.wav import wav_of_call
from support.world import NAMES, World, world

OURS: Final = call(8)


@pytest.fixture
def at() -> World:
    at = world(OURS)
    at.clock.pass_by(3600)
    return at


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


def is_recorded(at: World) -> bool:
    """Return True if the recording is published, or is about to be."""
    claim = read_claim(at.store, NAMES)
    return NAMES.key in at.store.objects or (claim is not None and claim.plan is not None)


@pytest.mark.parametrize("before", range(1, len(CALLS) + 1))
def test_a_run_behind_a_kill_never_writes_the_manifest_of_another_wav(at: World, before: int) -> None:
    killed(at, before)
    has_all = is_recorded(at)
    # The stream has lost a fragment meanwhile.
    del at.source.fragments[3]

    record(at)

    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}
    assert manifest_of(at.store)["status"] == ("complete" if has_all else "partial")
    assert (at.store.objects[NAMES.key][0] == wav_of_call(OURS)) is has_all


@pytest.mark.parametrize("before", range(1, len(CALLS) + 1))
def test_a_run_that_finds_the_stream_expired_leaves_no_claim(at: World, before: int) -> None:
    killed(at, before)
    has_all = is_recorded(at)
    gone = Listing(at, MediaSourceError(OUTSIDE_RETENTION, "the stream keeps less", retryable=False))

    if has_all:
        assert record(at, gone).status in {"complete", "exists"}
        assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
        assert at.store.objects[NAMES.key][0] == wav_of_call(OURS)
    else:
        with pytest.raises(LateRecordingError, match="no longer keeps this call"):
            record(at, gone)
        assert at.store.objects == {}
    assert at.store.uploads == {}


@pytest.mark.parametrize("after", [0, 1])
def test_credentials_that_expire_make_no_recording_of_less_than_the_call(
    at: World, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    opened, opens = at.source.open, list[StartSelector]()

    def refuses(start: StartSelector) -> Any:
        opens.append(start)
        if len(opens) > after:
            raise MediaSourceError("ExpiredTokenException", "the token has expired", retryable=True)
        return opened(start)

    monkeypatch.setattr(at.source, "open", refuses)
    # The first body breaks off within the call.
    at.source.bodies.append(lambda _start, selected: iter([selected[0].data]))
    with pytest.raises(LateRecordingError, match="AWS refuses"):
        record(at)
    assert len(opens) == after + 1
    assert at.store.objects == {}

    monkeypatch.undo()
    assert record(at).status == "complete"


def test_a_failure_that_may_pass_keeps_the_claim_for_the_next_run(at: World) -> None:
    killed(at, CALLS.index("put_new") + 2)
    with pytest.raises(LateRecordingError, match="AWS refuses"):
        record(at, Listing(at, MediaSourceError("InternalFailure", "once", retryable=True)))

    assert NAMES.claim in at.store.objects
