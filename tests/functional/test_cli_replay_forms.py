"""`connect-audio replay` in other forms: beside the WAV, and to standard output."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID
from support.calls import capture_of, fragments, joined
from support.command import COMMAND, PATIENCE_S, recording, run, run_here
from support.replayed_calls import CALL, names


def test_other_forms_lie_beside_the_wav(tmp_path: Path) -> None:
    finished = run("replay", "-", "--output", tmp_path, "--format", "flac", "--format", "svg", stdin=capture_of(CALL))

    assert (finished.code, finished.err) == (0, "")
    stem = DEFAULT_CONTACT_ID
    assert names(tmp_path) == [f"{stem}.flac", f"{stem}.json", f"{stem}.svg", f"{stem}.wav"]
    assert np.array_equal(soundfile.read(tmp_path / f"{stem}.flac")[0], soundfile.read(tmp_path / f"{stem}.wav")[0])
    assert f"FLAC       {tmp_path / stem}.flac" in finished.out.splitlines()


def test_one_channel_has_its_name_in_the_files(tmp_path: Path) -> None:
    capture = tmp_path / "call.mkv"
    capture.write_bytes(capture_of(CALL))
    assert run_here("replay", capture, "--output", tmp_path / "out", "--channels", "agent").code == 0
    with wave.open(str(tmp_path / "out" / f"{DEFAULT_CONTACT_ID}.agent.wav")) as file:
        assert file.readframes(file.getnframes()) == recording(tmp_path / "out", DEFAULT_CONTACT_ID).right
        assert file.getnchannels() == 1


def test_standard_output_gets_the_recording_and_nothing_else(tmp_path: Path) -> None:
    capture = fragments(CALL)
    broken = joined(capture[:2] + capture[3:])
    assert run("replay", "-", "--output", tmp_path, stdin=broken).code == 3

    piped = subprocess.run(
        [COMMAND, "replay", "-", "--output", "-"],
        input=broken,
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert piped.returncode == 3
    assert piped.stdout == (tmp_path / f"{DEFAULT_CONTACT_ID}.wav").read_bytes()
    assert piped.stderr.decode().startswith("connect-audio: standard output is written but not whole: STREAM_HOLES: ")
    assert names(tmp_path) == [f"{DEFAULT_CONTACT_ID}.json", f"{DEFAULT_CONTACT_ID}.wav"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--format", "aiff"], "'aiff' is no format: wav, flac, opus, mp3, svg, png, ogg are known"),
        (["--output", "-", "--format", "flac", "--format", "mp3"], "standard output takes one --format"),
        (["--format", "wav"], "--format wav is the recording itself: --channels says which channels another WAV gets"),
        (["--format", "flac", "--spectrogram"], "--spectrogram belongs to --format png"),
    ],
)
def test_forms_that_cannot_be_made_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    finished = run_here("replay", "absent.mkv", *options)
    assert (finished.code, finished.complaint) == (2, complaint)
