"""The application: core and ports make recorded parts, and of those a finished call.

`record.Recorder` runs one step at a time, `publication.Publication` claims the key and publishes; the consumer handler
strings the steps together. Every value that passes between steps is in `checkpoint`.
"""

from connect_audio.recorder.checkpoint import Checkpoint, Policy, StepResult, StepVerdict
from connect_audio.recorder.live_hand import LiveWanted
from connect_audio.recorder.publication import Claim, Outcome, OutcomeStatus, Publication
from connect_audio.recorder.record import Budget, Recorder, Surroundings

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
    "StepResult",
    "StepVerdict",
    "Surroundings",
]
