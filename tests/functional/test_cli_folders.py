"""A file where a command needs a folder, and files of another kind than a command reads: one line that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID
from support.command import run_here
from support.tones import stereo, write_wav


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """A folder with the capture call.mkv, its recording CALL.wav and the file `taken`."""
    assert run_here("synthesize", tmp_path / "call.mkv", "--seconds", "1").code == 0
    assert run_here("replay", tmp_path / "call.mkv", "-o", tmp_path).code == 0
    (tmp_path / f"{DEFAULT_CONTACT_ID}.wav").rename(tmp_path / "CALL.wav")
    (tmp_path / f"{DEFAULT_CONTACT_ID}.json").rename(tmp_path / "CALL.json")
    (tmp_path / "taken").write_text("mine")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "call.mkv", "-o", "taken"),
        ("replay", "call.mkv", "-o", "taken/below/it"),
        ("replay", "call.mkv", "-o", "out", "--segments", "taken"),
        ("convert", "CALL.wav", "taken/call.flac"),
        ("page", "CALL.wav", "-o", "taken/call.html"),
        ("synthesize", "taken/call.mkv"),
        ("demo", "-o", "taken"),
        ("demo", "--live", "-o", "taken"),
        ("cloud", "--log", "taken/functions.log", "--s3-port", "0", "--kvs-port", "0", "--lambda-port", "0"),
        ("receive", "-o", "taken"),
        ("export", "--stream", "calls-1", "--start", "1782912654536", "--region", "eu-west-2", "-o", "taken"),
    ],
    ids=" ".join,
)
def test_a_file_where_a_folder_is_needed_is_named_before_anything_is_said_or_started(
    call: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(call)
    monkeypatch.setenv("WEBHOOK_SIGNING_SECRET", "a secret of many characters")

    finished = run_here(*arguments)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == "taken is a file, and a folder is needed there"
    assert Path("taken").read_text() == "mine"


@pytest.mark.parametrize("command", ["replay", "inspect", "emulate"])
def test_a_wav_in_place_of_a_capture_leads_to_the_commands_that_take_one(call: Path, command: str) -> None:
    finished = run_here(command, call / "CALL.wav")

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == (
        f"{call / 'CALL.wav'}: is a WAV, no GetMedia capture: page, explain and convert take a WAV"
    )


def test_a_manifest_in_place_of_a_capture_leads_to_explain(call: Path) -> None:
    finished = run_here("replay", call / "CALL.json")

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == (
        f"{call / 'CALL.json'}: is JSON, no GetMedia capture: explain takes the manifest of a recording"
    )


@pytest.mark.parametrize(("name", "named"), [("call.mp3", "flac"), ("call.OGG", "mp3"), ("call.wav", "png")])
def test_a_format_that_the_output_s_ending_contradicts_is_refused(tmp_path: Path, name: str, named: str) -> None:
    wav = write_wav(tmp_path / "recording.wav", stereo())

    finished = run_here("convert", wav, tmp_path / name, "--format", named)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == (
        f"--format {named} does not fit {tmp_path / name}: drop --format, or let the name end in .{named}"
    )
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["call", "call.audio", "call.flac", "call.v2"])
def test_a_format_goes_with_its_own_ending_and_with_one_that_names_none(tmp_path: Path, name: str) -> None:
    wav = write_wav(tmp_path / "recording.wav", stereo())

    assert run_here("convert", wav, tmp_path / name, "--format", "flac").code == 0
    assert (tmp_path / name).read_bytes()[:4] == b"fLaC"
