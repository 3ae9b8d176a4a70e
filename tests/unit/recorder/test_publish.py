"""Publishing: one WAV and one manifest, and nothing left behind whatever is run again."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from connect_audio.core.audit import recoverable
from connect_audio.core.manifest import EndReason, Reason
from connect_audio.ports import ContactState, ObjectKind
from connect_audio.recorder import (
    Checkpoint,
    HandOver,
    Outcome,
    OutcomeStatus,
    Over,
    Policy,
    StepResult,
)
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, Gap
from support.calls import call
from support.killed import KilledError, kill_before
from support.log_lines import LogLines
from support.wav import same_wav, wav_of_call
from support.world import NAMES, World, finish, world

RIVAL = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live/durable-execution/second/2"


def recorded(at: World) -> list[StepResult]:
    """Everything but the finish."""
    results: list[StepResult] = []
    checkpoint = at.granted().checkpoint()
    while not results or not isinstance(results[-1].next, Over):
        results.append(at.step(checkpoint))
        checkpoint = results[-1].checkpoint
    return results


def short() -> World:
    return world(call(20, gaps=(Gap(at_ms=5120, length_ms=3000),)), policy=Policy(drain=0))


def long() -> World:
    return world(call(400, gaps=(Gap(at_ms=5120, length_ms=3000),)), policy=Policy(drain=0))


def test_an_outcome_tells_when_the_audio_ended_by_the_producer_s_clock() -> None:
    at = world(call(4), policy=Policy(drain=0))
    assert finish(at, recorded(at)).audio_end_ms == DEFAULT_START_MS + 4000


def test_what_a_recording_of_ours_does_not_hold_is_not_cleaned_away() -> None:
    at = short()
    results = recorded(at)
    finish(at, results)
    # Somebody has gone on recording all the same.
    longer = replace(results[-1].checkpoint.cursor, frames=results[-1].checkpoint.cursor.frames + 1)
    results.append(replace(results[-1], checkpoint=replace(results[-1].checkpoint, cursor=longer)))
    staged = NAMES.staged_part(1, 2, "attempt")
    at.store.put(staged, b"audio", ObjectKind("application/octet-stream"))
    assert finish(at, results).status is OutcomeStatus.KEY_TAKEN
    assert staged in at.store.objects


@pytest.mark.slow
@pytest.mark.parametrize("make", [short, long])
def test_a_finish_that_dies_at_any_call_of_s3_is_made_good_by_the_next(make: Callable[[], World]) -> None:
    reference = make()
    outcome = finish(reference, recorded(reference))
    expected = dict(reference.store.objects)
    assert set(expected) == {NAMES.key, NAMES.manifest}
    at_call, repaired = 0, list[int]()
    while True:
        at_call += 1
        at = make()
        results = recorded(at)
        kill_before(at.store, at_call)
        try:
            finish(at, results)
        except KilledError:
            at.store.before_call = lambda _name: None
            again = finish(at, results)
        else:
            break
        repaired.append(again.repairs)
        assert replace(again, repairs=0) == outcome, f"killed before call {at_call}"
        assert at.store.objects == expected, f"killed before call {at_call}"
        assert at.store.uploads == {}
    assert at_call > 8
    # Nothing to repair until the WAV is there, and then that it is.
    assert (outcome.repairs, set(repaired), repaired) == (0, {0, 1}, sorted(repaired))


@pytest.mark.slow
@pytest.mark.parametrize("make", [short, long])
def test_of_two_finishes_at_once_both_find_the_recording_published(make: Callable[[], World]) -> None:
    reference = make()
    outcome = finish(reference, recorded(reference))
    at_call = 0
    while True:
        at_call += 1
        at = make()
        results = recorded(at)
        kill_before(at.store, at_call)
        count = at.store.before_call
        others: list[Outcome] = []

        def other_first(name: str, at: World = at, results: list[StepResult] = results) -> None:
            try:
                count(name)  # noqa: B023 - called in this turn alone
            except KilledError:
                at.store.before_call = lambda _name: None
                others.append(finish(at, results))  # noqa: B023 - the same

        at.store.before_call = other_first
        mine = finish(at, results)
        if not others:
            break
        assert {replace(each, repairs=0) for each in (mine, *others)} == {outcome}, f"before call {at_call}"
        assert at.store.objects == reference.store.objects
    assert at_call > 8


@pytest.mark.parametrize("make", [short, long])
def test_a_finish_run_again_after_it_had_succeeded_changes_nothing(make: Callable[[], World]) -> None:
    at = make()
    results = recorded(at)
    first = finish(at, results)
    objects = dict(at.store.objects)
    assert json.loads(objects[NAMES.manifest][0])["gaps"]["count"] == 2
    assert finish(at, results) == replace(first, repairs=1)
    assert at.store.objects == objects


@pytest.mark.parametrize("make", [short, long])
def test_a_foreign_object_at_the_key_is_left_alone_and_ours_withdrawn(make: Callable[[], World]) -> None:
    at = make()
    results = recorded(at)
    at.store.objects[NAMES.key] = (b"foreign", {})
    assert finish(at, results).status is OutcomeStatus.KEY_TAKEN
    assert at.store.objects == {NAMES.key: (b"foreign", {})}
    assert at.store.uploads == {}
    assert finish(at, results).status is OutcomeStatus.KEY_TAKEN
    assert at.store.objects == {NAMES.key: (b"foreign", {})}


@pytest.mark.parametrize(("make", "write"), [(short, "put_new"), (long, "complete_upload")])
def test_a_foreign_object_that_comes_at_the_last_moment_is_left_alone_too(
    make: Callable[[], World], write: str
) -> None:
    at = make()
    results = recorded(at)

    def comes(name: str) -> None:
        if name == write:
            at.store.objects[NAMES.key] = (b"foreign", {})

    at.store.before_call = comes
    assert finish(at, results).status is OutcomeStatus.KEY_TAKEN
    assert at.store.objects == {NAMES.key: (b"foreign", {})}
    assert at.store.uploads == {}


@pytest.mark.parametrize("make", [short, long])
def test_a_finish_run_again_after_it_withdrew_the_recording_says_so_again(make: Callable[[], World]) -> None:
    at = make()
    results = recorded(at)
    at.store.objects[NAMES.key] = (b"foreign", {})
    finish(at, results)
    del at.store.objects[NAMES.key]
    assert finish(at, results).status is OutcomeStatus.KEY_TAKEN
    assert at.store.objects == {}


def test_no_manifest_is_put_beside_a_foreign_object_where_nothing_came() -> None:
    at = world()
    results = recorded(at)
    at.store.objects[NAMES.key] = (b"foreign", {})
    assert finish(at, results).status is OutcomeStatus.KEY_TAKEN
    assert at.store.objects == {NAMES.key: (b"foreign", {})}


def test_an_upload_that_somebody_aborted_leaves_the_first_part_as_a_partial_recording() -> None:
    at = long()
    results = recorded(at)
    at.store.uploads.clear()
    at.logger = log = LogLines()
    outcome = finish(at, results)
    assert log.of("upload is gone") == [("warning", {"code": "NoSuchUpload"})]
    first = results[-1].checkpoint.parts.first
    assert first is not None
    assert outcome.status is OutcomeStatus.PARTIAL
    assert outcome.reasons == ("UPLOAD_LOST",)
    assert outcome.duration_s == first.size / 32_000
    wav = at.store.objects[NAMES.key][0]
    assert wav[40:44] == first.size.to_bytes(4, "little")
    assert len(wav) == 44 + first.size
    manifest = json.loads(at.store.objects[NAMES.manifest][0])
    assert manifest["recording"]["dataCrc32"] == f"{zlib.crc32(wav[44:]):08x}"
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


def test_publishing_what_an_aborted_upload_left_can_be_run_again_from_any_point() -> None:
    at = long()
    results = recorded(at)
    at.store.uploads.clear()
    for call_number in range(1, 20):
        kill_before(at.store, call_number)
        with contextlib.suppress(KilledError):
            finish(at, results)
    at.store.before_call = lambda _name: None
    assert finish(at, results).reasons == ("UPLOAD_LOST",)
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


def test_what_was_staged_is_published_as_partial_where_a_step_failed_for_good() -> None:
    ours = call(400)
    at = world(ours, read_s=1.0)
    at.claim()
    results = [at.step(Checkpoint())]
    results.append(at.step(results[-1].checkpoint, budget_s=20))
    assert isinstance(results[-1].next, HandOver)
    outcome = finish(at, results, reasons=[Reason("STEP_FAILED", "a record step failed for good: X")])
    assert outcome.status is OutcomeStatus.PARTIAL
    assert outcome.end_reason is EndReason.RECORDER_FAILED
    assert outcome.reasons == ("STEP_FAILED",)
    wav = at.store.objects[NAMES.key][0]
    assert len(wav) > 5 * 1024 * 1024
    assert same_wav(wav[44:], wav_of_call(ours)[44 : len(wav)])
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


@pytest.mark.parametrize("lost", [(1,), (1, 2, 3), (3, 4)])
@pytest.mark.parametrize("budget_s", [4, 8, 12, 40])
def test_a_recording_that_is_cut_short_accounts_for_each_of_its_frames(lost: Sequence[int], budget_s: int) -> None:
    """The step ends within a hole, with fragments behind it that no further step reads again."""
    at = world(call(8), read_s=1.0, status=ContactState.CONNECTED)
    at.source.fragments = [each for place, each in enumerate(at.source.fragments) if place not in lost]
    at.claim()
    results = [at.step(Checkpoint(), budget_s=budget_s)]
    finish(at, results, reasons=[Reason("STEP_FAILED", "for good")])
    _accounts_for_each_frame(at)


@pytest.mark.parametrize("lost", [(1,), (1, 2, 3), (3, 4), (1, 5), (6, 7)])
@pytest.mark.parametrize("part_bytes", [16_000, 48_000, 64_000])
def test_a_recording_whose_upload_is_lost_accounts_for_each_frame_of_its_first_part(
    lost: Sequence[int], part_bytes: int
) -> None:
    """The first part ends before, within or behind a hole."""
    at = world(call(8), policy=Policy(drain=0, part_bytes=part_bytes))
    at.store.least_part_bytes = 1
    at.source.fragments = [each for place, each in enumerate(at.source.fragments) if place not in lost]
    results = recorded(at)
    at.store.uploads.clear()
    assert "UPLOAD_LOST" in finish(at, results).reasons
    manifest = _accounts_for_each_frame(at)
    wav = at.store.objects[NAMES.key][0]
    assert manifest["recording"]["dataCrc32"] == f"{zlib.crc32(wav[44:]):08x}"
    first = results[-1].checkpoint.parts.first
    assert first is not None
    assert manifest["recording"]["frames"] == first.size // 4
    # A repair gets what lies behind it.
    assert recoverable(manifest, [each.number for each in at.source.fragments]) > 0


def _accounts_for_each_frame(at: World) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(at.store.objects[NAMES.manifest][0])
    samples = memoryview(at.store.objects[NAMES.key][0][44:]).cast("h")
    for channel, party in enumerate(("customer", "agent")):
        track = manifest["tracks"][party]
        silent = _silent_blocks(samples[channel::2])
        listed = [(each["startFrame"], each["frames"]) for each in manifest["gaps"]["listed"] if each["track"] == party]
        assert listed == silent
        length = sum(frames for _, frames in silent)
        assert track["audioSamples"] == manifest["recording"]["frames"] - length
        assert (track["silenceSamples"], sum(track["silence"].values())) == (length, length)
        assert track["gapCount"] == len(silent)
    return manifest


def _silent_blocks(samples: Sequence[int]) -> list[tuple[int, int]]:
    """Begin and length of each run of silent blocks, in frames."""
    found: list[tuple[int, int]] = []
    for at in range(0, len(samples), 512):
        block = samples[at : at + 512]
        if any(block):
            continue
        if found and sum(found[-1]) == at:
            found[-1] = found[-1][0], found[-1][1] + len(block)
        else:
            found.append((at, len(block)))
    return found


@pytest.mark.parametrize("reads", range(3, 12))
def test_a_step_that_fails_for_good_right_after_any_first_hand_over_is_published(reads: int) -> None:
    at = world(call(40, agent=None), chunk=20_000, read_s=1.0)
    at.claim()
    results = [at.step(Checkpoint(), budget_s=reads)]
    outcome = finish(at, results, reasons=[Reason("STEP_FAILED", "x")])
    assert outcome.status in {OutcomeStatus.EMPTY, OutcomeStatus.PARTIAL}
    assert NAMES.manifest in at.store.objects
    assert NAMES.claim not in at.store.objects


def test_the_objects_around_a_recording_carry_ids_alone() -> None:
    at = short()
    at.run()
    _, metadata = at.store.objects[NAMES.key]
    assert set(metadata) == {"contact-id", "start-timestamp", "execution"}


def test_all_that_serves_until_a_recording_is_published_is_marked_temporary_and_the_recording_is_not() -> None:
    at = long()
    results = recorded(at)
    finish(at, results)
    written = {key for key, _ in at.store.written}
    assert at.store.temporary == {key for key in written if key not in {NAMES.key, NAMES.manifest}}
    assert NAMES.claim in at.store.temporary
    assert any(key.startswith(NAMES.staging) for key in at.store.temporary)
