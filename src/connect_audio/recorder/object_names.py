"""Names of the objects around a recording. The claim and all below `<key>.staging/` is gone once it is finished."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordingNames:
    """Keys derived from a recording's own.

    Args:
        key: the WAV's S3 key, ending in `.wav`.
    """

    key: str

    @property
    def manifest(self) -> str:
        """The manifest beside the WAV."""
        return self.key.removesuffix(".wav") + ".json"

    @property
    def claim(self) -> str:
        """The claim: who holds it alone writes the recording."""
        return f"{self.key}.claim"

    @property
    def staging(self) -> str:
        """Prefix of what is kept until the end."""
        return f"{self.key}.staging/"

    def staged_part(self, part: int, step: int, attempt: str) -> str:
        """PCM of a part that cannot go up yet; every attempt of a step writes under a name of its own."""
        return f"{self.staging}part-{part:05d}-{step:05d}-{attempt}.pcm"

    def notes(self, step: int, attempt: str) -> str:
        """Gaps and in-band errors that one step found."""
        return f"{self.staging}notes-{step:05d}-{attempt}.json"

    def live_tail(self, step: int, attempt: str) -> str:
        """PCM from before the cursor that sinks of live audio may still need."""
        return f"{self.staging}live-{step:05d}-{attempt}.pcm"
