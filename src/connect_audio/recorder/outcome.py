"""The result of an execution: ids and numbers, since the execution's history keeps it."""

from __future__ import annotations

from enum import StrEnum

from connect_audio.core.manifest import EndReason
from connect_audio.values import dataclass


class OutcomeStatus(StrEnum):
    """How an execution ends."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    REFUSED = "refused"
    """Another execution records, or has recorded, this streaming."""
    KEY_TAKEN = "key_taken"
    """An object of another origin appeared at the recording's key; this execution's own recording was withdrawn."""
    FAILED = "failed"
    """A step that claims or publishes failed for good; the execution fails with its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one execution.

    Args:
        status: how it ended.
        recording: S3 URI of the WAV; None where there is none.
        manifest: S3 URI of the manifest; None where there is none.
        duration_s: seconds of audio.
        reasons: codes of why the recording is not whole.
        end_reason: why the recording ended.
        sample_rate: samples a second of the WAV; None where there is none.
        gap_s: seconds in which neither party has audio and fragments may be missing.
        silence_s: seconds of silence filled in, both tracks together.
        audio_end_ms: end of the audio by the producer's clock, ms since the epoch; None where there is none.
        repairs: remains of interrupted attempts that publishing used or removed.
    """

    status: OutcomeStatus
    recording: str | None = None
    manifest: str | None = None
    duration_s: float = 0.0
    reasons: tuple[str, ...] = ()
    end_reason: EndReason | None = None
    sample_rate: int | None = None
    gap_s: float = 0.0
    silence_s: float = 0.0
    audio_end_ms: int | None = None
    repairs: int = 0
