"""`connect-audio demo`, and `--live` faster than a user would watch it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Final

import pytest

from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S, Finished, run

# A process of its own, as the command has: the handlers' logger keeps the standard output that it first met.
_LIVE_AT_SPEED_4: Final = """
import sys
from pathlib import Path
from rich.console import Console
from connect_audio_cli.demo.live import run_live_demo
output, seconds, width, terminal, *words = sys.argv[1:]
console = Console(file=sys.stdout, highlight=False, width=int(width), force_terminal=terminal == "terminal")
outcome = run_live_demo(output=Path(output), seconds=int(seconds), console=console, speed=4, has_words=bool(words))
sys.exit(0 if outcome.is_whole else outcome.fault)
"""
_SEGMENT: Final = re.compile(
    r"^ +(\d+) +(\d+) s  [█░]+ +(-?[\d.]+|digital silence)  [█░]+ +(-?[\d.]+|digital silence) +(\d+) ms$",
    re.MULTILINE,
)


def live_demo(output: Path, seconds: int, *words: str, width: int = 200, where: str = "pipe") -> Finished:
    process = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", _LIVE_AT_SPEED_4, output, str(seconds), str(width), where, *words],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Finished(process.returncode, process.stdout.decode(), process.stderr.decode())


def result(output: Path, suffix: str) -> Path:
    (found,) = output.glob(f"*.{suffix}")
    return found


def test_the_demo_s_recording_is_what_was_sent(tmp_path: Path) -> None:
    finished = run("demo", "--output", tmp_path, "--seconds", "10")

    assert (finished.code, finished.err) == (0, "")
    assert "10.0 s of stereo at 8000 Hz, status complete" in finished.out
    assert finished.out.count("yes, every sample") == 2
    assert json.loads(result(tmp_path, "json").read_bytes())["live"] is None


def test_the_demo_makes_the_page_of_its_call_and_opens_it_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # BROWSER names the program that Python opens pages with; this one keeps the address.
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))

    finished = run("demo", "--output", tmp_path, "--seconds", "2", "--open")

    assert (finished.code, finished.err) == (0, "")
    page = result(tmp_path, "html")
    assert f"\npage\n  {page}\n" in finished.out
    assert page.read_text("utf-8").startswith("<!")
    assert (tmp_path / "opened").read_text().strip() == page.as_uri()


def test_the_live_demo_shows_each_segment_and_that_together_they_are_the_recording(tmp_path: Path) -> None:
    earlier = tmp_path / "7c9e6679-7425-40de-944b-e07fc1f90ae7_20260701T133058.536Z.vtt"
    earlier.write_text("captions of an earlier demo", "utf-8")

    finished = live_demo(tmp_path, 6)

    out = finished.out
    assert earlier.stem == result(tmp_path, "wav").stem
    assert not earlier.exists(), "they are of another call"
    assert (finished.code, finished.err) == (0, "")
    assert "\x1b" not in out, "who reads a file or a pipe gets plain lines"
    assert out.count("yes, every sample") == 2
    segments = _SEGMENT.findall(out)
    assert [(int(number), int(at)) for number, at, *_ in segments] == [(number, number) for number in range(6)]
    with wave.open(str(result(tmp_path, "wav"))) as wav:
        assert wav.getnframes() == 6 * 8000
    # The levels are those of the second itself: at first the agent speaks alone.
    assert not any(two_party_conversation(6).customer[:16_000])
    assert segments[0][2] == "digital silence"
    assert segments[0][3] != "digital silence"
    assert "segments  joined: equal to the recording, every sample\n" in out
    assert re.search(
        r"\nlag       from the last sample sent to the segment read: median \d+ ms, worst \d+ ms, of 6 segments\n", out
    )
    (sink,) = json.loads(result(tmp_path, "json").read_bytes())["live"]["sinks"]
    assert (sink["name"], sink["droppedSeconds"]) == ("segments", 0)


def test_segments_that_are_not_the_recording_fail_the_live_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVE_SEGMENT_RATE", "16000")

    finished = live_demo(tmp_path, 2)

    assert finished.code == 1
    assert finished.out.count("yes, every sample") == 2, "the recording itself is whole"
    assert "segments  joined: not the recording\n" in finished.out


def test_on_a_terminal_the_segments_stand_in_colour_above_a_bar(tmp_path: Path) -> None:
    finished = live_demo(tmp_path, 2, width=80, where="terminal")

    assert finished.code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", finished.out)
    assert "\x1b[32m░" in finished.out
    assert re.search(r"heard ━+", plain)
    shown = [line for line in plain.splitlines() if "░" in line]
    assert len(shown) == 2
    assert max(len(line) for line in shown) <= 80


def test_the_live_demo_shows_the_words_of_a_call_of_digits_as_they_come_and_keeps_them(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")

    finished = live_demo(tmp_path, 6, "words")

    assert (finished.code, finished.err) == (0, "")
    shown = re.findall(r"^ +([\d.]+) s  (customer|agent): ([a-z ]+)$", finished.out, re.MULTILINE)
    assert [(party, text) for _, party, text in shown] == [
        ("agent", "four eight one five nine"),
        ("customer", "four eight one five nine"),
    ]
    assert 0.5 <= float(shown[0][0]) <= 1.2
    assert finished.out.index("four eight") < finished.out.index("\n      5    5 s  "), "the words come with the call"
    assert finished.out.count("yes, every sample") == 2
    assert "\nwords     2 turns, each word as it was spoken\n" in finished.out
    transcript = json.loads(result(tmp_path, "transcript.json").read_bytes())
    assert [turn["text"] for turn in transcript["turns"]] == [text for *_, text in shown]
    assert result(tmp_path, "vtt").read_text("utf-8").startswith("WEBVTT")
    assert '"nine"' in result(tmp_path, "html").read_text("utf-8")


def test_words_need_a_call_at_its_own_pace(tmp_path: Path) -> None:
    finished = run("demo", "--words", "--output", tmp_path)

    assert (finished.code, finished.complaint) == (2, "--words is for a call at its own pace; add --live")


def test_an_interrupted_live_demo_does_not_go_on_for_the_rest_of_its_call(tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "demo", "--live", "--seconds", "120", "--output", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert any(_SEGMENT.match(line) for line in process.stdout), "no segment was shown"

            process.send_signal(signal.SIGINT)

            assert process.wait(PATIENCE_S) == 130
            assert process.stderr.read() == "connect-audio: interrupted\n"
        finally:
            process.kill()


def test_the_command_tells_of_both_lengths() -> None:
    finished = run("demo", "--help")

    assert finished.code == 0
    words = " ".join(finished.out.replace("│", " ").split())
    assert "(default: 60, with --live 20)" in words
    assert "--live" in words
