"""`docs/architecture.md` leads to files that exist and define what it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TASKS: Final = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", DOCUMENT.split("## One call")[0], re.MULTILINE)


def test_ten_common_tasks_have_one_file_each() -> None:
    assert len(TASKS) >= 10


@pytest.mark.parametrize(("task", "file", "name"), TASKS, ids=[task for task, _, _ in TASKS])
def test_the_file_of_a_task_defines_the_name(task: str, file: str, name: str) -> None:
    defined = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    assert name in defined, task


def test_every_module_of_the_core_has_its_row() -> None:
    described = set(re.findall(r"^\| `core/(\w+)\.py` \|", DOCUMENT, re.MULTILINE))
    assert described == {path.stem for path in (ROOT / "src/connect_audio/core").glob("[!_]*.py")}


def test_every_place_of_the_other_rooms_exists() -> None:
    table = DOCUMENT.split("## The other rooms")[1].split("\n## ")[0]
    places = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(places) > 8
    for place in places:
        assert (ROOT / place).exists() or (ROOT / "src/connect_audio" / place).exists(), place


def test_every_module_that_the_text_names_exists() -> None:
    for name in set(re.findall(r"`((?:core|adapters|recorder|live|handlers)/[\w/]+\.py)`", DOCUMENT)):
        assert (ROOT / "src/connect_audio" / name).exists(), name
