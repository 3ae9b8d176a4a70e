"""Docstrings for Sphinx: a single backtick means code in them, as in Markdown; in reStructuredText it means a role."""

from __future__ import annotations

import re
from typing import Any, Final

_CODE: Final = re.compile(r"(?<![`\\:])`([^`\n]+)`(?!`)(?=(\w)?)")


def code_font(line: str) -> str:
    """A docstring's line with its code in double backticks.

    Args:
        line: one line, without its line end.
    """
    return _CODE.sub(lambda found: f"``{found[1]}``" + ("\\ " if found[2] else ""), line)


def _mark_code(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = [code_font(line) for line in lines]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    # Before napoleon, which turns fields into roles.
    app.connect("autodoc-process-docstring", _mark_code, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
