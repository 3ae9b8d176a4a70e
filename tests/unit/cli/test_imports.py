"""A command imports no more than it uses: what is imported is processor time before the first byte is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from connect_audio_cli.main import COMMANDS
from support.calls import call, capture_of
from support.examples import few_of

HEAVY: Final = frozenset(
    {
        "argparse",
        "aws_durable_execution_sdk_python",
        "aws_lambda_powertools",
        "boto3",
        "botocore",
        "connect_audio.core",
        "connect_audio_local",
        "ebmlite",
        "hashlib",
        "http",
        "moto",
        "numpy",
        "pydub",
        "rich",
        "socket",
        "ssl",
        "typer",
    }
)
PROGRAM: Final = """
import json, sys
from connect_audio_cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump([code, sorted(sys.modules)], file)
"""


def imported(tmp_path: Path, *arguments: str | Path) -> frozenset[str]:
    """The heavy modules that a run of the command imports."""
    told = tmp_path / "modules.json"
    subprocess.run([sys.executable, "-c", PROGRAM, told, *arguments], check=True, stdout=subprocess.DEVNULL)
    code, modules = json.loads(told.read_text("utf-8"))
    assert code == 0
    return HEAVY & set(modules)


@pytest.mark.parametrize("arguments", [("--help",), (), ("--version",)])
def test_help_and_version_import_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    # `importlib.metadata` reads the version, with the standard library's parser of mail headers.
    allowed = {"socket"} if arguments == ("--version",) else set()
    assert imported(tmp_path, *arguments) <= allowed


@pytest.mark.parametrize("command", few_of(COMMANDS))
def test_the_help_of_a_command_imports_its_options_alone(tmp_path: Path, command: str) -> None:
    assert imported(tmp_path, command, "--help") == {"argparse"}


def test_a_replay_without_sinks_imports_no_client_no_stand_in_and_nothing_for_screens(tmp_path: Path) -> None:
    capture = tmp_path / "call.mkv"
    capture.write_bytes(capture_of(call(1)))
    assert imported(tmp_path, "replay", capture, "--output", tmp_path) <= {
        "argparse",
        "connect_audio.core",
        "ebmlite",
        "pydub",
    }


@pytest.mark.parametrize("form", [(), ("--tree",), ("--json",)])
def test_an_inspection_imports_no_client_no_stand_in_and_nothing_for_screens(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    capture = tmp_path / "call.mkv"
    capture.write_bytes(capture_of(call(1)))
    assert imported(tmp_path, "inspect", capture, *form) <= {"argparse", "connect_audio.core", "ebmlite", "pydub"}
