"""The content of a capture, by fragment and in sum: contacts, tracks, gaps, in-band errors, lost bytes.

`connect-audio inspect` shows it. Nothing here admits or decodes audio. Memory does not grow with the capture; of
contacts and tracks the first 1000 are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connect_audio.core.admission import end_ms, start_ms
from connect_audio.core.fragment import missing_between
from connect_audio.core.fragments import BytesLost, Completion, Fragment
from connect_audio.core.in_band import InBandError
from connect_audio.core.levels import ChannelLevels, ChannelMeter, levels_json
from connect_audio.core.pcm import Encoding, PcmFormat, to_mono
from connect_audio.core.tracks import TrackChoice, choose_tracks
from connect_audio_cli.captures import read_events

_MAX_LISTED: Final = 1000
_NS: Final = 1_000_000_000
_ENCODINGS: Final = {
    Encoding.S16LE: "16-bit little-endian PCM",
    Encoding.S16BE: "16-bit big-endian PCM",
    Encoding.MULAW: "G.711 mu-law",
    Encoding.ALAW: "G.711 A-law",
}
_TRACK_TYPES: Final = {1: "video", 2: "audio", 17: "subtitle"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentRow:
    """One fragment.

    Args:
        index: counts from 1.
        fragment: as it was read, without its blocks' payloads in mind.
        blocks: blocks per track number.
        start_ms: when its first block begins, ms since the epoch; None if unknown.
        end_ms: when its last block ends, ms since the epoch; None without blocks.
        gap_ms: from the previous fragment's end to its start, ms; negative where they overlap; None where unknown.
        missing_fragments: missing fragments before it by its number; None if the numbers do not show it.
    """

    index: int
    fragment: Fragment
    blocks: Mapping[int, int]
    start_ms: float | None
    end_ms: float | None
    gap_ms: float | None
    missing_fragments: int | None


@dataclass(slots=True)
class ContactSummary:
    """One ContactId, or the absence of one. Times in ms since the epoch."""

    fragments: int = 0
    start_ms: float | None = None
    end_ms: float | None = None
    instance_id: str | None = None


@dataclass(slots=True)
class TrackSummary:
    """One TrackEntry as the fragments declare it, and what came on it.

    Args:
        kind: `video`, `audio` or what its type number says.
        codec_id: as declared.
        audio: its real format, or why it is not recorded; None for other kinds.
        meter: measures its decoded samples, in stream order; None for a track that is not recorded.
    """

    number: int
    name: str
    kind: str
    codec_id: str
    audio: str | None = None
    fragments: int = 0
    blocks: int = 0
    size: int = 0
    meter: ChannelMeter | None = None

    def levels(self) -> dict[str, float | int | None] | None:
        """Levels of the received samples in the manifest's words; None for a track that is not recorded."""
        if self.meter is None:
            return None
        return levels_json(self.meter.levels(), self.meter.rate)


@dataclass(slots=True)
class Summary:
    """A capture in sum."""

    fragments: int = 0
    size: int = 0
    completions: Counter[Completion] = field(default_factory=Counter)
    contacts: dict[str | None, ContactSummary] = field(default_factory=dict)
    tracks: dict[tuple[int, str, str], TrackSummary] = field(default_factory=dict)
    gaps: int = 0
    gap_ms: float = 0.0
    overlaps: int = 0
    missing_fragments: int = 0
    errors: Counter[InBandError] = field(default_factory=Counter)
    without_blocks: int = 0
    lost: list[BytesLost] = field(default_factory=list)
    lost_runs: int = 0
    lost_bytes: int = 0
    truncations: list[tuple[int, str]] = field(default_factory=list)
    max_millis_behind_now: int | None = None

    @property
    def whole(self) -> bool:
        """True if every byte is in a fragment and every fragment has its end."""
        return not self.lost_runs and not self.completions[Completion.TRUNCATED]


class Inspection:
    """Look at a capture once, from its first byte to its last.

    Args:
        chunks: its bytes.
        name: its name in messages.
    """

    def __init__(self, chunks: Iterable[bytes], name: str) -> None:
        self.summary = Summary()
        self._chunks = chunks
        self._name = name
        self._previous: FragmentRow | None = None

    def rows(self) -> Iterator[FragmentRow | BytesLost]:
        """Yield the fragments and what was lost between them; the summary is complete at the end.

        Raises:
            CommandError: there is no fragment in it.
        """
        for event in read_events(self._chunks, self._name):
            if isinstance(event, BytesLost):
                self._lose(event)
                yield event
            else:
                row = self._row(event)
                self._add(row)
                self._previous = row
                yield row

    def _row(self, fragment: Fragment) -> FragmentRow:
        previous = self._previous
        start, end = start_ms(fragment), audio_end_ms(fragment)
        gap = None
        if start is not None and previous is not None and previous.end_ms is not None:
            gap = start - previous.end_ms
        return FragmentRow(
            index=self.summary.fragments + 1,
            fragment=fragment,
            blocks=Counter(block.track_number for block in fragment.blocks),
            start_ms=start,
            end_ms=end,
            gap_ms=gap,
            missing_fragments=missing_between(previous.fragment.number, fragment.number) if previous else None,
        )

    def _lose(self, lost: BytesLost) -> None:
        summary = self.summary
        summary.lost_runs += 1
        summary.lost_bytes += lost.count
        summary.size = lost.offset + lost.count
        if len(summary.lost) < _MAX_LISTED:
            summary.lost.append(lost)

    def _add(self, row: FragmentRow) -> None:
        summary, fragment = self.summary, row.fragment
        summary.fragments += 1
        summary.size = fragment.offset + fragment.size
        summary.completions[fragment.completion] += 1
        summary.without_blocks += not fragment.blocks
        if fragment.truncation is not None and len(summary.truncations) < _MAX_LISTED:
            summary.truncations.append((row.index, fragment.truncation))
        if is_gap(row):
            summary.gaps += 1
            summary.gap_ms += row.gap_ms or 0
        elif row.gap_ms is not None and row.gap_ms < -1:
            summary.overlaps += 1
        summary.missing_fragments += row.missing_fragments or 0
        for error in fragment.errors:
            if error in summary.errors or len(summary.errors) < _MAX_LISTED:
                summary.errors[error] += 1
        behind = fragment.millis_behind_now
        if behind is not None:
            summary.max_millis_behind_now = max(behind, summary.max_millis_behind_now or 0)
        self._add_contacts(row)
        self._add_tracks(row)

    def _add_contacts(self, row: FragmentRow) -> None:
        for contact_id in row.fragment.contact_ids or (None,):
            if contact_id not in self.summary.contacts and len(self.summary.contacts) >= _MAX_LISTED:
                continue
            contact = self.summary.contacts.setdefault(contact_id, ContactSummary())
            contact.fragments += 1
            contact.instance_id = contact.instance_id or row.fragment.tag("InstanceId")
            if contact.start_ms is None:
                contact.start_ms = row.start_ms
            contact.end_ms = row.end_ms if row.end_ms is not None else contact.end_ms

    def _add_tracks(self, row: FragmentRow) -> None:
        fragment = row.fragment
        sizes: Counter[int] = Counter()
        payloads: dict[int, list[bytes]] = {}
        for block in fragment.blocks:
            sizes[block.track_number] += block.size
            payloads.setdefault(block.track_number, []).append(block.data)
        formats = {track.number: track.pcm for track in _choice(fragment).audio}
        for entry in fragment.tracks:
            key = (entry.number, entry.name, entry.codec_id)
            if key not in self.summary.tracks:
                if len(self.summary.tracks) >= _MAX_LISTED:
                    continue
                self.summary.tracks[key] = TrackSummary(
                    number=entry.number,
                    name=entry.name,
                    kind=_TRACK_TYPES.get(entry.track_type, f"type {entry.track_type}"),
                    codec_id=entry.codec_id,
                )
            track = self.summary.tracks[key]
            track.audio = track.audio or _audio(fragment, entry.number)
            track.fragments += 1
            track.blocks += row.blocks.get(entry.number, 0)
            track.size += sizes[entry.number]
            if entry.number in formats:
                _measure(track, b"".join(payloads.get(entry.number, ())), formats[entry.number])


def is_gap(row: FragmentRow) -> bool:
    """Return True if more time passes before a fragment than the rounding of its clock."""
    return row.gap_ms is not None and row.gap_ms > 1


def _choice(fragment: Fragment) -> TrackChoice:
    return choose_tracks(fragment.tracks, fragment.tag("MimeType"))


def _measure(track: TrackSummary, payload: bytes, pcm: PcmFormat) -> None:
    """Measure a fragment's samples of a track, unless their rate has changed: windows are of one rate."""
    track.meter = track.meter or ChannelMeter(ChannelLevels(), pcm.rate)
    if track.meter.rate == pcm.rate:
        samples, _ = to_mono(payload, pcm)
        track.meter.measure(samples)


def audio_end_ms(fragment: Fragment) -> float | None:
    """Return when the last block of a fragment ends, ms: to the sample for PCM, else by the rhythm of the blocks."""
    choice = _choice(fragment)
    formats = {track.number: track.pcm for track in choice.audio}
    ends = []
    for block in fragment.blocks:
        pcm = formats.get(block.track_number)
        if pcm is not None:
            samples = len(block.data) // pcm.frame_bytes
            ends.append((block.time_ns + samples * _NS // pcm.rate) / 1_000_000)
    return max(ends) if ends else end_ms(fragment)


def _audio(fragment: Fragment, number: int) -> str | None:
    """The real format of a track, in words."""
    choice = _choice(fragment)
    for track in choice.audio:
        if track.number == number:
            channels = "mono" if track.pcm.channels == 1 else f"{track.pcm.channels} channels"
            return f"{_ENCODINGS[track.pcm.encoding]}, {track.pcm.rate} Hz, {channels}: the {track.party}"
    for refused in choice.unsupported:
        if refused.number == number:
            return f"unsupported: {refused.refusal}: the {refused.party}"
    return "unknown: no party has this name" if number in dict(choice.unknown) else None


def number_of(fragment: Fragment) -> str | None:
    """The fragment number as the document says it, decimal or not; None for none."""
    return fragment.number or fragment.tag("AWS_KINESISVIDEO_FRAGMENT_NUMBER") or None


def fragment_json(row: FragmentRow) -> dict[str, Any]:
    """A row for machines. Times in ms since the epoch."""
    fragment = row.fragment
    return {
        "index": row.index,
        "number": number_of(fragment),
        "offset": fragment.offset,
        "size": fragment.size,
        "producerTimestampMs": fragment.producer_timestamp_ms,
        "serverTimestampMs": fragment.server_timestamp_ms,
        "contactIds": list(fragment.contact_ids),
        "tracks": [
            {
                "number": entry.number,
                "type": entry.track_type,
                "name": entry.name,
                "codecId": entry.codec_id,
                "blocks": row.blocks.get(entry.number, 0),
            }
            for entry in fragment.tracks
        ],
        "blocks": len(fragment.blocks),
        "frames": sum(block.frame_count for block in fragment.blocks),
        "mediaBytes": sum(block.size for block in fragment.blocks),
        "tags": [list(tag) for tag in fragment.tags],
        "startMs": row.start_ms,
        "endMs": row.end_ms,
        "gapMs": row.gap_ms,
        "missingFragmentsBefore": row.missing_fragments,
        "millisBehindNow": fragment.millis_behind_now,
        "errors": [_error_json(error) for error in fragment.errors],
        "completion": fragment.completion.value,
        "truncation": fragment.truncation,
    }


def lost_json(lost: BytesLost) -> dict[str, Any]:
    """A run of lost bytes for machines."""
    return {"offset": lost.offset, "bytes": lost.count, "cause": lost.cause}


def summary_json(summary: Summary) -> dict[str, Any]:
    """The sum for machines."""
    return {
        "whole": summary.whole,
        "fragments": summary.fragments,
        "size": summary.size,
        "completions": {completion.value: count for completion, count in summary.completions.items()},
        "withoutBlocks": summary.without_blocks,
        "contacts": [
            {
                "contactId": contact_id,
                "instanceId": contact.instance_id,
                "fragments": contact.fragments,
                "startMs": contact.start_ms,
                "endMs": contact.end_ms,
            }
            for contact_id, contact in summary.contacts.items()
        ],
        "tracks": [
            {
                "number": track.number,
                "name": track.name,
                "kind": track.kind,
                "codecId": track.codec_id,
                "audio": track.audio,
                "fragments": track.fragments,
                "blocks": track.blocks,
                "mediaBytes": track.size,
                "levels": track.levels(),
            }
            for track in summary.tracks.values()
        ],
        "gaps": {"count": summary.gaps, "ms": summary.gap_ms, "overlaps": summary.overlaps},
        "missingFragments": summary.missing_fragments,
        "errors": [{**_error_json(error), "count": count} for error, count in summary.errors.items()],
        "lost": {
            "bytes": summary.lost_bytes,
            "runs": summary.lost_runs,
            "listed": [lost_json(lost) for lost in summary.lost],
        },
        "truncated": [{"fragment": index, "cause": cause} for index, cause in summary.truncations],
        "maxMillisBehindNow": summary.max_millis_behind_now,
    }


def _error_json(error: InBandError) -> dict[str, Any]:
    return {"code": error.code, "meaning": error.meaning, "text": error.text[:128]}
