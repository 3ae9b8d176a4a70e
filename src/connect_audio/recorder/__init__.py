"""The application: core and ports make recorded parts, and of those a finished call.

`record.Recorder` runs one step at a time, `publication.Publication` claims the key and publishes; the consumer handler
strings the steps together. Every value that passes between steps is in `checkpoint`.
"""

from connect_audio.recorder.checkpoint import Checkpoint, StepResult, StepVerdict
from connect_audio.recorder.live_guard import LiveWanted
from connect_audio.recorder.policy import Policy
from connect_audio.recorder.publication import Claim, Outcome, OutcomeStatus, Publication
from connect_audio.recorder.record import Budget, Recorder, RecorderPorts

__all__ = [
    "Budget",
    "Checkpoint",
    "Claim",
    "LiveWanted",
    "Outcome",
    "OutcomeStatus",
    "Policy",
    "Publication",
    "Recorder",
    "RecorderPorts",
    "StepResult",
    "StepVerdict",
]
