"""pytest in one warm process: everything is imported and collected once, then each mutant gets a fork of it."""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Final

import hypothesis
import pytest

from mutation.live_functions import NotInAFunctionError, loaded_functions, module_code, put_into_functions
from mutation.mutants import Mutant
from mutation.reach import Reach, Recorder

_EXAMPLES: Final = 25
"""Most examples of a property, and no shrinking. Fewer than in the test run: a mutant may survive for it, never die."""
_MEMORY: Final = 4 << 30
"""Address space of a mutant, bytes; beyond it Python raises MemoryError and the mutant counts as killed."""
_MUTANT_S: Final = 600
"""Longest time of a mutant in all, s; beyond it the fork is killed and the mutant counts as killed."""
_ARGUMENTS: Final = (
    *("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:terminalreporter", "--capture=sys"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is loaded before pytest, once for all
)


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    ENDLESS = "endless"
    UNREACHED = "UNREACHED"


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant's end.

    Args:
        outcome: killed by a failing test or an endless one, or survived.
        test: node id of the test that noticed it; empty where none did.
        ran: number of tests that ran.
        reaching: number of tests that reach the place.
    """

    outcome: Outcome
    test: str
    ran: int
    reaching: int


@dataclass(frozen=True, slots=True)
class Task:
    """A mutant and the tests to run, the cheapest first.

    Args:
        mutant: the change.
        tests: node ids.
        reaching: number of tests that reach the place, run or not.
    """

    mutant: Mutant
    tests: Sequence[str]
    reaching: int


def measure(folders: Sequence[str], sources: tuple[str, ...], path: Path) -> bool:
    """Run the tests once without a mutant, and save what each reaches.

    Args:
        folders: of the tests.
        sources: prefixes of the files to watch.
        path: takes the outcome.

    Returns:
        Whether every test passed.
    """
    return _in_fork(lambda: _pytest(folders, _Measuring(Recorder(sources), path))) == 0


def run_in_functions(
    tasks: Sequence[Task], seconds: Reach, folders: Sequence[str]
) -> Iterator[tuple[Task, Result | None]]:
    """Run mutants inside functions, each in a fork of one collected session.

    Yields:
        Each task with its result, or with None if the module has to be imported with the change.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        _quiet()
        _pytest(folders, _Forking(tasks, seconds, writer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        # Too few lines mean that the session has died: that is no result of any mutant.
        for task, line in zip(tasks, lines, strict=True):
            yield task, _result(line)
    os.waitpid(process, 0)


def run_imported(task: Task, reach: Reach) -> Result:
    """Run a mutant at the level of a module: the fork imports the module with the change."""

    def work(writer: int) -> None:
        sys.meta_path.insert(0, _Finder(task.mutant, module_code(task.mutant)))
        files = sorted({test.split("::")[0] for test in task.tests})
        _pytest(files, _Running(task, reach, writer))
        _tell(writer, Result(Outcome.KILLED, "collection", 0, task.reaching))

    return _result(_line_of_fork(work)) or Result(Outcome.ENDLESS, "", 0, task.reaching)


def _pytest(arguments: Sequence[str], plugin: object) -> int:
    return int(pytest.main([*_ARGUMENTS, *arguments], plugins=[plugin]))


def _quiet() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _in_fork(work: Callable[[], int]) -> int:
    process = os.fork()
    if not process:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _line_of_fork(work: Callable[[int], None]) -> str:
    """Run something in a fork that writes one line, and return the line; empty if it died or took too long."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        _quiet()
        try:
            work(writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        ready, _, _ = select.select([lines], [], [], _MUTANT_S)
        line = lines.readline() if ready else ""
    if not line:
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return line


def _tell(writer: int, result: Result) -> None:
    os.write(writer, (json.dumps(asdict(result)) + "\n").encode())


def _result(line: str) -> Result | None:
    """Return a result, or None for an empty object or no line at all."""
    fields = json.loads(line or "{}")
    return Result(**(fields | {"outcome": Outcome(fields["outcome"])})) if fields else None


# --- plugins ---------------------------------------------------------------------------------------------------------


def _bound(items: Sequence[pytest.Item]) -> None:
    """Bound the examples of every property, and leave out shrinking: one counterexample is enough."""
    for item in items:
        function = getattr(item, "obj", None)
        function = getattr(function, "__func__", function)
        # hypothesis has no public way to settle a test a second time.
        old = getattr(function, "_hypothesis_internal_use_settings", None)
        if old is not None:
            function._hypothesis_internal_use_settings = hypothesis.settings(  # type: ignore[union-attr]
                old,
                max_examples=min(old.max_examples, _EXAMPLES),
                phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
                report_multiple_bugs=False,
            )


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


class _Measuring:
    def __init__(self, recorder: Recorder, path: Path) -> None:
        self._recorder = recorder
        self._path = path
        self._failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        _bound(session.items)
        self._recorder.start()
        for at, (item, following) in enumerate(zip(session.items, [*session.items[1:], None], strict=True)):
            if at % 100 == 0:
                print(f"  {at} of {len(session.items)} tests, {time.process_time():.0f} s", file=sys.stderr, flush=True)
            self._recorder.enter(item.nodeid)
            before = time.process_time()
            _run(item, following)
            self._recorder.seconds[item.nodeid] = round(time.process_time() - before, 4)
        if self._failed:
            print("tests fail without a mutant:", *self._failed, sep="\n  ", file=sys.stderr)
            pytest.exit("tests fail", returncode=1)
        self._recorder.reach().save(self._path)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)


class _Running:
    """Runs the tests of one mutant up to the first failure, and ends the process."""

    def __init__(self, task: Task, reach: Reach, writer: int) -> None:
        self._task = task
        self._reach = reach
        self._writer = writer
        self._failed = False
        self._test = ""
        self._ran = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        _bound(session.items)
        self.run(session)
        return True

    def run(self, session: pytest.Session) -> None:
        """Run them."""
        # A lower limit of the caller stays: to raise it would end the fork, which would pass for a killed mutant.
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        memory = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        signal.signal(signal.SIGPROF, self._end)
        signal.signal(signal.SIGALRM, self._end)
        items = {item.nodeid: item for item in session.items}
        chosen = [items[test] for test in self._task.tests if test in items]
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            self._test = item.nodeid
            own = self._reach.seconds[item.nodeid]
            signal.setitimer(signal.ITIMER_PROF, 2 + 10 * own)
            signal.setitimer(signal.ITIMER_REAL, 30 + 60 * own)
            self._ran += 1
            _run(item, following)
            if self._failed:
                self._finish(Outcome.KILLED)
        self._test = ""
        self._finish(Outcome.SURVIVED)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._finish(Outcome.ENDLESS)

    def _finish(self, outcome: Outcome) -> None:
        _tell(self._writer, Result(outcome, self._test, self._ran, self._task.reaching))
        os._exit(0)


class _Forking:
    """Forks the collected session for each mutant."""

    def __init__(self, tasks: Sequence[Task], reach: Reach, writer: int) -> None:
        self._tasks = tasks
        self._sources = str(tasks[0].mutant.path.parents[1]) if tasks else ""
        self._reach = reach
        self._writer = writer

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        _bound(session.items)
        functions = loaded_functions(self._sources)
        # The forks share this heap: no collection of theirs walks through it.
        gc.collect()
        gc.freeze()
        for task in self._tasks:
            line = _line_of_fork(lambda writer, task=task: self._mutant(task, functions, session, writer))  # type: ignore[misc]
            line = line or json.dumps(asdict(Result(Outcome.ENDLESS, "", 0, task.reaching))) + "\n"
            os.write(self._writer, line.encode())
        return True

    def _mutant(
        self, task: Task, functions: Mapping[str, Iterable[FunctionType]], session: pytest.Session, writer: int
    ) -> None:
        try:
            changed = put_into_functions(task.mutant, functions.get(str(task.mutant.path), ()))
        except NotInAFunctionError:
            changed = 0
        if not changed:
            os.write(writer, b"{}\n")
            return
        running = _Running(task, self._reach, writer)
        session.config.pluginmanager.register(running)
        running.run(session)


# --- a module imported with a change ---------------------------------------------------------------------------------


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        """Return the code with the change, whatever the name."""
        del fullname
        return self._code


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant, code: CodeType) -> None:
        self._path = mutant.path
        self._name = ".".join(mutant.path.with_suffix("").parts[-3:])
        self._code = code

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """Find the changed module alone."""
        del path, target
        if fullname != self._name:
            return None
        loader = _Loader(fullname, str(self._path), self._code)
        return spec_from_file_location(fullname, self._path, loader=loader)
