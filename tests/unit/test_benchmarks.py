"""The benchmarks measure what is deployed without words, though the development environment has the words' SDK."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.as_deployed import HIDDEN
from benchmarks.cold_start import _PROGRAM

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_cold_start_is_measured_without_awscrt() -> None:
    assert find_spec("awscrt") is not None
    program = _PROGRAM.format(code="import botocore.compat; print(botocore.compat.HAS_CRT)", hidden=HIDDEN)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == "False"


def test_every_benchmark_that_stands_for_a_function_hides_awscrt() -> None:
    of_functions = [
        path
        for path in BENCHMARKS.rglob("*.py")
        if re.search(r"import connect_audio.handlers|from connect_audio.handlers", path.read_text("utf-8"))
    ]
    assert len(of_functions) >= 4
    for path in of_functions:
        text = path.read_text("utf-8")
        # `-S` leaves a process no site-packages: it has what it is given alone. `fresh` hides them itself.
        marks = ("hide_words_layer()", "hidden=HIDDEN", "fresh(code))", 'sys.modules["awscrt"] = None', '"-S"')
        assert any(mark in text for mark in marks), path.name
