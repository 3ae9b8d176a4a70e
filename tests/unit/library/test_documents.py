"""docs/analysing.md, the notebook and the docstrings: every example runs and gives what is written beside it."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import connect_audio
from connect_audio.library import call, reading, streaming
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "analysing.md").read_text("utf-8")
NOTEBOOK = ROOT / "examples" / "analysing_calls.ipynb"
TOOLS = re.findall(r"^\| ([^|`]+) \| ([\d.]+) \| `([^`]+)` \|$", DOCUMENT, re.MULTILINE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the document's call in it: `connect-audio synthesize call.mkv --seconds 30`."""
    speech = two_party_conversation(30)
    fragments = synthesize_call(SyntheticCall(customer=speech.customer, agent=speech.agent))
    (tmp_path / "call.mkv").write_bytes(b"".join(fragment.data for fragment in fragments))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(source: str, namespace: dict[str, Any]) -> int:
    """Run an example, compare what stands behind arrows with what its line gives, and count the comparisons."""
    lines = source.splitlines()
    compared = 0
    for statement in ast.parse(source).body:
        _, arrow, expected = lines[(statement.end_lineno or 1) - 1].partition("# → ")
        if arrow:
            assert isinstance(statement, ast.Expr)
            assert str(eval(ast.unparse(statement), namespace)) == expected  # noqa: S307 - the document's own
            compared += 1
        else:
            exec(compile(ast.Module([statement], []), "docs/analysing.md", "exec"), namespace)  # noqa: S102 - same
    return compared


def test_the_document_s_examples_run_and_give_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    examples = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)

    compared = sum(run(example, namespace) for example in examples)

    assert (len(examples), compared) == (9, 9)
    printed = capsys.readouterr().out
    assert "00000000-0000-4000-8000-000000000001 2026-07-01 13:30:54.536000+00:00 30.0 30\n" in printed
    assert "call.mkv: no fragment names contact another; it holds 00000000-" in printed


def test_every_tool_has_a_line_and_the_version_that_it_was_tried_with() -> None:
    rows = re.search(r"\| tool \| tried \| line \|\n\| --- .*\n((?:\|.*\n)+)", DOCUMENT)

    assert rows is not None
    assert len(TOOLS) == len(rows[1].splitlines()) >= 15


def installed(line: str) -> bool:
    root = line.partition(".")[0]
    return root == "call" or importlib.util.find_spec(root) is not None


def test_the_lines_of_the_tools_that_are_installed_run() -> None:
    call = connect_audio.read("call.mkv")
    ran = []

    for tool, _, line in TOOLS:
        if installed(line):
            namespace: dict[str, Any] = {"call": call, "reference": call.agent}
            root, *parts = line.partition("(")[0].split(".")
            if root != "call":
                namespace[root] = importlib.import_module(root)
                if not hasattr(namespace[root], parts[0]):
                    importlib.import_module(f"{root}.{parts[0]}")
            eval(line, namespace)  # noqa: S307 - the document's own
            ran.append(tool)

    assert {"soundfile", "scipy", "pydub"} <= set(ran)


@pytest.mark.parametrize("module", [call, reading, streaming])
def test_the_docstrings_examples_are_true(module: ModuleType) -> None:
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)

    assert result.failed == 0
    assert result.attempted > 0


def test_the_notebook_is_a_notebook_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))

    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    identifiers = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in notebook["cells"]:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell["id"])
        expected = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            expected |= {"execution_count", "outputs"}
            assert (cell["execution_count"], cell["outputs"]) == (None, [])
        assert set(cell) == expected
        assert cell["cell_type"] in {"code", "markdown"}
        assert all(isinstance(line, str) for line in cell["source"])


def test_the_notebook_runs_from_top_to_bottom_without_matplotlib(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    namespace: dict[str, Any] = {}

    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)  # noqa: S102 - our own notebook

    printed = capsys.readouterr().out
    assert "<Call 00000000-0000-4000-8000-000000000001: 30.000 s at 8000 Hz, complete>" in printed
    assert "customer: 100.0% received, 0 gaps" in printed
    shares = dict(re.findall(r"(customer|agent): speaks (\d+)% of the time", printed))
    # The conversation's parties take turns, each for less than half of it.
    assert set(shares) == {"customer", "agent"}
    assert all(25 < int(share) < 50 for share in shares.values())
    assert "the agent at 16 kHz: (480000,) float32" in printed
    (waveform,) = re.findall(r"^ +agent ([ ▁▂▃▄▅▆▇█]{72})$", printed, re.MULTILINE)
    assert {" ", "▄"} <= set(waveform)
