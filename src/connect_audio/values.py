"""`dataclass` for values whose classes are made at every start: the standard one, at half the cost of a class.

How it works. The standard decorator writes the text of six methods for each class and compiles it. A replay makes 65
such classes, and that took a quarter of its start. Here the standard decorator writes `__init__` alone. `__eq__`,
`__hash__` and `__repr__` are functions that all classes share, and they read the fields through one `attrgetter`.

Type checkers see the standard decorator, so mypy refuses an assignment to a field of a frozen class. At run time
nothing refuses it. A class that users of the library meet takes the standard decorator (ADR 26).
"""

from __future__ import annotations

__all__ = ["dataclass"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from dataclasses import dataclass as _standard
    from dataclasses import fields
    from operator import attrgetter

    def dataclass(*, frozen=False, slots, kw_only=False, eq=True, unsafe_hash=False):  # noqa: ANN001, ANN201 - as above
        """Make a class of values as `dataclasses.dataclass` does; a frozen one refuses assignments to mypy alone."""

        def made(given):  # noqa: ANN001, ANN202 - the same
            own = vars(given)
            kind = _standard(given, slots=slots, kw_only=kw_only, eq=False, repr=False)
            if "__repr__" not in own:
                kind.__repr__ = _represented
            if eq:
                names = [each.name for each in fields(kind) if each.compare]
                kind._compared = attrgetter(*names) if names else _nothing  # noqa: SLF001 - this file reads it
                if "__eq__" not in own:
                    kind.__eq__ = _is_equal
                if "__hash__" not in own:
                    kind.__hash__ = _hashed if frozen or unsafe_hash else None
            return kind

        return made

    def _is_equal(one, other):  # noqa: ANN001, ANN202 - the same
        kind = one.__class__
        if other.__class__ is not kind:
            return NotImplemented
        return kind._compared(one) == kind._compared(other)  # noqa: SLF001 - this file reads it

    def _nothing(_value):  # noqa: ANN001, ANN202 - the same
        return ()

    def _hashed(value):  # noqa: ANN001, ANN202 - the same
        return hash(value.__class__._compared(value))  # noqa: SLF001 - this file reads it

    def _represented(value):  # noqa: ANN001, ANN202 - the same
        shown = (f"{each.name}={getattr(value, each.name)!r}" for each in fields(value) if each.repr)
        return f"{value.__class__.__qualname__}({', '.join(shown)})"
