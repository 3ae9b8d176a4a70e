"""Pins: `scripts/lock.sh` in a copy of the requirements, with a folder of small wheels in place of an index."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def wheel(folder: Path, name: str, version: str, code: str = "") -> Path:
    """Write a wheel with one module."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[connect_audio.sinks]\nacme = {name}:Sink\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name_in, text in files.items():
            archive.writestr(name_in, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"]))
    return path


def pin_of(path: Path) -> str:
    return f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose lists ask for `beta`, pinned at 1.0 while the index has 2.0."""
    index = tmp_path / "index"
    project = tmp_path / "a project"
    old = wheel(index, "beta", "1.0")
    wheel(index, "beta", "2.0")
    (project / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "lock.sh", project / "scripts")
    (project / "layers" / "dependencies").mkdir(parents=True)
    (project / "requirements").mkdir()
    (project / "layers" / "dependencies" / "requirements.in").write_text("beta\n")
    (project / "requirements" / "dev.in").write_text("-r ../layers/dependencies/requirements.in\n")
    for path in ("layers/dependencies/requirements.txt", "requirements/dev.txt"):
        (project / path).write_text(f"beta==1.0 \\\n    {pin_of(old)}\n")
    (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{index}"]\n')
    return project


def lock(project: Path, *arguments: str) -> None:
    environment = {**os.environ, "UV": str(UV), "UV_CONFIG_FILE": str(project.parent / "uv.toml"), "UV_NO_CACHE": "1"}
    environment["VIRTUAL_ENV"] = sys.prefix
    subprocess.run(["scripts/lock.sh", *arguments], cwd=project, env=environment, check=True, capture_output=True)


def test_a_new_private_wheel_is_pinned_with_its_hash_and_moves_nothing_else(project: Path) -> None:
    built = wheel(project / "dist", "acme_sink", "1.0")
    # The commands of the document as they are printed; `make lock` is the script.
    document = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    (block,) = [
        each for each in re.findall(r"^   ```\n(.*?)^   ```$", document, re.MULTILINE | re.DOTALL) if "mkdir" in each
    ]
    *commands, last = [line.strip() for line in block.splitlines()]
    made = re.fullmatch(r'make lock ONLY="(.*)"', last)
    assert made
    subprocess.run(["sh", "-ec", "\n".join(commands)], cwd=project, check=True)
    lock(project, *shlex.split(made[1]))

    layer = (project / "layers" / "dependencies" / "requirements.txt").read_text("utf-8")
    dev = (project / "requirements" / "dev.txt").read_text("utf-8")
    for text, folder in ((layer, "../wheels"), (dev, "../layers/wheels")):
        assert re.findall(r"^\S+==\S+", text, re.MULTILINE) == ["acme-sink==1.0", "beta==1.0"]
        assert f"--find-links {folder}\n" in text
        assert f"acme-sink==1.0 \\\n    {pin_of(built)}\n" in text
        assert "://" not in text


def test_the_pinned_wheel_is_what_pip_installs_into_the_layer(project: Path, tmp_path: Path) -> None:
    wheel(project / "layers" / "wheels", "acme_sink", "1.0", "Sink = 1\n")
    with (project / "layers" / "dependencies" / "requirements.in").open("a") as wanted:
        wanted.write("--find-links ../wheels\nacme-sink==1.0\n")
    lock(project, "layer")
    target = tmp_path / "target"
    # SAM CLI builds the layer with pip, from a folder of its own.
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir", "install"]
    install = ["--no-index", "--find-links", str(tmp_path / "index"), "--require-hashes", "--target", str(target)]
    command = [*pip, *install, "--requirement", str(project / "layers" / "dependencies" / "requirements.txt")]

    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (target / "acme_sink" / "__init__.py").read_text() == "Sink = 1\n"

    # The same version with other bytes is refused until it is pinned again.
    wheel(project / "layers" / "wheels", "acme_sink", "1.0", "Sink = 2\n")
    refused = subprocess.run([*command, "--upgrade"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr


def test_an_upgrade_moves_the_pins(project: Path) -> None:
    lock(project, "--upgrade", "layer")
    assert "beta==2.0" in (project / "layers" / "dependencies" / "requirements.txt").read_text("utf-8")
    assert "beta==1.0" in (project / "requirements" / "dev.txt").read_text("utf-8")


def test_an_unknown_name_is_one_line(project: Path) -> None:
    done = subprocess.run(["scripts/lock.sh", "nope"], cwd=project, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "lock: there is no requirements/nope.in\n")
