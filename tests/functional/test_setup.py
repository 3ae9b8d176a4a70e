"""`scripts/setup.sh`: it says what it does while it works, and a failure is not lost."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from support.command import PATIENCE_S
from support.terminal import WIDTHS, terminal

ROOT: Final = Path(__file__).parents[2]
# In the place of uv: the lines of uv 0.13's `pip install`, which tells the test what was shown before it goes on.
UV: Final = """#!/bin/sh
case "$1" in
venv) mkdir -p "$5/bin"; printf '#!/bin/sh\\necho Python 3.13.0\\n' > "$5/bin/python"; chmod +x "$5/bin/python";;
pip)
  echo "Resolved 2 packages in 10ms" >&2
  read -r _ < "$GATE"
  echo "Installed 2 packages in 20ms" >&2
  echo " + one==1.0" >&2
  echo " + two==2.0" >&2
  exit "$UV_CODE";;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two pinned packages and an installer that waits at a gate."""
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    (tmp_path / "pinned.txt").write_text("one==1.0 \\\n    --hash=sha256:00\ntwo==2.0 \\\n    --hash=sha256:00\n")
    subprocess.run(["mkfifo", tmp_path / "gate"], check=True)
    return tmp_path


def environment(place: Path, code: int) -> dict[str, str]:
    return {"PATH": f"{place / 'bin'}:/usr/bin:/bin", "GATE": str(place / "gate"), "UV_CODE": str(code)}


@pytest.mark.parametrize("columns", WIDTHS)
def test_setup_shows_each_step_while_the_next_one_goes_on(columns: int, place: Path) -> None:
    command = ("bash", ROOT / "scripts" / "setup.sh", place / "venv", "pinned.txt")
    with terminal(*command, columns=columns, cwd=place, environment=environment(place, 0)) as running:
        running.read_until("making ")
        running.read_until("installing 2 packages of pinned.txt")
        running.read_until("Resolved 2 packages")

        (place / "gate").write_text("go on\n")
        screen = running.end()

    assert screen.code == 0
    assert "Installed 2 packages" in screen.text
    assert "one==1.0" not in screen.text
    assert screen.text.rstrip().endswith("is ready (Python 3.13.0)")


def test_a_failing_installation_fails_the_setup(place: Path) -> None:
    with subprocess.Popen(
        ["bash", ROOT / "scripts" / "setup.sh", place / "venv", "pinned.txt"],
        cwd=place,
        env=environment(place, 2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        (place / "gate").write_text("go on\n")
        out, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 2
    assert out == ""
    assert "is ready" not in said
    assert said.splitlines()[-1] == (
        "setup: the packages are not installed, and the line above says why. The same command goes on from there."
    )
