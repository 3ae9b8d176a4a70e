"""Each command that a document prints: it is run as printed, read by the command's own parser, or needs AWS by name."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

import botocore.session
import pytest
from botocore import xform_name

from connect_audio_cli.main import COMMANDS
from connect_audio_cli.output.command_error import CommandError
from support.command import COMMAND
from support.console_blocks import ROOT, console_steps, fences, shell

DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "events" / "README.md"], key=str)
RUN_AS_PRINTED: Final = ("first-steps.md", "outputs.md")
TARGETS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
OF_THE_CLI: Final = {"cli-input-json", "query", "output", "cli-binary-format", "endpoint-url", "cli-read-timeout"}
# Shell, installers and SAM CLI. Each line of SAM CLI is run by test_sam_local.py, test_sam.py or needs an account.
UNREAD: Final = {
    "cd",
    "curl",
    "diff",
    "eval",
    "export",
    "git",
    "mv",
    "pip",
    "python",
    "python3.13",
    "sam",
    "uv",
    "tr",
    "sort",
    "head",
}


def _commands(document: str) -> list[list[str]]:
    """The words of each command in a document's blocks, without those of other languages."""
    text = "".join(text for language, text in fences(document) if language in {"", "console", "sh", "bash"})
    lines = re.sub(r"\\\n", " ", text).splitlines()
    commands = []
    for line in lines:
        bare = re.sub(r"^\$ |^\w+=\$\((?=aws )|(?<=\w)\)$|", "", line)
        if re.match(r"(?:\.venv(?:-\w+)?/bin/)?(?:connect-audio|make|aws|sam|uv|pip|git|curl|export|eval) ", bare):
            for part in re.split(r" (?:&&|\|) ", bare):
                words = shlex.split(part, comments=True)
                commands.append([words[0].rpartition("/")[2], *_without_redirection(words[1:])])
    return commands


def _without_redirection(words: list[str]) -> list[str]:
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_block_can_be_read(document: Path) -> None:
    for name, *words in _commands(document.read_text("utf-8")):
        if name == "connect-audio":
            _read_by_its_parser(words)
        elif name == "make":
            assert {word for word in words if "=" not in word} <= TARGETS, words
        elif name == "aws":
            _read_by_the_model(words)
        else:
            assert name in UNREAD, name


def _read_by_its_parser(words: list[str]) -> None:
    command, *arguments = words
    assert command in COMMANDS, words
    parser = import_module(f"connect_audio_cli.commands.{command}").parser()
    try:
        parser.read(arguments)
    except CommandError as error:
        raise AssertionError(f"{shlex.join(words)}: {error}") from error


def _read_by_the_model(words: list[str]) -> None:
    service, operation, *arguments = words
    if service == "s3":
        assert operation in {"ls", "cp"}
        return
    # The command line's `s3` copies files; the service's own operations are its `s3api`.
    model = botocore.session.get_session().get_service_model(service.removesuffix("api"))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations, words
    shape = model.operation_model(operations[operation]).input_shape
    known = {xform_name(name, "-") for name in shape.members} if shape else set()
    assert {each[2:] for each in arguments if each.startswith("--")} <= known | OF_THE_CLI, words


@pytest.mark.parametrize("document", RUN_AS_PRINTED)
def test_the_console_blocks_print_what_is_shown(document: str, tmp_path: Path) -> None:
    steps = console_steps((ROOT / "docs" / document).read_text("utf-8"))
    assert len(steps) >= 3
    for step in steps:
        printed = shell(step.command, tmp_path, columns=100 if document == "first-steps.md" else 80)
        assert [line.rstrip() for line in printed.splitlines()] == step.output, step.command
    if document == "outputs.md":
        with wave.open(str(tmp_path / "mixed.wav")) as file:
            assert (file.getnchannels(), file.getnframes()) == (1, 240_000)


def test_every_console_block_is_run() -> None:
    assert {path.name for path in DOCUMENTS if console_steps(path.read_text("utf-8"))} == set(RUN_AS_PRINTED)


def test_the_capture_guides_commands_make_a_capture_with_the_aws_cli(tmp_path: Path) -> None:
    blocks = [text for _, text in fences((ROOT / "docs" / "capturing.md").read_text("utf-8"))]
    capture, archive = (text for text in blocks if text.startswith("endpoint="))
    short = re.sub(r" \\\n +", " ", capture)
    assert short in (ROOT / "README.md").read_text("utf-8")
    use, emulation = blocks[1], blocks[-1]
    synthesize, emulate = emulation.splitlines()
    served, mine = tmp_path / "served", tmp_path / "mine"
    served.mkdir()
    mine.mkdir()
    shell(synthesize, served)

    with _emulating(emulate, served) as variables:
        shell(capture, mine, variables={**variables, "stream": "call"})
        shell("connect-audio capture call --from earliest -o own.mkv", mine, variables=variables)
        (mine / "call.mkv").rename(mine / "live.mkv")
        times = {"begin": "2026-07-01T13:30:00Z", "end": "2026-07-01T13:40:00Z"}
        shell(archive, mine, variables={**variables, **times, "stream": "call"})
        shell("connect-audio replay call.mkv -o archived", mine, variables=variables)
        (mine / "live.mkv").rename(mine / "call.mkv")

    assert (mine / "own.mkv").read_bytes() == (served / "call.mkv").read_bytes()
    assert (mine / "call.mkv").read_bytes() == (served / "call.mkv").read_bytes()
    shell(use, mine)
    (manifest,) = (mine / "out").glob("*.json")
    found = json.loads(manifest.read_text("utf-8"))
    assert found["status"] == "complete"
    (archived,) = (mine / "archived").glob("*.json")
    assert json.loads(archived.read_text("utf-8"))["recording"]["dataCrc32"] == found["recording"]["dataCrc32"]


@contextmanager
def _emulating(command: str, folder: Path) -> Iterator[dict[str, str]]:
    """The emulator as a document starts it, and the variables that it prints."""
    name, *arguments = shlex.split(command)
    assert name == "connect-audio"
    with subprocess.Popen([COMMAND, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Ctrl-C"):
                lines.append(process.stdout.readline())
                assert lines[-1], f"it ended after printing {lines}"
            yield dict(re.findall(r"^export (\w+)=(.*)$", "".join(lines), re.MULTILINE))
        finally:
            process.kill()


def test_make_deploy_hands_each_line_of_the_readme_to_sam(tmp_path: Path) -> None:
    lines = re.findall(r"^make deploy .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(lines) == 3
    template = (ROOT / "template.yaml").read_text("utf-8")
    sam = tmp_path / "venv-sam" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    sam.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$SAM_LOG"\n', "utf-8")
    sam.chmod(0o755)
    (sam.parent.parent / ".installed").touch()
    for line in lines:
        log = tmp_path / "log"
        log.write_text("", "utf-8")
        # Nothing is set up: .venv counts as new.
        run = [*shlex.split(line), "-o", ".venv/.installed", f"SAM_VENV={sam.parent.parent}"]
        subprocess.run(run, cwd=ROOT, env={**os.environ, "SAM_LOG": str(log)}, check=True, capture_output=True)

        build, deploy = log.read_text("utf-8").splitlines()
        parameters = deploy.removeprefix("deploy --parameter-overrides ").split()
        assert build == "build"
        assert "PARAMETERS=" + " ".join(parameters) == shlex.split(line)[-1]
        for parameter in parameters:
            assert re.search(rf"^  {parameter.partition('=')[0]}:\n    Type:", template, re.MULTILINE), parameter
