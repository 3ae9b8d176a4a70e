from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infrastructure.loading import load

ROOT = Path(__file__).parents[2]
SAM_VENV = ROOT / ".venv-sam"
CHECKOV_VENV = ROOT / ".venv-checkov"


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    return load(ROOT / "template.yaml")


@pytest.fixture(scope="session")
def example() -> Callable[[str], dict[str, Any]]:
    """A template of `examples/`: `example("recording-completed-rule")`."""
    return lambda name: load(ROOT / "examples" / f"{name}.yaml")


@pytest.fixture(scope="session")
def sam_environment() -> dict[str, str]:
    """The variables of SAM CLI and of what runs beside it."""
    if not (SAM_VENV / "bin" / "sam").exists():
        pytest.skip("SAM CLI is not set up: run `make setup-sam`")
    return {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "eu-west-2",
        # sam build wants a python3.13 of its own name first on PATH.
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.fixture(scope="session")
def sam(sam_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs SAM CLI or cfn-lint: `sam("sam", "validate")`, `sam("cfn-lint")`."""

    def run(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [str(SAM_VENV / "bin" / program), *arguments]
        given = {"cwd": ROOT, "env": sam_environment, **options}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **given)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def translated(template: dict[str, Any], sam_environment: dict[str, str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """The template as CloudFormation sees it, after the SAM transform: `translated(parameters, changed_template)`."""
    command = [SAM_VENV / "bin" / "python", Path(__file__).parent / "translate.py"]
    # One process for all: its imports take four times as long as a translation.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=sam_environment
    ) as process:

        @cache
        def translation(given: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(given + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, "the translation failed: its traceback is on standard error"
            return answer

        def translate(
            parameters: dict[str, str] | None = None, changed: dict[str, Any] | None = None
        ) -> dict[str, Any]:
            given = {"template": changed or template, "parameters": parameters or {}}
            result: dict[str, Any] = json.loads(translation(json.dumps(given)))
            return result

        yield translate


@pytest.fixture(scope="session")
def package(sam: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Path]:
    """Packages a build of small files into a folder: `package(folder, code="other")` returns it."""

    def run(folder: Path, code: str = "code", *options: str) -> Path:
        build = folder / "build"
        for name, one in load(ROOT / "template.yaml")["Resources"].items():
            if one["Type"] in {"AWS::Serverless::Function", "AWS::Serverless::LayerVersion"}:
                (build / name).mkdir(parents=True)
                content = code if name.endswith("Function") else name
                (build / name / "module.py").write_text(content, "utf-8")
        sam(
            "python",
            "scripts/package_template.py",
            "--build",
            str(build),
            "--output",
            str(folder / "package"),
            *options,
        )
        return folder / "package"

    return run


@pytest.fixture(scope="session")
def packaged_folder(package: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("packaged"))


@pytest.fixture(scope="session")
def packaged(packaged_folder: Path) -> dict[str, Any]:
    """The packaged template, with each reference to a parameter kept: not to be changed."""
    written: dict[str, Any] = json.loads((packaged_folder / "template.json").read_text("utf-8"))
    return written


@pytest.fixture(scope="session")
def checkov() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the security linter on files, from its own rules alone: `checkov(path, …)`."""
    if not (CHECKOV_VENV / "bin" / "checkov").exists():
        pytest.skip("checkov is not set up: run `make setup-checkov`")

    def run(*paths: Path) -> subprocess.CompletedProcess[str]:
        options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download"]
        command = [str(CHECKOV_VENV / "bin" / "checkov"), "--file", *map(str, paths), *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    return run
