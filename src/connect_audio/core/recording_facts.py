"""The vocabulary of a recording's end: status, end reason, reasons, and the facts that the cursor does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from connect_audio.core.audit import Audit
from connect_audio.core.live_state import LiveState
from connect_audio.core.pcm import Party
from connect_audio.values import dataclass


class Status(StrEnum):
    """The completeness of a recording."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"


class EndReason(StrEnum):
    """Why a recording ended where it did."""

    DISCONNECTED = "DISCONNECTED"
    """Connect says that the contact is disconnected, and nothing of it came for the drain time."""
    OTHER_CONTACT = "OTHER_CONTACT"
    """Another contact uses the stream by now, and the contact's audio stayed away for the drain time."""
    OTHER_STREAMING = "OTHER_STREAMING"
    """A later streaming of the same contact began, which has a recording of its own."""
    STREAMING_STOPPED = "STREAMING_STOPPED"
    """Connect names the last fragment of the streaming, and the recording has it; the contact may go on."""
    ARCHIVE_END = "ARCHIVE_END"
    """The call was over before it was recorded, and the stream's listing names no later fragment of its time."""
    IDLE = "IDLE"
    """The contact's audio stayed away for the idle limit."""
    RECORDING_LIMIT = "RECORDING_LIMIT"
    """The longest recording was reached."""
    SOURCE_FAILED = "SOURCE_FAILED"
    """The stream could not be read any more; the reason beside it says why."""
    RECORDER_FAILED = "RECORDER_FAILED"
    """The recorder could not go on; what had been staged was published."""
    INTERRUPTED = "INTERRUPTED"
    """The user ended the recording before the call was over (`connect-audio record`)."""
    END_OF_INPUT = "END_OF_INPUT"
    """The capture ended (replay)."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a recording is not whole, or one warning.

    Args:
        code: UPPER_SNAKE, a row of `status.RULES` and of `docs/manifest.md`.
        detail: a sentence with numbers, no personal data.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsFacts:
    """The transcript beside a recording.

    Args:
        transcript: S3 URI or file name of the JSON.
        captions: S3 URI or file name of the WebVTT.
        engine: name of the recognizer.
        language: language that was asked for; None if the recognizer finds it.
        turns: number of turns.
        missing_seconds: seconds without words, by party.
    """

    transcript: str
    captions: str
    engine: str
    language: str | None
    turns: int
    missing_seconds: Mapping[Party, float]

    def to_json(self) -> dict[str, Any]:
        """The facts as the manifest has them."""
        return {
            "transcript": self.transcript,
            "captions": self.captions,
            "engine": self.engine,
            "language": self.language,
            "turns": self.turns,
            "missingSeconds": {party.value: seconds for party, seconds in self.missing_seconds.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """The manifest's content besides the cursor.

    Args:
        contact_id: the contact.
        recording: S3 URI or file name of the WAV; None if there is none.
        end_reason: why it ended.
        instance_id: the Connect instance's; None where unknown.
        stream_arn: None for a capture.
        retention_hours: DataRetentionInHours of the stream; None where unknown.
        start_timestamp_ms: StartTimestamp of the event, ms since the epoch; None for a capture.
        start_fragment: StartFragmentNumber of the event; None where the event has none.
        late_s: time from StartTimestamp to the first reading, s, of a stream that may not have kept all since; else 0.
        stop_fragment: FragmentStopNumber of Connect's description of the contact; None where Connect gives none.
        reconnects: how often GetMedia was opened again.
        hand_overs: how often a fresh invocation took over.
        reasons: reasons why it is not whole, besides the cursor's.
        warnings: dangers that did no harm, besides the cursor's.
        live: the sinks of live audio; None where there are none.
        audit: the newest audit; None where there was none.
        words: the transcript beside the recording; None where there is none.
    """

    contact_id: str
    recording: str | None
    end_reason: EndReason
    instance_id: str | None = None
    stream_arn: str | None = None
    retention_hours: int | None = None
    start_timestamp_ms: int | None = None
    start_fragment: str | None = None
    late_s: int = 0
    stop_fragment: str | None = None
    reconnects: int = 0
    hand_overs: int = 0
    reasons: Sequence[Reason] = field(default_factory=tuple)
    warnings: Sequence[Reason] = field(default_factory=tuple)
    live: LiveState | None = None
    audit: Audit | None = None
    words: WordsFacts | None = None
