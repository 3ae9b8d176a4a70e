"""The bounds that benchmarks hold their figures against. One broken bound fails the run."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure and what it has to be.

    Args:
        what: the figure's name and unit.
        figure: as measured.
        at_most: its upper bound.
        at_least: its lower bound.
    """

    what: str
    figure: float
    at_most: float = math.inf
    at_least: float = -math.inf

    @property
    def kept(self) -> bool:
        """True if the figure is within the bound."""
        return self.at_least <= self.figure <= self.at_most

    @property
    def limit(self) -> str:
        """The bound in words."""
        return f"at most {self.at_most:g}" if self.at_most < math.inf else f"at least {self.at_least:g}"

    def __str__(self) -> str:
        return f"{'kept  ' if self.kept else 'BROKEN'} {self.what}: {self.figure:.2f}, {self.limit}"


def judge(bounds: Sequence[Bound]) -> None:
    """Print each bound and end the process with status 1 if one is broken."""
    for bound in bounds:
        print(bound)
    if not all(bound.kept for bound in bounds):
        sys.exit(1)
