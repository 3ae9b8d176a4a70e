"""Who may record: the claim of a recording's key, an object that names one execution.

The claim decides between executions. Only its holder opens GetMedia or touches uploads, and publishing deletes the
claim last (ADR 3). An execution that claims again after a crash finds its own name and goes on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.ports import Lifetime, ObjectKind, WriteOutcome
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.parts import EXECUTION_KEY
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.streaming_border import BorderState
from connect_audio.values import dataclass

_NO_KEY: Final = "NoSuchKey"


class Refusal(StrEnum):
    """Why an execution may not record."""

    ALREADY_RECORDED = "ALREADY_RECORDED"
    """Another execution has recorded this streaming, or an object of another origin lies at the key."""
    CLAIMED = "CLAIMED"
    """Another execution records this streaming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """This execution may record.

    Args:
        retention_hours: DataRetentionInHours of the stream; None where unknown.
        from_ms: begin of this streaming if the contact has an earlier one, ms since the epoch; else None.
        repairs: 1 if an interrupted attempt of this execution had claimed the key; else 0.
    """

    retention_hours: int | None = None
    from_ms: int | None = None
    repairs: int = 0

    def checkpoint(self) -> Checkpoint:
        """Return the beginning of the recording."""
        return Checkpoint(
            read=ReadState(retention_hours=self.retention_hours), border=BorderState(from_ms=self.from_ms)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """This execution may not record.

    Args:
        reason: why.
    """

    reason: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyPublished:
    """The WAV at the key is this execution's: it died between publishing and saying so.

    Args:
        repairs: 1 if an interrupted attempt had claimed the key; else 0.
    """

    repairs: int = 0


type Claim = Granted | Refused | AlreadyPublished


def claim_recording(ports: RecorderPorts) -> Claim:
    """Claim the key for this execution, and look at the stream's retention.

    Args:
        ports: the recorder's dependencies.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    names, store, body, repairs = ports.names, ports.store, ports.execution.encode(), 0
    written = store.put_new(names.claim, body, ObjectKind("text/plain", lifetime=Lifetime.TEMPORARY))
    if written is WriteOutcome.EXISTS:
        try:
            holder = store.get(names.claim)
        except StorageError as error:
            if error.retryable or error.code != _NO_KEY:
                raise
            # Deleted between the two calls: its holder has just finished.
            return Refused(reason=Refusal.ALREADY_RECORDED)
        if holder != body:
            return Refused(reason=Refusal.CLAIMED)
        repairs = 1
    head = store.head(names.key)
    if head is None:
        return Granted(retention_hours=_retention(ports), from_ms=_from_ms(ports), repairs=repairs)
    if head.metadata.get(EXECUTION_KEY) == ports.execution:
        return AlreadyPublished(repairs=repairs)
    store.delete([names.claim])
    return Refused(reason=Refusal.ALREADY_RECORDED)


def _retention(ports: RecorderPorts) -> int | None:
    try:
        hours = ports.source.retention_hours()
    except MediaSourceError as error:
        # Reading shows more; an unknown retention loses nothing.
        ports.logger.warning(
            "retention of the stream unknown: it is read as one without retention", extra={"code": error.code}
        )
        return None
    if hours < 1:
        ports.logger.warning("stream without retention: audio not read within 5 minutes is lost; set a retention")
    return hours


def _from_ms(ports: RecorderPorts) -> int | None:
    earlier = OtherStreamings(ports.request, ports.names, ports.store).latest_before()
    return None if earlier is None else ports.request.start_timestamp_ms
