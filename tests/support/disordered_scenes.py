"""Calls in disorder for the engine's chaos: each kind that a stored stream can have, and the judge of what comes of it.

Calls and judge are those of the recorder's chaos (`tests/chaos`). The emulated stream positions a reader by fragment
number, so the kinds that put numbers out of order stay with the recorder's chaos.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Final

from chaos.calls import RandomCall, random_call
from chaos.disorder import IN_THE_LOG
from chaos.judge import Circumstances, Judge
from chaos.kinds import HELD, Kind
from chaos.schedule import doubts_of
from connect_audio_local.kvs import StoredFragment

DISORDER: Final = tuple(
    kind
    for kind in (*IN_THE_LOG, Kind.UNLABELLED_STRANGER)
    if kind in HELD and kind not in {Kind.NUMBERS_SWAPPED, Kind.COMES_TOO_LATE}
)
"""Kinds that an emulated stream can have."""
_LONGEST_MS: Final = 40_000


@dataclass(frozen=True)
class DisorderedCall:
    """A call in disorder.

    Args:
        fragments: its stream.
        call: what the generator knows of it.
    """

    fragments: tuple[StoredFragment, ...]
    call: RandomCall

    def judge(self, wav: bytes, manifest: dict[str, Any]) -> bool:
        """Hold a recording against what was sent.

        Raises:
            AssertionError: the status, a number or a sample is false.
        """
        call = self.call
        known = Circumstances(
            ours=call.ours, never_stored=call.never_stored, rate=call.rate, doubts=frozenset(doubts_of(call))
        )
        Judge(wav, manifest, known).judge()
        return True


@cache
def disordered_call(kind: Kind) -> DisorderedCall:
    """Make the first short call that has a kind."""
    for number in count():
        chance, disorder = random.Random(f"{kind} {number}"), random.Random(f"{number} {kind}")
        call = random_call(chance, live_delay_ms=300, kinds=(kind,), disorder=disorder)
        length_ms = call.log[-1].end_ms - call.log[0].contents.producer_ms
        if kind in call.kinds and length_ms < _LONGEST_MS and not call.gaps:
            break
    fragments = tuple(
        StoredFragment.from_bytes(entry.data, entry.end_ms - entry.contents.producer_ms) for entry in call.log
    )
    return DisorderedCall(fragments, call)
