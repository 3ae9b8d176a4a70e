"""No command destroys what is there already: not its input, not another call, not the segments of another replay."""

from __future__ import annotations

import json
import subprocess
import wave
from pathlib import Path
from typing import Final

import pytest

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID
from support.command import COMMAND, PATIENCE_S, Finished, run
from support.terminal import terminal

WAV: Final = f"{DEFAULT_CONTACT_ID}.wav"
MANIFEST: Final = f"{DEFAULT_CONTACT_ID}.json"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def short(tmp_path: Path) -> Path:
    run("synthesize", tmp_path / "short.mkv", "--seconds", "3")
    return tmp_path / "short.mkv"


@pytest.fixture
def long(tmp_path: Path) -> Path:
    run("synthesize", tmp_path / "long.mkv", "--seconds", "8", "--seed", "1")
    return tmp_path / "long.mkv"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def replayed(capture: Path, output: Path, *options: str | Path) -> Finished:
    return run("replay", capture, "--output", output, *options)


def test_another_recording_of_the_contact_is_refused_and_stays(short: Path, long: Path, output: Path) -> None:
    replayed(long, output)
    before = contents(output)

    finished = replayed(short, output)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == (
        f"{output / WAV} is there already and of another recording: --force replaces it, or choose another --output"
    )
    assert contents(output) == before


def test_force_replaces_another_recording_and_says_so(short: Path, long: Path, output: Path) -> None:
    replayed(long, output)

    finished = replayed(short, output, "--force")

    assert (finished.code, finished.err) == (0, "")
    assert f"Replaced   {output / WAV}\n" in finished.out
    assert f"Replaced   {output / MANIFEST}\n" in finished.out
    with wave.open(str(output / WAV)) as file:
        assert file.getnframes() == 3 * 8000


def test_the_same_recording_again_replaces_nothing(short: Path, output: Path) -> None:
    replayed(short, output)
    before = contents(output)

    finished = run("replay", short, "--output", output, "--json")

    assert (finished.code, json.loads(finished.out)["replaced"]) == (0, [])
    assert contents(output) == before


def test_a_manifest_without_its_wav_is_not_replaced(short: Path, long: Path, output: Path) -> None:
    replayed(long, output)
    (output / WAV).unlink()
    before = contents(output)

    finished = replayed(short, output)

    assert finished.code == 2
    assert finished.complaint.startswith(f"{output / MANIFEST} is there already and of another recording: ")
    assert contents(output) == before


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["plain", "force"])
@pytest.mark.parametrize("suffix", [".wav", ".json"])
def test_a_replay_never_writes_over_its_capture(suffix: str, force: tuple[str, ...], short: Path, output: Path) -> None:
    output.mkdir()
    capture = output / f"{DEFAULT_CONTACT_ID}{suffix}"
    short.rename(capture)
    before = contents(output)

    finished = replayed(capture, output, *force)

    assert finished.code == 2
    assert finished.complaint == f"{capture} is an input of this command: choose another output"
    assert contents(output) == before


def test_no_stale_segments_of_a_longer_run_lie_beside_a_new_index(short: Path, long: Path, output: Path) -> None:
    folder = output / "live"
    replayed(long, output, "--segments", folder)
    (folder / "notes.txt").write_text("the user's own")
    before = contents(output)

    refused = replayed(short, output / "new", "--segments", folder)

    assert refused.code == 2
    assert refused.complaint == (
        f"{folder} holds 8 segment files of an earlier replay: --force replaces them, or choose another folder"
    )
    assert contents(output) == before

    forced = replayed(short, output / "new", "--segments", folder, "--force")

    assert (forced.code, forced.err) == (0, "")
    assert f"Replaced   8 segment files in {folder}\n" in forced.out
    listed = {
        name
        for page in json.loads((folder / "index.json").read_bytes())["pages"]
        for segment in json.loads((folder / page["name"]).read_bytes())["segments"]
        for name in segment["files"]
    }
    assert {path.name for path in folder.glob("*.wav")} == listed
    assert len(listed) == 3
    assert (folder / "notes.txt").read_text() == "the user's own"


@pytest.fixture
def mono(tmp_path: Path) -> Path:
    path = tmp_path / "keep.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\1\2" * 8000)
    return path


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["plain", "force"])
@pytest.mark.parametrize("name", ["keep.wav", "hard-link.wav", "soft-link.wav"])
def test_synthesize_never_writes_over_its_input(name: str, force: tuple[str, ...], mono: Path) -> None:
    (mono.parent / "hard-link.wav").hardlink_to(mono)
    (mono.parent / "soft-link.wav").symlink_to(mono)
    before = contents(mono.parent)

    finished = run("synthesize", mono.parent / name, "--customer", mono, "--agent", mono, *force)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == f"{mono.parent / name} is an input of this command: choose another output"
    assert contents(mono.parent) == before


def test_synthesize_replaces_a_file_only_with_force_and_says_so(short: Path) -> None:
    before = short.read_bytes()

    refused = run("synthesize", short, "--seconds", "1")

    assert refused.code == 2
    assert refused.complaint == f"{short}: is there already (--force replaces it)"
    assert short.read_bytes() == before

    forced = run("synthesize", short, "--seconds", "1", "--force")

    assert (forced.code, forced.err) == (0, "")
    assert f"Replaced  {short}\n" in forced.out
    assert short.read_bytes() != before


def test_synthesize_to_standard_output_makes_no_file_of_that_name(tmp_path: Path) -> None:
    run("synthesize", tmp_path / "call.mkv", "--seconds", "1")
    piped = subprocess.run(
        [COMMAND, "synthesize", "-", "--seconds", "1"],
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )

    assert piped.stdout == (tmp_path / "call.mkv").read_bytes()
    assert piped.stderr == b""
    assert [path.name for path in tmp_path.iterdir()] == ["call.mkv"]


def test_a_capture_is_not_poured_onto_a_terminal(tmp_path: Path) -> None:
    with terminal(COMMAND, "synthesize", "-", cwd=tmp_path) as running:
        screen = running.end()

    assert screen.code == 2
    assert screen.text.strip() == (
        "connect-audio: standard output is a terminal: send the capture into a file or a command"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["page", "convert"])
@pytest.mark.parametrize("name", [WAV, MANIFEST])
def test_no_other_form_is_written_over_the_recording_or_its_manifest(
    command: str, name: str, short: Path, output: Path
) -> None:
    replayed(short, output)
    before = contents(output)
    options: tuple[str | Path, ...] = ("-o", output / name) if command == "page" else (output / name, "--format", "svg")

    finished = run(command, output / WAV, *options, "--force")

    assert finished.code == 2
    assert finished.complaint == f"{output / name} is an input of this command: choose another output"
    assert contents(output) == before


def test_a_demo_says_that_it_replaced_an_earlier_one_and_touches_no_other_log(tmp_path: Path) -> None:
    first = json.loads(run("demo", "--seconds", "1", "--output", tmp_path, "--json").out)
    second = json.loads(run("demo", "--seconds", "2", "--output", tmp_path, "--json").out)

    assert first["replaced"] == []
    assert second["replaced"] == [second["recording"], second["manifest"]]

    Path(second["log"]).write_text("my own log\n")
    refused = run("demo", "--output", tmp_path)

    assert refused.code == 2
    assert refused.complaint == f"{second['log']} is no log of a demo: choose another --output"
    assert Path(second["log"]).read_text() == "my own log\n"
