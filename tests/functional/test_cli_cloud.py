"""`connect-audio cloud` and `connect-audio receive` as a user runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from connect_audio_cli.commands.cloud import PORTS
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S, run, run_here

ROOT = Path(__file__).parents[2]
SPEECH = two_party_conversation(4)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
FREE_PORTS = [option for name in PORTS for option in (f"--{name}-port", "0")]
LOCAL_DOCUMENT = (ROOT / "docs" / "local.md").read_text("utf-8")
ANSWER = re.compile(r'^\{"status".*\}$', re.MULTILINE)
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL_S3", "lambda": "AWS_ENDPOINT_URL_LAMBDA"}


def curls() -> list[str]:
    """The requests of docs/local.md: the start of a recording, the recording, and an execution that Lambda ended."""
    found = re.findall(r"^curl .*$", LOCAL_DOCUMENT, re.MULTILINE)
    assert len(found) == 3, found
    return found


@contextmanager
def running(*arguments: str | Path, cwd: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    return json.loads(line)


def test_the_default_ports_are_the_ones_of_the_containers_variables() -> None:
    text = (ROOT / "local" / "sam-local-env.json").read_text("utf-8")
    named = dict(re.findall(r'AWS_ENDPOINT_URL_(S3|KINESIS_VIDEO|LAMBDA)": "http://host.docker.internal:(\d+)"', text))
    assert {"S3": str(PORTS["s3"]), "KINESIS_VIDEO": str(PORTS["kvs"]), "LAMBDA": str(PORTS["lambda"])} == named


def as_printed(command: str) -> bytes:
    """The answer to a printed line of curl; a machine without curl sends the same request."""
    line = shlex.split(command)
    assert line[0] == "curl"
    if shutil.which("curl"):
        output = ["--output", "-"] if "--remote-name" in line else []
        line = [each for each in line if each != "--remote-name"]
        done = subprocess.run(
            [*line, *output, "--silent", "--fail"], cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_S
        )
        return done.stdout
    body = (ROOT / line[2].removeprefix("@")).read_bytes() if line[1] == "--data" else None
    request = urllib.request.Request(line[-1], body, {"Authorization": "Basic ZW11bGF0ZWQ6ZW11bGF0ZWQ="})  # noqa: S310
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - a loopback address
        content: bytes = answer.read()
        return content


def test_the_printed_commands_record_the_capture_and_the_call_of_the_sample_events(tmp_path: Path) -> None:
    capture = tmp_path / "call.mkv"
    capture.write_bytes(b"".join(fragment.data for fragment in synthesize_call(CALL)))

    with running("cloud", capture, *FREE_PORTS, cwd=tmp_path) as process:
        assert process.stdout is not None
        printed = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        starts = re.findall(r"^  start  (.*)$", printed, re.MULTILINE)
        variables = dict(re.findall(r"^export (\w+)=(.*)$", printed, re.MULTILINE))
        sample = next(line for line in starts if "demo-connect-example" in line)
        own = next(line for line in starts if "/call.event.json" in line)
        ports = {f":{PORTS[name]}/": f":{urlsplit(variables[each]).port}/" for name, each in ENDPOINTS.items()}
        documented = [reduce(lambda line, port: line.replace(*port), ports.items(), line) for line in curls()]
        assert json.loads(as_printed(documented[2])) == {"result": "lost"}
        answers = [
            json.loads(as_printed(line))
            for line in (
                own.replace("@build", f"@{tmp_path}/build"),
                documented[0],
                # The same start, so the same execution: the event that cloud writes is the sample's.
                sample.replace("@build", f"@{tmp_path}/build"),
                documented[0].replace("connect_voice.json", "connect_chat.json"),
            )
        ]
        assert [answer["status"] for answer in answers] == ["STARTED", "STARTED", "STARTED", "REJECTED"], answers
        told = {process.stdout.readline().rstrip("\n") for _ in range(2)}
        assert told == {f"{each['executionName']}: SUCCEEDED, {each['recordingUri']}" for each in answers[:2]}
        assert answers[1] == json.loads(ANSWER.findall(LOCAL_DOCUMENT)[0])
        client = boto3.client("s3", endpoint_url=variables["AWS_ENDPOINT_URL_S3"])
        with closing(client) as s3:
            wavs, manifests = [], []
            for each in answers[:2]:
                key = each["recordingUri"].removeprefix("s3://recordings/")
                wavs.append(s3.get_object(Bucket="recordings", Key=key)["Body"].read())
                manifest = s3.get_object(Bucket="recordings", Key=key.replace(".wav", ".json"))["Body"].read()
                manifests.append(json.loads(manifest))
        assert as_printed(documented[1]) == wavs[1]
        assert json.loads(as_printed(documented[2])) == {"result": "published"}
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "connect-audio: interrupted\n"

    # Connect says that the contacts have hung up, so nobody waits for the idle limit of 30 s.
    assert [(each["status"], each["endReason"]) for each in manifests] == [("complete", "DISCONNECTED")] * 2
    assert run_here("replay", capture, "--output", tmp_path / "out").code == 0
    assert wavs[0] == (tmp_path / "out" / f"{DEFAULT_CONTACT_ID}.wav").read_bytes()
    assert '"message":"recording finished"' in (tmp_path / "build" / "cloud" / "functions.log").read_text("utf-8")


def invoked(url: str, function: str, event: str) -> Any:
    """The answer of a function to a sample event."""
    body = (ROOT / "events" / event).read_bytes()
    request = urllib.request.Request(f"{url}/2015-03-31/functions/{function}/invocations", body)  # noqa: S310
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - a loopback address
        return json.loads(answer.read())


def test_in_the_mode_archive_the_call_s_end_is_announced_and_the_call_is_recorded_after_it(tmp_path: Path) -> None:
    with running("cloud", "--recording-mode", "archive", "--json", *FREE_PORTS, cwd=tmp_path) as process:
        begun = line_of(process)
        assert (begun["recordingMode"], begun["contactEvents"]) == ("archive", True)
        url = begun["environment"]["AWS_ENDPOINT_URL_LAMBDA"]
        answer = invoked(url, "TriggerFunction", "connect_voice.json")
        ended = line_of(process)
        # The same event again: Connect may send one twice.
        assert invoked(url, "ContactEndedFunction", "contact_ended.json") == {"ignored": False, "woken": 0}
        key = answer["recordingUri"].removeprefix("s3://recordings/").replace(".wav", ".json")
        with closing(boto3.client("s3", endpoint_url=begun["environment"]["AWS_ENDPOINT_URL_S3"])) as s3:
            manifest = json.loads(s3.get_object(Bucket="recordings", Key=key)["Body"].read())

    assert (ended["status"], ended["result"]["status"]) == ("SUCCEEDED", "complete")
    assert (manifest["status"], manifest["endReason"]) == ("complete", "ARCHIVE_END")
    assert '"message":"contact ended"' in (tmp_path / "build" / "cloud" / "functions.log").read_text("utf-8")


def test_a_taken_port_is_one_line_and_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run_here("cloud", "--kvs-port", str(port), "--s3-port", "0", "--lambda-port", "0")
    assert (refused.code, refused.out) == (2, "")
    assert refused.complaint == f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert not list(tmp_path.iterdir())


def test_receive_takes_the_segments_of_a_replay(tmp_path: Path) -> None:
    capture = tmp_path / "call.mkv"
    capture.write_bytes(b"".join(fragment.data for fragment in synthesize_call(CALL)))
    secret = "a secret of more than thirty-two characters"

    with running(
        *("receive", "--port", "0", "-o", "got", "--json"), cwd=tmp_path, WEBHOOK_SIGNING_SECRET=secret
    ) as process:
        told = line_of(process)
        os.environ["WEBHOOK_SIGNING_SECRET"] = secret
        try:
            done = run(
                *("replay", capture, "--output", tmp_path / "out", "--webhook", told["url"]),
                *("--webhook-ca", told["caFile"], "--allow-private-addresses"),
            )
        finally:
            del os.environ["WEBHOOK_SIGNING_SECRET"]
        assert (done.code, done.err) == (0, "")
        events = [line_of(process)["event"] for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130

    assert events[-1] == "end"
    assert sorted(path.name for path in (tmp_path / "got").iterdir())[:1] == ["000000_stereo.wav"]


def test_receive_without_a_secret_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBHOOK_SIGNING_SECRET", raising=False)
    refused = run_here("receive", "--port", "0")
    assert refused.code == 2
    assert refused.complaint == "WEBHOOK_SIGNING_SECRET is not set; set it to the text that the sender signs with"


def test_receive_refuses_a_secret_that_no_sender_would_sign_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The port is taken: a receiver that starts after all ends at once.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SIGNING_SECRET", "x" * 15)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run_here("receive", "--port", str(taken.getsockname()[1]))
    assert refused.code == 2
    assert refused.complaint == "the secret in WEBHOOK_SIGNING_SECRET is shorter than 16 characters"
