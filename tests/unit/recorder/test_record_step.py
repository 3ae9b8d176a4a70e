"""Parts, hand-over and checkpoints: the recording is the same however its steps are cut."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.live import LiveState, SinkState
from connect_audio.ports import AfterFragment, ContactState, FromProducerTime
from connect_audio.recorder import (
    Budget,
    Checkpoint,
    HandOver,
    OutcomeStatus,
    Over,
    PartDone,
    Policy,
    Recorder,
    StepResult,
)
from connect_audio.recorder.audio_breaks import AudioState, Break
from connect_audio.recorder.call_stream import Skipped
from connect_audio.recorder.checkpoint import StepCounts
from connect_audio.recorder.end_of_call import EndState
from connect_audio.recorder.skip import Failure, PlaceState
from connect_audio.recorder.streaming_border import BorderState
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, Gap
from support.calls import call, noise
from support.examples import few_of
from support.wav import same_wav, wav_of, wav_of_call
from support.world import KEPT, NAMES, without_upload, world

LEFT_OVER = {NAMES.key, NAMES.manifest}


def test_a_call_that_fits_one_part_is_one_object_and_its_manifest() -> None:
    ours = call(20)
    run = (at := world(ours)).run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert run.outcome.duration_s == 20
    assert run.manifest["status"] == "complete"
    assert run.manifest["tracks"]["customer"]["audioSamples"] == 160_000
    assert set(at.store.objects) == LEFT_OVER
    assert not at.store.uploads
    assert run.kinds == [Over]


def test_reading_begins_five_seconds_before_the_start_timestamp_and_resumes_after_the_last_fragment() -> None:
    at = world(call(3))
    at.run()
    assert at.source.selectors[0] == FromProducerTime(DEFAULT_START_MS - 5000)
    assert set(at.source.selectors[1:]) == {AfterFragment(at.source.fragments[-1].number)}


def test_a_longer_call_goes_up_in_parts_with_part_1_last() -> None:
    ours = call(600)
    at = world(ours)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    numbers = [result.part.number for result in run.results if result.part]
    assert numbers == [2, 3]
    assert all(result.part.size >= Policy().full_part_bytes(8000) for result in run.results if result.part)
    assert run.kinds == [PartDone] * 3 + [Over]
    assert set(at.store.objects) == LEFT_OVER
    assert not at.store.uploads


def test_a_part_that_is_full_at_the_call_s_end_hands_nothing_over() -> None:
    # A fresh invocation would have to wait for the end of the call again.
    ours = call(20, agent=None)
    at = world(ours, policy=Policy(drain=0, part_bytes=600_000))
    at.store.least_part_bytes = 600_000
    at.claim()
    recorder = Recorder(at.ports())
    deadline = at.clock.monotonic() + 100
    with recorder:
        result = recorder.record(KEPT, Budget(deadline, -1.0))
    assert result.checkpoint.parts.number == 2
    assert isinstance(result.next, PartDone)


def test_each_step_tells_how_far_its_newest_fragment_was_behind_the_stream_s_head() -> None:
    at = world(call(400))
    tag = b"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"
    for index, each in enumerate(at.source.fragments):
        before, _, behind = each.data.partition(tag)
        at.source.fragments[index] = replace(each, data=before + tag + behind.replace(b"0", b"%d" % (index % 10), 1))
    results = at.run().results
    numbers = [str(each.number) for each in at.source.fragments]
    newest = [numbers.index(str(result.checkpoint.read.newest)) for result in results]
    assert [result.behind_ms for result in results] == [index % 10 for index in newest]
    assert len(set(newest)) == 3


def test_a_step_that_read_no_fragment_tells_nothing_of_it() -> None:
    at = world(call(20))
    at.source.fragments.clear()
    assert {result.behind_ms for result in at.run().results} == {None}


def test_steps_of_one_invocation_share_one_connection() -> None:
    at = world(call(600), policy=Policy(drain=0))
    at.run()
    # The one that read everything, and those that asked whether there is more.
    assert len(at.source.served) == len(at.source.fragments)


@pytest.mark.parametrize("rate", few_of([16_000, 48_000]))
def test_a_part_holds_at_least_two_minutes_at_higher_rates(rate: int) -> None:
    ours = call(130, rate=rate, block_ms=20, blocks_per_fragment=50)
    run = world(ours).run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert Policy().full_part_bytes(rate) >= 120 * rate * 4
    first = run.results[0].checkpoint.parts.first
    assert first is not None
    assert 120 * rate * 4 <= first.size <= 122 * rate * 4


@pytest.mark.slow
def test_a_part_is_full_only_at_a_fragment_s_end_so_its_bytes_do_not_depend_on_the_reads() -> None:
    sizes = []
    for chunk in (700, 65_536):
        run = world(call(400), chunk=chunk).run()
        sizes.append([result.part.size if result.part else None for result in run.results])
    assert sizes[0] == sizes[1]
    assert sizes[0][1] is not None


# --- hand-over -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", few_of([150, 2, 3, 5, 8, 13, 40, 100]))
def test_handed_over_after_any_number_of_reads_the_recording_is_the_same_to_the_byte(reads: int) -> None:
    ours = call(400 if reads > 5 else 60)
    whole = world(ours).run()
    at = world(ours, read_s=1.0, policy=Policy(max_stalls=1000))
    run = at.run(budget_s=reads)
    assert same_wav(whole.wav, wav_of_call(ours))
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.manifest["recording"]["dataCrc32"] == whole.manifest["recording"]["dataCrc32"]
    assert run.manifest["status"] == "complete"
    assert HandOver in run.kinds
    assert run.manifest["handOvers"] >= 1


@pytest.mark.parametrize("chunk", few_of([30_000, 333, 1000, 5000]))
def test_handed_over_in_the_midst_of_a_fragment_the_recording_is_the_same(chunk: int) -> None:
    ours = call(12)
    for reads in range(35_000 // chunk + 3, 350_000 // chunk, max(1, 20_000 // chunk)):
        at = world(ours, chunk=chunk, read_s=1.0)
        run = at.run(budget_s=reads)
        assert same_wav(run.wav, wav_of_call(ours)), f"{reads} reads of {chunk} bytes"
        assert run.manifest["status"] == "complete"


@pytest.mark.parametrize("reads", few_of([1, 2, 3, 4, 5, 6, 7, 8, 9, 12]))
@pytest.mark.parametrize("side", ["customer", "agent"])
def test_a_one_sided_call_is_the_same_wherever_it_is_handed_over(side: str, reads: int) -> None:
    if side == "customer":
        ours, expected = call(40, agent=None), wav_of(noise(40), b"")
    else:
        ours, expected = call(40, customer=None), wav_of(b"", noise(40, seed=1001))
    at = world(ours, chunk=20_000, read_s=1.0)
    # Every hand-over reads six fragments again, the five seconds that are not settled: fewer reads are no progress.
    run = at.run(budget_s=reads + 8)
    assert same_wav(run.wav, expected)
    assert run.manifest["status"] == "complete"


@pytest.mark.parametrize("reads", few_of([16, 17, 20, 25]))
def test_a_late_second_track_is_the_same_wherever_it_is_handed_over(reads: int) -> None:
    ours = call(60, agent_joins_ms=17 * 64)
    whole = world(ours).run()
    run = world(ours, chunk=20_000, read_s=1.0).run(budget_s=reads)
    assert same_wav(run.wav, whole.wav)
    assert run.manifest["tracks"] == whole.manifest["tracks"]


def test_a_hole_in_the_call_is_the_same_wherever_it_is_handed_over() -> None:
    ours = call(30, gaps=(Gap(at_ms=10_240, length_ms=7_000),))
    whole = world(ours).run()
    # A hand-over behind a hole reads the five seconds again that wait for late audio: fewer reads are no progress.
    for reads in (16, 17, 18, 20, 24):
        run = world(ours, chunk=20_000, read_s=1.0).run(budget_s=reads)
        assert same_wav(run.wav, whole.wav)
        assert run.manifest["gaps"] == whole.manifest["gaps"]


@pytest.mark.parametrize("reads", few_of([40, 3, 10]))
def test_a_stream_that_keeps_nothing_is_recorded_whole_since_nothing_before_the_cursor_is_asked_for(reads: int) -> None:
    ours = call(400)
    at = world(ours, chunk=40_000, read_s=1.0, keeps=2, retention=0)
    run = at.run(budget_s=reads)
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.manifest["status"] == "complete"
    assert [warning["code"] for warning in run.manifest["warnings"]] == ["NO_RETENTION"]


def test_after_a_part_a_step_too_late_for_another_hands_over() -> None:
    at = world(call(400), read_s=0.1)
    first = at.step(KEPT, budget_s=30)
    assert isinstance(first.next, HandOver)
    assert first.checkpoint.parts.number == 2
    assert first.checkpoint.parts.staged is None


def test_a_step_run_again_after_s3_failed_gives_the_same_part() -> None:
    from connect_audio.core.errors import StorageError  # noqa: PLC0415 - for this test alone

    ours = call(400)
    at = world(ours)
    first = at.step(Checkpoint())
    at.store.failures.append(StorageError("SlowDown", "busy", retryable=True))
    with pytest.raises(StorageError, match="SlowDown"):
        at.step(first.checkpoint)
    assert at.source.open_now == 0
    again, other = at.step(first.checkpoint), at.step(first.checkpoint)
    assert again.part == other.part
    # Each attempt creates an upload of its own.
    assert again.checkpoint.parts.upload_id != other.checkpoint.parts.upload_id
    assert without_upload(again.checkpoint) == without_upload(other.checkpoint)


# --- what passes between steps ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_checkpoints_and_results_survive_json_and_stay_small_for_a_day_long_call() -> None:
    seen: list[StepResult] = []
    ours = call(30, gaps=tuple(Gap(at_ms=at, length_ms=40 * 60_000) for at in range(2048, 25_000, 3072)))
    run = world(ours, read_s=0.01).run(on_result=seen.append)
    assert run.outcome.duration_s > 5 * 3600
    for result in seen:
        text = json.dumps(to_plain(result))
        assert from_plain(StepResult, json.loads(text)) == result
        assert len(text) < 12_288
    assert run.manifest["gaps"]["count"] == 16


def test_every_field_of_a_checkpoint_survives_json() -> None:
    at = world(call(400), read_s=1.0)
    full = at.step(at.step(Checkpoint(), budget_s=200).checkpoint, budget_s=10).checkpoint
    assert full.parts.staged is not None
    assert full.parts.first is not None
    full = replace(
        full,
        read=replace(
            full.read,
            retention_hours=0,
            unread_s=5,
            has_tokens=True,
            skipped=(Skipped(Reason("MEDIA_EXPIRED", "gone"), 2, "7"),),
            place=PlaceState(
                behind="7",
                failure=Failure(Reason("MEDIA_EXPIRED", "gone"), is_final=True, is_place=False, number="8"),
                tries=1,
                rounds=2,
                steps=3,
                probe_ms=5,
                has_found=True,
                is_last=True,
                newest_end_ms=4,
            ),
        ),
        end=EndState(
            last_audio_ms=1,
            asked_ms=2,
            cause=EndReason.OTHER_CONTACT,
            cause_ms=3,
            connect=ContactState.CONNECTED,
            answered_ms=9,
            stop_fragment="8",
            unreadable_since_ms=4,
            denied_since_ms=5,
            readable_from_ms=6,
            failing_ms=7,
            failure=Reason("IN_BAND_ERROR", "KVS reports 5000"),
        ),
        border=BorderState(
            from_ms=1,
            first=2,
            until=1 << 157,
            ours_until=4,
            length_ms=11,
            earlier=AudioState(
                end_ms=5,
                counter=6,
                newest=7,
                is_among=True,
                unlabelled=Break(end_ms=8, begin_ms=9, number=10),
                length_ms=12,
            ),
        ),
        parts=replace(full.parts, upload_id="u"),
        counts=StepCounts(steps=1, hand_overs=2, waits=3, stalls=4),
        live=LiveState(sinks={"a": SinkState(frames=1, failure="x")}, tail="t"),
    )
    assert from_plain(Checkpoint, json.loads(json.dumps(to_plain(full)))) == full


@pytest.mark.slow
def test_a_hole_of_hours_is_cut_into_parts_of_bounded_size() -> None:
    ours = call(4, gaps=(Gap(at_ms=2048, length_ms=3600_000),))
    at = world(ours)
    run = at.run()
    silence = bytes(2 * 8000 * 3600)
    assert isinstance(ours.customer, bytes)
    assert isinstance(ours.agent, bytes)
    cut = 2 * 2048 * 8
    expected = wav_of(*[side[:cut] + silence + side[cut:] for side in (ours.customer, ours.agent)])
    assert same_wav(run.wav, expected)
    assert max(size for _, size in at.store.written) <= Policy().most_part_bytes(8000) + 32_768
    assert all(result.part.size <= Policy().most_part_bytes(8000) + 32_768 for result in run.results if result.part)


@pytest.mark.parametrize("fresh", few_of([True, False]))
def test_a_hole_of_an_hour_is_the_same_where_every_part_is_made_by_a_fresh_recorder(fresh: bool) -> None:  # noqa: FBT001 - parametrised
    ours = call(4, gaps=(Gap(at_ms=2048, length_ms=3600_000),))
    run = world(ours).run(fresh_each_step=fresh)
    silence = bytes(2 * 8000 * 3600)
    cut = 2 * 2048 * 8
    expected = wav_of(*[side[:cut] + silence + side[cut:] for side in (noise(4), noise(4, seed=1001))])
    assert same_wav(run.wav, expected)


def test_a_budget_too_small_to_get_anywhere_is_given_up_with_what_there_is_and_a_clear_reason() -> None:
    run = world(call(20), chunk=100, read_s=1.0).run(budget_s=5)
    assert run.outcome.end_reason is EndReason.RECORDER_FAILED
    assert len(run.results) == Policy().max_stalls
    assert run.manifest["status"] == "empty"
    assert run.reasons == ["NO_PROGRESS", "NO_AUDIO"]
    assert "raise the function's Timeout" in run.manifest["reasons"][0]["detail"]


def test_reading_the_same_fragments_again_and_again_is_no_progress() -> None:
    # Three seconds of one side settle nothing, so each hand-over would begin where the one before did.
    run = world(call(20, agent=None), chunk=20_000, read_s=1.0).run(budget_s=3)
    assert run.outcome.end_reason is EndReason.RECORDER_FAILED
    assert "NO_PROGRESS" in run.reasons


def test_the_longest_recording_ends_as_partial() -> None:
    at = world(call(30), policy=Policy(limit_s=10))
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.outcome.end_reason is EndReason.RECORDING_LIMIT
    assert set(run.reasons) == {"RECORDING_LIMIT"}
    assert 9 <= run.outcome.duration_s <= 10
    assert set(at.store.objects) == LEFT_OVER
