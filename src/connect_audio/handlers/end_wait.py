"""Waits, suspended, until a call that is recorded after its end is over. Used by `call_execution`.

How it works. The engine replays this code too, so its branches depend on results of steps and of callbacks alone.

    await-00001 ─> enter-00001 ─┬─ announced before ──────────> settle-00001 ─> look-00001 ─> record
                                ├─ woken by the event ────────> settle-00001 ─> look-00001
                                └─ time is up ────────────────> look-00001 ─┬─ Sleep ─> await-00002 ...
                                                                            └─ read on, ended, live ─> record

`await` is a callback that the function for contact events answers. `enter` writes the callback's id for that
function. A stack without contact events has a plain wait instead of both. The wait `settle` lets the call's last
fragments arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python import CallbackError
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration

from connect_audio.core.plain import from_plain, to_plain
from connect_audio.recorder.call_watch import Ended, Look, ReadOn, Sleep, Watched, look_at_call, watch_from

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python import DurableContext

    from connect_audio.handlers.call_assembly import CallAssembly
    from connect_audio.ports import ContactEnds
    from connect_audio.recorder import Checkpoint

type Step = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]


class EndWait:
    """The wait of one execution, in one invocation.

    Args:
        context: the durable execution's.
        call: all that records the call.
        step: runs a step of the execution.
    """

    def __init__(self, context: DurableContext, call: CallAssembly, step: Step) -> None:
        self._context = context
        self._call = call
        self._step = step
        self._watched: Watched = watch_from(call.ports)

    def for_end(self, checkpoint: Checkpoint) -> Checkpoint:
        """Wait until the call is over, or until what is unread would expire too soon.

        Args:
            checkpoint: the recording's; of a stream that keeps its fragments.

        Returns:
            The checkpoint that the next record step begins with. It knows how far that step may read.

        Raises:
            StepError: a step failed for good.
        """
        while True:
            number = self._watched.looks + 1
            self._pause(number, self._watched.pause_s(self._call.ports.policy, checkpoint.read.retention_hours or 0))
            look = from_plain(Look, self._step(f"look-{number:05d}", lambda: self._look(checkpoint)))
            self._watched = look.watched
            match look.found:
                case Ended(on):
                    return checkpoint.ending_on(on)
                case ReadOn(to):
                    return checkpoint.ending_on(to)
                case Sleep():
                    continue
                case _:
                    return checkpoint.ending_on(None)

    def _pause(self, number: int, seconds: int) -> None:
        """Suspend the execution until the contact's end is announced or the time is up."""
        ends, settle_s = self._call.ports.ends, max(1, round(self._call.ports.policy.drain))
        if ends is None or self._watched.is_disconnected:
            self._context.wait(Duration.from_seconds(seconds), name=f"pause-look-{number:05d}")
        elif self._is_announced(ends, number, seconds):
            self._context.wait(Duration.from_seconds(settle_s), name=f"settle-{number:05d}")

    def _is_announced(self, ends: ContactEnds, number: int, seconds: int) -> bool:
        config = CallbackConfig(timeout=Duration.from_seconds(seconds))
        callback = self._context.create_callback(name=f"await-{number:05d}", config=config)
        callback_id = callback.callback_id
        entered = self._step(f"enter-{number:05d}", lambda: self._enter(ends, callback_id))
        if entered["is_announced"]:
            return True
        try:
            callback.result()
        except CallbackError:
            # The time is up. Connect itself is asked, and the stream.
            return False
        return True

    def _enter(self, ends: ContactEnds, callback_id: str) -> dict[str, Any]:
        request = self._call.ports.request
        ends.wait(request.contact_id, request.execution_name, callback_id)
        return {"is_announced": ends.ended_ms(request.contact_id) is not None}

    def _look(self, checkpoint: Checkpoint) -> dict[str, Any]:
        call, request = self._call, self._call.ports.request
        with call.index() as index:
            look = look_at_call(call.ports, index, self._watched, checkpoint)
        if call.ports.ends is not None and not isinstance(look.found, Sleep | ReadOn):
            call.ports.ends.leave(request.contact_id, request.execution_name)
        call.reports.looked(look)
        return to_plain(look)
