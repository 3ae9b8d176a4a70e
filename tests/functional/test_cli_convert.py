"""`connect-audio convert` as a user runs it."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from PIL import Image

from support.calls import call, fragments, joined
from support.command import COMMAND, PATIENCE_S, run_here
from support.replayed_calls import CALL, names
from support.tones import stereo, write_wav

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "call.wav", stereo())


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of replay, with its manifest, from which one fragment is missing."""
    folder = tmp_path_factory.mktemp("recording")
    capture = fragments(CALL)
    (folder / "call.mkv").write_bytes(joined(capture[:2] + capture[3:]))
    assert run_here("replay", folder / "call.mkv", "--output", folder).code == 3
    (found,) = folder.glob("*.wav")
    return found


def test_flac_has_exactly_the_samples_of_the_recording(recording: Path, tmp_path: Path) -> None:
    finished = run_here("convert", recording, tmp_path / "call.flac")

    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith(f"{tmp_path / 'call.flac'}: flac, both, 5.000 s, ")
    assert np.array_equal(soundfile.read(tmp_path / "call.flac")[0], soundfile.read(recording)[0])
    assert (tmp_path / "call.flac").stat().st_size < recording.stat().st_size


@pytest.mark.parametrize("name", ["call.opus", "call.ogg", "call.mp3", "CALL.FLAC", "mono.wav"])
def test_the_ending_of_the_output_names_the_form(wav: Path, tmp_path: Path, name: str) -> None:
    assert run_here("convert", wav, tmp_path / name).code == 0
    assert soundfile.info(tmp_path / name).channels == 2


def test_a_party_alone_is_mono(wav: Path, tmp_path: Path) -> None:
    assert run_here("convert", wav, tmp_path / "agent.wav", "--channels", "agent").code == 0
    samples, rate = soundfile.read(tmp_path / "agent.wav", dtype="int16")
    assert (rate, samples.ndim) == (8000, 1)
    assert np.array_equal(samples, stereo()[:, 1])


@pytest.mark.parametrize("form", ["wav", "flac", "opus", "mp3", "svg", "png"])
def test_standard_output_gets_the_file_and_nothing_else(wav: Path, tmp_path: Path, form: str) -> None:
    to_file = run_here("convert", wav, tmp_path / f"x.{form}")
    piped = subprocess.run(
        [COMMAND, "convert", wav, "-", "--format", form, "--json"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (to_file.code, piped.returncode, piped.stderr) == (0, 0, b"")
    if form == "opus":  # a stream has a serial number of its own
        assert soundfile.info(io.BytesIO(piped.stdout)).frames == 16000
    else:
        assert piped.stdout == (tmp_path / f"x.{form}").read_bytes()


def test_a_terminal_gets_no_binary(wav: Path) -> None:
    master, slave = os.openpty()
    try:
        done = subprocess.run(
            [COMMAND, "convert", wav, "-", "--format", "wav"],
            stdout=slave,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 2
    assert done.stderr == "connect-audio: standard output is a terminal: redirect it, or name a file\n"


def test_a_file_that_is_there_is_replaced_with_force_alone(wav: Path, tmp_path: Path) -> None:
    target = tmp_path / "call.flac"
    target.write_bytes(b"mine")

    refused = run_here("convert", wav, target)
    assert (refused.code, target.read_bytes()) == (2, b"mine")
    assert refused.complaint == f"{target}: is there already (--force replaces it)"

    assert run_here("convert", wav, target, "--force").code == 0
    assert target.read_bytes().startswith(b"fLaC")


def test_the_recording_itself_is_never_replaced(wav: Path, tmp_path: Path) -> None:
    before = wav.read_bytes()
    link = tmp_path / "same.wav"
    link.hardlink_to(wav)
    for target in (wav, link):
        refused = run_here("convert", wav, target, "--force", "--channels", "mixed")
        assert (refused.code, wav.read_bytes()) == (2, before)
        assert refused.complaint == f"{target} is an input of this command: choose another output"


def test_a_device_is_not_replaced_even_with_force(wav: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    refused = run_here("convert", wav, pipe, "--force")
    assert (refused.code, refused.complaint) == (2, f"{pipe}: cannot be written: is no regular file")
    assert pipe.is_fifo()


def test_pictures_show_the_gaps_of_the_manifest(recording: Path, tmp_path: Path) -> None:
    assert run_here("convert", recording, tmp_path / "call.svg", "--quiet").code == 0
    assert run_here("convert", recording, tmp_path / "call.png", "--spectrogram").code == 0
    assert (tmp_path / "call.svg").read_text("utf-8").count("1 fragment missing") >= 2
    assert Image.open(tmp_path / "call.png").size[0] == 1600


def test_json_is_one_document_and_quiet_is_silent(wav: Path, tmp_path: Path) -> None:
    told = run_here("convert", wav, tmp_path / "a.flac", "--channels", "mixed", "--json")
    quiet = run_here("convert", wav, tmp_path / "b.flac", "--quiet")

    assert json.loads(told.out) == {
        "output": str(tmp_path / "a.flac"),
        "format": "flac",
        "channels": "mixed",
        "durationSeconds": 2.0,
        "sizeBytes": (tmp_path / "a.flac").stat().st_size,
    }
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_recording_in_s3_is_read_with_the_users_credentials(
    recording: Path,
    bucket: str,
    s3_client: S3Client,
    moto_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    for path in (recording, recording.with_suffix(".json")):
        s3_client.upload_file(str(path), bucket, f"calls/one{path.suffix}")

    done = run_here("convert", f"s3://{bucket}/calls/one.wav", tmp_path / "call.flac")
    absent = run_here("convert", f"s3://{bucket}/calls/two.wav", tmp_path / "two.flac")

    assert (done.code, done.err) == (0, "")
    assert np.array_equal(soundfile.read(tmp_path / "call.flac")[0], soundfile.read(recording)[0])
    assert absent.code == 2
    assert absent.complaint == f"s3://{bucket}/calls/two.wav: cannot be read: S3 answers NoSuchKey"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["call.wav", "call.aiff"], "'.aiff' is no format: wav, flac, opus, mp3, svg, png, ogg are known"),
        (
            ["call.wav", "call"],
            "the form is not known: give --format, or an OUTPUT that ends in .flac, .png and so on",
        ),
        (["call.wav", "-"], "the form is not known: give --format, or an OUTPUT that ends in .flac, .png and so on"),
        (["call.wav", "call.svg", "--spectrogram"], "a spectrogram is a png, not svg"),
        (["absent.wav", "call.flac"], "absent.wav: cannot be read: No such file or directory"),
        (["mono.wav", "call.flac"], "mono.wav: has 1 x 16 bit and 10 frames: a recording has 2 x 16 bit, "),
        (["cut.wav", "call.flac"], "cut.wav: ends after 15000 of its 16000 frames: fetch it again"),
        (["capture.mkv", "call.flac"], "capture.mkv: is no WAV of a recording: "),
        (["other.wav", "call.flac"], "other.wav: is not the WAV of other.json, by its length or rate"),
        (["odd.wav", "call.opus"], "Opus has no rate of 11025 Hz: FLAC and WAV have every rate"),
        (["call.wav", "call.flac/call.flac"], "call.flac is a file, and a folder is needed there"),
        (["s3://only-a-bucket", "call.flac"], "s3://only-a-bucket: names no object: s3://BUCKET/KEY is expected"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(
    wav: Path,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "mono.wav", np.zeros(10, np.int16))
    write_wav(tmp_path / "odd.wav", stereo(1, 11025), 11025)
    write_wav(tmp_path / "other.wav", stereo(1))
    (tmp_path / "other.json").write_bytes(recording.with_suffix(".json").read_bytes())
    (tmp_path / "cut.wav").write_bytes(wav.read_bytes()[:-4000])
    (tmp_path / "capture.mkv").write_bytes(joined(fragments(call(1))))
    if arguments[1].startswith("call.flac/"):
        (tmp_path / "call.flac").touch()
    before = names(tmp_path)

    finished = run_here("convert", *arguments)

    assert finished.code == 2
    assert finished.complaint.startswith(complaint)
    assert names(tmp_path) == before
