"""One contact's recording: fragments in, settled stereo frames and a cursor out. Live recorder and replay both use it.

    recording.add(fragment)         admission and timeline, in stream order
    for frames in recording.take()  what no later fragment can change
    recording.cursor()              where to go on: all before it is in the frames taken, nothing after it is needed
    recording.end()                 the call is over

KVS is the log and the cursor a position in it: a recording made from a cursor and the fragments after it gives the same
frames as the one that wrote the cursor would have (ADR 3).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from connect_audio.core.admission import (
    RUN_ON_MS,
    Admission,
    AdmissionState,
    Decision,
    Label,
    Verdict,
    end_ms,
    start_ms,
)
from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.fragments import BytesLost, Completion, Fragment, fragment_counter
from connect_audio.core.in_band import InBandError
from connect_audio.core.pcm import audio_tracks, to_mono
from connect_audio.core.runs import Run, runs_of
from connect_audio.core.timeline import MAX_FRAMES, Gap, Snapshot, Timeline, TimelineState, TrackState

MAX_ERROR_NOTES: Final = 1000
"""In-band errors that are noted one by one; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentMark:
    """Which fragment, and when it was. Times in ms since the epoch, None where the fragment says nothing."""

    number: str | None
    producer_ms: int | None
    server_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of the fragments, up to a cursor. Counts of fragments unless said otherwise.

    Args:
        admitted: ours, by name or by neighbours.
        admitted_unlabelled: ours by neighbours alone.
        other: another contact's.
        contradictory: naming more than one contact.
        undecidable: unlabelled next to ours, dropped.
        strangers: unlabelled and nowhere near ours, dropped.
        strangers_near: of those, the run that the next fragment may show to have been next to ours.
        strangers_end_ms: when that run ended, ms since the epoch.
        other_streaming: of another streaming of the same contact.
        truncated: ours, of which only the whole blocks were there.
        without_audio: ours, with blocks but no track that is PCM audio.
        unsupported: ours, with audio that cannot be decoded or at another rate than the recording's.
        ignored_blocks: blocks of ours on tracks that are no party's.
        lost_bytes: bytes of the stream that belong to no fragment.
        lost_runs: how many runs of such bytes.
        in_band_errors: errors that KVS reported inside the stream.
        holes: times when neither track has audio and fragments may be missing.
        hole_frames: their length, frames.
        pauses: such times where the fragment numbers show that none is missing.
        max_millis_behind_now: the most that the reader was behind the stream's head, ms; None before the first.
        first: the first admitted fragment with audio.
        last: the last one.
    """

    admitted: int = 0
    admitted_unlabelled: int = 0
    other: int = 0
    contradictory: int = 0
    undecidable: int = 0
    strangers: int = 0
    strangers_near: int = 0
    strangers_end_ms: int | None = None
    other_streaming: int = 0
    truncated: int = 0
    without_audio: int = 0
    unsupported: int = 0
    ignored_blocks: int = 0
    lost_bytes: int = 0
    lost_runs: int = 0
    in_band_errors: int = 0
    holes: int = 0
    hole_frames: int = 0
    pauses: int = 0
    max_millis_behind_now: int | None = None
    first: FragmentMark | None = None
    last: FragmentMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a recording stands: bounded, plain, and enough to go on from with the fragments after it.

    Args:
        fragment: the newest fragment whose audio is wholly in the frames taken; None before the first.
        admission: what admission knows after it.
        timeline: what the timeline knows after it; None before the first audio.
        frames: stereo frames taken; may lie beyond that fragment's end.
        crc32: CRC-32 of those frames' bytes, in order.
        tally: counts up to that fragment.
    """

    fragment: str | None = None
    admission: AdmissionState = field(default_factory=AdmissionState)
    timeline: TimelineState | None = None
    frames: int = 0
    crc32: int = 0
    tally: Tally = field(default_factory=Tally)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        timeline = data["timeline"]
        tally = dict(data["tally"])
        for name in ("first", "last"):
            tally[name] = tally[name] and FragmentMark(**tally[name])
        return cls(
            fragment=data["fragment"],
            admission=AdmissionState(label=Label(data["admission"]["label"]), end_ms=data["admission"]["end_ms"]),
            timeline=timeline
            and TimelineState(
                **{
                    **timeline,
                    "customer": TrackState(**timeline["customer"]),
                    "agent": TrackState(**timeline["agent"]),
                }
            ),
            frames=data["frames"],
            crc32=data["crc32"],
            tally=Tally(**tally),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GapNote:
    """A hole in one track, with the fragments on either side of it.

    Args:
        gap: the hole.
        after: number of the last admitted fragment before it.
        before: number of the fragment whose audio follows it; None at the end of the call.
        missing_fragments: how many fragments the numbers show to be missing; None where they do not tell.
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


@dataclass(frozen=True, slots=True)
class _Point:
    """A possible cursor: it holds once all frames up to `end` are taken."""

    end: int
    fragment: str | None
    admission: AdmissionState
    timeline: Snapshot | None
    tally: Mapping[str, Any]
    notes: tuple[Note, ...]


_VERDICT_COUNTERS: Final = {
    Verdict.OTHER: "other",
    Verdict.CONTRADICTORY: "contradictory",
    Verdict.UNDECIDABLE: "undecidable",
    Verdict.STRANGER: "strangers",
    Verdict.OTHER_STREAMING: "other_streaming",
}


class CallRecording:
    """Record one contact from completed fragments in stream order.

    Memory: see `Admission`, `Timeline` and one `_Point` a fragment of the last `MAX_SKEW_S` seconds.

    Args:
        contact_id: whose audio is wanted.
        cursor: where to go on.
        from_ms: admit nothing that ends at or before it, ms since the epoch.
        until_ms: admit nothing that begins at or after it, ms since the epoch.
        accept_unlabelled: see `Admission`.
        limit_s: longest recording, seconds; what a WAV can hold if None.
        watched: whether somebody takes the placements, for live audio.
    """

    def __init__(
        self,
        contact_id: str,
        *,
        cursor: Cursor | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
        accept_unlabelled: bool = False,
        limit_s: int | None = None,
        watched: bool = False,
    ) -> None:
        cursor = cursor or Cursor()
        self._admission = Admission(
            contact_id, cursor.admission, from_ms=from_ms, until_ms=until_ms, accept_unlabelled=accept_unlabelled
        )
        self._limit_s = limit_s
        self._watched = watched
        self._timeline = None if cursor.timeline is None else self._make_timeline(cursor.timeline, cursor.frames)
        # Some may have been taken before any fragment's audio was wholly in them: then the cursor has no timeline yet.
        self._frames_before = cursor.frames
        self._crc32 = cursor.crc32
        # Counts by the names of Tally; copied once a fragment, which a frozen value would make dear.
        self._counts: dict[str, Any] = {name: getattr(cursor.tally, name) for name in Tally.__dataclass_fields__}
        self._cursor = cursor
        self._number = cursor.fragment  # of the last decided fragment that had one
        self._point: _Point | None = None  # the newest that holds; the cursor is made of it on demand
        self._points: deque[_Point] = deque()
        self._notes: list[Note] = []

    def _make_timeline(self, state: TimelineState, taken: int) -> Timeline:
        limit = MAX_FRAMES if self._limit_s is None else min(MAX_FRAMES, self._limit_s * state.rate)
        return Timeline(state, taken=taken, limit=limit, watched=self._watched)

    @property
    def rate(self) -> int | None:
        """Samples a second; None before the first audio."""
        return None if self._timeline is None else self._timeline.rate

    @property
    def tally(self) -> Tally:
        """Counts up to the last decided fragment."""
        return Tally(**self._counts)

    @property
    def undecided(self) -> int:
        """Fragments that wait for the next label; they lie beyond the cursor."""
        return self._admission.undecided

    @property
    def end_ms(self) -> int | None:
        """Where the last admitted audio ended, ms since the epoch."""
        return self._admission.state().end_ms

    @property
    def full(self) -> bool:
        """Whether the recording has reached its limit."""
        return self._timeline is not None and self._timeline.full

    @property
    def timeline(self) -> Timeline | None:
        """Where the audio lies; None before the first."""
        return self._timeline

    def stop_watching(self) -> None:
        """Nobody takes the placements any more."""
        self._watched = False
        if self._timeline is not None:
            self._timeline.stop_watching()

    def admits_at_once(self, contact_ids: Sequence[str], start_ms: int) -> bool:
        """See `Admission.admits_at_once`."""
        return self._admission.admits_at_once(contact_ids, start_ms)

    def stop_before(self, until_ms: int) -> None:
        """From now on admit nothing that begins at or after a time, ms since the epoch."""
        self._admission.stop_before(until_ms)

    def add(self, fragment: Fragment) -> list[Decision]:
        """Take the next completed fragment.

        Returns:
            What was decided about it and about fragments that had waited for it.
        """
        self._commit()
        decisions = self._admission.add(fragment)
        for decision in decisions:
            self._apply(decision)
        return decisions

    def lose(self, lost: BytesLost) -> None:
        """Count bytes of the stream that belong to no fragment."""
        self._counts["lost_bytes"] += lost.count
        self._counts["lost_runs"] += 1

    def report(self, errors: Sequence[InBandError], fragment: str | None) -> None:
        """Count and note in-band errors of a fragment that is not added, since it will be read again."""
        self._notes.extend(self._note_errors(errors, fragment))

    def end(self) -> None:
        """The call is over: decide what waits, pad the shorter track. `take` gives out the rest."""
        self._commit()
        for decision in self._admission.end():
            self._apply(decision)
        notes: list[Note] = []
        if self._timeline is not None:
            self._timeline.close()
            last = self._last_number()
            notes = [
                GapNote(gap=gap, after=last, before=None, missing_fragments=None) for gap in self._timeline.take_gaps()
            ]
        self._mark(None, tuple(notes))

    def take(self) -> Iterator[bytes]:
        """Give out the settled stereo frames that were not given out before, at most 32 KiB at a time."""
        if self._timeline is not None:
            for frames in self._timeline.take():
                self._crc32 = zlib.crc32(frames, self._crc32)
                yield frames

    def cursor(self) -> Cursor:
        """The newest point from which this recording can go on, given the frames taken so far."""
        self._commit()
        timeline, point = self._timeline, self._point
        if point is not None:
            self._cursor = Cursor(
                fragment=point.fragment,
                admission=point.admission,
                timeline=None if timeline is None or point.timeline is None else timeline.state(point.timeline),
                tally=Tally(**point.tally),
            )
            self._point = None
        frames = self._frames_before if timeline is None else timeline.taken
        return replace(self._cursor, frames=frames, crc32=self._crc32)

    def take_notes(self) -> list[Note]:
        """Give out the notes on fragments up to the cursor that were not given out before."""
        self._commit()
        notes, self._notes = self._notes, []
        return notes

    def _commit(self) -> None:
        """Move the cursor over every point whose audio has wholly been taken."""
        taken = 0 if self._timeline is None else self._timeline.taken
        while self._points and self._points[0].end <= taken:
            self._point = self._points.popleft()
            self._notes.extend(self._point.notes)

    def _mark(self, fragment: str | None, notes: tuple[Note, ...], admission: AdmissionState | None = None) -> None:
        timeline = self._timeline
        self._number = fragment or self._number
        end = 0 if timeline is None else timeline.end
        if self._points and self._points[-1].end == end:
            # Both hold from the same frame on, and the newer one tells more: a stranger's hours take no room.
            notes = self._points.pop().notes + notes
        self._points.append(
            _Point(
                end,
                self._number,
                admission or self._admission.state(),
                None if timeline is None else timeline.snapshot(),
                self._counts.copy(),
                notes,
            )
        )

    def _apply(self, decision: Decision) -> None:
        fragment, verdict, state = decision
        counts = self._counts
        notes = self._note_errors(fragment.errors, fragment.number) if fragment.errors else []
        behind = fragment.millis_behind_now
        if behind is not None and behind > (counts["max_millis_behind_now"] or -1):
            counts["max_millis_behind_now"] = behind
        if verdict.admitted:
            notes += self._record(fragment, verdict)
        else:
            counter = _VERDICT_COUNTERS.get(verdict)
            if counter:
                counts[counter] += 1
            if verdict is Verdict.STRANGER:
                counts["strangers_near"] += 1
                counts["strangers_end_ms"] = end_ms(fragment)
            else:
                counts["strangers_near"] = 0
        self._mark(fragment.number, tuple(notes), state)

    def _note_errors(self, errors: Sequence[InBandError], fragment: str | None) -> list[Note]:
        """Count errors, and note the first ones: a stream of nothing but errors must not fill the memory."""
        room = max(0, MAX_ERROR_NOTES - self._counts["in_band_errors"])
        self._counts["in_band_errors"] += len(errors)
        return [ErrorNote(error=error, fragment=fragment) for error in errors[:room]]

    def _last_number(self) -> str | None:
        """Number of the last admitted fragment with audio."""
        last: FragmentMark | None = self._counts["last"]
        return None if last is None else last.number

    def _record(self, fragment: Fragment, verdict: Verdict) -> list[Note]:
        """Put an admitted fragment's audio on the timeline."""
        counts = self._counts
        counts["admitted"] += 1
        if verdict is Verdict.OURS_BY_NEIGHBOURS:
            counts["admitted_unlabelled"] += 1
        if fragment.completion is Completion.TRUNCATED:
            counts["truncated"] += 1
        if counts["strangers_near"]:
            # They stood directly before ours. If they also ran on into it, they may have been its beginning.
            start, end = start_ms(fragment), counts["strangers_end_ms"]
            if start is not None and end is not None and abs(start - end) <= RUN_ON_MS:
                counts["undecidable"] += counts["strangers_near"]
                counts["strangers"] -= counts["strangers_near"]
            counts["strangers_near"] = 0
        if not fragment.blocks:
            return []
        try:
            tracks = audio_tracks(fragment.tracks, fragment.tag("MimeType"))
        except UnsupportedAudioError:
            counts["unsupported"] += 1
            return []
        if not tracks:
            counts["without_audio"] += 1
            return []
        by_number = {track.number: track for track in tracks}
        rate = self.rate or tracks[0].pcm.rate
        if any(track.pcm.rate != rate for track in tracks):
            counts["unsupported"] += 1
            return []
        runs, ignored = runs_of(fragment.blocks, by_number)
        counts["ignored_blocks"] += ignored
        return self._place(fragment, runs, rate) if runs else []

    def _place(self, fragment: Fragment, runs: Sequence[Run], rate: int) -> list[Note]:
        timeline = self._timeline
        if timeline is None:
            timeline = self._timeline = self._make_timeline(TimelineState(rate=rate), self._frames_before)
            timeline.set_origin(min(run.start for run in runs))
        previous_end = timeline.end
        for run in runs:
            samples, dangling = to_mono(b"".join(run.payloads), run.track.pcm)
            timeline.place(
                run.track.party,
                run.start,
                samples,
                tick_ns=fragment.timecode_scale_ns,
                block_length=run.block_length,
                dangling=dangling,
            )
        timeline.settle()
        counts = self._counts
        before = self._last_number()
        missing = missing_between(before, fragment.number)
        lowest = timeline.take_lowest_placed()
        if lowest is not None and lowest > previous_end and counts["first"] is not None:
            if missing == 0:
                counts["pauses"] += 1
            else:
                counts["holes"] += 1
                counts["hole_frames"] += lowest - previous_end
        counts["last"] = FragmentMark(
            number=fragment.number, producer_ms=fragment.producer_timestamp_ms, server_ms=fragment.server_timestamp_ms
        )
        if counts["first"] is None:
            counts["first"] = counts["last"]
        return [
            GapNote(gap=gap, after=before, before=fragment.number, missing_fragments=missing)
            for gap in timeline.take_gaps()
        ]


def missing_between(before: str | None, after: str | None) -> int | None:
    """How many fragments the producer counted between two numbers; None where the numbers do not tell."""
    first, second = fragment_counter(before), fragment_counter(after)
    if first is None or second is None or second <= first:
        return None
    return second - first - 1
