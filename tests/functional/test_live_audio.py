"""Live audio along the whole path: Connect event -> trigger -> consumer -> sinks, and sinks that do their worst."""

from __future__ import annotations

import importlib.metadata
import io
import json
import threading
import time
import uuid
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import boto3
import pytest

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveBlock
from connect_audio.core.pcm import PARTIES, Party, interleave
from connect_audio.sinks import ENTRY_POINTS, AudioSink, LiveEnd, SinkSetup
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.model import Delivery, Live
from connect_audio_local.synthesis.calls import synthesize_stream
from connect_audio_local.webhook.faults import answer, hang_after_reading, reset_before_reading
from connect_audio_local.webhook.model import WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver
from support.wav import pcm, same_wav, wav_of_call
from support.whole_path import Recorded, a_call, cloud_of, event_for, record, serve

SECRET = b"a secret of a good length, for tests"
# Lambda's durable engine is replaced by one in this process, so a call of half a minute must not take that long.
SPEED = 10.0


@pytest.fixture(autouse=True)
def no_thread_of_a_sink_is_left() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("live-")]
    assert not left, f"threads of sinks outlive the call: {left}"


@contextmanager
def hearing(
    moto_server: str, sinks: str, settings: Mapping[str, str] | None = None, *, invocation_s: float = 900
) -> Iterator[LocalCloud]:
    # What sinks may take at the end of an invocation is a part of the margin: on a busy machine they need it.
    margin = {"DEADLINE_MARGIN_SECONDS": "20"} if invocation_s > 60 else {}
    given = {"LIVE_SINKS": sinks, **margin, **(settings or {})}
    with cloud_of(moto_server, invocation_s=invocation_s, **given) as cloud:
        yield cloud


def call_at_pace(cloud: LocalCloud, seconds: int, *, speed: float = SPEED, **options: Any) -> tuple[bytes, Recorded]:
    """A call whose bytes come as they are spoken, `speed` times as fast: what should be recorded, and what was."""
    call = a_call(seconds)
    stream = serve(cloud, call, pace=Live(speed), delivery=Delivery.BLOCK, **options)
    return wav_of_call(call), record(cloud, event_for(stream.arn))


def objects(cloud: LocalCloud, found: Recorded) -> dict[str, bytes]:
    """What lies in the recording's folder of segments, by name."""
    prefix = found.result["recording"].removeprefix(f"s3://{cloud.bucket}/").removesuffix(".wav") + ".segments/"
    with closing(cloud.s3()) as s3:
        keys = [
            item["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=cloud.bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        ]
        return {key.removeprefix(prefix): s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read() for key in keys}


def live_of(found: Recorded, name: str) -> dict[str, Any]:
    assert found.manifest is not None
    return next(sink for sink in found.manifest["live"]["sinks"] if sink["name"] == name)


# --- segments --------------------------------------------------------------------------------------------------------


def test_the_segments_of_a_call_joined_are_its_recording_sample_for_sample(moto_server: str) -> None:
    with hearing(moto_server, "segments") as cloud:
        expected, found = call_at_pace(cloud, 20)
        there = objects(cloud, found)
    assert found.wav is not None
    assert same_wav(found.wav, expected)
    wavs = sorted(name for name in there if name.endswith(".wav"))
    assert wavs == [f"{number:06d}.wav" for number in range(len(wavs))]
    assert b"".join(pcm(there[name]) for name in wavs) == found.wav[44:]
    index = json.loads(there["index.json"])
    assert (index["state"], index["missing"]) == ("ended", [])
    assert found.manifest is not None
    assert index["durationSeconds"] == found.manifest["recording"]["durationSeconds"]
    told = live_of(found, "segments")
    assert (told["droppedSeconds"], told["failure"], told["failedAttempts"]) == (0, None, 0)
    assert found.manifest["warnings"] == []


def test_a_call_over_several_invocations_has_every_segment_once_and_whole(moto_server: str) -> None:
    # Five of each invocation's nine seconds are the margin, so a call of 60 s at 4 times its pace takes several.
    with hearing(moto_server, "segments", invocation_s=9) as cloud:
        expected, found = call_at_pace(cloud, 60, speed=4, retention_hours=24)
        there = objects(cloud, found)
    assert found.wav is not None
    assert found.manifest is not None
    assert found.manifest["handOvers"] >= 2
    assert same_wav(found.wav, expected)
    wavs = sorted(name for name in there if name.endswith(".wav"))
    assert b"".join(pcm(there[name]) for name in wavs) == found.wav[44:]
    assert json.loads(there["index.json"])["missing"] == []
    assert live_of(found, "segments")["droppedSeconds"] == 0


def test_segments_of_each_party_at_16_khz_are_the_channels_at_twice_the_rate(moto_server: str) -> None:
    settings = {"LIVE_SEGMENT_LAYOUT": "tracks", "LIVE_SEGMENT_RATE": "16000", "LIVE_SEGMENT_SECONDS": "2"}
    with hearing(moto_server, "segments", settings) as cloud:
        _, found = call_at_pace(cloud, 10)
        there = objects(cloud, found)
    assert found.wav is not None
    for party, first in (("customer", 44), ("agent", 46)):
        wavs = sorted(name for name in there if name.endswith(f".{party}.wav"))
        assert len(wavs) == 5
        with wave.open(io.BytesIO(there[wavs[0]])) as opened:
            assert (opened.getframerate(), opened.getnframes(), opened.getnchannels()) == (16_000, 32_000, 1)
        doubled = b"".join(pcm(there[name]) for name in wavs)
        # Of each two samples the second is the original's: what lies between is drawn by the filter.
        mono = bytearray(len(found.wav[44:]) // 2)
        mono[0::2], mono[1::2] = found.wav[first::4], found.wav[first + 1 :: 4]
        kept = bytearray(len(doubled) // 2)
        kept[0::2], kept[1::2] = doubled[2::4], doubled[3::4]
        assert bytes(kept) == bytes(mono)


# --- webhook ---------------------------------------------------------------------------------------------------------


@contextmanager
def posting(
    moto_server: str,
    monkeypatch: pytest.MonkeyPatch,
    behaviours: Sequence[Callable[[Any], None]] = (),
    *,
    sinks: str = "webhook",
    **settings: str,
) -> Iterator[tuple[LocalCloud, WebhookReceiver]]:
    with webhook_receiver(SECRET, behaviours) as receiver:
        # What a function in AWS trusts is the system's; here that is the receiver's own authority.
        monkeypatch.setenv("SSL_CERT_FILE", str(receiver.ca_file))
        with closing(boto3.client("secretsmanager", endpoint_url=moto_server)) as secrets:
            arn = secrets.create_secret(Name=f"webhook-{uuid.uuid4().hex}", SecretString=SECRET.decode())["ARN"]
        values = {
            "WEBHOOK_URL": receiver.url,
            "WEBHOOK_SECRET": arn,
            "WEBHOOK_PRIVATE_ADDRESSES": "allowed",
            **settings,
        }
        with hearing(moto_server, sinks, values) as cloud:
            yield cloud, receiver


def test_the_webhook_gets_every_segment_signed_and_the_end(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with posting(moto_server, monkeypatch) as (cloud, receiver):
        _, found = call_at_pace(cloud, 10)
        received, refused = receiver.received, receiver.refused
    assert not refused
    assert found.wav is not None
    wavs = {int(each.value("Segment")): each.body for each in received if each.headers["content-type"] == "audio/wav"}
    assert b"".join(pcm(wavs[number]) for number in sorted(wavs)) == found.wav[44:]
    (end,) = [json.loads(each.body) for each in received if each.headers["content-type"] == "application/json"]
    assert found.manifest is not None
    assert end["durationSeconds"] == found.manifest["recording"]["durationSeconds"]


@pytest.mark.parametrize(
    "behaviours",
    [
        pytest.param([answer(503)] * 3, id="5xx"),
        pytest.param([reset_before_reading] * 2, id="resets"),
        pytest.param([answer(429)], id="too many"),
    ],
)
def test_what_a_receiver_refuses_for_a_while_it_gets_afterwards(
    moto_server: str, monkeypatch: pytest.MonkeyPatch, behaviours: list[Callable[[Any], None]]
) -> None:
    with posting(moto_server, monkeypatch, behaviours) as (cloud, receiver):
        _, found = call_at_pace(cloud, 10, speed=4)
        received = receiver.received
    assert found.wav is not None
    wavs = {int(each.value("Segment")): each.body for each in received if each.headers["content-type"] == "audio/wav"}
    assert b"".join(pcm(wavs[number]) for number in sorted(wavs)) == found.wav[44:]
    told = live_of(found, "webhook")
    assert told["droppedSeconds"] == 0
    assert told["failedAttempts"] == len(behaviours)


def test_private_addresses_get_nothing_unless_they_are_allowed(
    moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with posting(moto_server, monkeypatch, WEBHOOK_PRIVATE_ADDRESSES="refused") as (cloud, receiver):
        expected, found = call_at_pace(cloud, 10)
        assert receiver.connections == 0
    assert found.wav is not None
    assert same_wav(found.wav, expected)
    assert found.manifest is not None
    assert found.manifest["status"] == "complete"
    told = live_of(found, "webhook")
    assert told["deliveries"] == 0
    assert told["droppedSeconds"] == found.manifest["recording"]["durationSeconds"]
    assert [warning["code"] for warning in found.manifest["warnings"]] == ["LIVE_AUDIO_DROPPED"]


# --- sinks that do their worst ---------------------------------------------------------------------------------------


class RecordingSink:
    """Keeps what it gets: the documented example of a sink of one's own is made like it."""

    def __init__(self, setup: SinkSetup, kept: list[LiveBlock | LiveEnd]) -> None:
        self.setup = setup
        self._kept = kept

    def prepare(self) -> None:
        pass

    def deliver_block(self, block: LiveBlock) -> None:
        self._kept.append(block)

    def end(self, end: LiveEnd) -> None:
        self._kept.append(end)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


class FailingSink(RecordingSink):
    def deliver_block(self, block: LiveBlock) -> None:  # noqa: ARG002 - the port's name
        raise SinkError("OUT_OF_ORDER", "it always says so", retryable=True)


class RaisingSink(RecordingSink):
    def deliver_block(self, block: LiveBlock) -> None:  # noqa: ARG002 - the port's name
        raise RuntimeError("+44 20 7946 0000 must not be in any log")

    def close(self) -> None:
        raise RuntimeError("not even this")


class HangingSink(RecordingSink):
    """Hangs in each delivery until it is interrupted."""

    def __init__(self, setup: SinkSetup, kept: list[LiveBlock | LiveEnd]) -> None:
        super().__init__(setup, kept)
        self._interrupted = threading.Event()

    def deliver_block(self, block: LiveBlock) -> None:  # noqa: ARG002 - the port's name
        self._interrupted.wait()
        raise SinkError("INTERRUPTED", "it hung", retryable=True)

    def end(self, end: LiveEnd) -> None:  # noqa: ARG002 - the port's name
        self._interrupted.wait()
        raise SinkError("INTERRUPTED", "it hung", retryable=True)

    def interrupt(self) -> None:
        self._interrupted.set()


def offer(monkeypatch: pytest.MonkeyPatch, **makers_by_name: Callable[[SinkSetup], AudioSink]) -> None:
    """Have entry points lead to makers, as an installed distribution would."""
    for name, make in makers_by_name.items():
        monkeypatch.setitem(globals(), f"_make_{name}", make)
    found = EntryPoints(EntryPoint(name, f"{__name__}:_make_{name}", ENTRY_POINTS) for name in makers_by_name)
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.attr])
    monkeypatch.setattr(importlib.metadata, "entry_points", found.select)


@pytest.mark.parametrize("sink", [FailingSink, RaisingSink, HangingSink])
def test_a_sink_that_does_its_worst_changes_no_byte_of_the_recording(
    moto_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sink: type[RecordingSink],
) -> None:
    kept: list[LiveBlock | LiveEnd] = []
    offer(monkeypatch, worst=lambda setup: sink(setup, []), beside=lambda setup: RecordingSink(setup, kept))
    with hearing(moto_server, "worst,beside", {"LIVE_BUFFER_SECONDS": "15"}) as cloud:
        expected, found = call_at_pace(cloud, 20)
    assert found.wav is not None
    assert same_wav(found.wav, expected)
    assert found.manifest is not None
    assert found.manifest["status"] == "complete"
    told = live_of(found, "worst")
    seconds = found.manifest["recording"]["durationSeconds"]
    assert told["deliveries"] == 0
    # Blocks count for each party.
    assert told["droppedSeconds"] == pytest.approx(2 * seconds)
    assert told["failedAttempts"] > 0
    assert joined(kept) == found.wav[44:], "the sink beside it did not get all of the call"
    assert live_of(found, "beside")["droppedSeconds"] == 0
    assert "7946" not in capsys.readouterr().out


def joined(kept: list[LiveBlock | LiveEnd]) -> bytes:
    """Blocks in their places."""
    assert isinstance(kept[-1], LiveEnd)
    end = kept.pop()
    assert isinstance(end, LiveEnd)
    sides = {party: bytearray(2 * end.frames) for party in PARTIES}
    for block in kept:
        assert isinstance(block, LiveBlock)
        at = 2 * (block.start - (end.origin or 0))
        sides[block.party][at : at + len(block.samples)] = block.samples
    return interleave(bytes(sides[Party.CUSTOMER]), bytes(sides[Party.AGENT]))


def test_the_recording_is_the_same_byte_for_byte_with_sinks_and_without(
    moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with posting(moto_server, monkeypatch, [hang_after_reading] * 100, sinks="segments,webhook") as (cloud, _):
        _, found = call_at_pace(cloud, 15)
    with cloud_of(moto_server) as cloud:
        _, without = call_at_pace(cloud, 15)
    assert found.wav is not None
    assert found.wav == without.wav
    assert without.manifest is not None
    assert without.manifest["live"] is None


@pytest.mark.parametrize(
    ("name", "why"),
    [("nobody", "UNKNOWN_SINK"), ("broken", "RuntimeError")],
)
def test_a_sink_that_cannot_be_made_keeps_no_call_from_being_recorded(
    moto_server: str, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    def broken(_: SinkSetup) -> AudioSink:
        raise RuntimeError("+44 20 7946 0000")

    offer(monkeypatch, broken=broken)
    with hearing(moto_server, name) as cloud:
        expected, found = call_at_pace(cloud, 5)
    assert found.wav is not None
    assert same_wav(found.wav, expected)
    assert found.manifest is not None
    assert found.manifest["status"] == "complete"
    told = live_of(found, name)
    assert told["failure"] == why
    assert told["droppedSeconds"] == found.manifest["recording"]["durationSeconds"]
    codes = [warning["code"] for warning in found.manifest["warnings"]]
    assert codes == ["LIVE_SINK_FAILED", "LIVE_AUDIO_DROPPED"]


def test_blocks_come_within_the_fragment_that_brings_them_and_never_another_contact_s(
    moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[tuple[float, LiveBlock]] = []
    kept: list[LiveBlock | LiveEnd] = []

    class Timed(RecordingSink):
        def deliver_block(self, block: LiveBlock) -> None:
            came.append((time.monotonic(), block))
            super().deliver_block(block)

    offer(monkeypatch, timed=lambda setup: Timed(setup, kept))
    ours = a_call(6, pause_ms=800)
    before, after = a_call(6, contact=2, seed=7), a_call(6, contact=3, seed=8, pause_ms=800)
    with hearing(moto_server, "timed") as cloud:
        stream = serve(cloud, before, ours, after, pace=Live(SPEED), delivery=Delivery.BLOCK)
        fragments = synthesize_stream([before, ours, after])
        first = next(each for each in fragments if each.contact_id == ours.contact_id)
        found = record(cloud, event_for(stream.arn, start_ms=first.producer_ms))
    assert found.wav is not None
    assert joined(kept) == found.wav[44:]
    # 16 blocks of each party make a fragment; told at its end alone they would come as one.
    assert len(came) > 1.5 * len(found.wav) / 2 / 8192
