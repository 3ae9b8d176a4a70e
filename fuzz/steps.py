"""Counts what Python executes, by `sys.monitoring`: a measure of time that is the same on every machine.

`targets.py` holds inputs to it; `__main__.py` reports which lines a corpus reaches.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from types import CodeType, TracebackType
from typing import Final, Self

_EVENTS: Final = sys.monitoring.events
_STEPS_TOOL: Final = 3
_LINES_TOOL: Final = 4
"""The two tool ids that Python reserves for nobody."""


class StepCount:
    """A context that counts calls, resumptions of generators and rounds of loops, in all code."""

    def __init__(self) -> None:
        self.steps = 0

    def __enter__(self) -> Self:
        sys.monitoring.use_tool_id(_STEPS_TOOL, "fuzz steps")
        for event in (_EVENTS.PY_START, _EVENTS.PY_RESUME, _EVENTS.JUMP):
            sys.monitoring.register_callback(_STEPS_TOOL, event, self._count)
        sys.monitoring.set_events(_STEPS_TOOL, _EVENTS.PY_START | _EVENTS.PY_RESUME | _EVENTS.JUMP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _release(_STEPS_TOOL)

    def _count(self, *_: object) -> None:
        self.steps += 1


class LineCoverage:
    """A context that notes which lines of some files run; each costs something only once."""

    def __init__(self, directories: tuple[Path, ...]) -> None:
        self._roots = tuple(str(directory) for directory in directories)
        self.lines: defaultdict[str, set[int]] = defaultdict(set)

    def __enter__(self) -> Self:
        sys.monitoring.use_tool_id(_LINES_TOOL, "fuzz coverage")
        sys.monitoring.register_callback(_LINES_TOOL, _EVENTS.LINE, self._line)
        sys.monitoring.set_events(_LINES_TOOL, _EVENTS.LINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _release(_LINES_TOOL)
        sys.monitoring.restart_events()

    def _line(self, code: CodeType, line: int) -> object:
        if code.co_filename.startswith(self._roots) and code.co_name != "<module>":
            self.lines[code.co_filename].add(line)
        return sys.monitoring.DISABLE


def _release(tool: int) -> None:
    sys.monitoring.set_events(tool, _EVENTS.NO_EVENTS)
    sys.monitoring.free_tool_id(tool)


def lines_of_functions(path: Path) -> set[int]:
    """The lines of a file that a run can reach after import: those of its functions' bodies."""
    found: set[int] = set()

    def walk(code: CodeType, *, counted: bool) -> None:
        if counted:
            found.update(line for _, _, line in code.co_lines() if line)
            found.discard(code.co_firstlineno)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                # A class's body runs at import.
                walk(constant, counted=bool(constant.co_flags & 0x02))

    walk(compile(path.read_text(), str(path), "exec"), counted=False)
    return found
