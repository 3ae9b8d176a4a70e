"""Fragment values for tests of what comes after parsing: admission, recording, manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connect_audio.core.fragments import Block, Completion, Fragment
from connect_audio.core.in_band import InBandError
from connect_audio.core.matroska import TrackEntry
from connect_audio_local.synthesis.calls import fragment_number
from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, TO_CUSTOMER

START_MS: Final = 1_782_912_654_536
CUSTOMER_TRACK: Final = TrackEntry(number=1, track_type=2, name=FROM_CUSTOMER, codec_id="A_AAC")
AGENT_TRACK: Final = TrackEntry(number=2, track_type=2, name=TO_CUSTOMER, codec_id="A_AAC")
MIME_TYPE: Final = "audio/L16;rate=8000;channels=1;"


def block(track_number: int, at_ms: float, pcm: bytes) -> Block:
    """A block of one frame.

    Args:
        track_number: its track.
        at_ms: ms since `START_MS`.
        pcm: payload.
    """
    return Block(track_number, START_MS * 1_000_000 + round(at_ms * 1_000_000), pcm, 1, len(pcm))


def both_tracks(at_ms: float, *, blocks: int = 16, sample: bytes = b"\1\2") -> tuple[Block, ...]:
    """64 ms blocks of both parties, alternating; at 8 kHz."""
    return tuple(block(track, at_ms + 64 * index, sample * 512) for index in range(blocks) for track in (1, 2))


def fragment(
    counter: int,
    *contact_ids: str,
    at_ms: float | None = None,
    blocks: Sequence[Block] | None = None,
    tracks: Sequence[TrackEntry] = (CUSTOMER_TRACK, AGENT_TRACK),
    mime_type: str | None = MIME_TYPE,
    completion: Completion = Completion.TOKEN,
    errors: Sequence[InBandError] = (),
    millis_behind_now: int | None = None,
    held_bytes: int = 0,
) -> Fragment:
    """A fragment; by default 1.024 s of both parties, directly behind the one with the count before.

    Args:
        counter: the producer's count in its number.
        contact_ids: whom it names.
        at_ms: its start, ms since `START_MS`.
        blocks: its blocks.
        tracks: its TrackEntries.
        mime_type: the MimeType tag, None for none.
        completion: how it ended.
        errors: in-band errors.
        millis_behind_now: the tag's value.
        held_bytes: what it takes in memory, for the bounds.
    """
    start = 1024 * counter if at_ms is None else at_ms
    start_ms = START_MS + round(start)
    return Fragment(
        number=fragment_number(counter, start_ms),
        server_timestamp_ms=start_ms + 170,
        producer_timestamp_ms=start_ms,
        millis_behind_now=millis_behind_now,
        contact_ids=contact_ids,
        tags=() if mime_type is None else (("MimeType", mime_type),),
        timecode_scale_ns=1_000_000,
        tracks=tuple(tracks),
        blocks=both_tracks(start) if blocks is None else tuple(blocks),
        errors=tuple(errors),
        completion=completion,
        truncation="cut" if completion is Completion.TRUNCATED else None,
        offset=0,
        size=0,
        held_bytes=held_bytes,
    )
