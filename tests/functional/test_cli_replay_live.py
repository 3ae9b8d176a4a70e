"""`connect-audio replay` with live sinks, as a user runs it: the folder, what is posted, and exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.webhook.faults import answer, hang_before_reading
from connect_audio_local.webhook.model import WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver
from support.calls import capture_of
from support.command import COMMAND, PATIENCE_S, run
from support.replayed_calls import (
    CALL,
    MORTAL,
    OTHER_CALL,
    OTHER_ID,
    REAL_CALL,
    SPEECH,
    names,
    needs_a_mortal,
    needs_captures,
)
from support.wav import joined_wavs, pcm

SECRET = "a secret of a good length, for tests"
REAL_ID = "00000000-0000-4000-8000-000000000001"
WAV = f"{DEFAULT_CONTACT_ID}.wav"
MANIFEST = f"{DEFAULT_CONTACT_ID}.json"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "call.mkv"
    path.write_bytes(capture_of(CALL))
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "live"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("WEBHOOK_SIGNING_SECRET", SECRET)
    return SECRET.encode()


def posted(receiver: WebhookReceiver) -> bytes:
    """What a receiver got, in the order of the segments."""
    segments = {int(each.value("Segment")): each.body for each in receiver.received if each.value("Event") == "segment"}
    assert sorted(segments) == list(range(len(segments)))
    return b"".join(pcm(segments[number]) for number in sorted(segments))


def to(receiver: WebhookReceiver) -> tuple[str | Path, ...]:
    return ("--webhook", receiver.url, "--webhook-ca", receiver.ca_file, "--allow-private-addresses")


# --- segments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [(), ("--speed", "20")], ids=["at once", "paced"])
def test_the_segments_joined_are_the_recording_which_is_what_it_is_without_them(
    capture: Path, output: Path, folder: Path, tmp_path: Path, pace: tuple[str, ...]
) -> None:
    run("replay", capture, "--output", tmp_path / "plain")

    finished = run("replay", capture, "--output", output, "--segments", folder, *pace)

    assert (finished.code, finished.err) == (0, "")
    assert f"Segments   {folder}: 5 segments, 5.000 s, nothing dropped" in finished.out
    assert ("Lag " in finished.out) == bool(pace)
    assert names(output) == [MANIFEST, WAV]
    assert (output / WAV).read_bytes() == (tmp_path / "plain" / WAV).read_bytes()
    manifest, plain = (json.loads((where / MANIFEST).read_bytes()) for where in (output, tmp_path / "plain"))
    (told,) = manifest.pop("live")["sinks"]
    assert (told["name"], told["deliveries"], told["droppedSeconds"], told["failure"]) == ("segments", 5, 0, None)
    assert plain.pop("live") is None
    assert manifest == plain
    assert names(folder) == [*(f"{number:06d}.wav" for number in range(5)), "index-00000.json", "index.json"]
    assert joined_wavs(folder) == (output / WAV).read_bytes()[44:]
    index = json.loads((folder / "index.json").read_bytes())
    assert (index["state"], index["durationSeconds"], index["missing"]) == ("ended", 5.0, [])
    assert (index["contactId"], index["recording"]) == (DEFAULT_CONTACT_ID, WAV)


@needs_captures
@pytest.mark.parametrize("pace", [(), ("--speed", "40")], ids=["at once", "paced"])
def test_the_segments_of_a_real_call_are_its_recording(output: Path, folder: Path, pace: tuple[str, ...]) -> None:
    finished = run("replay", REAL_CALL, "--output", output, "--segments", folder, *pace)

    assert (finished.code, finished.err) == (0, "")
    assert len(list(folder.glob("*.wav"))) == 62
    assert joined_wavs(folder) == (output / f"{REAL_ID}.wav").read_bytes()[44:]


def test_segments_can_be_longer_of_each_party_and_at_16_khz(capture: Path, output: Path, folder: Path) -> None:
    shape = ("--segment-seconds", "2", "--segment-rate", "16000", "--segment-layout", "tracks")

    finished = run("replay", capture, "--output", output, "--segments", folder, *shape)

    assert (finished.code, finished.err) == (0, "")
    assert [name for name in names(folder) if name.endswith(".wav")] == [
        f"{number:06d}.{party}.wav" for number in range(3) for party in ("agent", "customer")
    ]
    # Of each two samples at 16 kHz the second is the original's.
    for party, first in (("customer", 44), ("agent", 46)):
        kept, said = bytearray(5 * 16_000), bytearray(5 * 16_000)
        doubled, wav = joined_wavs(folder, f"*.{party}.wav"), (output / WAV).read_bytes()
        kept[0::2], kept[1::2] = doubled[2::4], doubled[3::4]
        said[0::2], said[1::2] = wav[first::4], wav[first + 1 :: 4]
        assert kept == said


def test_a_call_replayed_again_leaves_the_same_segments(capture: Path, output: Path, folder: Path) -> None:
    run("replay", capture, "--output", output, "--segments", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    finished = run("replay", capture, "--output", output, "--segments", folder, "--force")

    assert (finished.code, finished.err) == (0, "")
    assert f"Replaced   5 segment files in {folder}\n" in finished.out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_only_the_contact_s_own_audio_is_in_the_segments(output: Path, folder: Path) -> None:
    options = ("--output", output, "--segments", folder, "--contact-id", OTHER_ID, "--speed", "20")

    finished = run("replay", "-", *options, stdin=capture_of(CALL, OTHER_CALL))

    assert (finished.code, finished.err) == (0, "")
    assert joined_wavs(folder) == (output / f"{OTHER_ID}.wav").read_bytes()[44:]


def test_a_folder_with_another_call_s_segments_stays_as_it_is(capture: Path, output: Path, folder: Path) -> None:
    run("replay", "-", "--output", output, "--segments", folder, stdin=capture_of(OTHER_CALL))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    finished = run("replay", capture, "--output", output / "new", "--segments", folder)

    assert finished.code == 2
    assert finished.complaint == (
        f"{folder} holds 5 segment files of an earlier replay: --force replaces them, or choose another folder"
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(output / "new") == []


@needs_a_mortal
def test_a_folder_that_may_not_be_written_to_is_named_before_anything_is_written(
    capture: Path, output: Path, folder: Path
) -> None:
    folder.mkdir(mode=0o555)

    finished = run("replay", capture, "--output", output, "--segments", folder, under=MORTAL)

    assert finished.code == 2
    assert finished.complaint == f"{folder}/index.json: cannot be written: Permission denied"
    assert names(output) == []


def test_an_output_that_cannot_be_written_leaves_no_segment(capture: Path, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("kept")

    finished = run("replay", capture, "--output", tmp_path / "file", "--segments", folder)

    assert finished.code == 2
    assert names(folder) == []


@pytest.mark.parametrize("content", [b"not a capture", capture_of(OTHER_CALL)], ids=["no capture", "another call"])
def test_what_holds_none_of_the_contact_s_audio_leaves_no_folder(output: Path, folder: Path, content: bytes) -> None:
    options = ("--output", output, "--segments", folder, "--contact-id", DEFAULT_CONTACT_ID)

    finished = run("replay", "-", *options, "--speed", "1", stdin=content)

    assert finished.code == 2
    assert finished.complaint.startswith("standard input: ")
    assert not folder.exists()


def test_a_recording_that_is_not_whole_is_said_so_although_its_segments_are(
    capture: Path, output: Path, folder: Path
) -> None:
    capture.write_bytes(capture.read_bytes()[:50_000])

    finished = run("replay", capture, "--output", output, "--segments", folder)

    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is written but not whole: TRUNCATED_FRAGMENTS: 1 fragment was cut off; "
        f'its whole blocks are in the recording (also LOST_BYTES) (see "reasons" in {MANIFEST})'
    )
    assert joined_wavs(folder) == (output / WAV).read_bytes()[44:]


# --- webhook ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [(), ("--speed", "20")], ids=["at once", "paced"])
def test_a_webhook_gets_every_segment_signed_and_the_end(
    capture: Path, output: Path, secret: bytes, pace: tuple[str, ...]
) -> None:
    with webhook_receiver(secret) as receiver:
        finished = run("replay", capture, "--output", output, *to(receiver), *pace)

        assert (finished.code, finished.err) == (0, "")
        assert receiver.refused == ()
        assert posted(receiver) == (output / WAV).read_bytes()[44:]
        end = receiver.received[-1]
    authority = receiver.url.removeprefix("https://").partition("/")[0]
    assert f"Webhook    {authority}: 5 segments, 5.000 s, nothing dropped" in finished.out
    assert (end.value("Event"), end.value("Contact-Id")) == ("end", DEFAULT_CONTACT_ID)
    assert json.loads(end.body)["durationSeconds"] == 5.0


def test_a_dead_webhook_is_given_up_and_neither_the_recording_nor_the_folder_lacks_anything(
    capture: Path, output: Path, folder: Path, secret: bytes
) -> None:
    with webhook_receiver(secret, [answer(503)] * 1000) as receiver:
        finished = run("replay", capture, "--output", output, "--segments", folder, *to(receiver))

    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is whole, but not all of its live audio was taken; "
        "webhook did not get 5.000 s of 5.000 s: HTTP_503"
    )
    assert "dropped 5.000 s, 5 failed tries" in finished.out
    assert joined_wavs(folder) == (output / WAV).read_bytes()[44:]
    manifest = json.loads((output / MANIFEST).read_bytes())
    assert manifest["status"] == "complete"
    assert [(warning["code"], warning["detail"]) for warning in manifest["warnings"]] == [
        ("LIVE_AUDIO_DROPPED", "webhook did not get 5.000 s of the live audio")
    ]


def test_what_a_webhook_refuses_for_a_moment_it_gets_all_the_same(capture: Path, output: Path, secret: bytes) -> None:
    with webhook_receiver(secret, [answer(503), answer(429)]) as receiver:
        finished = run("replay", capture, "--output", output, *to(receiver))

        assert (finished.code, finished.err) == (0, "")
        assert posted(receiver) == (output / WAV).read_bytes()[44:]
    assert "nothing dropped, 2 failed tries" in finished.out


def test_a_webhook_that_misses_the_end_alone_is_told_so(capture: Path, output: Path, secret: bytes) -> None:
    healthy = [lambda exchange: exchange.answer(exchange.take())] * 5
    with webhook_receiver(secret, [*healthy, answer(404)]) as receiver:
        finished = run("replay", capture, "--output", output, *to(receiver))

    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is whole, but not all of its live audio was taken; webhook did not take the end: HTTP_404"
    )


def test_a_recording_and_a_webhook_that_both_lack_something_are_said_in_one_line(
    capture: Path, output: Path, secret: bytes
) -> None:
    capture.write_bytes(capture.read_bytes()[:50_000])

    with webhook_receiver(secret, [answer(404)] * 1000) as receiver:
        finished = run("replay", capture, "--output", output, *to(receiver))

    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is written but not whole: TRUNCATED_FRAGMENTS: 1 fragment was cut off; "
        f'its whole blocks are in the recording (also LOST_BYTES) (see "reasons" in {MANIFEST}); '
        "webhook did not get 1.472 s of 1.472 s: HTTP_404"
    )


def test_a_private_address_gets_nothing_unless_it_is_allowed(capture: Path, output: Path, secret: bytes) -> None:
    with webhook_receiver(secret) as receiver:
        options = ("--webhook", receiver.url, "--webhook-ca", receiver.ca_file)
        finished = run("replay", capture, "--output", output, *options)

        assert receiver.connections == 0
    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is whole, but not all of its live audio was taken; webhook did not get 5.000 s of 5.000 s: "
        "ADDRESS_REFUSED (--allow-private-addresses allows one in your own network)"
    )


def test_a_certificate_that_nobody_trusts_gets_nothing(capture: Path, output: Path, secret: bytes) -> None:
    with webhook_receiver(secret) as receiver:
        options = ("--webhook", receiver.url, "--allow-private-addresses")
        finished = run("replay", capture, "--output", output, *options)

        assert receiver.requests == 0
    assert finished.code == 3
    assert finished.complaint == (
        f"{output / WAV} is whole, but not all of its live audio was taken; webhook did not get 5.000 s of 5.000 s: "
        "TLS_CERTIFICATE (--webhook-ca FILE trusts one of your own)"
    )


# --- what was typed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("--webhook", "http://example.com/?token=abc"),
            (
                "--webhook is a text of 29 characters that is not shown here; it must be an address that begins with "
                "https://, without spaces and #. Only HTTPS is supported."
            ),
        ),
        (
            ("--webhook", "https://:8443/"),
            (
                "the webhook's URL is no https://host[:port][/path][?query] without spaces. "
                "Set --webhook to an address such as https://example.com/calls."
            ),
        ),
        (
            ("--webhook", ""),
            (
                "--webhook is empty; it must be an address that begins with https://, without spaces and #. "
                "Only HTTPS is supported."
            ),
        ),
        (
            ("--segments", "live", "--segment-seconds", "61"),
            "--segment-seconds is '61'; it must be a whole number of seconds, 1 to 60. 1 suits most.",
        ),
        (
            ("--segments", "live", "--segment-rate", "44100"),
            "--segment-rate is '44100'; it must be source or 16000. Set it to 16000 for models that want it.",
        ),
        (
            ("--segments", "live", "--segment-layout", "mono"),
            "--segment-layout is 'mono'; it must be stereo or tracks. stereo suits most.",
        ),
        (("--segments", "live", "--webhook-ca", "ca.pem"), "--webhook-ca is for a webhook; add --webhook URL"),
        (
            ("--allow-private-addresses",),
            "--allow-private-addresses is for a webhook; add --webhook URL",
        ),
        (
            ("--segment-rate", "16000"),
            "--segment-rate is for segments; add --segments FOLDER or --webhook URL",
        ),
        (("--speed", "inf"), "--speed is inf; it must be a number of at least 0.01"),
        (
            ("--webhook", "https://example.com", "--webhook-ca", "/nowhere/ca.pem"),
            "/nowhere/ca.pem: cannot be read: No such file or directory",
        ),
        (
            ("--webhook", "https://example.com", "--webhook-ca", "/dev/null"),
            "/dev/null: holds no certificates in PEM",
        ),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_read_or_written(
    tmp_path: Path, secret: bytes, arguments: tuple[str, ...], complaint: str
) -> None:
    del secret
    finished = run("replay", "/nowhere.mkv", *arguments, cwd=tmp_path)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == complaint
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("", "--webhook signs with the text in the variable WEBHOOK_SIGNING_SECRET, which is not set"),
        ("too short", "the secret in WEBHOOK_SIGNING_SECRET is shorter than 16 characters"),
    ],
)
def test_a_webhook_needs_a_secret_that_cannot_be_guessed(
    monkeypatch: pytest.MonkeyPatch, secret: str, complaint: str
) -> None:
    monkeypatch.setenv("WEBHOOK_SIGNING_SECRET", secret)

    finished = run("replay", "/nowhere.mkv", "--webhook", "https://example.com")

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == complaint


# --- while it lasts --------------------------------------------------------------------------------------------------


@contextmanager
def replaying(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [COMMAND, "replay", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_segments_of_a_paced_replay_go_out_before_their_fragment_is_over(output: Path, secret: bytes) -> None:
    # The third fragment spans 2.048 to 3.072 s. All but its last block of each party is there, so 3 s are.
    first, second, third = (fragment.data for fragment in list(synthesize_call(CALL))[:3])
    with (
        webhook_receiver(secret) as receiver,
        replaying("-", "--output", output, *to(receiver), "--speed", "20") as process,
    ):
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(first + second + third[: third.rindex(b"\xa3") - 1100])
        process.stdin.flush()

        assert receiver.wait_for_requests(3, PATIENCE_S), "a segment waits for the end of its fragment"
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 3
        assert b"TRUNCATED_FRAGMENTS" in process.stderr.read()
        assert posted(receiver) == (output / WAV).read_bytes()[44:]


@pytest.mark.parametrize(
    ("hangs", "pace"),
    [
        pytest.param(False, ("--speed", "2"), id="taking"),
        pytest.param(True, ("--speed", "2"), id="hanging"),
        pytest.param(True, (), id="waited for"),
    ],
)
def test_an_interrupted_replay_leaves_whole_segments_alone(
    tmp_path: Path, output: Path, folder: Path, secret: bytes, *, hangs: bool, pace: tuple[str, ...]
) -> None:
    long = tmp_path / "long.mkv"
    long.write_bytes(capture_of(SyntheticCall(customer=24 * SPEECH.customer, agent=24 * SPEECH.agent)))
    with (
        webhook_receiver(secret, [hang_before_reading] * 1000 if hangs else ()) as receiver,
        replaying(long, "--output", output, "--segments", folder, *to(receiver), *pace) as process,
    ):
        assert process.stderr is not None
        assert receiver.wait_for_requests(1, PATIENCE_S)

        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read() == b"connect-audio: interrupted\n"
    assert names(output) == []
    assert [name for name in names(folder) if name.startswith(".")] == []
    assert all(len(pcm(wav.read_bytes())) == 32_000 for wav in folder.glob("*.wav"))
    assert all(json.loads(head.read_bytes())["state"] == "live" for head in folder.glob("index.json"))
