"""`connect-audio emulate` and `synthesize` as a user runs them."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S, recording, run

SPEECH = two_party_conversation(5)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a call.mkv"
    call = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
    path.write_bytes(b"".join(fragment.data for fragment in synthesize_call(call)))
    return path


@contextmanager
def emulating(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An emulator that listens, and what it has printed so far."""
    with subprocess.Popen(
        [COMMAND, "emulate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Ctrl-C"):
                line = process.stdout.readline()
                assert line, f"it ended after printing {lines}"
                lines.append(line)
            yield process, "".join(lines)
        finally:
            process.kill()


def client(service: str, exports: dict[str, str]) -> Any:
    name = service.replace("-", "_").upper().replace("KINESISVIDEO", "KINESIS_VIDEO")
    return boto3.client(service, endpoint_url=exports[f"AWS_ENDPOINT_URL_{name}"], region_name="eu-west-2")  # type: ignore[call-overload]


def exports_in(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)=(.*)$", printed, re.MULTILINE))


def test_the_printed_variables_lead_an_sdk_to_the_capture(capture: Path) -> None:
    with emulating(capture) as (_, printed):
        exports = exports_in(printed)
        kinesis_video = client("kinesisvideo", exports)
        endpoint = kinesis_video.get_data_endpoint(StreamName="a-call", APIName="GET_MEDIA")["DataEndpoint"]
        media = boto3.client("kinesis-video-media", endpoint_url=endpoint, region_name="eu-west-2")
        body = media.get_media(StreamName="a-call", StartSelector={"StartSelectorType": "EARLIEST"})["Payload"]
        served = body.read()
        body.close()
        kinesis_video.close()
        media.close()

    assert served == capture.read_bytes()
    assert {
        "AWS_ENDPOINT_URL_KINESIS_VIDEO",
        "AWS_ENDPOINT_URL_KINESIS_VIDEO_MEDIA",
        "AWS_ENDPOINT_URL_KINESIS_VIDEO_ARCHIVED_MEDIA",
        "AWS_ENDPOINT_URL_CONNECT",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "NO_PROXY",
        "no_proxy",
    } == set(exports)
    assert f"holds  contact {DEFAULT_CONTACT_ID}, StartTimestamp 1782912654536" in printed
    assert "stream/a-call/" in printed


def test_a_stream_is_as_long_as_its_audio(tmp_path: Path) -> None:
    # The last of its blocks of 64 ms holds 48 ms.
    assert run("synthesize", "call.mkv", "--seconds", "30", cwd=tmp_path).code == 0

    with emulating(tmp_path / "call.mkv") as (_, printed):
        assert "30 fragments, 30.000 s" in printed


def test_the_terminal_says_once_why_a_request_got_nothing(capture: Path) -> None:
    with emulating(capture) as (process, printed):
        kinesis_video = client("kinesisvideo", exports_in(printed))
        with closing(kinesis_video):
            for _ in range(2):
                with pytest.raises(kinesis_video.exceptions.ResourceNotFoundException):
                    kinesis_video.describe_stream(StreamName="calls")
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=PATIENCE_S)[1]

    assert said == (
        "connect-audio: DescribeStream of stream calls: ResourceNotFoundException: "
        "The requested stream is not found or not active: calls; the streams are a-call\n"
    )
    assert rest == "connect-audio: interrupted\n"


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_ends_it_like_every_command(capture: Path, number: signal.Signals, word: str) -> None:
    with emulating(capture) as (process, _):
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out, err) == (128 + number, "", f"connect-audio: {word}\n")


def test_each_capture_is_a_stream_of_the_name_that_the_user_gives(capture: Path) -> None:
    with emulating(capture, capture, "--stream-name", "one", "--stream-name", "two", "--retention-hours", "0") as (
        _,
        printed,
    ):
        kinesis_video = client("kinesisvideo", exports_in(printed))
        retention = [
            kinesis_video.describe_stream(StreamName=name)["StreamInfo"]["DataRetentionInHours"]
            for name in ("one", "two")
        ]
        kinesis_video.close()

    assert retention == [0, 0]


def test_streams_of_one_name_are_refused(capture: Path) -> None:
    finished = run("emulate", capture, capture)

    assert finished.code == 2
    assert finished.complaint.startswith(f"{capture}: ")
    assert finished.complaint.endswith("(see --stream-name)")


def test_a_name_for_some_captures_only_is_refused(capture: Path) -> None:
    finished = run("emulate", capture, capture, "--stream-name", "one")

    assert finished.code == 2
    assert finished.complaint.startswith("--stream-name is given 1 time for 2 captures: ")


def test_a_port_that_is_taken_is_named(capture: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = run("emulate", capture, "--port", str(port))

    assert finished.code == 2
    assert finished.complaint == f"cannot listen on 127.0.0.1 port {port}: Address already in use"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"no capture", "is no GetMedia capture: "),
        (b"\x1a\x45\xdf\xa3 hello", "is no GetMedia capture: "),
    ],
    ids=["missing", "empty", "text", "text behind EBML magic"],
)
def test_what_is_no_capture_is_not_served(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "x.mkv"
    if content is not None:
        path.write_bytes(content)

    finished = run("emulate", path)

    assert finished.code == 2
    assert finished.complaint.startswith(f"{path}: {complaint}")


def test_a_directory_and_standard_input_are_not_served(tmp_path: Path) -> None:
    assert run("emulate", tmp_path).complaint == f"{tmp_path}: cannot be read: Is a directory"
    assert run("emulate", "-").complaint.startswith("emulate reads a capture many times")


# --- synthesize ------------------------------------------------------------------------------------------------------


def write_wav(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(pcm)
    return path


def test_two_wavs_come_back_from_the_capture_made_of_them(tmp_path: Path) -> None:
    customer, agent = (
        write_wav(tmp_path / "customer.wav", SPEECH.customer),
        write_wav(tmp_path / "agent.wav", SPEECH.agent),
    )

    made = run("synthesize", tmp_path / "call.mkv", "--customer", customer, "--agent", agent, "--contact-id", "my-call")
    assert (made.code, made.err) == (0, "")
    assert run("replay", tmp_path / "call.mkv", "--output", tmp_path).code == 0

    replayed = recording(tmp_path, "my-call")
    assert (replayed.left, replayed.right) == (SPEECH.customer, SPEECH.agent)


def test_generated_speech_has_the_length_that_was_asked_for(tmp_path: Path) -> None:
    assert run("synthesize", tmp_path / "call.mkv", "--seconds", "3.5", "--seed", "1").code == 0
    assert run("replay", tmp_path / "call.mkv", "--output", tmp_path).code == 0

    assert recording(tmp_path, DEFAULT_CONTACT_ID).manifest["recording"]["durationSeconds"] == 3.5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--customer", "x.wav"), "--customer and --agent belong together"),
        (("--customer", "x.wav", "--agent", "x.wav"), "x.wav: cannot be read: No such file or directory"),
        (("--contact-id", "../x"), "--contact-id '../x' is no contact id"),
        (("--seconds", "nan"), "Invalid value for '--seconds': "),
    ],
)
def test_what_cannot_be_synthesized_is_said_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    finished = run("synthesize", "call.mkv", *arguments, cwd=tmp_path)

    assert finished.code == 2
    assert finished.complaint.startswith(complaint)
    assert list(tmp_path.iterdir()) == []


def test_a_wav_that_is_no_wav_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"no wav")

    finished = run("synthesize", tmp_path / "c.mkv", "--customer", tmp_path / "x.wav", "--agent", tmp_path / "x.wav")

    assert finished.code == 2
    assert finished.complaint.startswith(f"{tmp_path / 'x.wav'}: is no PCM WAV file")
    assert not (tmp_path / "c.mkv").exists()
