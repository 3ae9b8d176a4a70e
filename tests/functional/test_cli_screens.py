"""The screens of the commands, at every width of a terminal and in a pipe: whole paths, nothing that is not meant for
people, and documents for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, synthesize_call
from support.calls import call
from support.command import run
from support.terminal import WIDTHS, Screen, cells, on_terminal


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    assert run("synthesize", tmp_path / "call.mkv", "--seconds", "3").code == 0
    return tmp_path / "call.mkv"


def metrics_in(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [line for line in lines if "_aws" in line]


def check_demo(screen_text: str, output: Path) -> None:
    assert "_aws" not in screen_text
    assert "{" not in screen_text
    assert "…" not in screen_text
    assert "..." not in screen_text
    lines = [line.strip() for line in screen_text.splitlines()]
    written = sorted(output.iterdir())
    assert [path.suffix for path in written] == [".html", ".json", ".wav", ".log"]
    for path in written:
        assert str(path) in lines, "a path stands on a line of its own"
    names = {each["Name"] for line in metrics_in(output / "functions.log") for each in metrics(line)}
    assert {"RecordingsCompleted", "StepSeconds", "AudioSeconds"} <= names


def metrics(line: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    return found


def too_wide(screen: Screen, columns: int) -> list[str]:
    """Lines that a terminal has to wrap, other than a path alone."""
    return [line for line in screen.lines if cells(line) > columns and " " in line.strip()]


@pytest.mark.parametrize(("columns", "live"), [*((columns, ()) for columns in WIDTHS), (50, ("--live",))])
def test_a_demo_shows_no_metrics_and_whole_paths(columns: int, live: tuple[str, ...], tmp_path: Path) -> None:
    screen = on_terminal("demo", *live, "--seconds", "2", "--output", tmp_path, columns=columns)

    assert screen.code == 0
    check_demo(screen.text, tmp_path)
    assert too_wide(screen, columns) == []
    assert "left" in screen.shown, "the bar says how long it still takes"


def test_a_piped_demo_shows_the_same_without_colours(tmp_path: Path) -> None:
    finished = run("demo", "--seconds", "2", "--output", tmp_path)

    assert (finished.code, finished.err) == (0, "")
    assert "\x1b" not in finished.out
    check_demo(finished.out, tmp_path)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_replay_s_summary_cuts_nothing(columns: int, capture: Path, tmp_path: Path) -> None:
    output = tmp_path / "a folder with a name that is much longer than a narrow terminal" / "out"

    screen = on_terminal("replay", capture, "--output", output, columns=columns)

    assert screen.code == 0
    assert max(map(cells, screen.lines)) <= columns
    assert "…" not in screen.text
    joined = "".join(screen.text.split())
    for suffix in (".wav", ".json"):
        assert "".join(str(output / f"{DEFAULT_CONTACT_ID}{suffix}").split()) in joined


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_synthesis_s_summary_cuts_nothing(columns: int, tmp_path: Path) -> None:
    target = tmp_path / f"{'long-' * 12}call.mkv"

    screen = on_terminal("synthesize", target, "--seconds", "1", columns=columns)

    assert screen.code == 0
    assert max(map(cells, screen.lines)) <= columns
    assert str(target) in "".join(screen.text.split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_an_inspection_names_its_capture_whole(columns: int, tmp_path: Path) -> None:
    path = tmp_path / f"{'long-' * 12}call.mkv"
    run("synthesize", path, "--seconds", "1")

    screen = on_terminal("inspect", path, columns=columns)

    assert screen.code == 0
    assert max(map(cells, screen.lines)) <= columns
    assert str(path) in "".join(screen.text.split())


def test_a_replay_lists_each_gap_with_its_time_length_and_cause(tmp_path: Path) -> None:
    fragments = [fragment.data for fragment in synthesize_call(call(5))]
    del fragments[1]

    finished = run("replay", "-", "--output", tmp_path, stdin=b"".join(fragments))

    assert finished.code == 3
    assert "\nGaps       at 1.024 s: 1.024 s of both parties, 1 fragment missing\n" in finished.out


@pytest.mark.parametrize("command", ["replay", "inspect", "synthesize", "demo"])
def test_quiet_shows_nothing_on_a_terminal(command: str, capture: Path, tmp_path: Path) -> None:
    arguments: dict[str, tuple[str | Path, ...]] = {
        "replay": (capture, "--output", tmp_path / "out"),
        "inspect": (capture,),
        "synthesize": (tmp_path / "other.mkv",),
        "demo": ("--seconds", "1", "--output", tmp_path / "out"),
    }

    screen = on_terminal(command, *arguments[command], "--quiet")

    assert (screen.code, screen.raw) == (0, "")


def test_quiet_still_names_an_error(tmp_path: Path) -> None:
    finished = run("inspect", tmp_path / "none.mkv", "--quiet")

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == f"{tmp_path}/none.mkv: cannot be read: No such file or directory"


def test_the_documents_say_what_the_commands_did(capture: Path, tmp_path: Path) -> None:
    made = json.loads(run("synthesize", tmp_path / "other.mkv", "--seconds", "2", "--json").out)
    replayed = json.loads(run("replay", capture, "--output", tmp_path, "--segments", tmp_path / "live", "--json").out)
    inspected = json.loads(run("inspect", capture, "--json").out)

    assert made == {
        "capture": str(tmp_path / "other.mkv"),
        "replaced": [],
        "contactId": DEFAULT_CONTACT_ID,
        "durationSeconds": 2.0,
        "fragments": 2,
    }
    assert (replayed["status"], replayed["durationSeconds"]) == ("complete", 3.0)
    assert replayed["recording"] == str(tmp_path / f"{DEFAULT_CONTACT_ID}.wav")
    (sink,) = replayed["sinks"]
    assert (sink["name"], sink["isWhole"], sink["deliveredSegments"]) == ("segments", True, 3)
    assert inspected["summary"]["fragments"] == 3
