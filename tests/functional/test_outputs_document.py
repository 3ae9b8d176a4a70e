"""The commands of docs/outputs.md print what the document shows."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Final

DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text("utf-8")
COMMANDS: Final = Path(sys.executable).parent


def test_each_command_prints_what_is_shown(tmp_path: Path) -> None:
    shown = "".join(re.findall(r"^```console\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))
    steps = [(line, expected) for line, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", shown, re.MULTILINE)]
    assert len(steps) >= 6
    for line, expected in steps:
        done = subprocess.run(
            ["/bin/sh", "-c", line],  # the document's own lines, with their redirections
            cwd=tmp_path,
            env={"PATH": f"{COMMANDS}:/usr/bin:/bin", "COLUMNS": "80", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [each.rstrip() for each in done.stdout.splitlines()] == expected.splitlines(), line
    with wave.open(str(tmp_path / "mixed.wav")) as file:
        assert (file.getnchannels(), file.getnframes()) == (1, 240_000)
