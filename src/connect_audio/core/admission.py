"""Which fragments belong to our contact. Connect re-uses its streams, so the contact before and after ours is in there.

Another contact's audio is never written nor handed on, not for a millisecond: a privacy rule. A fragment that names no
contact is ours if both labelled neighbours are; or, where ours is the left one and the call ends there, if its time
runs on from ours and from nobody else's. Otherwise it is dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import sub
from typing import Final, NamedTuple

from connect_audio.core.fragments import Completion, Fragment

RUN_ON_MS: Final = 2000
"""Two fragments are neighbours in time when no more than this lies between them."""
MAX_UNDECIDED_BYTES: Final = 8 * 1024 * 1024
"""What waits for the next label, unlabelled fragments with all they hold: three minutes of both parties at 8 kHz."""

_WHOLE: Final = frozenset({Completion.TOKEN, Completion.SUCCESSOR})
"""Of any other fragment the end may be missing, and with it a ContactId that comes after the Cluster."""


class Label(StrEnum):
    """Whom the last labelled fragment named."""

    NONE = "NONE"
    OURS = "OURS"
    OTHER = "OTHER"


class Verdict(StrEnum):
    """What becomes of a fragment."""

    OURS = "OURS"
    """It names our contact."""
    OURS_BY_NEIGHBOURS = "OURS_BY_NEIGHBOURS"
    """It names nobody and is ours."""
    OTHER = "OTHER"
    """It names another contact."""
    CONTRADICTORY = "CONTRADICTORY"
    """It names more than one contact."""
    UNDECIDABLE = "UNDECIDABLE"
    """It names nobody, stands next to ours, and could be either's."""
    UNLABELLED_ELSEWHERE = "UNLABELLED_ELSEWHERE"
    """It names no contact and no neighbour is ours."""
    NO_AUDIO = "NO_AUDIO"
    """It names nobody and carries no block that could be anyone's audio."""
    OTHER_STREAMING = "OTHER_STREAMING"
    """It names our contact and belongs to another streaming of it, which has a recording of its own."""

    @property
    def admitted(self) -> bool:
        """Whether the audio is ours."""
        return self in {Verdict.OURS, Verdict.OURS_BY_NEIGHBOURS}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionState:
    """What has to be remembered between fragments: no more than the last label and where ours ended.

    Args:
        label: the last label.
        end_ms: where the last admitted fragment with audio ended, ms since the epoch; None before the first.
    """

    label: Label = Label.NONE
    end_ms: int | None = None


class Decision(NamedTuple):
    """A fragment and its verdict; `state` is what to go on from after it, also where others were decided with it."""

    fragment: Fragment
    verdict: Verdict
    state: AdmissionState


class _Successor(NamedTuple):
    """A fragment that is not ours, behind unlabelled ones.

    Args:
        start_ms: when it begins, ms since the epoch; None where it says nothing.
    """

    start_ms: int | None

    def follows(self, end_ms: int | None) -> bool:
        """Whether it may run on from what ended at a time, ms since the epoch; None for an unknown time."""
        return self.start_ms is None or end_ms is None or self.start_ms - end_ms <= RUN_ON_MS


class Admission:
    """Decide on completed fragments in stream order.

    Memory: the undecided fragments, of at most `MAX_UNDECIDED_BYTES`, or the newest one alone.

    Args:
        contact_id: whose audio is wanted.
        state: where to go on.
        from_ms: admit nothing that ends at or before it (the same contact's streaming before), ms since the epoch.
        until_ms: admit nothing that begins at or after it (the same contact's next streaming), ms since the epoch.
        accept_unlabelled: take fragments that name nobody for ours wherever they stand: for captures from before
            Connect wrote labels, where nothing else is in the stream.
    """

    def __init__(
        self,
        contact_id: str,
        state: AdmissionState | None = None,
        *,
        from_ms: int | None = None,
        until_ms: int | None = None,
        accept_unlabelled: bool = False,
    ) -> None:
        state = state or AdmissionState()
        self._contact_id = contact_id
        self._label = state.label
        self._end_ms = state.end_ms
        self._from_ms = from_ms
        self._until_ms = until_ms
        self._accept_unlabelled = accept_unlabelled
        self._undecided: deque[Fragment] = deque()
        self._undecided_bytes = 0

    def stop_before(self, until_ms: int) -> None:
        """From now on admit nothing that begins at or after a time, ms since the epoch."""
        self._until_ms = until_ms

    @property
    def undecided(self) -> int:
        """How many fragments wait for the next label."""
        return len(self._undecided)

    def state(self) -> AdmissionState:
        """What `Admission` needs to go on after the last decided fragment."""
        return AdmissionState(label=self._label, end_ms=self._end_ms)

    def admits_at_once(self, contact_ids: Sequence[str], start_ms: int) -> bool:
        """Whether a fragment that is not over yet will be ours, as far as it can be told: nothing before it waits.

        Args:
            contact_ids: whom it has named so far.
            start_ms: when its first block begins, ms since the epoch.
        """
        return (
            not self._undecided
            and tuple(contact_ids) == (self._contact_id,)
            and (self._from_ms is None or start_ms >= self._from_ms)
            and (self._until_ms is None or start_ms < self._until_ms)
        )

    def add(self, fragment: Fragment) -> list[Decision]:
        """Take the next fragment; return what can be decided now, in stream order."""
        start = start_ms(fragment)
        if not fragment.contact_ids:
            if self._accept_unlabelled:
                return [self._decide(fragment, Verdict.OURS_BY_NEIGHBOURS)]
            if self._label is not Label.OURS:
                # No fragment to the left is ours, so nothing that comes can make this one ours.
                verdict = Verdict.UNLABELLED_ELSEWHERE if _media_bytes(fragment) else Verdict.NO_AUDIO
                return [self._decide(fragment, verdict)]
            self._undecided.append(fragment)
            self._undecided_bytes += fragment.held_bytes
            dropped = []
            while self._undecided_bytes > MAX_UNDECIDED_BYTES and len(self._undecided) > 1:
                dropped.append(self._drop_oldest())
            return dropped
        if len(fragment.contact_ids) > 1:
            label, verdict = Label.OTHER, Verdict.CONTRADICTORY
        elif fragment.contact_ids[0] != self._contact_id:
            label, verdict = Label.OTHER, Verdict.OTHER
        elif self._belongs_to_another_streaming(fragment, start):
            label, verdict = Label.OTHER, Verdict.OTHER_STREAMING
        else:
            label, verdict = Label.OURS, Verdict.OURS
        decisions = (
            [self._decide(waiting, Verdict.OURS_BY_NEIGHBOURS) for waiting in self._release()]
            if label is Label.OURS
            else self._close_gap(_Successor(start))
        )
        self._label = label
        decisions.append(self._decide(fragment, verdict))
        return decisions

    def _belongs_to_another_streaming(self, fragment: Fragment, start: int | None) -> bool:
        end = None if self._from_ms is None else end_ms(fragment)
        before = self._from_ms is not None and end is not None and end <= self._from_ms
        return before or (self._until_ms is not None and start is not None and start >= self._until_ms)

    def end(self) -> list[Decision]:
        """The call is over: decide on what waits."""
        return self._close_gap(None)

    def _close_gap(self, successor: _Successor | None) -> list[Decision]:
        """Decide on unlabelled fragments to the right of ours.

        Args:
            successor: the fragment behind them, which is not ours; None at the end of the call.
        """
        waiting = self._release()
        verdicts: list[Verdict] = []
        end = self._end_ms
        runs_on = True
        for fragment in waiting:
            if not _media_bytes(fragment):
                verdicts.append(Verdict.NO_AUDIO)
                continue
            start = start_ms(fragment)
            runs_on = (
                runs_on
                and end is not None
                and start is not None
                and -RUN_ON_MS <= start - end <= RUN_ON_MS
                and fragment.completion in _WHOLE
                and (self._until_ms is None or start < self._until_ms)
            )
            verdicts.append(Verdict.OURS_BY_NEIGHBOURS if runs_on else Verdict.UNDECIDABLE)
            end = end_ms(fragment) if runs_on else end
        if runs_on and successor is not None and successor.follows(end):
            # They run on into the successor's audio as well, so where the border lies cannot be told.
            verdicts = [Verdict.UNDECIDABLE if verdict.admitted else verdict for verdict in verdicts]
        return [self._decide(fragment, verdict) for fragment, verdict in zip(waiting, verdicts, strict=True)]

    def _release(self) -> list[Fragment]:
        waiting = list(self._undecided)
        self._undecided.clear()
        self._undecided_bytes = 0
        return waiting

    def _drop_oldest(self) -> Decision:
        fragment = self._undecided.popleft()
        self._undecided_bytes -= fragment.held_bytes
        return self._decide(fragment, Verdict.UNDECIDABLE)

    def _decide(self, fragment: Fragment, verdict: Verdict) -> Decision:
        if verdict.admitted:
            end = end_ms(fragment)
            if end is not None:
                self._end_ms = end if self._end_ms is None else max(self._end_ms, end)
        label = self._label
        if verdict is Verdict.OURS:
            label = Label.OURS
        elif verdict in {Verdict.OTHER, Verdict.CONTRADICTORY, Verdict.OTHER_STREAMING}:
            label = Label.OTHER
        return Decision(fragment, verdict, AdmissionState(label=label, end_ms=self._end_ms))


def start_ms(fragment: Fragment) -> int | None:
    """When a fragment begins by the producer's clock, ms since the epoch; None where it says nothing."""
    if fragment.blocks:
        return min(block.time_ns for block in fragment.blocks) // 1_000_000
    return fragment.producer_timestamp_ms


def end_ms(fragment: Fragment) -> int | None:
    """When its last block begins, plus one block as most are: near enough to tell neighbours in time."""
    if not fragment.blocks:
        return None
    times = sorted({block.time_ns for block in fragment.blocks})
    # The median, since a hole inside the fragment would make the average too long, and with it the call.
    steps = sorted(map(sub, times[1:], times))
    return (times[-1] + (steps[len(steps) // 2] if steps else 0)) // 1_000_000


def _media_bytes(fragment: Fragment) -> int:
    return sum(len(block.data) for block in fragment.blocks)
