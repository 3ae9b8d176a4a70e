"""Settings of the user's other work do not disturb the commands that need no AWS; an obstacle is one line."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from connect_audio_cli.demo.demo_run import begin, demo_calls, first_of_ours
from connect_audio_cli.output.command_error import CommandError
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.capture import stored
from connect_audio_local.kvs.model import EmulatedStream
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, synthesize_stream
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S, run

DEAD: Final = "http://127.0.0.1:1"
HOSTILE: Final = {
    "AWS_PROFILE": "a-profile-that-is-nowhere",
    "AWS_DEFAULT_PROFILE": "another-one",
    "AWS_CONFIG_FILE": "/no/such/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/no/such/credentials",
    "AWS_ENDPOINT_URL": DEAD,
    "AWS_ENDPOINT_URL_S3": DEAD,
    "AWS_ENDPOINT_URL_LAMBDA": DEAD,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_CA_BUNDLE": "/no/such/bundle.pem",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_REGION": "cn-north-1",
    "AWS_DEFAULT_REGION": "cn-north-1",
    "AWS_SESSION_TOKEN": "a token of another account",
    "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/other",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such/token",
    "AWS_RETRY_MODE": "nonsense",
    "AWS_MAX_ATTEMPTS": "nonsense",
    "HTTP_PROXY": DEAD,
    "http_proxy": DEAD,
    "HTTPS_PROXY": DEAD,
    "https_proxy": DEAD,
    "ALL_PROXY": DEAD,
    "all_proxy": DEAD,
    "NO_PROXY": "example.com",
    "no_proxy": "example.com",
    "REQUESTS_CA_BUNDLE": "/no/such/bundle.pem",
}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("live", [(), ("--live",)], ids=["fast", "live"])
def test_the_demo_runs_under_another_project_s_settings(live: tuple[str, ...], tmp_path: Path) -> None:
    finished = run("demo", *live, "--seconds", "2", "--output", tmp_path, "--json")

    assert (finished.code, finished.err) == (0, "")
    assert json.loads(finished.out)["isEqualToWhatWasSent"] is True


@pytest.mark.usefixtures("hostile")
def test_synthesize_and_replay_run_under_another_project_s_settings(tmp_path: Path) -> None:
    assert run("synthesize", tmp_path / "call.mkv", "--seconds", "2").code == 0
    assert run("replay", tmp_path / "call.mkv", "-o", tmp_path, "--segments", tmp_path / "live").code == 0


# An SDK in the user's other shell, after what `emulate` prints was pasted there.
READER: Final = """
import boto3
endpoint = boto3.client("kinesisvideo").get_data_endpoint(StreamName="call", APIName="GET_MEDIA")["DataEndpoint"]
media = boto3.client("kinesis-video-media", endpoint_url=endpoint)
body = media.get_media(StreamName="call", StartSelector={"StartSelectorType": "EARLIEST"})["Payload"]
print(len(body.read()))
"""


def test_the_lines_that_emulate_prints_lead_an_sdk_here_from_a_shell_with_other_settings(tmp_path: Path) -> None:
    capture = tmp_path / "call.mkv"
    run("synthesize", capture, "--seconds", "2")
    with subprocess.Popen(
        [COMMAND, "emulate", capture], stdout=subprocess.PIPE, text=True, env={**os.environ, **HOSTILE}
    ) as process:
        try:
            assert process.stdout is not None
            printed = ""
            while "Ctrl-C" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            pasted = "\n".join(re.findall(r"^(?:export|unset) .*$", printed, re.MULTILINE))
            other = {name: value for name, value in HOSTILE.items() if not re.search("FIPS|DUALSTACK|RETRY|MAX_", name)}
            done = subprocess.run(
                ["bash", "-c", f"{pasted}\nexec \"$0\" -W ignore -c '{READER}'", sys.executable],
                env={**os.environ, **other},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        finally:
            process.kill()

    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == capture.stat().st_size


class RefusingCloud(LocalCloud):
    """Its trigger refuses every call; nothing else of it is asked."""

    def __init__(self) -> None:
        """Start nothing."""

    def trigger(self, event: object) -> dict[str, str]:
        del event
        return {"status": "REJECTED", "reason": "THROTTLED"}


def test_a_refused_start_says_why() -> None:
    calls = demo_calls(two_party_conversation(2), neighbour_s=1, pause_ms=100)
    stream = EmulatedStream("call", list(stored(synthesize_stream(calls))))

    with pytest.raises(CommandError, match=r"^the trigger refused the call: THROTTLED$"):
        begin(RefusingCloud(), stream, first_of_ours(calls), Console(quiet=True))


def test_a_setting_of_the_functions_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START_TIMEOUT_MS", "soon")

    finished = run("demo", "--seconds", "2", "--output", tmp_path)

    assert finished.code == 2
    assert finished.complaint.startswith("START_TIMEOUT_MS is 'soon'; it must be a whole number of milliseconds")


@pytest.mark.parametrize("live", [(), ("--live",)], ids=["fast", "live"])
def test_a_folder_that_cannot_be_made_is_one_line(live: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    finished = run("demo", *live, "--output", tmp_path / "file" / "out")

    assert finished.code == 2
    assert finished.complaint == f"{tmp_path}/file is a file, and a folder is needed there"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


def test_a_taken_port_is_one_line_in_the_emulator(taken_port: int, tmp_path: Path) -> None:
    run("synthesize", tmp_path / "call.mkv", "--seconds", "1")

    finished = run("emulate", tmp_path / "call.mkv", "--port", str(taken_port))

    assert finished.code == 2
    assert finished.complaint == f"cannot listen on 127.0.0.1 port {taken_port}: Address already in use"


def test_a_taken_port_is_one_line_in_the_receiver(taken_port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "connect_audio_local.webhook", "--port", str(taken_port)],
        env={**os.environ, "WEBHOOK_SIGNING_SECRET": "a secret of enough characters"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"webhook: cannot listen on 127.0.0.1 port {taken_port}: Address already in use\n"


def test_what_the_emulator_served_is_named_by_its_contact(tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "emulate", "--json", _synthesized(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            text = ""
            while not text.endswith("\n}\n"):
                text += process.stdout.readline()
        finally:
            process.kill()

    document = json.loads(text)
    (stream,) = document["streams"]
    assert (stream["name"], stream["fragments"], stream["durationSeconds"]) == ("call", 1, 1.0)
    assert [each["contactId"] for each in stream["contacts"]] == [DEFAULT_CONTACT_ID]
    assert document["environment"]["AWS_ENDPOINT_URL_CONNECT"] == document["url"]


def _synthesized(folder: Path) -> Path:
    run("synthesize", folder / "call.mkv", "--seconds", "1")
    return folder / "call.mkv"
