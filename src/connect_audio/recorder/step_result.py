"""The result of a record step: plain JSON in the execution's history."""

from __future__ import annotations

from connect_audio.ports import UploadedPart
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.end_of_call import EndOfRecording
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class PartDone:
    """A part is full: record the next one at once."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """This invocation's time is up: suspend for a moment, and go on in a fresh one."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The stream is silent: suspend, then look again.

    Args:
        seconds: how long to suspend.
    """

    seconds: int


@dataclass(frozen=True, slots=True)
class AtHead:
    """All is recorded up to the fragment that a listing named, and the call may go on: look at it again."""


@dataclass(frozen=True, slots=True)
class Over:
    """The recording is over: publish it.

    Args:
        end: why, and why it is not whole.
    """

    end: EndOfRecording


type Next = PartDone | HandOver | Wait | AtHead | Over


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """The result of a record step.

    Args:
        next: the handler's next action.
        checkpoint: state of the recording.
        part: the part that this step uploaded; None where it uploaded none.
        notes_key: S3 key of the gaps and errors that this step found; None where there were none.
        behind_ms: how far the newest fragment that this step read was behind the stream's head, ms; None if it read
            none, or KVS gave no figure.
        repairs: runs of damaged bytes that this step passed over.
        live_lag_s: longest time from the arrival of a piece's last sample to its delivery, s.
    """

    next: Next
    checkpoint: Checkpoint
    part: UploadedPart | None = None
    notes_key: str | None = None
    behind_ms: int | None = None
    repairs: int = 0
    live_lag_s: float = 0.0
