"""Damaged or cut fragments: each is read once more before it is given up.

Pure; lives for one invocation.

How it works. GetMedia begins behind a fragment number, the position. Bytes directly behind the position therefore come
again with every connection. Two things can be wrong there, and each has its object:

    Damage       malformed bytes. First time: read again. Second time: salvage the whole blocks and count the loss.
    Unconfirmed  a fragment that the end of a body may have cut. It is recorded only if it never comes again.

A place that fails however often it is read is another matter: `skip.py`.

A damaged fragment without a number cannot be skipped: every connection meets it again. Its error is then known, and
each later error behind the same position gets a second reading of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from connect_audio.core.fragments import Block, Fragment

_LONGEST_STEP_NS: Final = 250_000_000
"""Longest believable time between two blocks of a track in a damaged fragment, ns. A longer one is a damaged time."""


class Damage:
    """Malformed bytes behind one position, numbered in the order in which a connection meets them."""

    class Verdict(Enum):
        """Treatment of an error."""

        READ_AGAIN = auto()
        """Reconnect: the transfer may have damaged the bytes."""
        SALVAGE = auto()
        """The error came twice in a row, so it is in the stream."""
        SALVAGE_AGAIN = auto()
        """The error was salvaged before and came with this connection too."""

    def __init__(self) -> None:
        self._behind: tuple[str | None] | None = None  # a tuple, since the stream's beginning is the position None
        self._met = 0  # errors in this connection
        self._known = 0  # errors that every connection meets
        self._next_met_once = False  # the error after the known ones
        self._counted_at: tuple[str | None, int] | None = None
        self._salvaging = False
        self._newest_loss: tuple[str | None, int] | None = None

    @property
    def salvaging(self) -> bool:
        """True while the reader looks for the next document: the next truncated fragment will never come whole."""
        return self._salvaging

    def connected(self) -> None:
        """Note that a connection begins."""
        self._met = 0
        self._salvaging = False

    def met(self, position: str | None) -> Verdict:
        """Note an error behind a position, and return its treatment."""
        if self._behind != (position,):
            self._behind, self._met, self._known, self._next_met_once = (position,), 0, 0, False
        self._met += 1
        if self._met > self._known and not self._next_met_once:
            self._next_met_once = True
            return self.Verdict.READ_AGAIN
        self._salvaging = True
        if self._met <= self._known:
            return self.Verdict.SALVAGE_AGAIN
        self._known, self._next_met_once = self._met, False
        return self.Verdict.SALVAGE

    def lost(self, position: str | None) -> bool:
        """Note that bytes were passed over. Return True if they count, which is once for each place."""
        place = (position, self._met)
        counts = self._salvaging and self._counted_at != place
        if counts:
            self._counted_at = place
        self._salvaging = False
        return counts

    def lost_alike(self, position: str | None, count: int) -> bool:
        """Note bytes without a document behind them. Return True if the reading before lost as many at this place."""
        loss = (position, count)
        is_alike, self._newest_loss = self._newest_loss == loss, loss
        return is_alike


class Unconfirmed:
    """The fragment that the end of a body may have cut, if there is one."""

    def __init__(self) -> None:
        self._fragment: Fragment | None = None

    def __bool__(self) -> bool:
        return self._fragment is not None

    def cut(self, fragment: Fragment, position: str | None) -> bool:
        """Keep a fragment that may be cut. If it was kept before, the reading with more blocks stays.

        Args:
            fragment: the fragment; ignored without a number.
            position: number of the newest completed fragment, which is ignored too.

        Returns:
            True if it was kept before and no more of it has come: so it lies in the stream.
        """
        kept = self._fragment
        if fragment.number is None or fragment.number == position:
            return False
        is_known = kept is not None and kept.number == fragment.number
        if kept is None or not is_known or len(kept.blocks) <= len(fragment.blocks):
            self._fragment = fragment
        return is_known and kept is not None and len(kept.blocks) >= len(fragment.blocks)

    def confirmed_by(self, fragment: Fragment) -> Fragment | None:
        """Note a whole fragment. Return the kept one if that stands before it and did not come again."""
        kept = self._fragment
        if kept is None or int(fragment.number or -1) < int(kept.number or -1):
            return None
        self._fragment = None
        # Reading began before the kept fragment, and it did not come: the stream no longer has it.
        return None if kept.number == fragment.number else kept

    def give_up(self) -> Fragment | None:
        """Note that nothing more will come. Return the kept fragment, if there is one."""
        kept, self._fragment = self._fragment, None
        return kept


def before_damage(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks of a damaged fragment that can be believed.

    The damage may have begun in the last block, whose time would then be wrong too. It may also have begun earlier, in
    bytes that only look like blocks. A wrong time would cover the audio that follows. So the last block is left out,
    and every block from the first leap in a track's time on.
    """
    newest: dict[int, int] = {}
    for index, block in enumerate(blocks):
        before = newest.get(block.track_number, block.time_ns)
        if not 0 <= block.time_ns - before <= _LONGEST_STEP_NS:
            return tuple(blocks[:index][:-1])
        newest[block.track_number] = block.time_ns
    return tuple(blocks[:-1])
