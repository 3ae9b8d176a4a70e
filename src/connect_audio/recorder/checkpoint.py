"""What passes from step to step: plain JSON, bounded however long the call.

Field names are those of executions in flight: a renamed one would strand them. Lists that grow with the call (parts,
notes) are not in here; each step's result carries its own entry and the handler rebuilds the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.recording import Cursor
from connect_audio.live import LiveState
from connect_audio.ports import UploadedPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Settled PCM of the part in the making, durable under a name of its own.

    Args:
        key: S3 key.
        size: bytes.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a recording stands between two steps.

    Args:
        cursor: the core's.
        part: number of the part in the making, from 1.
        staged: its PCM so far; None where it is empty.
        first: the whole PCM of part 1, which waits for its header; None while part 1 is in the making.
        upload_id: of the multipart upload; None before the first whole part after part 1.
        steps: record steps done.
        resumes: how often GetMedia was opened again.
        hand_overs: how often a fresh invocation took over.
        stalls: hand-overs in a row that read nothing new, though there was more to read.
        waits: waits in a row without anything of ours; the next is twice as long.
        newest: number of the newest fragment completed so far, decided or not: what is read up to it is read again.
        heard_ms: when something new of ours last came, or the recording began; wall clock, ms since the epoch.
        asked_ms: when Connect was last asked about the contact; None before the first time.
        refused_ms: since when the stream refuses to be read; None while it does not.
        denied_ms: since when it does so as only a human could mend; None while it does not.
        refused_code: AWS's code of the newest refusal.
        drain_reason: why the call seems over; None while it does not.
        drain_ms: since when it does; None while it does not.
        retention_hours: DataRetentionInHours of the stream; None where unknown.
        read_to_ms: all that the stream had at this time is read; wall clock, ms since the epoch; None at first.
        unread_s: for how long a stream that keeps nothing was not read, seconds, while nothing of ours has come since.
        passed_over: how often reading went on behind a fragment that KVS did not find.
        from_ms: admit nothing that ends at or before it: the same contact's streaming before; ms since the epoch.
        until_ms: admit nothing that begins at or after it: the same contact's next streaming; ms since the epoch.
        ours_until_ms: where audio behind a pause was last found to be ours; ms since the epoch.
        live: where the sinks of live audio stand; None where there are none.
    """

    cursor: Cursor = field(default_factory=Cursor)
    part: int = 1
    staged: Staged | None = None
    first: Staged | None = None
    upload_id: str | None = None
    steps: int = 0
    resumes: int = 0
    hand_overs: int = 0
    stalls: int = 0
    waits: int = 0
    newest: str | None = None
    heard_ms: int = 0
    asked_ms: int | None = None
    refused_ms: int | None = None
    denied_ms: int | None = None
    refused_code: str | None = None
    drain_reason: EndReason | None = None
    drain_ms: int | None = None
    retention_hours: int | None = None
    read_to_ms: int | None = None
    unread_s: int = 0
    passed_over: int = 0
    from_ms: int | None = None
    until_ms: int | None = None
    ours_until_ms: int | None = None
    live: LiveState | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "cursor": self.cursor.to_json(), "live": self.live and self.live.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            **{
                **data,
                "cursor": Cursor.from_json(data["cursor"]),
                "staged": data["staged"] and Staged(**data["staged"]),
                "first": data["first"] and Staged(**data["first"]),
                "drain_reason": data["drain_reason"] and EndReason(data["drain_reason"]),
                # Executions that began before there was live audio know nothing of it.
                "live": data.get("live") and LiveState.from_json(data["live"]),
            }
        )


class StepVerdict(StrEnum):
    """What the handler does after a record step."""

    CONTINUE = "CONTINUE"
    """Record the next part at once."""
    HAND_OVER = "HAND_OVER"
    """This invocation's time is up: suspend for a moment, go on in a fresh one."""
    WAIT = "WAIT"
    """Nothing comes: suspend for `wait_seconds`, then look again."""
    OVER = "OVER"
    """The call is over: finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a record step did.

    Args:
        verdict: what to do next.
        checkpoint: where the recording stands.
        part: the part that this step uploaded; None where it uploaded none.
        notes_key: S3 key of the gaps and errors that this step found; None where there were none.
        wait_seconds: with WAIT, how long.
        end_reason: with OVER, why.
        reasons: with OVER, why the recording is not whole, beyond what the cursor tells.
        behind_ms: how far the newest fragment that this step read was behind the stream's head, ms; None where it
            read none, or KVS did not tell.
        repairs: runs of damaged bytes that this step passed over.
        live_lag_s: longest time from the arrival of a piece's last sample to a sink's taking it, seconds.
    """

    verdict: StepVerdict
    checkpoint: Checkpoint
    part: UploadedPart | None = None
    notes_key: str | None = None
    wait_seconds: int = 0
    end_reason: EndReason | None = None
    reasons: tuple[Reason, ...] = ()
    behind_ms: int | None = None
    repairs: int = 0
    live_lag_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the step's result in the execution's history."""
        return {**asdict(self), "checkpoint": self.checkpoint.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            **{
                **data,
                "verdict": StepVerdict(data["verdict"]),
                "checkpoint": Checkpoint.from_json(data["checkpoint"]),
                "part": data["part"] and UploadedPart(**data["part"]),
                "end_reason": data["end_reason"] and EndReason(data["end_reason"]),
                "reasons": tuple(Reason(**reason) for reason in data["reasons"]),
            }
        )
