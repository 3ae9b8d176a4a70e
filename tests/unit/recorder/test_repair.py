"""A repair leaves the old recording or the better one, wherever it is killed, and never neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import pytest

from connect_audio.core.audit import AuditResult, is_suspect, next_audit_number
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError, StorageError
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.ports import ListedFragment
from connect_audio.recorder import Policy, Recorded, RecorderPorts, Refused, claim_recording
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.late_recording import recorded_to_its_end
from connect_audio.recorder.repair import (
    Again,
    Begun,
    ClaimHeld,
    Done,
    NotOver,
    Repaired,
    audit_stream,
    begin_repair,
    give_up_repair,
    outcome_of,
    publish_repair,
    replacing,
)
from support.calls import call
from support.json_text import through_json
from support.killed import KilledError, kill_before
from support.store import MemoryStore
from support.wav import same_wav, wav_of_call
from support.world import NAMES, REQUEST, World, finish, world

OURS: Final = call(8)


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
    at.store.objects = dict(recorded(make, *places))
    at.clock.pass_by(60)
    return at


@cache
def recorded(make: Callable[[], World], *places: int) -> Mapping[str, tuple[bytes, dict[str, str]]]:
    """What the recording of a stream without some fragments leaves in the bucket."""
    at = without(make(), *places)
    at.run()
    return at.store.objects


def begun(at: World) -> tuple[RecorderPorts, Begun]:
    """Begin a repair, or go on with an interrupted one."""
    claim = at.store.objects.get(NAMES.claim)
    name = f"repair#{next_audit_number(manifest_of(at.store))}" if claim is None else claim[0].decode()
    ports = replace(at.ports(), execution=name)
    begin = begin_repair(ports, Stream(at))
    # A step's result passes as JSON, and no manifest is in one.
    return ports, from_plain(Again, through_json(to_plain(begin))) if isinstance(begin, Again) else begin


def made(ports: RecorderPorts, begin: Again) -> tuple[RecorderPorts, Recorded]:
    hidden = replacing(ports, begin.etag)
    return hidden, recorded_to_its_end(hidden, begin.checkpoint)


def repair(at: World) -> Repaired | None:
    """Repair as the command and the consumer do; None for a whole recording, or where another one was faster."""
    if NAMES.claim not in at.store.objects and not is_suspect(manifest_of(at.store)):
        return None
    ports, begin = begun(at)
    if isinstance(begin, Done):
        return begin.repaired
    if isinstance(begin, ClaimHeld):
        return None
    assert isinstance(begin, Again)
    return publish_repair(*made(ports, begin), manifest_of(at.store), begin.found)


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
        kill_before(at.store, at_call)
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


def test_a_staged_manifest_that_the_lifecycle_deleted_is_made_again() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)

    def killed(name: str) -> None:
        if name == "put" and NAMES.staged_manifest in at.store.objects:
            raise KilledError

    at.store.before_call = killed
    with pytest.raises(KilledError):
        repair(at)
    at.store.before_call = lambda _name: None
    for key in (NAMES.claim, NAMES.staged_manifest):
        del at.store.objects[key]
    new = at.store.objects[NAMES.key]
    assert manifest_of(at.store)["status"] == "partial"

    repaired = repair(at)

    assert repaired is not None
    assert repaired.result is AuditResult.REPAIRED
    assert at.store.objects[NAMES.key] == new
    assert manifest_of(at.store)["status"] == "complete"
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_a_repair_an_export_a_second_repair_and_a_second_finish_at_once_leave_one_recording(
    make: Callable[[], World],
) -> None:
    """Before each of the repair's calls of S3 one of the others does all its work."""
    reference = recorded_with_a_hole(make, 3, 4)
    old_wav = reference.store.objects[NAMES.key][0]
    repair(reference)
    new_wav = reference.store.objects[NAMES.key][0]

    def second_repair(at: World) -> None:
        ports = replace(at.ports(), execution="another#1")
        begin = begin_repair(ports, Stream(at))
        if isinstance(begin, Again):
            publish_repair(*made(ports, begin), manifest_of(at.store), begin.found)
        else:
            assert isinstance(begin, ClaimHeld | Done)

    def export(at: World) -> None:
        assert isinstance(claim_recording(replace(at.ports(), execution="an export")), Refused)

    results = without(make(), 3, 4).run().results

    def second_finish(at: World) -> None:
        finish(at, results)

    for other in (second_repair, export, second_finish):
        at_call = 0
        while True:
            at_call += 1
            at = recorded_with_a_hole(make, 3, 4)
            calls = 0

            def count(_name: str, at: World = at, last: int = at_call, other: Callable[[World], None] = other) -> None:
                nonlocal calls
                calls += 1
                if calls == last:
                    at.store.before_call = lambda _name: None
                    other(at)

            at.store.before_call = count
            repair(at)
            if calls < at_call:
                break
            where = f"{other.__name__} before call {at_call}"
            assert at.store.objects[NAMES.key][0] == new_wav, where
            assert manifest_of(at.store)["status"] == "complete", where
            assert set(at.store.objects) == {NAMES.key, NAMES.manifest}, where
            assert at.store.uploads == {}, where
        assert at_call > 12
    assert old_wav != new_wav


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
    ports, begin = begun(at)
    assert isinstance(begin, Again)
    new, old = made(ports, begin), manifest_of(at.store)
    if theirs is None:
        del at.store.objects[NAMES.key]
    else:
        at.store.objects[NAMES.key] = (theirs, {"execution": "theirs"})
    manifest = at.store.objects[NAMES.manifest]

    repaired = publish_repair(*new, old, begin.found)

    assert repaired.result is AuditResult.NOTHING_GAINED
    expected = {NAMES.manifest: manifest} | ({} if theirs is None else {NAMES.key: (theirs, {"execution": "theirs"})})
    assert at.store.objects == expected
    assert at.store.uploads == {}


def test_a_better_manifest_of_equal_audio_is_published_too() -> None:
    """Equal bytes have an equal ETag: the new WAV must not pass for the old one."""
    at = in_one_put()
    at.run()
    manifest = manifest_of(at.store)
    manifest["fragments"]["truncated"] = 1
    at.store.objects[NAMES.manifest] = (json.dumps({**manifest, "status": "partial"}).encode(), {})

    repaired = repair(at)

    assert repaired is not None
    assert repaired.result is AuditResult.REPAIRED
    assert manifest_of(at.store)["status"] == "complete"
    assert at.store.objects[NAMES.key][1]["execution"] == "repair#1"


def test_an_upload_that_somebody_aborted_never_leaves_a_first_part() -> None:
    at = recorded_with_a_hole(in_parts, 3, 4)
    before = at.store.objects[NAMES.key]
    ports, begin = begun(at)
    assert isinstance(begin, Again)
    new, old = made(ports, begin), manifest_of(at.store)
    at.store.uploads.clear()

    assert publish_repair(*new, old, begin.found).result is AuditResult.NOTHING_GAINED

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


def test_a_transcript_stays_in_the_manifest_if_the_recording_still_begins_where_it_did() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    words = {"transcript": "s3://calls/a.transcript.json"}
    old = {**manifest_of(at.store), "live": {"sinks": []}, "words": words}
    at.store.objects[NAMES.manifest] = (json.dumps(old).encode(), {})

    repair(at)

    manifest = manifest_of(at.store)
    assert manifest["recording"]["startTime"] == old["recording"]["startTime"]
    assert (manifest["status"], manifest["words"]) == ("complete", words)


def test_a_repaired_recording_that_begins_earlier_names_no_words_which_count_from_the_old_begin() -> None:
    at = recorded_with_a_hole(in_one_put, 0, 3)
    old = {**manifest_of(at.store), "live": {"sinks": []}, "words": {"transcript": "s3://calls/a.transcript.json"}}
    at.store.objects[NAMES.manifest] = (json.dumps(old).encode(), {})

    repair(at)

    manifest = manifest_of(at.store)
    assert manifest["recording"]["startTime"] < old["recording"]["startTime"]
    assert (manifest["audit"]["result"], manifest["words"]) == ("REPAIRED", None)


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

    _, begin = begun(at)

    assert isinstance(begin, Done)
    manifest = manifest_of(at.store)
    audit = manifest.pop("audit")
    assert (audit["result"], audit["listedFragments"]) == ("NOTHING_RECOVERABLE", len(at.source.fragments))
    assert manifest == {name: value for name, value in old.items() if name != "audit"}
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


def test_a_recording_that_was_repaired_before_the_claim_is_left_alone() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    ports, _ = begun(at)
    clean_up(ports)
    repair(at)
    before = dict(at.store.objects)

    begin = begin_repair(replace(ports, execution="repair#1b"), Stream(at))

    assert begin == Done(Repaired(result=None, manifest=manifest_of(at.store)))
    assert at.store.objects == before


def test_a_call_that_may_go_on_is_given_up_for_now() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    manifest = manifest_of(at.store)
    manifest["evidence"]["end"]["state"] = "not_proven"
    at.store.objects[NAMES.manifest] = (json.dumps(manifest).encode(), {})
    before = dict(at.store.objects)
    newest = at.source.fragments[-1]
    at.clock.pass_by((newest.at_ms - at.clock.now_ms()) / 1000 + 599)

    assert begun(at)[1] == NotOver(599_000)
    assert at.store.objects == before
    at.clock.pass_by(1)
    assert isinstance(begun(at)[1], Again)


def test_a_claim_of_another_execution_is_respected() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    at.store.objects[NAMES.claim] = (b"theirs", {})
    ports = replace(at.ports(), execution="repair#1")
    assert begin_repair(ports, Stream(at)) == ClaimHeld()
    assert at.store.objects[NAMES.claim] == (b"theirs", {})


def test_a_listing_that_is_refused_gives_the_claim_up() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    before = dict(at.store.objects)
    with pytest.raises(MediaSourceError, match="refused"):
        begin_repair(replace(at.ports(), execution="repair#1"), Stream(at, "NotAuthorizedException"))
    assert at.store.objects == before


@pytest.mark.parametrize("places", [(3, 4), ()], ids=["partial", "complete"])
def test_the_outcome_of_a_manifest_is_the_one_that_publishing_returned(places: tuple[int, ...]) -> None:
    at = without(in_one_put(), *places)
    published = at.run().outcome
    assert outcome_of(at.ports(), manifest_of(at.store)) == replace(published, audio_end_ms=None)


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


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_a_repair_that_fails_for_good_behind_its_wav_leaves_the_new_recording(make: Callable[[], World]) -> None:
    at = recorded_with_a_hole(make, 3, 4)
    old = at.store.objects[NAMES.key][0]
    ports, begin = begun(at)
    assert isinstance(begin, Again)
    hidden, made_again = made(ports, begin)

    def refuses(name: str) -> None:
        if name == "head" and at.store.objects[NAMES.key][0] != old:
            raise StorageError("AccessDenied", name, retryable=False)

    at.store.before_call = refuses
    with pytest.raises(StorageError):
        publish_repair(hidden, made_again, manifest_of(at.store), begin.found)
    at.store.before_call = lambda _name: None
    assert manifest_of(at.store)["status"] == "partial"

    give_up_repair(ports)

    assert manifest_of(at.store)["status"] == "complete"
    assert same_wav(at.store.objects[NAMES.key][0], wav_of_call(OURS))
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}


def test_a_repair_that_fails_for_good_before_its_wav_leaves_the_old_recording() -> None:
    at = recorded_with_a_hole(in_parts, 3, 4)
    before = dict(at.store.objects)
    ports, begin = begun(at)
    assert isinstance(begin, Again)
    made(ports, begin)
    give_up_repair(ports)
    assert (at.store.objects, at.store.uploads) == (before, {})


def test_a_staged_manifest_is_a_temporary_object() -> None:
    at = recorded_with_a_hole(in_one_put, 3, 4)
    repair(at)
    assert NAMES.staged_manifest in at.store.temporary
