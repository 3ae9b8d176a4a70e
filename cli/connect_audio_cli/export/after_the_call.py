"""The functions' recorder on a call that is over, in one go. Used by `export` and `repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connect_audio.ports import ContactAnswer, ContactState
from connect_audio.recorder import Budget, Over, Recorded, Recorder, Wait
from connect_audio.recorder.continuation import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable

    from connect_audio.recorder import Checkpoint, RecorderPorts

_NO_DEADLINE: Final = float("inf")


def recorded_to_its_end(
    ports: RecorderPorts, checkpoint: Checkpoint, on_audio: Callable[[Checkpoint], None] = lambda _: None
) -> Recorded:
    """Record a call up to the end that its checkpoint names.

    Args:
        ports: the recorder's dependencies.
        checkpoint: the beginning, with the last fragment of the call's time.
        on_audio: is called after each part of the recording.

    Raises:
        MediaSourceError: the stream cannot be read.
        StorageError: the target refused.
    """
    done = Continuation(execution=ports.execution)
    with Recorder(ports) as recorder:
        while True:
            result = recorder.record(checkpoint, Budget(_NO_DEADLINE, _NO_DEADLINE))
            done, checkpoint = done.after(result), result.checkpoint
            on_audio(checkpoint)
            if isinstance(result.next, Over):
                return Recorded(
                    checkpoint=checkpoint, parts=done.parts, notes_keys=done.notes_keys, end=result.next.end
                )
            if isinstance(result.next, Wait):
                ports.clock.sleep(result.next.seconds)


class NotAsked:
    """The end is known by the stream's listing: Connect is not asked, and no right on it is needed."""

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        """Answer UNKNOWN."""
        del instance_id, contact_id, stream_arn, start_fragment
        return ContactAnswer(ContactState.UNKNOWN)
