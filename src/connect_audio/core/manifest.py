"""The manifest beside a WAV: what the recording holds, what it lacks and why (schema: `docs/manifest.md`).

A recording that is not whole says so here. Recorder and replay both build it from the final cursor.

*How it works.* `build_manifest` joins the final cursor, the recorder's facts and the notes. `core/status.py` decides
status, reasons, warnings and evidence. This module gives all of them their places in the JSON document.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from connect_audio.core.accounts import PartyBytes, Silence, TrackCounts
from connect_audio.core.cursor import Cursor, FragmentMark, StreamCounts
from connect_audio.core.evidence import Proof
from connect_audio.core.levels import levels_json
from connect_audio.core.live_state import SinkState
from connect_audio.core.note_log import MAX_ERRORS, MAX_GAPS, NoteLog
from connect_audio.core.other_tracks import OtherTracks
from connect_audio.core.pcm import FRAME_BYTES, PARTIES
from connect_audio.core.recording_facts import EndReason, Reason, RecordingFacts, Status
from connect_audio.core.status import judge
from connect_audio.core.wav import HEADER_BYTES

__all__ = [
    "MAX_ERRORS",
    "MAX_GAPS",
    "SCHEMA_VERSION",
    "EndReason",
    "NoteLog",
    "Reason",
    "RecordingFacts",
    "Status",
    "build_manifest",
    "rfc3339",
]

SCHEMA_VERSION: Final = "2.4"


def build_manifest(cursor: Cursor, facts: RecordingFacts, notes: NoteLog) -> dict[str, Any]:
    """Make the manifest.

    Args:
        cursor: the final one, with every frame taken.
        facts: the facts besides.
        notes: gaps and in-band errors in timeline order.

    Returns:
        The JSON document of `docs/manifest.md`.
    """
    judgement = judge(cursor, facts)
    fragments, stream, timeline = cursor.fragments, cursor.stream, cursor.timeline
    rate = None if timeline is None else timeline.rate
    # Silence of both tracks is in the account of either.
    silence = Silence() if timeline is None else timeline.customer.silence
    return {
        "schemaVersion": SCHEMA_VERSION,
        "status": judgement.status.value,
        "reasons": _coded(judgement.reasons),
        "warnings": _coded(judgement.warnings),
        "evidence": {part.value: _proof(proof) for part, proof in judgement.evidence.items()},
        "endReason": facts.end_reason.value,
        "contactId": facts.contact_id,
        "instanceId": facts.instance_id,
        "startTimestamp": rfc3339(facts.start_timestamp_ms),
        "startFragmentNumber": facts.start_fragment,
        "stream": {"arn": facts.stream_arn, "dataRetentionInHours": facts.retention_hours},
        "recording": None
        if timeline is None or rate is None or not cursor.frames
        else {
            "location": facts.recording,
            "startTime": rfc3339(round((timeline.origin or 0) * 1000 / rate)),
            "durationSeconds": cursor.frames / rate,
            "frames": cursor.frames,
            "sampleRate": rate,
            "channels": 2,
            "bitsPerSample": 16,
            "sizeBytes": HEADER_BYTES + cursor.frames * FRAME_BYTES,
            "dataCrc32": f"{cursor.crc32:08x}",
        },
        "tracks": {
            party.value: _track(
                channel,
                (timeline and getattr(timeline, party)) or TrackCounts(),
                PartyBytes(getattr(cursor.receipts, party), cursor.other_tracks.unsupported_bytes(party)),
                cursor.frames,
            )
            | levels_json(cursor.levels.of(party), rate or 1)
            for party, channel in zip(PARTIES, ("left", "right"), strict=True)
        },
        "unknownTracks": _unknown_tracks(cursor.other_tracks),
        "fragments": {
            "first": _fragment(cursor.neighbours.first),
            "last": _fragment(cursor.neighbours.last),
            "admitted": fragments.admitted,
            "admittedUnlabelled": fragments.admitted_unlabelled,
            "truncated": fragments.truncated,
            "withoutAudio": fragments.without_audio,
            "unsupportedAudio": fragments.unsupported_audio,
            "otherContact": fragments.other_contact,
            "contradictory": fragments.contradictory,
            "undecidable": fragments.undecidable,
            "unlabelledElsewhere": fragments.unlabelled_elsewhere,
            "otherStreaming": fragments.other_streaming,
            "ignoredBlocks": fragments.ignored_blocks,
        },
        "gaps": _gaps(stream, silence, notes, rate),
        "blockHoles": {"count": stream.holes.block_holes, "seconds": silence.block_hole / rate if rate else 0.0},
        "timesDisagree": {"count": cursor.times.count, "kinds": cursor.times.kinds()},
        "inBandErrors": {"count": max(stream.in_band_errors, notes.error_count), "listed": list(notes.errors)},
        "lostBytes": stream.lost_bytes,
        "lostByteRuns": stream.lost_byte_runs,
        "reconnects": facts.reconnects,
        "handOvers": facts.hand_overs,
        "maxMillisBehindNow": stream.max_millis_behind_now,
        "live": facts.live and {"sinks": [_live_sink(name, sink, rate) for name, sink in facts.live.sinks.items()]},
        "words": facts.words and facts.words.to_json(),
        "audit": facts.audit and facts.audit.to_json(),
    }


def _coded(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "detail": reason.detail} for reason in reasons]


def _proof(proof: Proof) -> dict[str, str]:
    return {"state": proof.state.value, "code": proof.code, "detail": proof.detail}


def _gaps(stream: StreamCounts, silence: Silence, notes: NoteLog, rate: int | None) -> dict[str, Any]:
    return {
        "count": notes.gap_count,
        "streamHoles": stream.holes.stream_holes,
        "streamHoleSeconds": silence.stream_hole / rate if rate else 0.0,
        "missingFragments": stream.missing_fragments,
        "producerPauses": stream.holes.producer_pauses,
        "listed": list(notes.gaps),
    }


def _live_sink(name: str, sink: SinkState, rate: int | None) -> dict[str, Any]:
    counts = sink.counts
    return {
        "name": name,
        "deliveries": counts.delivered,
        "deliveredSeconds": counts.delivered_frames / (rate or 1),
        "droppedSeconds": counts.dropped_frames / (rate or 1),
        "failedAttempts": counts.failures,
        "circuitOpenings": counts.circuit_opened,
        "droppedMessages": counts.dropped_messages,
        "failure": sink.failure,
    }


def rfc3339(ms: int | None) -> str | None:
    """A time as documents for others have it: RFC 3339 in UTC with milliseconds.

    Args:
        ms: milliseconds since the epoch.

    Returns:
        None where there is none, or where it is beyond the calendar.
    """
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def _fragment(mark: FragmentMark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {
        "number": mark.number,
        "producerTimestamp": rfc3339(mark.producer_ms),
        "serverTimestamp": rfc3339(mark.server_ms),
    }


def _unknown_tracks(tracks: OtherTracks) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = [
        {"name": track.name, "number": track.number, "blocks": track.blocks, "bytes": track.size}
        for track in tracks.unknown
    ]
    if tracks.further_blocks:
        listed.append({"name": None, "number": None, "blocks": tracks.further_blocks, "bytes": tracks.further_size})
    return listed


def _track(channel: str, track: TrackCounts, payload: PartyBytes, frames: int) -> dict[str, Any]:
    dropped, silence = track.dropped, track.silence
    return {
        "channel": channel,
        "audioSamples": track.audio,
        "silenceSamples": frames - track.audio,
        "silence": {
            "streamHoleSamples": silence.stream_hole,
            "producerPauseSamples": silence.producer_pause,
            "blockHoleSamples": silence.block_hole,
            "oneSidedSamples": silence.one_sided,
        },
        "repeatedSamples": dropped.repeated.samples,
        "lateSamples": dropped.late.samples,
        "outOfRangeSamples": dropped.out_of_range.samples,
        "conflictingSamples": dropped.conflicting.samples,
        "beyondLimitSamples": dropped.beyond_limit.samples,
        "receivedBytes": payload.received,
        "carriedBytes": track.carried.bytes,
        "writtenBytes": track.written_bytes,
        "repeatedBytes": dropped.repeated.bytes,
        "lateBytes": dropped.late.bytes,
        "outOfRangeBytes": dropped.out_of_range.bytes,
        "conflictingBytes": dropped.conflicting.bytes,
        "beyondLimitBytes": dropped.beyond_limit.bytes,
        "unsupportedBytes": payload.unsupported,
        "danglingBytes": dropped.dangling_bytes,
        "gapCount": track.gaps,
        "maxJitterSamples": track.max_jitter,
    }
