"""The public module of sinks: everything that an author needs, and nothing by another way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from connect_audio import sinks
from connect_audio.sinks import BlockSink, SegmentSink
from support.live_sinks import Blocks, Segments

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there_and_documented() -> None:
    for name in sinks.__all__:
        public = getattr(sinks, name)
        if isinstance(public, type):
            assert public.__doc__, name


@pytest.mark.parametrize("page", ["live.md"])
def test_the_documented_sink_imports_nothing_else_of_the_package(page: str) -> None:
    document = (ROOT / "docs" / page).read_text("utf-8")
    code = document.split("```python\n", 1)[1].split("```", 1)[0]
    imported = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imported if node.module and node.module.startswith("connect_audio")]
    assert [node.module for node in ours] == ["connect_audio.sinks"]
    assert {alias.name for node in ours for alias in node.names} <= set(sinks.__all__)


def test_the_kind_of_a_sink_is_its_method() -> None:
    assert isinstance(Blocks(), BlockSink)
    assert not isinstance(Blocks(), SegmentSink)
    assert isinstance(Segments(), SegmentSink)
    assert not isinstance(Segments(), BlockSink)
