"""The wall between the recording and its live audio: whatever goes wrong on one side, the other goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connect_audio.core.errors import StorageError
from connect_audio.core.live_preview import LivePreview
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.recorder import Budget, OutcomeStatus, PartDone, Recorder
from connect_audio.recorder.live_guard import LIVE_FAILED
from support.calls import call
from support.live_sinks import LOGGER, Blocks, Segments, stereo
from support.log_lines import LogLines
from support.wav import same_wav, wav_of_call
from support.world import KEPT, World, world


def heard(at: World, *sinks: Segments | Blocks) -> World:
    """Let sinks hear what is recorded; one made anew for each invocation would be the same."""

    def live(state: LiveState | None) -> LivePipeline:
        named = [NamedSink.of("abc"[index], sink) for index, sink in enumerate(sinks)]
        return LivePipeline(named, LivePolicy(), at.clock, LOGGER, state=state, driver=Inline, jitter=lambda: 1.0)

    at.live = live
    return at


def test_a_call_over_parts_and_invocations_is_heard_as_it_is_recorded() -> None:
    sink, ours = Segments(), call(600)
    at = heard(world(ours), sink)
    run = at.run(fresh_each_step=True)
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.kinds.count(PartDone) == 3
    assert stereo(sink) == run.wav[44:]
    assert [end.frames for end in sink.ends] == [600 * 8000]
    (told,) = run.manifest["live"]["sinks"]
    assert (told["name"], told["droppedSeconds"], told["failure"]) == ("a", 0.0, None)
    assert not [key for key in at.store.objects if ".staging/" in key]


def test_a_call_without_sinks_has_no_live_section() -> None:
    assert world(call(3)).run().manifest["live"] is None


BREAKS: dict[str, tuple[type[Any], str]] = {
    "a block": (LivePreview, "look"),
    "a block that is told": (LivePipeline, "write"),
    "a fragment's end": (LivePipeline, "confirm"),
    "the call's end": (LivePipeline, "end"),
    "a step's end": (LivePipeline, "state"),
    "a look at the time": (LivePipeline, "interrupt_overdue"),
}


@pytest.mark.parametrize("where", BREAKS)
def test_a_bug_in_live_audio_costs_the_sinks_alone_and_is_told(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(*BREAKS[where], broken)
    sink, ours = Segments(), call(20)
    at = heard(world(ours, chunk=4000), sink)
    at.logger = log = LogLines()
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert log.of("live audio failed") == [("exception", {})]
    assert run.manifest["live"]["sinks"][0]["failure"] == LIVE_FAILED
    assert [warning["code"] for warning in run.manifest["warnings"]] == ["LIVE_SINK_FAILED"]
    assert sink.closed == 1


def test_live_audio_that_cannot_even_be_made_costs_no_recording() -> None:
    def live(_: LiveState | None) -> LivePipeline:
        raise RuntimeError("can't start new thread")

    ours = call(5)
    at = world(ours)
    at.live = live
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.manifest["live"]["sinks"][0]["failure"] == LIVE_FAILED


@pytest.mark.parametrize(
    ("operation", "line"), [("put", "live audio not kept in S3"), ("get", "live audio not read back from S3")]
)
def test_s3_that_refuses_what_sinks_still_need_costs_them_a_segment_at_most(
    operation: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, ours = Segments(segment_seconds=5), call(600)
    at = heard(world(ours), sink)
    at.logger = log = LogLines()
    whole: Callable[..., Any] = getattr(at.store, operation)

    def refusing(key: str, *arguments: Any, **options: Any) -> Any:
        if "/live-" in key:
            raise StorageError("AccessDenied", "no", retryable=False)
        return whole(key, *arguments, **options)

    monkeypatch.setattr(at.store, operation, refusing)
    run = at.run(fresh_each_step=True)
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert {(level, extra["code"]) for level, extra in log.of(line)} == {("warning", "AccessDenied")}
    (told,) = run.manifest["live"]["sinks"]
    assert {each.position for each in sink.took if each.position is not None and each.position % (5 * 8000)} == set()
    # Each of the three steps that another one follows ends in the midst of a segment.
    assert 0 < told["droppedSeconds"] <= 3 * 5
    assert told["deliveredSeconds"] + told["droppedSeconds"] == pytest.approx(600, abs=15)


def test_sinks_that_cannot_be_made_in_one_invocation_keep_what_earlier_ones_gave_them() -> None:
    sink, ours = Segments(), call(600)
    at = heard(world(ours), sink)
    first, made = at.live, 0

    def live(state: LiveState | None) -> LivePipeline:
        nonlocal made
        made += 1
        if made == 2:
            raise RuntimeError("can't start new thread")
        assert first is not None
        return first(state)

    at.live = live
    run = at.run(fresh_each_step=True)
    assert same_wav(run.wav, wav_of_call(ours))
    (told,) = run.manifest["live"]["sinks"]
    assert (told["name"], told["failure"]) == ("a", LIVE_FAILED)
    assert told["deliveries"] == len(sink.took) > 100


def test_a_sink_that_was_left_behind_is_not_used_by_a_step_that_runs_again() -> None:
    sink, ours = Segments(), call(600)
    at = heard(world(ours), sink)
    states: list[LiveState | None] = []
    first = at.live

    def live(state: LiveState | None) -> LivePipeline:
        states.append(state)
        assert first is not None
        pipeline = first(state)
        if len(states) == 1:
            pipeline._sinks[0].fail("LEFT_BEHIND")
        return pipeline

    at.live = live
    at.claim()
    deadline = at.clock.monotonic() + 800
    with Recorder(at.ports()) as recorder:
        at.store.failures.append(StorageError("SlowDown", "no", retryable=True))
        with pytest.raises(StorageError):
            recorder.record(KEPT, Budget(deadline, deadline))
        recorder.record(KEPT, Budget(deadline, deadline))
    assert [state and {name: each.failure for name, each in state.sinks.items()} for state in states] == [
        {},
        {"a": "LEFT_BEHIND"},
    ]
    assert sink.took == []


@pytest.mark.parametrize(("chunk", "read_s", "budget_s"), [(100, 1.0, 5), (20_000, 1.0, 3)])
def test_a_recorder_that_gives_up_tells_the_sinks_how_much_is_recorded(
    chunk: int, read_s: float, budget_s: float
) -> None:
    sink = Blocks()
    run = heard(world(call(20, agent=None), chunk=chunk, read_s=read_s), sink).run(budget_s=budget_s)
    assert "NO_PROGRESS" in run.reasons
    recording = run.manifest["recording"]
    assert [end.frames for end in sink.ends] == [recording["frames"] if recording else 0]
