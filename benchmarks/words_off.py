"""The cost of words to a stack that has not switched them on: this tree beside the last one without them.

`python -m benchmarks.words_off`, a minute. A fresh process of each tree in turn imports a handler as Lambda does and
makes its clients. uv installs the layer that all functions share out of each tree's own lock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.bounds import Bound
from benchmarks.cold_start import CASES, fresh
from benchmarks.side_by_side.trees import Tree, trees

BEFORE_WORDS: Final = "09267cf"
"""The last commit without any words."""
MOST_CPU: Final = 1.1
"""Limits the CPU of a cold start, in times of the same before words. The run fails beyond it."""
MOST_MIB: Final = 1.0
"""Limits the memory that a cold start takes more than before words, MiB. The run fails beyond it."""
_REPETITIONS: Final = 9
_CASES: Final = ("trigger and its client, untraced", "consumer and its clients, untraced")


def main(commit: str = BEFORE_WORDS) -> list[Bound]:
    """Measure both trees and print the table.

    Args:
        commit: the tree to compare with.
    """
    bounds = []
    with trees(commit) as both:
        print(f"{f'this tree, and {commit}':44}{'before':>14}{'now':>14}{'ratio':>8}")
        for case in _CASES:
            rows: dict[str, list[tuple[float, float, float, int]]] = {tree.name: [] for tree in both}
            for _ in range(_REPETITIONS):
                for tree in both:
                    rows[tree.name].append(_start(tree, case))
            (cpu_before, mib_before, modules_before), (cpu, mib, modules) = (
                (min(row[1] for row in each), min(row[2] for row in each), each[0][3]) for each in rows.values()
            )
            _print(f"{case}, CPU-s", cpu_before, cpu)
            _print(f"{case}, MiB", mib_before, mib)
            _print(f"{case}, modules", modules_before, modules)
            bounds += [
                Bound(f"times the CPU before words, {case}", cpu / cpu_before, at_most=MOST_CPU),
                Bound(f"MiB more than before words, {case}", mib - mib_before, at_most=MOST_MIB),
            ]
        layers = [_layer_bytes(tree) for tree in both]
        _print("layer of all functions, bytes", *layers)
        _print("the functions' own code, bytes", *(_bytes(tree.root / "src" / "connect_audio") for tree in both))
    return [*bounds, Bound("bytes more in the layer", layers[1] - layers[0], at_most=0)]


def _print(what: str, before: float, now: float) -> None:
    figures = (f"{figure:>14,.3f}" if isinstance(figure, float) else f"{figure:>14,}" for figure in (before, now))
    print(f"{what:44}{''.join(figures)}{now / before:>8.2f}")


def _start(tree: Tree, case: str) -> tuple[float, float, float, int]:
    # With this name a handler does what it does at initialization.
    variables = tree.environment({**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "function"})
    return fresh(CASES[case], variables, tree.root / "src")


def _layer_bytes(tree: Tree) -> int:
    lock = tree.root / "layers" / "dependencies" / "requirements.txt"
    with tempfile.TemporaryDirectory(prefix="connect-audio-layer-") as folder:
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps"]
        options = ["--require-hashes", "--target", folder, "--requirement", str(lock)]
        subprocess.run([*command, *options], check=True)
        return _bytes(Path(folder))


def _bytes(folder: Path) -> int:
    """Bytes of a folder's files, without bytecode."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


if __name__ == "__main__":
    from benchmarks.bounds import judge

    parser = argparse.ArgumentParser(prog="python -m benchmarks.words_off")
    parser.add_argument("--commit", default=BEFORE_WORDS, help=f"the tree to compare with ({BEFORE_WORDS})")
    judge(main(parser.parse_args().commit))
