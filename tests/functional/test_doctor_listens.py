"""`connect-audio doctor --listen` against the stand-in of Kinesis Video Streams: what a stream shows in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import boto3
import pytest

from connect_audio_cli.doctor import listening
from connect_audio_cli.doctor.check import Finding, Standing
from connect_audio_cli.doctor.doctor import finding_of
from connect_audio_cli.stacks.aws import Aws
from connect_audio_cli.stacks.deployed import Deployed
from connect_audio_local.kvs import EmulatedStream, FaultPlan, KvsEmulator, stored
from connect_audio_local.kvs.faults import OnCall, Refuse
from connect_audio_local.synthesis.calls import SyntheticCall
from support.calls import call, fragments

(CHECK,) = listening.CHECKS
WELL: Final = "a stream was read: both parties at 8000 Hz, its contact named, and its archive lists it"


class Listener:
    """Streams in the emulator, and the check on them."""

    def __init__(self, emulator: KvsEmulator, aws: Aws) -> None:
        self._emulator, self._aws = emulator, aws

    def serve(self, *calls: SyntheticCall, name: str = "calls-1", **options: Any) -> EmulatedStream:
        return self._emulator.add_stream(EmulatedStream(name, stored(fragments(*calls)), **options))

    def finding(self) -> Finding:
        stack = Deployed(
            aws=self._aws,
            name="calls",
            status="UPDATE_COMPLETE",
            changed="2026-11-28",
            parameters={"StreamNamePrefix": "calls"},
            outputs={},
        )
        return finding_of(CHECK, stack)


@pytest.fixture
def listener(kvs_emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setattr(listening, "LISTEN_S", 0.5)
    with closing(Aws(boto3.Session())) as aws:
        yield Listener(kvs_emulator, aws)


def test_a_stream_of_connect_is_well(listener: Listener) -> None:
    listener.serve(call(3))

    assert listener.finding() == Finding(Standing.WELL, WELL)


def test_a_stream_without_audio_leads_to_the_next_one(listener: Listener) -> None:
    listener.serve(call(3))
    listener.serve(name="calls-2")

    assert listener.finding().found == WELL


def test_a_stream_of_another_prefix_is_not_listened_to(listener: Listener) -> None:
    stream = listener.serve(call(3), name="other")

    assert listener.finding() == Finding(
        Standing.NOTE, "there is no stream to listen to", "run the doctor again after a call"
    )
    assert stream.faults.calls("GetMedia") == 0


def test_a_stream_of_one_party_alone_is_a_fault_of_the_flow(listener: Listener) -> None:
    listener.serve(call(3, agent=None))

    finding = listener.finding()

    assert (finding.standing, finding.found) == (Standing.FAULT, "the stream has no track of the agent")
    assert "both ways" in finding.remedy


def test_fragments_that_name_no_contact_are_a_fault(listener: Listener) -> None:
    listener.serve(call(3, unlabelled=frozenset(range(10))))

    assert listener.finding().found == "the stream's fragments name no contact"


@pytest.mark.parametrize("operation", ["GetDataEndpoint", "GetMedia", "ListFragments"])
def test_a_missing_right_is_named(listener: Listener, operation: Any) -> None:
    listener.serve(call(3), faults=FaultPlan((OnCall(1, Refuse("AccessDeniedException"), operation, times=None),)))

    assert listener.finding() == Finding(Standing.NOT_CHECKED, f"needs kinesisvideo:{operation}")


def test_a_stream_that_keeps_nothing_has_no_archive(listener: Listener) -> None:
    listener.serve(call(3), retention_hours=0)

    assert listener.finding() == Finding(
        Standing.WELL, "a stream was read: both parties at 8000 Hz, its contact named, and its archive keeps nothing"
    )
