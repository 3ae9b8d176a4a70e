"""The two source trees that are compared: this one, and a commit taken out of git into a temporary folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "benchmarks"
"""Generated captures and temporary output. Git ignores `build/`, and `make clean` removes it."""


BEFORE_ACCOUNTS: Final = "0e7fa6a"
"""The last commit whose timeline kept no accounts of each sample. Name it with `--commit`."""
MOST_FOR_ACCOUNTS: Final = 1.05
"""Bound of a row's cost against that commit."""


class CommitMissingError(Exception):
    """The commit to compare with is not in this clone; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One source tree, run by this environment's Python.

    Args:
        name: `before` or `now`.
        root: its folder.
    """

    name: str
    root: Path

    def environment(self, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return an environment in which this tree's packages come before installed ones.

        Args:
            variables: the environment otherwise; this process's own by default.
        """
        folders = ("src", "cli", "local", ".")
        path = os.pathsep.join(str(self.root / folder) for folder in folders if (self.root / folder).is_dir())
        return {**variables, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}

    def command(self, *arguments: str) -> list[str]:
        """Return the tree's `connect-audio` with these arguments, started as the installed script starts it."""
        with (self.root / "pyproject.toml").open("rb") as file:
            module, function = tomllib.load(file)["project"]["scripts"]["connect-audio"].split(":")
        program = f"import sys; from {module} import {function}; sys.exit({function}())"
        return [sys.executable, "-c", program, *arguments]

    def compile(self) -> None:
        """Write the bytecode, so that no measured run does."""
        folders = [str(self.root / folder) for folder in ("src", "cli", "local", "benchmarks")]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], check=False, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class Trees:
    """The two trees.

    Args:
        before: the commit to compare with.
        now: this tree.
        commit: the name of the commit.
    """

    before: Tree
    now: Tree
    commit: str

    def limit(self, at_most: float | None) -> float | None:
        """Return the bound of a recording's cost against this commit.

        Args:
            at_most: the bound against the default commit; None for none.
        """
        return MOST_FOR_ACCOUNTS if self.commit == BEFORE_ACCOUNTS else at_most

    def __iter__(self) -> Iterator[Tree]:
        return iter((self.before, self.now))


@contextmanager
def trees(commit: str) -> Iterator[Trees]:
    """Take the commit out of git; the folder is removed at the end.

    Args:
        commit: a commit's name or hash.

    Raises:
        CommitMissingError: git does not have it here.
    """
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", commit], capture_output=True, check=False
    )
    if archive.returncode:
        raise CommitMissingError(
            f"commit {commit} cannot be read: {archive.stderr.decode().strip()}\n"
            "A shallow clone holds recent commits only. Fetch the others with `git fetch --unshallow`, "
            "or name a commit of this clone with --commit."
        )
    with tempfile.TemporaryDirectory(prefix="connect-audio-before-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        both = Trees(Tree("before", Path(folder)), Tree("now", ROOT), commit)
        for tree in both:
            tree.compile()
        yield both
