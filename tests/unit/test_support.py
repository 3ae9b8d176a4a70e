"""What tests share lies in packages of helpers; no test module is a library of another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.examples import ALL_EXAMPLES, examples, few_of

TESTS: Final = Path(__file__).parents[1]
HELPERS: Final = frozenset({"chaos", "core_support", "infrastructure", "support"})


def modules() -> list[Path]:
    return sorted(path for path in TESTS.rglob("*.py") if "__pycache__" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_test_module_is_imported() -> None:
    names = {".".join(path.relative_to(TESTS).with_suffix("").parts) for path in modules() if path.stem[:5] == "test_"}
    stems = {name.rpartition(".")[2] for name in names}
    # To parse them all takes seconds, and few name a module at all.
    suspects = [path for path in modules() if not stems.isdisjoint(re.findall(r"test_\w+", path.read_text("utf-8")))]
    libraries = {f"{path.relative_to(TESTS)}: {name}" for path in suspects for name in set(imported(path)) & names}
    assert not libraries


def test_helpers_lie_in_packages_of_helpers() -> None:
    strays = [
        str(path.relative_to(TESTS))
        for path in modules()
        if path.relative_to(TESTS).parts[0] not in HELPERS and path.stem[:5] != "test_" and path.stem != "conftest"
    ]
    assert not strays


@pytest.mark.parametrize(("number", "fewer"), [(1, 1), (2, 2), (12, 2), (100, 12), (500, 62)])
def test_without_the_variable_a_property_is_tried_with_an_eighth_of_its_examples(
    number: int, fewer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALL_EXAMPLES, raising=False)
    assert examples(number) == fewer
    monkeypatch.setenv(ALL_EXAMPLES, "1")
    assert examples(number) == number


def test_each_sixth_parameter_stays_and_the_others_are_slow() -> None:
    parameters = few_of(range(8))
    assert [each for each in parameters if isinstance(each, int)] == [0, 6]
    slow = [each for each in parameters if not isinstance(each, int)]
    assert [value for each in slow for value in each.values] == [1, 2, 3, 4, 5, 7]
    assert {mark.name for each in slow for mark in each.marks} == {"slow"}


def test_the_targets_that_run_every_unit_test_run_every_example() -> None:
    makefile = (TESTS.parent / "Makefile").read_text("utf-8")
    (targets,) = re.findall(rf"^(.*): export {ALL_EXAMPLES} := 1$", makefile, re.MULTILINE)
    assert set(targets.split()) == {"unit", "test", "run-tests", "mutation"}
    (check,) = re.findall(r"^check:.*\n(?:\t.*\n)*", makefile, re.MULTILINE)
    assert "-m 'not slow' tests/unit" in check
