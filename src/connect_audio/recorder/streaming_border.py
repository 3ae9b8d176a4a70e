"""The border between two streamings of one contact: a flow that stops and starts streaming makes two recordings.

How it works. Both streamings carry one ContactId, often in one stream. Only the pause between them and the object names
of the other recording distinguish them. So behind each pause in our audio `look()` asks the bucket for a recording that
began later. The flow starts that recording some seconds after its audio. A fragment that arrived less than the grace
period ago is therefore looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from connect_audio.core.admission import start_ms
from connect_audio.core.fragments import Fragment
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.policy import EARLY_MS

_GAP_MS: Final = 500
"""Shortest pause behind which another streaming may begin, ms. A flow needs longer to stop and start streaming."""
_GRACE_MS: Final = 15_000
"""Time that the recording of another streaming has to appear in the bucket after its audio, ms."""
_POLL_S: Final = 3.0
"""Time between two looks at the bucket, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderState:
    """The borders to the contact's other streamings. Times in ms since the epoch.

    Args:
        from_ms: audio that ends at or before this belongs to an earlier streaming; None where there is none.
        until_ms: audio that begins at or after this belongs to a later streaming; None while none is found.
        ours_until_ms: begin of the newest fragment behind a pause that belongs to this streaming; None for none.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    ours_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ours:
    """The fragment is on our side of every border."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """A later streaming begins.

    Args:
        until_ms: the border, ms since the epoch.
    """

    until_ms: int


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The later streaming's recording may yet appear.

    Args:
        in_s: when to look again, seconds from now.
    """

    in_s: float


type Side = Ours | Theirs | AskAgain


class StreamingBorder:
    """The border between our streaming and the contact's next one.

    Args:
        state: findings of earlier steps.
        contact_id: the contact.
        others: finds the contact's other recordings.
    """

    def __init__(self, state: BorderState, contact_id: str, others: OtherStreamings) -> None:
        self._state = state
        self._contact_id = contact_id
        self._others = others

    @property
    def state(self) -> BorderState:
        """State for the next step."""
        return self._state

    def may_begin_at(self, begin_ms: int, ours_end_ms: int | None) -> bool:
        """Return True if a later streaming may begin there, and nothing is known yet.

        Args:
            begin_ms: begin of a fragment, ms since the epoch.
            ours_end_ms: end of our audio so far, ms since the epoch; None before the first.
        """
        state = self._state
        return (
            ours_end_ms is not None
            and begin_ms - ours_end_ms >= _GAP_MS
            and begin_ms > (state.ours_until_ms or 0)
            and state.until_ms is None
        )

    def look(self, fragment: Fragment, ours_end_ms: int | None, *, arrived_ms: int, now_ms: int) -> Side:
        """Return the side of the border on which a fragment lies.

        Args:
            fragment: the fragment.
            ours_end_ms: end of our audio so far, ms since the epoch; None before the first.
            arrived_ms: when the recorder looked at the fragment first; wall clock, ms since the epoch.
            now_ms: wall clock, ms since the epoch.

        Raises:
            StorageError: the bucket cannot be listed.
        """
        begin_ms = start_ms(fragment)
        if (
            begin_ms is None
            or ours_end_ms is None
            or fragment.contact_ids != (self._contact_id,)
            or not self.may_begin_at(begin_ms, ours_end_ms)
        ):
            return Ours()
        later_ms = self._others.first_after(begin_ms + EARLY_MS)
        if later_ms is not None and later_ms > ours_end_ms:
            # StartTimestamp lies near the first fragment, not at it: the pause is the border.
            until_ms = min(later_ms, begin_ms)
            self._state = replace(self._state, until_ms=until_ms)
            return Theirs(until_ms)
        # KVS's clock may run ahead: wait no longer than for a fragment that came just now.
        came_ms = min(fragment.server_timestamp_ms or begin_ms, arrived_ms)
        missing_s = (came_ms + _GRACE_MS - now_ms) / 1000
        if missing_s > 0:
            return AskAgain(min(_POLL_S, missing_s))
        self._state = replace(self._state, ours_until_ms=begin_ms)
        return Ours()
