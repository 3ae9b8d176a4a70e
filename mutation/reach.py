"""Which unit test reaches which line of `core/` and `recorder/`, and what each test costs."""

from __future__ import annotations

import gc
import json
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final

from mutation.live_functions import code_inside
from mutation.mutants import Mutant

_TOOL: Final = sys.monitoring.COVERAGE_ID
_WORD: Final = re.compile(r"\w+")
_EVENTS: Final = sys.monitoring.events.LINE | sys.monitoring.events.PY_START
_NEAR: Final = 3
"""Lines around a statement that are its neighbours: its own branches, mostly."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one run of the unit tests without a mutant has shown.

    Args:
        seconds: processor time of each test by its node id, s.
        tests: node ids of the tests that reach a line, by file name and line.
    """

    seconds: Mapping[str, float]
    tests: Mapping[str, Mapping[int, frozenset[str]]]

    def of(self, mutant: Mutant, words: Mapping[str, Iterable[tuple[str, int]]]) -> list[str]:
        """Return the node ids of the tests that can notice a mutant, the cheapest first.

        Args:
            mutant: in a function, the tests that reach its lines. At the level of a module or a class, the tests that
                reach a line naming what the statement defines, or else any line of the module.
            words: the lines of all files that name a word.
        """
        file = self.tests.get(str(mutant.path), {})
        found: set[str] = set()
        if mutant.names is None:
            for lines in mutant.lines:
                found = {test for line in lines for test in file.get(line, ())}
                if found:
                    break
        else:
            places = [place for name in mutant.names for place in words.get(name, ())]
            found = {test for path, line in places for test in self.tests.get(path, {}).get(line, ())}
            found |= {test for tests in file.values() for test in tests}
        return self.by_cost(found)

    def of_rarest_neighbour(self, mutant: Mutant) -> frozenset[str]:
        """Return the tests that reach the place and, of the lines near it, the one that the fewest tests reach.

        The tests that take a rare branch say most about its condition.
        """
        if mutant.names is not None:
            return frozenset()
        file, statement = self.tests.get(str(mutant.path), {}), mutant.lines[-1]
        own = {test for line in statement for test in file.get(line, ())}
        near = (file.get(line, frozenset()) & own for line in range(statement.start - _NEAR, statement.stop + _NEAR))
        return min(filter(None, near), key=len, default=frozenset())

    def by_cost(self, tests: Iterable[str]) -> list[str]:
        """Return tests, the cheapest first."""
        return sorted(tests, key=lambda test: (self.seconds[test], test))

    def without(self, files: Collection[str]) -> Reach:
        """Return it without the tests of some test files."""
        seconds = {test: cost for test, cost in self.seconds.items() if test.split("::")[0] not in files}
        return Reach(
            seconds,
            {
                file: {line: tests & seconds.keys() for line, tests in lines.items()}
                for file, lines in self.tests.items()
            },
        )

    def joined(self, other: Reach) -> Reach:
        """Return both together."""
        return Reach(
            {**self.seconds, **other.seconds},
            {
                file: {
                    line: self.tests.get(file, {}).get(line, frozenset())
                    | other.tests.get(file, {}).get(line, frozenset())
                    for line in {*self.tests.get(file, {}), *other.tests.get(file, {})}
                }
                for file in {*self.tests, *other.tests}
            },
        )

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        order = list(self.seconds)
        number = {test: at for at, test in enumerate(order)}
        tests = {
            file: {str(line): sorted(number[test] for test in found) for line, found in lines.items()}
            for file, lines in self.tests.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds": self.seconds, "tests": tests}))

    @classmethod
    def load(cls, path: Path) -> Reach:
        """Read what `save` has written."""
        data = json.loads(path.read_text())
        order = list(data["seconds"])
        tests = {
            file: {int(line): frozenset(order[at] for at in found) for line, found in lines.items()}
            for file, lines in data["tests"].items()
        }
        return cls(data["seconds"], tests)


def naming_tests(names: Collection[str], tests: Iterable[str], root: Path) -> dict[str, set[str]]:
    """Return the tests of each file that has a word in it, by word.

    A test that compares a constant reaches no line of the constant's module.

    Args:
        names: the words.
        tests: node ids.
        root: folder that they begin in.
    """
    by_file = defaultdict(list)
    for test in tests:
        by_file[test.split("::")[0]].append(test)
    found = defaultdict(set)
    for file, own in by_file.items():
        for word in {*_WORD.findall((root / file).read_text())} & {*names}:
            found[word].update(own)
    return found


@dataclass(slots=True)
class Recorder:
    """Records the lines that each test reaches.

    Args:
        folders: prefixes of the file names that count.
    """

    folders: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    _test: str = ""
    _tests: defaultdict[str, defaultdict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    def start(self) -> None:
        """Begin to watch every function that is loaded, and those within it."""
        sys.monitoring.use_tool_id(_TOOL, "mutation")
        sys.monitoring.register_callback(_TOOL, sys.monitoring.events.LINE, self._line)
        # A function of one line, as a lambda is, has no event for its line.
        sys.monitoring.register_callback(_TOOL, sys.monitoring.events.PY_START, self._start)
        for each in gc.get_objects():
            if type(each) is FunctionType and each.__code__.co_filename.startswith(self.folders):
                for code in code_inside(each.__code__):
                    sys.monitoring.set_local_events(_TOOL, code, _EVENTS)

    def enter(self, test: str) -> None:
        """Attribute every line from here on to a test."""
        self._test = test
        sys.monitoring.restart_events()

    def reach(self) -> Reach:
        """Return what was recorded."""
        return Reach(
            self.seconds,
            {file: {line: frozenset(tests) for line, tests in lines.items()} for file, lines in self._tests.items()},
        )

    def _line(self, code: CodeType, line: int) -> object:
        self._tests[code.co_filename][line].add(self._test)
        return sys.monitoring.DISABLE

    def _start(self, code: CodeType, _offset: int) -> object:
        return self._line(code, code.co_firstlineno)
