"""Makes the sinks that LIVE_SINKS names: this project's own, and others by their entry points.

A sink that cannot be made changes neither the recording nor the other sinks. Each sink is imported and made in its own
thread, under a limit. The recorder waits for all sinks together, since a sink's kind decides what it gets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.core.live_state import LiveState
from connect_audio.live.drivers import NO_THREAD, close_sink
from connect_audio.live.named_sink import NamedSink
from connect_audio.live.sink_thread import SinkThread
from connect_audio.ports import Log
from connect_audio.sinks import ENTRY_POINTS, AudioSink, MakeSink, SinkSetup

LONGEST_MAKING_S: Final = 5.0
"""Limit of importing and making all sinks of a call, seconds. Beyond: the call is recorded without the late ones."""
NOT_MADE_IN_TIME: Final = "NOT_MADE_IN_TIME"
"""Code of a sink that was not made within the limit."""


def make_sinks(
    names: Sequence[str],
    setup: SinkSetup,
    own: Mapping[str, Callable[[SinkSetup], AudioSink]],
    logger: Log,
    state: LiveState | None = None,
    *,
    limit_s: float = LONGEST_MAKING_S,
) -> Sequence[NamedSink]:
    """Make the sinks of one invocation.

    Args:
        names: names of the sinks.
        setup: the facts about the call.
        own: makers of this project's own sinks, by name.
        logger: gets the code or the exception's type for each sink that cannot be made. A text may hold a secret.
        state: the state that earlier invocations left; a disabled sink is not made again.
        limit_s: longest time that making them may take, seconds.
    """
    known = {} if state is None else state.sinks
    makings: dict[str, _Making] = {}
    for name in names:
        if name not in known or known[name].failure is None:
            makings[name] = _Making(name, lambda name=name: (own.get(name) or entry_point(name))(setup), logger)  # type: ignore[misc]
    until = monotonic() + limit_s
    return [
        makings[name].result(until) if name in makings else NamedSink(name, None, known[name].failure) for name in names
    ]


class _Making:
    """One sink that is being made in its thread.

    Args:
        name: the sink's name.
        make: imports and makes the sink.
        logger: gets codes and exceptions' types.
    """

    def __init__(self, name: str, make: Callable[[], AudioSink], logger: Log) -> None:
        self._name = name
        self._make = make
        self._logger = logger
        self._changed = threading.Condition()
        self._made: NamedSink | None = None
        self._too_late = False
        self._thread = SinkThread(name)
        try:
            self._thread.start()
        except RuntimeError:  # the machine has no more threads
            self._made = NamedSink(name, None, NO_THREAD)
        else:
            self._thread.submit(self._run)

    def result(self, until: float) -> NamedSink:
        """Return the sink, or why there is none.

        Args:
            until: monotonic seconds at which the sink is late.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._made is not None, max(0.0, until - monotonic()))
            made = self._made
            if made is not None and made.failure is None:
                return made
            self._too_late = True
        self._thread.finish()
        return self._failed(NOT_MADE_IN_TIME if made is None else made.failure or NOT_MADE_IN_TIME)

    def _run(self) -> None:
        try:
            made = NamedSink.of(self._name, self._make(), self._thread)
        except SinkError as error:
            made = NamedSink(self._name, None, error.code)
        except BaseException as error:  # noqa: BLE001 - not even SystemExit of a maker may end the recording
            made = NamedSink(self._name, None, type(error).__name__)
        with self._changed:
            self._made = made
            self._changed.notify_all()
            is_unused = self._too_late or made.failure is not None
        if is_unused and made.sink is not None:
            close_sink(self._logger, self._name, made.sink)

    def _failed(self, code: str) -> NamedSink:
        self._logger.error(
            "live sink cannot be made: the call is recorded without it", extra={"sink": self._name, "code": code}
        )
        return NamedSink(self._name, None, code)


def entry_point(name: str) -> Callable[[SinkSetup], AudioSink]:
    """Find the maker of a sink that an installed package brings.

    Args:
        name: name of the entry point.

    Raises:
        SinkError: there is none. The import of the maker may raise anything.
    """
    # Imported here, since it costs more than all sinks of this project together.
    from importlib.metadata import entry_points  # noqa: PLC0415

    for entry_point in entry_points(group=ENTRY_POINTS, name=name):
        make: MakeSink = entry_point.load()
        return make
    raise SinkError(
        "UNKNOWN_SINK", f"no sink and no entry point of the group {ENTRY_POINTS} is called {name}", retryable=False
    )
