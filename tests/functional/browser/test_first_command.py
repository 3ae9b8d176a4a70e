"""README's first command in earnest, with all its packages, on the machines of ten users: `make environments`.

Each machine has an empty home, an empty cache and a PATH of one folder. Variables that lead to a package index stay.
The seconds are printed: those of the whole command, and those of them in which uv fetched and unpacked the packages.
`test_environments.py` has the decisions of the set-up, in milliseconds.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from support.browser import Open
from support.browser_sound import levels
from support.terminal import cells, terminal

pytestmark = pytest.mark.environments

ROOT: Final = Path(__file__).parents[3]
TOOLS: Final = ("bash", "cat", "chmod", "cp", "env", "grep", "make", "mkdir", "rm", "sed", "setsid", "sh", "touch")
KEPT: Final = re.compile(r"(PIP|UV|SSL|REQUESTS)_\w+")
LONGEST_S: Final = 1800
COLOR: Final = re.compile(r"\x1b\[[0-9;]*[34][0-7][0-9;]*m")
DEAD: Final = "http://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Machine:
    """A checkout and a user's environment."""

    checkout: Path
    environment: Mapping[str, str]

    def make_demo(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "demo"],
            cwd=self.checkout,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )

    @property
    def page(self) -> Path:
        (page,) = (self.checkout / "build" / "demo").glob("*.html")
        return page


def installed(version: str) -> Path:
    """The interpreter of a version, not through a shim that looks for it by folder."""
    name = f"python{version}"
    for found in [Path(sys.base_prefix, "bin", name), *Path(sys.base_prefix).parent.glob(f"{version}.*/bin/{name}")]:
        if found.exists():
            return found
    pytest.skip(f"Python {version} is not here")


def machine(folder: Path, checkout: Path, *pythons: str) -> Machine:
    """Make a machine with some Pythons and nothing else: no git, no uv."""
    path = folder / "bin"
    path.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (path / name).symlink_to(found)
    for version in pythons:
        name = "python3" if version == "3.12" else f"python{version}"
        (path / name).write_text(f'#!/bin/sh\nexec "{installed(version)}" "$@"\n')
        (path / name).chmod(0o755)
    (folder / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    return Machine(checkout, {**kept, "PATH": str(path), "HOME": str(folder / "home")})


def unpacked_tarball(folder: Path) -> Path:
    """The tree as a tarball of the commit gives it: without its repository."""
    folder.mkdir()
    packed = folder.with_suffix(".tar")
    subprocess.run(["git", "-C", ROOT, "archive", "--output", packed, "HEAD"], check=True)
    with tarfile.open(packed) as tar:
        tar.extractall(folder, filter="data")
    return folder


def cpu_s() -> float:
    """Processor seconds of all the processes that ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(name: str, seconds: float, cpu: float, said: str) -> None:
    """Print how long a first command took."""
    fetched = sum(float(part) for part in re.findall(r"Prepared \d+ packages? in ([\d.]+)s", said))
    sys.stdout.write(
        f"\n{name}: {seconds:.1f} s to the page, {fetched:.1f} s of them for fetching the packages; {cpu:.1f} CPU-s\n"
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Python 3.13 alone: a tarball in a folder with spaces in its name, no git, no uv."""
    folder = tmp_path_factory.mktemp("bare")
    return machine(folder, unpacked_tarball(folder / "my calls"), "3.13")


@pytest.fixture(scope="module")
def with_uv(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A clone, on a machine that has uv; the demo ran there once."""
    folder = tmp_path_factory.mktemp("with-uv")
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "clone"], check=True)
    made = machine(folder, folder / "clone", "3.13")
    Path(made.environment["PATH"], "uv").symlink_to(Path(sys.executable).with_name("uv"))
    done = made.make_demo()
    assert done.returncode == 0, done.stderr
    return made


def test_python_alone_a_tarball_and_a_folder_with_spaces_lead_to_a_page_that_plays(
    bare: Machine, open_page: Open
) -> None:
    begun, before = time.monotonic(), cpu_s()
    done = bare.make_demo()
    report("python3.13 alone", time.monotonic() - begun, cpu_s() - before, done.stderr)

    assert done.returncode == 0, done.stderr
    assert sum(levels(open_page(bare.page), 10)) > 0.01


def test_python_3_12_alone_is_one_line(tmp_path: Path) -> None:
    done = machine(tmp_path, unpacked_tarball(tmp_path / "tree"), "3.12").make_demo()

    assert (done.returncode, done.stdout) == (2, "")
    said, _ = done.stderr.splitlines()
    assert re.match(r"setup: Python 3\.13 is needed, and '.*/python3' is Python 3\.12\.\d+\. Install it ", said)


@pytest.mark.parametrize(
    "environment",
    [
        dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), DEAD),
        {"AWS_PROFILE": "nowhere", "AWS_REGION": "cn-north-1", "AWS_ENDPOINT_URL": DEAD},
    ],
    ids=["proxy", "aws-profile"],
)
def test_a_proxy_and_an_aws_profile_do_not_disturb(environment: Mapping[str, str], with_uv: Machine) -> None:
    done = with_uv.make_demo(**environment)

    assert (done.returncode, done.stderr) == (0, "")
    assert "status complete" in done.stdout


@pytest.mark.parametrize(
    "environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["50-columns", "no-color", "dumb"]
)
def test_a_terminal_of_50_columns_shows_whole_lines(environment: Mapping[str, str], with_uv: Machine) -> None:
    with terminal(
        "make", "demo", columns=50, cwd=with_uv.checkout, environment={**with_uv.environment, **environment}
    ) as running:
        screen = running.end()

    assert screen.code == 0
    assert "status complete" in screen.text
    assert [line for line in screen.lines if cells(line) > 50 and " " in line.strip()] == []
    assert bool(COLOR.search(screen.raw)) is not bool(environment)
