"""README's first command on the machines of ten users: it runs the demo, or one line says what is missing.

`make`, the Makefile and `scripts/setup.sh` are the real ones. Python and uv are stand-ins that note what they are asked
for. The demo's own screen on a plain terminal is real. `make environments` installs the real packages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from support.command import PATIENCE_S
from support.terminal import cells, on_terminal

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ("bash", "cat", "chmod", "cp", "env", "grep", "make", "mkdir", "rm", "sed", "sh", "touch")
"""All that a machine has beside Python: no git, no uv, no compiler."""
# As an interpreter: its version, `-m venv`, and `-m pip` in a virtual environment, which brings uv.
PYTHON: Final = """#!/bin/sh
here=$(cd "${0%/*}" && pwd)
case "$*" in
--version) echo "Python VERSION";;
"-c "*) case VERSION in 3.13.*) exit 0;; *) exit 1;; esac;;
"-m venv "*) [ -z "$WITHOUT_VENV" ] || { echo "ensurepip is not available"; exit 1; }
  mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; touch "$3/bin/pip";;
"-m pip --version") [ -e "$here/pip" ];;
"-W ignore -m compileall "*) ;;
"-m pip install "*)
  [ -z "$WITHOUT_NETWORK" ] || { echo "WARNING: Retrying"; echo "ERROR: no route to the index"; exit 1; } >&2
  cp "$STAND_INS/uv" "$here/uv";;
*) echo "stand-in for Python: $*" >&2; exit 64;;
esac
"""
UV: Final = """#!/bin/sh
case "$*" in
"venv "*) [ -n "$UV_FINDS" ] || { echo "error: No interpreter found for Python 3.13" >&2; exit 2; }
  for last; do :; done; mkdir -p "$last/bin"; cp "$STAND_INS/python3.13" "$last/bin/python"; cp "$0" "$last/bin/uv";;
*"--editable ."*)
  printf '#!/bin/sh\\necho "the demo runs: $*"\\n' > .venv/bin/connect-audio; chmod +x .venv/bin/connect-audio;;
*) echo "Installed 2 packages in 1ms" >&2; cp "$0" .venv/bin/uv 2>/dev/null || :;;
esac
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A checkout, and the programs of a user's machine.

    Args:
        checkout: the folder of the project.
        path: the one folder of its PATH.
        stand_ins: stand-ins that can be put there.
    """

    checkout: Path
    path: Path
    stand_ins: Path

    def have(self, name: str, stand_in: str = "") -> None:
        """Put a program on the PATH."""
        shutil.copy(self.stand_ins / (stand_in or name), self.path / name)

    def make_demo(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "demo"],
            cwd=self.checkout,
            env={"PATH": str(self.path), "STAND_INS": str(self.stand_ins), **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def runs_the_demo(self, **environment: str) -> None:
        done = self.make_demo(**environment)
        assert (done.returncode, done.stdout) == (0, "the demo runs: demo\n"), done.stderr
        assert "setup: .venv is ready (Python 3.13.0)" in done.stderr.splitlines()

    def refuses(self, **environment: str) -> list[str]:
        """Return the lines of a set-up that fails, without make's own last one."""
        done = self.make_demo(**environment)
        assert (done.returncode, done.stdout) == (2, "")
        *lines, last = done.stderr.splitlines()
        assert last.startswith("make: *** ")
        assert not (self.checkout / ".venv" / "bin" / "connect-audio").exists()
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """Makes a machine with some programs, in whose folder no git repository is: an unpacked tarball."""

    def make(*programs: str, folder: str = "checkout", home: str = "bin") -> Machine:
        made = Machine(tmp_path / folder, tmp_path / home, tmp_path / "stand-ins")
        for each in (made.path, made.stand_ins, made.checkout / "layers" / "dependencies"):
            each.mkdir(parents=True)
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None
            (made.path / name).symlink_to(found)
        texts = {"uv": UV} | {
            f"python{each[:4]}": PYTHON.replace("VERSION", each) for each in ("3.13.0", "3.12.4", "3.14.0")
        }
        for name, text in texts.items():
            (made.stand_ins / name).write_text(text)
            (made.stand_ins / name).chmod(0o755)
        for name in programs:
            made.have(name)
        for name in ("Makefile", "pyproject.toml", "layers/dependencies/requirements.txt"):
            shutil.copy(ROOT / name, made.checkout / name)
        for name in ("scripts", "requirements"):
            shutil.copytree(ROOT / name, made.checkout / name)
        return made

    return make


COLOR: Final = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
NEEDED: Final = (
    "setup: Python 3.13 is needed, and {}. Install it (uv python install 3.13, or pyenv install 3.13), "
    "or set PYTHON=/path/to/python3.13."
)


def test_python_3_13_alone_is_enough_without_git_and_without_uv(machine: Callable[..., Machine]) -> None:
    machine("python3.13").runs_the_demo()


def test_uv_finds_a_python_that_is_not_on_the_path(machine: Callable[..., Machine]) -> None:
    machine("uv").runs_the_demo(UV_FINDS="yes")


def test_an_uv_that_finds_no_python_3_13_leaves_it_to_the_path_s(machine: Callable[..., Machine]) -> None:
    machine("uv", "python3.13").runs_the_demo()


@pytest.mark.parametrize("version", ["3.12.4", "3.14.0"])
def test_another_python_alone_is_one_line_that_names_both(version: str, machine: Callable[..., Machine]) -> None:
    user = machine()
    user.have("python3", f"python{version[:4]}")

    assert user.refuses() == [NEEDED.format(f"'{user.path}/python3' is Python {version}")]


def test_no_python_at_all_is_one_line(machine: Callable[..., Machine]) -> None:
    assert machine().refuses() == [NEEDED.format("there is none on the PATH")]


def test_an_uv_without_a_python_3_13_says_so_in_one_line(machine: Callable[..., Machine]) -> None:
    assert machine("uv").refuses()[1:] == [NEEDED.format("there is none on the PATH")]


def test_a_python_without_its_module_venv_is_named_in_one_line(machine: Callable[..., Machine]) -> None:
    user = machine("python3.13")

    (_, said) = user.refuses(WITHOUT_VENV="yes")

    assert said == (
        f"setup: '{user.path}/python3.13' cannot make a virtual environment in .venv: is its module venv installed "
        "(Debian: apt-get install python3.13-venv), and is there room?"
    )
    user.runs_the_demo()


def test_a_machine_without_a_network_is_one_line_and_the_next_try_goes_on(machine: Callable[..., Machine]) -> None:
    user = machine("python3.13")

    assert user.refuses(WITHOUT_NETWORK="yes")[-1] == "setup: uv cannot be installed: ERROR: no route to the index"
    user.runs_the_demo()


def test_folders_with_spaces_are_as_good_as_others(machine: Callable[..., Machine]) -> None:
    machine("python3.13", folder="my calls/the check out", home="my programs").runs_the_demo()


@pytest.mark.parametrize("before", ["3.12.4", "3.14.0"])
def test_an_environment_of_another_python_is_made_anew(before: str, machine: Callable[..., Machine]) -> None:
    user = machine("python3.13")
    (user.checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(user.stand_ins / f"python{before[:4]}", user.checkout / ".venv" / "bin" / "python")
    (user.checkout / ".venv" / "bin" / "uv").touch(0o755)

    user.runs_the_demo()


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no-color"])
def test_the_demo_on_a_plain_terminal_of_50_columns_shows_no_colours(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    screen = on_terminal("demo", "--seconds", "2", "--output", tmp_path, columns=50, environment=environment)

    assert screen.code == 0
    assert "status complete" in screen.text
    assert [line for line in screen.lines if cells(line) > 50 and " " in line.strip()] == []
    assert COLOR.findall(screen.raw) == []
    if environment.get("TERM") == "dumb":
        assert "\x1b" not in screen.raw
        assert "\r" not in screen.raw.replace("\r\n", "")
