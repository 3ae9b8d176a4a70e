"""The position of a recording as plain values: a checkpoint's cursor with its counts, and notes for the manifest.

KVS is the log and the cursor a position in it. A recording made from a cursor and the fragments after it gives the same
frames as the recording that wrote the cursor (ADR 3).
"""

from __future__ import annotations

from dataclasses import field

from connect_audio.core.admission import AdmissionState
from connect_audio.core.carried import NOTHING_CARRIED, CarriedAudio
from connect_audio.core.claims import TimesDisagree
from connect_audio.core.in_band import InBandError
from connect_audio.core.levels import SILENT, Levels
from connect_audio.core.order import OrderState
from connect_audio.core.other_tracks import OtherTracks
from connect_audio.core.receipts import ReceiptsState
from connect_audio.core.silence import Gap, HoleCounts
from connect_audio.core.timeline import TimelineState
from connect_audio.values import dataclass


@dataclass(slots=True)
class FragmentMark:
    """Which fragment, and when it was. Times in ms since the epoch, None where the fragment says nothing.

    A new value replaces the one before.
    """

    number: str | None
    producer_ms: int | None
    server_ms: int | None


@dataclass(slots=True)
class FragmentCounts:
    """The decisions about fragments; changes in place. Counts of fragments unless said otherwise.

    Args:
        admitted: our contact's, by name or by neighbours.
        admitted_unlabelled: our contact's by neighbours alone.
        other_contact: another contact's.
        contradictory: naming more than one contact.
        undecidable: unlabelled beside our contact's, dropped.
        unlabelled_elsewhere: unlabelled and beside none of our contact's, dropped.
        other_streaming: in another streaming of the same contact.
        truncated: admitted, with only the whole blocks there.
        without_audio: admitted, with blocks but no track that is PCM audio.
        unsupported_audio: admitted, with a party's audio that cannot be decoded or has another rate than the
            recording's.
        ignored_blocks: blocks of admitted fragments on tracks that are no party's.
    """

    admitted: int = 0
    admitted_unlabelled: int = 0
    other_contact: int = 0
    contradictory: int = 0
    undecidable: int = 0
    unlabelled_elsewhere: int = 0
    other_streaming: int = 0
    truncated: int = 0
    without_audio: int = 0
    unsupported_audio: int = 0
    ignored_blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCounts:
    """Counts of the stream's losses and reports.

    Args:
        lost_bytes: bytes of the stream that belong to no fragment.
        lost_byte_runs: runs of such bytes.
        in_band_errors: errors that KVS reported inside the stream.
        holes: times when neither track has audio, by cause.
        missing_fragments: fragments that the numbers show to be missing where the times do not run on.
        max_millis_behind_now: the most that the reader was behind the stream's head, ms; None before the first.
    """

    lost_bytes: int = 0
    lost_byte_runs: int = 0
    in_band_errors: int = 0
    holes: HoleCounts = field(default_factory=HoleCounts)
    missing_fragments: int = 0
    max_millis_behind_now: int | None = None


@dataclass(slots=True)
class NeighbourState:
    """The state that an admitted fragment is compared with; changes in place.

    Args:
        first: the first admitted fragment with audio; None before it.
        last: the last admitted fragment with audio; None before the first.
        first_admitted: number of the first admitted fragment that has one, with or without audio; None before it.
        last_admitted: number of the last one, or of a fragment without audio that continues it; None before the first.
        unlabelled: how many unlabelled fragments that were dropped stand directly before the next one.
        unlabelled_end_ms: when the last of them ended, ms since the epoch; None for none, or where it has no blocks.
        has_tokens: True once an admitted fragment ended with its continuation token.
    """

    first: FragmentMark | None = None
    last: FragmentMark | None = None
    first_admitted: str | None = None
    last_admitted: str | None = None
    unlabelled: int = 0
    unlabelled_end_ms: int | None = None
    has_tokens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The position of a recording: bounded, plain, and enough to continue with the fragments after it.

    Args:
        fragment: the newest fragment whose audio is wholly in the frames taken; None before the first.
        admission: state of admission after it.
        timeline: state of the timeline after it; None before the first audio.
        frames: stereo frames taken; may lie beyond that fragment's end.
        crc32: CRC-32 of the taken frames' bytes, in order.
        levels: levels of the frames taken.
        carried: audio among the frames taken that lies beyond that fragment.
        fragments: counts up to that fragment.
        stream: counts up to that fragment.
        neighbours: state that the next fragment is compared with.
        order: state that the next fragment's time and counter are compared with.
        times: contradictions between numbers of the stream up to that fragment.
        other_tracks: audio on tracks that are not recorded, up to that fragment.
        receipts: received fragment numbers and bytes of the contact.
    """

    fragment: str | None = None
    admission: AdmissionState = field(default_factory=AdmissionState)
    timeline: TimelineState | None = None
    frames: int = 0
    crc32: int = 0
    levels: Levels = field(default=SILENT)
    carried: CarriedAudio = field(default=NOTHING_CARRIED)
    fragments: FragmentCounts = field(default_factory=FragmentCounts)
    stream: StreamCounts = field(default_factory=StreamCounts)
    neighbours: NeighbourState = field(default_factory=NeighbourState)
    order: OrderState = field(default_factory=OrderState)
    times: TimesDisagree = field(default_factory=TimesDisagree)
    other_tracks: OtherTracks = field(default_factory=OtherTracks)
    receipts: ReceiptsState = field(default_factory=ReceiptsState)


@dataclass(frozen=True, slots=True, kw_only=True)
class GapNote:
    """A hole in one track, with the fragments on either side of it.

    Args:
        gap: the hole.
        after: number of the last admitted fragment before it.
        before: number of the fragment whose audio follows it; None at the end of the call.
        missing_fragments: missing fragments by the numbers; None if the numbers do not show it.
    """

    gap: Gap
    after: str | None
    before: str | None
    missing_fragments: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNote:
    """An error that KVS reported inside the stream.

    Args:
        error: the error.
        fragment: number of the fragment it came with.
    """

    error: InBandError
    fragment: str | None


type Note = GapNote | ErrorNote
