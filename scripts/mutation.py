# ruff: noqa: T201 - a command prints
"""Mutation run over `core/` and `recorder/`: `make mutation N=50 SEED=1`, or N=all. Outside `make test`.

*How it works.* Each mutant changes one operator or one number of one file in a copy of `src`. The unit tests of the
mutant's room run against that copy, up to the first failure. A mutant that no test fails for has survived.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_PACKAGE: Final = "connect_audio"
_ROOMS: Final = ("core", "recorder")
_TIMEOUT_S: Final = 900
"""Longest run of the tests, s; a mutant that needs longer hangs and counts as killed."""
_SWAPS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}


def main() -> int:
    """Run the mutants and list the survivors."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("count", help="how many mutants, or all")
    parser.add_argument("--seed", type=int, default=1, help="chooses the mutants")
    arguments = parser.parse_args()
    mutants = [
        (path, index)
        for room in _ROOMS
        for path in sorted((_ROOT / "src" / _PACKAGE / room).glob("*.py"))
        for index in range(sum(1 for _ in _places(ast.parse(path.read_text()))))
    ]
    if arguments.count != "all":
        mutants = random.Random(arguments.seed).sample(  # noqa: S311 - a sample, no secret
            mutants, min(len(mutants), int(arguments.count))
        )
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(_ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        if _fails("core", source):
            print("mutation: the unit tests fail without any mutant", file=sys.stderr)
            return 2
        for path, index in mutants:
            name, killed = _run(path, index, source)
            print(f"{'killed  ' if killed else 'SURVIVED'} {name}", flush=True)
            survivors += [] if killed else [name]
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants killed; survivors:", *survivors, sep="\n  ")
    return 0


def _run(path: Path, index: int, source: Path) -> tuple[str, bool]:
    """Run the tests of a mutant's room against a mutated copy.

    Returns:
        The mutant's name, and True if a test failed.
    """
    original = path.read_text()
    tree = ast.parse(original)
    name = f"{path.relative_to(_ROOT)}:{_mutate(tree, index)}"
    copy = source / path.relative_to(_ROOT / "src")
    copy.write_text(ast.unparse(tree))
    killed = _fails(path.parent.name, source)
    copy.write_text(original)
    return name, killed


def _fails(room: str, source: Path) -> bool:
    """Run a room's unit tests against a copy of `src`. A mutant of core meets the recorder's tests, too."""
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    tests = [f"tests/unit/{each}" for each in _ROOMS if room in {each, "core"}]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(  # noqa: S603 - the project's own tests
            command, cwd=_ROOT, env=environment, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int]]:
    """Yield each place that can be changed: the node, the kind of change, and its index in the node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from ((node, "ops", at) for at, each in enumerate(node.ops) if type(each) in _SWAPS)
        elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in _SWAPS:
            yield node, "op", 0
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield node, "value", 0
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield node, "flag", 0


def _mutate(tree: ast.AST, index: int) -> str:
    """Change one place of a tree, and return its line and its change."""
    node, kind, at = list(_places(tree))[index]
    before = ast.unparse(node)
    if isinstance(node, ast.Compare):
        node.ops[at] = _SWAPS[type(node.ops[at])]()  # type: ignore[call-overload]
    elif isinstance(node, ast.BoolOp | ast.BinOp):
        node.op = _SWAPS[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.Constant):
        node.value = not node.value if kind == "flag" else int(str(node.value)) + 1
    return f"{getattr(node, 'lineno', 0)}: {before} -> {ast.unparse(node)}"


if __name__ == "__main__":
    sys.exit(main())
