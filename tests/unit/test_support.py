"""What tests share lies in packages of helpers; no test module is a library of another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

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
    libraries = {f"{path.relative_to(TESTS)}: {name}" for path in modules() for name in set(imported(path)) & names}
    assert not libraries


def test_helpers_lie_in_packages_of_helpers() -> None:
    strays = [
        str(path.relative_to(TESTS))
        for path in modules()
        if path.relative_to(TESTS).parts[0] not in HELPERS and path.stem[:5] != "test_" and path.stem != "conftest"
    ]
    assert not strays
