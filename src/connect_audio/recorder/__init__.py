"""The application: core and ports make recorded parts, and parts make a published call.

The consumer handler strings the steps together: `claim_recording`, then `Recorder.record` until the recording is over,
then `publish_recording`. Every value between steps is plain JSON, written and read by `connect_audio.core.plain`.
"""

from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.claim import AlreadyPublished, Claim, Granted, Refused, claim_recording
from connect_audio.recorder.end_of_call import EndOfRecording
from connect_audio.recorder.live_guard import LiveWanted
from connect_audio.recorder.outcome import Outcome, OutcomeStatus
from connect_audio.recorder.policy import Policy
from connect_audio.recorder.publish import Recorded, publish_recording
from connect_audio.recorder.record_step import Budget
from connect_audio.recorder.recorder import Recorder
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.step_result import AtHead, HandOver, Over, PartDone, StepResult, Wait

__all__ = [
    "AlreadyPublished",
    "AtHead",
    "Budget",
    "Checkpoint",
    "Claim",
    "EndOfRecording",
    "Granted",
    "HandOver",
    "LiveWanted",
    "Outcome",
    "OutcomeStatus",
    "Over",
    "PartDone",
    "Policy",
    "Recorded",
    "Recorder",
    "RecorderPorts",
    "Refused",
    "StepResult",
    "Wait",
    "claim_recording",
    "publish_recording",
]
