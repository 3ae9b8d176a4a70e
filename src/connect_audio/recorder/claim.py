"""Who may record: the claim of a recording's key, an object that names one execution.

The claim decides between executions. Only its holder opens GetMedia or publishes, and publishing deletes the claim last
(ADR 3). An execution that claims again after a crash finds its own name and goes on.

An export's claim gives way to an execution's or a repair's, since a killed export may never come back. If it was
about to publish, the recording is published for it (ADR 36).
"""

from __future__ import annotations

from enum import StrEnum

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import WriteOutcome
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.claim_object import HeldClaim, owner_of, put_claim, read_claim, replace_claim
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.outcome import OutcomeStatus
from connect_audio.recorder.parts import EXECUTION_KEY
from connect_audio.recorder.publication_plan import UnknownPlanError, plan_of, publish_plan
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.streaming_border import BorderState
from connect_audio.values import dataclass


class Claimant(StrEnum):
    """Who claims."""

    EXECUTION = "EXECUTION"
    """The consumer's execution of a call."""
    REPAIR = "REPAIR"
    """A repair of a recording that is there, which it hides from the recorder: it publishes nothing for an export."""
    EXPORT = "EXPORT"
    """A command or a worker that records a call after its end. Its claim gives way."""


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
        repairs: 1 if an interrupted attempt of this execution, or a run of this export, had claimed the key; else 0.
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


def claim_recording(ports: RecorderPorts, claimant: Claimant = Claimant.EXECUTION) -> Claim:
    """Claim the key for this execution, and look at the stream's retention.

    Args:
        ports: the recorder's dependencies.
        claimant: who claims.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    repairs = _claimed(ports, claimant)
    if repairs is None:
        return Refused(reason=Refusal.CLAIMED)
    head = ports.store.head(ports.names.key)
    if head is None:
        return Granted(retention_hours=_retention(ports), from_ms=_from_ms(ports), repairs=repairs)
    if head.metadata.get(EXECUTION_KEY) == ports.execution:
        return AlreadyPublished(repairs=repairs)
    clean_up(ports)
    return Refused(reason=Refusal.ALREADY_RECORDED)


def _claimed(ports: RecorderPorts, claimant: Claimant) -> int | None:
    """Claim the key; 1 if an attempt of this execution had claimed it, 0 if not, None if another one holds it."""
    store, names, is_export = ports.store, ports.names, claimant is Claimant.EXPORT
    published: HeldClaim | None = None
    while True:
        if put_claim(store, names, ports.execution, is_export=is_export) is not WriteOutcome.EXISTS:
            return 0
        claim = read_claim(store, names)
        if claim is None:
            # Deleted between the two calls: its holder has finished or given up.
            continue
        if claim.holder == ports.execution:
            return 1
        is_own = is_export and claim.owner == owner_of(ports.execution)
        if claim.gives_way and (is_own or not is_export):
            if replace_claim(store, names, claim, ports.execution, is_export=is_export):
                ports.logger.info("the claim of an export is taken over")
                return int(is_own)
        elif claimant is Claimant.REPAIR or claim == published or not _published_for(ports, claim):
            return None
        else:
            published = claim


def claim_of_earlier_run(ports: RecorderPorts) -> bool:
    """Take over the claim that an earlier run of this export has left.

    Args:
        ports: the export's.

    Returns:
        True if this run holds the claim.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    claim = read_claim(ports.store, ports.names)
    if claim is None or claim.owner != owner_of(ports.execution):
        return False
    return claim.holder == ports.execution or (
        claim.gives_way and replace_claim(ports.store, ports.names, claim, ports.execution, is_export=True)
    )


def _published_for(ports: RecorderPorts, claim: HeldClaim) -> bool:
    """Publish what an export was about to publish. It has gone, or does the same at this moment."""
    try:
        plan = plan_of(claim)
    except UnknownPlanError:
        ports.logger.warning("the plan of an export is of another version: it has to publish its recording by itself")
        return False
    if plan is None:
        return False
    if publish_plan(ports, claim.holder, plan).status is not OutcomeStatus.KEY_TAKEN:
        ports.logger.info("an export's recording is published for it")
    return True


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
