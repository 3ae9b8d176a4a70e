"""The distribution as users install it: a wheel in an environment that holds its dependencies and nothing else.

The dependencies are the ones that the wheel's metadata names. They are linked out of this environment, so that no test
needs a network.
"""

from __future__ import annotations

import email.parser
import re
import signal
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import Final

import boto3
import pytest
from packaging.requirements import Requirement

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID
from support.command import PATIENCE_S, Finished

ROOT: Final = Path(__file__).parents[2]
VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
MODELS: Final = "src/connect_audio/adapters/service_models"
FUNCTION: Final = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live"
STAND_INS: Final = ["aws_durable_execution_sdk_python_testing", "moto", "rich", "trustme", "typer"]


class Installed:
    """An environment with the wheel.

    Args:
        python: its interpreter.
    """

    def __init__(self, python: Path) -> None:
        self.python = python
        self.command = python.with_name("connect-audio")

    def run(self, *arguments: str | Path, cwd: Path, **environment: str) -> Finished:
        done = subprocess.run(
            [self.command, *arguments],
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    def lacks(self, modules: Iterable[str]) -> bool:
        program = f"import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, {list(modules)})))"
        return subprocess.run([self.python, "-c", program], check=False).returncode == 0

    def imports(self, statement: str) -> None:
        subprocess.run([self.python, "-W", "ignore", "-c", statement], check=True, env={"PATH": "/usr/bin:/bin"})


def dependencies(dist: Distribution, extra: str = "") -> dict[str, Distribution]:
    """The distributions that one needs, by name; with an extra also those that the extra brings."""
    found: dict[str, Distribution] = {}
    waiting = [(dist, extra)]
    while waiting:
        needing, its_extra = waiting.pop()
        for text in needing.requires or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": its_extra}):
                continue
            needed = distribution(requirement.name)
            if requirement.name not in found:
                waiting += [(needed, each) for each in requirement.extras or {""}]
            found[requirement.name] = needed
    return found


def link(dists: Iterable[Distribution], site_packages: Path) -> None:
    """Put the packages of some distributions into an environment."""
    for dist in dists:
        for top in {
            Path(file.parts[0])
            for file in dist.files or ()
            if file.parts[0] != ".." and "__pycache__" not in file.parts[0]
        }:
            target = site_packages / top
            if not target.exists():
                target.symlink_to(Path(str(dist.locate_file(top))))


def build(folder: Path, target: str, source: Path) -> None:
    """Build a distribution of a source folder."""
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder]
    subprocess.run(command, cwd=source, check=True, capture_output=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build(folder, "wheel", ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installed]:
    """Make an environment; `only` names the dependencies that it gets in place of all."""

    def make(extra: str = "", only: frozenset[str] = frozenset()) -> Installed:
        folder = tmp_path_factory.mktemp("environment")
        uv = Path(sys.executable).with_name("uv")
        python = folder / "bin" / "python"
        commands: tuple[list[str | Path], ...] = (
            ["venv", "--quiet", "--offline", "--python", sys.executable, "--clear", folder],
            ["pip", "install", "--quiet", "--offline", "--no-index", "--no-deps", "--python", python, wheel],
        )
        for command in commands:
            subprocess.run([uv, *command], check=True, capture_output=True)
        (site_packages,) = folder.glob("lib/python3.*/site-packages")
        (about,) = site_packages.glob("connect_audio_consumer-*.dist-info")
        needed = dependencies(PathDistribution(about), extra)
        link([each for name, each in needed.items() if not only or name in only], site_packages)
        return Installed(python)

    return make


@pytest.fixture(scope="module")
def plain(install: Callable[..., Installed]) -> Installed:
    """The environment after `pip install .` or `uv tool install .`."""
    return install()


@pytest.fixture
def capture(plain: Installed, tmp_path: Path) -> Path:
    path = tmp_path / "call.mkv"
    assert plain.run("synthesize", path, "--seconds", "3", cwd=tmp_path).code == 0
    return path


def test_a_plain_install_brings_no_stand_in_and_nothing_of_the_functions(plain: Installed) -> None:
    assert plain.lacks([*STAND_INS, "aws_durable_execution_sdk_python", "aws_lambda_powertools"])


def test_a_plain_install_shows_its_help_and_version(plain: Installed, tmp_path: Path) -> None:
    assert plain.run("--help", cwd=tmp_path).out.startswith("Usage: connect-audio")
    assert plain.run("--version", cwd=tmp_path).out == f"connect-audio {VERSION}\n"


def test_the_changelog_has_an_entry_for_the_version() -> None:
    entries = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert entries[:2] == ["Unreleased", VERSION]


def test_the_wheel_carries_its_licences_and_names_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = f"connect_audio_consumer-{VERSION}.dist-info"
        for path in ("LICENSE", "NOTICE", f"{MODELS}/LICENSE", f"{MODELS}/NOTICE"):
            assert archive.read(f"{about}/licenses/{path}") == (ROOT / path).read_bytes()
        metadata = email.parser.BytesParser().parsebytes(archive.read(f"{about}/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Programming Language :: Python :: 3.13" in (metadata.get_all("Classifier") or ())
    assert (ROOT / "LICENSE").read_text("utf-8").split()[:4] == ["Apache", "License", "Version", "2.0,"]


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    build(tmp_path, "sdist", ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    build(tmp_path / "wheels", "wheel", tmp_path / archive.name.removesuffix(".tar.gz"))
    (again,) = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {each.filename: each.CRC for each in one.infolist()} == {
            each.filename: each.CRC for each in other.infolist()
        }


def test_a_plain_install_replays_and_inspects(plain: Installed, capture: Path, tmp_path: Path) -> None:
    replayed = plain.run("replay", capture, "--output", "out", cwd=tmp_path)
    inspected = plain.run("inspect", capture, cwd=tmp_path)

    assert (replayed.code, replayed.err) == (0, "")
    assert (tmp_path / "out" / f"{DEFAULT_CONTACT_ID}.wav").stat().st_size > 3 * 8000 * 4
    assert (inspected.code, inspected.err) == (0, "")
    assert "3 fragments" in inspected.out


def test_a_plain_install_makes_the_page_of_a_call(plain: Installed, capture: Path, tmp_path: Path) -> None:
    plain.run("replay", capture, "--output", "out", cwd=tmp_path)
    made = plain.run("page", f"out/{DEFAULT_CONTACT_ID}.wav", "-o", "call.html", cwd=tmp_path)

    assert (made.code, made.err) == (0, "")
    page = (tmp_path / "call.html").read_text("utf-8")
    # Template, style and scripts came with the wheel, and soundfile is not there: the audio is the WAV.
    assert all(part in page for part in ("<!doctype html>", "#lanes {", "class Player", '"format":"WAV"'))


def test_a_plain_install_replays_into_live_sinks(plain: Installed, capture: Path, tmp_path: Path) -> None:
    replayed = plain.run("replay", capture, "--segments", "live", cwd=tmp_path)

    assert (replayed.code, replayed.err) == (0, "")
    assert (tmp_path / "live" / "index.json").exists()


def test_a_plain_install_redrives(plain: Installed, moto_server: str, tmp_path: Path) -> None:
    sqs = boto3.client("sqs", endpoint_url=moto_server)
    queue = sqs.create_queue(QueueName="failed-recordings-of-an-install")["QueueUrl"]
    sqs.close()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_ENDPOINT_URL": moto_server}

    redriven = plain.run("redrive", "--queue-url", queue, "--function", FUNCTION, cwd=tmp_path, **keys)

    assert (redriven.code, redriven.out, redriven.err) == (0, "the queue is empty\n", "")


def test_a_plain_install_emulates(plain: Installed, capture: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [plain.command, "emulate", capture], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        assert any("Listening on http://127.0.0.1:" in line for line in iter(served.stdout.readline, ""))
        served.send_signal(signal.SIGINT)
        assert served.wait(PATIENCE_S) == 130  # Ctrl-C


def test_the_demo_says_in_one_line_what_to_install(plain: Installed, tmp_path: Path) -> None:
    finished = plain.run("demo", cwd=tmp_path)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == (
        "demo needs rich, which is not installed: in the checkout, pip install '.[local]' "
        "(or uv tool install '.[local]')"
    )


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("import connect_audio_local.cloud", "aws_durable_execution_sdk_python_testing"),
        ("from connect_audio_local.s3.server import s3_server; s3_server().__enter__()", "moto"),
        ("import connect_audio_local.webhook.server", "trustme"),
    ],
)
def test_the_stand_ins_say_in_one_line_what_to_install(plain: Installed, statement: str, missing: str) -> None:
    done = subprocess.run([plain.python, "-c", statement], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: {missing} is not installed: in the checkout, pip install '.[local]'"
    )


def test_without_boto3_all_but_redrive_works(install: Callable[..., Installed], tmp_path: Path) -> None:
    lean = install(only=frozenset({"audioop-lts", "ebmlite", "pydub"}))
    assert lean.lacks(["boto3", "botocore"])

    assert lean.run("synthesize", "call.mkv", "--seconds", "2", cwd=tmp_path).code == 0
    assert lean.run("replay", "call.mkv", "--segments", "live", cwd=tmp_path).code == 0
    assert lean.run("inspect", "call.mkv", cwd=tmp_path).code == 0
    refused = lean.run("redrive", "--queue-url", "https://sqs", "--function", FUNCTION, cwd=tmp_path)
    assert refused.code == 2
    assert refused.complaint.startswith("redrive needs boto3, which is not installed: ")


def test_the_library_needs_three_distributions_alone(install: Callable[..., Installed], tmp_path: Path) -> None:
    lean = install(only=frozenset({"audioop-lts", "ebmlite", "pydub"}))
    assert lean.run("synthesize", tmp_path / "call.mkv", "--seconds", "2", cwd=tmp_path).code == 0
    lean.imports(
        "import connect_audio; "
        f"call = connect_audio.read({str(tmp_path / 'call.mkv')!r}); "
        "assert call.status == 'complete' and call.rate == 8000"
    )


def test_a_plain_install_writes_wav_and_svg_and_says_what_flac_and_png_need(
    plain: Installed, capture: Path, tmp_path: Path
) -> None:
    assert plain.lacks(["soundfile", "PIL"])
    assert plain.run("replay", capture, cwd=tmp_path).code == 0
    wav = f"{DEFAULT_CONTACT_ID}.wav"

    assert plain.run("convert", wav, "agent.wav", "--channels", "agent", cwd=tmp_path).code == 0
    assert plain.run("convert", wav, "call.svg", cwd=tmp_path).code == 0
    assert plain.run("explain", wav, cwd=tmp_path).code == 0
    for target, name, missing in (("call.flac", "FLAC", "soundfile"), ("call.png", "png", "PIL")):
        refused = plain.run("convert", wav, target, cwd=tmp_path)
        assert refused.code == 2
        assert refused.complaint == (
            f"{name} needs {missing}, which is not installed: in the checkout, pip install '.[formats]' "
            "(or uv tool install '.[formats]')"
        )
        assert not (tmp_path / target).exists()


def test_the_extra_formats_is_enough_for_every_form(install: Callable[..., Installed], tmp_path: Path) -> None:
    installed = install("formats")
    assert installed.run("synthesize", "call.mkv", "--seconds", "2", cwd=tmp_path).code == 0
    forms = [option for form in ("flac", "opus", "mp3", "svg", "png") for option in ("--format", form)]
    done = installed.run("replay", "call.mkv", "--spectrogram", *forms, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")


def test_the_extra_functions_is_enough_for_the_handlers(install: Callable[..., Installed]) -> None:
    install("functions").imports("import connect_audio.handlers.trigger, connect_audio.handlers.consumer")


@pytest.mark.slow
def test_the_extra_local_is_enough_for_the_demo(install: Callable[..., Installed], tmp_path: Path) -> None:
    finished = install("local").run("demo", "--seconds", "2", cwd=tmp_path)
    assert finished.code == 0, finished.err
