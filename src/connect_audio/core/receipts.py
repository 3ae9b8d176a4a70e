"""Receipts of one contact: the numbers of admitted fragments and each party's bytes of payload.

The bytes are counted before the blocks are joined, decoded and placed. So they check the accounts of the timeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from connect_audio.core.admitted_numbers import AdmittedNumbers, NumberRange
from connect_audio.core.ebml import new_tuple
from connect_audio.core.pcm import Party
from connect_audio.core.tracks import TrackChoice
from connect_audio.values import dataclass

_UNNUMBERED = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptsState:
    """Receipts as plain values.

    Args:
        numbers: numbers of the admitted fragments with audio.
        unnumbered: how many such fragments name no number.
        customer: the customer's bytes of payload.
        agent: the agent's bytes of payload.
    """

    numbers: tuple[NumberRange, ...] = ()
    unnumbered: int = 0
    customer: int = 0
    agent: int = 0


class NotedReceipts(NamedTuple):
    """The values of `ReceiptsState`, quick to note; the arguments are as there."""

    numbers: tuple[NumberRange, ...]
    unnumbered: int
    customer: int
    agent: int

    def state(self) -> ReceiptsState:
        """The receipts as plain values."""
        numbers, unnumbered, customer, agent = self
        return ReceiptsState(numbers=numbers, unnumbered=unnumbered, customer=customer, agent=agent)


class Receipts:
    """Count what is received.

    Args:
        state: state to continue from.
    """

    def __init__(self, state: ReceiptsState) -> None:
        self._numbers = AdmittedNumbers(state.numbers)
        self._unnumbered = state.unnumbered
        self._bytes = {Party.CUSTOMER: state.customer, Party.AGENT: state.agent}

    def noted(self) -> NotedReceipts:
        """The receipts so far."""
        received = self._bytes
        return new_tuple(
            NotedReceipts, (self._numbers.ranges, self._unnumbered, received[Party.CUSTOMER], received[Party.AGENT])
        )

    def fragment(self, number: str | None) -> tuple[str, bool]:
        """Take an admitted fragment.

        Args:
            number: its number; None if it names none.

        Returns:
            Its key, which is its number or a key of its own, and True if it was admitted before.
        """
        if number is None:
            self._unnumbered += 1
            return f"{_UNNUMBERED}{self._unnumbered}", False
        return number, self._numbers.add(number)

    def holds(self, number: str | None) -> bool:
        """Return True if a fragment was admitted before.

        Args:
            number: its number; None if it names none.
        """
        return number is not None and self._numbers.holds(number)

    def payload(self, received: Mapping[int, int], choice: TrackChoice) -> None:
        """Count bytes of payload, of unsupported tracks as well.

        Args:
            received: bytes of a fragment by track number.
            choice: the fragment's tracks.
        """
        for track in choice.audio:
            self._bytes[track.party] += received.get(track.number, 0)
        for refused in choice.unsupported:
            self._bytes[refused.party] += received.get(refused.number, 0)

    def missing_between(self, before: str, after: str) -> int | None:
        """Return how many fragments between two keys were not received; None if the keys do not show it."""
        return self._numbers.missing_between(number_of(before), number_of(after))


def number_of(key: str) -> str | None:
    """The fragment number of a key; None for a fragment without one, or for no fragment."""
    return key if key and not key.startswith(_UNNUMBERED) else None
