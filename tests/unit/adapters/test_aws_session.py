"""The cut-down model of Connect: the same words as botocore's, fewer of them."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.stub import Stubber

from connect_audio.adapters.aws_session import SERVICE_MODELS, aws_session
from connect_audio.adapters.contact_status import CONNECT_CONFIG, ConnectContactStatus
from connect_audio.ports import ContactState

VERSION = "2017-08-08"


def _differences(ours: Any, botocores: Any, where: str = "") -> list[str]:
    if isinstance(ours, dict) and isinstance(botocores, dict):
        return [
            line
            for key, value in ours.items()
            for line in (
                _differences(value, botocores[key], f"{where}/{key}") if key in botocores else [f"{where}/{key} is new"]
            )
        ]
    return [] if ours == botocores else [f"{where}: {ours!r} is {botocores!r} there"]


def test_everything_that_our_model_of_connect_says_botocores_says_too() -> None:
    ours = json.loads((SERVICE_MODELS / "connect" / VERSION / "service-2.json").read_text())
    loader = botocore.session.get_session().get_component("data_loader")
    assert loader.determine_latest_version("connect", "service-2") == VERSION
    assert _differences(ours, loader.load_service_model("connect", "service-2")) == []


def test_its_client_has_describe_contact_alone_and_the_recorder_understands_the_answer() -> None:
    session = aws_session()
    with closing(
        session.client(
            "connect",
            region_name="eu-west-2",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=CONNECT_CONFIG,
        )
    ) as client:
        assert client.meta.service_model.operation_names == ["DescribeContact"]
        with Stubber(client) as stubber:
            ended = {"Contact": {"DisconnectTimestamp": datetime(2026, 1, 2, tzinfo=UTC)}}
            stubber.add_response("describe_contact", ended, {"InstanceId": "instance", "ContactId": "contact"})
            assert ConnectContactStatus(client).state("instance", "contact") is ContactState.DISCONNECTED
