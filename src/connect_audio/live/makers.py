"""Makes the sinks that LIVE_SINKS names: this project's own, and others by their entry points.

A sink that cannot be made changes neither the recording nor the other sinks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from connect_audio.core.errors import SinkError
from connect_audio.core.live_state import LiveState
from connect_audio.live.pipeline import NamedSink
from connect_audio.ports import Log
from connect_audio.sinks import ENTRY_POINTS, AudioSink, MakeSink, SinkSetup


def make_sinks(
    names: Sequence[str],
    setup: SinkSetup,
    own: Mapping[str, Callable[[SinkSetup], AudioSink]],
    logger: Log,
    state: LiveState | None = None,
) -> Sequence[NamedSink]:
    """Make the sinks of one invocation.

    Args:
        names: names of the sinks.
        setup: the facts about the call.
        own: makers of this project's own sinks, by name.
        logger: gets the code or the exception's type for each sink that cannot be made. A text may hold a secret.
        state: the state that earlier invocations left; a disabled sink is not made again.
    """
    known = {} if state is None else state.sinks
    return [
        NamedSink(name, None, known[name].failure)
        if name in known and known[name].failure is not None
        else _make(name, setup, own, logger)
        for name in names
    ]


def _make(name: str, setup: SinkSetup, own: Mapping[str, Callable[[SinkSetup], AudioSink]], logger: Log) -> NamedSink:
    try:
        make = own.get(name) or _entry_point(name)
        return NamedSink(name, make(setup))
    except SinkError as error:
        code = error.code
    except Exception as error:  # noqa: BLE001 - no exception of a maker may end the recording
        code = type(error).__name__
    logger.error("live sink cannot be made: the call is recorded without it", extra={"sink": name, "code": code})
    return NamedSink(name, None, code)


def _entry_point(name: str) -> Callable[[SinkSetup], AudioSink]:
    # Imported here, since it costs more than all sinks of this project together.
    from importlib.metadata import entry_points  # noqa: PLC0415

    for entry_point in entry_points(group=ENTRY_POINTS, name=name):
        make: MakeSink = entry_point.load()
        return make
    raise SinkError(
        "UNKNOWN_SINK", f"no sink and no entry point of the group {ENTRY_POINTS} is called {name}", retryable=False
    )
