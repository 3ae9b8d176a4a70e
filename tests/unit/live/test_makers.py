"""Making sinks: in their own threads, under a limit, and without harm to the recording whatever a maker does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.live_state import LiveState, SinkState
from connect_audio.live import LivePipeline, LivePolicy, NamedSink
from connect_audio.live.makers import NOT_MADE_IN_TIME, make_sinks
from connect_audio.sinks import AudioSink, LiveEnd, SinkSetup
from support.live_sinks import LOGGER, Segments

PATIENCE_S = 10.0
SETUP = SinkSetup(contact_id="c", recording="s3://b/k.wav", start_ms=0, segment_seconds=1, options={})


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("live-")]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    for thread in threads():
        thread.join(PATIENCE_S)
    assert not threads()


def made(
    makers: dict[str, Callable[[SinkSetup], AudioSink]], *, limit_s: float = PATIENCE_S, state: LiveState | None = None
) -> dict[str, NamedSink]:
    named = make_sinks(tuple(makers), SETUP, makers, LOGGER, state, limit_s=limit_s)
    assert [each.name for each in named] == list(makers)
    return {each.name: each for each in named}


def used(sinks: dict[str, NamedSink]) -> None:
    """Use the sinks for an invocation without audio, so that their threads end."""
    pipeline = LivePipeline(list(sinks.values()), LivePolicy(), SystemClock(), LOGGER)
    pipeline.end(None)
    pipeline.flush()
    pipeline.close()


@dataclass
class Slow(Segments):
    """Notes when it is closed."""

    was_closed: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        super().close()
        self.was_closed.set()


def test_a_maker_that_hangs_costs_its_own_sink_alone_which_is_closed_once_it_comes() -> None:
    release, late, well = threading.Event(), Slow(), Segments()

    def hang(_setup: SinkSetup) -> AudioSink:
        release.wait(PATIENCE_S)
        return late

    sinks = made({"hangs": hang, "well": lambda _setup: well}, limit_s=0.05)
    assert (sinks["hangs"].sink, sinks["hangs"].failure) == (None, NOT_MADE_IN_TIME)
    assert (sinks["well"].sink, sinks["well"].failure) == (well, None)
    release.set()
    assert late.was_closed.wait(PATIENCE_S)
    used(sinks)
    assert (late.ends, len(well.ends)) == ([], 1)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (SystemExit(1), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (ImportError("no module"), "ImportError"),
        (SinkError("NO_LICENCE", "text", retryable=False), "NO_LICENCE"),
    ],
)
def test_a_maker_that_raises_anything_costs_its_own_sink_alone(raised: BaseException, code: str) -> None:
    def fail(_setup: SinkSetup) -> AudioSink:
        raise raised

    well = Segments()
    sinks = made({"fails": fail, "well": lambda _setup: well})
    assert (sinks["fails"].sink, sinks["fails"].failure) == (None, code)
    used(sinks)
    assert len(well.ends) == 1


class ExitsWhenAsked(Slow):
    """A sink whose `segment_seconds` ends the process."""

    @property
    def segment_seconds(self) -> int:
        raise SystemExit(1)

    @segment_seconds.setter
    def segment_seconds(self, _seconds: int) -> None: ...


def test_a_sink_whose_length_of_a_segment_cannot_be_read_is_closed_and_not_used() -> None:
    sink = ExitsWhenAsked()
    sinks = made({"exits": lambda _setup: sink})
    assert (sinks["exits"].sink, sinks["exits"].failure) == (None, "BAD_SINK")
    assert sink.was_closed.wait(PATIENCE_S)


class HangsWhenAsked(Slow):
    """A sink whose `segment_seconds` waits."""

    released: threading.Event

    @property
    def segment_seconds(self) -> int:
        self.released.wait(PATIENCE_S)
        return 1

    @segment_seconds.setter
    def segment_seconds(self, _seconds: int) -> None: ...


def test_a_sink_whose_length_of_a_segment_hangs_is_not_used() -> None:
    sink = HangsWhenAsked()
    sink.released = threading.Event()
    sinks = made({"hangs": lambda _setup: sink}, limit_s=0.05)
    assert sinks["hangs"].failure == NOT_MADE_IN_TIME
    sink.released.set()
    assert sink.was_closed.wait(PATIENCE_S)


@dataclass
class Threaded(Segments):
    """Notes the threads that call it."""

    callers: list[threading.Thread] = field(default_factory=list)

    def prepare(self) -> None:
        self.callers.append(threading.current_thread())

    def deliver_segment(self, segment: LiveSegment) -> None:
        self.callers.append(threading.current_thread())
        super().deliver_segment(segment)

    def end(self, end: LiveEnd) -> None:
        self.callers.append(threading.current_thread())
        super().end(end)

    def close(self) -> None:
        self.callers.append(threading.current_thread())


def test_one_thread_makes_a_sink_and_runs_its_code() -> None:
    sink = Threaded()

    def make(_setup: SinkSetup) -> AudioSink:
        sink.callers.append(threading.current_thread())
        return sink

    used(made({"a": make}))
    assert len(sink.callers) == 4  # made, prepared, ended, closed
    assert len(set(sink.callers)) == 1
    assert sink.callers[0] is not threading.main_thread()


def test_a_sink_that_an_earlier_invocation_disabled_is_not_made_again() -> None:
    def fail(_setup: SinkSetup) -> AudioSink:
        raise AssertionError

    state = LiveState(sinks={"a": SinkState(failure=NOT_MADE_IN_TIME)})
    sinks = made({"a": fail}, state=state)
    assert sinks["a"] == NamedSink("a", None, NOT_MADE_IN_TIME)


def test_a_machine_without_threads_records_without_live_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert made({"a": lambda _setup: Segments()})["a"] == NamedSink("a", None, "NO_THREAD")
