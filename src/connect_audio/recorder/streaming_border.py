"""The border between two streamings of one contact: a flow that stops and starts streaming makes two recordings.

How it works. Both streamings carry one ContactId, often in one stream. Only the break between them (`audio_breaks.py`)
and the StartTimestamp in the other recording's object names distinguish them. The clocks of both may differ. So one
rule serves both recordings: the later streaming begins at the first break that its StartTimestamp fits
(`Break.may_be_start`).

- The later recording knows its StartTimestamp, and leaves out all fragments before that break.
- The earlier recording asks the bucket at each break for a recording that fits. The flow starts that recording some
  seconds after its audio. A break whose audio arrived less than the grace period ago is therefore asked about again.
  Later events are held meanwhile (`held_events.py`), and reading goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from connect_audio.core.admission import NOT_BEGUN, AdmissionState, Label, StreamingBounds, start_ms
from connect_audio.core.fragments import Fragment
from connect_audio.recorder.audio_breaks import CLOCKS_APART_MS, AudioBreaks, AudioState, Break
from connect_audio.recorder.held_events import HeldEvents
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.policy import EARLY_MS
from connect_audio.values import dataclass

_GRACE_MS: Final = 15_000
"""Time that the recording of another streaming has to appear in the bucket after its audio, ms."""
_POLL_S: Final = 3.0
"""Time between two looks at the bucket, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderState:
    """The borders to the contact's other streamings.

    Args:
        from_ms: our StartTimestamp if the contact has an earlier streaming, ms since the epoch; None where it has none.
        first: number of our first fragment; None until it is found, and without an earlier streaming.
        until: number of the first fragment of a later streaming; None while none is found.
        ours_until: number of the first fragment behind the newest break that is no border; None for none.
        earlier: the earlier streaming's audio so far; None once our first fragment is found.
        length_ms: length of our newest whole fragment with nothing missing before it, ms; None before the first.
    """

    from_ms: int | None = None
    first: int | None = None
    until: int | None = None
    ours_until: int | None = None
    earlier: AudioState | None = None
    length_ms: int | None = None

    @property
    def has_begun(self) -> bool:
        """True once our first fragment is found, or need not be looked for."""
        return self.from_ms is None or self.first is not None


@dataclass(frozen=True, slots=True)
class Ours:
    """No later streaming begins at the break."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """A later streaming begins at the break."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The later streaming's recording may yet appear.

    Args:
        in_s: when to look again, seconds from now.
    """

    in_s: float


type Side = Ours | Theirs | AskAgain


class StreamingBorder:
    """The borders between our streaming, the one before it and the next one.

    Args:
        state: findings of earlier steps.
        contact_id: the contact.
        others: finds the contact's other recordings.
        recorded: state of admission at the place where reading begins.
        position: number of the fragment behind which reading begins; None for the stream's beginning.
    """

    def __init__(
        self,
        state: BorderState,
        contact_id: str,
        others: OtherStreamings,
        recorded: AdmissionState,
        position: str | None = None,
    ) -> None:
        self._state = state
        self._contact_id = contact_id
        self._others = others
        self.held: Final = HeldEvents()
        """Events that wait until the break before them is settled."""
        self._breaks = AudioBreaks(contact_id, _audio_before(state, recorded, position))

    @property
    def state(self) -> BorderState:
        """State for the next step."""
        audio = self._breaks.state
        if self._state.has_begun:
            return replace(self._state, length_ms=audio.length_ms)
        return replace(self._state, earlier=audio)

    @property
    def has_begun(self) -> bool:
        """True once our first fragment is found, or need not be looked for."""
        return self._state.has_begun

    @property
    def bounds(self) -> StreamingBounds:
        """Our streaming's part of the stream, as far as it is known."""
        state = self._state
        return StreamingBounds(first=state.first, until=state.until) if state.has_begun else NOT_BEGUN

    def may_begin_at(self, begin_ms: int) -> bool:
        """Return True if a later streaming may begin with the next fragment.

        Args:
            begin_ms: begin of that fragment, ms since the epoch.
        """
        return self._state.until is None and self._breaks.lies_before(begin_ms)

    def reach(self, fragment: Fragment) -> Break | None:
        """Take the next fragment.

        Returns:
            The break before it at which a later streaming may begin; None for none.
        """
        found = self._breaks.look(fragment)
        state = self._state
        if not state.has_begun:
            self._begin(fragment, found)
            return None
        if found is None or state.until is not None or found.number <= (state.ours_until or -1):
            return None
        return found

    def ask(self, found: Break, *, came_ms: int, now_ms: int) -> Side:
        """Ask whether a later streaming begins at a break.

        Args:
            found: the break.
            came_ms: when the audio behind it arrived; wall clock, ms since the epoch.
            now_ms: wall clock, ms since the epoch.

        Raises:
            StorageError: the bucket cannot be listed.
        """
        if self._others.first_between(found.earliest_ms, found.latest_ms) is not None:
            self._state = replace(self._state, until=found.number)
            return Theirs()
        missing_s = (came_ms + _GRACE_MS - now_ms) / 1000
        if missing_s > 0:
            return AskAgain(min(_POLL_S, missing_s))
        self._state = replace(self._state, ours_until=found.number)
        return Ours()

    def _begin(self, fragment: Fragment, found: Break | None) -> None:
        """Note our first fragment if it is this one, or an unlabelled one in front of it."""
        from_ms, begin_ms = self._state.from_ms, start_ms(fragment)
        if from_ms is None:
            return
        first: int | None = None
        if found is not None and found.may_be_start(from_ms):
            first = found.number
        elif fragment.contact_ids == (self._contact_id,) and begin_ms is not None:
            # Without a break the earlier recording has all audio up to here, and goes on.
            is_late = begin_ms >= from_ms + CLOCKS_APART_MS
            first = int(fragment.number or -1) if is_late else None
        if first is not None:
            self._state = replace(self._state, first=first, earlier=None)


def arrival_ms(fragment: Fragment, now_ms: int) -> int:
    """Return when a fragment arrived, ms since the epoch. KVS's clock may run ahead, so it was no later than now."""
    return min(fragment.server_timestamp_ms or start_ms(fragment) or now_ms, now_ms)


def _audio_before(state: BorderState, recorded: AdmissionState, position: str | None) -> AudioState:
    if state.has_begun:
        return AudioState(
            end_ms=recorded.end_ms,
            counter=None if recorded.session is None else recorded.session.last,
            newest=-1 if position is None else int(position),
            is_among=recorded.label is Label.OURS,
            length_ms=state.length_ms,
        )
    if state.earlier is not None or state.from_ms is None:
        return state.earlier or AudioState()
    # All audio before the place where reading begins ended there at the latest.
    # Unlabelled fragments there belong to it as far as a break is concerned: admission decides on their own.
    return AudioState(end_ms=state.from_ms - EARLY_MS, is_among=True)
