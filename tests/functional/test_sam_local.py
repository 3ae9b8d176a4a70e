"""`sam local invoke` of the functions in real containers, against the local servers on this machine.

Run by `make sam-local`; needs a container engine that docker's command reaches. The durable engine is AWS's local
runner, started here, so that SAM CLI pulls no image for it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from connect_audio.adapters.s3_recording import S3_CONFIG
from connect_audio.request import RecordingRequest
from connect_audio_cli.commands.cloud import PORTS
from connect_audio_cli.replay.replay import replay
from connect_audio_local.kvs import EmulatedStream, KvsEmulator, stored
from connect_audio_local.lambda_.durable_engine import DurableEngine
from connect_audio_local.lambda_.server import LambdaFront
from connect_audio_local.s3.server import s3_server
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.heard_segments import judged
from support.wav import same_wav

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.containers

ROOT: Final = Path(__file__).parents[2]
SAM: Final = ROOT / ".venv-sam" / "bin" / "sam"
ENVIRONMENT: Final = ROOT / "local" / "sam-local-env.json"
ARCHITECTURE: Final = {"x86_64": "x86_64", "AMD64": "x86_64"}.get(platform.machine(), "arm64")
PARAMETERS: Final = ("--parameter-overrides", f"Architecture={ARCHITECTURE}", "StreamNamePrefix=connect")
BASE_IMAGE: Final = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
BUCKET: Final = "recordings"
INSTANCE_ARN: Final = "arn:aws:connect:eu-west-2:111122223333:instance/6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c"
FUNCTIONS: Final = {"ConsumerFunction": {"live"}}


@dataclass(frozen=True)
class SamLocal:
    """The built template, and what its containers reach on this machine."""

    build: Path
    s3_url: str
    emulator: KvsEmulator
    front: LambdaFront
    engine_port: int

    @property
    def engine(self) -> DurableEngine:
        """The durable engine."""
        return DurableEngine(f"http://127.0.0.1:{self.engine_port}")

    @property
    def environment(self) -> dict[str, str]:
        """Of the SAM CLI."""
        return {
            **_sam_environment(),
            "DURABLE_EXECUTIONS_EXTERNAL_EMULATOR_PORT": str(self.engine_port),
            # SAM CLI's locks lie there: one that a killed run has left must not hold up this one.
            "TMPDIR": str(self.build),
        }

    def command(self, verb: str, *more: str, lambda_url: str | None = None, memory_mb: int = 256) -> list[str]:
        """`sam local VERB`; `lambda_url` is what the trigger calls, by default the front end."""
        command = [str(SAM), "local", verb, *more, "-t", str(self.build / "template.yaml")]
        command += ["--add-host", "host.docker.internal:host-gateway"]
        command += ["--env-vars", str(self._env_vars(lambda_url or self.front.url))]
        if _succeeds("docker", "image", "inspect", BASE_IMAGE):
            command.append("--skip-pull-image")
        return [*command, *PARAMETERS, f"ConsumerMemory={memory_mb}"]

    def invoke(self, function: str, event: Path, *more: str, memory_mb: int = 256) -> subprocess.CompletedProcess[str]:
        """Run one function; what it returned is the last line of standard output."""
        done = subprocess.run(
            self.command("invoke", function, "-e", str(event), *more, memory_mb=memory_mb),
            cwd=self.build,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done

    def _env_vars(self, lambda_url: str) -> Path:
        """The committed file, with the ports that were free."""
        text = ENVIRONMENT.read_text("utf-8")
        ports = {"9011": self.s3_url, "9012": self.emulator.url, "9013": lambda_url}
        for port, url in ports.items():
            assert f":{port}" in text
            text = text.replace(f":{port}", f":{urlsplit(url).port}")
        path = self.build / f"env-{urlsplit(lambda_url).port}.json"
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
        LambdaFront(lambda _name, _payload: None, functions=FUNCTIONS, host="0.0.0.0") as front,  # noqa: S104 - containers call it
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


@pytest.mark.parametrize(
    "function", ["TriggerFunction", "ConsumerFunction", "ContactEndedFunction", "ExecutionEndedFunction"]
)
def test_the_documented_command_does_in_the_documented_cloud_what_it_says(
    sam_local: SamLocal, tmp_path: Path, function: str
) -> None:
    document = (ROOT / "docs" / "local.md").read_text("utf-8").replace("\\\n", "")
    (line,) = re.findall(rf"^\.venv-sam/bin/sam local invoke {function} .*$", document, re.MULTILINE)
    command = shlex.split(line.replace("$parameters", " ".join(PARAMETERS[1:])))
    command += ["-t", str(sam_local.build / "template.yaml")]
    if _succeeds("docker", "image", "inspect", BASE_IMAGE):
        command.append("--skip-pull-image")
    anywhere = "0.0.0.0"  # noqa: S104 - containers call it
    cloud = [
        str(Path(sys.prefix) / "bin" / "connect-audio"),
        "cloud",
        "--host",
        anywhere,
        "--log",
        str(tmp_path / "log"),
    ]
    with subprocess.Popen(cloud, stdout=subprocess.PIPE, text=True) as services:
        try:
            assert services.stdout is not None
            assert "Ctrl-C ends it.\n" in iter(services.stdout.readline, ""), "see its line on standard error"
            done = subprocess.run(
                command, cwd=ROOT, env=sam_local.environment, capture_output=True, text=True, check=False, timeout=240
            )
            assert done.returncode == 0, done.stderr
            if function == "TriggerFunction":
                answer = json.loads(done.stdout.splitlines()[-1])
                # The sample event, so the consumer of `cloud` gets the payload of the sample event, too.
                assert services.stdout.readline() == f"{answer['executionName']}: SUCCEEDED, {answer['recordingUri']}\n"
            elif function == "ConsumerFunction":
                assert '"status": "complete"' in done.stdout, done.stdout + done.stderr
            elif function == "ExecutionEndedFunction":
                # Lambda showed the execution's input, S3 has no recording, and EventBridge took the event.
                assert json.loads(done.stdout.splitlines()[-1]) == {"result": "lost"}
                assert '"ExecutionsEnded"' in done.stdout + done.stderr
            else:
                assert json.loads(done.stdout.splitlines()[-1]) == {"ignored": False, "woken": 0}
                assert _noted_end("0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80") == 1_764_000_020_123
        finally:
            services.terminate()


@pytest.mark.parametrize(("memory_mb", "seconds"), [(256, 600), (128, 60)])
def test_the_consumer_in_its_container_records_the_wav_that_replay_makes_of_the_same_capture(
    sam_local: SamLocal, s3: S3Client, tmp_path: Path, memory_mb: int, seconds: int
) -> None:
    call = Call.stored(sam_local, tmp_path, memory_mb, seconds)
    event = tmp_path / "payload.json"
    # Live audio has to fit beside it, where the call comes as fast as it is read and a sink falls behind.
    live = {"LIVE_SINKS": "segments", "LIVE_SEGMENT_SECONDS": "10", "LIVE_BUFFER_SECONDS": "300"}
    event.write_text(json.dumps({**call.request.to_payload(), "live": live}), "utf-8")
    name = call.request.execution_name
    # SAM CLI gives a container no more memory than its function has.
    sam_local.invoke("ConsumerFunction", event, "--durable-execution-name", name, memory_mb=memory_mb)
    call.is_recorded(s3, heard=True)


def test_start_lambda_leads_from_the_connect_event_to_the_recording(
    sam_local: SamLocal, s3: S3Client, tmp_path: Path
) -> None:
    call = Call.stored(sam_local, tmp_path, 0, 30)
    event = json.loads((ROOT / "events" / "connect_voice.json").read_text("utf-8"))
    contact = event["Details"]["ContactData"]
    contact["ContactId"] = call.request.contact_id
    contact["MediaStreams"]["Customer"]["Audio"] |= {
        "StreamARN": call.request.stream_arn,
        "StartTimestamp": str(call.request.start_timestamp_ms),
        "StartFragmentNumber": call.request.start_fragment_number,
    }
    # SAM CLI builds the consumer's container before it answers the start, which takes longer than Connect would wait.
    template = sam_local.build / "template.yaml"
    text = template.read_text("utf-8")
    assert text.count("Timeout: 8\n") == 1
    template.write_text(text.replace("Timeout: 8\n", "Timeout: 60\n"), "utf-8")
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    anywhere = "0.0.0.0"  # noqa: S104 - containers call it
    command = sam_local.command("start-lambda", "--host", anywhere, "--port", str(port), lambda_url=url)
    config = Config(read_timeout=120, retries={"total_max_attempts": 1})
    with (
        (tmp_path / "start-lambda.log").open("wb") as log,
        subprocess.Popen(command, cwd=sam_local.build, env=sam_local.environment, stdout=log, stderr=log) as server,
        closing(boto3.client("lambda", endpoint_url=url, region_name="eu-west-2", config=config)) as client,
    ):
        try:
            _await_listener(port, server)
            answered = client.invoke(FunctionName="TriggerFunction", Payload=json.dumps(event).encode())
            with closing(answered["Payload"]) as payload:
                answer = json.loads(payload.read())
            log.flush()
            assert answer["status"] == "STARTED", (answer, (tmp_path / "start-lambda.log").read_text("utf-8"))
            # The trigger's answer ends in the mark of its stack.
            assert answer["executionName"].startswith(f"{call.request.execution_name}_")
            ended = sam_local.engine.wait(sam_local.engine.find(answer["executionName"]), 180)
            assert (ended.status, ended.result and ended.result["status"]) == ("SUCCEEDED", "complete"), ended
        finally:
            server.terminate()
    call.is_recorded(s3)


@dataclass(frozen=True)
class Call:
    """A call in the emulator, and what `replay` makes of it."""

    request: RecordingRequest
    wav: Path

    @classmethod
    def stored(cls, sam_local: SamLocal, directory: Path, number: int, seconds: int) -> Call:
        contact_id = f"0f5c7a3e-1b2d-4c6f-9a8e-{number:012d}"
        speech = two_party_conversation(seconds)
        call = SyntheticCall(
            customer=speech.customer,
            agent=speech.agent,
            contact_id=contact_id,
            instance_id=INSTANCE_ARN.rsplit("/", 1)[1],
        )
        fragments = list(synthesize_call(call))
        name = f"connect-sam-local-{number}"
        stream = sam_local.emulator.add_stream(EmulatedStream(name, list(stored(iter(fragments)))))
        request = RecordingRequest(
            contact_id=contact_id,
            instance_arn=INSTANCE_ARN,
            stream_arn=stream.arn,
            start_timestamp_ms=fragments[0].contents.producer_ms,
            start_fragment_number=fragments[0].number,
        )
        return cls(request, replay((each.data for each in fragments), directory, name="the capture").wav)

    def is_recorded(self, s3: S3Client, *, heard: bool = False) -> None:
        """The bucket has its WAV, byte for byte, its manifest, its segments if any were wanted, and nothing else."""
        key = self.request.recording_key("recordings")
        objects = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        keys = [item["Key"] for item in objects if self.request.contact_id in item["Key"]]
        prefix = key.replace(".wav", ".segments/")
        segments = {each.removeprefix(prefix): _body(s3, each) for each in keys if each.startswith(prefix)}
        assert [each for each in keys if not each.startswith(prefix)] == [key.replace(".wav", ".json"), key]
        manifest = json.loads(_body(s3, keys[0]))
        assert manifest["status"] == "complete"
        assert same_wav(_body(s3, key), self.wav.read_bytes())
        if heard:
            assert judged(segments, self.wav.read_bytes(), manifest).segments
        else:
            assert not segments


@pytest.fixture(scope="module")
def s3(sam_local: SamLocal) -> Iterator[S3Client]:
    """A client of the S3 that the containers write to, with their bucket."""
    made = boto3.client(
        "s3",
        endpoint_url=sam_local.s3_url,
        region_name="eu-west-2",
        config=S3_CONFIG,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    with closing(made) as client:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        yield client


def _body(s3: S3Client, key: str) -> bytes:
    with closing(s3.get_object(Bucket=BUCKET, Key=key)["Body"]) as body:
        content: bytes = body.read()
        return content


def _noted_end(contact_id: str) -> int:
    """When the contact was disconnected, ms since the epoch, as it stands in the bucket of `cloud`."""
    url = f"http://127.0.0.1:{PORTS['s3']}"
    with closing(
        boto3.client("s3", endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local", config=S3_CONFIG)
    ) as client:
        note = json.loads(_body(client, f"recordings/contacts/{contact_id}/ended.json"))
    ended_ms: int = note["endedMs"]
    return ended_ms


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
            assert process.poll() is None, f"{process.args!r} ended before it listened"
            assert time.monotonic() < deadline, f"{process.args!r} does not listen after 30 s"
            time.sleep(0.1)
        else:
            return
