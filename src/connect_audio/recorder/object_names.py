"""Names of the objects around a recording.

Once the recording is published, the claim and everything below `<key>.staging/` is deleted.
"""

from __future__ import annotations

from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class RecordingNames:
    """Keys derived from the recording's own.

    Args:
        bucket: S3 bucket.
        key: the WAV's S3 key, ending in `.wav`.
        place: the WAV's place as its manifest gives it; None for its URI in S3.
    """

    bucket: str
    key: str
    place: str | None = None

    @property
    def uri(self) -> str:
        """URI of the WAV."""
        return self.place or f"s3://{self.bucket}/{self.key}"

    @property
    def manifest(self) -> str:
        """Key of the manifest beside the WAV."""
        return self.key.removesuffix(".wav") + ".json"

    @property
    def manifest_uri(self) -> str:
        """URI of the manifest."""
        return f"s3://{self.bucket}/{self.manifest}"

    @property
    def transcript(self) -> str:
        """Key of the words beside the WAV."""
        return self.key.removesuffix(".wav") + ".transcript.json"

    @property
    def captions(self) -> str:
        """Key of the same as WebVTT."""
        return self.key.removesuffix(".wav") + ".vtt"

    @property
    def claim(self) -> str:
        """Key of the claim: only the execution that it names writes the recording."""
        return f"{self.key}.claim"

    @property
    def staging(self) -> str:
        """Prefix of the objects that are kept until the recording is published."""
        return f"{self.key}.staging/"

    def staged_part(self, part: int, step: int, attempt: str) -> str:
        """Key of PCM that cannot go up yet; every attempt of a step has a name of its own."""
        return f"{self.staging}part-{part:05d}-{step:05d}-{attempt}.pcm"

    def notes(self, step: int, attempt: str) -> str:
        """Key of the gaps and in-band errors that one step found."""
        return f"{self.staging}notes-{step:05d}-{attempt}.json"

    @property
    def staged_manifest(self) -> str:
        """Key of the manifest of a recording that is about to replace another one."""
        return f"{self.staging}manifest.json"

    def live_tail(self, step: int, attempt: str) -> str:
        """Key of PCM from before the cursor that sinks of live audio may still need."""
        return f"{self.staging}live-{step:05d}-{attempt}.pcm"
