"""The glossary of `docs/architecture.md` owns each word: code, manifest and metrics have no word that it lacks."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from scripts import language

from connect_audio.core.manifest import EndReason
from connect_audio.telemetry import Metric

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = (ROOT / "docs" / "architecture.md").read_text("utf-8")
MANIFEST: Final = (ROOT / "docs" / "manifest.md").read_text("utf-8")
CODE: Final = [path for folder in ("src", "cli", "local") for path in sorted((ROOT / folder).rglob("*.py"))]


def _section(name: str) -> str:
    return DOCUMENT.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0]


def _rows(text: str) -> list[list[str]]:
    """The cells of every table of a text, without the heads."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    heads = {row for row, rule in pairwise(rows) if rule.startswith("| ---")}
    return [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in rows
        if row not in heads and not row.startswith("| ---")
    ]


GLOSSARY: Final = _rows(_section("glossary"))
RENAMED: Final = _rows(_section("manifest 2.0"))
PLAIN: Final = set(re.findall(r"[a-z0-9]+", _section("plain words")))


def _definitions() -> Iterator[str]:
    """Every class, function, constant and field of the code: its name alone, and behind its class's."""
    for path in CODE:
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield node.name
                yield from (f"{node.name}.{name}" for name in _names(node.body))
        yield from _names(tree.body)


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@cache
def _defined() -> frozenset[str]:
    # Made by the first test that asks: every worker imports this file, and one runs it.
    return frozenset(_definitions())


def test_each_word_stands_once_and_has_a_meaning() -> None:
    words = [row[0] for row in GLOSSARY]
    assert len(words) > 60
    assert sorted(words) == sorted(set(words))
    assert all(row[1] for row in GLOSSARY)


@pytest.mark.parametrize("row", GLOSSARY, ids=lambda row: row[0])
def test_the_place_of_a_word_in_the_code_exists(row: list[str]) -> None:
    for name in re.findall(r"`([^`]+)`", row[3]):
        assert name in _defined(), f"{row[0]}: {name}"


@pytest.mark.parametrize("row", GLOSSARY, ids=lambda row: row[0])
def test_the_field_the_code_or_the_metric_of_a_word_exists(row: list[str]) -> None:
    known = (
        {metric.title for metric in Metric}
        | set(re.findall(r"`([^`]+)`", MANIFEST))
        | {each.value for each in EndReason}
    )
    for name, planned in re.findall(r"`([^`]+)`( \(planned\))?", row[4]):
        if not planned:
            assert name in known, f"{row[0]}: {name}"


def test_a_renamed_name_of_the_manifest_is_gone_and_its_new_name_is_there() -> None:
    source = "\n".join(path.read_text("utf-8") for path in CODE if path.is_relative_to(ROOT / "src"))
    for kind, old, new, reason in RENAMED:
        assert reason, old
        assert f"{old} |" not in MANIFEST, old
        if kind == "outcome":
            assert f'"{new.strip("`")}"' in source, new
            assert f'"{old.strip("`")}"' not in source, old
        else:
            assert f"{new} |" in MANIFEST, new


def test_every_word_of_a_metric_is_in_the_glossary() -> None:
    _assert_known({metric.title for metric in Metric})


def test_every_word_of_a_manifest_field_is_in_the_glossary() -> None:
    schema: dict[str, Any] = json.loads((ROOT / "docs" / "manifest.schema.json").read_text("utf-8"))
    _assert_known(set(_fields(schema)))


def test_every_word_of_a_public_class_is_in_the_glossary() -> None:
    _assert_known(
        {
            node.name
            for path in CODE
            if path.is_relative_to(ROOT / "src")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        }
    )


def _fields(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for each in schema.values():
            yield from _fields(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _fields(each)


def _assert_known(names: set[str]) -> None:
    owned = {word for row in GLOSSARY for word in re.findall(r"[a-z0-9]+", row[0].lower())} | PLAIN
    unknown = {
        f"{word} in {name}"
        for name in names
        for word in (each.lower() for each in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])", name))
        if not {word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ed")} & owned
    }
    assert not unknown, "add a row to the glossary, or an ordinary word to its list, or use another word"


def test_each_word_that_is_not_used_is_one_that_the_check_finds() -> None:
    table = DOCUMENT.split("### Words that are not used")[1].split("<!-- language: on -->")[0]
    for row in _rows(table):
        for word in row[0].removesuffix(" (noun)").split(", "):
            found = language.code_offences("x.py", f'"""It has {word} in it."""\n{word} = 1')
            assert found, word
