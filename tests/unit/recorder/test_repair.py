"""A repair leaves the old recording or the better one, wherever it is killed, and never neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from connect_audio.core.audit import AuditResult, is_suspect, next_audit_number
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError, StorageError
from connect_audio.ports import ListedFragment
from connect_audio.recorder import (
    AlreadyPublished,
    Budget,
    Granted,
    Over,
    Policy,
    Recorded,
    Recorder,
    RecorderPorts,
    claim_recording,
)
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.repair import (
    Repaired,
    audit_stream,
    close_audit,
    finish_interrupted,
    publish_repair,
    repair_ports,
)
from support.calls import call
from support.store import MemoryStore
from support.wav import same_wav, wav_of_call
from support.world import NAMES, REQUEST, World, world

OURS: Final = call(8)
FOREVER: Final = float("inf")


class KilledError(BaseException):
    """The process ends between two calls of S3."""


@dataclass
class Stream:
    """The listing of a world's stream."""

    world: World
    failure: str | None = None

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        if self.failure is not None:
            raise MediaSourceError(self.failure, "refused", retryable=False)
        return [
            ListedFragment(
                each.number, each.producer_ms, each.producer_ms, each.at_ms - each.producer_ms, len(each.data)
            )
            for each in self.world.source.fragments
            if from_ms <= each.producer_ms <= to_ms
        ]


def manifest_of(store: MemoryStore) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.objects[NAMES.manifest][0])
    return found


def without(at: World, *places: int) -> World:
    """Take fragments out of the stream."""
    at.source.fragments = [each for place, each in enumerate(at.source.fragments) if place not in places]
    return at


def in_one_put() -> World:
    return world(OURS)


def in_parts() -> World:
    return replace(world(OURS, policy=Policy(part_bytes=96_000)), store=MemoryStore(least_part_bytes=1))


def recorded_with_a_hole(make: Callable[[], World], *places: int) -> World:
    """A world whose recording lacks fragments, and whose stream has them again."""
    at = make()
    whole = at.source.fragments
    without(at, *places)
    at.run()
    at.source.fragments = whole
    return at


def attempt(at: World, number: int | None = None) -> tuple[RecorderPorts, str]:
    name = f"repair#{number or next_audit_number(manifest_of(at.store))}"
    return repair_ports(replace(at.ports(), execution=name)), name


def record(ports: RecorderPorts, begin: Granted, at: World) -> tuple[Recorded, Mapping[str, Any], Any]:
    old = manifest_of(at.store)
    found = audit_stream(old, Stream(at), REQUEST.start_timestamp_ms, at.clock)
    assert found.end is not None
    done, checkpoint = Continuation(execution=ports.execution), begin.checkpoint().ending_on(found.end)
    with Recorder(ports) as recorder:
        while True:
            result = recorder.record(checkpoint, Budget(FOREVER, FOREVER))
            done, checkpoint = done.after(result), result.checkpoint
            if isinstance(result.next, Over):
                end = result.next.end
                recorded = Recorded(checkpoint=checkpoint, parts=done.parts, notes_keys=done.notes_keys, end=end)
                return recorded, old, found


def repair(at: World) -> Repaired | None:
    """Repair as the command and the consumer do; None for a recording that is whole."""
    claim = at.store.objects.get(NAMES.claim)
    left = None if claim is None else int(claim[0].decode().partition("#")[2])
    if left is None and not is_suspect(manifest_of(at.store)):
        return None
    ports, _ = attempt(at, left)
    begin = claim_recording(ports)
    if isinstance(begin, AlreadyPublished):
        return finish_interrupted(ports)
    assert isinstance(begin, Granted)
    return publish_repair(ports, *record(ports, begin, at))


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_what_the_stream_still_has_replaces_the_recording(make: Callable[[], World]) -> None:
    at = recorded_with_a_hole(make, 3, 4)
    old = manifest_of(at.store)

    repaired = repair(at)

    assert repaired is not None
    assert repaired.result is AuditResult.REPAIRED
    assert same_wav(at.store.objects[NAMES.key][0], wav_of_call(OURS))
    manifest = manifest_of(at.store)
    assert manifest == repaired.manifest
    assert (old["status"], manifest["status"]) == ("partial", "complete")
    assert manifest["audit"]["replaced"]["dataCrc32"] == old["recording"]["dataCrc32"]
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}
    assert repair(at) is None


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_a_kill_at_any_call_of_s3_leaves_the_old_or_the_new_recording_and_the_next_run_completes_it(
    make: Callable[[], World],
) -> None:
    reference = recorded_with_a_hole(make, 3, 4)
    old_wav, old_manifest = (reference.store.objects[key][0] for key in (NAMES.key, NAMES.manifest))
    repair(reference)
    new_wav, new_manifest = (reference.store.objects[key][0] for key in (NAMES.key, NAMES.manifest))
    seen, at_call = set[tuple[bool, bool]](), 0
    while True:
        at_call += 1
        at = recorded_with_a_hole(make, 3, 4)
        calls = 0

        def count(_name: str, last: int = at_call) -> None:
            nonlocal calls
            calls += 1
            if calls == last:
                raise KilledError

        at.store.before_call = count
        try:
            repair(at)
        except KilledError:
            at.store.before_call = lambda _name: None
        else:
            break
        wav, manifest = (at.store.objects[key][0] for key in (NAMES.key, NAMES.manifest))
        assert wav in {old_wav, new_wav}, f"killed before call {at_call}"
        is_new = wav == new_wav, json.loads(manifest)["status"] == "complete"
        # A new manifest never describes the old audio.
        assert is_new in {(False, False), (True, False), (True, True)}, f"killed before call {at_call}"
        seen.add(is_new)
        repair(at)
        assert at.store.objects[NAMES.key][0] == new_wav, f"killed before call {at_call}"
        again = manifest_of(at.store)
        assert again["audit"]["number"] == 1, f"killed before call {at_call}"
        assert again["recording"] == json.loads(new_manifest)["recording"]
        assert set(at.store.objects) == {NAMES.key, NAMES.manifest}, f"killed before call {at_call}"
        assert at.store.uploads == {}, f"killed before call {at_call}"
    assert at_call > 12
    assert seen == {(False, False), (True, False), (True, True)}
    assert old_manifest != new_manifest


def test_a_killed_repair_is_completed_without_the_stream() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    puts = 0

    def killed(name: str) -> None:
        nonlocal puts
        puts += name == "put" and NAMES.staged_manifest in at.store.objects
        if puts:
            raise KilledError

    at.store.before_call = killed
    with pytest.raises(KilledError):
        repair(at)
    at.store.before_call = lambda _name: None
    assert manifest_of(at.store)["status"] == "partial"
    at.source.fragments = []

    repaired = repair(at)

    assert repaired is not None
    assert repaired.result is AuditResult.REPAIRED
    assert manifest_of(at.store)["status"] == "complete"
    assert manifest_of(at.store)["audit"]["replaced"]["etag"].startswith('"')
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


def test_a_recording_that_gains_nothing_is_dropped_and_noted() -> None:
    at = recorded_with_a_hole(in_parts, 3, 4)
    without(at, 3, 4, 6)
    at.source.fragments.insert(3, world(OURS).source.fragments[3])
    before = at.store.objects[NAMES.key]

    repaired = repair(at)

    assert repaired is not None
    assert repaired.result is AuditResult.NOTHING_GAINED
    assert at.store.objects[NAMES.key] == before
    assert manifest_of(at.store)["audit"]["result"] == "NOTHING_GAINED"
    assert manifest_of(at.store)["audit"]["replaced"] is None
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}


@pytest.mark.parametrize("make", [in_one_put, in_parts])
@pytest.mark.parametrize("theirs", [b"another version", None], ids=["replaced", "deleted"])
def test_an_object_that_changed_meanwhile_is_left_as_it_is(make: Callable[[], World], theirs: bytes | None) -> None:
    at = recorded_with_a_hole(make, 3, 4)
    ports, _ = attempt(at)
    begin = claim_recording(ports)
    assert isinstance(begin, Granted)
    made = record(ports, begin, at)
    if theirs is None:
        del at.store.objects[NAMES.key]
    else:
        at.store.objects[NAMES.key] = (theirs, {"execution": "theirs"})
    manifest = at.store.objects[NAMES.manifest]

    repaired = publish_repair(ports, *made)

    assert repaired.result is AuditResult.NOTHING_GAINED
    expected = {NAMES.manifest: manifest} | ({} if theirs is None else {NAMES.key: (theirs, {"execution": "theirs"})})
    assert at.store.objects == expected
    assert at.store.uploads == {}


def test_an_upload_that_somebody_aborted_never_leaves_a_first_part() -> None:
    at = recorded_with_a_hole(in_parts, 3, 4)
    before = at.store.objects[NAMES.key]
    ports, _ = attempt(at)
    begin = claim_recording(ports)
    assert isinstance(begin, Granted)
    made = record(ports, begin, at)
    at.store.uploads.clear()

    assert publish_repair(ports, *made).result is AuditResult.NOTHING_GAINED

    assert at.store.objects[NAMES.key] == before
    assert manifest_of(at.store)["status"] == "partial"


def test_the_sinks_of_live_audio_keep_their_place_in_the_manifest() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    sinks = {"sinks": [{"name": "segments"}]}
    dropped = {"code": "LIVE_AUDIO_DROPPED", "detail": "2 s"}
    old = {**manifest_of(at.store), "live": sinks, "warnings": [dropped]}
    at.store.objects[NAMES.manifest] = (json.dumps(old).encode(), {})

    repair(at)

    manifest = manifest_of(at.store)
    assert (manifest["status"], manifest["live"], manifest["warnings"]) == ("complete", sinks, [dropped])


def test_a_stream_that_does_not_keep_the_call_is_an_outcome_and_any_other_failure_is_raised() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    old = manifest_of(at.store)
    gone = audit_stream(old, Stream(at, OUTSIDE_RETENTION), REQUEST.start_timestamp_ms, at.clock)
    assert (gone.end, gone.audit.result) == (None, AuditResult.OUTSIDE_RETENTION)
    with pytest.raises(MediaSourceError, match="refused"):
        audit_stream(old, Stream(at, "NotAuthorizedException"), REQUEST.start_timestamp_ms, at.clock)


def test_a_closed_audit_changes_the_audit_of_the_manifest_alone() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    without(at, 3, 4)
    old = manifest_of(at.store)
    ports, _ = attempt(at)
    claim_recording(ports)
    found = audit_stream(old, Stream(at), REQUEST.start_timestamp_ms, at.clock)
    assert (found.end, found.audit.listed, found.audit.recoverable) == (None, len(at.source.fragments), 0)

    close_audit(ports, old, found, found.audit.result)

    manifest = manifest_of(at.store)
    assert manifest.pop("audit")["result"] == "NOTHING_RECOVERABLE"
    assert manifest == {name: value for name, value in old.items() if name != "audit"}
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


def test_a_failure_of_s3_is_raised_and_the_claim_stays_for_the_next_run() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)

    def fails(name: str) -> None:
        if name == "replace":
            raise StorageError("SlowDown", name, retryable=True)

    at.store.before_call = fails
    with pytest.raises(StorageError):
        repair(at)
    assert at.store.objects[NAMES.claim] == (b"repair#1", {})
    at.store.before_call = lambda _name: None
    repair(at)
    assert manifest_of(at.store)["status"] == "complete"


def test_a_staged_manifest_is_a_temporary_object() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    repair(at)
    assert NAMES.staged_manifest in at.store.temporary
