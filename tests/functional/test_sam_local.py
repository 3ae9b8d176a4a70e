"""`sam local invoke` of both functions in real containers, against the local servers on this machine.

Run by `make sam-local`; needs a container engine that docker's command reaches. The durable engine is AWS's local
runner, started here, so that SAM CLI pulls no image for it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import pytest

from connect_audio.adapters.s3_recording import S3_CONFIG
from connect_audio.request import RecordingRequest
from connect_audio_local.emulator import EmulatedStream, KvsEmulator, stored
from connect_audio_local.lambda_front import LambdaFront
from connect_audio_local.replay import replay
from connect_audio_local.s3_server import s3_server
from connect_audio_local.speech import two_party_conversation
from connect_audio_local.synthesis import SyntheticCall, synthesise_call

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("sam")]

ROOT: Final = Path(__file__).parents[2]
SAM: Final = ROOT / ".venv-sam" / "bin" / "sam"
ENVIRONMENT: Final = ROOT / "local" / "sam-local-env.json"
ARCHITECTURE: Final = {"x86_64": "x86_64", "AMD64": "x86_64"}.get(platform.machine(), "arm64")
PARAMETERS: Final = ("--parameter-overrides", f"Architecture={ARCHITECTURE}", "StreamNamePrefix=connect")
BASE_IMAGE: Final = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
BUCKET: Final = "recordings"
CONTACT: Final = "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"


@dataclass(frozen=True)
class SamLocal:
    """The built template, and what its containers reach on this machine."""

    build: Path
    s3_url: str
    emulator: KvsEmulator
    front: LambdaFront
    engine_port: int

    def invoke(self, function: str, event: Path, *more: str) -> subprocess.CompletedProcess[str]:
        """Run one function; what it returned is the last line of standard output."""
        image = ("--skip-pull-image",) if _succeeds("docker", "image", "inspect", BASE_IMAGE) else ()
        command = [str(SAM), "local", "invoke", function, "-t", str(self.build / "template.yaml"), "-e", str(event)]
        command += ["--add-host", "host.docker.internal:host-gateway", "--env-vars", str(self._env_vars())]
        done = subprocess.run(
            [*command, *PARAMETERS, *image, *more],
            cwd=self.build,
            env={**_sam_environment(), "DURABLE_EXECUTIONS_EXTERNAL_EMULATOR_PORT": str(self.engine_port)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done

    def _env_vars(self) -> Path:
        """The committed file, with the ports that were free."""
        text = ENVIRONMENT.read_text("utf-8")
        ports = {"9011": self.s3_url, "9012": self.emulator.url, "9013": self.front.url}
        for port, url in ports.items():
            assert f":{port}" in text
            text = text.replace(f":{port}", f":{urlsplit(url).port}")
        path = self.build / "env.json"
        path.write_text(text, "utf-8")
        return path


@pytest.fixture(scope="module")
def sam_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    if not SAM.exists():
        pytest.skip("SAM CLI is not set up: run `make setup-sam`")
    if shutil.which("docker") is None or not _succeeds("docker", "version"):
        pytest.skip("no container engine: `docker version` must succeed")
    build = tmp_path_factory.mktemp("sam-local")
    subprocess.run(
        [str(SAM), "build", "--no-cached", "--build-dir", str(build), *PARAMETERS],
        cwd=ROOT,
        env=_sam_environment(),
        capture_output=True,
        check=True,
    )
    port = _free_port()
    engine = [str(Path(sys.prefix) / "bin" / "dex-local-runner"), "start-server", "--host", "0.0.0.0", "--port"]  # noqa: S104 - containers call it
    engine += [str(port), "--local-runner-endpoint", f"http://0.0.0.0:{port}", "--store-type", "memory"]
    with (
        s3_server("0.0.0.0") as s3_url,  # noqa: S104 - containers call it
        KvsEmulator("0.0.0.0") as emulator,  # noqa: S104 - containers call it
        LambdaFront(lambda _name, _payload: None, host="0.0.0.0") as front,  # noqa: S104 - containers call it
        (build / "engine.log").open("wb") as log,
        subprocess.Popen(engine, env=_sam_environment(), stdout=log, stderr=log) as runner,
    ):
        try:
            _await_listener(port, runner)
            yield SamLocal(build, s3_url, emulator, front, port)
        finally:
            runner.terminate()


def test_an_event_without_media_streaming_is_rejected_by_the_trigger_in_its_container(sam_local: SamLocal) -> None:
    done = sam_local.invoke("TriggerFunction", ROOT / "events" / "connect_streaming_never_started.json")
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["status"], answer["reason"]) == ("REJECTED", "MEDIA_STREAMING_NOT_STARTED")
    assert not sam_local.front.executions


def test_a_voice_event_starts_the_consumer_with_the_payload_of_the_sample_event(sam_local: SamLocal) -> None:
    done = sam_local.invoke("TriggerFunction", ROOT / "events" / "connect_voice.json")
    answer = json.loads(done.stdout.splitlines()[-1])
    name = f"{CONTACT}_1764000000123"
    assert answer == {
        "status": "STARTED",
        "recordingUri": f"s3://recordings/recordings/2025/11/24/{CONTACT}_20251124T160000.123Z.wav",
        "executionName": name,
    }
    payload = json.loads((ROOT / "events" / "consumer_payload.json").read_text("utf-8"))
    assert sam_local.front.executions == {name: payload}


def test_the_consumer_in_its_container_records_the_wav_that_replay_makes_of_the_same_capture(
    sam_local: SamLocal, tmp_path: Path
) -> None:
    speech = two_party_conversation(30)
    call = SyntheticCall(customer=speech.customer, agent=speech.agent, contact_id=CONTACT)
    fragments = list(synthesise_call(call))
    stream = sam_local.emulator.add_stream(EmulatedStream("connect-sam-local", list(stored(iter(fragments)))))
    request = RecordingRequest(
        contact_id=CONTACT,
        instance_arn="arn:aws:connect:eu-west-2:123456789012:instance/6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c",
        stream_arn=stream.arn,
        start_timestamp_ms=fragments[0].contents.producer_ms,
        start_fragment_number=fragments[0].number,
    )
    event = tmp_path / "payload.json"
    event.write_text(json.dumps(request.to_payload()), "utf-8")
    expected = replay((each.data for each in fragments), tmp_path, name="the capture")
    client = boto3.client("s3", endpoint_url=sam_local.s3_url, region_name="eu-west-2", config=S3_CONFIG)
    with closing(client) as s3:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        sam_local.invoke("ConsumerFunction", event, "--durable-execution-name", request.execution_name)
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
        key = request.recording_key("recordings")
        assert keys == [key.replace(".wav", ".json"), key]
        wav, manifest = (_body(s3, each) for each in (key, keys[0]))
    assert json.loads(manifest)["status"] == "complete"
    assert wav == expected.wav.read_bytes()


def _body(s3: Any, key: str) -> bytes:
    with closing(s3.get_object(Bucket=BUCKET, Key=key)["Body"]) as body:
        content: bytes = body.read()
        return content


def _sam_environment() -> dict[str, str]:
    return {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        # sam build wants a python3.13 of its own name first on PATH.
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _await_listener(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the durable engine ended before it listened"
            assert time.monotonic() < deadline, "the durable engine does not listen after 30 s"
            time.sleep(0.1)
        else:
            return
