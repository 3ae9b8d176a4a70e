"""The Range header: one span of bytes of a file (RFC 9110, 14.1.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file.

    Args:
        start: the first one.
        length: number of bytes.
    """

    start: int
    length: int


class UnsatisfiableError(Exception):
    """No byte of the file is in the range."""


def span_of(header: str | None, size: int) -> Span | None:
    """Read a Range header.

    Args:
        header: the header; None without one.
        size: size of the file, bytes.

    Returns:
        The span; None for the whole file, as for a header of several ranges or another unit.

    Raises:
        UnsatisfiableError: no byte is in the range.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        if not length:
            raise UnsatisfiableError
        return Span(size - length, length)
    start, stop = int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)
    if found[2] and int(found[2]) < start:
        return None
    if start >= size:
        raise UnsatisfiableError
    return Span(start, stop - start)
