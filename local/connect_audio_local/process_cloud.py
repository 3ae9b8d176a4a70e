"""S3, the KVS emulator, the durable engine and the consumer's processes, wired to each other through the gate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from connect_audio.adapters.s3_recording import S3_CONFIG
from connect_audio.request import RecordingRequest
from connect_audio_local.cloud import ACCOUNT, REGION, local_credentials
from connect_audio_local.kvs.model import UNLIMITED
from connect_audio_local.kvs.server import KvsEmulator
from connect_audio_local.lambda_.durable_engine import DurableEngine, durable_engine
from connect_audio_local.lambda_.function_host import FunctionHost
from connect_audio_local.lambda_.kill_points import (
    Gate,
    GatedApi,
    GatedProxy,
    engine_operation,
    events_operation,
    s3_operation,
)
from connect_audio_local.s3.server import s3_server

BUCKET: Final = "recordings"
_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
_QUICK: Final = {
    # With 0, after DISCONNECTED the first undecided fragment would end the recording.
    "DRAIN_SECONDS": "1",
    "IDLE_LIMIT_SECONDS": "10",
    "STATUS_INTERVAL_SECONDS": "0",
    "READ_TIMEOUT_SECONDS": "3",
    "DEADLINE_MARGIN_SECONDS": "5",
    "POWERTOOLS_LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class ProcessCloud:
    """The running services. Make it with `process_cloud`.

    Args:
        emulator: Kinesis Video Streams and Connect.
        engine: the durable engine.
        host: the function's processes.
        gate: counts and kills.
        s3: a client of S3 itself, past no gate.
        s3_url: address of S3 itself.
        s3_proxy: the gate before it; a test may put a front end between the two.
        events_proxy: the gate before EventBridge, which the same server serves.
        directory: logs lie here.
    """

    emulator: KvsEmulator
    engine: DurableEngine
    host: FunctionHost
    gate: Gate
    s3: Any
    s3_url: str
    s3_proxy: GatedProxy
    events_proxy: GatedProxy
    directory: Path

    def keys(self, contact_id: str) -> list[str]:
        """Keys of all objects of a contact."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", []) if contact_id in item["Key"]]

    def open_uploads(self, contact_id: str) -> list[str]:
        """Keys of the open multipart uploads of a contact."""
        found: Sequence[Mapping[str, str]] = self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [upload["Key"] for upload in found if contact_id in upload["Key"]]

    def body(self, uri: str) -> bytes:
        """A whole object."""
        with closing(self.s3.get_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))["Body"]) as body:
            content: bytes = body.read()
            return content

    def function_log(self) -> str:
        """The output of the function's processes so far."""
        return (self.directory / "functions.log").read_text("utf-8", "replace")


def request_for(contact_id: str, instance_id: str, stream_arn: str, start_ms: int) -> RecordingRequest:
    """The consumer's input for a contact.

    Args:
        contact_id: the contact.
        instance_id: the Connect instance.
        stream_arn: the stream.
        start_ms: StartTimestamp, ms since the epoch.
    """
    return RecordingRequest(
        contact_id=contact_id,
        instance_arn=f"arn:aws:connect:{REGION}:{ACCOUNT}:instance/{instance_id}",
        stream_arn=stream_arn,
        start_timestamp_ms=start_ms,
        start_fragment_number="1",
    )


@contextmanager
def process_cloud(
    settings: Mapping[str, str] | None = None, *, page_bytes: int | None = None
) -> Iterator[ProcessCloud]:
    """Start everything, and end it with the `with` block.

    Args:
        settings: further variables of the function.
        page_bytes: how much of the history an invocation is handed; None: 5 MB.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connect-audio-")))
        stack.enter_context(local_credentials())
        functions_log = stack.enter_context((directory / "functions.log").open("wb"))
        engine_log = stack.enter_context((directory / "engine.log").open("wb"))
        s3_url = stack.enter_context(s3_server())
        emulator = stack.enter_context(KvsEmulator(limits=UNLIMITED))
        gate = Gate(lambda number: host.kill(number))  # noqa: PLW0108 - the host is made below
        emulator._server.api = GatedApi(emulator._server.api, gate)  # type: ignore[assignment]  # noqa: SLF001 - there is no public way yet
        s3_proxy = stack.enter_context(GatedProxy(s3_url, gate, s3_operation))
        # moto serves it, too; events go out where EVENT_BUS_NAME is set.
        events_proxy = stack.enter_context(GatedProxy(s3_url, gate, events_operation))
        variables = {
            **_CREDENTIALS,
            "POWERTOOLS_SERVICE_NAME": "connect-audio",
            "POWERTOOLS_METRICS_NAMESPACE": "ConnectAudio",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": "consumer",
            "RECORDINGS_BUCKET": BUCKET,
            "AWS_ENDPOINT_URL_S3": s3_proxy.url,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": events_proxy.url,
            **emulator.environment(),
            **_QUICK,
            **(settings or {}),
        }
        host = stack.enter_context(FunctionHost(variables, functions_log))
        engine = stack.enter_context(durable_engine(host.url, engine_log, page_bytes=page_bytes))
        engine_proxy = stack.enter_context(GatedProxy(engine.url, gate, engine_operation))
        host.environment["AWS_ENDPOINT_URL_LAMBDA"] = engine_proxy.url
        s3 = stack.enter_context(closing(boto3.client("s3", endpoint_url=s3_url, region_name=REGION, config=S3_CONFIG)))
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield ProcessCloud(emulator, engine, host, gate, s3, s3_url, s3_proxy, events_proxy, directory)
