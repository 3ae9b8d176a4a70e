"""The recorder between steps: the session that stays, and the one that ends with its invocation."""

from __future__ import annotations

import itertools
import json

from connect_audio.core.manifest import EndReason
from connect_audio.recorder import Budget, Checkpoint, EndOfRecording, HandOver, Over, PartDone, Policy, Recorder
from support.calls import call
from support.wav import pcm, wav_of_call
from support.world import KEPT, World, finish, without_upload, world


def steps(at: World, count: int) -> tuple[Recorder, list[Checkpoint]]:
    """Steps of one recorder, and their checkpoints."""
    at.claim()
    recorder = Recorder(at.ports())
    checkpoints = [KEPT]
    for _ in range(count):
        now_s = at.clock.monotonic()
        checkpoints.append(recorder.record(checkpoints[-1], Budget(now_s + 100, now_s + 90)).checkpoint)
    return recorder, checkpoints


def busy() -> World:
    at = world(call(20), policy=Policy(drain=0, part_bytes=100_000))
    at.store.least_part_bytes = 100_000
    return at


def test_a_part_that_is_done_leaves_the_connection_open_for_the_next() -> None:
    at = busy()
    recorder, _ = steps(at, 2)
    assert (at.source.open_now, len(at.source.selectors)) == (1, 1)
    recorder.close()
    assert at.source.open_now == 0
    recorder.close()


def test_a_step_from_another_checkpoint_begins_anew() -> None:
    at = busy()
    recorder, checkpoints = steps(at, 2)
    now_s = at.clock.monotonic()
    again = recorder.record(checkpoints[1], Budget(now_s + 100, now_s + 90))

    assert without_upload(again.checkpoint) == without_upload(checkpoints[2])
    assert (at.source.open_now, len(at.source.selectors)) == (1, 2)
    recorder.close()


def test_a_step_that_ends_the_invocation_closes_everything() -> None:
    at = busy()
    recorder, checkpoints = steps(at, 1)
    assert at.source.open_now == 1
    result = recorder.record(checkpoints[-1], Budget(at.clock.monotonic(), at.clock.monotonic()))
    assert isinstance(result.next, HandOver)
    assert at.source.open_now == 0


def test_with_a_recorder_the_connection_is_closed_at_the_end() -> None:
    at = busy()
    at.claim()
    with Recorder(at.ports()) as recorder:
        assert isinstance(recorder.record(KEPT, Budget(100.0, 90.0)).next, PartDone)
        assert at.source.open_now == 1
    assert at.source.open_now == 0


def test_a_user_s_wish_ends_the_recording_with_the_whole_fragments_that_came() -> None:
    ours = call(60)
    at = world(ours)
    checkpoint = at.granted().checkpoint()
    looks = itertools.count()
    with Recorder(at.ports()) as recorder:
        result = recorder.record(checkpoint, Budget(1e9, 1e9, lambda: next(looks) >= 30))

    assert result.next == Over(EndOfRecording(EndReason.INTERRUPTED))
    finish(at, [result])
    manifest = json.loads(at.store.objects[at.names.manifest][0])
    assert (manifest["status"], manifest["endReason"]) == ("partial", "INTERRUPTED")
    assert [reason["code"] for reason in manifest["reasons"]] == ["INTERRUPTED"]
    frames = pcm(at.store.objects[at.names.key][0])
    assert 0 < len(frames) < len(pcm(wav_of_call(ours)))
    assert pcm(wav_of_call(ours)).startswith(frames)
    assert len(frames) % (4 * 16 * 512) == 0, "fragments of 16 blocks of 512 frames"


def test_a_start_without_an_event_proves_no_opening() -> None:
    by_event, by_hand = world(call(5)), world(call(5))
    by_hand.has_event = False

    openings = [at.run().manifest["evidence"]["opening"] for at in (by_event, by_hand)]

    assert [(each["state"], each["code"]) for each in openings] == [
        ("proven", "START_TIMESTAMP"),
        ("not_asked", "NO_EVENT"),
    ]


def test_a_call_that_is_over_ends_the_steps() -> None:
    at = busy()
    run = at.run()

    assert run.kinds[-1] is Over
    assert set(run.kinds[:-1]) == {PartDone}
