"""`connect-audio cloud` and `connect-audio receive` as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from connect_audio_cli.commands.cloud import PORTS
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S, recording, run, run_here

ROOT = Path(__file__).parents[2]
SPEECH = two_party_conversation(4)


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


def test_an_invoke_records_the_capture_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    capture = tmp_path / "call.mkv"
    fragments = list(synthesize_call(SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)))
    capture.write_bytes(b"".join(fragment.data for fragment in fragments))
    free = [option for name in PORTS for option in (f"--{name}-port", "0")]

    with running("cloud", capture, "--json", *free, cwd=tmp_path) as process:
        variables = line_of(process)["environment"]
        with closing(boto3.client("kinesisvideo", endpoint_url=variables["AWS_ENDPOINT_URL_KINESIS_VIDEO"])) as kvs:
            stream = kvs.describe_stream(StreamName="call")["StreamInfo"]["StreamARN"]
        payload = {
            "contactId": DEFAULT_CONTACT_ID,
            "instanceArn": "arn:aws:connect:eu-west-2:123456789012:instance/6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c",
            "streamArn": stream,
            "startTimestamp": fragments[0].producer_ms,
            "startFragmentNumber": fragments[0].number,
        }
        with closing(boto3.client("lambda", endpoint_url=variables["AWS_ENDPOINT_URL_LAMBDA"])) as functions:
            functions.invoke(
                FunctionName="ConsumerFunction:live",
                InvocationType="Event",
                DurableExecutionName="one",
                Payload=json.dumps(payload),
            )
        ended = line_of(process)
        assert (ended["execution"], ended["status"]) == ("one", "SUCCEEDED"), ended
        with closing(boto3.client("s3", endpoint_url=variables["AWS_ENDPOINT_URL_S3"])) as s3:
            key = ended["result"]["recording"].removeprefix("s3://recordings/")
            wav = s3.get_object(Bucket="recordings", Key=key)["Body"].read()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""

    assert run_here("replay", capture, "--output", tmp_path / "out").code == 0
    assert wav == (tmp_path / "out" / f"{DEFAULT_CONTACT_ID}.wav").read_bytes()
    assert recording(tmp_path / "out", DEFAULT_CONTACT_ID).rate == 8000
    assert '"message":"recording finished"' in (tmp_path / "build" / "cloud" / "functions.log").read_text("utf-8")


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
    call = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
    capture.write_bytes(b"".join(fragment.data for fragment in synthesize_call(call)))
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
        assert process.wait(PATIENCE_S) == 0

    assert events[-1] == "end"
    assert sorted(path.name for path in (tmp_path / "got").iterdir())[:1] == ["000000_stereo.wav"]


def test_receive_without_a_secret_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBHOOK_SIGNING_SECRET", raising=False)
    refused = run_here("receive", "--port", "0")
    assert refused.code == 2
    assert refused.complaint == "WEBHOOK_SIGNING_SECRET is not set; set it to the text that the sender signs with"
