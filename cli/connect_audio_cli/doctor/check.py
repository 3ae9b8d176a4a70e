"""A check of the doctor and its finding. Every theme's file makes its checks of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connect_audio_cli.stacks.deployed import Deployed


class Standing(StrEnum):
    """The result of a check, in the words of the report."""

    WELL = "well"
    FAULT = "fault"
    """Something keeps calls from being recorded, or will."""
    NOTE = "note"
    """A fact to know; nothing must be done."""
    NOT_CHECKED = "not checked"
    """A right is missing, AWS did not answer, or the stack does not say what to look at. Never a fault."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of a check.

    Args:
        standing: the result.
        found: the fact, one line.
        remedy: the action to take; empty for none.
    """

    standing: Standing
    found: str
    remedy: str = ""


def well(found: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(Standing.WELL, found)


def fault(found: str, remedy: str) -> Finding:
    """Return a finding that keeps calls from being recorded, with what to do."""
    return Finding(Standing.FAULT, found, remedy)


def note(found: str, remedy: str = "") -> Finding:
    """Return a fact to know."""
    return Finding(Standing.NOTE, found, remedy)


def not_checked(found: str) -> Finding:
    """Return a finding of a check that could not look."""
    return Finding(Standing.NOT_CHECKED, found)


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        name: the thing that is looked at, as the report names it.
        rights: the IAM actions that the check needs, all of them.
        look: looks and returns the finding; errors of AWS may come out.
    """

    name: str
    rights: tuple[str, ...]
    look: Callable[[Deployed], Finding]
