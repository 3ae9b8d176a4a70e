"""What `sam build` makes, run as Lambda would: function folder and layer, awslambdaric, the Runtime Interface Emulator.

Nothing of the virtual environment is on the path but awslambdaric itself, which in Lambda is part of the runtime.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from connect_audio.adapters.aws_session import SERVICE_MODELS
from connect_audio_local.lambda_.server import LambdaFront
from connect_audio_local.recognition.markers import MarkerRecognizer
from connect_audio_local.transcribe.jobs import transcribe_jobs
from infrastructure.binaries import architectures
from infrastructure.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sam

ROOT = Path(__file__).parents[2]
SAM_VENV = ROOT / ".venv-sam"
SITE_PACKAGES = Path(sys.prefix) / "lib" / "python3.13" / "site-packages"
# awslambdaric with its compiled half and what it imports.
RUNTIME = ("awslambdaric", "runtime_client.*.so", "snapshot_restore_py.py", "simplejson")
CONTACT = "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
NAME = f"{CONTACT}_1764000000123_28c26d9b"
# ebmlite 3.4 ships its tests as a top-level package; sam build adds the files of the layer's own folder.
LEFTOVERS = {"tests", "requirements.in", "requirements.txt", "Makefile"}


@dataclass(frozen=True)
class Artifact:
    function: Path
    layer: Path
    runtime: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a Python process that sees the artifact and nothing else."""
        # The order of Lambda's own sys.path: the function first, then the runtime, then the layer.
        path = os.pathsep.join(map(str, (self.function, self.runtime, self.layer)))
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            # Lambda's layers come without bytecode and cannot be written to.
            "PYTHONDONTWRITEBYTECODE": "1",
            # What makes Tracer and the X-Ray SDK believe that they are in Lambda, as they will be.
            "LAMBDA_TASK_ROOT": str(self.function),
        }

    def python(self, code: str) -> str:
        """Run code with the artifact alone on the path; -S keeps every site-packages away."""
        command = [sys._base_executable, "-S", "-c", code]  # type: ignore[attr-defined]  # the venv's own interpreter
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def sam_build(build: Path, *arguments: str) -> None:
    """Run `sam build` into a folder."""
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    command = [str(SAM_VENV / "bin" / "sam"), "build", "--no-cached", "--build-dir", str(build), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    if not (SAM_VENV / "bin" / "sam").exists():
        pytest.skip("SAM CLI is not set up: run `make setup-sam`")
    if platform.machine() != "x86_64":
        pytest.skip("the emulator's binary of this test is for x86_64")
    build = tmp_path_factory.mktemp("build")
    sam_build(build, "--parameter-overrides", "Architecture=x86_64 StreamNamePrefix=demo")
    runtime = tmp_path_factory.mktemp("runtime")
    for pattern in RUNTIME:
        (found,) = SITE_PACKAGES.glob(pattern)
        (runtime / found.name).symlink_to(found)
    # As Lambda does: all layers in one folder.
    layer = build / "DependenciesLayer" / "python"
    shutil.copytree(build / "BytecodeLayer" / "python", layer, dirs_exist_ok=True)
    return Artifact(function=build / "TriggerFunction", layer=layer, runtime=runtime)


def tops(folder: Path) -> set[str]:
    """The names that a folder adds to what can be imported."""
    return {path.name.partition(".")[0] for path in folder.iterdir() if not path.name.endswith((".dist-info", ".data"))}


def test_the_function_holds_our_package_alone(artifact: Artifact) -> None:
    assert tops(artifact.function) == {"connect_audio"}


def test_the_layer_holds_binaries_of_the_chosen_architecture_alone(artifact: Artifact) -> None:
    assert architectures(artifact.layer) == {"x86_64"}


def test_each_module_that_ships_has_the_bytecode_of_its_very_source_which_python_never_checks(
    artifact: Artifact,
) -> None:
    for folder in (artifact.function, artifact.layer):
        # A wheel's scripts are no modules.
        sources = {path for path in folder.rglob("*.py") if "scripts" not in path.parts}
        compiled = {Path(importlib.util.source_from_cache(str(path))): path for path in folder.rglob("*.pyc")}
        assert sources <= set(compiled)
        assert all(source.exists() for source in compiled)
        for source, bytecode in compiled.items():
            header = bytecode.read_bytes()[:16]
            # PEP 552: the magic number, the flags (1: by hash and unchecked), the hash of the source.
            assert header[:8] == importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little"), bytecode
            assert header[8:] == importlib.util.source_hash(source.read_bytes()), bytecode


@pytest.mark.parametrize("handler", ["trigger", "consumer"])
def test_a_cold_start_compiles_nothing_and_prints_no_warning(artifact: Artifact, handler: str) -> None:
    # A module without bytecode is compiled by this method, which is an error for those that ship.
    code = (
        "import importlib._bootstrap_external as external\n"
        "compiled = external.SourceLoader.source_to_code\n"
        "def source_to_code(self, data, path, **options):\n"
        f"    assert not path.startswith({(str(artifact.function), str(artifact.layer))}), path\n"
        "    return compiled(self, data, path, **options)\n"
        "external.SourceLoader.source_to_code = source_to_code\n"
        f"import connect_audio.handlers.{handler}"
    )
    command = [sys._base_executable, "-S", "-c", code]  # type: ignore[attr-defined]
    done = subprocess.run(command, env=artifact.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_trigger_has_its_client_before_the_first_call(artifact: Artifact) -> None:
    given = {
        "AWS_LAMBDA_FUNCTION_NAME": "trigger",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "CONSUMER_FUNCTION": "consumer:live",
        "RECORDINGS_BUCKET": "calls.example",
    }
    code = (
        f"import os; os.environ.update({given})\n"
        "from connect_audio.handlers import trigger; print(trigger._consumer.cache_info().currsize)"
    )
    assert artifact.python(code).strip() == "1"


def test_the_function_holds_each_service_model_and_its_licence(artifact: Artifact) -> None:
    shipped = artifact.function / SERVICE_MODELS.relative_to(ROOT / "src")
    files = {path.relative_to(SERVICE_MODELS) for path in SERVICE_MODELS.rglob("*") if path.is_file()}
    assert {"endpoints.json", "LICENSE", "NOTICE"} < {str(path) for path in files}
    assert {path.relative_to(shipped) for path in shipped.rglob("*") if path.is_file()} == files


def test_the_clients_are_made_of_the_service_models_that_ship(artifact: Artifact) -> None:
    code = (
        "import os; os.environ['AWS_DEFAULT_REGION'] = 'eu-west-2'\n"
        "from connect_audio.adapters.aws_session import aws_session\n"
        "print(*aws_session().client('connect').meta.service_model.operation_names)"
    )
    assert artifact.python(code).split() == ["DescribeContact"]


def test_nothing_in_the_layer_hides_our_package_the_runtime_or_the_standard_library(artifact: Artifact) -> None:
    layer = tops(artifact.layer)
    assert not layer & tops(artifact.function)
    assert not layer & set(sys.stdlib_module_names)
    assert not layer & tops(artifact.runtime)


def test_the_layer_s_leftovers_are_known_and_never_imported(artifact: Artifact) -> None:
    expected = {"boto3", "botocore", "ebmlite", "pydub", "audioop", "aws_lambda_powertools"}
    assert expected <= tops(artifact.layer)
    # Another package that leaves such a folder behind should be looked at once, then named above.
    packages = {path.name for path in artifact.layer.iterdir() if (path / "__init__.py").exists()}
    assert packages - {"tests"} == {
        *expected,
        "aws_durable_execution_sdk_python",
        "aws_xray_sdk",
        "dateutil",
        "jmespath",
        "s3transfer",
        "urllib3",
        "wrapt",
    }
    assert {path.name for path in artifact.layer.iterdir()} >= LEFTOVERS
    for handler in ("trigger", "consumer"):
        code = f"import sys, connect_audio.handlers.{handler}; print(*{{m.partition('.')[0] for m in sys.modules}})"
        assert not {"tests", "connect_audio_cli", "connect_audio_local"} & set(artifact.python(code).split())


def test_layer_and_function_stay_far_below_lambda_s_250_mb(artifact: Artifact) -> None:
    size = sum(path.stat().st_size for path in artifact.layer.rglob("*") if path.is_file())
    assert size < 64 * 1024 * 1024


def test_the_packages_in_use_are_the_layer_s(artifact: Artifact) -> None:
    names = "boto3", "botocore", "urllib3", "ebmlite", "pydub", "audioop", "aws_lambda_powertools"
    printed = artifact.python(f"import {', '.join(names)}\nfor m in ({', '.join(names)}): print(m.__file__)")
    assert all(Path(line).is_relative_to(artifact.layer) for line in printed.split())


def test_every_module_that_ships_can_be_imported_from_what_ships(artifact: Artifact) -> None:
    # Some are imported by those calls alone that want live audio: what they lacked would be seen in a call.
    code = (
        "import importlib, json, pkgutil, connect_audio\n"
        "names = [each.name for each in pkgutil.walk_packages(connect_audio.__path__, 'connect_audio.')]\n"
        # Arrays are for a program with numpy, which no function has. The SDK of Transcribe is in a layer of its own.
        "others = {'connect_audio.library.arrays', 'connect_audio.adapters.words.transcribe_connection'}\n"
        "for name in names: name in others or importlib.import_module(name)\n"
        "print(json.dumps(names))"
    )
    names = json.loads(artifact.python(code))
    assert "connect_audio.adapters.endpoint.stored_secret" in names
    assert len(names) > 50


def test_the_trigger_s_cold_path_carries_none_of_the_consumer_s_weight(artifact: Artifact) -> None:
    # VmHWM, since getrusage's maximum goes on counting what the process was before exec: this very test run.
    code = (
        "import json, os, sys, connect_audio.handlers.trigger as trigger\n"
        "os.environ['AWS_DEFAULT_REGION'] = 'eu-west-2'\n"
        "trigger.lambda_client(1500)\n"
        "(peak,) = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
        "print(json.dumps([int(peak), sorted({m.partition('.')[0] for m in sys.modules})]))"
    )
    peak_kib, loaded = json.loads(artifact.python(code))
    heavy = {"ebmlite", "pydub", "audioop", "aws_durable_execution_sdk_python", "pydantic", "numpy", "jsonschema"}
    assert not heavy & set(loaded)
    # 53 MiB when measured, client included, of the function's 256; the bound leaves room for newer SDKs.
    assert peak_kib < 80 * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def emulated(artifact: Artifact, handler: str, variables: dict[str, str], log: Path) -> Iterator[int]:
    """Lambda's Runtime Interface Emulator around one function; yields its port."""
    port = free_port()
    (rie,) = SAM_VENV.glob("lib/python3.*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64")
    command = [
        str(rie),
        "--runtime-api-address",
        f"127.0.0.1:{free_port()}",
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        sys._base_executable,  # type: ignore[attr-defined]  # the venv's own interpreter
        "-S",
        "-m",
        "awslambdaric",
        handler,
    ]
    environment = {
        **artifact.environment,
        "AWS_LAMBDA_FUNCTION_NAME": "trigger",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "8",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_REGION": "eu-west-2",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        **variables,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=artifact.function)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)  # the emulator says nowhere that it listens
        yield port
    finally:
        process.terminate()
        process.wait(10)


def invoke(port: int, event: object) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def sample(name: str) -> Any:
    return json.loads((ROOT / "events" / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def front() -> Iterator[LambdaFront]:
    with LambdaFront(lambda _name, _payload: None) as running:
        yield running


@pytest.fixture(scope="module")
def trigger(artifact: Artifact, front: LambdaFront, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    variables = {
        "AWS_ENDPOINT_URL_LAMBDA": front.url,
        "CONSUMER_FUNCTION": "arn:aws:lambda:eu-west-2:111122223333:function:consumer:live",
        "RECORDINGS_BUCKET": "calls.example",
        "RECORDINGS_PREFIX": "recordings",
        "POWERTOOLS_SERVICE_NAME": "trigger",
    }
    log = tmp_path_factory.mktemp("log") / "trigger.log"
    with emulated(artifact, "connect_audio.handlers.trigger.handler", variables, log) as port:
        yield port


def test_the_built_trigger_starts_the_consumer_by_lambda_s_own_protocol(trigger: int, front: LambdaFront) -> None:
    before = len(front.invocations)
    assert invoke(trigger, sample("connect_voice.json")) == {
        "status": "STARTED",
        "recordingUri": f"s3://calls.example/recordings/2025/11/24/{CONTACT}_20251124T160000.123Z.wav",
        "executionName": NAME,
    }
    (invocation,) = front.invocations[before:]
    assert (invocation.function, invocation.qualifier) == ("consumer", "live")
    assert (invocation.invocation_type, invocation.execution_name) == ("Event", NAME)
    assert json.loads(invocation.payload) == sample("consumer_payload.json")


def test_the_built_trigger_answers_a_duplicate_alike(trigger: int, front: LambdaFront) -> None:
    first, second = (invoke(trigger, sample("connect_voice.json")) for _ in range(2))
    assert first == second
    assert list(front.executions) == [NAME]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (sample("connect_streaming_never_started.json"), "MEDIA_STREAMING_NOT_STARTED"),
        (sample("connect_chat.json"), "NOT_VOICE"),
        (sample("tutorial_short_form.json"), "MALFORMED_EVENT"),
        ([], "MALFORMED_EVENT"),
        (None, "MALFORMED_EVENT"),
    ],
)
def test_the_built_trigger_rejects_what_cannot_be_recorded(
    trigger: int, front: LambdaFront, event: object, reason: str
) -> None:
    before = len(front.invocations)
    result = invoke(trigger, event)
    assert (result["status"], result["reason"]) == ("REJECTED", reason)
    assert len(front.invocations) == before


def test_a_built_trigger_without_a_bucket_fails_with_the_setting_s_name(artifact: Artifact, tmp_path: Path) -> None:
    variables = {"CONSUMER_FUNCTION": "consumer:live"}
    log = tmp_path / "trigger.log"
    with emulated(artifact, "connect_audio.handlers.trigger.handler", variables, log) as port:
        result = invoke(port, sample("connect_voice.json"))
    assert result["errorType"] == "SettingsError"
    assert result["errorMessage"].startswith("RECORDINGS_BUCKET is not set")


@pytest.mark.skipif(
    "BUILD_EXAMPLES" not in os.environ, reason="SAM CLI's start takes ten seconds: `make built-examples`"
)
def test_the_built_function_of_words_after_the_call_starts_a_job(
    artifact: Artifact, moto_server: str, tmp_path: Path
) -> None:
    # Its layer is of the folder of the template's own. Building that takes ten seconds, so the function alone is built.
    example = ROOT / "examples" / "transcribe-jobs.yaml"
    resources = load(example)["Resources"]
    assert resources["DependenciesLayer"]["Properties"]["ContentUri"] == "../layers/dependencies"
    overrides = "Architecture=x86_64 RecordingsBucketName=calls.example"
    build = tmp_path / "build"
    sam_build(build, "JobsFunction", "--template", str(example), "--parameter-overrides", overrides)
    built = replace(artifact, function=build / "JobsFunction")
    bucket, job = "calls-of-the-built-example", f"{CONTACT}_1"
    detail = {"executionName": job, "contactId": CONTACT, "bucket": bucket, "key": "recordings/a.wav"}
    with (
        closing(boto3.client("s3", endpoint_url=moto_server, region_name="eu-west-2")) as s3,
        transcribe_jobs(s3, MarkerRecognizer()) as service,
    ):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        variables = {
            "AWS_ENDPOINT_URL_S3": moto_server,
            "AWS_ENDPOINT_URL_TRANSCRIBE": service.url,
            "RECORDINGS_BUCKET": bucket,
            "RECORDINGS_PREFIX": "recordings",
        }
        handler = resources["JobsFunction"]["Properties"]["Handler"]
        with emulated(built, handler, variables, tmp_path / "log") as port:
            event = {"source": "connect-audio", "detail-type": "Recording Completed", "detail": detail}
            assert invoke(port, event) == {job: "started"}
        assert service.jobs == [job]
