"""Stereo frames into S3: whole parts of a multipart upload, and staged objects for what is no whole part yet.

How it works. Frames fill one buffer, the part in the making, and the store sends that buffer without a copy. A step
ends in one of two ways:

    upload()  the part is full: it becomes part N of the upload. Part 1 waits as a staged object, since its header needs
              the length of the whole call
    stage()   the step ends earlier: the buffer is written as an object of its own, and the next step reads it back

The id of the upload goes into the checkpoint. An attempt that dies before that leaves an open upload, and the next one
creates another. An upload that is found may be a late export's. `clean_up.py` aborts whatever is left open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from connect_audio.core.crc32 import crc32_of_end
from connect_audio.ports import Lifetime, ObjectKind, UploadedPart
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.values import dataclass

WAV_CONTENT_TYPE: Final = "audio/wav"
EXECUTION_KEY: Final = "execution"
"""Metadata key of the WAV that names the execution which wrote it."""
_PCM_CONTENT_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """PCM in an object of its own.

    Args:
        key: S3 key.
        size: bytes.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """The recording's audio in S3.

    Args:
        number: number of the part in the making, from 1.
        staged: that part's PCM so far; None where it is empty.
        first: the whole PCM of part 1; None while part 1 is in the making.
        upload_id: id of the multipart upload; None before part 2 is full.
        crc32_before: CRC-32 of the recording's PCM in front of the part in the making.
    """

    number: int = 1
    staged: Staged | None = None
    first: Staged | None = None
    upload_id: str | None = None
    crc32_before: int = 0


class Parts:
    """The part in the making, in one invocation.

    Memory: one part, at most `Policy.most_part_bytes` and one chunk of frames.

    Args:
        ports: store, names, policy.
        state: audio in S3. A staged beginning of the part is read back here.

    Raises:
        StorageError: the staged PCM cannot be read.
    """

    def __init__(self, ports: RecorderPorts, state: PartState) -> None:
        self._ports = ports
        self._state = state
        self._pcm = bytearray() if state.staged is None else ports.store.get(state.staged.key)
        # The policy's sizes at the rate, which are asked for some times a second.
        self._rate = self._full = self._most = 0

    @property
    def state(self) -> PartState:
        """State for the next step."""
        return self._state

    @property
    def size(self) -> int:
        """PCM of the part in the making, bytes."""
        return len(self._pcm)

    def fill(self, frames: Iterator[bytes], rate: int) -> bool:
        """Take frames until the part is full or the frames are used up.

        Args:
            frames: stereo frames; the rest stays in the iterator.
            rate: samples a second.

        Returns:
            True if the part is full.
        """
        if rate != self._rate:
            policy = self._ports.policy
            self._rate, self._full, self._most = rate, policy.full_part_bytes(rate), policy.most_part_bytes(rate)
        for chunk in frames:
            self._pcm += chunk
            if len(self._pcm) >= self._most:
                return True
        return len(self._pcm) >= self._full

    def upload(self, step: int, crc32: int) -> UploadedPart | None:
        """Make a part of the buffer, and begin the next one.

        Args:
            step: number of the record step, for the name of a staged object.
            crc32: CRC-32 of the recording's PCM up to the end of the buffer.

        Returns:
            The part; None for part 1, which is staged.

        Raises:
            StorageError: S3 failed; the step can run again.
        """
        state, uploaded = self._state, None
        if state.number == 1:
            first = self._put(step)
            self._state = PartState(number=2, first=first, crc32_before=crc32)
        else:
            upload_id = state.upload_id or create_upload(self._ports)
            of_part = crc32_of_end(crc32, state.crc32_before, len(self._pcm))
            uploaded = self._ports.store.upload_part(
                self._ports.names.key, upload_id, state.number, self._pcm, crc32=of_part
            )
            self._state = PartState(number=state.number + 1, first=state.first, upload_id=upload_id, crc32_before=crc32)
        self._pcm.clear()
        return uploaded

    def stage(self, step: int) -> None:
        """Make the buffer durable as it is. Without new frames the object of an earlier step stays in use.

        Args:
            step: number of the record step, for the object's name.

        Raises:
            StorageError: S3 failed; the step can run again.
        """
        staged = self._state.staged
        if len(self._pcm) != (staged.size if staged else 0):
            self._state = replace(self._state, staged=self._put(step))

    def _put(self, step: int) -> Staged:
        key = self._ports.names.staged_part(self._state.number, step, self._ports.attempt_name())
        self._ports.store.put(key, self._pcm, ObjectKind(_PCM_CONTENT_TYPE, lifetime=Lifetime.TEMPORARY))
        return Staged(key=key, size=len(self._pcm))


def create_upload(ports: RecorderPorts) -> str:
    """Create the recording's upload, and return its id."""
    return ports.store.create_upload(ports.names.key, ObjectKind(WAV_CONTENT_TYPE, metadata=wav_metadata(ports)))


def wav_metadata(ports: RecorderPorts) -> Mapping[str, str]:
    """User metadata of the WAV: ids alone."""
    return {
        "contact-id": ports.request.contact_id,
        "start-timestamp": str(ports.request.start_timestamp_ms),
        EXECUTION_KEY: ports.execution,
    }
