"""A repr for frozen values that are pasted back into a test: schedules of faults."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any


def brief_repr(value: Any) -> str:
    """Write a dataclass as a short expression that makes it: positional, without what is default. For `__repr__`."""
    parts: list[str] = []
    named = False
    for each in fields(value):
        content = getattr(value, each.name)
        if each.default is not MISSING and content == each.default:
            named = True
            continue
        parts.append(f"{each.name}={content!r}" if named else repr(content))
    return f"{type(value).__name__}({', '.join(parts)})"
