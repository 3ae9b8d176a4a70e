"""One record step: GetMedia through the core into at most one part, from a checkpoint to the next.

Socket errors and ends of body are handled inside the step; a failing S3 is raised for the engine's retry. A step ends
with a whole part, at the invocation's deadline, when nothing comes any more, or with the end of the call, and never
without having made its settled audio durable.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from aws_lambda_powertools import Logger

from connect_audio.core.admission import Decision, Verdict, end_ms, start_ms
from connect_audio.core.errors import MediaSourceError, StreamError
from connect_audio.core.fragments import NEED_DATA, Block, BytesLost, Completion, Fragment
from connect_audio.core.in_band import Remedy
from connect_audio.core.manifest import EndReason, NoteLog, Reason
from connect_audio.live import LiveState
from connect_audio.ports import (
    Clock,
    ContactState,
    ContactStatus,
    FromProducerTime,
    MediaSource,
    MediaStream,
    PartStore,
    UploadedPart,
)
from connect_audio.recorder.checkpoint import (
    Checkpoint,
    Staged,
    StepResult,
    StepVerdict,
)
from connect_audio.recorder.live_guard import GuardedLiveAudio, LiveWanted
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.policy import Policy
from connect_audio.recorder.publication import WAV_CONTENT_TYPE, object_metadata
from connect_audio.recorder.session import Ending, Session
from connect_audio.request import RecordingRequest

_FIRST_WAIT_S: Final = 10
_STREAMINGS_POLL_S: Final = 3.0
_NO_RETENTION_WAIT_S: Final = 60
"""A stream that keeps nothing buffers 5 minutes: look well before they are over."""

_SKIP_MS: Final = 200
"""So much further reading goes on where the next fragment is gone: what is shorter may be jumped over with it."""
_SMALL_SKIPS: Final = 25
"""After five seconds the step doubles, or hours that are gone would take hours to pass."""
_SKIP_PAUSE_S: Final = 0.25
"""GetMedia may be called five times a second."""
_AT_HEAD_S: Final = 0.5
"""A read that waits so long has come to the end of what the stream has: what lies in store comes without a pause."""
_NO_RETENTION_KEEPS_S: Final = 270
"""Less than the 5 minutes: what was not read for so long may be gone."""
_LEAST_REFUSALS: Final = 6
"""So often, with growing pauses, a fresh invocation asks before it takes a refusal for final."""

_LAST_VERDICTS: Final = frozenset({StepVerdict.HAND_OVER, StepVerdict.WAIT, StepVerdict.OVER})
"""After these the invocation ends, or nothing more is recorded in it."""

_LONGEST_STEP_NS: Final = 250_000_000
"""Between two blocks of a track, in a fragment that is damaged: a longer one is rather a damaged time than a pause."""

_MOST_SUSPENSIONS: Final = 300
"""Beyond so many, quiet is waited out in the invocation: 47 hours make 1410 parts and 188 hand-overs, and with two
operations for each suspension the execution stays within the 2400 operations that ADR 1 plans."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Time left to a step, by the clock's monotonic seconds.

    Args:
        deadline: when the step must have begun to end.
        roomy_until: a step that ends later than this hands over rather than let another begin.
    """

    deadline: float
    roomy_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderPorts:
    """What a recorder works with.

    Args:
        request: what to record.
        names: the recording's keys.
        execution: who records, for the upload's metadata.
        source: the stream.
        store: the bucket.
        status: Connect's word on the contact.
        clock: wall time.
        policy: durations and limits.
        logger: for ids and numbers, never personal data.
        attempt_name: makes the name of one attempt of a step; random, since no two may write the same object.
        jitter: returns 0 to 1, for backoff.
        live: the call's live audio; None for none.
    """

    request: RecordingRequest
    names: RecordingNames
    execution: str
    source: MediaSource
    store: PartStore
    status: ContactStatus
    clock: Clock
    policy: Policy
    logger: Logger
    attempt_name: Callable[[], str] = lambda: secrets.token_hex(4)
    jitter: Callable[[], float] = random.random
    live: LiveWanted | None = None


class Recorder:
    """Record one call, step by step. A context manager: leaving it closes the connection and stops the sinks."""

    def __init__(self, ports: RecorderPorts) -> None:
        self._with = ports
        self._session: Session | None = None
        self._failed_sinks: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if one is open, and stop the sinks of live audio."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
            if session.live is not None:
                self._failed_sinks.update(session.live.failures)

    def record(self, checkpoint: Checkpoint, budget: Budget) -> StepResult:
        """Run one step.

        Args:
            checkpoint: where the recording stands.
            budget: the time there is.

        Raises:
            StorageError: S3 failed; the engine runs the step again from the same checkpoint.
        """
        session = self._session
        if session is None or session.checkpoint != checkpoint:
            self.close()
            session = self._session = self._resume(checkpoint)
        session.checkpoint = None
        result = _Step(self._with, session, checkpoint, budget).run()
        session.checkpoint = result.checkpoint
        if result.verdict is StepVerdict.OVER or (session.live is not None and result.verdict in _LAST_VERDICTS):
            # Publishing needs the memory of the part in the making, and sinks live for one invocation.
            self.close()
        return result

    def _resume(self, checkpoint: Checkpoint) -> Session:
        ports = self._with
        staged = b"" if checkpoint.staged is None else ports.store.get(checkpoint.staged.key)
        session = Session(
            checkpoint,
            staged,
            contact_id=ports.request.contact_id,
            start=FromProducerTime(ports.request.start_timestamp_ms - ports.policy.early_ms),
            policy=ports.policy,
            hears=ports.live is not None,
        )
        if ports.live is not None:
            session.live = GuardedLiveAudio(
                ports.live.make,
                session.recording,
                # A step that failed could not note which sinks did.
                (checkpoint.live or LiveState()).with_failed(self._failed_sinks),
                store=ports.live.store,
                logger=ports.logger,
            )
        return session


class _Step:
    """The run of one step over a session.

    Its methods that read return None to go on, or the verdict that ends the step.
    """

    def __init__(self, ports: RecorderPorts, session: Session, checkpoint: Checkpoint, budget: Budget) -> None:
        self._with = ports
        self._session = session
        self._before = checkpoint
        self._budget = budget
        self._other_streamings = OtherStreamings(ports.request, ports.names, ports.store)
        self._clock = ports.clock
        self._policy = ports.policy
        self._behind_ms: int | None = None
        self._repairs = 0
        self._progress = 0  # fragments completed in this step that no step had completed before
        self._newest = -1 if checkpoint.newest is None else int(checkpoint.newest)
        self._caught_up = False  # whether this step has come to the end of what there was
        self._quiet_since = self._clock.monotonic()
        self._reading_since = self._quiet_since  # when this connection was opened, or this step began
        self._fruitless = 0  # connections in a row that completed no fragment
        self._refusals = 0  # connections in a row that were denied as only a human could mend
        if session.listening_since is None:
            session.listening_since = self._quiet_since
            # What an invocation cannot hold twice over is never asked for, or a short one would not see the end.
            half = max(0.0, budget.deadline - self._quiet_since) / 2
            session.enough_listening = min(self._policy.drain, self._policy.patience, half)
        self._resumes = checkpoint.resumes
        self._heard_ms = checkpoint.heard_ms or self._clock.now_ms()
        self._asked_ms = checkpoint.asked_ms
        self._refused_ms = checkpoint.refused_ms
        self._denied_ms = checkpoint.denied_ms
        self._refused_code = checkpoint.refused_code
        self._drain = checkpoint.drain_reason
        self._drain_ms = checkpoint.drain_ms or 0
        self._read_to_ms = checkpoint.read_to_ms
        self._unread_s = checkpoint.unread_s
        self._passed_over = checkpoint.passed_over
        self._until_ms = checkpoint.until_ms
        self._ours_until_ms = checkpoint.ours_until_ms

    def run(self) -> StepResult:
        """Read until the step ends."""
        while True:
            if self._fill_part():
                return self._end_with_part()
            if self._session.ending is not None:
                return self._end_staged(StepVerdict.OVER)
            verdict = self._advance()
            if verdict is StepVerdict.OVER:
                self._settle_call()
            elif verdict is not None:
                return self._end_staged(verdict)

    # Audio out.

    def _fill_part(self) -> bool:
        """Move settled frames into the part in the making; tell whether it is whole."""
        session = self._session
        rate = session.recording.rate
        if rate is None:
            return False
        most = self._policy.most_part_bytes(rate)
        for frames in session.frames:
            session.part += frames
            if len(session.part) >= most:
                return True
        return len(session.part) >= self._policy.full_part_bytes(rate)

    def _settle_call(self) -> None:
        """The call is over: take what only its end makes ours, and settle everything."""
        session = self._session
        session.close_stream()
        if session.provisional is not None:
            session.recording.add(session.provisional)
            session.provisional = None
        session.recording.end()
        session.frames = session.recording.take()
        if session.live is not None:
            session.live.end(settled=True)

    def _end_with_part(self) -> StepResult:
        session, before, store = self._session, self._before, self._with.store
        body = bytes(session.part)
        uploaded: UploadedPart | None = None
        first, upload_id = before.first, before.upload_id
        if before.part == 1:
            # Its header needs the call's length, so it waits beside the recording and goes up last.
            first = self._stage(body)
        else:
            upload_id = upload_id or store.open_upload(
                self._with.names.key,
                content_type=WAV_CONTENT_TYPE,
                metadata=object_metadata(self._with.request, self._with.execution),
            )
            uploaded = store.upload_part(self._with.names.key, upload_id, before.part, body)
        after = replace(
            before,
            cursor=session.recording.cursor(),
            part=before.part + 1,
            staged=None,
            first=first,
            upload_id=upload_id,
        )
        session.part.clear()
        # Once the call is over, what is left is in memory: a fresh invocation would have to wait for the end again.
        late = session.ending is None and self._clock.monotonic() >= self._budget.roomy_until
        self._with.logger.info("part recorded", extra={"part": before.part, "bytes": len(body), "hand_over": late})
        return self._result(StepVerdict.HAND_OVER if late else StepVerdict.CONTINUE, after, uploaded)

    def _end_staged(self, verdict: StepVerdict) -> StepResult:
        """End without a whole part: what is settled becomes durable as it is."""
        session, before = self._session, self._before
        staged = before.staged
        if len(session.part) != (staged.size if staged else 0):
            staged = self._stage(bytes(session.part))
        after = replace(before, cursor=session.recording.cursor(), staged=staged)
        return self._result(verdict, after, None)

    def _stage(self, body: bytes) -> Staged:
        key = self._with.names.staged_part(self._before.part, self._before.steps + 1, self._with.attempt_name())
        self._with.store.put(key, body, content_type="application/octet-stream")
        return Staged(key=key, size=len(body))

    def _result(self, verdict: StepVerdict, after: Checkpoint, part: UploadedPart | None) -> StepResult:
        moved = bool(self._progress) or part is not None or after.part > self._before.part
        waits = (0 if moved else after.waits) + (verdict is StepVerdict.WAIT)
        stalls = 0 if moved or self._caught_up else after.stalls + (verdict is StepVerdict.HAND_OVER)
        after = replace(
            after,
            steps=after.steps + 1,
            resumes=self._resumes,
            hand_overs=after.hand_overs + (verdict in {StepVerdict.HAND_OVER, StepVerdict.WAIT}),
            waits=waits,
            stalls=stalls,
            newest=None if self._newest < 0 else str(self._newest),
            heard_ms=self._heard_ms,
            asked_ms=self._asked_ms,
            refused_ms=self._refused_ms,
            denied_ms=self._denied_ms,
            refused_code=self._refused_code,
            drain_reason=self._drain,
            drain_ms=None if self._drain is None else self._drain_ms,
            read_to_ms=self._read_to_ms,
            unread_s=self._unread_s,
            passed_over=self._passed_over,
            until_ms=self._until_ms,
            ours_until_ms=self._ours_until_ms,
        )
        ending = self._session.ending if verdict is StepVerdict.OVER else None
        if stalls >= self._policy.max_stalls:
            verdict = StepVerdict.OVER
            detail = f"{stalls} invocations in a row ended before a fragment was read; raise the function's Timeout"
            ending = Ending(EndReason.RECORDER_FAILED, (Reason("NO_PROGRESS", detail),))
            if self._session.live is not None:
                self._session.live.end(settled=False)
        live, lag_s = self._session.live, 0.0
        if live is not None:
            over = verdict is StepVerdict.OVER
            key = None if over else self._with.names.live_tail(self._before.steps + 1, self._with.attempt_name())
            state, lag_s = live.save(after.cursor.frames, key, last=verdict in _LAST_VERDICTS)
            after = replace(after, live=state)
        return StepResult(
            verdict=verdict,
            checkpoint=after,
            part=part,
            notes_key=self._put_notes(),
            wait_seconds=self._wait_seconds(waits) if verdict is StepVerdict.WAIT else 0,
            end_reason=ending.reason if ending else None,
            reasons=(*ending.shortcomings, *self._forgotten()) if ending else (),
            behind_ms=self._behind_ms,
            repairs=self._repairs,
            live_lag_s=lag_s,
        )

    def _forgotten(self) -> tuple[Reason, ...]:
        """Why audio may have come and be gone, where the fragments' numbers need not tell."""
        if self._passed_over:
            detail = "the stream reported fragments as not found, again and again"
        elif self._lacks_known():
            detail = "fragments that an earlier invocation had read, and not yet settled, could not be read again"
        elif self._unread_s:
            detail = f"the stream was not read for {self._unread_s} s, and is not known to keep anything for so long"
        else:
            return ()
        return (Reason("STREAM_FORGOT", detail),)

    def _lacks_known(self) -> bool:
        """Whether fragments that were read before have not come again."""
        position = self._session.position
        return self._newest > (-1 if position is None else int(position))

    def _put_notes(self) -> str | None:
        notes = self._session.recording.take_notes()
        if not notes:
            return None
        key = self._with.names.notes(self._before.steps + 1, self._with.attempt_name())
        log = NoteLog().extended(notes, self._session.recording.rate)
        self._with.store.put(key, json.dumps(log.to_json()).encode(), content_type="application/json")
        return key

    def _wait_seconds(self, waits: int) -> int:
        longest = self._policy.longest_wait if self._is_kept() else min(self._policy.longest_wait, _NO_RETENTION_WAIT_S)
        return max(1, min(longest, _FIRST_WAIT_S << min(max(waits - 1, 0), 10)))

    def _is_kept(self) -> bool:
        """Whether the stream is known to keep what it has for an hour at least."""
        return (self._before.retention_hours or 0) >= 1

    # Bytes in.

    def _advance(self) -> StepVerdict | None:
        """Take one event, or read some bytes."""
        session = self._session
        if session.live is not None:
            session.live.interrupt_overdue()
        if self._clock.monotonic() >= self._budget.deadline:
            return StepVerdict.HAND_OVER
        if session.recording.full:
            return self._over(EndReason.RECORDING_LIMIT)
        stream = session.stream
        if stream is None:
            return self._open()
        try:
            event = session.reader.next_event()
        except StreamError as error:
            return self._malformed(error)
        if event is NEED_DATA:
            if session.live is not None:
                session.live.look(session.reader.open, allowed=self._may_preview)
            return self._read(stream)
        if isinstance(event, Fragment):
            return self._take_fragment(event)
        if isinstance(event, BytesLost):
            self._lose(event)
            return None
        return self._quiet("end of body")

    def _may_preview(self, start: int) -> bool:
        """Whether nothing but its own end can speak against a fragment that begins at a time, ms since the epoch."""
        return self._session.provisional is None and not self._is_behind_pause(start)

    def _open(self) -> StepVerdict | None:
        try:
            self._session.open(self._with.source)
        except MediaSourceError as error:
            return self._refused(error)
        now_ms = self._clock.now_ms()
        unread_s = (now_ms - (self._read_to_ms or now_ms)) // 1000
        if unread_s >= _NO_RETENTION_KEEPS_S and not self._is_kept():
            self._unread_s = max(self._unread_s, unread_s)
        self._reading_since = self._clock.monotonic()
        if self._refused_code is not None:
            # While the stream could not be read its silence meant nothing.
            self._session.listening_since = self._reading_since
        self._refused_ms = self._denied_ms = self._refused_code = None
        self._refusals = 0
        return None

    def _read(self, stream: MediaStream) -> StepVerdict | None:
        asked = self._clock.monotonic()
        try:
            data = stream.read()
        except MediaSourceError as error:
            self._reached_head(asked)
            return self._broken_off(error)
        self._reached_head(asked)
        self._session.reader.receive_data(data)
        return None

    def _broken_off(self, error: MediaSourceError) -> StepVerdict | None:
        """The connection stalls or breaks: no more will come of it, so what there is counts as at the end of a body."""
        session = self._session
        session.reader.receive_data(b"")
        try:
            event = session.reader.next_event()
        except StreamError as malformed:
            return self._malformed(malformed)
        if isinstance(event, BytesLost):
            # There was no next document to be found: what was passed over is lost all the same.
            self._lose(event)
        elif isinstance(event, Fragment) and event.blocks and not session.salvaging:
            self._hold(event)
        return self._quiet(error.code)

    def _lose(self, lost: BytesLost) -> None:
        """Count bytes that were passed over, once for each place, however often it is read."""
        session = self._session
        place = (session.position, session.errors_met)
        if session.salvaging and session.lost_at != place:
            session.recording.lose(lost)
            session.lost_at = place
            self._repairs += 1
        session.salvaging = False

    def _reached_head(self, asked: float) -> None:
        """Where a read had to wait between fragments, all that there was has been read; within one it is a stall."""
        waited_s = self._clock.monotonic() - asked
        if waited_s >= _AT_HEAD_S and not self._session.reader.midway:
            self._read_to_ms = self._clock.now_ms() - round(waited_s * 1000)

    def _malformed(self, error: StreamError) -> StepVerdict | None:
        """Read the fragment again; where it is malformed again, look for the next document and count the loss.

        What has no number is met again with each connection, and what is broken behind it has its second chance too.
        """
        session = self._session
        if session.malformed_after != (session.position,):
            session.malformed_after = (session.position,)
            session.errors_met = session.errors_known = 0
            session.suspicious = False
        session.errors_met += 1
        if session.errors_met > session.errors_known:
            if not session.suspicious:
                session.suspicious = True
                return self._quiet(type(error).__name__)
            session.errors_known, session.suspicious = session.errors_met, False
            self._with.logger.warning("malformed twice, looking for the next fragment", extra={"offset": error.offset})
        session.salvaging = True
        session.reader.resynchronise(str(error))
        return None

    def _take_fragment(self, fragment: Fragment) -> StepVerdict | None:
        session = self._session
        if fragment.completion is Completion.TRUNCATED:
            if not session.salvaging:
                self._hold(fragment)
                return None
            fragment = replace(fragment, blocks=_before_damage(fragment.blocks))
        elif fragment.completion is not Completion.TOKEN or not fragment.blocks:
            worst = next((error for error in fragment.errors if error.remedy is not Remedy.FRAGMENT_GONE), None)
            if worst is not None:
                session.recording.report(fragment.errors, fragment.number)
                if worst.remedy is Remedy.HUMAN:
                    detail = f"KVS reports {worst.code} inside the stream: {worst.meaning}"
                    return self._over(EndReason.SOURCE_FAILED, Reason("IN_BAND_ERROR", detail))
                return self._quiet(f"in-band error {worst.code}")
            if fragment.errors and not fragment.blocks:
                self._pass_over(fragment)
                return None
            if fragment.completion is Completion.END_OF_BODY:
                # Whole as far as its bytes tell, but a live body may have been cut here.
                self._hold(fragment)
                return None
        if fragment.number is not None and fragment.number == session.position:
            return None
        if not self._tell_streamings_apart(fragment):
            session.close_stream()
            return StepVerdict.HAND_OVER
        decisions: list[Decision] = []
        number = -1 if fragment.number is None else int(fragment.number)
        held = session.provisional
        if held is not None and number >= int(held.number or -1):
            session.provisional = None
            if held.number != fragment.number:
                # Reading began before it, and it did not come: the stream keeps it no more.
                decisions += session.recording.add(held)
        session.position = fragment.number or session.position
        if fragment.millis_behind_now is not None:
            self._behind_ms = fragment.millis_behind_now
        new = number > self._newest
        if new:
            self._newest = number
            self._progress += 1
            self._fruitless = 0
            self._quiet_since = self._clock.monotonic()
            came_ms = fragment.server_timestamp_ms or fragment.producer_timestamp_ms or 0
            self._read_to_ms = max(self._read_to_ms or 0, min(came_ms, self._clock.now_ms()))
        session.reached(end_ms(fragment) or fragment.producer_timestamp_ms)
        decisions += session.recording.add(fragment)
        session.frames = session.recording.take()
        if session.live is not None:
            session.live.confirm()
        return self._judge(decisions, new=new)

    def _pass_over(self, fragment: Fragment) -> None:
        """KVS says that the next fragment is gone. Asked again, go on behind it; there is no saying how long it was."""
        session = self._session
        session.recording.report(fragment.errors, fragment.number)
        session.gone += 1
        if session.gone > 1:
            reached_ms = session.reached_ms or session.recording.end_ms or self._with.request.start_timestamp_ms
            tries = session.gone - 1
            skip_ms = _SKIP_MS * (tries if tries <= _SMALL_SKIPS else _SMALL_SKIPS << min(tries - _SMALL_SKIPS, 16))
            now_ms = self._clock.now_ms()
            session.skip_ms = min(reached_ms + skip_ms, now_ms)
            self._passed_over += 1
            if session.skip_ms < now_ms:
                # This gets on, and is no silence.
                self._fruitless = 0
                session.listening_since = self._clock.monotonic()
                self._clock.sleep(_SKIP_PAUSE_S)
            self._with.logger.warning("a fragment is gone from the stream", extra={"after": session.position})

    def _hold(self, fragment: Fragment) -> None:
        """Keep a fragment that the end of a body may have cut: it is read again, and counts only if it never comes."""
        session = self._session
        held = session.provisional
        if fragment.number is None or fragment.number == session.position:
            return
        if held is None or held.number != fragment.number or len(held.blocks) <= len(fragment.blocks):
            session.provisional = fragment

    def _tell_streamings_apart(self, fragment: Fragment) -> bool:
        """Behind a pause in our audio, look whether a later streaming of the same contact begins here.

        Its recording, started by the flow, may appear some seconds after its audio: what is too young is waited for.

        Returns:
            False where the deadline came first: the fragment is to be read again.
        """
        start, ours_end = start_ms(fragment), self._session.recording.end_ms
        if (
            start is None
            or ours_end is None
            or fragment.contact_ids != (self._with.request.contact_id,)
            or not self._is_behind_pause(start)
        ):
            return True
        # KVS's clock may be ahead of ours: never wait longer than for a fragment that came just now.
        came_ms = min(fragment.server_timestamp_ms or start, self._clock.now_ms())
        old_enough_ms = came_ms + round(self._policy.streaming_grace * 1000)
        while True:
            later = self._other_streamings.first_after(start + self._policy.early_ms)
            if later is not None and later > ours_end:
                # A start lies near its first fragment, not at it: the pause is the border.
                self._until_ms = min(later, start)
                self._session.recording.stop_before(self._until_ms)
                self._with.logger.info("a later streaming of the contact begins", extra={"until_ms": self._until_ms})
                return True
            missing_s = (old_enough_ms - self._clock.now_ms()) / 1000
            if missing_s <= 0:
                self._ours_until_ms = start
                return True
            left_s = self._budget.deadline - self._clock.monotonic()
            if left_s <= 0:
                return False
            self._clock.sleep(min(_STREAMINGS_POLL_S, missing_s, left_s))

    def _is_behind_pause(self, start: int) -> bool:
        """Whether a later streaming of the contact might begin here, ms since the epoch, and nobody has looked yet."""
        ours_end = self._session.recording.end_ms
        return (
            ours_end is not None
            and start - ours_end >= self._policy.streaming_gap_ms
            and start > (self._ours_until_ms or 0)
            and self._until_ms is None
        )

    # Is it over?

    def _judge(self, decisions: Sequence[Decision], *, new: bool) -> StepVerdict | None:
        """Note whether ours came, or somebody else's after ours.

        Fragments that were read before say nothing: every fresh invocation reads the newest ones again.
        """
        ours_end = self._session.recording.end_ms
        for fragment, verdict, _ in decisions:
            if verdict.admitted:
                if new:
                    self._heard_ms = self._clock.now_ms()
                    self._drain = None
                    self._unread_s = 0  # what may be missing before it, the fragments' numbers tell
            elif verdict in {Verdict.OTHER, Verdict.OTHER_STREAMING} and ours_end is not None:
                self._open_drain(EndReason.OTHER_CONTACT if verdict is Verdict.OTHER else EndReason.OTHER_STREAMING)
                start = start_ms(fragment)
                if start is not None and start - ours_end >= self._policy.drain * 1000:
                    # The stream itself shows so much time without us: no need to wait it out.
                    return self._over(self._drain or EndReason.OTHER_CONTACT)
        # Behind a long wait the stream's first fragments are old news, and ours may be the next.
        reading_s = self._clock.monotonic() - self._reading_since
        return self._silent_too_long(listening=True) if new and reading_s >= self._policy.drain else None

    def _open_drain(self, reason: EndReason) -> None:
        if self._drain is None:
            self._drain, self._drain_ms = reason, self._clock.now_ms()

    def _silent_too_long(self, *, listening: bool) -> StepVerdict | None:
        """Tell whether the call is over.

        Args:
            listening: whether the stream has been read to its end in vain, so that its silence means something.
        """
        now_ms = self._clock.now_ms()
        silent = (now_ms - self._heard_ms) / 1000
        if self._clock.monotonic() - (self._session.listening_since or 0.0) < self._session.enough_listening:
            # Nobody listened between a kill, or a wait, and this invocation's beginning.
            return None
        # What an earlier invocation has read is known to be there, so silence before it is no end.
        waiting = self._is_kept() and self._lacks_known()
        if self._drain is not None and listening and self._refused_code is None and not waiting:
            # A pause between invocations is no silence, so the drain begins with its cause.
            drained = (now_ms - max(self._heard_ms, self._drain_ms)) / 1000
            if drained >= self._policy.drain:
                return self._over(self._drain)
        if silent >= self._policy.idle_limit:
            if self._refused_code is None:
                return self._over(EndReason.IDLE)
            # The silence before the first refusal was silence, and what comes after it may be a passing throttle.
            if now_ms - (self._refused_ms or 0) >= self._policy.idle_limit * 1000:
                return self._source_failed(self._refused_code)
        return None

    def _source_failed(self, code: str) -> StepVerdict:
        return self._over(EndReason.SOURCE_FAILED, Reason("SOURCE_FAILED", f"the stream could not be read: {code}"))

    def _over(self, reason: EndReason, *shortcomings: Reason) -> StepVerdict:
        self._session.ending = Ending(reason, shortcomings)
        return StepVerdict.OVER

    def _quiet(self, cause: str) -> StepVerdict | None:
        """A body has ended, stalled or broken: a question, not an answer."""
        session = self._session
        session.close_stream()
        self._resumes += 1
        self._with.logger.debug("reading again", extra={"cause": cause, "after": session.position})
        return self._pause()

    def _refused(self, error: MediaSourceError) -> StepVerdict | None:
        """GetMedia could not be opened."""
        now_ms = self._clock.now_ms()
        if self._refused_code is None:
            self._refused_ms = now_ms
            self._with.logger.warning(
                "the stream cannot be read", extra={"code": error.code, "retryable": error.retryable}
            )
        self._refused_code = error.code
        self._refusals = 0 if error.retryable else self._refusals + 1
        if error.retryable:
            self._denied_ms = None
        elif self._denied_ms is None:
            self._denied_ms = now_ms
        elif now_ms - self._denied_ms >= self._policy.refusal_limit * 1000 and self._refusals >= _LEAST_REFUSALS:
            return self._source_failed(error.code)
        return self._pause()

    def _pause(self) -> StepVerdict | None:
        """Look whether the call is over; else suspend if it has been quiet for long, or wait a little."""
        self._caught_up = True
        self._ask_connect()
        verdict = self._silent_too_long(listening=self._fruitless > 0)
        if verdict is not None:
            return verdict
        quiet = self._clock.monotonic() - self._quiet_since
        if self._drain is None and quiet >= self._policy.patience and self._may_suspend():
            return StepVerdict.WAIT
        fruitless, self._fruitless = self._fruitless, self._fruitless + 1
        if fruitless:
            pause = min(self._policy.longest_backoff, self._policy.first_backoff * 2 ** min(fruitless - 1, 16))
            pause *= 0.5 + self._with.jitter() / 2
            self._clock.sleep(max(0.0, min(pause, self._budget.deadline - self._clock.monotonic())))
        return None

    def _may_suspend(self) -> bool:
        """Whether a fresh invocation can go on where this one stands, and the engine's quota allows it."""
        if self._before.hand_overs >= _MOST_SUSPENSIONS:
            return False
        # What lies beyond the cursor has to be read again, which a stream that keeps nothing may not allow.
        session = self._session
        return self._is_kept() or (
            session.provisional is None and session.recording.cursor().fragment == session.position
        )

    def _ask_connect(self) -> None:
        """Look at the contact's status, not too often; DISCONNECTED opens the drain."""
        now_ms = self._clock.now_ms()
        if self._drain is not None:
            return
        if self._asked_ms is not None and now_ms - self._asked_ms < self._policy.status_interval * 1000:
            return
        self._asked_ms = now_ms
        request = self._with.request
        if self._with.status.state(request.instance_id, request.contact_id) is ContactState.DISCONNECTED:
            self._open_drain(EndReason.DISCONNECTED)


def _before_damage(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks of a damaged fragment that may be believed.

    Where the damage began nobody knows: in the last block perhaps, whose time would then be wrong as well, or in an
    earlier one behind which a few more looked like blocks. Wrong times would cover what follows, so a track's times
    must go on without a leap.
    """
    reached: dict[int, int] = {}
    for index, block in enumerate(blocks):
        before = reached.get(block.track_number, block.time_ns)
        if not 0 <= block.time_ns - before <= _LONGEST_STEP_NS:
            return tuple(blocks[:index][:-1])
        reached[block.track_number] = block.time_ns
    return tuple(blocks[:-1])
