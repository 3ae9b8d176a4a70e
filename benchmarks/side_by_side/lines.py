"""A line of the table: a figure of both trees, the ratio, the bound of the issue and whether it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bounds import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One compared figure.

    Args:
        what: the figure's name.
        unit: its unit.
        now: this tree's figure; None where it was not measured.
        reference: the figure that it is compared with; None where the bound is absolute.
        against: the reference's name.
        bound: the bound and the figure that it holds; None for a figure that has no bound.
        note: the reason why there is no figure; empty otherwise.
    """

    what: str
    unit: str
    now: float | None
    reference: float | None = None
    against: str = "before"
    bound: Bound | None = None
    note: str = ""

    def __str__(self) -> str:
        reference = "" if self.reference is None else f"{self.reference:.3f}"
        now = "" if self.now is None else f"{self.now:.3f}"
        ratio = f"{self.now / self.reference:.2f}" if self.now is not None and self.reference else ""
        if self.bound is None:
            verdict = self.note or "no bound"
        else:
            verdict = f"{'kept' if self.bound.kept else 'BROKEN'}: {self.bound.limit}{self.note and f' ({self.note})'}"
        return f"{self.what:52}{self.unit:>10}{self.against:>10}{reference:>10}{now:>10}{ratio:>7}  {verdict}"


HEADING = f"{'':52}{'unit':>10}{'against':>10}{'there':>10}{'now':>10}{'ratio':>7}  bound"


def ratio_line(
    what: str, unit: str, before: float, now: float, at_most: float | None, *, against: str = "before"
) -> Line:
    """Make the line of a figure whose bound is a ratio.

    Args:
        what: the figure's name.
        unit: its unit.
        before: the reference's figure.
        now: this tree's.
        at_most: the bound of now / before; None for none.
        against: the reference's name.
    """
    bound = None if at_most is None else Bound(f"{what}: ratio to {against}", now / before, at_most=at_most)
    return Line(what=what, unit=unit, now=now, reference=before, against=against, bound=bound)


def absolute_line(what: str, unit: str, now: float, at_most: float, *, before: float | None = None) -> Line:
    """Make the line of a figure whose bound is in its own unit.

    Args:
        what: the figure's name.
        unit: its unit.
        now: this tree's figure.
        at_most: the bound.
        before: the earlier commit's figure, for information.
    """
    bound = Bound(f"{what}, {unit}", now, at_most=at_most)
    return Line(what=what, unit=unit, now=now, reference=before, against="before" if before else "", bound=bound)
