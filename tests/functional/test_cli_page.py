"""`connect-audio page` as a user runs it: the file, the report, exit codes and the one line on stderr."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.call_pages import recording_with_a_gap, write_wav
from support.command import run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording_with_a_gap(tmp_path_factory.mktemp("made"))


@pytest.fixture
def call(made: Path, tmp_path: Path) -> Path:
    """A recording with its manifest and transcript, in a folder of the test's own."""
    shutil.copytree(made.parent, tmp_path / "calls")
    return tmp_path / "calls" / made.name


def on(page: Path) -> tuple[dict[str, Any], bytes]:
    """The facts and the audio that a page carries."""
    text = page.read_text("utf-8")
    facts = re.search(r'<script type="application/json" id="call">(.*?)</script>', text, re.DOTALL)
    audio = re.search(r'<script type="text/plain" id="audio">(.*?)</script>', text, re.DOTALL)
    assert facts is not None
    assert audio is not None
    return json.loads(facts[1]), base64.b64decode(audio[1], validate=True)


def test_the_page_lies_beside_the_wav_and_the_report_says_what_is_on_it(call: Path) -> None:
    finished = run("page", call, "--audio", "wav")
    page = call.with_suffix(".html")
    assert (finished.code, finished.err) == (0, "")
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in finished.out.splitlines())
    assert lines["Page"] == str(page)
    assert lines["Gaps"] == "1 gap, 1.024 s"
    assert lines["Words"].endswith(".transcript.json")
    facts, audio = on(page)
    assert audio == call.read_bytes()
    assert facts["manifest"] == json.loads(call.with_suffix(".json").read_bytes())


def test_flac_is_embedded_without_loss(call: Path, tmp_path: Path) -> None:
    import soundfile  # noqa: PLC0415 - one test alone needs it

    assert run("page", call, "-o", tmp_path / "page.html", "--quiet").code == 0
    facts, audio = on(tmp_path / "page.html")
    (tmp_path / "call.flac").write_bytes(audio)
    assert (facts["audio"]["format"], facts["audio"]["name"]) == ("FLAC", f"{call.stem}.flac")
    with wave.open(str(call)) as wav, soundfile.SoundFile(tmp_path / "call.flac") as flac:
        assert bytes(flac.buffer_read(dtype="int16")) == wav.readframes(wav.getnframes())


def test_a_page_with_its_audio_beside_it_names_the_way_from_its_own_folder(call: Path, tmp_path: Path) -> None:
    spaced = call.rename(call.with_name("a call #1.wav"))
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "call.html"
    assert run("page", spaced, "-o", page, "--audio", "beside", "--quiet").code == 0
    facts, audio = on(page)
    assert (facts["audio"]["source"], audio) == ("../calls/a%20call%20%231.wav", b"")


def test_a_page_that_is_there_is_replaced_by_force_alone(call: Path) -> None:
    page = call.with_suffix(".html")
    page.write_text("mine", "utf-8")
    finished = run("page", call)
    assert (finished.code, page.read_text("utf-8")) == (2, "mine")
    assert finished.complaint.startswith(f"{page}: is there already")
    assert run("page", call, "--force").code == 0
    assert page.stat().st_size > 10_000


@pytest.mark.parametrize("ending", [".wav", ".json", ".transcript.json"])
def test_a_page_never_replaces_what_it_is_made_of_even_by_force(call: Path, ending: str) -> None:
    source = call.with_name(call.stem + ending)
    before = source.read_bytes()
    finished = run("page", call, "-o", source, "--force")
    assert (finished.code, source.read_bytes()) == (2, before)
    assert finished.complaint == f"{source} is an input of this command: choose another output"


def test_the_json_report_is_one_document(call: Path) -> None:
    document = json.loads(run("page", call, "--json", "--audio", "beside").out)
    assert document["page"] == str(call.with_suffix(".html"))
    assert (document["status"], document["gaps"], document["audio"]) == ("partial", 1, "beside")
    assert document["sizeBytes"] == call.with_suffix(".html").stat().st_size


def test_open_hands_the_page_to_the_browser(call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n', "utf-8")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    assert run("page", call, "--open").code == 0
    assert opened.read_text("utf-8").strip() == call.with_suffix(".html").as_uri()


def test_without_a_browser_the_page_is_made_and_the_exit_code_is_3(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "none-such %s")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", os.fspath(tmp_path / "bin"))
    finished = run("page", call, "--open", "--quiet")
    assert (finished.code, finished.complaint) == (
        3,
        f"{call.with_suffix('.html')} is made, but no browser was found to open it",
    )
    assert call.with_suffix(".html").exists()


def test_what_is_no_wav_is_one_line_and_leaves_no_file(call: Path, tmp_path: Path) -> None:
    for data in (b"", b"RIFF", call.read_bytes()[:44], b"MZ" + call.read_bytes()[2:]):
        broken = tmp_path / "broken.wav"
        broken.write_bytes(data)
        finished = run("page", broken)
        assert finished.code == 2
        assert "broken.wav" in finished.complaint
        assert not broken.with_suffix(".html").exists()
    assert run("page", tmp_path / "none.wav").code == 2


def test_a_wav_that_was_cut_is_no_whole_call(call: Path) -> None:
    whole = call.read_bytes()
    call.write_bytes(whole[: 44 + 4 * 1000])
    frames = (len(whole) - 44) // 4
    finished = run("page", call)
    assert (finished.code, finished.complaint) == (2, f"{call}: ends after 1000 of its {frames} frames: fetch it again")
    assert not call.with_suffix(".html").exists()


def test_the_gaps_of_another_wavs_manifest_are_not_shown(call: Path) -> None:
    write_wav(call, bytes(4000))
    finished = run("page", call)
    assert (finished.code, finished.complaint) == (
        2,
        f"{call}: is not the WAV of {call.with_suffix('.json')}, by its length or rate",
    )


def test_a_wav_of_three_channels_or_a_broken_transcript_is_refused(call: Path, tmp_path: Path) -> None:
    wide = write_wav(tmp_path / "wide.wav", bytes(600), channels=3)
    assert "has 3 channels of 16 bits" in run("page", wide).complaint
    call.with_suffix(".transcript.json").write_text("{", "utf-8")
    words = call.with_suffix(".transcript.json")
    assert run("page", call).complaint == (
        f"{words} is no transcript that can be shown: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    words.write_text("{}", "utf-8")
    assert "Error" not in run("page", call).complaint


def test_the_words_of_another_wav_are_not_shown(call: Path) -> None:
    words = call.with_suffix(".transcript.json")
    document = json.loads(words.read_text("utf-8"))
    with wave.open(str(call)) as wav:
        seconds = wav.getnframes() / wav.getframerate()
    words.write_text(json.dumps(document | {"durationSeconds": round(seconds, 3)}), "utf-8")
    assert run("page", call, "--quiet").code == 0
    # A repair that begins earlier makes the WAV longer, and the words of before may still lie beside it.
    words.write_text(json.dumps(document | {"durationSeconds": 2.5}), "utf-8")
    finished = run("page", call, "--force")
    assert finished.code == 2
    assert finished.complaint == (
        f"{words} is the transcript of another recording: it says 2.5 s, and the WAV has {seconds:g} s. "
        "Remove it, or name the right one with --transcript"
    )


def test_a_transcript_from_elsewhere_stands_in_for_the_one_beside_the_wav(call: Path, tmp_path: Path) -> None:
    words = tmp_path / "other.vtt"
    words.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Agent>elsewhere\n", "utf-8")
    assert run("page", call, "--transcript", words, "--quiet").code == 0
    facts, _ = on(call.with_suffix(".html"))
    assert facts["turns"] == [{"party": 1, "start": 1.0, "words": [[1.0, 1.0, "elsewhere"]]}]


def test_a_recording_in_s3_is_read_with_its_manifest_and_words(
    call: Path, tmp_path: Path, s3_client: S3Client, bucket: str, moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in call.parent.iterdir():
        s3_client.upload_file(str(path), bucket, f"calls/{path.name}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server)
    finished = run("page", f"s3://{bucket}/calls/{call.name}", "--audio", "wav", "--quiet", cwd=tmp_path)
    assert (finished.code, finished.err) == (0, "")
    facts, audio = on(tmp_path / f"{call.stem}.html")
    assert (audio, len(facts["turns"]), facts["status"]) == (call.read_bytes(), 3, "partial")
