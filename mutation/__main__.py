"""`python -m mutation 300 --seed 1`, also `make mutation N=300 SEED=1`: do the unit tests notice changes of the code?

*How it works.* One run without a mutant records which test reaches which line and what each test costs (`reach.py`).
It is kept in `build/mutation` as long as the sources stay the same. pytest then collects everything once
(`session.py`). Each mutant inside a function gets a fork of that process with the function's code exchanged
(`live_functions.py`). A mutant at the level of a module or class gets a fork that has not yet imported the package.
The fork runs the tests that reach the changed lines. First come those that take a rare branch beside it, then those of
the module's own test file, then the others, each time the cheapest first. A change of a constant or a field begins with
the test files that name it. The fork stops at the first failure, at an
endless test or at the budget. The budget can only spare a mutant, so the share of
killed mutants is a lower bound.

*Why not a ready-made tool.* mutmut 3.8.1 was tried on this tree. It leaves out every property and everything outside
a function: constants, defaults, tables of rules. It makes 13 022 mutants, many of them words of texts or arguments
replaced by None, and takes no seeded sample. It bounds neither the examples of a property nor the tests of a mutant, so
that a survivor costs up to the whole suite, 210 s of processor time. cosmic-ray 8.7.0 starts one fixed test command in
a process of its own for each mutant: 7 000 mutants would take up to 17 days.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mutation.mutants import Mutant, mutants_of
from mutation.reach import Reach, naming_tests
from mutation.session import Outcome, Result, Task, measure, run_imported, run_in_functions
from mutation.survivors import key_of, listed

_ROOT: Final = Path(__file__).parents[1]
_PACKAGE: Final = _ROOT / "src" / "connect_audio"
_ROOMS: Final = ("core", "recorder")
_TESTS: Final = ("tests/unit/core", "tests/unit/recorder", "tests/unit/live")
"""Unit tests that run in a fork: those of both rooms, and those of live audio, whose values are the core's."""
_CACHE: Final = _ROOT / "build" / "mutation"
_BUDGET_S: Final = 6.0
"""Processor time of the tests of a mutant by default, s, as measured without it."""


def main() -> int:
    """Run the mutants, print each and the figures per file."""
    parser = argparse.ArgumentParser(prog="mutation", description="Mutation run over core/ and recorder/")
    parser.add_argument("count", help="how many mutants, or all")
    parser.add_argument("--seed", type=int, default=1, help="chooses the mutants")
    parser.add_argument("--only", default="", help="part of the file's name, as core/wav or recorder")
    parser.add_argument("--change", default="", help="part of the change as printed, to try one survivor again")
    parser.add_argument("--budget", type=float, default=_BUDGET_S, help="processor time of the tests of a mutant, s")
    arguments = parser.parse_args()
    reach = _reach()
    if reach is None:
        return 2
    reasons = listed()
    mutants = _mutants()
    unknown = set(reasons) - {key_of(each) for each in mutants}
    mutants = [each for each in mutants if arguments.only in str(each.path) and arguments.change in each.change]
    if arguments.count != "all":
        mutants = random.Random(arguments.seed).sample(mutants, min(len(mutants), int(arguments.count)))
    report = _Report(reasons)
    for task, result in _results(mutants, reach, arguments.budget):
        report.add(task.mutant, result)
    report.end(f"seed {arguments.seed}")
    print(*(f"listed, but no such mutant: {' | '.join(each)}" for each in sorted(unknown)), sep="\n")
    return 0


def _mutants() -> list[Mutant]:
    files = [path for room in _ROOMS for path in sorted((_PACKAGE / room).glob("*.py"))]
    return [mutant for path in files for mutant in mutants_of(path)]


def _reach() -> Reach | None:
    """Return what the tests reach; None if a test fails.

    A changed source makes every test run, a changed test file its own tests alone.
    """
    support = [
        path for folder in ("src", "tests/core_support", "tests/chaos") for path in (_ROOT / folder).rglob("*.py")
    ]
    path = _CACHE / f"reach-{_digest(support)[:16]}.json"
    digests_path = path.with_suffix(".tests.json")
    found = [each for folder in _TESTS for each in (_ROOT / folder).rglob("test_*.py")]
    digests = {str(each.relative_to(_ROOT)): _digest([each]) for each in sorted(found)}
    known = json.loads(digests_path.read_text()) if digests_path.exists() else {}
    stale = [file for file, digest in digests.items() if known.get(file) != digest]
    reach = Reach.load(path).without({*stale, *(known.keys() - digests)}) if known else Reach({}, {})
    if stale:
        print(f"the tests of {len(stale)} files without a mutant: which reaches which line", flush=True)
        fresh = path.with_suffix(".fresh.json")
        if not measure(stale, tuple(f"{_PACKAGE / room}/" for room in _ROOMS), fresh):
            print("mutation: the unit tests fail without any mutant", file=sys.stderr)
            return None
        reach = reach.joined(Reach.load(fresh))
        reach.save(path)
        digests_path.write_text(json.dumps(digests))
    return reach


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _results(mutants: Sequence[Mutant], reach: Reach, budget: float) -> Iterator[tuple[Task, Result]]:
    words = _words()
    named = naming_tests({name for each in mutants for name in each.names or ()}, reach.seconds, _ROOT)
    tasks = [_task(mutant, reach, words, named, budget) for mutant in mutants]
    reached = [task for task in tasks if task.tests and task.mutant.names is None]
    imported = [task for task in tasks if task.tests and task.mutant.names is not None]
    for task, result in run_in_functions(reached, reach, _TESTS):
        if result is None:
            imported.append(task)
        else:
            yield task, result
    yield from ((task, run_imported(task, reach)) for task in imported)
    for task in tasks:
        if not task.tests:
            # A function that runs while its module is imported makes what the tests of the module use.
            task = _task(replace(task.mutant, names=frozenset()), reach, words, {}, budget)  # noqa: PLW2901
            result = run_imported(task, reach) if task.tests else Result(Outcome.SURVIVED, "", 0, 0)
            is_noticed = result.outcome is not Outcome.SURVIVED
            yield task, result if is_noticed else replace(result, outcome=Outcome.UNREACHED)


def _task(
    mutant: Mutant,
    reach: Reach,
    words: Mapping[str, Iterable[tuple[str, int]]],
    named: Mapping[str, Iterable[str]],
    budget: float,
) -> Task:
    """Choose tests: those that name it, those of a rare branch beside it, those of the module's own file, then of all.

    Of each group the cheapest. Each group has its share of the budget. At least one test runs, whatever it costs.
    """
    naming = {test for name in mutant.names or () for test in named.get(name, ())}
    tests = reach.by_cost({*reach.of(mutant, words), *naming})
    own = f"/test_{mutant.path.stem}"
    chosen: list[str] = []
    for pool, share in (
        (reach.by_cost(naming), budget / 4),
        (reach.by_cost(reach.of_rarest_neighbour(mutant)), budget / 4),
        ([test for test in tests if own in test], budget / 2),
        (tests, budget / 2),
    ):
        left = share
        for test in pool:
            if test in chosen:
                continue
            left -= reach.seconds[test]
            if left < 0 and chosen:
                break
            chosen.append(test)
    return Task(mutant, chosen, len(tests))


def _words() -> Mapping[str, Iterable[tuple[str, int]]]:
    """Return the lines of both rooms that name a word."""
    words = defaultdict(set)
    for room in _ROOMS:
        for path in (_PACKAGE / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Name(id=word, lineno=line) | ast.Attribute(attr=word, lineno=line):
                        words[word].add((str(path), line))
                    case _:
                        pass
    return words


class _Report:
    """Counts and prints."""

    def __init__(self, reasons: Mapping[tuple[str, str, str], str]) -> None:
        self._reasons = reasons
        self._began = time.monotonic()
        self._killed: Counter[str] = Counter()
        self._listed: Counter[str] = Counter()
        self._all: Counter[str] = Counter()
        self._survivors: list[str] = []

    def add(self, mutant: Mutant, result: Result) -> None:
        """Count a mutant and print its line."""
        file, scope, change = key_of(mutant)
        outcome = str(result.outcome)
        self._all[file] += 1
        line = f"{file}:{mutant.line} | {scope} | {change}"
        if result.outcome in {Outcome.KILLED, Outcome.ENDLESS}:
            self._killed[file] += 1
        elif key_of(mutant) in self._reasons:
            self._listed[file] += 1
            outcome = "listed"
        else:
            self._survivors.append(line)
        ran = f"{result.ran}/{result.reaching}"
        print(f"{outcome:9} {ran:>9} {line} {result.test and '<- ' + result.test}", flush=True)

    def end(self, sample: str) -> None:
        """Print the figures of each file and the survivors that are not listed."""
        print(f"\n{'file':40} {'mutants':>8} {'killed':>7} {'listed':>7} {'new':>5}")
        for file in sorted(self._all):
            self._row(file, self._all[file], self._killed[file], self._listed[file])
        total, killed = self._all.total(), self._killed.total()
        self._row(sample, total, killed, self._listed.total())
        share, rest = killed / max(1, total), killed / max(1, total - self._listed.total())
        print(f"{share:.1%} killed, {rest:.1%} of those that are not listed; {time.monotonic() - self._began:.0f} s")
        print("survivors that are not listed:", *sorted(self._survivors), sep="\n  ")

    @staticmethod
    def _row(name: str, total: int, killed: int, known: int) -> None:
        print(f"{name:40} {total:8} {killed:7} {known:7} {total - killed - known:5}")


if __name__ == "__main__":
    sys.exit(main())
