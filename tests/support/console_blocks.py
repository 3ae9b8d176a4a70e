"""The fenced blocks of a document: which commands they print, and with which output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_BIN: Final = Path(sys.executable).parent
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a console block.

    Args:
        command: the line, as a shell reads it.
        output: the lines that the document shows below it.
    """

    command: str
    output: list[str]


def fences(document: str) -> list[tuple[str, str]]:
    """The language and the text of each fenced block; no language is an empty text."""
    return _FENCE.findall(document)


def console_steps(document: str) -> list[Step]:
    """The commands behind `$ ` in the `console` blocks, with the output that is shown."""
    shown = "".join(text for language, text in fences(document) if language == "console")
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", shown, re.MULTILINE)
    return [Step(command, output.splitlines()) for command, output in steps]


def shell(command: str, folder: Path, *, columns: int = 80, variables: dict[str, str] | None = None) -> str:
    """Run a line of a document in a folder, with the environment's commands on the path, and return what it prints."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={
            "PATH": f"{_BIN}:{ROOT / '.venv-aws' / 'bin'}:/usr/bin:/bin",
            "COLUMNS": str(columns),
            "LC_ALL": "C.UTF-8",
            "HOME": os.environ["HOME"],
            **(variables or {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
