"""One contact's recording: fragments in, settled stereo frames and a cursor out. Live recorder and replay both use it.

    recording.add(fragment)         admission and timeline, in stream order; tells what was decided and placed
    for frames in recording.take()  what no later fragment can change
    recording.cursor()              where to go on: all before it is in the frames taken, nothing after it is needed
    recording.end(how)              the call is over

How it works. `Admission` decides about each fragment, at once or when the next label comes. An admitted fragment's
blocks are joined into runs (`runs.py`), decoded to mono and placed on the `Timeline`, which settles what both tracks
have reached. After each decided fragment `ResumePoints` notes where the recording stands: the counts are copied, since
they change in place. The cursor moves over a point when all frames up to it have been taken. A call's origin, rate and
first fragment come with its first audio.

| state | changes with |
| --- | --- |
| `Admission`: last label, fragments that wait for the next | each fragment |
| `Timeline`: samples not yet taken, ends of the tracks, settled and taken frames | each admitted fragment, `take` |
| counts and neighbours | each decided fragment |
| `FragmentOrder`: end of the last fragment, fragments whose time leaps | each decided fragment |
| `ResumePoints`: possible cursors, notes | each decided fragment, `take`, `cursor`, `take_notes` |
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from connect_audio.core.admission import (
    RUN_ON_MS,
    Admission,
    AdmissionState,
    Decision,
    StreamEnd,
    StreamingBounds,
    Verdict,
    end_ms,
    start_ms,
)
from connect_audio.core.carried import NOTHING_CARRIED, CarriedAudio
from connect_audio.core.claims import TimesDisagree, disagreements
from connect_audio.core.copying import copier
from connect_audio.core.cursor import (
    Cursor,
    ErrorNote,
    FragmentCounts,
    FragmentMark,
    GapNote,
    NeighbourState,
    Note,
    StreamCounts,
)
from connect_audio.core.ebml import new_tuple
from connect_audio.core.fragment import missing_between
from connect_audio.core.fragments import Block, BytesLost, Completion, Fragment, OpenFragment
from connect_audio.core.in_band import InBandError
from connect_audio.core.levels import FrameMeter
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.noted_cursor import NotedCursor, values_of_fragments, values_of_neighbours
from connect_audio.core.order import FragmentOrder
from connect_audio.core.other_tracks import BlockCount
from connect_audio.core.pcm import interleave, to_mono
from connect_audio.core.receipts import Receipts, number_of
from connect_audio.core.resume_points import NoResumePoints, ResumePoints
from connect_audio.core.runs import Run, received_bytes, runs_of, tracks_of
from connect_audio.core.timeline import MAX_FRAMES, NO_SILENCE, Placed, Settled, Timeline, TimelineState
from connect_audio.core.tracks import CONNECT_NAMES, TrackChoice, TrackNames, at_rate

MAX_ERROR_NOTES: Final = 1000
"""In-band errors that are noted one by one; the rest is counted."""

_copied_fragments: Final = copier(FragmentCounts)
_copied_neighbours: Final = copier(NeighbourState)

_COUNTED_AS: Final = {
    Verdict.OTHER: "other_contact",
    Verdict.CONTRADICTORY: "contradictory",
    Verdict.UNDECIDABLE: "undecidable",
    Verdict.UNLABELLED_ELSEWHERE: "unlabelled_elsewhere",
    Verdict.OTHER_STREAMING: "other_streaming",
}


class Added(NamedTuple):
    """The result of adding a fragment.

    Args:
        decisions: about it and about fragments that had waited for it, in stream order.
        placed: the samples that got their place, each party's in order.
        origin: the timeline's origin, samples since the epoch; None before the first audio.
    """

    decisions: Sequence[Decision]
    placed: Sequence[Placed]
    origin: int | None

    def live_samples(self) -> list[LiveSamples]:
        """The placed samples for live audio, by their time."""
        origin = self.origin or 0
        return [LiveSamples(party, origin + start, samples) for party, start, samples in self.placed]


class CallRecording:
    """Record one contact from completed fragments in stream order.

    Memory: see `Admission`, `Timeline` and `ResumePoints`.

    Args:
        contact_id: our contact.
        cursor: cursor to continue from.
        bounds: see `Admission`.
        accept_unlabelled: see `Admission`.
        limit_s: longest recording, seconds; what a WAV can hold if None.
        track_names: the parties' tracks as a user names them.
        points: `NoResumePoints` for a recording that is never resumed.
    """

    def __init__(
        self,
        contact_id: str,
        *,
        cursor: Cursor | None = None,
        bounds: StreamingBounds | None = None,
        accept_unlabelled: bool = False,
        limit_s: int | None = None,
        track_names: TrackNames = CONNECT_NAMES,
        points: type[ResumePoints | NoResumePoints] = ResumePoints,
    ) -> None:
        cursor = cursor or Cursor()
        self._admission = Admission(contact_id, cursor.admission, bounds=bounds, accept_unlabelled=accept_unlabelled)
        self._limit_s = limit_s
        self.track_names: Final = track_names
        """The parties' tracks as a user names them."""
        self._levels = cursor.levels
        self._meter: FrameMeter | None = None  # until there is a timeline
        state = cursor.timeline
        if state is None and cursor.carried.rate is not None:
            state = TimelineState(rate=cursor.carried.rate, origin=cursor.carried.origin)
        self._timeline = None if state is None else self._make_timeline(state, cursor.frames, cursor.carried)
        # Some may have been taken before any fragment's audio was wholly in them: then the cursor has no timeline yet.
        self._frames_before = cursor.frames
        self._crc32 = cursor.crc32
        self._fragments = _copied_fragments(cursor.fragments)
        self._stream = cursor.stream
        self._neighbours = _copied_neighbours(cursor.neighbours)
        self._other_tracks = cursor.other_tracks
        self._receipts = Receipts(cursor.receipts)
        self._number = cursor.fragment  # number of the last decided fragment that had one
        self._order = FragmentOrder(cursor.order, cursor.times, track_names, self._is_written)
        self._notes: list[Note] = []  # on fragments since the last point
        self._points = points(cursor)

    def _make_timeline(self, state: TimelineState, taken: int, carried: CarriedAudio = NOTHING_CARRIED) -> Timeline:
        limit = MAX_FRAMES if self._limit_s is None else min(MAX_FRAMES, self._limit_s * state.rate)
        self._meter = FrameMeter(self._levels, state.rate)
        return Timeline(state, taken=taken, limit=limit, carried=carried)

    def named(self, contact_id: str) -> CallRecording:
        """Make the recording that goes on from here under a contact's name.

        For captures whose contact is unknown at first: until then no fragment is admitted, but all are counted.

        Args:
            contact_id: our contact.
        """
        # The cursor's own counts end with the last fragment; bytes lost since then are only in the recording's.
        cursor = replace(self.cursor(), fragments=self.fragments, stream=self.stream)
        return CallRecording(
            contact_id,
            cursor=cursor,
            limit_s=self._limit_s,
            track_names=self.track_names,
            points=type(self._points),
        )

    def draft(self) -> CallRecording:
        """Make a recording that stands where this one does, for audio that may belong to another streaming.

        It has none of this one's samples, and no fragment that waits for a label or for its place.
        """
        draft = CallRecording(
            self._admission.contact_id,
            cursor=self._noted(self._admission.state())._replace(timeline=None).cursor(),
            limit_s=self._limit_s,
            track_names=self.track_names,
        )
        draft._timeline = None if self._timeline is None else self._timeline.preview()
        return draft

    @property
    def rate(self) -> int | None:
        """Samples a second; None before the first audio."""
        return None if self._timeline is None else self._timeline.rate

    @property
    def fragments(self) -> FragmentCounts:
        """Counts up to the last decided fragment."""
        return _copied_fragments(self._fragments)

    @property
    def stream(self) -> StreamCounts:
        """Counts up to the last decided fragment."""
        return self._stream

    @property
    def undecided(self) -> int:
        """Fragments that wait for the next label; they lie beyond the cursor."""
        return self._admission.undecided

    @property
    def end_ms(self) -> int | None:
        """End of the last admitted audio, ms since the epoch."""
        return self._admission.end_ms

    @property
    def last_admitted(self) -> str | None:
        """Number of the last admitted fragment; None before the first."""
        return self._neighbours.last_admitted

    @property
    def full(self) -> bool:
        """True once the recording has reached its limit."""
        return self._timeline is not None and self._timeline.full

    @property
    def taken(self) -> int:
        """Frames given out."""
        return self._frames_before if self._timeline is None else self._timeline.taken

    @property
    def settled_frames(self) -> int:
        """Frames that `take` would give out now."""
        return 0 if self._timeline is None else self._timeline.settled - self._timeline.taken

    @property
    def crc32(self) -> int:
        """CRC-32 of the frames given out, in order."""
        return self._crc32

    @property
    def timeline(self) -> Timeline | None:
        """The timeline of the audio; None before the first."""
        return self._timeline

    def places_at_once(self, fragment: OpenFragment, block: Block) -> bool:
        """Return True if an open fragment will be placed as soon as it is over, by all that is known.

        Args:
            fragment: the fragment.
            block: its first block.
        """
        return self._admission.admits_at_once(fragment.contact_ids, fragment.number) and self._order.passes(
            fragment.number, fragment.server_timestamp_ms, block
        )

    def preview(self, fragment: OpenFragment) -> Timeline | None:
        """Return a timeline to try an open fragment's blocks on; None before the first audio.

        Args:
            fragment: the fragment.
        """
        if self._timeline is None:
            return None
        preview = self._timeline.preview()
        preview.begin(fragment.number or "", is_repeated=self._receipts.holds(fragment.number))
        return preview

    def keep_within(self, bounds: StreamingBounds) -> None:
        """From now on admit nothing outside these bounds."""
        self._admission.keep_within(bounds)

    def add(self, fragment: Fragment) -> Added:
        """Take the next completed fragment.

        Returns:
            The decisions about it and about fragments that had waited for it, and the samples placed of them.
        """
        self._commit()
        return self._added(self._admission.add(fragment))

    def lose(self, lost: BytesLost) -> None:
        """Count bytes of the stream that belong to no fragment."""
        stream = self._stream
        self._stream = replace(
            stream, lost_bytes=stream.lost_bytes + lost.count, lost_byte_runs=stream.lost_byte_runs + 1
        )

    def report(self, errors: Sequence[InBandError], fragment: str | None) -> None:
        """Count and note in-band errors of a fragment that is not added, since it will be read again."""
        self._points.note(self._note_errors(errors, fragment))

    def end(self, how: StreamEnd) -> Added:
        """The call is over: decide what waits, pad the shorter track. `take` gives out the rest.

        Args:
            how: the knowledge of the stream behind the last fragment.

        Returns:
            The decisions about fragments that had waited, and the samples placed of them.
        """
        self._commit()
        added = self._added(self._admission.end(how))
        late = [placed for decision in self._order.flush() for placed in self._apply(decision)]
        self._count_missing()
        if self._timeline is not None:
            self._note_silence(self._timeline.close(self._receipts.missing_between))
        self._mark(self._admission.state())
        origin = None if self._timeline is None else self._timeline.origin
        return Added(added.decisions, [*added.placed, *late], origin)

    def take(self) -> Iterator[bytes]:
        """Give out the settled stereo frames that were not given out before, at most 32 KiB at a time."""
        if self._timeline is not None and self._meter is not None:
            for left, right in self._timeline.take_channels():
                self._meter.add(left, right)
                frames = interleave(left, right)
                self._crc32 = zlib.crc32(frames, self._crc32)
                yield frames

    def cursor(self) -> Cursor:
        """The newest point from which this recording can go on, given the frames taken so far."""
        self._commit()
        levels = self._levels if self._meter is None else self._meter.levels()
        point = self._points.cursor
        carried = NOTHING_CARRIED if self._timeline is None else self._timeline.carried_from(point.timeline)
        return replace(point, frames=self.taken, crc32=self._crc32, levels=levels, carried=carried)

    def take_notes(self) -> list[Note]:
        """Give out the notes on fragments up to the cursor, once each."""
        self._commit()
        return self._points.take_notes()

    def _commit(self) -> None:
        self._points.commit(0 if self._timeline is None else self._timeline.taken)

    def _added(self, decisions: Sequence[Decision]) -> Added:
        placed: list[Placed] = []
        for decision in decisions:
            self._number = decision.fragment.number or self._number
            for each in self._order.add(decision):
                placed += self._apply(each)
            self._count_missing()
            if not self._order.waiting:
                self._mark(decision.state)
        return new_tuple(Added, (decisions, placed, None if self._timeline is None else self._timeline.origin))

    def _count_missing(self) -> None:
        """Count the fragments that the order has found to be missing."""
        if self._order.missing:
            missing = self._stream.missing_fragments + self._order.take_missing()
            self._stream = replace(self._stream, missing_fragments=missing)

    def _mark(self, admission: AdmissionState) -> None:
        """Note where the recording stands: all fragments up to here are placed."""
        timeline = self._timeline
        self._points.mark(0 if timeline is None else timeline.end, self._noted, admission, self._notes)
        if self._notes:
            self._notes = []

    def _noted(self, admission: AdmissionState) -> NotedCursor:
        """Note the cursor here."""
        timeline = self._timeline
        return new_tuple(
            NotedCursor,
            (
                self._number,
                admission,
                None if timeline is None else timeline.noted(),
                values_of_fragments(self._fragments),
                self._stream,
                values_of_neighbours(self._neighbours),
                self._order.state,
                self._order.disagree,
                self._other_tracks,
                self._receipts.noted(),
            ),
        )

    def _apply(self, decision: Decision) -> Sequence[Placed]:
        fragment, verdict, _ = decision
        if fragment.errors:
            self._notes += self._note_errors(fragment.errors, fragment.number)
        behind = fragment.millis_behind_now
        most = self._stream.max_millis_behind_now
        if behind is not None and (most is None or behind > most):
            self._stream = replace(self._stream, max_millis_behind_now=behind)
        placed: Sequence[Placed] = ()
        if verdict.admitted:
            self._count_admitted(fragment, verdict)
            placed = self._place(fragment, self._receipts.fragment(fragment.number))
        else:
            self._count_dropped(fragment, verdict)
        return placed

    def _note_errors(self, errors: Sequence[InBandError], fragment: str | None) -> list[Note]:
        """Count errors, and note the first ones: a stream of nothing but errors must not fill the memory."""
        known = self._stream.in_band_errors
        room = max(0, MAX_ERROR_NOTES - known)
        self._stream = replace(self._stream, in_band_errors=known + len(errors))
        return [ErrorNote(error=error, fragment=fragment) for error in errors[:room]]

    def _count_dropped(self, fragment: Fragment, verdict: Verdict) -> None:
        counts, neighbours = self._fragments, self._neighbours
        count = _COUNTED_AS.get(verdict)
        if count is not None:
            setattr(counts, count, getattr(counts, count) + 1)
        if verdict is Verdict.UNLABELLED_ELSEWHERE:
            neighbours.unlabelled += 1
            neighbours.unlabelled_end_ms = end_ms(fragment)
        elif neighbours.unlabelled:
            neighbours.unlabelled, neighbours.unlabelled_end_ms = 0, None
        if verdict is Verdict.NO_AUDIO and missing_between(neighbours.last_admitted, fragment.number) == 0:
            neighbours.last_admitted = fragment.number

    def _count_admitted(self, fragment: Fragment, verdict: Verdict) -> None:
        counts = self._fragments
        counts.truncated += self._is_cut(fragment)
        counts.admitted += 1
        counts.admitted_unlabelled += verdict is Verdict.OURS_BY_NEIGHBOURS
        neighbours = self._neighbours
        if neighbours.unlabelled:
            # They stood directly before this fragment. If they also ran on into it, they may have been its beginning.
            start, end = start_ms(fragment), neighbours.unlabelled_end_ms
            if start is not None and end is not None and abs(start - end) <= RUN_ON_MS:
                counts.undecidable += neighbours.unlabelled
                counts.unlabelled_elsewhere -= neighbours.unlabelled
        neighbours.unlabelled, neighbours.unlabelled_end_ms = 0, None
        neighbours.first_admitted = neighbours.first_admitted or fragment.number
        if fragment.number not in self._order.late:
            neighbours.last_admitted = fragment.number or neighbours.last_admitted

    def _is_cut(self, fragment: Fragment) -> bool:
        """Return True for a fragment without its end: its token is missing, and the stream has tokens."""
        completion = fragment.completion
        if completion is Completion.TOKEN:
            self._neighbours.has_tokens = True
            return False
        if completion is Completion.SUCCESSOR and not fragment.blocks and fragment.number is None:
            # Nothing but tags: no audio was to come. One with a number may have been cut off before its first block.
            return False
        return completion is Completion.TRUNCATED or self._neighbours.has_tokens

    def _place(self, fragment: Fragment, received: tuple[str, bool]) -> Sequence[Placed]:
        """Put an admitted fragment's audio on the timeline.

        Args:
            fragment: the fragment.
            received: its key, and True if it was admitted before.
        """
        if not fragment.blocks:
            return ()
        choice = tracks_of(fragment, self.track_names)
        tracks = choice.audio
        rate = self.rate or (tracks[0].pcm.rate if tracks else 0)
        for track in tracks:
            if track.pcm.rate != rate:
                choice = at_rate(choice, rate)
                tracks = choice.audio
                break
        runs, others = runs_of(fragment.blocks, tracks)
        self._receipts.payload(received_bytes(fragment.blocks), choice)
        if others:
            self._count_others(choice, others)
        self._fragments.without_audio += not tracks and not choice.unsupported
        if not runs:
            return ()
        if self._timeline is None:
            self._timeline = self._make_timeline(TimelineState(rate=rate), self._frames_before)
            self._timeline.set_origin(min(run.start for run in runs))
        key, is_repeated = received
        if not is_repeated:
            self._doubt(fragment, choice)
        self._timeline.begin(key, is_repeated=is_repeated)
        placed = _placed(self._timeline, runs, fragment.timecode_scale_ns)
        self._note_silence(self._timeline.settle(self._receipts.missing_between))
        last = FragmentMark(fragment.number, fragment.producer_timestamp_ms, fragment.server_timestamp_ms)
        self._neighbours.first = self._neighbours.first or last
        if fragment.number not in self._order.late:
            self._neighbours.last = last
        return placed

    def _is_written(self, fragment: Fragment) -> bool:
        """Return True if all audio of a fragment, as far as it can be compared, is written already at its time."""
        if self._timeline is None:
            return False
        runs, _ = runs_of(fragment.blocks, at_rate(tracks_of(fragment, self.track_names), self._timeline.rate).audio)
        found = {
            self._timeline.is_written(run.track.party, run.start, to_mono(run.payload, run.track.pcm)[0])
            for run in runs
        }
        return True in found and False not in found

    def _doubt(self, fragment: Fragment, choice: TrackChoice) -> None:
        """Count the contradictions between the numbers of a fragment, which may be read again: once."""
        doubts = disagreements(
            fragment.blocks,
            choice.audio,
            producer_ms=fragment.producer_timestamp_ms,
            tick_ns=fragment.timecode_scale_ns,
        )
        if doubts is not None:
            self._order.doubt(doubts)
        if choice.claims_disagree and not (doubts and doubts.rate):
            self._order.doubt(TimesDisagree(rate=1))

    def _count_others(self, choice: TrackChoice, others: Sequence[BlockCount]) -> None:
        """Count a fragment's blocks on tracks that are not recorded."""
        refused = {track.number for track in choice.unsupported}
        self._other_tracks = self._other_tracks.added(choice, others)
        self._fragments.unsupported_audio += any(each.number in refused for each in others)
        self._fragments.ignored_blocks += sum(each.blocks for each in others if each.number not in refused)

    def _note_silence(self, settled: Settled) -> None:
        """Count settled silence and note its gaps."""
        if settled is NO_SILENCE:
            return
        self._stream = replace(self._stream, holes=self._stream.holes.plus(settled.holes))
        self._notes += [
            GapNote(
                gap=gap,
                after=number_of(after),
                before=number_of(before),
                missing_fragments=self._receipts.missing_between(after, before),
            )
            for gap, after, before in settled.gaps
        ]


def _placed(timeline: Timeline, runs: Iterable[Run], tick_ns: int) -> list[Placed]:
    """Place runs and return the placed samples."""
    placed: list[Placed] = []
    for run in runs:
        samples, dangling = to_mono(run.payload, run.track.pcm)
        placed += timeline.place_run(
            run.track.party,
            run.start,
            samples,
            block_length=run.block_length,
            tick_ns=tick_ns,
            width=run.track.pcm.frame_bytes,
            dangling=dangling,
        )
    return placed
