"""`connect-audio record` against the stand-in of Kinesis Video Streams and Connect: live calls, until they end."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from connect_audio_cli.capturing.answer import StreamAsker
from connect_audio_local.kvs import EmulatedStream, FaultPlan, KvsEmulator, Live, stored
from connect_audio_local.kvs.faults import OnCall, Refuse
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall
from support.aws_answers import AwsAnswers
from support.calls import call, fragments
from support.command import COMMAND, Finished, run_here
from support.deployed_stack import described
from support.recording_folder import files_in
from support.terminal import cells, terminal
from support.wav import pcm, same_wav, wav_of_call
from support.wire_server import Handler, WireServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OTHER: Final = "00000000-0000-4000-8000-000000000002"
THIRD: Final = "00000000-0000-4000-8000-000000000003"
AWAY_MS: Final = 35_000
"""Pause before the next caller, longer than the drain: the stream itself shows the end, as fast as it is served."""


class Streams:
    """Live calls in the emulator, and the command on them."""

    def __init__(self, emulator: KvsEmulator, folder: Path) -> None:
        self._emulator = emulator
        self.folder = folder

    def serve(self, *calls: SyntheticCall, speed: float = 16.0, **options: Any) -> EmulatedStream:
        self.stream = self._emulator.add_stream(
            EmulatedStream("calls", stored(fragments(*calls)), pace=Live(speed), **options)
        )
        return self.stream

    def record(self, *options: str) -> Finished:
        return run_here("record", "calls", "-o", str(self.folder), *options)

    def recorded(self, contact_id: str = DEFAULT_CONTACT_ID) -> tuple[bytes, dict[str, Any]]:
        (wav,) = self.folder.glob(f"2026/07/01/{contact_id}_*.wav")
        return wav.read_bytes(), json.loads(wav.with_suffix(".json").read_text())

    def files(self) -> set[str]:
        """Kinds of the files beside the command's own."""
        return {name.rpartition(".")[2] for name in files_in(self.folder)}


def is_tail(wav: bytes, ours: SyntheticCall) -> bool:
    """True if a WAV holds the call's samples from somewhere on to its end. The command may come late to a call."""
    frames = pcm(wav)
    return len(frames) > 0 and pcm(wav_of_call(ours)).endswith(frames)


@pytest.fixture
def streams(tmp_path: Path, kvs_emulator: KvsEmulator) -> Streams:
    return Streams(kvs_emulator, tmp_path / "calls")


def test_a_live_call_is_recorded_to_its_end_by_the_stream_alone(streams: Streams) -> None:
    ours = call(40)
    stream = streams.serve(ours, call(3, contact_id=OTHER, pause_ms=AWAY_MS, seed=5), speed=20)

    finished = streams.record()

    assert (finished.code, finished.err) == (0, "")
    wav, manifest = streams.recorded()
    assert is_tail(wav, ours)
    assert streams.files() == {"wav", "json"}
    assert (manifest["status"], manifest["endReason"]) == ("complete", "OTHER_CONTACT")
    assert [each.name for each in streams.folder.rglob("*.wav")] == [manifest["recording"]["location"]]
    # Nothing says when the call began.
    assert manifest["evidence"]["opening"]["code"] == "NO_EVENT"
    assert stream.faults.calls("DescribeContact") == 0


def test_a_named_contact_is_waited_for_and_no_other_is_recorded(streams: Streams) -> None:
    ours = call(8, contact_id=OTHER, seed=9, pause_ms=AWAY_MS)
    streams.serve(call(5), ours, call(3, contact_id=THIRD, pause_ms=AWAY_MS, seed=5), speed=30)

    finished = streams.record("--contact-id", OTHER, "--json")

    assert finished.code == 0
    assert json.loads(finished.out)["contactId"] == OTHER
    assert same_wav(streams.recorded(OTHER)[0], wav_of_call(ours))
    assert not list(streams.folder.rglob(f"*{DEFAULT_CONTACT_ID}*"))


def test_connect_is_asked_where_the_user_may_and_silence_ends_the_call_where_not(streams: Streams) -> None:
    ours = call(24)
    stream = streams.serve(ours, speed=8)

    finished = streams.record("--silence", "2", "--json")

    assert finished.code == 0
    found = json.loads(finished.out)
    assert (found["status"], found["endReason"], found["reasons"]) == ("complete", "DISCONNECTED", [])
    assert stream.faults.calls("DescribeContact") >= 1
    assert is_tail(streams.recorded()[0], ours)


def test_ctrl_c_ends_in_a_recording_of_what_came_that_says_so(streams: Streams) -> None:
    ours = call(600)
    streams.serve(ours, speed=4)
    with terminal(COMMAND, "record", "calls", "-o", streams.folder, columns=50) as running:
        running.read_until("Recording 0:00:04")
        running.press_ctrl_c()
        shown = running.end()

    assert shown.code == 3
    wav, manifest = streams.recorded()
    frames = pcm(wav)
    assert frames
    assert frames in pcm(wav_of_call(ours))
    assert (manifest["status"], manifest["endReason"]) == ("partial", "INTERRUPTED")
    assert [reason["code"] for reason in manifest["reasons"]] == ["INTERRUPTED"]
    assert manifest["evidence"]["end"]["state"] == "not_proven"
    assert re.search(r"Recording 0:00:\d\d  customer -\d+  agent -\d+ dBFS", shown.shown)
    pictures = [each.removesuffix("^C") for each in re.split(r"[\r\n]+", shown.shown) if "  customer " in each]
    assert max(map(cells, pictures)) < 50
    assert "the user ended the recording" in " ".join(shown.text.split())
    assert "is partial: INTERRUPTED" in " ".join(shown.text.split())
    assert streams.files() == {"wav", "json"}


def test_ctrl_c_before_a_contact_speaks_writes_nothing(streams: Streams) -> None:
    # All of the call is there already: its newest fragment comes at once, and none follows.
    streams.serve(call(3), speed=1e6)
    with terminal(COMMAND, "record", "calls", "-o", streams.folder) as running:
        running.read_until("Waiting for a contact")
        running.press_ctrl_c()
        shown = running.end()

    assert shown.code == 130
    assert shown.lines[-2] == "connect-audio: interrupted"
    assert not streams.folder.exists()


def test_a_wait_of_hours_leaves_nothing_of_one_question_to_the_next(streams: Streams) -> None:
    # A stream may be silent for a day, and the command asks each 30 s at the latest.
    stream = streams.serve(call(3), speed=1e6)
    with StreamAsker(stream.arn, boto3.Session()) as asker:
        bodies = [weakref.ref(asker.media("NOW").body) for _ in range(4)]
        gc.collect()
        are_kept = [body() is not None for body in bodies]

    assert are_kept == [False, False, False, True]
    assert stream.faults.calls("GetDataEndpoint") == 1


def test_silence_ends_the_call_where_connect_may_not_be_asked(streams: Streams) -> None:
    ours = call(24)
    denied = OnCall(1, Refuse("AccessDeniedException"), "DescribeContact", times=None)
    stream = streams.serve(ours, faults=FaultPlan((denied,)), speed=8)

    finished = streams.record("--silence", "2")

    assert (finished.code, finished.err) == (0, "")
    assert "did not say whether the contact was connected: AccessDeniedException" in finished.out
    assert streams.recorded()[1]["endReason"] == "IDLE"
    assert stream.faults.calls("DescribeContact") >= 1
    assert is_tail(streams.recorded()[0], ours)


def test_a_recording_in_a_bucket_lies_apart_from_the_stack_s(
    streams: Streams,
    s3_client: S3Client,
    bucket: str,
    moto_server: str,
    wire_server: Callable[[Handler], WireServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server)
    stack = described(outputs={"RecordingsBucketName": bucket}, parameters={"RecordingsPrefix": "audio"})
    aws = wire_server(AwsAnswers({"cloudformation:DescribeStacks": stack}))
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", aws.url)
    ours = call(24)
    streams.serve(ours, speed=8)

    finished = run_here("record", "calls", "--stack", "calls", "--silence", "2", "--json")

    assert finished.code == 0
    found = json.loads(finished.out)
    assert found["recording"] == f"s3://{bucket}/{found['key']}"
    assert re.fullmatch(rf"audio/record/2026/07/01/{DEFAULT_CONTACT_ID}_\d{{8}}T\d{{6}}\.\d{{3}}Z\.wav", found["key"])
    listed = s3_client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {each["Key"] for each in listed} == {found["key"], found["key"].replace(".wav", ".json")}
    assert is_tail(s3_client.get_object(Bucket=bucket, Key=found["key"])["Body"].read(), ours)


def test_a_stream_that_is_not_there_is_told_in_one_line(streams: Streams) -> None:
    streams.serve(call(3))

    finished = run_here("record", "callz", "-o", str(streams.folder))

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == "there is no stream callz in region eu-west-2"
