"""The call's stream, read for ever from a position: GetMedia is opened, read, and opened again behind the position.

How it works. The caller alternates two verbs. `next()` hands out what there is and never waits for bytes; None asks for
more of them. `read()` waits for bytes. Neither judges whether the call is over. Only `back_off()` and `nap()` sleep.
The events:

    Opened        a connection was opened
    Fragment      the next whole fragment. The position moves only when the caller accepts it, with `accept()`
    BytesLost     damaged bytes that were read twice; each loss comes once
    InBandErrors  errors that KVS reports inside the stream
    Quiet         the connection is over: it was silent, or it failed
    Denied        GetMedia could not be opened

A fragment that is damaged or cut gets its second reading here (`second_chance.py`). A place that no connection can read
is skipped (`skip.py`). The state has two parts. `ReadState` goes into the checkpoint. The connection, the position and
the second readings live for one invocation.
The next invocation begins at the cursor, and KVS gives everything behind it once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Final

from connect_audio.core.admission import end_ms
from connect_audio.core.cursor import Cursor
from connect_audio.core.errors import READ_TIMEOUT, MediaSourceError, StreamError
from connect_audio.core.fragment import missing_between
from connect_audio.core.fragments import NEED_DATA, BytesLost, Completion, Fragment, FragmentReader, OpenFragment
from connect_audio.core.in_band import InBandError, Remedy
from connect_audio.core.manifest import Reason
from connect_audio.ports import AfterFragment, FromProducerTime, MediaStream, StartSelector
from connect_audio.recorder.policy import EARLY_MS
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.second_chance import Damage, Unconfirmed, before_damage
from connect_audio.recorder.skip import Failure, PlaceState, Skip
from connect_audio.values import dataclass

_JUMP_PAUSE_S: Final = 0.25
"""Pause before GetMedia is opened behind missing fragments, s. KVS allows five GetMedia calls a second."""
_AT_HEAD_S: Final = 0.5
"""A read that waits longer than this has met the stream's head, s: stored bytes come without a pause."""
_NO_RETENTION_KEEPS_S: Final = 270
"""Time after which a stream without retention may have lost what was not read, s. KVS buffers 5 minutes."""
_NAP_AFTER_S: Final = 0.005
"""A read that waits less than this found bytes that had gathered, s: reading goes on without a nap."""
_NAP_WITHIN_MS: Final = 2000
"""Farthest from the stream's head that reading naps, ms. A reader that lags by more catches up first."""
_NAP_SLACK_MS: Final = 10_000
"""Most by which media may outrun the clock in a connection that naps, ms: the backlog that a live call begins with.
A stream that comes faster than its own time is no live call, whatever KVS says of its head."""
_MOST_DOUBLINGS: Final = 16
"""Doublings of the backoff; the longest backoff ends it far earlier."""
_PAUSES_A_ROUND: Final = 4
"""Doublings of the backoff behind each round of probes that found nothing: the pauses begin no more at the shortest."""
_MOST_SKIPPED: Final = 8
"""Kinds of skipped places that are counted apart; a further kind counts as the last of them."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Places of the stream that no connection could read.

    Args:
        reason: their failure.
        count: how many.
        behind: position of the newest one; None at the stream's beginning.
        from_ms: begin of the reading behind the newest one, ms since the epoch; None if it began behind a number.
    """

    reason: Reason
    count: int
    behind: str | None
    from_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadState:
    """Knowledge about reading the stream.

    Args:
        retention_hours: DataRetentionInHours of the stream; None where unknown.
        newest: number of the newest completed fragment, decided or not; None before the first.
        reconnects: how often GetMedia was opened again.
        read_to_ms: wall-clock time up to which the stream has been read completely, ms since the epoch; None at first.
        late_s: time from StartTimestamp to the first reading, s, of a stream that may not have kept all since; else 0.
        unread_s: longest time in which a stream without retention was not read, s, since the newest audio of the call.
        has_tokens: True once a fragment ended with its continuation token: one without it is cut.
        skipped: the places that were skipped, by their failure.
        has_lost_known: True if fragments that an earlier invocation read did not come again before newer ones; since
            the newest audio of the call.
        place: the place that fails; None for none.
    """

    retention_hours: int | None = None
    newest: str | None = None
    reconnects: int = 0
    read_to_ms: int | None = None
    late_s: int = 0
    unread_s: int = 0
    has_tokens: bool = False
    skipped: tuple[Skipped, ...] = ()
    has_lost_known: bool = False
    place: PlaceState | None = None

    @property
    def is_kept(self) -> bool:
        """True if the stream is known to keep its fragments for an hour at least."""
        return (self.retention_hours or 0) >= 1


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection was opened."""


@dataclass(frozen=True, slots=True)
class InBandErrors:
    """Errors that KVS reports inside the stream.

    Args:
        errors: the errors.
        fragment: number of the fragment they came with; None where it has none.
        fatal: the error that only an operator can end; None where there is none.
    """

    errors: tuple[InBandError, ...]
    fragment: str | None
    fatal: InBandError | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """The connection is over.

    Args:
        cause: why, for the log.
        failure: why its silence means nothing; None where the stream was silent.
    """

    cause: str
    failure: Reason | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """GetMedia could not be opened.

    Args:
        error: the source's error.
    """

    error: MediaSourceError


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meaning of an accepted fragment for the ones before it.

    Args:
        before: the cut fragment before it that did not come again; None where there is none.
        is_new: no step has completed this fragment before.
    """

    before: Fragment | None
    is_new: bool


type StreamEvent = Opened | Fragment | BytesLost | InBandErrors | Quiet | Denied


@dataclass(slots=True)
class _Connection:
    """One open GetMedia body.

    Args:
        stream: the body.
        opened_s: when it was opened, monotonic seconds.
        reader: makes events of its bytes.
        over: why nothing more comes of it; None while it is read.
        failure: why its silence means nothing; None while it was listened to.
        waited_s: time that the newest read waited for bytes, s.
        behind_ms: how far the newest fragment was behind the stream's head, ms; None before the first, or if unknown.
        first_ms: end of the first accepted fragment by the producer's clock, ms since the epoch; None before it.
        outran_ms: media time since then that the clock does not explain, ms.
        has_failed: it met an in-band error or damage, or began behind a skipped place: its silence shows nothing.
        met_head: it ended at the stream's head, where no fragment was under way.
    """

    stream: MediaStream
    opened_s: float
    reader: FragmentReader = field(default_factory=FragmentReader)
    over: str | None = None
    failure: Failure | None = None
    waited_s: float = 0.0
    behind_ms: int | None = None
    first_ms: int | None = None
    outran_ms: float = 0.0
    has_failed: bool = False
    met_head: bool = False

    def note(self, fragment: Fragment, ended_ms: int | None, now_s: float) -> None:
        """Note an accepted fragment.

        Args:
            fragment: the fragment.
            ended_ms: its end by the producer's clock, ms since the epoch; None if unknown.
            now_s: monotonic seconds.
        """
        self.behind_ms = fragment.millis_behind_now
        if ended_ms is not None:
            self.first_ms = ended_ms if self.first_ms is None else self.first_ms
            self.outran_ms = ended_ms - self.first_ms - (now_s - self.opened_s) * 1000

    @property
    def is_live(self) -> bool:
        """True if the newest fragment is at the stream's head, and media keeps the clock's pace."""
        near = self.behind_ms is not None and self.behind_ms <= _NAP_WITHIN_MS
        return near and self.outran_ms <= _NAP_SLACK_MS


class CallStream:
    """The stream of one call in one invocation.

    Args:
        ports: source, clock, policy, log and backoff's jitter.
        state: knowledge of earlier invocations.
        cursor: reading begins behind its fragment.
    """

    def __init__(self, ports: RecorderPorts, state: ReadState, cursor: Cursor) -> None:
        self._ports = ports
        self._state = state
        # These two change with each fragment, so `_state` gets them only when it is asked for.
        self._newest = state.newest
        self._read_to_ms = state.read_to_ms
        self._position = cursor.fragment
        # Fragments may change places, so the highest number may stand before the position.
        self._highest = max(cursor.fragment, cursor.neighbours.last_admitted, key=_number)
        self._recorded_to_ms = cursor.admission.end_ms or ports.request.start_timestamp_ms
        self._connection: _Connection | None = None
        self._damage = Damage()
        self._unconfirmed = Unconfirmed()
        known = {(each.behind, each.reason): each.from_ms for each in state.skipped if each.from_ms is not None}
        self._skip = Skip(state.place, cursor.fragment, ports.clock.now_ms(), known)
        self._fruitless = 0  # connections in a row without a new fragment
        self._jumped = False
        self._met_silence = False
        self._observed_since = ports.clock.monotonic()

    @property
    def state(self) -> ReadState:
        """State for the next step."""
        return replace(self._state, newest=self._newest, read_to_ms=self._read_to_ms, place=self._skip.state)

    @property
    def is_kept(self) -> bool:
        """True if the stream is known to keep its fragments for an hour at least."""
        return self._state.is_kept

    @property
    def opened_s(self) -> float | None:
        """When the connection was opened, monotonic seconds; None without a connection."""
        return None if self._connection is None else self._connection.opened_s

    @property
    def observed_s(self) -> float:
        """How long the stream has been watched in this invocation without a failure of GetMedia or a jump, s."""
        return self._ports.clock.monotonic() - self._observed_since

    @property
    def position(self) -> str | None:
        """Number of the newest accepted fragment; None before the first."""
        return self._position

    @property
    def fruitless(self) -> int:
        """Connections in a row that brought no new fragment, but for the newest."""
        return self._fruitless

    @property
    def is_exhausted(self) -> bool:
        """True if the last connection brought no new fragment."""
        return self._fruitless > 0

    @property
    def met_silence(self) -> bool:
        """True if the newest connection was read to the stream's head, and nothing follows the newest fragment."""
        return self._met_silence and not self.waits_for_cut

    @property
    def waits_for_cut(self) -> bool:
        """True while a cut fragment waits to come again."""
        return bool(self._unconfirmed)

    @property
    def lacks_known(self) -> bool:
        """True while fragments that an earlier invocation read have not come again."""
        return _number(self._newest) > _number(self._highest)

    def stands_at(self, fragment: str | None) -> bool:
        """Return True if a fresh invocation that begins behind that fragment would read nothing again."""
        return not self._unconfirmed and self._position == fragment

    def look(self) -> OpenFragment | None:
        """Return the fragment under way, for live audio; None where there is none. Costs a look at its elements."""
        return None if self._connection is None else self._connection.reader.open

    def next(self) -> StreamEvent | None:
        """Return the next event that needs no more bytes; None if `read` must be called.

        Without a connection it opens one.
        """
        connection = self._connection
        if connection is None:
            return self._open()
        while connection.over is None:
            try:
                event = connection.reader.next_event()
            except StreamError as error:
                if not self._salvages(connection, error):
                    return self._quiet(connection, type(error).__name__)
                continue
            if event is NEED_DATA:
                return None
            if isinstance(event, Fragment):
                found = self._sort_out(connection, event)
                if found is not None:
                    return found
            elif isinstance(event, BytesLost):
                if self._counts_loss(connection, event):
                    return event
            else:
                connection.met_head = True
                return self._quiet(connection, "end of body")
        return self._quiet(connection, connection.over)

    def read(self) -> StreamEvent | None:
        """Wait for bytes, for the next call of `next`.

        Returns:
            None, or what follows from a connection that stalls or breaks.
        """
        connection = self._connection
        if connection is None:
            return None
        asked_s = self._ports.clock.monotonic()
        try:
            data = connection.stream.read()
        except MediaSourceError as error:
            is_between = not connection.reader.midway
            connection.waited_s = self._note_head(connection, asked_s)
            connection.met_head = connection.waited_s >= _AT_HEAD_S and is_between
            return self._broken_off(connection, error)
        connection.waited_s = self._note_head(connection, asked_s)
        connection.reader.receive_data(data)
        return None

    def nap(self, deadline: float, longest_s: float) -> None:
        """Let bytes gather for a moment if the newest read had to wait for them at the stream's head.

        Args:
            deadline: when the nap must be over, monotonic seconds.
            longest_s: longest nap, s; a `Policy.nap` that is shorter counts.
        """
        connection = self._connection
        if connection is None or connection.waited_s < _NAP_AFTER_S:
            return
        connection.waited_s = 0.0
        if connection.is_live:
            left_s = min(longest_s, deadline - self._ports.clock.monotonic())
            if left_s > 0:
                self._ports.clock.sleep(min(self._ports.policy.nap, left_s))

    def accept(self, fragment: Fragment) -> Accepted:
        """Move the position behind a fragment that `next` returned.

        Args:
            fragment: the fragment.
        """
        before = self._unconfirmed.confirmed_by(fragment)
        if self._state.skipped:
            behind = () if self._skip.selector is not None else (self._position,)
            self._state = replace(self._state, skipped=_but(self._state.skipped, behind, fragment.number))
        self._met_silence = False
        before_it = self._position
        self._position = fragment.number or before_it
        ended_ms = end_ms(fragment) or fragment.producer_timestamp_ms
        if self._connection is not None:
            self._connection.note(fragment, ended_ms, self._ports.clock.monotonic())
        is_new = _number(fragment.number) > _number(self._newest)
        if is_new:
            if self.lacks_known and not self.is_kept and self._skip.selector is None:
                # They expired. Behind them another contact may have the stream, so no number shows it.
                self._state = replace(self._state, has_lost_known=True)
            self._fruitless = 0
            came_ms = fragment.server_timestamp_ms or fragment.producer_timestamp_ms or 0
            if self._newest is None and self._state.late_s:
                self._came_first(came_ms)
            self._newest = self._highest = fragment.number
            self._read_to_ms = max(self._read_to_ms or 0, min(came_ms, self._ports.clock.now_ms()))
        elif _number(fragment.number) > _number(self._highest):
            self._highest = fragment.number
        if fragment.completion is Completion.TOKEN and not self._state.has_tokens:
            self._state = replace(self._state, has_tokens=True)
        passed = self._skip.came(ended_ms, is_new=is_new)
        if (
            passed is not None
            and passed.is_final
            and self._begins_another_contact(fragment)
            and missing_between(before_it, fragment.number)
        ):
            # The fragments between may be the contact's: no label shows the contrary.
            self._count_skip(passed, before_it)
        return Accepted(before, is_new)

    def _came_first(self, came_ms: int) -> None:
        """A first fragment that is much older than an unkept one can be shows that the stream keeps more."""
        if self._ports.clock.now_ms() - came_ms > 2000 * _NO_RETENTION_KEEPS_S:
            self._state = replace(self._state, late_s=0)

    def _begins_another_contact(self, fragment: Fragment) -> bool:
        return bool(fragment.contact_ids) and self._ports.request.contact_id not in fragment.contact_ids

    def audio_came(self) -> None:
        """Note new audio of the call: the fragments' numbers show if some is missing before it."""
        if self._state.unread_s or self._state.has_lost_known:
            self._state = replace(self._state, unread_s=0, has_lost_known=False)

    def give_up_cut(self) -> Fragment | None:
        """The call is over: return the cut fragment that did not come again, if there is one."""
        return self._unconfirmed.give_up()

    def back_off(self, left_s: float) -> None:
        """Sleep before the next connection: longer each time that none brought a new fragment.

        Args:
            left_s: time that the step has left, s; never sleeps longer.
        """
        policy, clock = self._ports.policy, self._ports.clock
        jumped, self._jumped = self._jumped, False
        fruitless, self._fruitless = self._fruitless, self._fruitless + 1
        if fruitless:
            doubled = policy.first_backoff * 2 ** min(fruitless - 1, _MOST_DOUBLINGS)
            pause_s = min(policy.longest_backoff, doubled) * (0.5 + self._ports.jitter() / 2)
        elif jumped:
            pause_s = _JUMP_PAUSE_S
        else:
            return
        clock.sleep(max(0.0, min(pause_s, left_s)))

    def close(self) -> None:
        """Close the connection. Bytes of an unfinished fragment are dropped, since they will be read again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stream.close()

    def shortcomings(self) -> tuple[Reason, ...]:
        """Reasons why audio may be missing that the fragments' numbers do not show."""
        state = self._state
        found = [Reason(each.reason.code, _skips(each)) for each in state.skipped]
        place = self._skip.failure
        if place is not None and not _is_cut(place):
            found.append(place.reason)
        if any(each.code == "MEDIA_EXPIRED" for each in found):
            return tuple(found)
        if self.lacks_known or state.has_lost_known:
            detail = (
                "fragments read before the last hand-over, and not yet settled, had expired in the stream when they "
                "were to be read again"
            )
        elif state.unread_s:
            detail = f"the stream was not read for {state.unread_s} s, and is not known to keep anything for so long"
        else:
            return tuple(found)
        return (*found, Reason("MEDIA_EXPIRED", detail))

    def _selector(self) -> StartSelector:
        """Start of the next GetMedia."""
        behind = self._skip.selector
        if behind is not None:
            return behind
        if self._position is not None:
            return AfterFragment(self._position)
        return FromProducerTime(self._ports.request.start_timestamp_ms - EARLY_MS)

    def _open(self) -> Opened | Denied:
        self._damage.connected()
        self._met_silence = False
        try:
            stream = self._ports.source.open(self._selector())
        except MediaSourceError as error:
            return Denied(error)
        skips = self._skip.selector is not None
        self._connection = _Connection(stream, self._ports.clock.monotonic(), has_failed=skips)
        now_ms = self._ports.clock.now_ms()
        late_s = (now_ms - self._ports.request.start_timestamp_ms) // 1000
        if self._newest is None and late_s >= _NO_RETENTION_KEEPS_S and not self._state.is_kept:
            self._state = replace(self._state, late_s=late_s)
        unread_s = (now_ms - (self._read_to_ms or now_ms)) // 1000
        if unread_s >= _NO_RETENTION_KEEPS_S and not self._state.is_kept:
            self._state = replace(self._state, unread_s=max(self._state.unread_s, unread_s))
        return Opened()

    def watch_anew(self) -> None:
        """Count the time of observation from now on: before, GetMedia failed and silence meant nothing."""
        self._observed_since = self._ports.clock.monotonic()

    def _note_head(self, connection: _Connection, asked_s: float) -> float:
        """Note the stream's head if a read waited between two fragments. Within a fragment a wait is a stall.

        Returns:
            Time that the read waited, s.
        """
        waited_s = self._ports.clock.monotonic() - asked_s
        if waited_s >= _AT_HEAD_S and not connection.reader.midway:
            self._read_to_ms = self._ports.clock.now_ms() - round(waited_s * 1000)
        return waited_s

    def _broken_off(self, connection: _Connection, error: MediaSourceError) -> StreamEvent | None:
        """Treat a connection that stalls or breaks as the end of its body."""
        is_silent = error.code == READ_TIMEOUT and (self._damage.salvaging or not connection.reader.midway)
        if not is_silent:
            stalled = error.code == READ_TIMEOUT
            connection.failure = _broken("it stalled within a fragment" if stalled else error.code)
        connection.reader.receive_data(b"")
        try:
            event = connection.reader.next_event()
        except StreamError as malformed:
            return None if self._salvages(connection, malformed) else self._quiet(connection, type(malformed).__name__)
        if isinstance(event, BytesLost) and self._counts_loss(connection, event):
            connection.over = error.code
            return event
        if isinstance(event, Fragment) and event.blocks and not self._damage.salvaging:
            self._cut(connection, event)
        return self._quiet(connection, error.code)

    def _cut(self, connection: _Connection, fragment: Fragment) -> None:
        """Keep a fragment that the end of the connection has cut, or may have cut."""
        is_known = self._unconfirmed.cut(fragment, self._position)
        if is_known or connection.failure is None:
            number = fragment.number or "without a number"
            connection.failure = _broken(f"fragment {number} did not come whole", is_final=is_known)

    def _quiet(self, connection: _Connection, cause: str) -> Quiet:
        self._met_silence = connection.met_head and not connection.has_failed and connection.failure is None
        self.close()
        self._state = replace(self._state, reconnects=self._state.reconnects + 1)
        self._ports.logger.debug("stream read again", extra={"cause": cause, "after": self._position})
        return Quiet(cause, self._settle_place(connection.failure, waited=connection.waited_s >= _AT_HEAD_S))

    def _settle_place(self, failure: Failure | None, *, waited: bool) -> Reason | None:
        """Note how a connection ended for the place behind the position.

        Args:
            failure: why its silence means nothing; None if it was listened to.
            waited: its newest read waited for bytes.

        Returns:
            Why the connection's silence means nothing; None where it was silence.
        """
        skip, was_probing = self._skip, self._skip.is_probing
        is_skipped, now_ms = False, self._ports.clock.now_ms()
        if failure is None:
            skip.ended(self._recorded_to_ms, now_ms, waited=waited)
        else:
            is_skipped = skip.failed(failure, self._position, self._recorded_to_ms, now_ms)
            if is_skipped:
                self.watch_anew()
                self._count_skip(failure, self._position)
        if is_skipped or skip.is_seeking:
            # A probe is progress.
            self._fruitless, self._jumped = 0, True
        elif was_probing:
            self._fruitless = _PAUSES_A_ROUND * skip.rounds
        failing = skip.failing
        if is_skipped or (failing is None and failure is not None and not failure.is_final):
            failing = failure
        return None if failing is None else failing.reason

    def _count_skip(self, failure: Failure, position: str | None) -> None:
        """Reading goes on behind a place that no connection could read.

        Args:
            failure: the place's.
            position: number of the fragment before the place; None for the stream's beginning.
        """
        state = self._state
        self._ports.logger.warning(
            "place of the stream cannot be read: reading goes on behind it",
            extra={"after": position, "reason": failure.reason.code},
        )
        is_counted = any(_number(position) <= _number(each.behind) for each in state.skipped)
        if is_counted or _is_cut(failure):
            return
        known = [each.reason for each in state.skipped]
        begin = self._skip.selector
        from_ms = begin.ms if isinstance(begin, FromProducerTime) else None
        if failure.reason not in known and len(known) < _MOST_SKIPPED:
            skipped = (*state.skipped, Skipped(failure.reason, 1, position, from_ms))
        else:
            at = known.index(failure.reason) if failure.reason in known else len(known) - 1
            skipped = tuple(
                replace(each, count=each.count + 1, behind=position, from_ms=from_ms) if index == at else each
                for index, each in enumerate(state.skipped)
            )
        self._state = replace(state, skipped=skipped)

    def _counts_loss(self, connection: _Connection, lost: BytesLost) -> bool:
        """Bytes were passed over. Unless a fragment comes behind them, the connection has failed."""
        is_cut = not self._damage.salvaging
        how = "the body ended within an element" if is_cut else "no fragment comes behind malformed bytes"
        is_alike = self._damage.lost_alike(self._position, lost.count) and not is_cut
        connection.failure = connection.failure or _broken(how, is_final=is_alike)
        return self._damage.lost(self._position)

    def _salvages(self, connection: _Connection, error: StreamError) -> bool:
        """Look for the next document behind damage that was read twice. False if the damage must be read again."""
        connection.has_failed = True
        verdict = self._damage.met(self._position)
        if verdict is Damage.Verdict.READ_AGAIN:
            reason = Reason(_CUT, f"the stream could not be read: {type(error).__name__}")
            connection.failure = connection.failure or Failure(reason, is_place=False)
            return False
        if verdict is Damage.Verdict.SALVAGE:
            self._ports.logger.warning(
                "stream damaged twice at one place: skipping to the next whole fragment", extra={"offset": error.offset}
            )
        connection.reader.resynchronise(str(error))
        return True

    def _sort_out(self, connection: _Connection, fragment: Fragment) -> Fragment | InBandErrors | None:
        """Return a completed fragment, or what it reports. None if it is known or set aside for its second reading."""
        completion, number = fragment.completion, fragment.number
        if completion is Completion.TRUNCATED:
            if not self._damage.salvaging:
                self._cut(connection, fragment)
                return None
            fragment = replace(fragment, blocks=before_damage(fragment.blocks))
        elif completion is not Completion.TOKEN or not fragment.blocks:
            if fragment.errors:
                return self._report(connection, fragment)
            if completion is Completion.END_OF_BODY:
                # Its bytes are whole, but the end of a live body may have cut it.
                if self._state.has_tokens:
                    self._cut(connection, fragment)
                else:
                    self._unconfirmed.cut(fragment, self._position)
                return None
            if self._lacks_token(fragment):
                self._cut(connection, fragment)
                connection.over = "fragment without its continuation token"
                return None
        is_known = number is not None and number == self._position
        if self._skip.is_probing:
            # It will be read again, from the position or behind the place.
            if _number(number) > _number(self._position):
                self._skip.found()
                connection.over = "more lies behind"
            return None
        connection.failure = None
        return None if is_known else fragment

    def _lacks_token(self, fragment: Fragment) -> bool:
        """Return True if the next document began before the fragment's token came."""
        lacks = self._state.has_tokens and fragment.completion is Completion.SUCCESSOR and bool(fragment.blocks)
        return lacks and fragment.number not in {None, self._position}

    def _report(self, connection: _Connection, fragment: Fragment) -> InBandErrors:
        """KVS reports an error in the place of a fragment, or of its end: nothing more comes of this connection."""
        worst = max(fragment.errors, key=lambda error: _SEVERITY.index(error.remedy))
        connection.over, connection.has_failed = f"in-band error {worst.code}", True
        is_gone = worst.remedy is Remedy.SKIP_FRAGMENT
        reason = Reason(worst.reason_code, worst.sentence)
        connection.failure = Failure(reason, is_final=is_gone, number=fragment.number)
        if fragment.blocks:
            self._unconfirmed.cut(replace(fragment, errors=()), self._position)
        return InBandErrors(fragment.errors, fragment.number, worst if worst.remedy is Remedy.OPERATOR else None)


_SEVERITY: Final = (Remedy.SKIP_FRAGMENT, Remedy.RECONNECT, Remedy.OPERATOR)
"""Remedies from the least to the most: of several errors the worst decides."""
_CUT: Final = "SOURCE_FAILED"
"""Reason of a connection that broke, and of a fragment that did not come whole."""


def _broken(how: str, *, is_final: bool = False) -> Failure:
    return Failure(Reason(_CUT, f"the stream could not be read: {how}"), is_final=is_final)


def _is_cut(failure: Failure) -> bool:
    """Return True for a fragment that two readings cut alike: it is recorded, and counted as truncated."""
    return failure.is_final and failure.reason.code == _CUT


def _but(skipped: Sequence[Skipped], behind: Sequence[str | None], number: str | None) -> tuple[Skipped, ...]:
    """Return the skipped places, without each one at which a fragment has come after all.

    Args:
        skipped: the places.
        behind: the position, if the reading that brought the fragment began there.
        number: the fragment's number. It may also show that nothing is missing between a place and a probe behind it.
            A producer may send the fragment of a place again later.
    """
    kept = [
        replace(each, count=each.count - (each.behind in behind or missing_between(each.behind, number) == 0))
        for each in skipped
    ]
    return tuple(each for each in kept if each.count)


def _skips(places: Skipped) -> str:
    """Make the detail of a reason: the failure, and how often it was skipped."""
    times = "1 place was" if places.count == 1 else f"{places.count} places were"
    return f"{places.reason.detail}; {times} skipped for it, after several tries"


def _number(fragment: str | None) -> int:
    """A fragment number to compare; -1 for none."""
    return -1 if fragment is None else int(fragment)
