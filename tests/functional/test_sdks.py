"""SDKs beside boto3, led to `connect-audio emulate` by the variables that it prints and by nothing else.

Each runs in an environment of its own: `make setup-sdks`, which `make test` does first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S

SDKS = Path(__file__).parents[2] / ".venv-sdk"
PYTHON = SDKS / "bin" / "python"

# Each program reads the stream "call" from its beginning, at the endpoint that GetDataEndpoint names, and by the
# variables alone. It writes the bytes. No program names an address, a region or a key.
JAVASCRIPT = """
const { KinesisVideoClient, GetDataEndpointCommand } = require("@aws-sdk/client-kinesis-video");
const { KinesisVideoMediaClient, GetMediaCommand } = require("@aws-sdk/client-kinesis-video-media");
async function read(client) {
  const selector = { StartSelectorType: "EARLIEST" };
  const answer = await client.send(new GetMediaCommand({ StreamName: "call", StartSelector: selector }));
  for await (const chunk of answer.Payload) process.stdout.write(chunk);
}
(async () => {
  const asked = new GetDataEndpointCommand({ StreamName: "call", APIName: "GET_MEDIA" });
  const { DataEndpoint } = await new KinesisVideoClient().send(asked);
  await read(new KinesisVideoMediaClient({ endpoint: DataEndpoint }));
  await read(new KinesisVideoMediaClient());
})();
"""
AIOBOTOCORE = """
import asyncio, sys
from aiobotocore.session import get_session

async def read(client):
    answer = await client.get_media(StreamName="call", StartSelector={"StartSelectorType": "EARLIEST"})
    async with answer["Payload"] as body:
        sys.stdout.buffer.write(await body.read())

async def main():
    session = get_session()
    async with session.create_client("kinesisvideo") as control:
        asked = await control.get_data_endpoint(StreamName="call", APIName="GET_MEDIA")
    async with session.create_client("kinesis-video-media", endpoint_url=asked["DataEndpoint"]) as media:
        await read(media)
    async with session.create_client("kinesis-video-media") as media:
        await read(media)

asyncio.run(main())
"""
CAPO = """
import asyncio, sys
from capo_kinesis_video import AsyncKinesisVideoClient
from capo_kinesis_video_media import AsyncKinesisVideoMediaClient

async def read(client):
    selector = {"start_selector_type": "EARLIEST"}
    async with client.get_media(stream_name="call", start_selector=selector) as answer:
        async for chunk in answer["payload"]:
            sys.stdout.buffer.write(chunk)

async def main():
    async with AsyncKinesisVideoClient() as control:
        asked = await control.get_data_endpoint("GET_MEDIA", stream_name="call")
    async with AsyncKinesisVideoMediaClient(endpoint=asked["data_endpoint"]) as media:
        await read(media)
    async with AsyncKinesisVideoMediaClient() as media:
        await read(media)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    speech = two_party_conversation(3)
    path = tmp_path_factory.mktemp("sdks") / "call.mkv"
    call = SyntheticCall(customer=speech.customer, agent=speech.agent)
    path.write_bytes(b"".join(fragment.data for fragment in synthesize_call(call)))
    return path


@pytest.fixture
def printed(capture: Path) -> Iterator[str]:
    """The shell's lines that the command prints, while it serves the capture.

    Each program has a stream of its own: all together they ask more often than five times in a second, and capo does
    not ask again.
    """
    with emulating(capture) as text:
        yield "\n".join(re.findall(r"^(?:export|unset) .*$", text, re.MULTILINE))


@contextmanager
def emulating(capture: Path) -> Iterator[str]:
    with subprocess.Popen([COMMAND, "emulate", capture], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        finally:
            process.kill()


def served(printed: str, *command: str | Path, **more: str) -> bytes:
    """The output of a program, run by a shell that has only the printed variables."""
    # Settings of the user's other work, which the printed lines must take away.
    misled = {"AWS_PROFILE": "missing", "HTTP_PROXY": "http://127.0.0.1:9", "HOME": "/nonexistent"}
    done = subprocess.run(
        ["sh", "-c", f'{printed}\nexec "$@"', "sh", *command],
        env={"PATH": os.environ["PATH"], **misled, **more},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.skipif(
    not (SDKS / "node_modules").exists() or not shutil.which("node"), reason="make setup-sdks, with npm"
)
def test_the_javascript_sdk_is_led_to_the_capture(printed: str, capture: Path) -> None:
    found = served(printed, "node", "-e", JAVASCRIPT, NODE_PATH=str(SDKS / "node_modules"))
    assert found == capture.read_bytes() * 2


@pytest.mark.skipif(not PYTHON.exists(), reason="make setup-sdks")
@pytest.mark.parametrize("program", [AIOBOTOCORE, CAPO], ids=["aiobotocore", "capo"])
def test_the_sdk_is_led_to_the_capture(printed: str, capture: Path, program: str) -> None:
    assert served(printed, PYTHON, "-c", program) == capture.read_bytes() * 2
