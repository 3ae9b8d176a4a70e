"""Breaks in a contact's audio: the places where one streaming of the contact may end and the next one begin.

Pure. Two recordings of one contact find the same breaks in one stream, so a border at a break leaves no audio out.
"""

from __future__ import annotations

from typing import Final

from connect_audio.core.fragments import Completion, Fragment, fragment_counter
from connect_audio.core.runs import end_ns, start_ns
from connect_audio.recorder.policy import EARLY_MS
from connect_audio.values import dataclass

GAP_MS: Final = 500
"""Shortest pause or step back of time at which another streaming may begin, ms. A flow needs longer to stop and start
streaming. Shorter pauses are the producer's own."""
CLOCKS_APART_MS: Final = EARLY_MS - GAP_MS
"""Farthest that StartTimestamp and a streaming's first fragment lie apart by their clocks, ms. Reading begins
`EARLY_MS` before StartTimestamp. A break less than `GAP_MS` behind that place would not show."""

_UNEVEN_MS: Final = 100
"""A streaming's fragments have one length, up to a block of 64 ms and jitter, ms. A hole of that length for each
missing one is no break. A streaming that begins among them leaves a longer one, by its pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A place where another streaming may begin. Times by the producer's clock, ms since the epoch.

    Args:
        end_ms: end of the audio before it.
        begin_ms: begin of the audio behind it.
        number: number of the first fragment behind it.
        lacks: fragments between the two are missing by their numbers, so the streaming may have begun with one of them.
    """

    end_ms: int
    begin_ms: int
    number: int
    lacks: bool = False

    @property
    def earliest_ms(self) -> int:
        """A streaming that begins here has a StartTimestamp after this."""
        may_begin_ms = min(self.end_ms, self.begin_ms) if self.lacks else self.begin_ms
        return min(self.end_ms, may_begin_ms - CLOCKS_APART_MS)

    @property
    def latest_ms(self) -> int:
        """A streaming that begins here has a StartTimestamp at or before this."""
        return self.begin_ms + CLOCKS_APART_MS

    def may_be_start(self, start_timestamp_ms: int) -> bool:
        """Return True if a streaming with that StartTimestamp, ms since the epoch, may begin here."""
        return self.earliest_ms < start_timestamp_ms <= self.latest_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioState:
    """A contact's audio up to a fragment.

    Args:
        end_ms: its end by the producer's clock, ms since the epoch; None before the first.
        counter: the producer's count of its newest fragment; None where the number shows none.
        newest: number of the newest fragment; -1 before the first.
        is_among: the newest label is the contact's.
        unlabelled: the break before unlabelled fragments that stand directly in front of the next one; None for none.
        length_ms: length of the newest whole fragment with nothing missing before it, ms; None before the first.
    """

    end_ms: int | None = None
    counter: int | None = None
    newest: int = -1
    is_among: bool = False
    unlabelled: Break | None = None
    length_ms: int | None = None


class AudioBreaks:
    """Find the breaks, fragment by fragment in stream order.

    Args:
        contact_id: the contact.
        state: the audio so far.
    """

    def __init__(self, contact_id: str, state: AudioState) -> None:
        self._label = (contact_id,)
        self._end_ms = state.end_ms
        self._counter = state.counter
        self._newest = state.newest
        self._is_among = state.is_among
        self._unlabelled = state.unlabelled
        self._length_ms = state.length_ms

    @property
    def state(self) -> AudioState:
        """The audio so far."""
        return AudioState(
            end_ms=self._end_ms,
            counter=self._counter,
            newest=self._newest,
            is_among=self._is_among,
            unlabelled=self._unlabelled,
            length_ms=self._length_ms,
        )

    def lies_before(self, begin_ms: int) -> bool:
        """Return True if a fragment that begins then, ms since the epoch, would lie behind a break of time."""
        return self._end_ms is not None and abs(begin_ms - self._end_ms) >= GAP_MS

    def look(self, fragment: Fragment) -> Break | None:
        """Take the next fragment.

        Returns:
            The break before it, or before the unlabelled fragments directly in front of it. None for none, and for a
            fragment that does not name the contact.
        """
        number = -1 if fragment.number is None else int(fragment.number)
        if number <= self._newest:
            return None
        self._newest = number
        labelled = fragment.contact_ids == self._label
        if fragment.contact_ids and not labelled:
            self._is_among, self._unlabelled = False, None
            return None
        if not labelled and not self._is_among:
            return None
        found = self._pass(fragment, number)
        if not labelled:
            self._unlabelled = self._unlabelled or found
            return None
        found, self._unlabelled = self._unlabelled or found, None
        self._is_among = True
        return found

    def _pass(self, fragment: Fragment, number: int) -> Break | None:
        """Move the end of the audio behind a fragment, and return the break before it."""
        counter, counted, before = fragment_counter(fragment.number), self._counter, self._end_ms
        blocks = fragment.blocks
        if not blocks:
            self._counter = counter if counted is not None and counter == counted + 1 else counted
            return None
        begin, end = start_ns(blocks) // 1_000_000, end_ns(blocks) // 1_000_000
        self._counter = counter
        missing = 0 if counter is None or counted is None else counter - counted - 1
        # Fragments that were another contact's are not missing.
        lacks = missing > 0 and self._is_among
        runs_on = before is not None and not missing and -GAP_MS < begin - before < GAP_MS
        is_cut = fragment.completion is Completion.TRUNCATED
        if is_cut:
            # The end that a cut fragment lacks is no pause.
            end = max(end, begin + (self._length_ms or 0))
        length = end - begin
        # A streaming's last fragment is shorter than the missing ones before it.
        lengths = {length, self._length_ms or length}
        is_filled = (
            before is not None and lacks and any(abs(begin - before - missing * each) <= _UNEVEN_MS for each in lengths)
        )
        if not (lacks or is_cut):
            self._length_ms = length
        if before is None or runs_on or is_filled:
            self._end_ms = end if before is None or end > before else before
            return None
        self._end_ms = end
        return Break(end_ms=before, begin_ms=begin, number=number, lacks=lacks)
