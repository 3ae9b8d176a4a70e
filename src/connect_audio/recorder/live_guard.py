"""Passes blocks and decisions to the live pipeline. No exception of live audio gets out, so the recording goes on.

How it works. The pipeline bears the failures of its sinks. If live audio itself fails, a bug of this package, the guard
logs it once and calls the pipeline no more. The call is then recorded without live audio, and log, metric and manifest
say so. A call without sinks has `NoLiveAudio`, which has the same methods and does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final

from connect_audio.core.errors import StorageError
from connect_audio.core.fragments import Fragment, OpenFragment
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.live_state import LiveState, SinkState
from connect_audio.core.recording import Added, CallRecording
from connect_audio.ports import Lifetime, Log, ObjectKind, PartStore
from connect_audio.values import dataclass

if TYPE_CHECKING:
    # A call without sinks does not pay for the pipeline's modules at its cold start.
    from connect_audio.live import LivePipeline

LIVE_FAILED: Final = "LIVE_FAILED"
"""Why a sink gets nothing any more: live audio itself has failed."""


@dataclass(frozen=True, slots=True)
class LiveWanted:
    """The wish for a call's live audio.

    Args:
        make: makes the sinks for one invocation, given what earlier ones left.
        store: keeps audio that the sinks may still need between steps. Its calls must give up soon, since the recording
            waits for them.
    """

    make: Callable[[LiveState | None], LivePipeline]
    store: PartStore


@dataclass(frozen=True, slots=True)
class LiveSaved:
    """The end of a step, for the sinks.

    Args:
        state: for the checkpoint; None without sinks.
        lag_s: longest time that a sink let a piece of audio wait since the last step, s.
    """

    state: LiveState | None = None
    lag_s: float = 0.0


class NoLiveAudio:
    """Live audio of a call without sinks."""

    failures: Final[Mapping[str, str]] = {}

    def look(self, under_way: Callable[[], OpenFragment | None], allowed: Callable[[int], bool]) -> None:
        """Do nothing."""

    def longest_nap_s(self) -> float:
        """Return infinity: no sink waits for audio."""
        return math.inf

    def foresee(self, fragments: Sequence[Fragment]) -> None:
        """Do nothing."""

    def confirm(self, added: Sequence[Added]) -> None:
        """Do nothing."""

    def end(self, added: Sequence[Added]) -> None:
        """Do nothing."""

    def give_up(self) -> None:
        """Do nothing."""

    def interrupt_overdue(self) -> None:
        """Do nothing."""

    def save(self, frames: int, key: Callable[[], str]) -> LiveSaved:  # noqa: ARG002 - as `GuardedLiveAudio.save`
        """Return an empty state."""
        return LiveSaved()

    def finish(self, frames: int, key: Callable[[], str] | None) -> LiveSaved:  # noqa: ARG002 - the same
        """Return an empty state."""
        return LiveSaved()

    def close(self) -> None:
        """Do nothing."""


class _Guard:
    """A `with` block that lets no exception out: the first one is logged, and `failed` is set for good."""

    def __init__(self, logger: Log) -> None:
        self.failed = False
        self._logger = logger

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.failed = True
        self._logger.exception("live audio failed: the rest of the call is recorded without it")  # noqa: LOG004 - `__exit__` handles it
        return True


class GuardedLiveAudio:
    """Live audio of one call in one invocation.

    Args:
        wanted: makes the pipeline, and keeps what sinks may still need.
        recording: the call so far.
        before: state that earlier invocations left.
        logger: takes ids and numbers.
    """

    def __init__(self, wanted: LiveWanted, recording: CallRecording, before: LiveState, logger: Log) -> None:
        self._recording = recording
        self._before = before
        self._store = wanted.store
        self._logger = logger
        self._guard = _Guard(logger)
        self._pipeline: LivePipeline | None = None
        self._preview = LivePreview(recording)
        self._draft: CallRecording | None = None
        with self._guard:
            self._pipeline = wanted.make(before)
            self._resume(self._pipeline)

    @property
    def failures(self) -> Mapping[str, str]:
        """Why sinks are not used any more in this invocation, by name; also if no step's end could note it."""
        return {} if self._pipeline is None else self._pipeline.failures

    @property
    def _working(self) -> LivePipeline | None:
        """The pipeline; None once live audio has failed."""
        return None if self._guard.failed else self._pipeline

    def look(self, under_way: Callable[[], OpenFragment | None], allowed: Callable[[int], bool]) -> None:
        """Pass on what has come of the unfinished fragment since the last look. To be called before each read.

        Args:
            under_way: returns the fragment under way; None where there is none.
            allowed: returns True if a fragment that begins then, ms since the epoch, may be passed on before its end.
        """
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                placements = self._preview.look(under_way(), allowed=allowed)
                if placements:
                    pipeline.write(placements, self._preview.rate)

    def longest_nap_s(self) -> float:
        """Longest time for which reading may pause without delaying a sink, s; infinity once live audio has failed."""
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                return pipeline.longest_nap_s()
        return math.inf

    def foresee(self, fragments: Sequence[Fragment]) -> None:
        """Pass on whole fragments on which the recording has not decided: the next `confirm` decides.

        Args:
            fragments: the fragments since the last time.
        """
        pipeline = self._working
        if pipeline is not None and fragments:
            with self._guard:
                if self._draft is None:
                    self._draft = self._recording.draft()
                    self._preview = LivePreview(self._draft)
                for fragment in fragments:
                    samples = self._draft.add(fragment).live_samples()
                    if samples and self._draft.rate is not None:
                        pipeline.write(samples, self._draft.rate)

    def confirm(self, added: Sequence[Added]) -> None:
        """Pass on that the recording has decided on fragments.

        Args:
            added: results of the recording since the last time.
        """
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                self._end_draft()
                timeline = self._recording.timeline
                if timeline is None:
                    pipeline.discard()
                else:
                    pipeline.confirm(timeline, _placed(added))

    def end(self, added: Sequence[Added]) -> None:
        """Pass on that the call is over and its timeline closed: all of it will be recorded.

        Args:
            added: results of the recording since the last `confirm`.
        """
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                self._end_draft()
                pipeline.end(self._recording.timeline, _placed(added))

    def give_up(self) -> None:
        """Pass on that the recorder gives up: only frames taken from the timeline are recorded."""
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                pipeline.give_up(self._recording.timeline)

    def interrupt_overdue(self) -> None:
        """Interrupt deliveries that last too long; to be called now and then."""
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                pipeline.interrupt_overdue()

    def save(self, frames: int, key: Callable[[], str]) -> LiveSaved:
        """Note where the sinks stand, and keep what they may still need.

        Args:
            frames: frames that the cursor has taken.
            key: makes the S3 key for the audio that sinks may still need.
        """
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                return self._save(pipeline, frames, key())
        return self._failed()

    def finish(self, frames: int, key: Callable[[], str] | None) -> LiveSaved:
        """Let the sinks catch up for a moment, stop them, and save. The invocation ends with this step.

        Args:
            frames: frames that the cursor has taken.
            key: makes the S3 key for the audio that sinks may still need; None if no step follows.
        """
        pipeline = self._working
        if pipeline is not None:
            with self._guard:
                pipeline.flush()
                pipeline.close()
                return self._save(pipeline, frames, None if key is None else key())
        return self._failed()

    def close(self) -> None:
        """Stop the sinks, also once live audio has failed. No thread of a sink runs afterwards."""
        if self._pipeline is not None:
            with self._guard:
                self._pipeline.close()

    def _end_draft(self) -> None:
        if self._draft is not None:
            self._draft = None
            self._preview = LivePreview(self._recording)

    def _resume(self, pipeline: LivePipeline) -> None:
        """Go on where an earlier invocation stood."""
        timeline, key = self._recording.timeline, self._before.tail
        if timeline is None:
            return
        tail = b"" if key is None else _try_twice(lambda: self._store.get(key))
        if isinstance(tail, StorageError):
            self._logger.warning(
                "live audio not read back from S3: sinks lose up to one segment", extra={"code": tail.code}
            )
            tail = b""
        pipeline.resume(timeline, bytes(tail))

    def _save(self, pipeline: LivePipeline, frames: int, key: str | None) -> LiveSaved:
        state, tail = pipeline.state(frames)
        if tail and key is not None:
            error = _try_twice(
                lambda: self._store.put(key, tail, ObjectKind("application/octet-stream", lifetime=Lifetime.TEMPORARY))
            )
            if error is None:
                state = replace(state, tail=key)
            else:
                self._logger.warning(
                    "live audio not kept in S3 for the next step: sinks lose up to one segment",
                    extra={"code": error.code},
                )
                state = state.without_tail(frames)
        return LiveSaved(state, pipeline.take_longest_lag())

    def _failed(self) -> LiveSaved:
        """The state once live audio has failed: no sink is used any more."""
        known = self._before.sinks
        names = self._pipeline.names if self._pipeline is not None else [*known] or ["live"]
        lost = {name: replace(known.get(name, SinkState()), failure=LIVE_FAILED) for name in names}
        return LiveSaved(LiveState(sinks={**known, **lost}))


type CallLiveAudio = GuardedLiveAudio | NoLiveAudio


def _placed(added: Sequence[Added]) -> list[LiveSamples]:
    """Return the samples that the recording has placed, each party's in order."""
    return [samples for each in added for samples in each.live_samples()]


def _try_twice[T](work: Callable[[], T]) -> T | StorageError:
    """Call S3, and once more after a retryable error. The engine retries only the recording's own objects."""
    try:
        return work()
    except StorageError as error:
        if not error.retryable:
            return error
    try:
        return work()
    except StorageError as error:
        return error
