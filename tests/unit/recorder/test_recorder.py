"""The recorder between steps: the session that stays, and the one that ends with its invocation."""

from __future__ import annotations

from connect_audio.recorder import Budget, Checkpoint, HandOver, Over, PartDone, Policy, Recorder
from support.calls import call
from support.world import KEPT, World, world


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

    assert again.checkpoint == checkpoints[2]
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


def test_a_call_that_is_over_ends_the_steps() -> None:
    at = busy()
    run = at.run()

    assert run.kinds[-1] is Over
    assert set(run.kinds[:-1]) == {PartDone}
