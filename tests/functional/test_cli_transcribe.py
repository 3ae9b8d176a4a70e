"""`connect-audio transcribe`: a recording's words beside it, by a server at the socket that may fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.adapters.words import whisper_server
from connect_audio.core.pcm import PARTIES, Party
from connect_audio_cli.page.transcript import parse_transcript
from connect_audio_cli.transcription import transcription
from connect_audio_local.recognition.speech import RATE
from connect_audio_local.whisper import faults
from connect_audio_local.whisper.dialects import OPENAI, OPENAI_JSON_ONLY
from connect_audio_local.whisper.model import serve
from connect_audio_local.whisper.server import speech_server
from support.command import COMMAND, PATIENCE_S, run, run_here
from support.digit_calls import DIGIT_CALL, SECONDS, digit_tracks
from support.speech_sessions import call, said
from support.wav import wav_of

KEY: Final = "sk-of-the-test-and-of-nobody-else"
PARTS: Final = (
    said(Party.AGENT, 1.0, "alfa bravo"),
    said(Party.CUSTOMER, 3.0, "charlie delta echo"),
)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    tracks = call(PARTS, 6.0)
    path = tmp_path / "call.wav"
    path.write_bytes(wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT]))
    return path


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_server, "_PAUSES_S", (0.0,))


def transcript(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "call.transcript.json").read_bytes())
    return document


def who(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["participant"], turn["text"]) for turn in document["turns"]]


def test_spoken_digits_of_two_voices_also_at_once_come_back_with_their_speakers_and_times(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    from connect_audio_local.recognition.digits import DigitRecognizer  # noqa: PLC0415 - the package may be missing

    tracks = digit_tracks()
    path = tmp_path / "call.wav"
    path.write_bytes(wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT], rate=RATE))
    recognizer = DigitRecognizer()
    for dialect in (OPENAI, OPENAI_JSON_ONLY):
        with speech_server(recognizer, dialect=dialect) as server:
            assert run_here("transcribe", path, "--whisper", server.url, "--force").code == 0

        turns = transcript(tmp_path)["turns"]
        for turn, spoken in zip(turns, DIGIT_CALL, strict=True):
            assert (turn["participant"], turn["text"]) == (spoken.party.upper(), spoken.phrase.text)
            assert abs(turn["start"] - spoken.start) < 0.5
            assert abs(turn["end"] - spoken.end) < 0.5
            if dialect is OPENAI:
                assert [word["text"] for word in turn["words"]] == spoken.phrase.text.split()
    assert transcript(tmp_path)["durationSeconds"] == SECONDS


def test_the_words_are_written_beside_the_recording_and_told(wav: Path) -> None:
    with speech_server() as server:
        finished = run_here("transcribe", wav, "--whisper", server.url, "--language", "en")

    assert (finished.code, finished.err) == (0, "")
    folder = wav.parent
    document = transcript(folder)
    assert who(document) == [("AGENT", "alfa bravo"), ("CUSTOMER", "charlie delta echo")]
    assert (document["engine"], document["language"], document["source"]) == ("whisper", "en", "recording")
    assert document["missing"] == []
    assert finished.out == (
        f"Transcript  {folder / 'call.transcript.json'}\n"
        f"Subtitles   {folder / 'call.vtt'}\n"
        "Call        6.000 s\n"
        "Customer    3 words in 1 turn\n"
        "Agent       2 words in 1 turn\n"
    )
    assert "<v AGENT>alfa bravo" in (folder / "call.vtt").read_text("utf-8")


def test_the_page_reads_both_files(wav: Path) -> None:
    with speech_server() as server:
        run_here("transcribe", wav, "--whisper", server.url)

    for name in ("call.transcript.json", "call.vtt"):
        paragraphs = parse_transcript((wav.parent / name).read_bytes(), name)
        assert [each.party for each in paragraphs] == [1, 0]
        assert "alfa" in paragraphs[0].words[0].text


def test_json_says_what_was_written_and_quiet_nothing(wav: Path) -> None:
    with speech_server() as server:
        told = run_here("transcribe", wav, "--whisper", server.url, "--json", "--model", "small.en")
        silent = run_here("transcribe", wav, "--whisper", server.url, "--force", "--quiet")

    assert json.loads(told.out) == {
        "transcript": str(wav.parent / "call.transcript.json"),
        "vtt": str(wav.parent / "call.vtt"),
        "engine": "whisper",
        "model": "small.en",
        "durationSeconds": 6.0,
        "turns": 2,
        "words": 5,
        "missing": [],
    }
    assert (silent.code, silent.out, silent.err) == (0, "", "")


def test_files_that_are_there_stay_unless_force_is_given(wav: Path, tmp_path: Path) -> None:
    (tmp_path / "call.vtt").write_text("my own")
    with speech_server() as server:
        refused = run_here("transcribe", wav, "--whisper", server.url)
        assert server.requests == ()
        elsewhere = run_here("transcribe", wav, "--whisper", server.url, "--output", tmp_path / "words")
        assert (refused.code, (tmp_path / "call.vtt").read_text()) == (2, "my own")
        assert refused.complaint == f"{tmp_path / 'call.vtt'}: is there already (--force replaces it)"
        assert elsewhere.code == 0
        assert run_here("transcribe", wav, "--whisper", server.url, "--force").code == 0

    assert (tmp_path / "call.vtt").read_text("utf-8").startswith("WEBVTT")
    assert sorted(path.name for path in (tmp_path / "words").iterdir()) == ["call.transcript.json", "call.vtt"]


def test_the_recording_is_never_written_over(wav: Path, tmp_path: Path) -> None:
    odd = wav.rename(tmp_path / "call.vtt")
    before = odd.read_bytes()
    with speech_server() as server:
        finished = run_here("transcribe", odd, "--whisper", server.url, "--force")

    assert finished.code == 2
    assert finished.complaint == f"{odd} is an input of this command: choose another output"
    assert odd.read_bytes() == before


def test_the_key_comes_out_of_a_variable_and_is_shown_nowhere(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_KEY", KEY)
    with speech_server(key=KEY) as server:
        done = run_here("transcribe", wav, "--whisper", server.url, "--api-key-env", "SPEECH_KEY")
    with speech_server(key="another") as server:
        refused = run_here("transcribe", wav, "--whisper", server.url, "--api-key-env", "SPEECH_KEY", "--force")

    assert done.code == 0
    where = server.url.removeprefix("http://").removesuffix("/v1")
    assert (refused.code, refused.complaint) == (
        2,
        f"{where} answered an utterance with 401; give the key that this server issued",
    )
    assert KEY not in done.out + done.err + refused.out + refused.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ("--whisper", "ftp://a/"),
            "the speech server's URL does not begin with https:// or http://. Set --whisper to",
        ),
        (("--whisper", ""), "the speech server's URL does not begin with"),
        (("--whisper", "http://a/", "--language", "english!"), "--language 'english!' is no code of two or"),
        (("--whisper", "http://a/", "--model", ""), "--model is empty"),
        (("--whisper", "http://a/", "--api-key-env", "NO_SUCH"), "--api-key-env names the variable NO_SUCH, which is"),
        (("--whisper", "http://a/", "--whisper-ca", "none.pem"), "none.pem: cannot be read: No such file"),
        (("--whisper", "http://a/", "--timeout", "0"), "Invalid value for '--timeout': 0 is not from 1 to 3600"),
        ((), "Missing option '--whisper'"),
    ],
)
def test_options_that_cannot_be_used_are_told_in_a_line(options: tuple[str, ...], complaint: str, wav: Path) -> None:
    finished = run_here("transcribe", wav, *options)

    assert finished.code == 2
    assert finished.complaint.startswith(complaint)
    assert [path.name for path in wav.parent.iterdir()] == ["call.wav"]


@pytest.mark.usefixtures("_no_pauses")
def test_a_server_that_is_gone_ends_the_command_and_nothing_is_written(wav: Path) -> None:
    with speech_server() as server:
        pass
    finished = run_here("transcribe", wav, "--whisper", server.url)

    where = server.url.removeprefix("http://").removesuffix("/v1")
    assert finished.code == 2
    assert finished.complaint == (
        f"the words cannot be had, nothing is written: connecting ({where}) failed (ConnectionRefusedError)"
    )
    assert [path.name for path in wav.parent.iterdir()] == ["call.wav"]


@pytest.mark.usefixtures("_no_pauses")
def test_a_server_that_fails_for_a_while_costs_no_word(wav: Path) -> None:
    troubles = [faults.answer(503), faults.reset, faults.cut, faults.answer(500), faults.no_json]
    with speech_server(None, troubles) as server:
        finished = run_here("transcribe", wav, "--whisper", server.url)

    assert finished.code == 0
    assert who(transcript(wav.parent)) == [("AGENT", "alfa bravo"), ("CUSTOMER", "charlie delta echo")]


@pytest.mark.usefixtures("_no_pauses")
def test_a_stretch_that_fails_for_good_is_missing_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcription, "_SKIPPED_S", 3)
    tracks = call(
        [said(Party.AGENT, 1.0, "alfa"), said(Party.AGENT, 5.0, "bravo"), said(Party.AGENT, 9.0, "golf")], 11.0
    )
    path = tmp_path / "call.wav"
    path.write_bytes(wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT]))

    def poisoned(exchange: Any) -> None:
        request = exchange.take()
        words = exchange.words(request)
        if any(word.text == "bravo" for word in words):
            exchange.answer(500, {})
        else:
            exchange.answer(200, {"text": " ".join(word.text for word in words)})

    with speech_server(None, [poisoned] * 100) as server:
        finished = run_here("transcribe", path, "--whisper", server.url, "--json")

    assert finished.code == 3
    document = transcript(tmp_path)
    assert [text for _, text in who(document)] == ["alfa", "golf"]
    (span,) = document["missing"]
    assert (span["participant"], span["reason"]) == ("AGENT", "DROPPED")
    assert span["start"] <= 5.0
    assert 5.3 <= span["end"] < 9.0
    assert json.loads(finished.out)["missing"] == [span]


@pytest.mark.usefixtures("_no_pauses")
def test_two_minutes_wait_for_a_slow_server_with_bounded_audio(tmp_path: Path) -> None:
    tracks = call([said(PARTIES[at % 2], 2.0 * at + 0.5, "alfa bravo") for at in range(60)], 122.0)
    path = tmp_path / "call.wav"
    path.write_bytes(wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT]))
    with speech_server(None, [faults.slow(0.05)] * 10) as server:
        finished = run_here("transcribe", path, "--whisper", server.url, "--json")

    assert finished.code == 0
    assert json.loads(finished.out)["words"] == 120


def test_ctrl_c_ends_it_at_once_and_leaves_no_file(wav: Path) -> None:
    with (
        speech_server(None, [faults.hang]) as server,
        subprocess.Popen(
            [COMMAND, "transcribe", wav, "--whisper", server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running,
    ):
        assert server.wait_for_requests(1, PATIENCE_S)
        os.kill(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)

    assert (running.returncode, out, err) == (130, b"", b"connect-audio: interrupted\n")
    assert [path.name for path in wav.parent.iterdir()] == ["call.wav"]


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(b"no WAV")
    with speech_server(None, [serve]) as server:
        finished = run("transcribe", tmp_path / "call.wav", "--whisper", server.url)

    assert finished.code == 2
    assert "is no WAV of a recording" in finished.complaint
