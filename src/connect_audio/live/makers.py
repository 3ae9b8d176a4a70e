"""Sinks by name: the composition root makes the project's own; entry points lead to all others.

A sink that cannot be made stops neither the recording nor the other sinks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from connect_audio.core.errors import SinkError
from connect_audio.core.live_state import LiveState
from connect_audio.live.pipeline import NamedSink
from connect_audio.ports import Log
from connect_audio.sinks import ENTRY_POINTS, MakeSink, SinkSetup


def make_sinks(
    names: Sequence[str],
    setup: SinkSetup,
    own: Mapping[str, MakeSink],
    logger: Log,
    state: LiveState | None = None,
) -> Sequence[NamedSink]:
    """Make the sinks of one invocation.

    Args:
        names: names of the wanted ones.
        setup: setup that their makers get.
        own: makers of this project's own sinks, by name.
        logger: logs each that cannot be made, by codes and types alone: a message may hold a secret.
        state: state from earlier invocations; a sink that failed for good is not made again.
    """
    known = {} if state is None else state.sinks
    return [
        NamedSink(name, None, known[name].failed)
        if name in known and known[name].failed is not None
        else _make(name, setup, own, logger)
        for name in names
    ]


def _make(name: str, setup: SinkSetup, own: Mapping[str, MakeSink], logger: Log) -> NamedSink:
    try:
        make = own.get(name) or _entry_point(name)
        return NamedSink(name, make(setup))
    except SinkError as error:
        code = error.code
    except Exception as error:  # noqa: BLE001 - no error of a sink's maker stops the recording
        code = type(error).__name__
    logger.error("live sink cannot be made: the call is recorded without it", extra={"sink": name, "code": code})
    return NamedSink(name, None, code)


def _entry_point(name: str) -> MakeSink:
    for entry_point in entry_points(group=ENTRY_POINTS, name=name):
        make: MakeSink = entry_point.load()
        return make
    raise SinkError(
        "UNKNOWN_SINK", f"no sink is called {name}: no entry point of the group {ENTRY_POINTS} is", retryable=False
    )
