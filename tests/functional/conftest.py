"""Real servers for the functional tests: an S3 API (moto, in its own process) and scripted HTTP servers."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Final

import boto3
import pytest

from connect_audio.adapters.s3_recording import S3_CONFIG
from connect_audio_local.kvs import UNLIMITED, KvsEmulator
from support.wire_server import WireServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

    from support.wire_server import Handler

REGION: Final = "eu-west-2"
# Tests in the background of a script ignore Ctrl-C, and so would each process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Prints its port once it listens and ends with its standard input, so that it cannot outlive the tests.
_MOTO = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are good for loopback alone, and no look at the machine's own."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The address of a moto server: S3 and the other APIs that moto has. Shared, so make resources of your own."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _MOTO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert port, "the moto server did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(10)


@pytest.fixture
def s3_client(moto_server: str) -> Iterator[S3Client]:
    """An S3 client of the moto server, configured as the functions' own."""
    client = boto3.client("s3", endpoint_url=moto_server, region_name=REGION, config=S3_CONFIG)
    yield client
    client.close()


@pytest.fixture
def bucket(s3_client: S3Client) -> str:
    """A bucket of the test's own on the moto server."""
    name = f"recordings-{uuid.uuid4().hex[:12]}"
    s3_client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def kvs_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[KvsEmulator]:
    """An emulator of the streams and of Connect without quotas, which the commands of the test find."""
    with KvsEmulator(limits=UNLIMITED) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator


@pytest.fixture
def wire_server() -> Iterator[Callable[[Handler], WireServer]]:
    """Start scripted HTTP servers; they end with the test, which fails if a handler did."""
    servers: list[WireServer] = []

    def start(handler: Handler) -> WireServer:
        servers.append(WireServer(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
        if server.failures:
            raise server.failures[0]
