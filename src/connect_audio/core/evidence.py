"""The evidence on which `complete` stands: what proves the opening, the middle and the end of a call.

`core/status.py` asks for the refutations first. A part that no rule refutes is proven here, or it was never in
question. A capture without an event has no beginning and no end but its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from connect_audio.core.cursor import Cursor
from connect_audio.core.fragment import fragment_counter
from connect_audio.core.recording_facts import EndReason, RecordingFacts
from connect_audio.text import counted
from connect_audio.values import dataclass

OPENING_TOLERANCE_MS: Final = 5000
"""Time after StartTimestamp within which the first audio proves the opening, ms. The value is the project's own, since
no document says how soon audio follows StartTimestamp. Later audio makes the recording partial."""


OTHER_CONTACT_MS: Final = 30_000
"""Media time from a contact's last audio to another contact's audio that proves the call's end in a capture, ms. The
value is the recorder's drain time, so that both judge alike. An error behind it takes nothing from the recording."""


class CallPart(StrEnum):
    """A part of the call that needs evidence of its own."""

    OPENING = "opening"
    MIDDLE = "middle"
    END = "end"


class ProofState(StrEnum):
    """The answer to the question for a part's proof."""

    PROVEN = "proven"
    NOT_PROVEN = "not_proven"
    NOT_ASKED = "not_asked"
    """Nothing says how the call began or ended: the capture's own beginning or end counts."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of one part, or its refutation.

    Args:
        state: the answer.
        code: UPPER_SNAKE, of the proof, or of the reason that refutes it; listed in `docs/manifest.md`.
        detail: a sentence with numbers, no personal data.
    """

    state: ProofState
    code: str
    detail: str


_SILENT: Final = "the stream was read and had nothing more of the contact"
_ENDS: Final[Mapping[EndReason, Proof]] = {
    EndReason.DISCONNECTED: Proof(
        ProofState.PROVEN, "DISCONNECTED", f"Connect says DISCONNECTED, and for the drain time {_SILENT}"
    ),
    EndReason.OTHER_CONTACT: Proof(
        ProofState.PROVEN, "OTHER_CONTACT", f"another contact uses the stream, and for the drain time {_SILENT}"
    ),
    EndReason.OTHER_STREAMING: Proof(
        ProofState.PROVEN, "OTHER_STREAMING", "a later streaming of the contact begins behind the last audio"
    ),
    EndReason.STREAMING_STOPPED: Proof(
        ProofState.PROVEN, "STREAMING_STOPPED", "Connect names the last fragment of the streaming as recorded"
    ),
    EndReason.ARCHIVE_END: Proof(
        ProofState.PROVEN,
        "ARCHIVE_END",
        "the stream was read to the last fragment that its listing names for the call's time",
    ),
    EndReason.IDLE: Proof(
        ProofState.PROVEN,
        "IDLE",
        f"for the idle limit {_SILENT}; Connect did not say whether the contact was connected",
    ),
    EndReason.RECORDING_LIMIT: Proof(
        ProofState.NOT_PROVEN, "RECORDING_LIMIT", "the recording reached its longest, and the call may have gone on"
    ),
    EndReason.SOURCE_FAILED: Proof(
        ProofState.NOT_PROVEN, "SOURCE_FAILED", "the stream could not be read up to the call's end"
    ),
    EndReason.RECORDER_FAILED: Proof(
        ProofState.NOT_PROVEN, "STEP_FAILED", "the recorder could not go on up to the call's end"
    ),
    EndReason.INTERRUPTED: Proof(
        ProofState.NOT_PROVEN, "INTERRUPTED", "the user ended the recording, and the call may have gone on"
    ),
    EndReason.END_OF_INPUT: Proof(
        ProofState.NOT_ASKED, "END_OF_INPUT", "the capture ends here; nothing says how the call ended"
    ),
}
"""The proof that lies in each end reason."""


def opening_proof(cursor: Cursor, facts: RecordingFacts) -> Proof:
    """Return the proof of the opening, or `OPENING_MISSING`."""
    if facts.start_fragment is not None:
        behind = behind_fragment(facts.start_fragment, cursor.neighbours.first_admitted)
        if behind is not None:
            return _opening_by_fragment(behind)
    late_ms = _late_ms(cursor, facts)
    if late_ms is None:
        return Proof(ProofState.NOT_ASKED, "NO_EVENT", "no event names the start; the recording begins with its source")
    if late_ms > OPENING_TOLERANCE_MS:
        detail = f"the first audio begins {late_ms / 1000:.3f} s after the start"
        return Proof(ProofState.NOT_PROVEN, "OPENING_MISSING", detail)
    when = f"{max(0, late_ms) / 1000:.3f} s after" if late_ms > 0 else "at or before"
    if late_ms > 0 and facts.late_s:
        detail = (
            f"the first audio begins {when} StartTimestamp. The stream was first read {facts.late_s} s after it, "
            "and is not known to keep anything for so long"
        )
        return Proof(ProofState.NOT_PROVEN, "OPENING_MISSING", detail)
    return Proof(ProofState.PROVEN, "START_TIMESTAMP", f"the first audio begins {when} StartTimestamp")


def end_proof(cursor: Cursor, facts: RecordingFacts) -> Proof:
    """Return the proof of the end, or the code of the reason that leaves it open."""
    if facts.stop_fragment is not None:
        behind = behind_fragment(cursor.neighbours.last_admitted, facts.stop_fragment)
        if behind is not None and behind <= 0:
            detail = "the fragment that Connect names as the last one is in the recording"
            return Proof(ProofState.PROVEN, "STOP_FRAGMENT", detail)
        if behind is not None:
            detail = f"the recording ends {counted(behind, 'fragment')} before the one that Connect names as the last"
            return Proof(ProofState.NOT_PROVEN, "ENDING_MISSING", detail)
    return _ENDS[facts.end_reason]


def middle_proof(cursor: Cursor) -> Proof:
    """Return the proof of the middle of a recording that no rule refutes."""
    fragments = counted(cursor.fragments.admitted, "fragment")
    if cursor.order.counter is None:
        detail = f"the times of {fragments} show no hole; their numbers cannot be compared"
        return Proof(ProofState.PROVEN, "NO_HOLE_BY_TIME", detail)
    detail = f"neither the numbers nor the times of {fragments} show a hole, and the tracks' sums add up"
    return Proof(ProofState.PROVEN, "NO_HOLE", detail)


def behind_fragment(number: str | None, later: str | None) -> int | None:
    """Return how many fragments `later` is behind `number`.

    Args:
        number: a fragment number.
        later: another one of the same stream.

    Returns:
        The difference of their counters; without counters 1, 0 or -1 by their order. None if they cannot be compared:
        one is no decimal number, or only one has a counter.
    """
    if number is None or later is None or not (_is_decimal(number) and _is_decimal(later)):
        return None
    first, second = fragment_counter(number), fragment_counter(later)
    if (first is None) != (second is None):
        return None
    if first is not None and second is not None and first != second:
        return second - first
    return (int(later) > int(number)) - (int(later) < int(number))


def _is_decimal(number: str) -> bool:
    return number.isascii() and number.isdecimal()


def _opening_by_fragment(behind: int) -> Proof:
    if behind <= 0:
        return Proof(ProofState.PROVEN, "START_FRAGMENT", "the event's StartFragmentNumber is in the recording")
    detail = f"the recording begins {counted(behind, 'fragment')} behind the event's StartFragmentNumber"
    return Proof(ProofState.NOT_PROVEN, "OPENING_MISSING", detail)


def _late_ms(cursor: Cursor, facts: RecordingFacts) -> int | None:
    """Return the time from StartTimestamp to the first audio, ms; None without an event or without audio."""
    timeline, start_ms = cursor.timeline, facts.start_timestamp_ms
    if start_ms is None or timeline is None:
        return None
    return (timeline.origin or 0) * 1000 // timeline.rate - start_ms
