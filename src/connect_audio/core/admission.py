"""Decides which fragments belong to our contact: Connect re-uses its streams, so they hold other contacts, too.

A privacy rule: another contact's audio is never written and never delivered, not for a millisecond.

A fragment that names no contact is admitted in two cases:

- both labelled neighbours are our contact's, and its number is not of another producer session;
- the left neighbour is our contact's, and all evidence says the same: time, number and what follows.

Otherwise it is dropped and counted. `OURS` in a name means: of our contact.

How it works. Unlabelled fragments behind our contact's wait for the next label or the end. Then one of two rules
decides on all of them:

    _between     the next label is our contact's. Only a number of another producer session speaks against a fragment.
    _close_gap   the next label is another contact's, or none comes. Each fragment must begin near the end of the audio
                 before it. Its number must be the next one of the producer session. `StreamEnd` or the next label must
                 show that nobody else's audio runs on from it.

The number is evidence against a fragment, and never alone for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from connect_audio.core.claims import straightened, stray_blocks
from connect_audio.core.ebml import new_tuple
from connect_audio.core.fragment import Block, Completion, Fragment, fragment_counter
from connect_audio.core.runs import end_ns, media_bytes, start_ns
from connect_audio.core.shapes import ShapedBlocks
from connect_audio.values import dataclass

RUN_ON_MS: Final = 2000
"""Two fragments are neighbours in time when no more than this lies between them."""
MAX_UNDECIDED_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of unlabelled fragments that wait for the next label: three minutes of both parties at 8 kHz."""
_OUT_OF_ORDER: Final = 8
"""Farthest that a fragment's counter may lie outside its neighbours' and still be of their session, fragments. In a
capture fragments may have changed places. A counter beyond it is another session's."""

_WHOLE: Final = frozenset({Completion.TOKEN, Completion.SUCCESSOR})
"""Completions with a proven end. Another fragment may lack its end, and with it a ContactId after the Cluster."""


class StreamEnd(StrEnum):
    """Knowledge of the stream behind its last fragment, once the call is over."""

    SILENT = "SILENT"
    """The stream was read to its head, and no fragment followed."""
    UNREAD = "UNREAD"
    """Another fragment may follow: an error, a limit or a failure ended the reading."""
    END_OF_INPUT = "END_OF_INPUT"
    """A capture ends, which shows nothing."""


class Label(StrEnum):
    """Whom the last labelled fragment named."""

    NONE = "NONE"
    OURS = "OURS"
    OTHER = "OTHER"


class Verdict(StrEnum):
    """The decision on a fragment."""

    OURS = "OURS"
    """It names our contact."""
    OURS_BY_NEIGHBOURS = "OURS_BY_NEIGHBOURS"
    """It names no contact and belongs to our contact by its neighbours."""
    OTHER = "OTHER"
    """It names another contact."""
    CONTRADICTORY = "CONTRADICTORY"
    """It names more than one contact."""
    UNDECIDABLE = "UNDECIDABLE"
    """It names no contact, stands beside our contact's fragments, and could belong to either side."""
    UNLABELLED_ELSEWHERE = "UNLABELLED_ELSEWHERE"
    """It names no contact, and no neighbour is our contact's."""
    NO_AUDIO = "NO_AUDIO"
    """It names no contact and carries no block of audio."""
    OTHER_STREAMING = "OTHER_STREAMING"
    """It names our contact and belongs to another streaming of it, which has a recording of its own."""

    @property
    def admitted(self) -> bool:
        """True if the audio belongs to our contact."""
        return self is Verdict.OURS or self is Verdict.OURS_BY_NEIGHBOURS


@dataclass(slots=True)
class ProducerSession:
    """The counters of admitted fragments that the producer numbered without a jump. A new value replaces the last.

    Args:
        first: the lowest counter.
        last: the highest counter.
    """

    first: int
    last: int

    def goes_on_with(self, counter: int | None) -> bool:
        """Return True if a counter is the next one."""
        return counter == self.last + 1

    def after(self, counter: int | None) -> ProducerSession:
        """Return the session behind a fragment without audio, which belongs to it only if its counter is the next."""
        return self if counter is None or not self.goes_on_with(counter) else self.with_counter(counter)

    def with_counter(self, counter: int) -> ProducerSession:
        """Return the session of the newest admitted fragment: this one, or a new one behind a jump."""
        if counter == self.last + 1:
            return ProducerSession(self.first, counter)
        if self.first - _OUT_OF_ORDER <= counter <= self.last:
            return ProducerSession(first=min(self.first, counter), last=max(self.last, counter))
        return ProducerSession(first=counter, last=counter)


@dataclass(slots=True)
class AdmissionState:
    """The last label, and the end of our contact's audio: the state between fragments. A new value replaces the last.

    Args:
        label: the last label.
        end_ms: end of the last admitted fragment with audio, ms since the epoch; None before the first.
        other_end_ms: end of the audio if the last fragment, or a block at its edge, leaped alone, ms since the epoch;
            None for none.
        session: the producer session of the last admitted fragment; None before the first, or where none is known. A
            fragment that did not run on ends the session.
    """

    label: Label = Label.NONE
    end_ms: int | None = None
    other_end_ms: int | None = None
    session: ProducerSession | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingBounds:
    """The part of a stream that one streaming of the contact fills, by fragment numbers, which grow along the stream.

    Args:
        first: number of its first fragment; None where the contact has no streaming before it.
        until: number of the first fragment of the contact's next streaming; None while none is known.
    """

    first: int | None = None
    until: int | None = None

    def hold(self, number: str | None) -> bool:
        """Return True if a fragment lies within; one without a number lies before every bound."""
        if self.first is None and self.until is None:
            return True
        at = -1 if number is None else int(number)
        return (self.first is None or at >= self.first) and (self.until is None or at < self.until)


NOT_BEGUN: Final = StreamingBounds(first=1 << 256)
"""Bounds of a streaming whose first fragment is not known yet. The number lies beyond every number of AWS."""


class Decision(NamedTuple):
    """A fragment and its verdict; `state` is what to go on from after it, also where others were decided with it."""

    fragment: Fragment
    verdict: Verdict
    state: AdmissionState


class _Successor(NamedTuple):
    """A fragment of another contact or streaming, after unlabelled ones.

    Args:
        start_ms: when it begins, ms since the epoch; None where it says nothing.
    """

    start_ms: int | None

    def follows(self, end_ms: int | None) -> bool:
        """Return True if it may run on from audio that ended at a time, ms since the epoch; None if unknown."""
        return self.start_ms is None or end_ms is None or self.start_ms - end_ms <= RUN_ON_MS


class Admission:
    """Decide on completed fragments in stream order.

    Memory: the undecided fragments, of at most `MAX_UNDECIDED_BYTES`, or the newest one alone.

    Args:
        contact_id: our contact.
        state: state to continue from.
        bounds: admit nothing outside, which belongs to another streaming of the same contact.
        accept_unlabelled: True admits every fragment that names no contact. It is for captures from before Connect
            wrote labels, with one contact in the stream.
    """

    def __init__(
        self,
        contact_id: str,
        state: AdmissionState | None = None,
        *,
        bounds: StreamingBounds | None = None,
        accept_unlabelled: bool = False,
    ) -> None:
        state = state or AdmissionState()
        self.contact_id: Final = contact_id
        """Our contact."""
        self._label = state.label
        self._end_ms = state.end_ms
        self._other_end_ms = state.other_end_ms
        self._session = state.session
        self._bounds = bounds or StreamingBounds()
        self._accept_unlabelled = accept_unlabelled
        self._undecided: deque[Fragment] = deque()
        self._undecided_bytes = 0

    def keep_within(self, bounds: StreamingBounds) -> None:
        """From now on admit nothing outside these bounds."""
        self._bounds = bounds

    @property
    def undecided(self) -> int:
        """How many fragments wait for the next label."""
        return len(self._undecided)

    @property
    def end_ms(self) -> int | None:
        """End of the last admitted audio, ms since the epoch."""
        return self._end_ms

    def state(self) -> AdmissionState:
        """The state after the last decided fragment."""
        return self._state(self._label)

    def admits_at_once(self, contact_ids: Sequence[str], number: str | None) -> bool:
        """Return True if an open fragment will be admitted, by all that is known: no fragment before it waits.

        Args:
            contact_ids: whom it has named so far.
            number: its fragment number; None where it has not named it yet.
        """
        return not self._undecided and tuple(contact_ids) == (self.contact_id,) and self._bounds.hold(number)

    def add(self, fragment: Fragment) -> list[Decision]:
        """Take the next fragment; return what can be decided now, in stream order."""
        if not fragment.contact_ids:
            if self._accept_unlabelled:
                return [self._decide(fragment, Verdict.OURS_BY_NEIGHBOURS)]
            if self._label is not Label.OURS:
                # No fragment to the left is the contact's, so nothing that comes can make this one the contact's.
                verdict = Verdict.UNLABELLED_ELSEWHERE if media_bytes(fragment.blocks) else Verdict.NO_AUDIO
                return [self._decide(fragment, verdict)]
            self._undecided.append(fragment)
            self._undecided_bytes += fragment.held_bytes
            dropped = []
            while self._undecided_bytes > MAX_UNDECIDED_BYTES and len(self._undecided) > 1:
                dropped.append(self._drop_oldest())
            return dropped
        if len(fragment.contact_ids) > 1:
            label, verdict = Label.OTHER, Verdict.CONTRADICTORY
        elif fragment.contact_ids[0] != self.contact_id:
            label, verdict = Label.OTHER, Verdict.OTHER
        elif not self._bounds.hold(fragment.number):
            label, verdict = Label.OTHER, Verdict.OTHER_STREAMING
        else:
            label, verdict = Label.OURS, Verdict.OURS
        decisions: list[Decision] = []
        if self._undecided and label is Label.OURS:
            decisions = self._between(fragment)
        elif self._undecided:
            decisions = self._close_gap(_Successor(_earliest_ms(fragment)))
        self._label = label
        decisions.append(self._decide(fragment, verdict))
        return decisions

    def end(self, how: StreamEnd) -> list[Decision]:
        """The call is over: decide on the fragments that wait.

        Args:
            how: the knowledge of the stream behind them.
        """
        return self._close_gap(how)

    def _between(self, right: Fragment) -> list[Decision]:
        """Decide on unlabelled fragments between two of our contact's.

        Args:
            right: the right neighbour.
        """
        waiting = self._release()
        right_counter = fragment_counter(right.number)
        leads_up = _leading_up_to(waiting, right_counter)
        decisions: list[Decision] = []
        for fragment, leads in zip(waiting, leads_up, strict=True):
            if leads or not _of_another_session(fragment, self._session, right_counter):
                verdict = Verdict.OURS_BY_NEIGHBOURS
            else:
                verdict = Verdict.UNDECIDABLE if media_bytes(fragment.blocks) else Verdict.NO_AUDIO
            decisions.append(self._decide(fragment, verdict))
        return decisions

    def _close_gap(self, behind: _Successor | StreamEnd) -> list[Decision]:
        """Decide on unlabelled fragments to the right of our contact's.

        Args:
            behind: the fragment after them, which is another contact's; at the end of the call, the knowledge instead.
        """
        waiting = self._release()
        verdicts: list[Verdict] = []
        end, other_end, session = self._end_ms, self._other_end_ms, self._session
        unfit: Fragment | None = None
        for fragment in waiting:
            counter = fragment_counter(fragment.number)
            has_audio = bool(media_bytes(fragment.blocks))
            goes_on = session is not None and session.goes_on_with(counter)
            follows = self._follows(fragment, end) or self._follows(fragment, other_end)
            if has_audio and (unfit or not goes_on or not follows):
                unfit = unfit or fragment
                verdicts.append(Verdict.UNDECIDABLE)
                continue
            verdicts.append(Verdict.OURS_BY_NEIGHBOURS if has_audio else Verdict.NO_AUDIO)
            end, other_end = _ends_ms(fragment) if has_audio else (end, other_end)
            session = session.after(counter) if unfit is None and session is not None else session
        if not _is_border(behind, unfit, end):
            verdicts = [Verdict.UNDECIDABLE if verdict.admitted else verdict for verdict in verdicts]
        return [self._decide_last(fragment, verdict) for fragment, verdict in zip(waiting, verdicts, strict=True)]

    def _follows(self, fragment: Fragment, end: int | None) -> bool:
        """Return True if a whole fragment begins near the end of our contact's audio, ms since the epoch."""
        starts = _starts_ms(fragment) or (fragment.producer_timestamp_ms,)
        return (
            end is not None
            and any(start is not None and -RUN_ON_MS <= start - end <= RUN_ON_MS for start in starts)
            and fragment.completion in _WHOLE
            and self._bounds.hold(fragment.number)
        )

    def _release(self) -> list[Fragment]:
        waiting = list(self._undecided)
        self._undecided.clear()
        self._undecided_bytes = 0
        return waiting

    def _drop_oldest(self) -> Decision:
        fragment = self._undecided.popleft()
        self._undecided_bytes -= fragment.held_bytes
        return self._decide(fragment, Verdict.UNDECIDABLE)

    def _decide_last(self, fragment: Fragment, verdict: Verdict) -> Decision:
        """Decide on a fragment that our contact's audio may end with: behind one that is dropped, none runs on."""
        if verdict is Verdict.UNDECIDABLE:
            self._session = None
        return self._decide(fragment, verdict)

    def _decide(self, fragment: Fragment, verdict: Verdict) -> Decision:
        is_admitted = verdict.admitted
        if is_admitted:
            end, with_strays = _ends_ms(fragment)
            if end is not None:
                self._move_end(fragment, end)
                self._other_end_ms = self._other_end_ms or with_strays
        self._count_on(fragment, verdict, is_admitted=is_admitted)
        label = self._label
        if verdict is Verdict.OURS:
            label = Label.OURS
        elif verdict in {Verdict.OTHER, Verdict.CONTRADICTORY, Verdict.OTHER_STREAMING}:
            label = Label.OTHER
        return new_tuple(Decision, (fragment, verdict, self._state(label)))

    def _state(self, label: Label) -> AdmissionState:
        return AdmissionState(label, self._end_ms, self._other_end_ms, self._session)

    def _move_end(self, fragment: Fragment, end: int) -> None:
        """Move the audio's end behind a fragment; where its time leaps, the next one shows if it leaped alone.

        Args:
            fragment: an admitted fragment with blocks.
            end: its end, ms since the epoch.
        """
        before, other = self._end_ms, self._other_end_ms
        if before is None or 0 <= end - before <= RUN_ON_MS:
            self._end_ms, self._other_end_ms = end, None
            return
        start = start_ms(fragment) or 0
        if -RUN_ON_MS <= start - before <= RUN_ON_MS:
            self._end_ms, self._other_end_ms = (max(before, end)), None
        elif other is not None and -RUN_ON_MS <= start - other <= RUN_ON_MS:
            self._end_ms, self._other_end_ms = end, None
        elif start > before:
            self._end_ms, self._other_end_ms = end, before + end - start
        else:
            self._other_end_ms = end

    def _count_on(self, fragment: Fragment, verdict: Verdict, *, is_admitted: bool) -> None:
        """Note the counter of a fragment that is our contact's, or that only stands among our contact's."""
        counter = fragment_counter(fragment.number)
        if is_admitted:
            if counter is None:
                self._session = None
            elif self._session is None:
                self._session = ProducerSession(first=counter, last=counter)
            else:
                self._session = self._session.with_counter(counter)
        elif verdict is Verdict.NO_AUDIO and self._session is not None:
            self._session = self._session.after(counter)


def _is_border(behind: _Successor | StreamEnd, unfit: Fragment | None, end: int | None) -> bool:
    """Return True if our contact's audio ends where the last unlabelled fragment that runs on from it ends.

    Args:
        behind: the next label, or what is known at the end of the call.
        unfit: the first unlabelled fragment that does not run on; None for none.
        end: end of the audio before it, ms since the epoch; None if unknown.
    """
    if behind is StreamEnd.UNREAD:
        return False
    if unfit is None:
        return not isinstance(behind, _Successor) or not behind.follows(end)
    if behind is StreamEnd.END_OF_INPUT and unfit.completion not in _WHOLE:
        # A capture may be cut anywhere.
        return True
    # Another contact's audio may begin with it.
    return not _Successor(_earliest_ms(unfit)).follows(end)


def _leading_up_to(waiting: Sequence[Fragment], right: int | None) -> list[bool]:
    """Return for each fragment True if its counter and the later ones lead up to the right neighbour's."""
    leads: list[bool] = []
    for fragment in reversed(waiting):
        right = None if right is None else right - 1
        leads.append(right is not None and fragment_counter(fragment.number) == right)
        right = right if leads[-1] else None
    return leads[::-1]


def _of_another_session(fragment: Fragment, left: ProducerSession | None, right: int | None) -> bool:
    """Return True if a fragment's counter lies outside its neighbours' counters. Without a counter nothing is shown."""
    counter = fragment_counter(fragment.number)
    if counter is None or left is None or right is None:
        return False
    return not left.first - _OUT_OF_ORDER <= counter <= max(left.last, right) + _OUT_OF_ORDER


def start_ms(fragment: Fragment) -> int | None:
    """When a fragment begins by the producer's clock, ms since the epoch; None where it says nothing."""
    starts = _starts_ms(fragment)
    return starts[-1] if starts else fragment.producer_timestamp_ms


def end_ms(fragment: Fragment) -> int | None:
    """When its last block begins, plus one block as most are: near enough to find neighbours in time."""
    return _ends_ms(fragment)[0]


def _earliest_ms(fragment: Fragment) -> int | None:
    """The earliest time at which a fragment may begin, ms since the epoch; None where it says nothing."""
    return min(_starts_ms(fragment), default=fragment.producer_timestamp_ms)


def _starts_ms(fragment: Fragment) -> tuple[int, ...]:
    """When a fragment begins, ms since the epoch: with the blocks that stray at its edges, and without them."""
    return tuple(start_ns(blocks) // 1_000_000 for blocks in _believed(fragment))


def _ends_ms(fragment: Fragment) -> tuple[int | None, int | None]:
    """When a fragment ends, ms since the epoch, and when with blocks that stray at its edges; None for none."""
    straight = fragment.blocks
    if straight.__class__ is ShapedBlocks and straight.layout.is_straight:
        return (straight.cluster_ns + straight.layout.end_ns) // 1_000_000, None
    ends = [end_ns(blocks) // 1_000_000 for blocks in _believed(fragment)]
    other = ends[0] if ends and ends[0] != ends[-1] else None
    return (ends[-1] if ends else None), other


def _believed(fragment: Fragment) -> tuple[Sequence[Block], ...]:
    """A fragment's blocks, each that leaped between its neighbours put there. Without strays, too, where it has any."""
    if not fragment.blocks:
        return ()
    blocks, _ = straightened(fragment.blocks)
    apart = {each.index for each in stray_blocks(blocks)}
    if not apart:
        return (blocks,)
    return blocks, [block for index, block in enumerate(blocks) if index not in apart]
