"""`connect-audio replay` with words: files beside the WAV, turns on the screen, and exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from connect_audio.core.pcm import Party
from connect_audio_cli.commands.replay import parser
from connect_audio_cli.replay.live_options import Typed, live_options
from connect_audio_cli.replay.words_options import words_options
from connect_audio_local.recognition.markers import marker_speech
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall
from connect_audio_local.webhook.model import Exchange, WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver
from connect_audio_local.whisper import faults
from connect_audio_local.whisper.server import speech_server
from support.calls import capture_of
from support.command import COMMAND, PATIENCE_S, run, run_here
from support.console_blocks import ROOT
from support.replayed_calls import names
from support.speech_sessions import RATE, Said, call, said
from support.spoken_words import quiet, spoken
from support.terminal import on_terminal
from support.transcribe_sessions import KEY, SECRET, transcribe_service
from support.webhook_sink import SECRET as SECRET_OF_WEBHOOK

PARTS: Final = (
    said(Party.AGENT, 1.0, "alfa bravo"),
    said(Party.CUSTOMER, 3.0, "charlie delta echo"),
    said(Party.AGENT, 3.2, "foxtrot golf"),  # both at once
)
TURNS: Final = [("AGENT", "alfa bravo"), ("CUSTOMER", "charlie delta echo"), ("AGENT", "foxtrot golf")]
WAV, MANIFEST = f"{DEFAULT_CONTACT_ID}.wav", f"{DEFAULT_CONTACT_ID}.json"
TRANSCRIPT, CAPTIONS = f"{DEFAULT_CONTACT_ID}.transcript.json", f"{DEFAULT_CONTACT_ID}.vtt"
FILES: Final = sorted([WAV, MANIFEST, TRANSCRIPT, CAPTIONS])


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return written(tmp_path / "call.mkv", call(PARTS, 6.0))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def written(path: Path, tracks: dict[Party, bytes]) -> Path:
    made = SyntheticCall(customer=tracks[Party.CUSTOMER], agent=tracks[Party.AGENT])
    path.write_bytes(capture_of(made))
    return path


def transcript(output: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output / TRANSCRIPT).read_bytes())
    schema = json.loads((ROOT / "docs" / "transcript.schema.json").read_bytes())
    Draft202012Validator(schema).validate(document)
    return document


def who(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["participant"], turn["text"]) for turn in document["turns"]]


@pytest.mark.parametrize("pace", [(), ("--speed", "20")], ids=["at once", "paced"])
def test_the_words_lie_beside_the_recording_which_is_what_it_is_without_them(
    capture: Path, output: Path, tmp_path: Path, pace: tuple[str, ...]
) -> None:
    run_here("replay", capture, "--output", tmp_path / "plain")
    with speech_server() as server:
        finished = run_here("replay", capture, "--output", output, "--whisper", server.url, "--language", "en", *pace)
        host = server.url.removeprefix("http://").removesuffix("/v1")

    assert (finished.code, finished.err) == (0, "")
    assert names(output) == FILES
    assert (output / WAV).read_bytes() == (tmp_path / "plain" / WAV).read_bytes()
    document = transcript(output)
    assert who(document) == TURNS
    assert (document["contactId"], document["engine"], document["language"]) == (DEFAULT_CONTACT_ID, "whisper", "en")
    assert (document["source"], document["durationSeconds"], document["missing"]) == ("live", 6.0, [])
    for turn, part in zip(document["turns"], PARTS, strict=True):
        assert abs(turn["start"] - part.at) <= 0.1
    assert "<v AGENT>foxtrot golf" in (output / CAPTIONS).read_text("utf-8")
    manifest = json.loads((output / MANIFEST).read_bytes())
    Draft202012Validator(json.loads((ROOT / "docs" / "manifest.schema.json").read_bytes())).validate(manifest)
    assert manifest["words"] == {
        "transcript": TRANSCRIPT,
        "captions": CAPTIONS,
        "engine": "whisper",
        "language": "en",
        "turns": 3,
        "missingSeconds": {"customer": 0.0, "agent": 0.0},
    }
    for line in (
        f"Transcript  {output / TRANSCRIPT}",
        f"Captions    {output / CAPTIONS}",
        "Words       customer: 3 words in 1 turn",
        "            agent: 4 words in 2 turns",
        f"Whisper     {host}: 24 segments, 6.000 s, nothing dropped",
    ):
        assert f"{line}\n" in finished.out


def test_followed_turns_come_on_a_terminal_with_time_and_speaker_before_the_report(capture: Path, output: Path) -> None:
    with speech_server() as server:
        screen = on_terminal(
            "replay", capture, "--output", output, "--whisper", server.url, "--speed", "20", "--follow"
        )

    assert screen.code == 0
    shown = screen.lines[: next(at for at, line in enumerate(screen.lines) if line.startswith("Contact"))]
    assert sorted(shown) == [
        "0:01.0  agent     alfa bravo",
        "0:03.0  customer  charlie delta echo",
        "0:03.2  agent     foxtrot golf",
    ]


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("WEBHOOK_SIGNING_SECRET", SECRET_OF_WEBHOOK.decode())
    return SECRET_OF_WEBHOOK


def to(receiver: WebhookReceiver) -> tuple[str | Path, ...]:
    return ("--webhook", receiver.url, "--webhook-ca", receiver.ca_file, "--allow-private-addresses")


def words_posted(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in receiver.received if each.value("Event") == "words"]


def test_the_words_go_to_the_webhook_too_as_the_stack_posts_them(capture: Path, output: Path, secret: bytes) -> None:
    with speech_server() as server, webhook_receiver(secret) as receiver:
        options = ("--whisper", server.url, "--words-webhook", "final", *to(receiver))
        finished = run_here("replay", capture, "--output", output, *options)

        assert (finished.code, finished.err) == (0, "")
        assert receiver.refused == ()
        received = words_posted(receiver)
    turns = {turn["id"]: turn for turn in transcript(output)["turns"]}
    assert {each["turn"]["id"]: each["turn"] for each in received} == turns
    assert {(each["state"], each["contactId"], each["recording"]) for each in received} == {
        ("final", DEFAULT_CONTACT_ID, WAV)
    }
    # The segments go there as without words.
    assert len([each for each in receiver.received if each.value("Event") == "segment"]) == 6


def test_words_that_the_webhook_does_not_take_are_counted_and_the_reason_is_said(
    capture: Path, output: Path, secret: bytes
) -> None:
    def refuse_words(exchange: Exchange) -> None:
        is_words = exchange.http.headers["Connect-Audio-Event"] == "words"
        status = exchange.take()
        exchange.answer(403 if is_words else status)

    with speech_server() as server, webhook_receiver(secret, repeat(refuse_words, 1000)) as receiver:
        options = ("--whisper", server.url, "--words-webhook", "all", *to(receiver))
        finished = run_here("replay", capture, "--output", output, *options)

    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is whole, but not all of its live audio was taken; "
        "webhook did not get 3 messages of whisper: HTTP_403"
    )
    assert "nothing dropped, 3 messages not posted\n" in finished.out
    assert who(transcript(output)) == TURNS
    (warning,) = json.loads((output / MANIFEST).read_bytes())["warnings"]
    assert warning == {"code": "LIVE_MESSAGES_DROPPED", "detail": "3 messages of whisper did not reach a receiver"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--words-webhook", "all"), "--words-webhook is for a webhook; add --webhook URL"),
        (
            ("--words-webhook", "all", "--webhook", "https://example.com"),
            "--words-webhook is for words; add --whisper URL or --transcribe",
        ),
    ],
)
def test_posts_of_words_without_words_or_without_a_receiver_are_refused(
    capture: Path, output: Path, secret: bytes, options: tuple[str, ...], complaint: str
) -> None:
    assert secret
    finished = run_here("replay", capture, "--output", output, *options)
    assert (finished.code, finished.complaint) == (2, complaint)


def test_an_unknown_choice_of_words_for_the_webhook_is_refused_as_the_stack_does(
    capture: Path, output: Path, secret: bytes
) -> None:
    assert secret
    options = ("--whisper", "http://127.0.0.1:9/v1", "--webhook", "https://example.com", "--words-webhook", "some")
    finished = run_here("replay", capture, "--output", output, *options)
    assert finished.code == 2
    assert finished.complaint.startswith("--words-webhook is 'some'; it must be off or final or all.")


def test_a_turn_is_printed_while_the_call_goes_on(output: Path) -> None:
    made = call(PARTS, 6.0)
    data = capture_of(SyntheticCall(customer=made[Party.CUSTOMER], agent=made[Party.AGENT]))
    with (
        speech_server() as server,
        subprocess.Popen(
            [COMMAND, "replay", "-", "--output", output, "--whisper", server.url, "--speed", "20", "--follow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(data[: len(data) * 3 // 4])
            process.stdin.flush()
            assert process.stdout.readline() == b"0:01.0  agent     alfa bravo\n"
            process.stdin.write(data[len(data) * 3 // 4 :])
            process.stdin.close()
            process.stdout.read()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


def test_files_of_words_that_are_there_stay_and_cost_no_request_unless_force_is_given(
    capture: Path, output: Path
) -> None:
    output.mkdir()
    (output / CAPTIONS).write_text("my own")
    with speech_server() as server:
        refused = run_here("replay", capture, "--output", output, "--whisper", server.url)
        assert server.requests == ()
        assert names(output) == [CAPTIONS]
        forced = run_here("replay", capture, "--output", output, "--whisper", server.url, "--force")

    assert refused.code == 2
    assert refused.complaint == f"{output / CAPTIONS}: is there already (--force replaces it)"
    assert forced.code == 0
    assert f"Replaced    {output / CAPTIONS}\n" in forced.out
    assert (output / CAPTIONS).read_text("utf-8").startswith("WEBVTT")


def test_the_words_of_a_recording_go_with_it_and_stay_with_the_same_one(
    capture: Path, output: Path, tmp_path: Path
) -> None:
    with speech_server() as server:
        run_here("replay", capture, "--output", output, "--whisper", server.url)
    whole = names(output)
    same = run_here("replay", capture, "--output", output, "--force")
    assert (same.code, names(output)) == (0, whole)

    other = tmp_path / "other.mkv"
    other.write_bytes(capture.read_bytes()[: capture.stat().st_size // 2])
    refused = run_here("replay", other, "--output", output)
    assert (refused.code, names(output)) == (2, whole)
    replaced = run_here("replay", other, "--output", output, "--force")

    assert sorted(set(whole) - set(names(output))) == sorted([TRANSCRIPT, CAPTIONS])
    assert f" {output / TRANSCRIPT}\n" in replaced.out


def test_the_capture_is_never_written_over_by_its_words(capture: Path, tmp_path: Path) -> None:
    odd = capture.rename(tmp_path / CAPTIONS)
    before = odd.read_bytes()
    with speech_server() as server:
        finished = run_here("replay", odd, "--output", tmp_path, "--whisper", server.url, "--force")

    assert finished.code == 2
    assert finished.complaint == f"{odd} is an input of this command: choose another output"
    assert odd.read_bytes() == before


def test_json_has_the_facts_of_the_words(capture: Path, output: Path) -> None:
    with speech_server() as server:
        told = run_here("replay", capture, "--output", output, "--whisper", server.url, "--json")
    plain = run_here("replay", capture, "--output", output / "plain", "--json")

    assert json.loads(told.out)["words"] == {
        "transcript": str(output / TRANSCRIPT),
        "captions": str(output / CAPTIONS),
        "engine": "whisper",
        "language": None,
        "turns": 3,
        "missingSeconds": {"customer": 0.0, "agent": 0.0},
    }
    assert json.loads(plain.out)["words"] is None


def lacks(document: dict[str, Any], part: Said) -> bool:
    """True if the spans without words cover all that a party says there."""
    at, end = part.at, part.at + len(marker_speech(part.words, RATE)) / 2 / RATE
    for span in sorted(document["missing"], key=lambda each: each["start"]):
        if span["participant"] in {None, part.party.upper()} and span["start"] <= at:
            at = max(at, span["end"])
    return at >= end


def test_a_server_that_refuses_the_key_costs_the_words_and_not_the_recording(capture: Path, output: Path) -> None:
    with speech_server(key="another") as server:
        finished = run_here("replay", capture, "--output", output, "--whisper", server.url)

    assert finished.code == 3
    document = transcript(output)
    assert (document["turns"], names(output)) == ([], FILES)
    # The answer to the first words may come while the call's silent begin is settled already.
    lacking = json.loads((output / MANIFEST).read_bytes())["words"]["missingSeconds"]
    # Behind the answer a new session may take the call's silent end.
    assert [part.words for part in PARTS if not lacks(document, part)] == []
    told = re.fullmatch(
        r"(.*) is whole, but not all of its live audio was taken; whisper did not get \d\.\d{3} s of 6\.000 s: "
        r"HTTP_401 \(--api-key-env NAME gives the server's key\); there are no words for (.*) s of the customer, "
        rf'(.*) s of the agent \(see "missing" in {TRANSCRIPT}\)',
        finished.complaint,
    )
    assert told is not None
    assert told.groups() == (str(output / WAV), f"{lacking['customer']:.3f}", f"{lacking['agent']:.3f}")
    # A party's span may be two, by their reasons: the answer comes at any moment of the reading.
    assert re.search(r"^No words    (customer|agent): \d\.\d to \d\.\d s, [A-Z_]+$", finished.out, re.MULTILINE)


def test_a_server_far_slower_than_the_reading_costs_no_word(tmp_path: Path, output: Path) -> None:
    parts = [said(Party.AGENT, 1.0, "alfa")]
    parts += [said(Party.CUSTOMER, at, word) for at, word in ((30.0, "bravo"), (60.0, "golf"), (90.0, "hotel"))]
    with speech_server(None, repeat(faults.slow(0.6))) as server:
        capture = written(tmp_path / "long.mkv", call(parts, 100.0))
        finished = run_here("replay", capture, "--output", output, "--whisper", server.url)

    assert (finished.code, finished.err) == (0, "")
    assert who(transcript(output)) == [(part.party.upper(), part.words[0]) for part in parts]


def test_transcribe_makes_the_words_the_same_way(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    customer, agent = quiet(1.0) + spoken("seven three"), quiet(2.5) + spoken("one two")
    capture = tmp_path / "call.mkv"
    samples = [side.ljust(len(quiet(5.0)), b"\0") for side in (customer, agent)]
    capture.write_bytes(capture_of(SyntheticCall(customer=samples[0], agent=samples[1])))
    for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET), ("DEFAULT_REGION", "eu-central-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with transcribe_service() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING", service.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(service.ca_file))
        words = ("--transcribe", "--language", "en-US", "--follow", "--speed", "10")
        finished = run("replay", capture, "--output", output, *words)
        streams = service.model.streams

    assert (finished.code, finished.err) == (0, "")
    document = transcript(output)
    assert who(document) == [("CUSTOMER", "seven three."), ("AGENT", "one two.")]
    assert (document["engine"], document["language"]) == ("transcribe", "en-US")
    assert finished.out.splitlines()[:2] == ["0:01.0  customer  seven three.", "0:02.5  agent     one two."]
    assert "Transcribe  Amazon Transcribe: 20 segments, 5.000 s, nothing dropped\n" in finished.out
    assert [stream.outcome for stream in streams] == ["whole"]


def test_transcribe_keeps_the_call_s_pace_unless_another_is_asked_for() -> None:
    words = words_options(parser().read(["call.mkv", "--transcribe", "--language", "en-US"]))
    assert words is not None

    for given, speed in ((None, 1.0), (4.0, 4.0)):
        live = live_options(Typed(words=words, speed=given))
        assert live is not None
        assert live.speed == speed


def test_transcribe_without_credentials_writes_nothing(
    capture: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    finished = run("replay", capture, "--output", output, "--transcribe", "--language", "en-US")

    assert (finished.code, names(output)) == (2, [])
    assert finished.complaint == "--transcribe: no credentials of AWS are configured"


@pytest.mark.parametrize("missing", ["aws_sdk_transcribe_streaming", "awscrt"])
def test_transcribe_without_its_packages_says_what_to_install(
    capture: Path, output: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    finished = run_here("replay", capture, "--output", output, "--transcribe", "--language", "en-US")

    assert finished.code == 2
    assert finished.complaint == (
        f"--transcribe needs {missing}, which is not installed: "
        "in the checkout, pip install '.[words]' (or uv tool install '.[words]')"
    )
    assert names(output) == []


@pytest.mark.parametrize("pace", [("--speed", "20"), ()], ids=["paced", "at once"])
def test_an_interrupted_replay_with_a_hanging_server_leaves_nothing(
    capture: Path, output: Path, pace: tuple[str, ...]
) -> None:
    with (
        speech_server(None, [faults.hang] * 10) as server,
        subprocess.Popen(
            [COMMAND, "replay", capture, "--output", output, "--whisper", server.url, *pace], stderr=subprocess.PIPE
        ) as process,
    ):
        try:
            assert server.wait_for_requests(1, PATIENCE_S)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 130
            assert process.stderr is not None
            assert process.stderr.read() == b"connect-audio: interrupted\n"
        finally:
            process.kill()
    assert names(output) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--follow",), "--follow is for words; add --whisper URL or --transcribe"),
        (("--model", "tiny"), "--model is for a speech server; add --whisper URL"),
        (
            ("--whisper", "http://a/", "--transcribe"),
            "--whisper and --transcribe both make the words: drop one of them",
        ),
        (
            ("--whisper", "http://127.0.0.1:1/v1", "--output", "-"),
            "words are written beside the recording: --output takes a folder",
        ),
        (
            ("--whisper", "http://127.0.0.1:1/v1", "--follow", "--json"),
            "--follow prints lines for people: drop --json and --quiet, or --follow",
        ),
        (("--sink", "whisper"), "--sink whisper has an option of its own: --whisper"),
        (("--transcribe",), "--transcribe needs the spoken language: add --language CODE, such as en-US"),
        (
            ("--transcribe", "--language", "en"),
            "--language 'en': Transcribe needs the language with its country, such as en-US.",
        ),
        (
            ("--transcribe", "--language", "en-US", "--model", "tiny"),
            "--model is for a speech server; --transcribe has none",
        ),
    ],
)
def test_options_that_cannot_be_used_are_told_before_anything_is_read(options: tuple[str, ...], complaint: str) -> None:
    finished = run_here("replay", "/nowhere.mkv", *options)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == complaint
