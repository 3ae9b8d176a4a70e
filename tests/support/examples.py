"""What `make check` leaves of tests that take long, and `make test` runs whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

import pytest

ALL_EXAMPLES: Final = "ALL_EXAMPLES"
"""The variable of the Makefile's targets that run every example of a property."""
_SHARE: Final = 8
"""One in so many examples is run without the variable: `make check` is to take less than a minute."""
_FEWEST: Final = 2
"""No property is tried with fewer examples."""
_FEW: Final = 6
"""One in so many parameters is run by `make check`."""


def examples(number: int) -> int:
    """Return how many examples of a property to run: all of them with the variable, else the first few of the same.

    Args:
        number: how many there are in all.
    """
    if os.environ.get(ALL_EXAMPLES):
        return number
    return max(min(number, _FEWEST), number // _SHARE)


def few_of(values: Iterable[Any]) -> list[Any]:
    """Return the values as parameters of a test: the first, the seventh and so on stay, the others are marked slow.

    Args:
        values: the values of one parameter.
    """
    return [value if at % _FEW == 0 else pytest.param(value, marks=pytest.mark.slow) for at, value in enumerate(values)]
