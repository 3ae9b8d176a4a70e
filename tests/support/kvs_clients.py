"""The SDK's clients of the Kinesis Video stand-in."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from mypy_boto3_connect import ConnectClient
from mypy_boto3_kinesis_video_media import KinesisVideoMediaClient
from mypy_boto3_kinesisvideo import KinesisVideoClient

from connect_audio_local.kvs import KvsEmulator

# One session for all clients: it loads the service models once.
SESSION = boto3.Session("test", "test", region_name="eu-west-2")


@dataclass(frozen=True)
class Clients:
    """What a consumer has: three clients that found the emulator by the environment alone."""

    control: KinesisVideoClient
    media: KinesisVideoMediaClient
    connect: ConnectClient

    def open(self, kind: str = "EARLIEST", name: str = "calls", **fields: Any) -> StreamingBody:
        selector: Any = {"StartSelectorType": kind} | fields
        return self.media.get_media(StreamName=name, StartSelector=selector)["Payload"]

    def read(self, kind: str = "EARLIEST", **fields: Any) -> bytes:
        with closing(self.open(kind, **fields)) as body:
            return body.read()


class clients_of:  # noqa: N801 - reads as a function at its call
    def __init__(self, emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)

    def __enter__(self) -> Clients:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=10)
        self._clients = Clients(
            SESSION.client("kinesisvideo", config=config),
            SESSION.client("kinesis-video-media", config=config),
            SESSION.client("connect", config=config),
        )
        return self._clients

    def __exit__(self, *error: object) -> None:
        self._clients.control.close()
        self._clients.media.close()
        self._clients.connect.close()


def error_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
