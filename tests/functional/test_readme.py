"""What the documents for readers say is so: links, commands, events, settings, reasons and the length of the README."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.adapters import connect_event, consumer_start
from connect_audio.request import MALFORMED
from connect_audio.settings import (
    REQUIRED,
    Choice,
    ConsumerSettings,
    LiveSettings,
    TriggerSettings,
    Variable,
    variables,
)
from connect_audio_cli.main import COMMANDS

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
DOCS: Final = ROOT / "docs"
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "events" / "README.md"], key=str)
COMMAND: Final = Path(sys.prefix) / "bin" / "connect-audio"
EVENTS: Final = {path.name for path in (ROOT / "events").glob("*.json")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            assert (document.parent / target.split("#")[0]).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"(?:^|`|\bafter )make ((?:[a-z-]+ ?)+)", document.read_text("utf-8"), re.MULTILINE)
    assert {target for each in named for target in each.split()} <= targets


def test_the_readme_is_one_screen_with_two_commands_three_deploys_and_a_picture() -> None:
    lines = README.splitlines()
    assert len(lines) <= 80
    assert [line for line in lines if line in ("make demo", "make test")] == ["make demo", "make test"]
    assert len([line for line in lines if line.startswith("make deploy ")]) == 3
    assert "](docs/page.png)" in README


def test_the_guides_name_every_command_and_no_other() -> None:
    guides = [README, *(path.read_text("utf-8") for path in DOCS.glob("*.md"))]
    assert set(re.findall(r"connect-audio ([a-z]+)", "".join(guides))) == set(COMMANDS)


def test_every_option_that_the_documents_name_exists() -> None:
    for document in DOCUMENTS:
        for command, rest in re.findall(r"connect-audio ([a-z]+)([^`\n]*)", document.read_text("utf-8")):
            options = re.findall(r"--[a-z-]+", rest)
            if options:
                parser = import_module(f"connect_audio_cli.commands.{command}").parser()
                assert set(options) <= set(re.findall(r"--[a-z-]+", parser.format_help())), document.name


def test_the_example_in_python_prints_what_is_shown(tmp_path: Path) -> None:
    guide = (DOCS / "first-steps.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    expected = re.findall(r"^print\(.*\)  # (.*)$", example, re.MULTILINE)
    assert len(expected) == 2
    _run("synthesize", "call.mkv", "--seconds", "30", cwd=tmp_path)

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == expected
    with wave.open(str(tmp_path / "agent.wav")) as file:
        assert (file.getnchannels(), file.getnframes()) == (1, 240_000)


def test_every_event_is_in_the_table_of_events_and_the_other_way_round() -> None:
    table = (ROOT / "events" / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+\.json)` \|", table, re.MULTILINE)) == EVENTS


def test_the_settings_table_is_what_the_code_declares() -> None:
    functions: dict[str, list[str]] = {}
    declared: dict[str, Variable[Any]] = {}
    for settings, function in (
        (TriggerSettings, "trigger"),
        (ConsumerSettings, "consumer"),
        (LiveSettings, "trigger, handed on"),
    ):
        for variable in variables(settings):
            functions.setdefault(variable.name, []).append(function)
            declared[variable.name] = variable
    expected = [
        [
            f"`{name}`",
            "both" if len(functions[name]) == 2 else functions[name][0],
            _shown_default(variable),
            variable.parser.bounds,
            variable.meaning,
        ]
        for name, variable in declared.items()
    ]
    assert _table("settings.md", "| variable |") == expected


def _shown_default(variable: Variable[Any]) -> str:
    if variable.default is REQUIRED:
        return "required"
    if isinstance(variable.parser, Choice):
        (word,) = (word for word, value in variable.parser.values.items() if value == variable.default)
        return f"`{word}`"
    return "unset" if variable.default in (None, (), {}) else f"`{variable.default}`"


def test_the_table_of_reasons_is_the_triggers() -> None:
    reasons = {
        MALFORMED,
        connect_event.NOT_VOICE,
        connect_event.MEDIA_STREAMING_NOT_STARTED,
        consumer_start.CONSUMER_NOT_STARTED,
        consumer_start.NAME_TAKEN,
    }
    assert {name.strip("`") for name, _ in _table("contact-flow.md", "| reason |")} == reasons


def test_the_environment_for_containers_sets_only_what_the_template_declares() -> None:
    given = json.loads((ROOT / "local" / "sam-local-env.json").read_text("utf-8"))
    template = (ROOT / "template.yaml").read_text("utf-8")
    assert set(given) == {"TriggerFunction", "ConsumerFunction", "ContactEndedFunction", "ExecutionEndedFunction"}
    for function, environment in given.items():
        resource = re.search(rf"^  {function}:\n.*?(?=^  \S)", template, re.MULTILINE | re.DOTALL)
        assert resource
        shared = template[template.index("Globals:") : template.index("Resources:")]
        declared = set(re.findall(r"^ {8,10}([A-Z0-9_]+): ", resource[0] + shared, re.MULTILINE))
        assert set(environment) <= declared


def _table(page: str, head: str) -> list[list[str]]:
    """The cells of a page's table that begins so, without the head."""
    text = (DOCS / page).read_text("utf-8")
    lines = text[text.index(head) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _run(*arguments: str, cwd: Path = ROOT) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(COMMAND), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
