"""An invocation ends in time whatever its sinks do just then, in processes as Lambda has them and with real threads.

What a hung webhook did not get the next invocation gives it; a sink that never comes back is left behind for good.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import Any, Final

import boto3
import pytest

from connect_audio_local.kvs import Live
from connect_audio_local.process_cloud import ProcessCloud, process_cloud
from connect_audio_local.webhook.faults import drip_head, hang_after_reading
from connect_audio_local.webhook.model import Delivery, Exchange, WebhookReceiver, accept
from connect_audio_local.webhook.server import webhook_receiver
from support.engine_chaos import Run, Schedule, run, scene
from support.heard_segments import judged
from support.stuck_sink import TAKES, install
from support.wav import pcm, same_wav

SECRET: Final = b"a secret of a good length, for tests"
MARGIN_S: Final = 10
# A call of 24 s in 6 s, of which an invocation hears three; the rest is the margin.
HEARS_S: Final = 3
INVOCATION_S: Final = MARGIN_S + HEARS_S
SPEED: Final = 4.0
# Of the margin an eighth is for sinks to catch up and half for their threads to end.
LATEST_S: Final = HEARS_S + MARGIN_S / 8 + MARGIN_S / 2


@dataclass(frozen=True)
class Stage:
    """The processes, and what tells one call in them from the next."""

    cloud: ProcessCloud
    numbers: Iterator[int]
    diary: Path

    def record(self, live: Mapping[str, str], **environment: str) -> Run:
        """Record the call, over several invocations; the recording is what it should be, whatever the sinks do."""
        schedule = Schedule(
            0, "short", (), pace=Live(speed=SPEED), invocation_s=INVOCATION_S, live=live, margin_s=MARGIN_S
        )
        self.cloud.host.environment.update(environment)
        found = run(self.cloud, schedule, next(self.numbers))
        assert [each.status for each in found.executions] == ["SUCCEEDED"], found.executions
        assert found.wav is not None
        assert found.manifest is not None
        assert same_wav(found.wav, scene("short").wav)
        assert found.manifest["status"] == "complete"
        assert found.manifest["handOvers"] >= 1
        # Nothing was killed and nothing ran out of time.
        assert [(each.exit_code, each.error) for each in found.invocations] == [(0, None)] * len(found.invocations)
        return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with process_cloud(install(tmp_path_factory.mktemp("site"))) as cloud:
        yield Stage(cloud, count(1), tmp_path_factory.mktemp("stuck") / "diary")


@pytest.fixture(scope="module")
def secret_arn(stage: Stage) -> str:
    region = stage.cloud.s3.meta.region_name
    with closing(boto3.client("secretsmanager", endpoint_url=stage.cloud.s3_url, region_name=region)) as secrets:
        arn: str = secrets.create_secret(Name="webhook", SecretString=SECRET.decode())["ARN"]
    return arn


def live_of(found: Run, name: str) -> dict[str, Any]:
    assert found.manifest is not None
    (told,) = [sink for sink in found.manifest["live"]["sinks"] if sink["name"] == name]
    return dict(told)


def heard_by(receiver: WebhookReceiver) -> tuple[dict[int, Delivery], list[Any]]:
    """Segments by number, and what was told of the end."""
    assert receiver.refused == ()
    wavs, ends = {}, []
    for each in receiver.received:
        if each.headers["content-type"] == "audio/wav":
            assert int(each.value("Segment")) not in wavs
            wavs[int(each.value("Segment"))] = each
        else:
            ends.append(json.loads(each.body))
    return wavs, ends


@pytest.mark.parametrize("hang", [hang_after_reading, drip_head])
def test_a_webhook_that_hangs_at_the_deadline_holds_nothing_up_and_gets_what_it_lacks_from_the_next_invocation(
    stage: Stage, secret_arn: str, hang: Callable[[Exchange], None]
) -> None:
    taken_before = 4
    with webhook_receiver(SECRET, [*repeat(accept, taken_before), hang]) as receiver:
        live = {
            "LIVE_SINKS": "webhook",
            "WEBHOOK_URL": receiver.url,
            "WEBHOOK_SECRET": secret_arn,
            "WEBHOOK_PRIVATE_ADDRESSES": "allowed",
        }
        found = stage.record(
            live, SSL_CERT_FILE=str(receiver.ca_file), AWS_ENDPOINT_URL_SECRETS_MANAGER=stage.cloud.s3_url
        )
        wavs, ends = heard_by(receiver)
        requests = receiver.requests
    first = found.invocations[0]
    # It hung when the deadline came, or the sinks would have had nothing left to wait for.
    assert HEARS_S + MARGIN_S / 8 <= first.wall_s < LATEST_S
    assert [each.left_sinks for each in found.invocations] == [[]] * len(found.invocations)
    assert found.wav is not None
    assert b"".join(pcm(wavs[number].body) for number in sorted(wavs)) == found.wav[44:]
    assert len(ends) == 1
    told = live_of(found, "webhook")
    assert (told["droppedSeconds"], told["failure"], told["failedAttempts"]) == (0, None, 1)
    assert requests == told["deliveries"] + 1 + len(ends)


def test_a_sink_that_never_comes_back_is_left_behind_for_good_and_the_recording_and_the_others_are_whole(
    stage: Stage,
) -> None:
    options = json.dumps({"STUCK_DIARY": str(stage.diary)})
    found = stage.record({"LIVE_SINKS": "stuck,segments", "LIVE_SINK_OPTIONS": options})
    told = live_of(found, "stuck")
    assert (told["deliveries"], told["failure"]) == (TAKES, "LEFT_BEHIND")
    assert found.manifest is not None
    assert found.wav is not None
    assert "LIVE_SINK_FAILED" in [warning["code"] for warning in found.manifest["warnings"]]
    heard = judged(found.segments, found.wav, found.manifest)
    assert (len(heard.segments), heard.missing, heard.dropped_s) == (24, (), 0)
    first, *later = found.invocations
    assert first.wall_s < INVOCATION_S
    # Left to itself, but it holds up no interpreter that wants to end.
    assert [(each.name, each.daemon) for each in first.left_threads or () if each.name.startswith("live-")] == [
        ("live-stuck", True)
    ]
    assert [each.left_sinks for each in later] == [[]] * len(later)
    entries = [line.split(" ", 1) for line in stage.diary.read_text("utf-8").splitlines()]
    of_first = [what for pid, what in entries if int(pid) == first.pid]
    assert of_first == [*(f"deliver {number}" for number in range(TAKES + 1)), "interrupt"]
    # Later ones give it nothing; one that makes it at all lets it go at once.
    assert {what for pid, what in entries if int(pid) != first.pid} <= {"close"}
