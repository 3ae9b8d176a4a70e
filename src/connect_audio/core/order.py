"""The step between admission and the timeline: fragments whose time leaps wait for what follows them.

    order.add(decision)    the decisions that can be carried out now
    order.flush()          the call is over: all that wait

*How it works.* Consecutive fragments of a producer session have consecutive counters, and their tracks run on. Such a
fragment passes at once. One that runs on by its counter and leaps by its time is compared with the server's clock. If
the server's clock has gone on as far, the producer paused, and the fragment passes, too. Otherwise up to `MAX_HELD`
fragments wait. If the time goes on behind the leap as it was before, the fragment leaped alone. Its blocks are then
moved to the time between its neighbours. If a fragment comes that fills the time before it, it stood too early in the
stream. Otherwise the producer's clock has changed: the times stay as they are, and the change is counted. If fragments
are missing beside a leap by their numbers, each counts as long as its neighbours.

Fragments that merely come out of order do not wait: the timeline puts them into silence that is not settled yet. Only
a fragment that would settle the place of missing ones waits for them, as long as any other.

| state | changes with |
| --- | --- |
| `OrderState`: end of the last fragment, its counter, counters missing before it | each fragment with audio |
| fragments that wait | each fragment |
| `disagree`: contradictions so far | a leap, a change of the clock, a fragment that contradicts itself |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MethodType
from typing import Final
from weakref import WeakMethod

from connect_audio.core.admission import Decision, Verdict
from connect_audio.core.claims import (
    CLUSTER_SLACK_MS,
    Stray,
    TimesDisagree,
    TrackSpan,
    straightened,
    stray_blocks,
    track_spans,
)
from connect_audio.core.fragment import Block, Completion, Fragment, fragment_counter
from connect_audio.core.moves import MAX_MOVES, Move, as_before, in_order, moved
from connect_audio.core.runs import start_ns
from connect_audio.core.shapes import ShapedBlocks
from connect_audio.core.short_leaps import DELAYS, ShortLeap
from connect_audio.core.timeline import MAX_SKEW_S
from connect_audio.core.tracks import TrackNames
from connect_audio.values import dataclass

MAX_HELD: Final = 3
"""Fragments that wait at most: some 3 s of live audio, which are late only behind a leap of time."""
MAX_HELD_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of fragments that wait; see `MAX_UNDECIDED_BYTES` in `core/admission.py`."""
RUN_ON_NS: Final = 30_000_000
"""A fragment runs on if it begins so near to the end of the one before: three times the jitter tolerance."""
MAX_BACK_NS: Final = 1_600_000_000
"""A fragment that begins further back may have leaped alone. Less is a change of the clock."""
FAR_NS: Final = 3_000_000_000
"""A call's first fragment that is further from the server's clock waits for the second one."""
SERVER_NOISE_NS: Final = 1_000_000_000
"""A server timestamp says nothing about less: fragments arrive with delays that differ by a second."""
MAX_MISSING: Final = 1000
"""A counter that jumps further is another producer session's, and nothing is known to be missing."""
MAX_MISSING_KEPT: Final = 32
"""Counters kept to recognise a fragment that comes late. Beyond, the oldest count as missing for good."""

_MS: Final = 1_000_000


@dataclass(slots=True)
class OrderState:
    """The state that the next fragment is compared with. A new value replaces the one before.

    Args:
        counter: highest counter in fragment numbers so far; None where they have no such anatomy, and before the first.
        base_ns: when the last fragment's earliest block begins, ns since the epoch.
        spans: the time of each of its tracks; empty before the first fragment.
        least_delay_ns: least time by which the server's clock was behind a fragment's beginning; None before the first.
        last_delay_ns: the same of the last fragment; None before the first, and while times come again.
        missing: the newest counters that have not come, in order.
        moves: the newest moves.
        server_ms: server timestamp of the last fragment, ms since the epoch; None where absent.
        delays_ms: time by which the server's clock was behind the beginning of the newest fragments, ms. They run on
            from each other and are equally long.
        ahead: a short leap forward before them, which their delays will explain; None for none.
    """

    counter: int | None = None
    base_ns: int = 0
    spans: tuple[TrackSpan, ...] = ()
    least_delay_ns: int | None = None
    last_delay_ns: int | None = None
    missing: tuple[int, ...] = ()
    moves: tuple[Move, ...] = ()
    server_ms: int | None = None
    delays_ms: tuple[int, ...] = ()
    ahead: ShortLeap | None = None


@dataclass(slots=True)
class _Arrival:
    """A fragment with audio, and what it says about its place.

    Args:
        decision: admission's, the fragment's blocks straightened.
        counter: the counter in its number; None where the number has no such anatomy.
        base_ns: when its earliest block begins, ns since the epoch.
        spans: the time of each of its tracks.
        strays: blocks whose place the neighbours must decide, not part of `spans`; at most one of each track.
        through: the counter of the last fragment without audio that follows it directly; None for none.
    """

    decision: Decision
    counter: int | None
    base_ns: int
    spans: tuple[TrackSpan, ...]
    strays: tuple[Stray, ...] = ()
    through: int | None = None

    @property
    def last_counter(self) -> int | None:
        """The counter up to which nothing is missing behind it."""
        return self.counter if self.through is None else self.through


class FragmentOrder:
    """Decide when and at what time each admitted fragment is placed.

    Memory: at most `MAX_HELD` fragments of at most `MAX_HELD_BYTES`, or the newest one alone.

    Args:
        state: state to continue from.
        disagree: contradictions so far.
        names: the parties' tracks as a user names them.
        is_written: returns True if all audio of a fragment is written already at its time.
    """

    def __init__(
        self,
        state: OrderState,
        disagree: TimesDisagree,
        names: TrackNames,
        is_written: Callable[[Fragment], bool] = lambda _: False,
    ) -> None:
        self._names = names
        # A method is held weakly: in a circle the recording would keep its samples until the next collection.
        self._is_written = WeakMethod(is_written) if isinstance(is_written, MethodType) else lambda: is_written
        self.state = state
        self.disagree = disagree
        self.missing = 0
        """Fragments found to be missing, less the ones that came late, since `take_missing`."""
        self.waiting: list[_Arrival] = []
        """The fragments that wait; they lie beyond the cursor."""
        self.late: list[str | None] = []
        """Numbers of the fragments passed by the last call that came behind their successors."""
        self._waited = 0  # fragments with audio since the first of them came, itself included

    def add(self, decision: Decision) -> Sequence[Decision]:
        """Take the next decision; return the decisions that can be carried out now."""
        fragment = decision.fragment
        blocks = fragment.blocks
        self.late = []
        if blocks.__class__ is ShapedBlocks:
            if self._runs_on_alike(decision, blocks):
                return (decision,)
        elif not blocks:
            return self._without_audio(decision)
        if not decision.verdict.admitted:
            return [*self.flush(), decision]
        arrival = self._arrival(decision)
        if not arrival.spans:
            return self._without_audio(decision)
        if arrival.counter in self.state.missing:
            arrival = self._as_numbered(arrival)
        if not self.waiting and self._runs_on(arrival) and not self._would_settle_a_missing_one(arrival):
            self._pass(arrival)
            return (arrival.decision,)
        if self.waiting and self._is_late(arrival) and not arrival.strays:
            # It was read before: no other waits for it.
            self._pass(arrival)
            return (arrival.decision,)
        if not self.waiting and self._is_sent_again(arrival):
            self._pass(arrival)
            return (arrival.decision,)
        is_again = any(each.counter == arrival.counter for each in self.waiting if each.counter is not None)
        self.waiting.append(self._as_produced(arrival))
        return self._released(counts=not is_again)

    def flush(self) -> Sequence[Decision]:
        """Return the decisions on all fragments that wait, with each fragment that leaped alone moved."""
        held, self.waiting, self._waited = self.waiting, [], 0
        if all(each.counter is not None for each in held):
            held.sort(key=lambda each: each.counter or 0)
        passed = []
        for index, each in enumerate(held):
            arrival = self._settled(each, _successor(held, index))
            if not any(_is_copy(other, each) for other in held[:index]) and not self._is_sent_again(arrival):
                arrival = self._repaired(arrival, _next_of(held, index))
            self._pass(arrival)
            passed.append(arrival.decision)
        return passed

    def doubt(self, found: TimesDisagree) -> None:
        """Count contradictions of one fragment."""
        self.disagree = self.disagree.plus(found)

    def take_missing(self) -> int:
        """Fragments found to be missing by their numbers, less the ones that came late, since the last call."""
        missing, self.missing = self.missing, 0
        return missing

    def passes(self, number: str | None, server_ms: int | None, block: Block) -> bool:
        """Return True if an open fragment will pass at once, by all that is known.

        Args:
            number: its number.
            server_ms: its server timestamp, ms since the epoch; None where absent.
            block: its first block.
        """
        state = self.state
        if self.waiting:
            return False
        if not state.spans:
            return server_ms is None or abs(server_ms * _MS - block.time_ns) <= FAR_NS
        end = next((state.base_ns + span.after_ns for span in state.spans if span.number == block.track_number), None)
        counter = fragment_counter(number)
        missing = _missing_between(state.counter, counter)
        if end is None:
            return True
        if missing is None:
            return block.time_ns <= end + RUN_ON_NS
        return -(RUN_ON_NS if missing else MAX_BACK_NS) <= block.time_ns - end <= RUN_ON_NS

    def _runs_on_alike(self, decision: Decision, blocks: ShapedBlocks) -> bool:
        """Pass a fragment of the last one's layout that runs on from it. Nearly all do, so this costs little."""
        state, fragment = self.state, decision.fragment
        spans = blocks.layout.spans
        counter = fragment_counter(fragment.number)
        if (
            spans is not state.spans
            or not spans
            or self.waiting
            or decision.verdict is not Verdict.OURS
            or counter is None
            or state.counter is None
            or counter != state.counter + 1
        ):
            return False
        base_ns = blocks.cluster_ns + blocks.layout.start_ns
        if not -RUN_ON_NS <= base_ns + spans[0].first_ns - state.base_ns - spans[0].after_ns <= RUN_ON_NS:
            return False
        server_ms, least_ns, last_ns = fragment.server_timestamp_ms, state.least_delay_ns, state.last_delay_ns
        delays_ms, ahead = state.delays_ms, state.ahead
        if server_ms is not None:
            delay_ns = server_ms * _MS - base_ns
            delays_ms = (*delays_ms[1 - DELAYS :], delay_ns // _MS)
            if ahead is not None:
                ahead = self._explained(ahead, delays_ms)
            if last_ns is not None:
                last_ns = delay_ns
            if least_ns is None or delay_ns < least_ns:
                least_ns = delay_ns
        self.state = OrderState(
            counter, base_ns, spans, least_ns, last_ns, state.missing, state.moves, server_ms, delays_ms, ahead
        )
        return True

    def _without_audio(self, decision: Decision) -> Sequence[Decision]:
        """Pass a fragment without audio of a party, and note that its counter is not missing."""
        state = self.state
        counter = fragment_counter(decision.fragment.number)
        if counter is None:
            return (decision,)
        if counter - 1 == state.counter:
            self.state = replace(state, counter=counter)
        self.waiting = [
            replace(each, through=counter) if each.last_counter == counter - 1 else each for each in self.waiting
        ]
        return (decision,)

    def _arrival(self, decision: Decision) -> _Arrival:
        if self.state.moves:
            decision = as_before(decision, self.state.moves)
        fragment = decision.fragment
        blocks = fragment.blocks
        if blocks.__class__ is not ShapedBlocks or not blocks.layout.spans:
            blocks, leaps = straightened(blocks)
            if blocks is not fragment.blocks:
                decision = decision._replace(fragment=replace(fragment, blocks=tuple(blocks)))
            if leaps and not self._was_read(fragment):
                self.doubt(TimesDisagree(block_leap=leaps))
            strays = stray_blocks(blocks)
            if strays:
                return self._strayed(decision, blocks, strays)
            spans = track_spans(fragment, blocks, self._names)
            base_ns = start_ns(blocks)
        else:
            spans = blocks.layout.spans
            base_ns = blocks.cluster_ns + blocks.layout.start_ns
        return _Arrival(decision, fragment_counter(fragment.number), base_ns, spans)

    def _strayed(self, decision: Decision, blocks: Sequence[Block], strays: tuple[Stray, ...]) -> _Arrival:
        """Look at a fragment with stray blocks: move each that joins a fragment that has passed."""
        state, counter = self.state, fragment_counter(decision.fragment.number)
        is_before_last = counter is not None and state.counter is not None and counter == state.counter - 1
        times = _times_before(strays, state.base_ns, state.spans) if is_before_last else self._times_behind(strays)
        if times:
            decision, blocks = self._gathered(decision, blocks, times)
            strays = stray_blocks(blocks)
        apart = {each.index for each in strays}
        others = [block for index, block in enumerate(blocks) if index not in apart]
        spans = track_spans(decision.fragment, others, self._names)
        return _Arrival(decision, counter, start_ns(others), spans, strays)

    def _times_behind(self, strays: Sequence[Stray]) -> dict[int, int]:
        """The times of stray blocks, by index, that begin where the last fragment ends, ns since the epoch."""
        state = self.state
        ends = {span.number: state.base_ns + span.after_ns for span in state.spans}
        return {
            each.index: each.before_ns
            for each in strays
            if each.number in ends and abs(each.before_ns - ends[each.number]) <= RUN_ON_NS
        }

    def _settled(self, arrival: _Arrival, successor: _Arrival | None) -> _Arrival:
        """Move each stray block that joins a neighbour; the rest keep their times."""
        if as_before(arrival.decision, self.state.moves) is not arrival.decision:
            # It waited twice, and was moved the first time.
            return replace(self._arrival(arrival.decision), through=arrival.through)
        if not arrival.strays:
            return arrival
        decision, blocks = arrival.decision, arrival.decision.fragment.blocks
        times = {} if successor is None else _times_before(arrival.strays, successor.base_ns, successor.spans)
        # The fragment before it may have come since.
        times = self._times_behind(arrival.strays) | times
        if times:
            decision, blocks = self._gathered(decision, blocks, times)
        spans, base_ns = track_spans(decision.fragment, tuple(blocks), self._names), start_ns(blocks)
        return _Arrival(decision, arrival.counter, base_ns, spans, through=arrival.through)

    def _gathered(
        self, decision: Decision, blocks: Sequence[Block], times: Mapping[int, int]
    ) -> tuple[Decision, Sequence[Block]]:
        """Move stray blocks of a fragment, and count them.

        Args:
            decision: on the fragment.
            blocks: its blocks.
            times: their times by index, ns since the epoch.
        """
        placed = in_order(
            [block._replace(time_ns=times.get(index, block.time_ns)) for index, block in enumerate(blocks)]
        )
        self.doubt(TimesDisagree(block_leap=len(times)))
        for index, time_ns in times.items():
            track, from_ns = blocks[index].track_number, blocks[index].time_ns
            self._remember(decision, track, from_ns, time_ns - from_ns)
        return decision._replace(fragment=replace(decision.fragment, blocks=placed)), placed

    def _leaped(self, arrival: _Arrival, by_ns: int) -> _Arrival:
        """Move a fragment that leaped, and count it."""
        self.doubt(TimesDisagree(leap=1))
        self._remember(arrival.decision, None, arrival.base_ns, by_ns)
        decision = arrival.decision._replace(fragment=moved(arrival.decision.fragment, by_ns))
        return replace(arrival, decision=decision, base_ns=arrival.base_ns + by_ns)

    def _remember(self, decision: Decision, track: int | None, from_ns: int, by_ns: int) -> None:
        """Remember a move: the fragment may be read again. Without a counter it cannot be known again."""
        counter = fragment_counter(decision.fragment.number)
        if counter is not None:
            made = Move(counter=counter, track=track, from_ns=from_ns, by_ns=by_ns)
            self.state = replace(self.state, moves=(*self.state.moves, made)[-MAX_MOVES:])

    def _runs_on(self, arrival: _Arrival) -> bool:
        """Return True if a fragment's time needs no explanation by later fragments."""
        state = self.state
        if arrival.strays:
            return False
        if not state.spans:
            return not _is_far(arrival)
        leap_ns = self._leap_ns(arrival)
        if -RUN_ON_NS <= leap_ns <= RUN_ON_NS:
            return True
        missing = self._missing_before(arrival)
        if missing is None:
            return True
        if leap_ns < 0:
            # Behind missing fragments the time goes on, unless it is the clock that stepped back.
            return not missing and leap_ns >= -MAX_BACK_NS
        over_ns = leap_ns - self._hole_ns(arrival, missing)
        return over_ns <= missing * RUN_ON_NS or self._server_agrees(arrival, over_ns)

    def _is_sent_again(self, arrival: _Arrival) -> bool:
        """Return True for a fragment of a producer that went back: its time is that of audio it sent before."""
        return bool(self.state.spans) and self._leap_ns(arrival) < 0 and self._holds(arrival.decision.fragment)

    def _holds(self, fragment: Fragment) -> bool:
        is_written = self._is_written()
        return is_written is not None and is_written(fragment)

    def _missing_before(self, arrival: _Arrival) -> int | None:
        """Fragments missing directly before one, by their numbers; None if it is late or of another session."""
        return _missing_between(self.state.counter, arrival.counter)

    def _hole_ns(self, arrival: _Arrival, missing: int) -> int:
        """The time of missing fragments beside one: they are as long as their neighbours."""
        return missing * max(_longest_ns(arrival.spans), _longest_ns(self.state.spans)) if missing else 0

    def _would_settle_a_missing_one(self, arrival: _Arrival) -> bool:
        """Return True if fragments before this one may yet come, and if its audio would settle their place."""
        state, counter = self.state, arrival.counter
        if counter is None or state.counter is None or not 1 < counter - state.counter <= MAX_HELD:
            return False
        longest_ns = max(span.after_ns - span.first_ns for span in arrival.spans)
        return self._leap_ns(arrival) + longest_ns + RUN_ON_NS > MAX_SKEW_S * 1_000_000_000

    def _as_produced(self, arrival: _Arrival) -> _Arrival:
        """Move a fragment whose Cluster time leaped to its producer timestamp, where that runs on."""
        producer_ms = arrival.decision.fragment.producer_timestamp_ms
        if not self.state.spans or producer_ms is None or not _is_contradictory(arrival):
            return arrival
        leap_ns = self._leap_ns(arrival)
        missing = self._missing_before(arrival)
        behind_ns = producer_ms * _MS - (arrival.base_ns - leap_ns)
        if abs(behind_ns) <= RUN_ON_NS:
            return self._leaped(arrival, -leap_ns)
        if missing and 0 < behind_ns <= self._hole_ns(arrival, missing) + missing * RUN_ON_NS:
            return self._leaped(arrival, behind_ns - leap_ns)
        return arrival

    def _as_numbered(self, arrival: _Arrival) -> _Arrival:
        """Move a missing fragment that comes late, and whose time leaped, before the last one: its number says where.

        A fragment that begins behind the last one has leaped. One that begins long before its place may be older than a
        pause: the server's clock shows which.
        """
        state, server_ms = self.state, arrival.decision.fragment.server_timestamp_ms
        if state.counter is None or arrival.counter is None:
            return arrival
        if server_ms is not None and state.server_ms is not None and server_ms > state.server_ms:
            return arrival
        between = state.counter - arrival.counter - 1
        pause_ns = _leap_between(arrival.base_ns, arrival.spans, state.base_ns, state.spans)
        pause_ns -= self._hole_ns(arrival, between)
        delay_ns, least_ns = _delay_ns(arrival), state.least_delay_ns
        if pause_ns > 2 * SERVER_NOISE_NS and delay_ns is not None and least_ns is not None:
            has_leaped = abs(delay_ns - pause_ns - least_ns) <= SERVER_NOISE_NS
        else:
            has_leaped = pause_ns < -MAX_BACK_NS
        return self._leaped(arrival, pause_ns) if has_leaped else arrival

    def _is_next(self, arrival: _Arrival) -> bool:
        """Return True if no number says that a fragment does not follow the last one directly."""
        counter, last = arrival.counter, self.state.counter
        return counter is None or last is None or counter == last + 1

    def _leap_ns(self, arrival: _Arrival) -> int:
        """See `_leap_between`, from the last fragment that passed."""
        return _leap_between(self.state.base_ns, self.state.spans, arrival.base_ns, arrival.spans)

    def _server_agrees(self, arrival: _Arrival, leap_ns: int) -> bool:
        """Return True if the server's clock allows for a leap forward.

        No fragment arrives before it was recorded. If the time had not passed, this fragment's delay would be less by
        the length of the leap. The least so far and the last one's show that.
        """
        known = _delay_ns(arrival) is not None and self.state.least_delay_ns is not None
        return known and not self._server_denies(arrival, leap_ns, min(leap_ns // 2, SERVER_NOISE_NS))

    def _server_denies(self, arrival: _Arrival, leap_ns: int, noise_ns: int) -> bool:
        """Return True if a fragment's delay is less than it can be after a leap forward that was a pause."""
        delay_ns, least_ns, last_ns = _delay_ns(arrival), self.state.least_delay_ns, self.state.last_delay_ns
        if delay_ns is None or least_ns is None:
            return False
        if delay_ns < least_ns - noise_ns:
            return True
        return last_ns is not None and delay_ns < last_ns - max(leap_ns // 2, 2 * SERVER_NOISE_NS)

    def _released(self, *, counts: bool) -> Sequence[Decision]:
        """Pass the fragments that the newest one explains.

        Args:
            counts: False if the newest one waits already: it explains nothing.
        """
        released: list[Decision] = []
        while self.waiting and self.state.spans:
            found = next((index for index, each in enumerate(self.waiting) if self._may_pass(index, each)), None)
            if found is None:
                break
            successor = _successor(self.waiting, found)
            arrival = self._settled(self.waiting.pop(found), successor)
            self._pass(arrival)
            released.append(arrival.decision)
        self._waited = self._waited + counts if self.waiting else 0
        if (
            self._waited >= MAX_HELD
            or (self.waiting and self._is_explained())
            or self._waiting_bytes() > MAX_HELD_BYTES
        ):
            released += self.flush()
        return released

    def _may_pass(self, index: int, arrival: _Arrival) -> bool:
        """Return True if a fragment that waits needs no more explanation."""
        if arrival.strays and _successor(self.waiting, index) is None:
            return False
        if self._is_late(arrival):
            return True
        if self._is_beside_last(arrival) and abs(self._leap_ns(arrival)) <= RUN_ON_NS:
            return True
        # The missing fragment that it waited for has come.
        is_counted = arrival.counter is not None and self.state.counter is not None and self._is_next(arrival)
        return is_counted and self._runs_on(arrival)

    def _is_beside_last(self, arrival: _Arrival) -> bool:
        """Return True if a fragment has a track of the last one: without one, their times say nothing of each other."""
        last = {span.number for span in self.state.spans}
        return any(span.number in last for span in arrival.spans)

    def _is_late(self, arrival: _Arrival) -> bool:
        """Return True if fragments that follow this one by their numbers have passed."""
        counter, last = arrival.counter, self.state.counter
        return counter is not None and last is not None and counter <= last

    def _waiting_bytes(self) -> int:
        return sum(each.decision.fragment.held_bytes for each in self.waiting)

    def _is_explained(self) -> bool:
        """Return True if the leap is too long to be filled by fragments that are still to come."""
        first, *others = self.waiting
        is_alone = all(each.counter is not None and each.counter == first.counter for each in others)
        if is_alone or self._would_settle_a_missing_one(first):
            return False
        longest_ns = max(span.after_ns - span.first_ns for span in first.spans)
        leap_ns = self._leap_ns(first) if self.state.spans else -1
        return not 0 < leap_ns <= MAX_HELD * longest_ns

    def _repaired(self, arrival: _Arrival, successor: _Arrival | None) -> _Arrival:
        """Move a fragment that leaped alone to the time between its neighbours; count a leap or a clock's change.

        Args:
            arrival: the fragment.
            successor: the next one behind it by its number; None where none has come.
        """
        if not self.state.spans:
            return self._repaired_first(arrival, successor)
        if self._runs_on(arrival):
            return arrival
        leap_ns = self._leap_ns(arrival)
        move_ns = None if successor is None else self._move_ns(arrival, successor)
        if move_ns is not None:
            return self._leaped(arrival, move_ns)
        if leap_ns > 0 and self._server_denies(arrival, leap_ns, 2 * SERVER_NOISE_NS):
            self.doubt(TimesDisagree(clock_change=1))
        return arrival

    def _move_ns(self, arrival: _Arrival, successor: _Arrival) -> int | None:
        """By how much a fragment that leaped alone must be moved, ns; None if it did not leap alone.

        Args:
            arrival: the fragment.
            successor: the next one behind it by its number.
        """
        before, behind = self._missing_before(arrival), _missing_between(arrival.last_counter, successor.counter)
        if before is None or behind is None or _is_copy(arrival, successor):
            return None
        to_last_ns = self._hole_ns(arrival, before) - self._leap_ns(arrival)
        to_next_ns = _leap(arrival, successor) - self._hole_ns(arrival, behind)
        pause_ns = to_next_ns - to_last_ns  # between its neighbours, besides itself and the missing ones
        open_ns = (1 + before + behind) * RUN_ON_NS  # the neighbours' times leave so much open
        if abs(pause_ns) <= open_ns < abs(to_last_ns):
            # The neighbour that nothing is missing before is the sure one.
            return to_next_ns if before and not behind else to_last_ns
        if 0 < pause_ns <= self._lost_ns(arrival, successor):
            # No pause: its end is lost. Its beginning is there, and that runs on.
            return to_last_ns
        delay_ns, least_ns = _delay_ns(arrival), self.state.least_delay_ns
        if pause_ns < 0 or delay_ns is None or least_ns is None:
            return None
        is_denied = to_last_ns > 0 or self._server_denies(arrival, -to_last_ns, 2 * SERVER_NOISE_NS)
        if not is_denied or not self._server_agrees(successor, pause_ns):
            return None
        # The producer paused before it or behind it: the server's clock shows which.
        move_ns = min(to_last_ns, to_next_ns, key=lambda each: abs(delay_ns - each - least_ns))
        if abs(move_ns) <= RUN_ON_NS:
            return None
        return move_ns if abs(delay_ns - move_ns - least_ns) <= SERVER_NOISE_NS else None

    def _lost_ns(self, arrival: _Arrival, successor: _Arrival) -> int:
        """The most that a truncated fragment's lost end lasted, by its neighbours' length, ns; 0 for a whole one."""
        if arrival.decision.fragment.completion is not Completion.TRUNCATED:
            return 0
        longest_ns = max(_longest_ns(self.state.spans), _longest_ns(successor.spans))
        return max(0, longest_ns - _longest_ns(arrival.spans)) + RUN_ON_NS

    def _repaired_first(self, arrival: _Arrival, successor: _Arrival | None) -> _Arrival:
        """Move a call's first fragment before the second one if its own time is far from the server's clock."""
        missing = None if successor is None else _missing_between(arrival.last_counter, successor.counter)
        if successor is None or missing is None or not _is_far(arrival) or _is_far(successor):
            return arrival
        lasts_ns = _longest_ns(arrival.spans)
        if arrival.decision.fragment.completion is Completion.TRUNCATED:
            # Its end is lost, so its beginning lies before the second one by that one's length.
            lasts_ns = max(lasts_ns, _longest_ns(successor.spans))
        lost_ns = lasts_ns - _longest_ns(arrival.spans)
        leap_ns = _leap(arrival, successor) - missing * lasts_ns - lost_ns
        if abs(leap_ns) <= RUN_ON_NS:
            return arrival
        return self._leaped(arrival, leap_ns)

    def _pass(self, arrival: _Arrival) -> None:
        """Go on from a fragment."""
        state, counter = self.state, arrival.counter
        delay_ns, least_ns = _delay_ns(arrival), state.least_delay_ns
        if delay_ns is not None and (least_ns is None or delay_ns < least_ns):
            least_ns = delay_ns
        leap_ns = self._leap_ns(arrival) if state.spans else RUN_ON_NS + 1
        last_ns = state.last_delay_ns
        if leap_ns < -RUN_ON_NS:
            last_ns = None
        elif delay_ns is not None and (last_ns is not None or leap_ns > RUN_ON_NS):
            last_ns = delay_ns
        missing = state.missing
        if counter is not None and state.counter is not None and counter != state.counter + 1:
            if (
                counter in missing
                or state.counter - MAX_HELD <= counter <= state.counter
                or self._was_read(arrival.decision.fragment)
            ):
                self.missing -= counter in missing
                if counter < state.counter:
                    self.late.append(arrival.decision.fragment.number)
                missing = tuple(each for each in missing if each != counter)
                if abs(leap_ns) > RUN_ON_NS:
                    # It comes late or once more: what follows goes on from the fragments that came before it.
                    self.state = replace(state, missing=missing)
                    return
                counter = state.counter
            elif abs(leap_ns) > RUN_ON_NS and counter - state.counter <= MAX_MISSING:
                waiting = {each.counter for each in self.waiting}
                absent = [each for each in range(state.counter + 1, counter) if each not in waiting]
                self.missing += len(absent)
                missing = (*missing, *absent)[-MAX_MISSING_KEPT:]
        delays_ms, ahead = self._delays_with(arrival, delay_ns, leap_ns)
        moves, server_ms = self.state.moves, arrival.decision.fragment.server_timestamp_ms
        counter = arrival.last_counter if counter == arrival.counter else counter
        spans = _whole_spans(arrival, state.spans)
        self.state = OrderState(
            counter, arrival.base_ns, spans, least_ns, last_ns, missing, moves, server_ms, delays_ms, ahead
        )

    def _was_read(self, fragment: Fragment) -> bool:
        """Return True if a fragment of a lower counter was read before: another session's is later by the server."""
        state, counter, server_ms = self.state, fragment_counter(fragment.number), fragment.server_timestamp_ms
        if counter is None or state.counter is None or counter > state.counter or counter in state.missing:
            return False
        return server_ms is not None and state.server_ms is not None and server_ms <= state.server_ms

    def _delays_with(
        self, arrival: _Arrival, delay_ns: int | None, leap_ns: int
    ) -> tuple[tuple[int, ...], ShortLeap | None]:
        """The newest delays with a fragment's, and the short leap that they will explain."""
        state = self.state
        if delay_ns is None:
            return (), None
        delay_ms = delay_ns // _MS
        is_alike = state.spans and abs(_longest_ns(state.spans) - _longest_ns(arrival.spans)) <= RUN_ON_NS
        if not is_alike or arrival.counter is None or not self._is_next(arrival):
            return (delay_ms,), None
        if abs(leap_ns) <= RUN_ON_NS:
            delays_ms = (*state.delays_ms[1 - DELAYS :], delay_ms)
            return delays_ms, None if state.ahead is None else self._explained(state.ahead, delays_ms)
        if leap_ns <= 2 * SERVER_NOISE_NS:
            return (delay_ms,), ShortLeap.before(leap_ns // _MS, state.delays_ms)
        return (delay_ms,), None

    def _explained(self, ahead: ShortLeap, delays_ms: Sequence[int]) -> ShortLeap | None:
        """Count a short leap that was a change of the clock, once enough delays behind it show that."""
        if len(delays_ms) < DELAYS:
            return ahead
        if ahead.is_clock_change(delays_ms):
            self.doubt(TimesDisagree(clock_change=1))
        return None


def _times_before(strays: Sequence[Stray], base_ns: int, spans: Sequence[TrackSpan]) -> dict[int, int]:
    """The times of stray blocks of a fragment, by index, that the next fragment shows.

    It begins behind the last block of each track. So a stray block is the last one if there is room for it, and the
    first one if there is none.

    Args:
        strays: the stray blocks.
        base_ns: when the next fragment's earliest block begins, ns since the epoch.
        spans: the time of each of its tracks.
    """
    starts = {span.number: base_ns + span.first_ns for span in spans}
    times = {}
    for each in strays:
        room_ns = starts.get(each.number, each.after_ns - MAX_BACK_NS) - each.after_ns
        if abs(room_ns - each.lasts_ns) <= RUN_ON_NS:
            times[each.index] = each.after_ns
        elif abs(room_ns) <= RUN_ON_NS:
            times[each.index] = each.before_ns
    return times


def _leap_between(before_ns: int, before: Sequence[TrackSpan], after_ns: int, after: Sequence[TrackSpan]) -> int:
    """By how much later than the end of one fragment another begins, on the track where it is least, ns.

    Tracks may be skewed, but a leap moves all tracks of a fragment.
    """
    apart_ns = after_ns - before_ns
    ends = {span.number: span.after_ns for span in before}
    leaps = [apart_ns + span.first_ns - ends[span.number] for span in after if span.number in ends]
    return min(leaps, key=abs) if leaps else 0


def _leap(arrival: _Arrival, successor: _Arrival) -> int:
    """See `_leap_between`, from one fragment to another."""
    return _leap_between(arrival.base_ns, arrival.spans, successor.base_ns, successor.spans)


def _longest_ns(spans: Sequence[TrackSpan]) -> int:
    """How long a fragment lasts, ns: its longest track, since a skew between tracks is no part of its length."""
    return max(span.after_ns - span.first_ns for span in spans)


def _whole_spans(arrival: _Arrival, before: Sequence[TrackSpan]) -> tuple[TrackSpan, ...]:
    """The time of each track of a fragment; a truncated one's lost end lasts as long as that of the one before it."""
    if arrival.decision.fragment.completion is not Completion.TRUNCATED:
        return arrival.spans
    lengths = {span.number: span.after_ns - span.first_ns for span in before}
    return tuple(
        replace(span, after_ns=max(span.after_ns, span.first_ns + lengths.get(span.number, 0)))
        for span in arrival.spans
    )


def _delay_ns(arrival: _Arrival) -> int | None:
    """How long after its beginning the server took a fragment, ns; negative where the clocks differ."""
    server_ms = arrival.decision.fragment.server_timestamp_ms
    return None if server_ms is None else server_ms * _MS - arrival.base_ns


def _is_contradictory(arrival: _Arrival) -> bool:
    """Return True if a fragment's producer timestamp lies outside of it."""
    producer_ms = arrival.decision.fragment.producer_timestamp_ms
    return producer_ms is not None and _distance_ns(arrival, producer_ms) > CLUSTER_SLACK_MS * _MS


def _is_far(arrival: _Arrival) -> bool:
    """Return True if a fragment's time is far from the server's, or from its producer timestamp."""
    server_ms = arrival.decision.fragment.server_timestamp_ms
    return (server_ms is not None and _distance_ns(arrival, server_ms) > FAR_NS) or _is_contradictory(arrival)


def _distance_ns(arrival: _Arrival, time_ms: int) -> int:
    """How far outside of a fragment a time lies, ns; 0 inside."""
    after_ns = time_ms * _MS - arrival.base_ns
    return max(-after_ns, after_ns - max(span.after_ns for span in arrival.spans), 0)


def _missing_between(before: int | None, counter: int | None) -> int | None:
    """Fragments missing between two by their counters; None if the later one is late or of another session."""
    if before is None or counter is None:
        return 0
    missing = counter - before - 1
    return missing if 0 <= missing < MAX_MISSING else None


def _follows(arrival: _Arrival, successor: _Arrival) -> bool:
    """Return True if no number says that one fragment does not follow another directly."""
    last = arrival.last_counter
    return last is None or successor.counter is None or successor.counter == last + 1


def _successor(waiting: Sequence[_Arrival], index: int) -> _Arrival | None:
    """The first fragment behind one that waits which no number keeps from following it; None for none."""
    return next((each for each in waiting[index + 1 :] if _follows(waiting[index], each)), None)


def _next_of(waiting: Sequence[_Arrival], index: int) -> _Arrival | None:
    """The first fragment behind one that waits and is neither late nor of another session; None for none."""
    counter = waiting[index].counter
    return next((each for each in waiting[index + 1 :] if _missing_between(counter, each.counter) is not None), None)


def _is_copy(arrival: _Arrival, successor: _Arrival) -> bool:
    """Return True if a producer has sent a fragment's audio once more: that says nothing about its time."""
    return tuple(arrival.decision.fragment.blocks) == tuple(successor.decision.fragment.blocks)
