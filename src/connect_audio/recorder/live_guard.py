"""The recorder's hand on its live audio: blocks and decisions in, and whatever goes wrong in there stays in there.

A sink's failures are the pipeline's to bear. Should live audio itself fail, a bug of ours, the call goes on being
recorded without it, and log, metric and manifest say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Concatenate, Final

from aws_lambda_powertools import Logger

from connect_audio.core.errors import StorageError
from connect_audio.core.fragments import OpenFragment
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.recording import CallRecording
from connect_audio.live import LivePipeline, LiveState, SinkState
from connect_audio.ports import PartStore

LIVE_FAILED: Final = "LIVE_FAILED"
"""Why no sink gets anything any more: live audio itself has failed."""


@dataclass(frozen=True, slots=True)
class LiveWanted:
    """That somebody wants a call's live audio.

    Args:
        make: makes the sinks for one invocation, given what earlier ones left.
        store: where what they may still need is kept between steps: one that gives up soon, since the recording waits.
    """

    make: Callable[[LiveState | None], LivePipeline]
    store: PartStore


def _harmless[**P, T](
    method: Callable[Concatenate[GuardedLiveAudio, P], T],
) -> Callable[Concatenate[GuardedLiveAudio, P], T | None]:
    """Run a method unless live audio has failed before; where it fails now, note that and go on with None."""

    @wraps(method)
    def harmless(self: GuardedLiveAudio, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        if not self.failed:
            try:
                return method(self, *args, **kwargs)
            except Exception:
                self.failed = True
                self.recording.stop_watching()
                self.logger.exception("live audio has failed: the call is recorded without it from here on")
        return None

    return harmless


class GuardedLiveAudio:
    """Live audio of one call in one invocation.

    Args:
        make: makes where it goes, given what earlier invocations left.
        recording: the call so far.
        before: what earlier invocations left.
        store: where what sinks may still need is kept between steps.
        logger: for ids and numbers.
    """

    def __init__(
        self,
        make: Callable[[LiveState | None], LivePipeline],
        recording: CallRecording,
        before: LiveState,
        *,
        store: PartStore,
        logger: Logger,
    ) -> None:
        self._made: LivePipeline | None = None
        self.recording = recording
        self._before = before
        self._store = store
        self.logger = logger
        self._preview = LivePreview(recording)
        self.failed = False
        """Whether live audio itself has failed."""
        self._make(make, before)
        self._resume()

    @property
    def _pipeline(self) -> LivePipeline:
        if self._made is None:
            raise RuntimeError("live audio could not be made")
        return self._made

    @_harmless
    def _make(self, make: Callable[[LiveState | None], LivePipeline], before: LiveState) -> None:
        self._made = make(before)

    @_harmless
    def _resume(self) -> None:
        """Go on where an earlier invocation stood."""
        timeline = self.recording.timeline
        if timeline is None:
            return
        key = self._before.tail
        tail = b"" if key is None else _twice(lambda: self._store.get(key))
        if isinstance(tail, StorageError):
            self.logger.warning("live audio not read back", extra={"code": tail.code})
            tail = b""
        self._pipeline.resume(timeline, bytes(tail))

    @_harmless
    def look(self, fragment: OpenFragment | None, *, allowed: Callable[[int], bool]) -> None:
        """Pass on what has come of the fragment under way since the last look. To be called after each read.

        Args:
            fragment: the reader's open fragment; None for none.
            allowed: see `LivePreview.look`.
        """
        placements = self._preview.look(fragment, allowed=allowed)
        if placements:
            self._pipeline.write(placements, self._preview.rate)

    @_harmless
    def confirm(self) -> None:
        """The recording has decided on fragments."""
        timeline = self.recording.timeline
        if timeline is None:
            self._pipeline.discard()
        else:
            self._pipeline.confirm(timeline)

    @_harmless
    def end(self, *, settled: bool) -> None:
        """The call is over.

        Args:
            settled: whether its timeline is closed, so that all of it will be recorded; else what was taken is all.
        """
        self._pipeline.end(self.recording.timeline, settled=settled)

    @_harmless
    def interrupt_overdue(self) -> None:
        """Look after deliveries that last too long; to be called now and then."""
        self._pipeline.interrupt_overdue()

    def close(self) -> None:
        """Stop the sinks, also where live audio has failed; no thread of theirs runs afterwards."""
        was, self.failed = self.failed, False
        self._stop()
        self.failed = self.failed or was

    @_harmless
    def _stop(self) -> None:
        if self._made is not None:
            self._made.close()

    def save(self, frames: int, key: str | None, *, last: bool) -> tuple[LiveState, float]:
        """Note where the sinks stand, and keep what they may still need.

        Args:
            frames: where the cursor stands.
            key: where in the bucket to keep it; None where no step follows that could need it.
            last: whether the invocation ends with this step: then the sinks may catch up for a moment, and end.

        Returns:
            The state for the checkpoint, and the longest time that a sink let a piece wait since the last one, seconds.
        """
        saved = self._save(frames, key, last=last)
        if saved is not None:
            return saved
        known = self._before.sinks
        names = self._made.names if self._made is not None else [*known] or ["live"]
        lost = {name: replace(known.get(name, SinkState()), failed=LIVE_FAILED) for name in names}
        return LiveState(sinks={**known, **lost}), 0.0

    @property
    def failures(self) -> Mapping[str, str]:
        """Sinks that are not used any more in this invocation, and why, also where no step's end could note it."""
        return {} if self._made is None else self._made.failures

    @_harmless
    def _save(self, frames: int, key: str | None, *, last: bool) -> tuple[LiveState, float]:
        pipeline = self._pipeline
        if last:
            pipeline.flush()
            pipeline.close()
        state, tail = pipeline.state(frames)
        if tail and key is not None:
            error = _twice(lambda: self._store.put(key, tail, content_type="application/octet-stream"))
            if error is None:
                state = replace(state, tail=key)
            else:
                self.logger.warning("live audio not kept for the next step", extra={"code": error.code})
                state = state.without_tail(frames)
        return state, pipeline.take_longest_lag()


def _twice[T](work: Callable[[], T]) -> T | StorageError:
    """Do something with S3, twice if need be: for the recording's own objects the engine tries the step again."""
    try:
        return work()
    except StorageError as error:
        if not error.retryable:
            return error
    try:
        return work()
    except StorageError as error:
        return error
