"""The kinds of trouble that a schedule may draw beyond kills, S3 and broken bodies, each with a switch.

`HELD` names the kinds that the recorder holds: `make test` and `make chaos` draw these alone. `make chaos KINDS=all`
draws every kind, `KINDS=leap,skew` those two. A kind is drawn from a seed of its own, so a schedule is
otherwise the same with it and without.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """One kind of trouble."""

    BLOCKS_SWAPPED = "blocks-swapped"
    """Blocks of a fragment stand in another order than their times."""
    TIMES_SWAPPED = "times-swapped"
    """Two fragments come in the order of their numbers, and their times are the other way round."""
    NUMBERS_SWAPPED = "numbers-swapped"
    """Two fragments come in the wrong order by their numbers and by their times."""
    COMES_TOO_LATE = "comes-too-late"
    """A fragment comes more than 5 s of audio behind its successors: its place is settled silence."""
    SKEW = "skew"
    """The agent's blocks lag up to 4 s behind the customer's in the same fragment."""
    NEVER_STORED = "never-stored"
    """Fragments that the producer counted are not in the stream."""
    BLOCK_HOLES = "block-holes"
    """Blocks inside fragments were never sent, on both tracks at once."""
    LEAP = "leap"
    """The times of one fragment leap, and the next fragment goes on as before."""
    BLOCK_LEAP = "block-leap"
    """The times of one row of blocks, or of one block, leap inside a fragment."""
    CLUSTER_LEAP = "cluster-leap"
    """The Cluster time of one fragment leaps, its producer timestamp does not, and the next fragment goes on."""
    STEP_BACK = "step-back"
    """The producer's clock steps back by 20 ms to 1.5 s, for good."""
    STEP_AHEAD = "step-ahead"
    """The producer's clock steps ahead, for good."""
    RENAMED = "renamed"
    """Track names in another case, or with spaces around them."""
    UNKNOWN_TRACK = "unknown-track"
    """A third track of a name that is no party's."""
    OWN_TRACK_UNKNOWN = "own-track-unknown"
    """A party's own track has a name that is no party's: from a fragment on, for some fragments, or always."""
    ERRORS_PASSING = "errors-passing"
    """KVS reports an error at one fragment for a minute or five, through drain and idle limit."""
    ERRORS_FOR_EVER = "errors-for-ever"
    """KVS reports an error at one fragment for ever, and audio of the call lies behind it."""
    ERRORS_AT_THE_END = "errors-at-the-end"
    """KVS reports an error behind the last audio of the call for ever."""
    BROKEN_HEAD = "broken-head"
    """Every body breaks within its first fragment for a minute or more."""
    SECOND_STREAMING = "second-streaming"
    """Our contact streams twice, and Connect's clock and the producer's lie up to 4 s apart. Either may be recorded."""
    UNLABELLED_STRANGER = "unlabelled-stranger"
    """The next contact's first fragments carry no label, and KVS may report errors behind them."""


ALL: Final = frozenset(Kind)
HELD: Final = ALL
"""Kinds that the recorder holds."""


def kinds_of(text: str) -> frozenset[Kind]:
    """Read a list of kinds.

    Args:
        text: `all`, `held`, `none`, or names with commas between them.

    Raises:
        ValueError: there is no kind of that name.
    """
    named: dict[str, Collection[Kind]] = {"all": ALL, "held": HELD, "none": ()}
    return frozenset(named[text] if text in named else (Kind(name) for name in text.split(",")))
