"""One record step: the loop that reads the call's stream into at most one part, from a checkpoint to the next.

How it works. The loop asks the stream for an event, hands it on, and asks whether the step is over. A step ends for one
of six reasons:

    PartDone   the part is full
    HandOver   the invocation's deadline is near
    Wait       the stream is silent, and a suspension costs less than waiting
    AtHead     all is recorded that the stream's listing named, and the call may go on
    Over       the call is over (`end_of_call.py`), the longest recording is reached, or KVS reports a fatal error
    Over       the user ends the recording (`connect-audio record`)
    Over       several invocations in a row got nowhere

Before a step returns, all settled audio is in S3. The loop owns only what concerns one step: progress and counts. Each
question has its own object in the session:

    What comes next?                       `call_stream`
    Is the call over?                      `end_of_call`
    Whose audio follows a break?           `streaming_border`; `held_events` wait for the answer
    How does audio reach S3 and sinks?     `parts`, `live_guard`

Errors of sockets and ends of bodies
stay inside the step; an error of S3 is raised for the engine's retry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from connect_audio.core.admission import Decision, StreamEnd, Verdict, start_ms
from connect_audio.core.errors import StorageError
from connect_audio.core.fragments import BytesLost, Fragment
from connect_audio.core.manifest import EndReason, NoteLog, Reason
from connect_audio.core.recording import Added
from connect_audio.ports import ContactAnswer, ContactState, Lifetime, ObjectKind, UploadedPart
from connect_audio.recorder.audio_breaks import Break
from connect_audio.recorder.call_stream import Denied, InBandErrors, Opened, Quiet, StreamEvent
from connect_audio.recorder.checkpoint import StepCounts
from connect_audio.recorder.end_of_call import EndOfRecording, without
from connect_audio.recorder.held_events import AcceptedFragment, HeldEvent, OpenBreak
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.live_guard import LiveSaved
from connect_audio.recorder.session import Session
from connect_audio.recorder.step_result import AtHead, HandOver, Next, Over, PartDone, StepResult, Wait
from connect_audio.recorder.streaming_border import AskAgain, Theirs, arrival_ms
from connect_audio.values import dataclass

_FIRST_WAIT_S: Final = 10
"""Length of the first suspension, s; doubles with each further one in a row."""
_MOST_DOUBLINGS: Final = 10
"""Doublings of a suspension; the longest wait ends them earlier."""
_LONGEST_WAIT_S: Final = 300
"""Longest suspension, s. Audio that comes meanwhile is recorded so much later."""
_NO_RETENTION_WAIT_S: Final = 60
"""Longest suspension for a stream without retention, s. KVS buffers 5 minutes of it, so a minute leaves a margin."""
_LONGEST_PAUSE_S: Final = 1.0
"""Longest sleep of a step that cannot read, s: sinks are looked after in between."""
_MOST_SUSPENSIONS: Final = 300
"""Suspensions of one recording; later silence is waited out inside the invocation. 47 hours make 1410 parts and 188
hand-overs. With two operations for each suspension the execution stays within the 2400 operations of ADR 1."""
_ASK_AFTER_S: Final = 300
"""Silence after which Connect is asked though contact events announce the ends, s. Half of the idle limit: an event may
be lost, and a connected contact may be silent for longer."""
_MOST_FRUITLESS: Final = 3
"""Connections without a new fragment, though the listing names one, after which the recording ends without it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Time left to a step, by the clock's monotonic seconds.

    Args:
        deadline: when the step must have begun to end.
        roomy_until: a step that ends later than this hands over rather than let another begin.
        is_interrupted: says whether the user has ended the recording; None if none can.
    """

    deadline: float
    roomy_until: float
    is_interrupted: Callable[[], bool] | None = None


def record_step(session: Session, budget: Budget) -> StepResult:
    """Record until the step ends.

    Args:
        session: the recording.
        budget: the time there is.

    Raises:
        StorageError: S3 failed; the step can run again from its checkpoint, with a new session.
    """
    return _Step(session, budget).run()


class _Step:
    """One step. Methods that read return None to go on, or why the step or the recording ends."""

    def __init__(self, session: Session, budget: Budget) -> None:
        self._session = session
        self._budget = budget
        self._listed = session.end.listed
        self._ports = session.ports
        self._clock = session.ports.clock
        self._began_s = self._clock.monotonic()
        self._quiet_since_s = self._began_s
        self._new_fragments = 0
        self._met_silence = False
        self._behind_ms: int | None = None
        self._repairs = 0
        if session.least_observation_s is None:
            # A short invocation asks for half of its time at most, or it would never see the end of the call.
            half_s = max(0.0, budget.deadline - self._began_s) / 2
            policy = self._ports.policy
            session.least_observation_s = min(policy.drain, policy.patience, half_s)

    def run(self) -> StepResult:
        session = self._session
        while True:
            rate = session.recording.rate
            if rate is not None and session.parts.fill(session.frames, rate):
                return self._end_with_part()
            if session.ending is not None:
                return self._end_staged(Over(session.ending))
            found = self._advance()
            if isinstance(found, EndOfRecording):
                if not self._settle_break():
                    return self._end_staged(HandOver())
                self._settle(found)
            elif found is not None:
                return self._end_staged(found)

    def _advance(self) -> EndOfRecording | Next | None:
        """Take one event from the stream, reading until it comes."""
        session, held = self._session, self._session.border.held
        is_full = session.recording.full
        event: StreamEvent | None = None
        ended = None if self._listed is None else session.end.at_listed(session.stream.position)
        if ended is not None:
            return self._at_listed(ended)
        while event is None:
            session.live.interrupt_overdue()
            if self._budget.is_interrupted is not None and self._budget.is_interrupted():
                # It is not known whose audio is held.
                held.clear()
                return EndOfRecording(EndReason.INTERRUPTED)
            if self._clock.monotonic() >= self._budget.deadline:
                return HandOver()
            if is_full:
                return EndOfRecording(EndReason.RECORDING_LIMIT)
            behind = held.behind
            if behind is not None and self._clock.monotonic() >= behind.due_s:
                return self._record_held()
            if behind is not None and held.is_full:
                self._pause()
            else:
                event = session.stream.next() or self._read()
        return self._take(event)

    def _read(self) -> StreamEvent | None:
        """Wait for bytes, after a nap if one delays no sink.

        Returns:
            None if bytes came; else what follows from a connection that stalls or breaks.
        """
        session = self._session
        session.live.look(session.stream.look, self._may_preview)
        if session.end.cause is None:
            session.stream.nap(self._budget.deadline, session.live.longest_nap_s())
        return session.stream.read()

    def _take(self, event: StreamEvent) -> EndOfRecording | Next | None:
        """Hand an event to the objects that it concerns."""
        session = self._session
        match event:
            case Fragment():
                return self._take_fragment(event)
            case BytesLost():
                self._repairs += 1
                return self._record(event)
            case InBandErrors(_, _, fatal):
                self._record(event)
                if fatal is not None:
                    return EndOfRecording(EndReason.SOURCE_FAILED, (Reason("IN_BAND_ERROR", fatal.sentence),))
            case Opened():
                pass
            case Quiet(_, failure):
                if failure is None:
                    self._listened()
                else:
                    session.end.unreadable(failure, retryable=True, now_ms=self._clock.now_ms())
                return self._look_around()
            case Denied(error):
                if session.end.is_readable:
                    self._ports.logger.warning(
                        "stream cannot be read: GetMedia is tried again",
                        extra={"code": error.code, "retryable": error.retryable},
                    )
                reason = Reason("SOURCE_FAILED", f"the stream could not be read: {error.code}")
                session.end.unreadable(reason, retryable=error.retryable, now_ms=self._clock.now_ms())
                return self._look_around()
            case _:
                assert_never(event)
        return None

    def _listened(self) -> None:
        """A connection did not fail: silence counts from here on."""
        session = self._session
        if not session.end.is_readable:
            session.stream.watch_anew()
        session.end.readable(self._clock.now_ms())

    def _may_preview(self, begin_ms: int) -> bool:
        """Return True if only its own end can keep a fragment that begins then, ms, from being recorded."""
        stream, border = self._session.stream, self._session.border
        # Behind an open break all audio reaches the sinks at once, and is taken back if a later streaming begins there.
        may_begin = border.held.behind is None and border.may_begin_at(begin_ms)
        return not stream.waits_for_cut and not may_begin

    def _take_fragment(self, fragment: Fragment) -> EndOfRecording | AtHead | None:
        session, now_ms = self._session, self._clock.now_ms()
        passed = None if self._listed is None else session.end.behind_listed(fragment.number)
        if passed is not None:
            return self._at_listed(passed)
        accepted = session.stream.accept(fragment)
        if fragment.millis_behind_now is not None:
            self._behind_ms = fragment.millis_behind_now
        if accepted.is_new:
            self._new_fragments += 1
            if not session.end.is_readable:
                self._listened()
            self._quiet_since_s = self._clock.monotonic()
        if accepted.before is not None:
            # It stands in front, and its audio may end where the fragment begins.
            before = AcceptedFragment(accepted.before, accepted.is_new, now_ms, self._reach(accepted.before))
            ended = self._record(before)
            if ended is not None:
                return ended
        found = self._reach(fragment)
        if found is None and session.border.held.behind is None:
            added = session.recording.add(fragment)
            session.frames = session.recording.take()
            session.live.confirm((added,))
            return self._judge(added.decisions, is_new=accepted.is_new, now_ms=now_ms)
        return self._record(AcceptedFragment(fragment, accepted.is_new, now_ms, found))

    def _reach(self, fragment: Fragment) -> Break | None:
        """Return the break before a fragment, where a later streaming may begin."""
        session = self._session
        had_begun = session.border.has_begun
        found = session.border.reach(fragment)
        if not had_begun:
            session.recording.keep_within(session.border.bounds)
        return found

    def _record(self, event: HeldEvent) -> EndOfRecording | None:
        """Record an event of the stream, or hold it while a break before it is open."""
        held = self._session.border.held
        held.append(event)
        if held.behind is None:
            return self._record_held()
        if isinstance(event, AcceptedFragment):
            self._session.live.foresee([event.fragment])
        return None

    def _record_held(self) -> EndOfRecording | None:
        """Record the held events, in order, up to the next open break."""
        session, held = self._session, self._session.border.held
        was_open = held.behind is not None
        added: list[Added] = []
        ended: EndOfRecording | None = None
        while held and ended is None and self._is_settled():
            match held.pop():
                case AcceptedFragment(fragment, is_new, at_ms, _):
                    added.append(session.recording.add(fragment))
                    ended = self._judge(added[-1].decisions, is_new=is_new, now_ms=at_ms)
                case BytesLost() as lost:
                    session.recording.lose(lost)
                case InBandErrors(errors, number, _):
                    session.recording.report(errors, number)
        if ended is not None:
            held.clear()
        if added:
            session.frames = session.recording.take()
            session.live.confirm(added)
        if held and (added or not was_open):
            session.live.foresee([event.fragment for event in held if isinstance(event, AcceptedFragment)])
        return ended

    def _is_settled(self) -> bool:
        """Return True if it is known whose the first held event is. Else its break is open until the next look."""
        session, held = self._session, self._session.border.held
        first, behind = held.first(), held.behind
        if not isinstance(first, AcceptedFragment):
            return True
        found = first.found if behind is None else behind.found
        came_ms = arrival_ms(first.fragment, first.at_ms) if behind is None else behind.came_ms
        held.behind = None
        if found is not None and session.border.bounds.until is None:
            side = session.border.ask(found, came_ms=came_ms, now_ms=self._clock.now_ms())
            if isinstance(side, AskAgain):
                held.behind = OpenBreak(found, came_ms, self._clock.monotonic() + side.in_s)
                return False
            if isinstance(side, Theirs):
                until_ms = found.begin_ms
                self._ports.logger.info("later streaming of the contact begins", extra={"until_ms": until_ms})
        session.recording.keep_within(session.border.bounds)
        return True

    def _settle_break(self) -> bool:
        """The recording is to end: wait until no break is open. False if the deadline comes first."""
        held = self._session.border.held
        while held.behind is not None:
            if self._left_s() <= 0:
                return False
            if self._clock.monotonic() >= held.behind.due_s:
                self._record_held()
            else:
                self._pause()
        return True

    def _pause(self) -> None:
        """Sleep a little while an open break keeps the step from reading."""
        behind, session = self._session.border.held.behind, self._session
        if behind is not None:
            session.live.interrupt_overdue()
            due_s = behind.due_s - self._clock.monotonic()
            self._clock.sleep(max(0.0, min(due_s, self._left_s(), _LONGEST_PAUSE_S)))

    def _judge(self, decisions: Sequence[Decision], *, is_new: bool, now_ms: int) -> EndOfRecording | None:
        """Note what a fragment says about the end of the call.

        Args:
            decisions: on it, and on fragments that waited for it.
            is_new: no step has read it before. Audio that was read before is no sign that the call goes on.
            now_ms: when it arrived; wall clock, ms since the epoch.
        """
        session = self._session
        ours_end_ms = session.recording.end_ms
        for fragment, verdict, _ in decisions:
            cause = _CAUSES.get(verdict)
            if verdict.admitted and is_new:
                session.end.audio(now_ms)
                session.stream.audio_came()
            elif cause is not None and ours_end_ms is not None:
                begin_ms = start_ms(fragment)
                ended = session.end.other_audio(cause, None if begin_ms is None else begin_ms - ours_end_ms, now_ms)
                if ended is not None:
                    return ended
        # The first fragments behind a long wait are old, and audio of our contact may follow them.
        reading_since_s = max(self._began_s, session.stream.opened_s or 0.0)
        reads_long = self._clock.monotonic() - reading_since_s >= self._ports.policy.drain
        return self._decide(is_exhausted=True) if is_new and reads_long else None

    def _look_around(self) -> EndOfRecording | AtHead | Wait | None:
        """The connection is over: ask whether the call is too, else wait, suspended or with a pause."""
        session, end, policy = self._session, self._session.end, self._ports.policy
        self._met_silence = True
        if self._listed is not None:
            return self._look_for_listed(self._listed)
        now_ms = self._clock.now_ms()
        end.quiet(now_ms)
        if end.wants_status(now_ms):
            end.connect_says(self._contact(now_ms), now_ms)
        ended = self._decide(is_exhausted=session.stream.is_exhausted)
        if ended is not None:
            return ended
        quiet_s = self._clock.monotonic() - self._quiet_since_s
        is_open = session.border.held.behind is not None
        # A place that fails in each invocation puts the observation off: suspended before it, the call would never end.
        may_be_seen = end.is_readable and not self._is_observed()
        is_patient = quiet_s >= policy.patience and not may_be_seen
        if end.cause is None and is_patient and not is_open and self._may_suspend():
            return Wait(self._wait_s())
        session.stream.back_off(self._left_s())
        return None

    def _contact(self, now_ms: int) -> ContactAnswer:
        """Return what is known about the contact: an announced end, else Connect's answer."""
        ends, request = self._ports.ends, self._ports.request
        if ends is not None:
            try:
                ended_ms = ends.ended_ms(request.contact_id)
            except StorageError:
                ended_ms = None
            if ended_ms is not None:
                return ContactAnswer(ContactState.DISCONNECTED, ended_ms=ended_ms)
            if self._session.end.silent_s(now_ms) < _ASK_AFTER_S:
                return ContactAnswer(ContactState.UNKNOWN)
        return self._ports.status.describe(
            request.instance_id,
            request.contact_id,
            stream_arn=request.stream_arn,
            start_fragment=request.start_fragment_number,
        )

    def _at_listed(self, end: EndOfRecording) -> EndOfRecording | AtHead:
        """Return the end by the listing, unless the call may go on behind the fragment that it names."""
        return AtHead() if self._listed is not None and not self._listed.is_end else end

    def _look_for_listed(self, listed: ListedEnd) -> EndOfRecording | AtHead | None:
        """The connection is over before the last fragment that the listing names: read again, or give it up."""
        stream = self._session.stream
        if self._session.end.is_readable and stream.fruitless >= _MOST_FRUITLESS:
            return self._at_listed(without(listed))
        ended = self._decide(is_exhausted=stream.is_exhausted)
        if ended is None:
            stream.back_off(self._left_s())
        return ended

    def _decide(self, *, is_exhausted: bool) -> EndOfRecording | None:
        """Ask whether the call is over.

        Args:
            is_exhausted: the stream has been read to its end in vain.
        """
        stream = self._session.stream
        if self._session.border.held.behind is not None:
            return None
        # An earlier invocation has seen these fragments, so silence before they come again is no end.
        expects_known = stream.is_kept and stream.lacks_known
        return self._session.end.decide(
            self._clock.now_ms(),
            observed=self._is_observed(),
            read_to_end=is_exhausted and not expects_known,
            last_admitted=self._session.recording.last_admitted,
        )

    def _is_observed(self) -> bool:
        """Return True if this invocation has watched the stream long enough for silence to mean anything."""
        return self._session.stream.observed_s >= (self._session.least_observation_s or 0.0)

    def _may_suspend(self) -> bool:
        """Return True if a fresh invocation can go on here without a loss, and the engine's quota allows it."""
        session = self._session
        if session.counts.hand_overs >= _MOST_SUSPENSIONS:
            return False
        # A fresh invocation reads everything behind the cursor again, and a stream without retention may not have it.
        return session.stream.is_kept or session.stream.stands_at(session.recording.cursor().fragment)

    def _wait_s(self) -> int:
        """Length of the next suspension: twice as long with each one in a row without a new fragment, s."""
        waits = 0 if self._new_fragments else self._session.counts.waits
        longest = _LONGEST_WAIT_S if self._session.stream.is_kept else _NO_RETENTION_WAIT_S
        return max(1, min(longest, _FIRST_WAIT_S << min(waits, _MOST_DOUBLINGS)))

    def _settle(self, ending: EndOfRecording) -> None:
        """The call is over: record the fragments that waited for its end, and settle everything."""
        session = self._session
        session.ending = ending
        is_listed = ending.reason is EndReason.ARCHIVE_END and self._listed is not None and self._listed.is_quiet
        is_silent = ending.reason in _SILENT_ENDS and session.stream.met_silence
        is_silent = is_silent or (is_listed and not ending.shortcomings)
        how = StreamEnd.SILENT if is_silent else StreamEnd.UNREAD
        session.stream.close()
        cut = session.stream.give_up_cut()
        added = [] if cut is None else [session.recording.add(cut)]
        added.append(session.recording.end(how))
        session.frames = session.recording.take()
        session.live.end(added)

    def _end_with_part(self) -> StepResult:
        session = self._session
        number, size = session.parts.state.number, session.parts.size
        part = session.parts.upload(self._number, session.recording.crc32)
        # Once the call is over the rest is in memory: a fresh invocation would have to wait for the end again.
        is_late = session.ending is None and self._clock.monotonic() >= self._budget.roomy_until
        self._ports.logger.info("part recorded", extra={"part": number, "bytes": size, "hand_over": is_late})
        return self._result(HandOver() if is_late else PartDone(), part, has_part=True)

    def _end_staged(self, following: Next) -> StepResult:
        """End without a full part: what is settled becomes durable as it is."""
        self._session.parts.stage(self._number)
        return self._result(following, None, has_part=False)

    def _result(self, following: Next, part: UploadedPart | None, *, has_part: bool) -> StepResult:
        session = self._session
        counts = self._counts(following, moved=bool(self._new_fragments) or has_part)
        if counts.stalls >= self._ports.policy.max_stalls:
            detail = (
                f"{counts.stalls} invocations in a row ended before a fragment was read; raise the function's Timeout"
            )
            following = Over(EndOfRecording(EndReason.RECORDER_FAILED, (Reason("NO_PROGRESS", detail),)))
            session.live.give_up()
        if isinstance(following, Over):
            reasons = dict.fromkeys((*following.end.shortcomings, *session.stream.shortcomings()))
            following = Over(EndOfRecording(following.end.reason, tuple(reasons)))
        live = self._save_live(following)
        session.counts = counts
        return StepResult(
            next=following,
            checkpoint=session.checkpoint(counts, live.state),
            part=part,
            notes_key=self._put_notes(),
            behind_ms=self._behind_ms,
            repairs=self._repairs,
            live_lag_s=live.lag_s,
        )

    def _counts(self, following: Next, *, moved: bool) -> StepCounts:
        counts = self._session.counts
        waits = (0 if moved else counts.waits) + isinstance(following, Wait)
        stalls = 0 if moved or self._met_silence else counts.stalls + isinstance(following, HandOver)
        hand_overs = counts.hand_overs + isinstance(following, HandOver | Wait | AtHead)
        return StepCounts(steps=self._number, hand_overs=hand_overs, waits=waits, stalls=stalls)

    def _save_live(self, following: Next) -> LiveSaved:
        live, frames = self._session.live, self._session.recording.taken
        if isinstance(following, PartDone):
            return live.save(frames, self._live_key)
        return live.finish(frames, None if isinstance(following, Over) else self._live_key)

    def _live_key(self) -> str:
        return self._ports.names.live_tail(self._number, self._ports.attempt_name())

    def _put_notes(self) -> str | None:
        """Keep the gaps and errors that this step found in an object of their own."""
        recording = self._session.recording
        notes = recording.take_notes()
        if not notes:
            return None
        key = self._ports.names.notes(self._number, self._ports.attempt_name())
        log = NoteLog().extended(notes, recording.rate)
        body = json.dumps(log.to_json()).encode()
        self._ports.store.put(key, body, ObjectKind("application/json", lifetime=Lifetime.TEMPORARY))
        return key

    def _left_s(self) -> float:
        return self._budget.deadline - self._clock.monotonic()

    @property
    def _number(self) -> int:
        """Number of this record step, from 1."""
        return self._session.counts.steps + 1


_SILENT_ENDS: Final = frozenset(
    {
        EndReason.DISCONNECTED,
        EndReason.IDLE,
        EndReason.OTHER_CONTACT,
        EndReason.OTHER_STREAMING,
        EndReason.STREAMING_STOPPED,
    }
)
"""Ends that silence decides, if the stream was read to its head. Another end leaves the rest of the stream unread."""

_CAUSES: Final = {
    Verdict.OTHER: EndReason.OTHER_CONTACT,
    Verdict.OTHER_STREAMING: EndReason.OTHER_STREAMING,
}
"""Verdicts on audio behind the recording's that make the call seem over."""
