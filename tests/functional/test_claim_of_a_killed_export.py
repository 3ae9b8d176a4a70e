"""`connect-audio export` is killed at a request to S3, and the consumer's execution of the call meets its claim."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from connect_audio.request import RecordingRequest
from connect_audio_local.kvs import EmulatedStream, stored
from connect_audio_local.lambda_.kill_points import Gate, GatedProxy, Kill, Moment, s3_operation
from connect_audio_local.process_cloud import BUCKET, ProcessCloud, process_cloud, request_for
from connect_audio_local.synthesis.calls import DEFAULT_INSTANCE_ID, DEFAULT_START_MS, SyntheticCall
from support.calls import call, fragments
from support.command import COMMAND, PATIENCE_S
from support.wav import same_wav, wav_of_call

PREFIX: Final = "recordings"
# Whatever reads the stream.
READS: Final = frozenset({"GetMedia", "ListFragments", "GetMediaForFragmentList"})


@pytest.fixture(scope="module")
def cloud() -> Iterator[ProcessCloud]:
    with process_cloud() as running:
        yield running


@dataclass(frozen=True)
class Stage:
    """A call that is over, and whoever records it."""

    cloud: ProcessCloud
    stream: EmulatedStream
    ours: SyntheticCall

    @property
    def key(self) -> str:
        return self.request.recording_key(PREFIX)

    @property
    def request(self) -> RecordingRequest:
        return request_for(self.ours.contact_id, DEFAULT_INSTANCE_ID, self.stream.arn, DEFAULT_START_MS)

    def export_is_killed(self, kill: Kill) -> None:
        """Start an export, and end it by SIGKILL at one of its requests to S3."""
        running: list[subprocess.Popen[bytes]] = []

        def end(_: int | None) -> bool:
            (process,) = running
            process.kill()
            process.wait()
            return True

        gate = Gate(end)
        gate.arm(kill)
        options = ["--stream", self.stream.name, "--start", str(DEFAULT_START_MS), "-o", f"s3://{BUCKET}/{PREFIX}"]
        with GatedProxy(self.cloud.s3_url, gate, s3_operation) as front:
            environment = {**os.environ, **self.cloud.emulator.environment(), "AWS_ENDPOINT_URL_S3": front.url}
            command = [str(COMMAND), "export", *options]
            running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
            _, complaint = running[0].communicate(timeout=PATIENCE_S)
        assert [each.operation for each, _ in gate.killed] == [kill.operation], complaint

    def execution(self) -> dict[str, Any]:
        """Run the consumer's execution of the call."""
        arn = self.cloud.engine.start(f"of-{self.ours.contact_id}", self.request.to_payload())
        ended = self.cloud.engine.wait(arn)
        assert ended.status == "SUCCEEDED", ended
        outcome: dict[str, Any] = ended.result
        return outcome

    def claim(self) -> tuple[str, str]:
        """The two parts of the claim."""
        holder, _, state = self.cloud.body(f"s3://{BUCKET}/{self.key}.claim").decode().partition("\n")
        return holder, state

    def is_recorded_once(self) -> bool:
        wav, manifest = self.key, self.key.replace(".wav", ".json")
        assert self.cloud.keys(self.ours.contact_id) == [manifest, wav]
        assert self.cloud.open_uploads(self.ours.contact_id) == []
        assert same_wav(self.cloud.body(f"s3://{BUCKET}/{wav}"), wav_of_call(self.ours))
        assert json.loads(self.cloud.body(f"s3://{BUCKET}/{manifest}"))["status"] == "complete"
        return True


def stage_of(cloud: ProcessCloud, number: int) -> Stage:
    ours = call(8, contact_id=f"20000000-0000-4000-8000-{number:012d}")
    stream = cloud.emulator.add_stream(EmulatedStream(f"exported-{number}", stored(fragments(ours))))
    return Stage(cloud, stream, ours)


def test_an_execution_takes_over_the_claim_of_an_export_that_was_killed_while_it_recorded(cloud: ProcessCloud) -> None:
    stage = stage_of(cloud, 1)
    stage.export_is_killed(Kill("s3:PutObject wav.staging", 1, Moment.AFTER))
    holder, state = stage.claim()
    assert (holder.partition(":")[0], state) == ("connect-audio-export", "export")

    assert stage.execution()["status"] == "complete"

    assert stage.is_recorded_once()


def test_an_execution_publishes_what_a_killed_export_had_recorded(cloud: ProcessCloud) -> None:
    """The stream does not keep the call any more."""
    stage = stage_of(cloud, 2)
    stage.export_is_killed(Kill("s3:PutObject wav.claim", 2, Moment.AFTER))
    assert json.loads(stage.claim()[1])["manifest"]["status"] == "complete"
    stage.stream.denied_apis = READS
    asked = stage.stream.faults.calls("GetMedia")

    outcome = stage.execution()

    assert (outcome["status"], outcome["reasons"]) == ("refused", ["ALREADY_RECORDED"])
    assert stage.is_recorded_once()
    assert stage.stream.faults.calls("GetMedia") == asked
