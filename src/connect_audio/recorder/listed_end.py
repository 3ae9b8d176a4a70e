"""The last fragment of a call by the stream's listing, for a recording that is made after the call.

Pure. A recording that knows its last fragment ends on it, without a drain and without a question to Connect. It does
not read the audio that follows in a re-used stream.
"""

from __future__ import annotations

from connect_audio.core.manifest import Reason
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True)
class ListedEnd:
    """The last fragment of a call's time.

    Args:
        number: its number, a decimal number.
        is_quiet: True if the listing names no fragment that could run on from it.
        is_end: True if the call ends with it; False if the call goes on, and a step reads only so far.
    """

    number: str
    is_quiet: bool
    is_end: bool = True

    def is_reached(self, position: str | None) -> bool:
        """Return True if the stream is read up to this fragment.

        Args:
            position: number of the newest fragment that was read; None before the first.
        """
        return position is not None and int(position) >= int(self.number)

    def is_passed(self, number: str | None) -> bool:
        """Return True if a fragment lies behind this one.

        Args:
            number: the fragment's number; None where it has none.
        """
        return number is not None and int(number) > int(self.number)

    @property
    def missing(self) -> Reason:
        """The reason of a recording that did not get this fragment."""
        detail = (
            f"the stream's listing names fragment {self.number} as the last of the call's time, and it did not come"
        )
        return Reason("ENDING_MISSING", detail)
