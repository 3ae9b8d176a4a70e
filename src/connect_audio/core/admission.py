"""Decides which fragments belong to our contact: Connect re-uses its streams, so they hold other contacts, too.

A privacy rule: another contact's audio is never written and never delivered, not for a millisecond.

A fragment that names no contact is admitted in two cases:

- both labelled neighbours are our contact's;
- the left neighbour is, the call ends there, and the fragment's time runs on from our contact and from no other.

Otherwise it is dropped and counted. `OURS` in a name means: of our contact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from connect_audio.core.fragment import Completion, Fragment
from connect_audio.core.runs import end_ns, media_bytes, start_ns

RUN_ON_MS: Final = 2000
"""Two fragments are neighbours in time when no more than this lies between them."""
MAX_UNDECIDED_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of unlabelled fragments that wait for the next label: three minutes of both parties at 8 kHz."""

_WHOLE: Final = frozenset({Completion.TOKEN, Completion.SUCCESSOR})
"""Completions with a proven end. Another fragment may lack its end, and with it a ContactId after the Cluster."""


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
        return self in {Verdict.OURS, Verdict.OURS_BY_NEIGHBOURS}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionState:
    """The state between fragments: the last label and the end of our contact's audio.

    Args:
        label: the last label.
        end_ms: end of the last admitted fragment with audio, ms since the epoch; None before the first.
    """

    label: Label = Label.NONE
    end_ms: int | None = None


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
        from_ms: admit nothing that ends at or before it (the same contact's streaming before), ms since the epoch.
        until_ms: admit nothing that begins at or after it (the same contact's next streaming), ms since the epoch.
        accept_unlabelled: True admits every fragment that names no contact. It is for captures from before Connect
            wrote labels, with one contact in the stream.
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

    @property
    def end_ms(self) -> int | None:
        """End of the last admitted audio, ms since the epoch."""
        return self._end_ms

    def state(self) -> AdmissionState:
        """The state after the last decided fragment."""
        return AdmissionState(label=self._label, end_ms=self._end_ms)

    def admits_at_once(self, contact_ids: Sequence[str], start_ms: int) -> bool:
        """Return True if an open fragment will be admitted, by all that is known: no fragment before it waits.

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
        """Decide on unlabelled fragments to the right of our contact's.

        Args:
            successor: the fragment after them, which is not our contact's; None at the end of the call.
        """
        waiting = self._release()
        verdicts: list[Verdict] = []
        end = self._end_ms
        runs_on = True
        for fragment in waiting:
            if not media_bytes(fragment.blocks):
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
            # They run on into the successor's audio as well, so the border is unknown.
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
    return start_ns(fragment.blocks) // 1_000_000 if fragment.blocks else fragment.producer_timestamp_ms


def end_ms(fragment: Fragment) -> int | None:
    """When its last block begins, plus one block as most are: near enough to find neighbours in time."""
    return end_ns(fragment.blocks) // 1_000_000 if fragment.blocks else None
