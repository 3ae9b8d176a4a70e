"""Behind a break in the audio reading goes on, and sinks get what follows, while the bucket is asked whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.manifest import EndReason
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.ports import ContactState, ObjectKind, StartSelector
from connect_audio.recorder import HandOver, held_events
from connect_audio.recorder.object_names import RecordingNames
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from connect_audio_local.synthesis.fragment_writer import FragmentContents, FragmentLayout, InBandError, write_fragment
from support.calls import call
from support.clock import FakeClock
from support.examples import few_of
from support.live_sinks import LOGGER, Segments, stereo
from support.log_lines import LogLines
from support.stream import Stored
from support.wav import same_wav, wav_of, wav_of_call
from support.world import BUCKET, REQUEST, World, world

PAUSE_MS = 3000
FIRST = call(20 * 1.024, seed=1)
SECOND = call(20 * 1.024, seed=2, pause_ms=PAUSE_MS)
FIRST_END_MS = DEFAULT_START_MS + 20 * 1024
SECOND_START_MS = FIRST_END_MS + PAUSE_MS


def joined() -> bytes:
    pause = bytes(16 * PAUSE_MS)
    sides = ((FIRST.customer, SECOND.customer), (FIRST.agent, SECOND.agent))
    customer, agent = (one + pause + two for one, two in sides if isinstance(one, bytes) and isinstance(two, bytes))
    return wav_of(customer, agent)


@dataclass
class Timed(Segments):
    """Notes when each segment came."""

    clock: FakeClock = field(default_factory=FakeClock)
    came_ms: dict[int, int] = field(default_factory=dict)

    def deliver_segment(self, segment: LiveSegment) -> None:
        super().deliver_segment(segment)
        self.came_ms.setdefault(segment.number, self.clock.now_ms())


def live_world() -> tuple[World, Timed]:
    at = world(FIRST, SECOND, live=True, chunk=4000, status=ContactState.UNKNOWN)
    sink = Timed(clock=at.clock)

    def live(state: LiveState | None) -> LivePipeline:
        named = [NamedSink.of("a", sink)]
        return LivePipeline(named, LivePolicy(), at.clock, LOGGER, state=state, driver=Inline, jitter=lambda: 1.0)

    at.live = live
    return at, sink


def later_recording(at: World) -> None:
    names = RecordingNames(BUCKET, replace(REQUEST, start_timestamp_ms=SECOND_START_MS).recording_key("audio"))
    at.store.put(names.claim, b"another", ObjectKind("text/plain"))


def appears(at: World, after_ms: int) -> None:
    """The later streaming's recording appears so long after its audio began."""
    pass_by, sleep = at.clock.pass_by, at.clock.sleep

    def then(wait: Callable[[float], None]) -> Callable[[float], None]:
        def waits(seconds: float) -> None:
            wait(seconds)
            if at.clock.now_ms() >= SECOND_START_MS + after_ms:
                later_recording(at)

        return waits

    at.clock.pass_by = then(pass_by)  # type: ignore[assignment, method-assign]
    at.clock.sleep = then(sleep)  # type: ignore[assignment, method-assign]


def test_what_lies_behind_a_pause_is_read_and_heard_as_it_comes() -> None:
    at, sink = live_world()
    at.run()
    last = max(sink.came_ms)
    assert last == 43
    for number, came_ms in sink.came_ms.items():
        ended_ms = DEFAULT_START_MS + 1000 * (number + 1)
        if number == last or FIRST_END_MS < ended_ms < SECOND_START_MS:
            continue  # it ends with the call; silence is known once audio follows it
        # A segment is whole with the fragment that holds its end, which lasts 1.024 s.
        assert came_ms - ended_ms <= 1100, number
    assert stereo(sink) == joined()[44:]


def test_the_recording_settles_it_when_the_grace_is_over() -> None:
    at, _ = live_world()
    run = at.run()
    assert same_wav(run.wav, joined())
    assert run.manifest["status"] == "complete"
    assert not any(seconds > 1 for seconds in at.clock.slept[:-20])


@pytest.mark.parametrize("after_ms", [0, 2500, 8000, 14_000])
def test_what_turns_out_to_be_a_later_streaming_s_is_taken_back(after_ms: int) -> None:
    at, sink = live_world()
    appears(at, after_ms)
    at.logger = log = LogLines()
    run = at.run()
    assert log.of("later streaming of the contact begins") == [("info", {"until_ms": SECOND_START_MS})]
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.outcome.end_reason is EndReason.OTHER_STREAMING
    assert run.manifest["fragments"]["otherStreaming"] == 20
    (end,) = sink.ends
    assert end.frames == 20 * 8192
    newest = {each.number: each for each in sink.took}
    heard = b"".join(stereo(replace(sink, took=[replace(newest[number], number=0)])) for number in sorted(newest))
    assert heard[: 4 * end.frames] == run.wav[44:]


@pytest.mark.parametrize("budget_s", few_of([9.0, 3.0, 5.5, 26.0, 31.0]))
@pytest.mark.parametrize("after_ms", [None, 8000])
def test_handed_over_at_any_time_the_recording_is_the_same(budget_s: float, after_ms: int | None) -> None:
    at, _ = live_world()
    at.policy = replace(at.policy, max_stalls=99)
    if after_ms is not None:
        appears(at, after_ms)
    run = at.run(budget_s=budget_s)
    assert HandOver in run.kinds
    assert same_wav(run.wav, joined() if after_ms is None else wav_of_call(FIRST))


def test_a_second_break_among_held_fragments_is_asked_about_too() -> None:
    third = call(10.24, seed=3, pause_ms=1000)
    short = call(2 * 1.024, seed=2, pause_ms=PAUSE_MS)
    at = world(FIRST, short, third, live=True, chunk=4000, status=ContactState.UNKNOWN)
    start_ms = SECOND_START_MS + 2048 + 1000 + 4400
    names = RecordingNames(BUCKET, replace(REQUEST, start_timestamp_ms=start_ms).recording_key("audio"))
    at.store.put(names.claim, b"another", ObjectKind("text/plain"))
    run = at.run()
    assert run.manifest["fragments"]["otherStreaming"] == 10
    assert run.manifest["fragments"]["admitted"] == 22


def test_the_held_fragments_are_bounded_and_reading_waits_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    at, _ = live_world()
    monkeypatch.setattr(held_events, "MAX_HELD_BYTES", 100_000)
    most = 0
    append = held_events.HeldEvents.append

    def counted(held: held_events.HeldEvents, event: held_events.HeldEvent) -> None:
        nonlocal most
        append(held, event)
        most = max(most, len(list(held)))

    monkeypatch.setattr(held_events.HeldEvents, "append", counted)
    run = at.run()
    assert same_wav(run.wav, joined())
    assert 2 <= most <= 4


def test_an_end_that_comes_while_a_break_is_open_waits_for_it() -> None:
    at = world(FIRST, SECOND, live=True, status=ContactState.UNKNOWN)
    error = FragmentContents(
        number="1", producer_ms=1, server_ms=1, contact_id=None, instance_id=None, error=InBandError(4500, "KMS")
    )

    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected[:22]:
            at.clock.pass_by(max(0.0, (each.at_ms - at.clock.now_ms()) / 1000))
            yield each.data
        yield write_fragment(error, FragmentLayout(continuation_token=False))

    at.source.bodies.append(body)
    appears(at, 8000)
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.manifest["fragments"]["otherStreaming"] == 2
